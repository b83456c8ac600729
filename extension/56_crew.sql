-- Running a migration: the procedure that leads a run, its background workers, and what the steps tell them.

CREATE PROCEDURE mongoferry.migrate(
    migration text,
    workers integer DEFAULT 2,
    max_duration interval DEFAULT NULL,
    only_tasks text[] DEFAULT NULL,
    defer_indexes boolean DEFAULT false,
    defer_foreign_keys boolean DEFAULT false,
    retry_for interval DEFAULT '2 min',
    progress_interval interval DEFAULT '5 s')
    LANGUAGE c AS 'MODULE_PATHNAME', 'mongoferry_migrate';
COMMENT ON PROCEDURE mongoferry.migrate(text, integer, interval, text[], boolean, boolean, interval, interval) IS
    'carries a migration over, from where the last call stopped: workers is the number of background workers (0: this session does the work); after max_duration no new chunk is begun; only_tasks names the tasks to do (NULL: all); defer_indexes and defer_foreign_keys take secondary indexes and foreign keys of the targets off meanwhile; retry_for is how long a chunk is tried again when the source cannot be reached; progress_interval is the time between two lines of progress. Not in a transaction block: it commits chunk by chunk';

CREATE FUNCTION mongoferry.run_workers(job text, migration text, options jsonb, workers integer) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mongoferry_run_workers';
COMMENT ON FUNCTION mongoferry.run_workers(text, text, jsonb, integer) IS
    'for functions such as validate(): has background workers do the steps of a job, and waits for their end. The workers do not see what this transaction has not committed. Part of the toolkit';

CREATE FUNCTION mongoferry.note_step(task text, chunk integer) RETURNS void
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mongoferry_note_step';
COMMENT ON FUNCTION mongoferry.note_step(text, integer) IS
    'tells which task and chunk this session is at: shown as application_name in pg_stat_activity, and named when the step fails. NULL: none. Part of the toolkit';
