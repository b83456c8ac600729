-- What migrate() has taken off the targets and not put back yet. Part of the migration catalogue, and like the rest of it
-- the only place where this is known: a row is written in the transaction that drops the index or foreign key, and deleted
-- in the one that makes it anew.

CREATE TABLE mongoferry.deferred (
    migration text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('index', 'foreign key')),
    relation regclass NOT NULL,
    name text NOT NULL,
    definition text NOT NULL,
    commands text[] NOT NULL,
    columns text[],
    referenced regclass,
    referenced_columns text[],
    match_full boolean,
    taken_off_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    failed_run bigint,
    failure_sqlstate text,
    failure text,
    PRIMARY KEY (migration, kind, relation, name)
);
COMMENT ON TABLE mongoferry.deferred IS
    'indexes and foreign keys of targets that migrate() has taken off and not put back yet. migrate() puts them back when the tables are complete, restore_deferred() at once';
COMMENT ON COLUMN mongoferry.deferred.migration IS 'migration that took it off';
COMMENT ON COLUMN mongoferry.deferred.kind IS 'index or foreign key';
COMMENT ON COLUMN mongoferry.deferred.relation IS 'table that it is taken off';
COMMENT ON COLUMN mongoferry.deferred.name IS 'its name';
COMMENT ON COLUMN mongoferry.deferred.definition IS 'its definition, as pg_get_indexdef() or pg_get_constraintdef() gave it';
COMMENT ON COLUMN mongoferry.deferred.commands IS
    'the commands that put it back, in order: with tablespace, comment, statistics targets and CLUSTER mark, and with the indexes or keys of partitions that belong to it';
COMMENT ON COLUMN mongoferry.deferred.columns IS 'referencing columns of a foreign key';
COMMENT ON COLUMN mongoferry.deferred.referenced IS 'table that a foreign key refers to';
COMMENT ON COLUMN mongoferry.deferred.referenced_columns IS 'columns there, in the order of columns';
COMMENT ON COLUMN mongoferry.deferred.match_full IS 'whether a foreign key has MATCH FULL';
COMMENT ON COLUMN mongoferry.deferred.taken_off_at IS 'when it was taken off';
COMMENT ON COLUMN mongoferry.deferred.failed_run IS 'run of migrate() in which it could not be put back last; NULL for restore_deferred()';
COMMENT ON COLUMN mongoferry.deferred.failure_sqlstate IS 'SQLSTATE of the error of the last try to put it back; NULL before the first';
COMMENT ON COLUMN mongoferry.deferred.failure IS 'message of that error';

CREATE FUNCTION mongoferry.count_deferred(migration text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT nullif(concat_ws(' and ',
        CASE c.indexes WHEN 0 THEN NULL WHEN 1 THEN '1 index' ELSE c.indexes || ' indexes' END,
        CASE c.keys WHEN 0 THEN NULL WHEN 1 THEN '1 foreign key' ELSE c.keys || ' foreign keys' END), '')
    FROM (SELECT count(*) FILTER (WHERE d.kind = 'index') AS indexes, count(*) FILTER (WHERE d.kind = 'foreign key') AS keys
        FROM mongoferry.deferred AS d WHERE d.migration = $1) AS c
$function$;
COMMENT ON FUNCTION mongoferry.count_deferred(text) IS
    'how many indexes and foreign keys a migration has taken off and not put back, for people; NULL: none. Part of the toolkit';

CREATE FUNCTION mongoferry.name_deferred(kind text, relation regclass, name text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT format('%s "%s" of %s', $1, $3, coalesce(mongoferry.table_name($2), $2::text))
$function$;
COMMENT ON FUNCTION mongoferry.name_deferred(text, regclass, text) IS
    'an index or foreign key that was taken off, as messages name it. Part of the toolkit';

-- With the row would go the only definition that there is.
CREATE FUNCTION mongoferry.keep_deferred() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    taken_off CONSTANT text := mongoferry.count_deferred(OLD.migration);
BEGIN
    IF taken_off IS NOT NULL THEN
        RAISE EXCEPTION 'migration "%" cannot be dropped: % of its targets would be lost', OLD.migration, taken_off
            USING ERRCODE = 'object_not_in_prerequisite_state',
                DETAIL = 'They were taken off for the migration, and mongoferry.deferred holds their definitions.',
                HINT = format('CALL mongoferry.restore_deferred(%L) puts them back; to do without them, DELETE them from mongoferry.deferred.',
                    OLD.migration);
    END IF;
    RETURN OLD;
END
$function$;
COMMENT ON FUNCTION mongoferry.keep_deferred() IS
    'trigger before the deletion of a migration: refuses it while indexes or foreign keys of its targets are taken off. Part of the toolkit';
CREATE TRIGGER keep_deferred BEFORE DELETE ON mongoferry.migration
    FOR EACH ROW EXECUTE FUNCTION mongoferry.keep_deferred();

GRANT SELECT, INSERT, UPDATE, DELETE ON mongoferry.deferred TO PUBLIC;
ALTER TABLE mongoferry.deferred ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON mongoferry.deferred
    USING (EXISTS (SELECT FROM mongoferry.migration AS m WHERE m.migration = deferred.migration));
SELECT pg_catalog.pg_extension_config_dump('mongoferry.deferred', '');
