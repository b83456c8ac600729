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

CREATE FUNCTION mongoferry.split_source(source regclass, chunk_size integer)
    RETURNS TABLE (chunk integer, bounds bytea, bounds_shown jsonb, documents_estimated bigint, bytes_estimated bigint)
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 100 AS 'MODULE_PATHNAME', 'mongoferry_split_source';
COMMENT ON FUNCTION mongoferry.split_source(regclass, integer) IS
    'splits the collection of a foreign table of mongoferry into chunks of about chunk_size documents. Together they hold every document once, also those inserted later. bounds is what in_chunk() takes, bounds_shown the same for people (NULL where jsonb cannot hold it); bytes_estimated is NULL where nothing is known. Needs SELECT on the table, and USAGE on its server or ownership of the table';

CREATE FUNCTION mongoferry.read_documents(source regclass, bounds bytea, max_documents bigint DEFAULT NULL)
    RETURNS TABLE (source_id jsonb, document jsonb, raw bytea)
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 20000 AS 'MODULE_PATHNAME', 'mongoferry_read_documents';
COMMENT ON FUNCTION mongoferry.read_documents(regclass, bytea, bigint) IS
    'the documents of a chunk (bounds NULL: of the whole collection) of a foreign table of mongoferry as they are stored, whatever columns the table has; at most max_documents of them. document and source_id (its _id) are relaxed Extended JSON, with U+FFFD in place of U+0000, and NULL where jsonb cannot hold it or there is none; raw is the BSON. Needs SELECT on the table, and USAGE on its server or ownership of the table';

CREATE FUNCTION mongoferry.count_documents(source regclass, bounds bytea DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mongoferry_count_documents';
COMMENT ON FUNCTION mongoferry.count_documents(regclass, bytea) IS
    'how many documents are in a chunk of a foreign table of mongoferry now; bounds NULL: in the whole collection, as a live server''s own figure has it. Needs SELECT on the table';

CREATE FUNCTION mongoferry.is_dump(source regclass) RETURNS boolean
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT EXISTS (
        SELECT FROM pg_foreign_table AS f JOIN pg_foreign_server AS s ON s.oid = f.ftserver
        CROSS JOIN LATERAL pg_options_to_table(s.srvoptions) AS o
        WHERE f.ftrelid = $1 AND o.option_name = 'dump')
$function$;
COMMENT ON FUNCTION mongoferry.is_dump(regclass) IS
    'whether a foreign table of mongoferry reads files, not a live server. Part of the toolkit';

CREATE FUNCTION mongoferry.current_bounds(source regclass, documents bytea[]) RETURNS bytea
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT CASE WHEN mongoferry.is_dump($1) THEN mongoferry.raw_bounds($2) ELSE mongoferry.id_bounds($2) END
$function$;
COMMENT ON FUNCTION mongoferry.current_bounds(regclass, bytea[]) IS
    'bounds of a chunk that consists of these documents (BSON) as they are now: read again by _id from a live server; from a dump, which does not change, the documents as given. Part of the toolkit';
