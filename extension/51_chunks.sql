-- Chunks of a source: which documents, read through the foreign table.

CREATE FUNCTION mongoferry.in_chunk(tableoid oid, bounds bytea) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mongoferry_in_chunk';
COMMENT ON FUNCTION mongoferry.in_chunk(oid, bytea) IS
    'WHERE mongoferry.in_chunk(tableoid, bounds) restricts a foreign table of mongoferry to the documents of one chunk. bounds comes from split_source(); NULL: no documents. It is a condition for the source and cannot be computed for a row: anywhere else it is an error (0A000)';
