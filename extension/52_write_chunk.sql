-- One chunk of a source into its target, with the documents that cannot go in told apart.

CREATE FUNCTION mongoferry.write_chunk(source regclass, statement text, bounds bytea, max_refused bigint DEFAULT NULL)
    RETURNS TABLE (source_id jsonb, document jsonb, raw bytea, sqlstate text, message text, detail text, hint text,
        constraint_name text, column_name text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mongoferry_write_chunk';
COMMENT ON FUNCTION mongoferry.write_chunk(regclass, text, bytea, bigint) IS
    'runs a statement (INSERT or UPDATE, with bounds as $1) over a chunk of a source, and returns the documents that cannot be carried over, with the error of each; all others are written, as if document after document had been. When more than max_refused are refused, nothing is written. Errors that are not of the data are raised. Sets all constraints IMMEDIATE for the rest of the transaction';

CREATE FUNCTION mongoferry.chunk_totals(OUT documents bigint, OUT bytes bigint, OUT rows_written bigint, OUT refused bigint,
        OUT stopped boolean)
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mongoferry_chunk_totals';
COMMENT ON FUNCTION mongoferry.chunk_totals() IS
    'what the last write_chunk() of this session did: documents and bytes of BSON read, rows written, documents refused, and whether it stopped because more than max_refused were. Part of the toolkit';
