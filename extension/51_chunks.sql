-- Chunks of a source: which documents, read through the foreign table.

CREATE FUNCTION mongoferry.in_chunk(tableoid oid, bounds bytea) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mongoferry_in_chunk';
COMMENT ON FUNCTION mongoferry.in_chunk(oid, bytea) IS
    'WHERE mongoferry.in_chunk(tableoid, bounds) restricts a foreign table of mongoferry to the documents of one chunk. bounds comes from split_source(); NULL: no documents. It is a condition for the source and cannot be computed for a row: anywhere else it is an error (0A000)';

CREATE FUNCTION mongoferry.raw_bounds(documents bytea[]) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mongoferry_raw_bounds';
COMMENT ON FUNCTION mongoferry.raw_bounds(bytea[]) IS
    'bounds of a chunk that consists of these documents (BSON, whole), whatever the source holds; 22023 for bytes that are no document';

CREATE FUNCTION mongoferry.id_bounds(documents bytea[]) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mongoferry_id_bounds';
COMMENT ON FUNCTION mongoferry.id_bounds(bytea[]) IS
    'bounds of a chunk that consists of the documents with the same _id as these (BSON), as the live source has them now';

CREATE FUNCTION mongoferry.bounds_except(bounds bytea, documents bytea[]) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mongoferry_bounds_except';
COMMENT ON FUNCTION mongoferry.bounds_except(bytea, bytea[]) IS
    'the same bounds without the documents that have the same _id as these (BSON); instead of those that the bounds leave out already';
