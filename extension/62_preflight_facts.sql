-- What preflight() asks the source and the machine, and SQL cannot say.

CREATE FUNCTION mongoferry.sample_documents(source regclass, documents integer)
    RETURNS TABLE (source_id jsonb, document jsonb, raw bytea)
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 200 AS 'MODULE_PATHNAME', 'mongoferry_sample_documents';
COMMENT ON FUNCTION mongoferry.sample_documents(regclass, integer) IS
    'documents (BSON) of a foreign table of mongoferry that a live server chooses at random, where one may come twice; of files the first. Needs what read_documents() needs. Part of preflight()';

CREATE FUNCTION mongoferry.id_types(source regclass) RETURNS text[]
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mongoferry_id_types';
COMMENT ON FUNCTION mongoferry.id_types(regclass) IS
    'which types the _ids of a live collection have, all of them, asked of its index; "number" stands for every type of number. NULL for files, views, time series and empty collections. Needs what read_documents() needs. Part of preflight()';

CREATE FUNCTION mongoferry.default_collation(source regclass) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mongoferry_default_collation';
COMMENT ON FUNCTION mongoferry.default_collation(regclass) IS
    'default collation of a live collection, as MongoDB has it; NULL if it has none or the server does not tell. Part of preflight()';

CREATE FUNCTION mongoferry.free_disk_space(tablespace oid) RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mongoferry_free_disk_space';
COMMENT ON FUNCTION mongoferry.free_disk_space(oid) IS
    'bytes that the file system of a tablespace has free for the server; 0: the tablespace of the database. NULL if there is none such or the system does not tell. Rights as for pg_tablespace_size()';

CREATE FUNCTION mongoferry.free_wal_space() RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mongoferry_free_wal_space';
COMMENT ON FUNCTION mongoferry.free_wal_space() IS
    'bytes that the file system of the write-ahead log has free for the server; NULL if the system does not tell';
