-- Transforms of tasks, as text: what add_task() checks with and what the statements of tasks are made with.

CREATE FUNCTION mongoferry.bind_transform(transform text, source_query text) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mongoferry_bind_transform';
COMMENT ON FUNCTION mongoferry.bind_transform(text, text) IS
    'a transform (one SELECT over source) with source_query as its WITH query "source", without what follows its semicolon; an error when it is no such SELECT. Part of the toolkit';

CREATE FUNCTION mongoferry.describe_query(query text)
    RETURNS TABLE ("position" integer, name text, type oid, type_modifier integer)
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mongoferry_describe_query';
COMMENT ON FUNCTION mongoferry.describe_query(text) IS
    'the columns that a query gives, which is parsed and planned but not run; its parameter $1 is a bytea. No rows for a statement that gives none. Part of the toolkit';
