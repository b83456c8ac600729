-- report(): what a migration did, as text, JSON or one HTML page.
--
-- The figures are gathered once, into one jsonb document (report_data: that is the JSON format). Text and HTML (the page is
-- in 64_report_html.sql) only lay it out, and share the cells of their tables (report_*_cells). A table is a jsonb array of
-- rows, each an array of texts, the first one its header. Its alignment is a text of one letter a column: l, r, or s (a
-- state: left, and failures stand out).

-- --- the figures -----------------------------------------------------------------------------------------------------

-- When chunks are worked on at the same time, or with pauses between the runs, neither the sum of their times nor the
-- time from the first to the last says how long the work took: the time during which any was worked on does.
CREATE FUNCTION mongoferry.report_seconds(periods tstzmultirange) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT coalesce(sum(extract(epoch FROM upper(p) - lower(p))), 0)::double precision FROM unnest($1) AS p
$function$;
COMMENT ON FUNCTION mongoferry.report_seconds(tstzmultirange) IS
    'how long these periods are together, in seconds; NULL: 0. Part of report()';

CREATE FUNCTION mongoferry.report_rate(amount numeric, seconds double precision) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT round((coalesce($1, 0) / nullif($2, 0)::numeric), 1)
$function$;
COMMENT ON FUNCTION mongoferry.report_rate(numeric, double precision) IS
    'amount for each second, with one decimal; NULL when no time has passed. Part of report()';

CREATE FUNCTION mongoferry.report_runs(migration text) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'run', r.id, 'job', r.job, 'workers', r.workers, 'started_at', r.started_at, 'finished_at', r.finished_at,
        'seconds', extract(epoch FROM r.finished_at - r.started_at),
        -- Runs of a migration exclude one another: one that did not end before the next began was interrupted.
        'outcome', CASE
            WHEN r.finished_at IS NOT NULL THEN r.outcome
            WHEN r.id = (SELECT max(last.id) FROM mongoferry.run AS last WHERE last.migration = $1) THEN 'running or interrupted'
            ELSE 'interrupted'
        END) ORDER BY r.id), '[]')
    FROM mongoferry.run AS r WHERE r.migration = $1
$function$;
COMMENT ON FUNCTION mongoferry.report_runs(text) IS 'the runs of a migration, oldest first, as a jsonb array. Part of report()';

CREATE FUNCTION mongoferry.report_tasks(migration text) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'task', t.task, 'source', t.source::text, 'target', t.target::text, 'state', t.state,
        'failure', t.failure, 'failure_sqlstate', t.failure_sqlstate,
        'started_at', t.started_at, 'finished_at', t.finished_at, 'seconds', w.seconds,
        'chunks', c.chunks, 'chunks_done', c.chunks_done,
        'share_done', CASE
            WHEN t.state = 'done' THEN 1
            WHEN c.estimated > 0 THEN trunc(c.estimated_done / c.estimated, 4)
            WHEN c.chunks > 0 THEN trunc(c.chunks_done::numeric / c.chunks, 4)
            ELSE 0
        END,
        'documents', c.documents, 'documents_estimated', t.documents_total, 'bytes', c.bytes,
        'rows', c.rows_written + t.rows_mended, 'refused', e.refused, 'mended', t.documents_mended,
        'documents_per_second', mongoferry.report_rate(c.documents, w.seconds),
        'rows_per_second', mongoferry.report_rate(c.rows_written, w.seconds)) ORDER BY t.position, t.task), '[]')
    FROM mongoferry.task AS t
    CROSS JOIN LATERAL (
        SELECT count(*) AS chunks, count(*) FILTER (WHERE k.state = 'done') AS chunks_done,
            sum(k.documents_estimated) AS estimated,
            coalesce(sum(k.documents_estimated) FILTER (WHERE k.state = 'done'), 0) AS estimated_done,
            coalesce(sum(k.documents) FILTER (WHERE k.state = 'done'), 0) AS documents,
            coalesce(sum(k.rows_written) FILTER (WHERE k.state = 'done'), 0) AS rows_written,
            coalesce(sum(k.bytes_read) FILTER (WHERE k.state = 'done'), 0) AS bytes,
            range_agg(tstzrange(least(k.started_at, k.finished_at), k.finished_at, '[]'))
                FILTER (WHERE k.state = 'done' AND k.finished_at IS NOT NULL) AS periods
        FROM mongoferry.chunk AS k WHERE k.migration = t.migration AND k.task = t.task) AS c
    CROSS JOIN LATERAL (SELECT mongoferry.report_seconds(c.periods) AS seconds) AS w
    CROSS JOIN LATERAL (SELECT count(*) AS refused FROM mongoferry.errors AS x
        WHERE x.migration = t.migration AND x.task = t.task) AS e
    WHERE t.migration = $1
$function$;
COMMENT ON FUNCTION mongoferry.report_tasks(text) IS
    'the figures of each task of a migration, in their order, as a jsonb array; refused counts what is in the quarantine now. Part of report()';

CREATE FUNCTION mongoferry.report_totals(migration text, tasks jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT jsonb_build_object(
        'tasks', count(*), 'tasks_done', count(*) FILTER (WHERE t.state = 'done'),
        'tasks_failed', count(*) FILTER (WHERE t.state = 'failed'), 'tasks_new', count(*) FILTER (WHERE t.state = 'new'),
        'documents', coalesce(sum(t.documents), 0), 'bytes', coalesce(sum(t.bytes), 0), 'rows', coalesce(sum(t.rows), 0),
        'refused', coalesce(sum(t.refused), 0), 'mended', coalesce(sum(t.mended), 0), 'seconds', max(w.seconds),
        'documents_per_second', mongoferry.report_rate(sum(t.documents), max(w.seconds)),
        'rows_per_second', mongoferry.report_rate(max(w.rows_written), max(w.seconds)))
    FROM (
        SELECT sum(k.rows_written) AS rows_written, mongoferry.report_seconds(
            range_agg(tstzrange(least(k.started_at, k.finished_at), k.finished_at, '[]'))) AS seconds
        FROM mongoferry.chunk AS k WHERE k.migration = $1 AND k.state = 'done' AND k.finished_at IS NOT NULL) AS w
    LEFT JOIN jsonb_to_recordset($2) AS t (state text, documents numeric, bytes numeric, rows numeric, refused numeric, mended numeric)
        ON true
    -- the outer join gives a row of NULLs where there are no tasks
    WHERE t.state IS NOT NULL
$function$;
COMMENT ON FUNCTION mongoferry.report_totals(text, jsonb) IS
    'the figures of a migration over all its tasks (as report_tasks() gives them). Part of report()';

CREATE FUNCTION mongoferry.report_errors(migration text) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT coalesce(jsonb_agg(to_jsonb(cause) ORDER BY cause.documents DESC, cause.task, cause.sqlstate, cause.message), '[]')
    FROM (
        SELECT s.task, s.sqlstate, s.cause AS message, s.constraint_name, s.column_name, s.documents, s.example_source_id AS example
        FROM mongoferry.errors_summary AS s WHERE s.migration = $1
        ORDER BY s.documents DESC, s.task, s.sqlstate, s.cause
        LIMIT 20) AS cause
$function$;
COMMENT ON FUNCTION mongoferry.report_errors(text) IS
    'the 20 causes for which most documents are in the quarantine, as a jsonb array. Part of report()';

CREATE FUNCTION mongoferry.report_bucket(seconds double precision) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT coalesce(
        (SELECT min(size) FROM unnest(ARRAY[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200]) AS size
            WHERE $1 / size <= 60),
        86400)
$function$;
COMMENT ON FUNCTION mongoferry.report_bucket(double precision) IS
    'a round number of seconds of which about 60 make up this time. Part of report()';

-- The rows of a chunk count as written evenly while it was worked on: where chunks take longer than a bucket, counting
-- them when they end would show steps that were not there. Times when nothing ran are left out.
CREATE FUNCTION mongoferry.report_throughput(migration text) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $function$
    WITH chunk AS (
        SELECT extract(epoch FROM least(k.started_at, k.finished_at))::double precision AS began,
            extract(epoch FROM k.finished_at)::double precision AS ended, coalesce(k.rows_written, 0) AS rows_written,
            tstzrange(least(k.started_at, k.finished_at), k.finished_at, '[]') AS period
        FROM mongoferry.chunk AS k WHERE k.migration = $1 AND k.state = 'done' AND k.finished_at IS NOT NULL
    ), work AS (
        SELECT range_agg(period) AS periods, mongoferry.report_bucket(mongoferry.report_seconds(range_agg(period))) AS size FROM chunk
    ), busy AS (
        SELECT bucket, size, sum(least(ended, (bucket + 1) * size) - greatest(began, bucket * size)) AS seconds
        FROM work, unnest(periods) AS p,
            LATERAL (SELECT extract(epoch FROM lower(p))::double precision AS began, extract(epoch FROM upper(p))::double precision AS ended) AS b,
            generate_series(floor(began / size)::bigint, floor(ended / size)::bigint) AS bucket
        GROUP BY bucket, size
    ), written AS (
        SELECT bucket, sum(CASE WHEN ended > began
            THEN rows_written * (least(ended, (bucket + 1) * size) - greatest(began, bucket * size)) / (ended - began)
            ELSE rows_written END) AS rows_written
        FROM work, chunk, generate_series(floor(began / size)::bigint, floor(ended / size)::bigint) AS bucket
        GROUP BY bucket
    ), point AS (
        SELECT bucket, size, rows_written::numeric AS rows_written, CASE WHEN seconds > 0 THEN seconds ELSE size END AS seconds,
            coalesce(bucket - lag(bucket) OVER (ORDER BY bucket) > 1, false) AS after_pause
        FROM busy JOIN written USING (bucket)
        -- not the bucket at whose very beginning work ended
        WHERE seconds > 0 OR rows_written > 0
    )
    SELECT jsonb_build_object('bucket_seconds', max(size), 'points', coalesce(jsonb_agg(jsonb_build_object(
        'at', to_timestamp(bucket * size), 'rows', round(rows_written), 'after_pause', after_pause,
        'rows_per_second', mongoferry.report_rate(rows_written, seconds)) ORDER BY bucket), '[]'))
    FROM point
$function$;
COMMENT ON FUNCTION mongoferry.report_throughput(text) IS
    'rows written for each second of a migration over time, for times during which chunks were worked on. Part of report()';

CREATE FUNCTION mongoferry.report_validation(migration text) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT jsonb_build_object('run', v.run, 'job', r.job, 'level', r.options ->> 'level',
        'started_at', r.started_at, 'finished_at', r.finished_at, 'ok', v.ok, 'checks', v.checks)
    FROM (
        SELECT c.run, bool_and(c.ok) AS ok, jsonb_agg(jsonb_build_object('task', c.task, 'check', c."check", 'ok', c.ok,
            'source_value', c.source_value, 'target_value', c.target_value, 'detail', c.detail) ORDER BY c.number) AS checks
        FROM mongoferry.validation_result AS c
        WHERE c.migration = $1
            AND c.run = (SELECT max(last.run) FROM mongoferry.validation_result AS last WHERE last.migration = $1)
        GROUP BY c.run) AS v
    LEFT JOIN mongoferry.run AS r ON r.id = v.run
$function$;
COMMENT ON FUNCTION mongoferry.report_validation(text) IS
    'what the last validate() or recheck() returned; NULL when there was none. Part of report()';

CREATE FUNCTION mongoferry.report_data(migration text) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT jsonb_build_object('migration', m.migration, 'owner', m.owner::text, 'comment', m.comment, 'created_at', m.created_at,
        'reported_at', now(), 'totals', mongoferry.report_totals($1, t.tasks), 'runs', mongoferry.report_runs($1),
        'tasks', t.tasks, 'errors', mongoferry.report_errors($1), 'throughput', mongoferry.report_throughput($1),
        'validation', mongoferry.report_validation($1))
    FROM mongoferry.migration AS m, (SELECT mongoferry.report_tasks($1) AS tasks) AS t
    WHERE m.migration = $1
$function$;
COMMENT ON FUNCTION mongoferry.report_data(text) IS 'all figures of report(). Part of report()';

-- --- figures for people ----------------------------------------------------------------------------------------------

CREATE FUNCTION mongoferry.report_time(value jsonb) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT coalesce(to_char(($1 #>> '{}')::timestamptz, 'YYYY-MM-DD HH24:MI:SS TZH:TZM'), '-')
$function$;
COMMENT ON FUNCTION mongoferry.report_time(jsonb) IS 'a time for people, in the session''s time zone. Part of report()';

CREATE FUNCTION mongoferry.report_duration(value jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT CASE
        WHEN s IS NULL THEN '-'
        WHEN s < 60 THEN trim_scale(round(s, 1)) || ' s'
        WHEN s < 3600 THEN div(s, 60) || ' min ' || lpad(floor(mod(s, 60))::text, 2, '0') || ' s'
        ELSE div(s, 3600) || ' h ' || lpad(div(mod(s, 3600), 60)::text, 2, '0') || ' min'
    END
    FROM (SELECT ($1 #>> '{}')::numeric AS s) AS seconds
$function$;
COMMENT ON FUNCTION mongoferry.report_duration(jsonb) IS 'a number of seconds for people. Part of report()';

CREATE FUNCTION mongoferry.report_number(value jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT CASE
        WHEN n IS NULL THEN '-'
        WHEN n <> trunc(n) AND n < 100 THEN to_char(n, 'FM90.0')
        ELSE to_char(round(n), 'FM999,999,999,999,999,999,990')
    END
    FROM (SELECT ($1 #>> '{}')::numeric AS n) AS number
$function$;
COMMENT ON FUNCTION mongoferry.report_number(jsonb) IS 'a number for people. Part of report()';

-- Rounded down: what is not done must not show as 100 %.
CREATE FUNCTION mongoferry.report_share(value jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT floor(($1 #>> '{}')::numeric * 100) || ' %'
$function$;
COMMENT ON FUNCTION mongoferry.report_share(jsonb) IS 'a share (0 to 1) in percent. Part of report()';

CREATE FUNCTION mongoferry.report_headline(data jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT CASE
        WHEN (t ->> 'tasks')::bigint = 0 THEN 'The migration has no tasks yet.'
        WHEN (t ->> 'tasks_new')::bigint = (t ->> 'tasks')::bigint AND $1 -> 'runs' = '[]' THEN
            'Nothing has been run yet: ' || mongoferry.report_number(t -> 'tasks')
                || CASE WHEN (t ->> 'tasks')::bigint = 1 THEN ' task is waiting.' ELSE ' tasks are waiting.' END
        ELSE format('%s of %s tasks done%s, %s documents read, %s rows written, %s documents refused.',
            mongoferry.report_number(t -> 'tasks_done'), mongoferry.report_number(t -> 'tasks'),
            CASE WHEN (t ->> 'tasks_failed')::bigint > 0 THEN ', ' || mongoferry.report_number(t -> 'tasks_failed') || ' failed' ELSE '' END,
            mongoferry.report_number(t -> 'documents'), mongoferry.report_number(t -> 'rows'), mongoferry.report_number(t -> 'refused'))
    END
    FROM (SELECT $1 -> 'totals' AS t) AS totals
$function$;
COMMENT ON FUNCTION mongoferry.report_headline(jsonb) IS 'one line on how far a migration is. Part of report()';

CREATE FUNCTION mongoferry.report_validation_line(validation jsonb) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT CASE
        WHEN $1 IS NULL OR jsonb_typeof($1) = 'null' THEN 'Not validated yet.'
        ELSE format('%s%s of %s: %s', coalesce($1 ->> 'job', 'validate'), coalesce(' (' || ($1 ->> 'level') || ')', ''),
            mongoferry.report_time($1 -> 'started_at'),
            CASE WHEN ($1 ->> 'ok')::boolean THEN 'all checks passed.'
                ELSE (SELECT count(*) FROM jsonb_array_elements($1 -> 'checks') AS c WHERE NOT (c ->> 'ok')::boolean)
                    || ' of ' || jsonb_array_length($1 -> 'checks') || ' checks failed.' END)
    END
$function$;
COMMENT ON FUNCTION mongoferry.report_validation_line(jsonb) IS 'one line on the last validation. Part of report()';

CREATE FUNCTION mongoferry.report_errors_line(data jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT CASE
        WHEN total = 0 THEN 'No documents are in the quarantine.'
        WHEN total > shown THEN format('%s documents are in the quarantine; the %s most frequent causes account for %s of them.',
            mongoferry.report_number(to_jsonb(total)), jsonb_array_length($1 -> 'errors'), mongoferry.report_number(to_jsonb(shown)))
        ELSE mongoferry.report_number(to_jsonb(total)) || ' documents are in the quarantine (mongoferry.errors).'
    END
    FROM (
        SELECT ($1 #>> '{totals,refused}')::numeric AS total,
            coalesce((SELECT sum((e ->> 'documents')::numeric) FROM jsonb_array_elements($1 -> 'errors') AS e), 0) AS shown) AS counts
$function$;
COMMENT ON FUNCTION mongoferry.report_errors_line(jsonb) IS 'one line on the documents in the quarantine. Part of report()';

-- --- cells of the tables ---------------------------------------------------------------------------------------------

CREATE FUNCTION mongoferry.report_task_cells(tasks jsonb) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT jsonb_build_array(jsonb_build_array('task', 'source', 'target', 'state', 'done', 'documents', 'rows', 'refused',
            'mended', 'time', 'documents/s', 'rows/s', 'read', 'failure'))
        || coalesce(jsonb_agg(jsonb_build_array(t ->> 'task', t ->> 'source', t ->> 'target', t ->> 'state',
            mongoferry.report_share(t -> 'share_done'), mongoferry.report_number(t -> 'documents'),
            mongoferry.report_number(t -> 'rows'), mongoferry.report_number(t -> 'refused'),
            mongoferry.report_number(t -> 'mended'), mongoferry.report_duration(t -> 'seconds'),
            mongoferry.report_number(t -> 'documents_per_second'), mongoferry.report_number(t -> 'rows_per_second'),
            pg_size_pretty((t ->> 'bytes')::numeric), coalesce(t ->> 'failure', '')) ORDER BY n), '[]')
    FROM jsonb_array_elements($1) WITH ORDINALITY AS task (t, n)
$function$;
COMMENT ON FUNCTION mongoferry.report_task_cells(jsonb) IS 'the table of tasks. Part of report()';

CREATE FUNCTION mongoferry.report_run_cells(runs jsonb) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT jsonb_build_array(jsonb_build_array('run', 'started', 'time', 'workers', 'outcome'))
        || coalesce(jsonb_agg(jsonb_build_array(r ->> 'job', mongoferry.report_time(r -> 'started_at'),
            mongoferry.report_duration(r -> 'seconds'), mongoferry.report_number(r -> 'workers'),
            coalesce(r ->> 'outcome', '-')) ORDER BY n), '[]')
    FROM jsonb_array_elements($1) WITH ORDINALITY AS run (r, n)
$function$;
COMMENT ON FUNCTION mongoferry.report_run_cells(jsonb) IS 'the table of runs. Part of report()';

CREATE FUNCTION mongoferry.report_error_cells(errors jsonb) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT jsonb_build_array(jsonb_build_array('documents', 'task', 'SQLSTATE', 'cause', 'constraint', 'column', 'first _id'))
        || coalesce(jsonb_agg(jsonb_build_array(mongoferry.report_number(e -> 'documents'), e ->> 'task', e ->> 'sqlstate',
            e ->> 'message', coalesce(e ->> 'constraint_name', ''), coalesce(e ->> 'column_name', ''),
            -- as JSON: 1 and "1" are different _ids
            CASE WHEN length((e -> 'example')::text) > 80 THEN left((e -> 'example')::text, 77) || '...'
                ELSE coalesce(nullif((e -> 'example')::text, 'null'), '') END)
            ORDER BY n), '[]')
    FROM jsonb_array_elements($1) WITH ORDINALITY AS error (e, n)
$function$;
COMMENT ON FUNCTION mongoferry.report_error_cells(jsonb) IS 'the table of causes. Part of report()';

CREATE FUNCTION mongoferry.report_check_cells(checks jsonb) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT jsonb_build_array(jsonb_build_array('result', 'task', 'check', 'source', 'target', 'detail'))
        || coalesce(jsonb_agg(jsonb_build_array(CASE WHEN (c ->> 'ok')::boolean THEN 'ok' ELSE 'FAILED' END, c ->> 'task',
            c ->> 'check', coalesce(c ->> 'source_value', ''), coalesce(c ->> 'target_value', ''), coalesce(c ->> 'detail', ''))
            ORDER BY n), '[]')
    FROM jsonb_array_elements($1) WITH ORDINALITY AS result (c, n)
$function$;
COMMENT ON FUNCTION mongoferry.report_check_cells(jsonb) IS 'the table of the last validation''s checks. Part of report()';

-- --- text ------------------------------------------------------------------------------------------------------------

CREATE FUNCTION mongoferry.report_plain(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT regexp_replace(coalesce($1, ''), '[[:cntrl:]]+', ' ', 'g')
$function$;
COMMENT ON FUNCTION mongoferry.report_plain(text) IS
    'a value on one line, without what would steer a terminal. Part of report()';

CREATE FUNCTION mongoferry.report_text_table(cells jsonb, alignment text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    WITH cell AS (
        SELECT row_number, column_number, mongoferry.report_plain(value) AS value,
            max(length(mongoferry.report_plain(value))) OVER (PARTITION BY column_number) AS width
        FROM jsonb_array_elements($1) WITH ORDINALITY AS r (cells, row_number),
            jsonb_array_elements_text(r.cells) WITH ORDINALITY AS c (value, column_number)
    )
    SELECT string_agg(line, E'\n' ORDER BY row_number)
    FROM (
        SELECT row_number, rtrim('  ' || string_agg(
            CASE WHEN substr($2, column_number::integer, 1) = 'r' THEN repeat(' ', width - length(value)) || value
                ELSE value || repeat(' ', width - length(value)) END, '  ' ORDER BY column_number)) AS line
        FROM cell GROUP BY row_number) AS lines
$function$;
COMMENT ON FUNCTION mongoferry.report_text_table(jsonb, text) IS 'a table as text in columns. Part of report()';

CREATE FUNCTION mongoferry.report_text(data jsonb) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT concat_ws(E'\n',
        'Migration ' || mongoferry.report_plain($1 ->> 'migration') || ', ' || mongoferry.report_time($1 -> 'reported_at'),
        mongoferry.report_plain($1 ->> 'comment'),
        mongoferry.report_headline($1),
        CASE WHEN ($1 #>> '{totals,seconds}')::numeric > 0 THEN
            format('%s of work at %s rows/s and %s documents/s, %s of BSON.',
                mongoferry.report_duration($1 #> '{totals,seconds}'), mongoferry.report_number($1 #> '{totals,rows_per_second}'),
                mongoferry.report_number($1 #> '{totals,documents_per_second}'), pg_size_pretty(($1 #>> '{totals,bytes}')::numeric)) END,
        CASE WHEN $1 -> 'runs' <> '[]' THEN
            E'\nRuns\n' || mongoferry.report_text_table(mongoferry.report_run_cells($1 -> 'runs'), 'llrrl') END,
        CASE WHEN $1 -> 'tasks' <> '[]' THEN
            E'\nTasks\n' || mongoferry.report_text_table(mongoferry.report_task_cells($1 -> 'tasks'), 'lllsrrrrrrrrrl') END,
        E'\nRefused\n  ' || mongoferry.report_errors_line($1),
        CASE WHEN $1 -> 'errors' <> '[]' THEN
            mongoferry.report_text_table(mongoferry.report_error_cells($1 -> 'errors'), 'rllllll') END,
        E'\nValidation\n  ' || mongoferry.report_plain(mongoferry.report_validation_line($1 -> 'validation')),
        CASE WHEN $1 #> '{validation,checks}' IS NOT NULL THEN
            mongoferry.report_text_table(mongoferry.report_check_cells($1 #> '{validation,checks}'), 'sllrrl') END) || E'\n'
$function$;
COMMENT ON FUNCTION mongoferry.report_text(jsonb) IS 'the text of report(). Part of report()';

-- --- the function for users ------------------------------------------------------------------------------------------

CREATE FUNCTION mongoferry.report(name text, format text DEFAULT 'text') RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM mongoferry.require_migration(report.name);
    CASE report.format
        WHEN 'text' THEN RETURN mongoferry.report_text(mongoferry.report_data(report.name));
        WHEN 'json' THEN RETURN jsonb_pretty(mongoferry.report_data(report.name));
        WHEN 'html' THEN RETURN mongoferry.report_html(mongoferry.report_data(report.name));
        ELSE
            RAISE EXCEPTION 'invalid value for format: "%"', coalesce(report.format, 'NULL')
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Valid values are "text", "json" and "html".';
    END CASE;
END
$function$;
COMMENT ON FUNCTION mongoferry.report(text, text) IS
    'what a migration did: runs, times, rates, refused documents by cause, each task, the last validation; as text, json or html (one page with charts that needs no other file)';
