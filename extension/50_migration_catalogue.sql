-- The migration catalogue: plain tables that hold all state of migrations. They can be read, survive dump and restore, and
-- belong, row by row, to the role that made the migration (row-level security below): other roles neither see nor change
-- them unless they are granted that role.
--
-- There are no foreign keys between them: pg_restore with several jobs loads tables in any order, and of those that belong
-- to an extension it does not learn which one needs which. What belongs to a row goes with it by a trigger.

CREATE TABLE mongoferry.migration (
    migration text PRIMARY KEY CHECK (migration <> ''),
    owner regrole NOT NULL DEFAULT pg_catalog.quote_ident(current_user)::regrole,
    comment text,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE mongoferry.migration IS 'migrations: named sets of tasks, made by create_migration()';
COMMENT ON COLUMN mongoferry.migration.migration IS 'name of the migration';
COMMENT ON COLUMN mongoferry.migration.owner IS 'role that made it; only this role can run it, and only its members see it';
COMMENT ON COLUMN mongoferry.migration.comment IS 'what it is for, in the owner''s words';
COMMENT ON COLUMN mongoferry.migration.created_at IS 'when it was made';

CREATE TABLE mongoferry.task (
    migration text NOT NULL,
    task text NOT NULL CHECK (task <> ''),
    position integer NOT NULL,
    source regclass NOT NULL,
    target regclass NOT NULL,
    transform text,
    depends_on text[] NOT NULL DEFAULT '{}',
    chunk_size integer NOT NULL DEFAULT 20000 CHECK (chunk_size > 0),
    on_conflict text NOT NULL DEFAULT 'error' CHECK (on_conflict IN ('error', 'nothing', 'update')),
    conflict_key text[],
    on_error text NOT NULL DEFAULT 'quarantine' CHECK (on_error IN ('quarantine', 'abort')),
    max_errors bigint CHECK (max_errors >= 0),
    changed_field text,
    search_path text NOT NULL,
    state text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'running', 'done', 'failed')),
    documents_total bigint,
    bytes_total bigint,
    documents_mended bigint NOT NULL DEFAULT 0,
    rows_mended bigint NOT NULL DEFAULT 0,
    failure_sqlstate text,
    failure text,
    started_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (migration, task)
);
COMMENT ON TABLE mongoferry.task IS
    'tasks of migrations: one source, one transform, one target each; made by add_task()';
COMMENT ON COLUMN mongoferry.task.migration IS 'migration that the task belongs to';
COMMENT ON COLUMN mongoferry.task.task IS 'name of the task';
COMMENT ON COLUMN mongoferry.task.position IS 'order in which the tasks were added; of two that may run the lower one runs first';
COMMENT ON COLUMN mongoferry.task.source IS 'foreign table that is read';
COMMENT ON COLUMN mongoferry.task.target IS 'table that is written';
COMMENT ON COLUMN mongoferry.task.transform IS 'SELECT over source; NULL: columns go over by equal names';
COMMENT ON COLUMN mongoferry.task.depends_on IS 'tasks that have to be done before, besides those that foreign keys ask for';
COMMENT ON COLUMN mongoferry.task.chunk_size IS 'about how many documents one transaction carries over';
COMMENT ON COLUMN mongoferry.task.on_conflict IS 'what becomes of a row whose key is there already: error, nothing (it is left) or update';
COMMENT ON COLUMN mongoferry.task.conflict_key IS 'columns of the unique key that on_conflict and validate() look at; NULL: the primary key';
COMMENT ON COLUMN mongoferry.task.on_error IS 'what becomes of a document that cannot be carried over: quarantine (kept in errors) or abort (the task fails)';
COMMENT ON COLUMN mongoferry.task.max_errors IS 'the task fails when more documents than this are refused; NULL: never';
COMMENT ON COLUMN mongoferry.task.changed_field IS 'dotted path of a date in the document that tells when it was last changed; NULL: there is none';
COMMENT ON COLUMN mongoferry.task.search_path IS 'search_path that the transform is planned and run with';
COMMENT ON COLUMN mongoferry.task.state IS 'new (not split into chunks yet), running (split), done or failed; a failed one goes on with the next migrate';
COMMENT ON COLUMN mongoferry.task.documents_total IS 'estimate of the source''s documents, made when the task was split; NULL before';
COMMENT ON COLUMN mongoferry.task.bytes_total IS 'estimate of the source''s bytes of BSON, made when the task was split; NULL when not known';
COMMENT ON COLUMN mongoferry.task.documents_mended IS 'refused documents that retry_errors() has carried over since';
COMMENT ON COLUMN mongoferry.task.rows_mended IS 'rows written for them';
COMMENT ON COLUMN mongoferry.task.failure_sqlstate IS 'SQLSTATE of the error that made the task fail; NULL when it has not';
COMMENT ON COLUMN mongoferry.task.failure IS 'message of that error';
COMMENT ON COLUMN mongoferry.task.started_at IS 'when its first chunk began';
COMMENT ON COLUMN mongoferry.task.finished_at IS 'when it was done';

CREATE TABLE mongoferry.chunk (
    migration text NOT NULL,
    task text NOT NULL,
    chunk integer NOT NULL,
    bounds bytea NOT NULL,
    bounds_shown jsonb,
    documents_estimated bigint NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done')),
    documents bigint,
    rows_written bigint,
    refused bigint,
    bytes_read bigint,
    started_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (migration, task, chunk)
);
CREATE INDEX chunk_pending ON mongoferry.chunk (migration, task, chunk) WHERE state = 'pending';
COMMENT ON TABLE mongoferry.chunk IS
    'the parts that the source of a task was split into. A chunk''s rows in the target and its state "done" are committed together';
COMMENT ON COLUMN mongoferry.chunk.migration IS 'migration of the task';
COMMENT ON COLUMN mongoferry.chunk.task IS 'task that the chunk belongs to';
COMMENT ON COLUMN mongoferry.chunk.chunk IS 'number of the chunk, in the order of the source, from 1';
COMMENT ON COLUMN mongoferry.chunk.bounds IS 'which documents belong to it, exactly: BSON, as in_chunk() takes it';
COMMENT ON COLUMN mongoferry.chunk.bounds_shown IS 'the bounds for people, as Extended JSON';
COMMENT ON COLUMN mongoferry.chunk.documents_estimated IS 'estimate of its documents, made when the task was split';
COMMENT ON COLUMN mongoferry.chunk.state IS 'pending or done';
COMMENT ON COLUMN mongoferry.chunk.documents IS 'documents read when it was carried over';
COMMENT ON COLUMN mongoferry.chunk.rows_written IS 'rows written to the target';
COMMENT ON COLUMN mongoferry.chunk.refused IS 'documents that went to errors';
COMMENT ON COLUMN mongoferry.chunk.bytes_read IS 'bytes of BSON read';
COMMENT ON COLUMN mongoferry.chunk.started_at IS 'when its transaction began';
COMMENT ON COLUMN mongoferry.chunk.finished_at IS 'when its rows had been written';

CREATE TABLE mongoferry.errors (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    migration text NOT NULL,
    task text NOT NULL,
    chunk integer,
    source_id jsonb,
    document jsonb,
    raw bytea NOT NULL,
    sqlstate text NOT NULL,
    message text NOT NULL,
    detail text,
    hint text,
    constraint_name text,
    column_name text,
    occurred_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
CREATE INDEX errors_by_chunk ON mongoferry.errors (migration, task, chunk);
COMMENT ON TABLE mongoferry.errors IS
    'the quarantine: documents that could not be carried over, with the reason. retry_errors() replays them';
COMMENT ON COLUMN mongoferry.errors.id IS 'number of the line';
COMMENT ON SEQUENCE mongoferry.errors_id_seq IS 'numbers the lines of errors';
COMMENT ON COLUMN mongoferry.errors.migration IS 'migration of the task';
COMMENT ON COLUMN mongoferry.errors.task IS 'task that refused the document';
COMMENT ON COLUMN mongoferry.errors.chunk IS 'chunk that the document was in; NULL when a later pass over a mended document refused it';
COMMENT ON COLUMN mongoferry.errors.source_id IS 'the document''s _id, as Extended JSON';
COMMENT ON COLUMN mongoferry.errors.document IS 'the document as Extended JSON, for people; NULL where JSON cannot show it';
COMMENT ON COLUMN mongoferry.errors.raw IS 'the document itself: its BSON';
COMMENT ON COLUMN mongoferry.errors.sqlstate IS 'SQLSTATE of the error';
COMMENT ON COLUMN mongoferry.errors.message IS 'message of the error';
COMMENT ON COLUMN mongoferry.errors.detail IS 'its detail';
COMMENT ON COLUMN mongoferry.errors.hint IS 'its hint';
COMMENT ON COLUMN mongoferry.errors.constraint_name IS 'constraint that was violated, if one was';
COMMENT ON COLUMN mongoferry.errors.column_name IS 'column that the error names, if it names one';
COMMENT ON COLUMN mongoferry.errors.occurred_at IS 'when the document was refused last';

CREATE TABLE mongoferry.run (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    migration text NOT NULL,
    job text NOT NULL CHECK (job IN ('migrate', 'retry_errors', 'validate', 'recheck')),
    options jsonb NOT NULL DEFAULT '{}',
    workers integer,
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at timestamptz,
    outcome text
);
COMMENT ON TABLE mongoferry.run IS 'what was run on a migration and when, for the report';
COMMENT ON COLUMN mongoferry.run.id IS 'number of the run';
COMMENT ON SEQUENCE mongoferry.run_id_seq IS 'numbers the runs';
COMMENT ON COLUMN mongoferry.run.migration IS 'migration';
COMMENT ON COLUMN mongoferry.run.job IS 'what was called: migrate, retry_errors, validate or recheck';
COMMENT ON COLUMN mongoferry.run.options IS 'its arguments';
COMMENT ON COLUMN mongoferry.run.workers IS 'background workers that took part';
COMMENT ON COLUMN mongoferry.run.started_at IS 'when it began';
COMMENT ON COLUMN mongoferry.run.finished_at IS 'when it ended; NULL while it runs, or for ever when it was interrupted';
COMMENT ON COLUMN mongoferry.run.outcome IS 'complete, time is up, or what was left undone; NULL while it runs or when it was interrupted';

-- Before the row goes, not after: the policies below let nobody see what belongs to a row that is gone.
CREATE FUNCTION mongoferry.delete_belongings() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    belonging text;
BEGIN
    FOREACH belonging IN ARRAY TG_ARGV LOOP
        IF TG_TABLE_NAME = 'migration' THEN
            EXECUTE format('DELETE FROM mongoferry.%I WHERE migration = $1', belonging) USING OLD.migration;
        ELSE
            EXECUTE format('DELETE FROM mongoferry.%I WHERE migration = $1 AND task = $2', belonging) USING OLD.migration, OLD.task;
        END IF;
    END LOOP;
    RETURN OLD;
END
$function$;
COMMENT ON FUNCTION mongoferry.delete_belongings() IS
    'trigger before the deletion of a migration or a task: deletes its rows in the tables that the arguments name. Part of the toolkit';
CREATE TRIGGER delete_belongings BEFORE DELETE ON mongoferry.migration
    FOR EACH ROW EXECUTE FUNCTION mongoferry.delete_belongings('task', 'run');
CREATE TRIGGER delete_belongings BEFORE DELETE ON mongoferry.task
    FOR EACH ROW EXECUTE FUNCTION mongoferry.delete_belongings('chunk', 'errors');

-- Rights: everybody may use the toolkit; the rows decide. A row of migration is for the members of its owner, and what
-- belongs to a migration is for those who see its row (the subquery obeys the policy of migration). Superusers see all.
GRANT SELECT, INSERT, UPDATE, DELETE
    ON mongoferry.migration, mongoferry.task, mongoferry.chunk, mongoferry.errors, mongoferry.run TO PUBLIC;
GRANT USAGE ON SEQUENCE mongoferry.errors_id_seq, mongoferry.run_id_seq TO PUBLIC;
ALTER TABLE mongoferry.migration ENABLE ROW LEVEL SECURITY;
ALTER TABLE mongoferry.task ENABLE ROW LEVEL SECURITY;
ALTER TABLE mongoferry.chunk ENABLE ROW LEVEL SECURITY;
ALTER TABLE mongoferry.errors ENABLE ROW LEVEL SECURITY;
ALTER TABLE mongoferry.run ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON mongoferry.migration USING (pg_catalog.pg_has_role(owner::oid, 'USAGE'));
CREATE POLICY owner ON mongoferry.task
    USING (EXISTS (SELECT FROM mongoferry.migration AS m WHERE m.migration = task.migration));
CREATE POLICY owner ON mongoferry.chunk
    USING (EXISTS (SELECT FROM mongoferry.migration AS m WHERE m.migration = chunk.migration));
CREATE POLICY owner ON mongoferry.errors
    USING (EXISTS (SELECT FROM mongoferry.migration AS m WHERE m.migration = errors.migration));
CREATE POLICY owner ON mongoferry.run
    USING (EXISTS (SELECT FROM mongoferry.migration AS m WHERE m.migration = run.migration));

-- All of it is the user's data: pg_dump saves the rows.
SELECT pg_catalog.pg_extension_config_dump('mongoferry.migration', '');
SELECT pg_catalog.pg_extension_config_dump('mongoferry.task', '');
SELECT pg_catalog.pg_extension_config_dump('mongoferry.chunk', '');
SELECT pg_catalog.pg_extension_config_dump('mongoferry.errors', '');
SELECT pg_catalog.pg_extension_config_dump('mongoferry.errors_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mongoferry.run', '');
SELECT pg_catalog.pg_extension_config_dump('mongoferry.run_id_seq', '');
