CREATE FUNCTION mongoferry.options(
    OUT name text, OUT level text, OUT value text, OUT default_value text, OUT reads_server_files boolean,
    OUT description text) RETURNS SETOF record
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mongoferry_options';
COMMENT ON FUNCTION mongoferry.options() IS
    'All options of the foreign-data wrapper mongoferry, a row each: where it may stand (level), what it takes (value; choices are separated by |), its default (NULL if it has none), whether only superusers and members of pg_read_server_files may set it, and what it is for.';
