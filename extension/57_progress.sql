-- How far migrations are, for any session, and for the lines of the leader. All of it is computed from the tables of tasks
-- and chunks, and so is what was committed. The views stand over functions, because row-level security lets a view see
-- what its owner sees (before PostgreSQL 15 without a choice), and a function what its caller sees.

CREATE FUNCTION mongoferry.measure_progress(migration text, tasks jsonb)
    RETURNS TABLE (migration text, task text, "position" integer, state text, tasks_done bigint, tasks_total bigint,
        chunks_done bigint, chunks_total bigint, documents_done bigint, documents_total bigint, rows_written bigint,
        refused bigint, bytes_read bigint, rows_per_second numeric, percent numeric, time_left interval,
        started_at timestamptz, updated_at timestamptz)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    -- A scope is a task, or '' for all tasks together.
    WITH chosen AS MATERIALIZED (
        SELECT t.*, t.documents_total IS NOT NULL AS is_split FROM mongoferry.task AS t
        WHERE ($1 IS NULL OR t.migration = $1) AND ($2 IS NULL OR $2 ? t.task)
    ), piece AS MATERIALIZED (
        SELECT c.migration, s.scope, c.state, c.documents_estimated, c.documents, c.rows_written, c.bytes_read,
            c.started_at, c.finished_at
        FROM mongoferry.chunk AS c
        JOIN chosen AS t ON t.migration = c.migration AND t.task = c.task
        CROSS JOIN LATERAL (VALUES (c.task), ('')) AS s (scope)
    ), counted AS MATERIALIZED (
        SELECT p.migration, p.scope,
            count(*) AS chunks_total, count(*) FILTER (WHERE p.state = 'done') AS chunks_done,
            -- what is done is known, what is not is estimated
            coalesce(sum(p.documents), 0) AS documents_done,
            coalesce(sum(p.documents_estimated) FILTER (WHERE p.state = 'pending'), 0) AS documents_left,
            coalesce(sum(p.rows_written), 0) AS rows_written, coalesce(sum(p.bytes_read), 0) AS bytes_read,
            -- Shares are of what was estimated at first, so that they only grow.
            coalesce(sum(greatest(p.documents_estimated, 1)) FILTER (WHERE p.state = 'done'), 0)
                / sum(greatest(p.documents_estimated, 1)) AS share_done,
            min(p.started_at) AS started_at, max(p.finished_at) AS last_finish
        FROM piece AS p GROUP BY p.migration, p.scope
    ), begun AS (
        -- The rate is that of the last minute of work. It is measured from the end of a chunk to the end of a chunk, so that
        -- it does not matter how many are under way; if there was none before, from the beginning of the first.
        SELECT c.migration, c.scope, c.last_finish, greatest(
            coalesce(
                max(p.finished_at) FILTER (WHERE p.finished_at <= c.last_finish - interval '1 minute'
                    AND p.finished_at > c.last_finish - interval '2 minutes'),
                min(p.started_at) FILTER (WHERE p.finished_at > c.last_finish - interval '1 minute')),
            -- not the time between two runs
            (SELECT max(r.started_at) FROM mongoferry.run AS r
            WHERE r.migration = c.migration AND r.job = 'migrate' AND r.started_at < c.last_finish)) AS first_start
        FROM counted AS c JOIN piece AS p ON p.migration = c.migration AND p.scope = c.scope
        GROUP BY c.migration, c.scope, c.last_finish
    ), flow AS MATERIALIZED (
        SELECT b.migration, b.scope,
            sum(p.rows_written) / nullif(extract(epoch FROM b.last_finish - b.first_start), 0)::numeric AS row_rate,
            sum(p.documents) / nullif(extract(epoch FROM b.last_finish - b.first_start), 0)::numeric AS document_rate,
            max(p.finished_at - p.started_at) AS longest
        FROM begun AS b
        JOIN piece AS p ON p.migration = b.migration AND p.scope = b.scope AND p.finished_at > b.first_start
        GROUP BY b.migration, b.scope, b.last_finish, b.first_start
    ), refusal AS MATERIALIZED (
        SELECT e.migration, s.scope, count(*) AS refused
        FROM mongoferry.errors AS e
        JOIN chosen AS t ON t.migration = e.migration AND t.task = e.task
        CROSS JOIN LATERAL (VALUES (e.task), ('')) AS s (scope)
        GROUP BY e.migration, s.scope
    ), line AS (
        SELECT t.migration, t.task AS scope, t.position, t.state, t.is_split,
            (t.state = 'done')::integer::bigint AS tasks_done, 1::bigint AS tasks_total, t.rows_mended, t.finished_at
        FROM chosen AS t
        UNION ALL
        SELECT t.migration, '', NULL,
            CASE WHEN bool_and(t.state = 'done') THEN CASE
                    WHEN mongoferry.count_deferred(t.migration) IS NULL THEN 'done'
                    WHEN EXISTS (SELECT FROM mongoferry.deferred AS d WHERE d.migration = t.migration AND d.failure IS NOT NULL)
                        THEN 'failed'
                    ELSE 'running' END
                WHEN bool_or(t.state = 'failed') THEN 'failed'
                WHEN bool_and(t.state = 'new') THEN 'new' ELSE 'running' END,
            bool_and(t.is_split), count(*) FILTER (WHERE t.state = 'done'), count(*), sum(t.rows_mended), max(t.finished_at)
        FROM chosen AS t GROUP BY t.migration
    ), measured AS (
        SELECT l.*, c.chunks_done, c.chunks_total, c.documents_done, c.documents_left, c.rows_written, c.bytes_read,
            c.share_done, c.started_at, c.last_finish, e.refused, f.row_rate, f.document_rate,
            -- Nothing was finished for so long that nothing seems to be under way.
            clock_timestamp() - c.last_finish > greatest(interval '1 minute', 5 * f.longest) AS is_quiet
        FROM line AS l
        LEFT JOIN counted AS c ON c.migration = l.migration AND c.scope = l.scope
        LEFT JOIN flow AS f ON f.migration = l.migration AND f.scope = l.scope
        LEFT JOIN refusal AS e ON e.migration = l.migration AND e.scope = l.scope
    )
    SELECT m.migration, nullif(m.scope, ''), m.position, m.state, m.tasks_done, m.tasks_total,
        coalesce(m.chunks_done, 0), CASE WHEN m.is_split THEN coalesce(m.chunks_total, 0) END,
        coalesce(m.documents_done, 0)::bigint,
        CASE WHEN m.is_split THEN coalesce(m.documents_done + m.documents_left, 0)::bigint END,
        (coalesce(m.rows_written, 0) + m.rows_mended)::bigint, coalesce(m.refused, 0), coalesce(m.bytes_read, 0)::bigint,
        CASE WHEN m.state <> 'done' AND m.is_quiet THEN 0
            ELSE round(m.row_rate, CASE WHEN m.row_rate < 100 THEN 1 ELSE 0 END) END,
        CASE WHEN m.state = 'done' THEN 100
            WHEN NOT m.is_split THEN 0
            ELSE least(trunc(coalesce(m.share_done, 0) * 100, 1), 99.9) END,
        CASE WHEN m.state = 'done' THEN interval '0'
            -- how long it takes to put indexes back is not known
            WHEN m.tasks_done < m.tasks_total AND m.is_split AND NOT m.is_quiet AND m.document_rate > 0 THEN date_trunc('second', greatest(interval '0',
                make_interval(secs => least(m.documents_left / m.document_rate, 1e10)::double precision)
                - (clock_timestamp() - m.last_finish)) + interval '500 milliseconds') END,
        m.started_at, greatest(m.last_finish, m.finished_at)
    FROM measured AS m
$function$;
COMMENT ON FUNCTION mongoferry.measure_progress(text, jsonb) IS
    'the progress of each task, and of all tasks together (task NULL), of a migration (NULL: of all migrations), or of those of its tasks that a jsonb array names. Part of the toolkit';

CREATE FUNCTION mongoferry.task_progress()
    RETURNS TABLE (migration text, task text, state text, chunks_done bigint, chunks_total bigint, documents_done bigint,
        documents_total bigint, rows_written bigint, refused bigint, bytes_read bigint, rows_per_second numeric,
        percent numeric, time_left interval, started_at timestamptz, updated_at timestamptz)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT p.migration, p.task, p.state, p.chunks_done, p.chunks_total, p.documents_done, p.documents_total, p.rows_written,
        p.refused, p.bytes_read, p.rows_per_second, p.percent, p.time_left, p.started_at, p.updated_at
    FROM mongoferry.measure_progress(NULL, NULL) AS p WHERE p.task IS NOT NULL
    ORDER BY p.migration, p.position
$function$;
COMMENT ON FUNCTION mongoferry.task_progress() IS 'the lines of the view progress, as the caller may see them. Part of the toolkit';

CREATE FUNCTION mongoferry.migration_progress()
    RETURNS TABLE (migration text, state text, tasks_done bigint, tasks_total bigint, chunks_done bigint, chunks_total bigint,
        documents_done bigint, documents_total bigint, rows_written bigint, refused bigint, bytes_read bigint,
        rows_per_second numeric, percent numeric, time_left interval, started_at timestamptz, updated_at timestamptz)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT p.migration, p.state, p.tasks_done, p.tasks_total, p.chunks_done, p.chunks_total, p.documents_done,
        p.documents_total, p.rows_written, p.refused, p.bytes_read, p.rows_per_second, p.percent, p.time_left, p.started_at,
        p.updated_at
    FROM mongoferry.measure_progress(NULL, NULL) AS p WHERE p.task IS NULL
    ORDER BY p.migration
$function$;
COMMENT ON FUNCTION mongoferry.migration_progress() IS 'the lines of the view progress_total, as the caller may see them. Part of the toolkit';

CREATE VIEW mongoferry.progress AS SELECT * FROM mongoferry.task_progress();
CREATE VIEW mongoferry.progress_total AS SELECT * FROM mongoferry.migration_progress();
COMMENT ON VIEW mongoferry.progress IS
    'how far each task is, from any session, while it runs and afterwards. Counts what is committed, that is whole chunks';
COMMENT ON VIEW mongoferry.progress_total IS
    'how far each migration is: the same figures for all its tasks together';
DO $block$
DECLARE
    meaning record;
BEGIN
    FOR meaning IN SELECT * FROM (VALUES
        ('migration', 'migration'),
        ('task', 'task'),
        ('state', 'new, running, done or failed; of a migration: done when all its tasks are and nothing is taken off their targets, failed when one is, or when something could not be put back'),
        ('tasks_done', 'tasks that are done'),
        ('tasks_total', 'tasks'),
        ('chunks_done', 'chunks that are carried over'),
        ('chunks_total', 'chunks; NULL until the source is split'),
        ('documents_done', 'documents read, refused ones included'),
        ('documents_total', 'documents to read: those done, and an estimate of the rest; NULL until the source is split'),
        ('rows_written', 'rows written to the target, those of retry_errors() included'),
        ('refused', 'documents that are in mongoferry.errors now'),
        ('bytes_read', 'bytes of BSON read'),
        ('rows_per_second', 'rows written per second in the last minute of work; 0 when nothing has been finished for long; NULL before the first chunk'),
        ('percent', 'share of the documents that is done, as they were estimated at first; 100 when it is done and not before. Of a migration: 0 until all its tasks are split, because their sizes are not known'),
        ('time_left', 'how long the rest takes at the present rate; NULL where that is not known'),
        ('started_at', 'when the first chunk began'),
        ('updated_at', 'when the last of what is counted was committed')
    ) AS m (name, comment) LOOP
        IF meaning.name NOT LIKE 'tasks\_%' THEN
            EXECUTE format('COMMENT ON COLUMN mongoferry.progress.%I IS %L', meaning.name, meaning.comment);
        END IF;
        IF meaning.name <> 'task' THEN
            EXECUTE format('COMMENT ON COLUMN mongoferry.progress_total.%I IS %L', meaning.name, meaning.comment);
        END IF;
    END LOOP;
END
$block$;

-- ---- what was refused, by cause ----

-- Messages of one cause differ in the values that they show: what follows a colon, what is out of range, and numbers.
CREATE FUNCTION mongoferry.error_cause(message text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT regexp_replace(regexp_replace(regexp_replace($1, ': ".*$', ': ...'),
        '\mvalue ".*" is out of range', 'value ... is out of range'),
        '(?<![[:alnum:]_"])[-+]?[0-9]+([.][0-9]+)?(?![[:alnum:]_"])', '...', 'g')
$function$;
COMMENT ON FUNCTION mongoferry.error_cause(text) IS
    'an error message with ... in place of the values in it, so that those of one cause are equal. Part of the toolkit';

CREATE FUNCTION mongoferry.summarize_errors()
    RETURNS TABLE (migration text, task text, sqlstate text, constraint_name text, column_name text, cause text,
        documents bigint, example_id bigint, example_source_id jsonb, first_at timestamptz, last_at timestamptz)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT e.migration, e.task, e.sqlstate, e.constraint_name, e.column_name, c.cause, count(*),
        min(e.id), (array_agg(e.source_id ORDER BY e.id))[1], min(e.occurred_at), max(e.occurred_at)
    FROM mongoferry.errors AS e
    JOIN mongoferry.task AS t ON t.migration = e.migration AND t.task = e.task
    CROSS JOIN LATERAL mongoferry.error_cause(e.message) AS c (cause)
    GROUP BY e.migration, t.position, e.task, e.sqlstate, e.constraint_name, e.column_name, c.cause
    ORDER BY e.migration, t.position, count(*) DESC, min(e.id)
$function$;
COMMENT ON FUNCTION mongoferry.summarize_errors() IS 'the lines of the view errors_summary, as the caller may see them. Part of the toolkit';

CREATE VIEW mongoferry.errors_summary AS SELECT * FROM mongoferry.summarize_errors();
COMMENT ON VIEW mongoferry.errors_summary IS 'the refused documents of mongoferry.errors, grouped by cause';
COMMENT ON COLUMN mongoferry.errors_summary.migration IS 'migration';
COMMENT ON COLUMN mongoferry.errors_summary.task IS 'task that refused them';
COMMENT ON COLUMN mongoferry.errors_summary.sqlstate IS 'SQLSTATE of the error';
COMMENT ON COLUMN mongoferry.errors_summary.constraint_name IS 'constraint that was violated, if one was';
COMMENT ON COLUMN mongoferry.errors_summary.column_name IS 'column that the error names, if it names one';
COMMENT ON COLUMN mongoferry.errors_summary.cause IS 'message of the error, with ... in place of the values in it';
COMMENT ON COLUMN mongoferry.errors_summary.documents IS 'how many documents';
COMMENT ON COLUMN mongoferry.errors_summary.example_id IS 'id in mongoferry.errors of the first of them, to see the whole of it';
COMMENT ON COLUMN mongoferry.errors_summary.example_source_id IS 'its _id';
COMMENT ON COLUMN mongoferry.errors_summary.first_at IS 'when the first of them was refused';
COMMENT ON COLUMN mongoferry.errors_summary.last_at IS 'when the last of them was refused';

GRANT SELECT ON mongoferry.progress, mongoferry.progress_total, mongoferry.errors_summary TO PUBLIC;

-- ---- the leader's line ----

CREATE FUNCTION mongoferry.short_number(number numeric) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT CASE
        WHEN $1 < 100 AND $1 <> trunc($1) THEN round($1, 1)::text
        WHEN $1 < 1e7 THEN to_char($1, 'FM9,999,990')
        WHEN $1 < 1e10 THEN to_char(trunc($1 / 1e6, 1), 'FM9,990.0') || 'M'
        ELSE to_char(trunc($1 / 1e9, 1), 'FM999,990.0') || 'G'
    END
$function$;
COMMENT ON FUNCTION mongoferry.short_number(numeric) IS 'a number for a line of progress: 52,300 or 12.4M. Part of the toolkit';

CREATE FUNCTION mongoferry.short_interval(duration interval) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT CASE
        WHEN s.seconds < 3600 THEN format('%s:%s', s.seconds / 60, lpad((s.seconds % 60)::text, 2, '0'))
        WHEN s.seconds < 360000 THEN format('%s:%s h', s.seconds / 3600, lpad((s.seconds / 60 % 60)::text, 2, '0'))
        ELSE format('%s d', s.seconds / 86400)
    END
    FROM (SELECT ceil(extract(epoch FROM $1))::bigint AS seconds) AS s
$function$;
COMMENT ON FUNCTION mongoferry.short_interval(interval) IS
    'a duration for a line of progress: 0:06 (minutes and seconds), 3:25 h or 12 d. Part of the toolkit';

CREATE FUNCTION mongoferry.draw_bar(percent numeric) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    width CONSTANT integer := 12;
    filled CONSTANT integer := trunc($1 / 100 * width);
BEGIN
    -- Characters beyond ASCII exist in other encodings too, but not in all of them.
    IF getdatabaseencoding() = 'UTF8' AND current_setting('client_encoding') = 'UTF8' THEN
        RETURN repeat(chr(9608), filled) || repeat(chr(9617), width - filled);
    END IF;
    RETURN '[' || repeat('#', filled) || repeat('-', width - filled) || ']';
END
$function$;
COMMENT ON FUNCTION mongoferry.draw_bar(numeric) IS
    'a bar of text: of blocks where server and client have UTF8, else of # and -. Part of the toolkit';

CREATE FUNCTION mongoferry.compose_line(percent numeric, at_what text, rest text[]) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    separator CONSTANT text := CASE WHEN getdatabaseencoding() = 'UTF8' AND current_setting('client_encoding') = 'UTF8'
        THEN ' ' || chr(183) || ' ' ELSE ' | ' END;
    line text;
BEGIN
    line := format('%s %s %%  %s', mongoferry.draw_bar($1), lpad(trunc($1)::text, 3), $2);
    FOR i IN 1..coalesce(cardinality($3), 0) LOOP
        IF char_length(line) + char_length($3[i]) + char_length(separator) < 100 THEN
            line := line || coalesce(separator || $3[i], '');
        END IF;
    END LOOP;
    RETURN line;
END
$function$;
COMMENT ON FUNCTION mongoferry.compose_line(numeric, text, text[]) IS
    'a line of progress of less than 100 characters: a bar, what is at work, and of the rest what there is room for. Part of the toolkit';

CREATE FUNCTION mongoferry.progress_line(job text, migration text, options jsonb) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    total record;
    at_work record;
    is_at_work boolean;
    rebuilt record;
    waited_for text;
    at_what text;
    share numeric;
    done bigint;
    parts bigint;
BEGIN
    IF $1 IN ('validate', 'recheck') THEN
        SELECT count(*), count(*) FILTER (WHERE p.state = 'done') INTO parts, done
        FROM mongoferry.validation_part AS p WHERE p.run = ($3->>'run')::bigint;
        IF parts = 0 THEN
            RETURN NULL;
        END IF;
        share := 100.0 * done / parts;
        RETURN mongoferry.compose_line(share, format('%s %s %s/%s', $1, left($2, 40), done, parts), NULL);
    ELSIF $1 <> 'migrate' THEN
        RETURN NULL;
    END IF;
    SELECT p.* INTO total FROM mongoferry.measure_progress($2, $3->'tasks') AS p WHERE p.task IS NULL;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- The first of those that can be worked on, and how many there are besides.
    SELECT left(r.task, 20) AS task, r.state, c.done, c.parts, count(*) OVER () - 1 AS others INTO at_work
    FROM mongoferry.run_tasks($2, $3) AS r
    CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE c.state = 'done') AS done, count(*) AS parts
        FROM mongoferry.chunk AS c WHERE c.migration = $2 AND c.task = r.task) AS c
    WHERE r.state = 'new' OR r.state = 'running' AND r.is_ready
    ORDER BY r.state = 'running' AND c.done < c.parts DESC, r.position LIMIT 1;
    is_at_work := FOUND;
    SELECT count(*) AS number, (array_agg(b.kind || ' ' || b.name ORDER BY b.is_ready DESC, b.kind DESC, b.name))[1] AS name
    INTO rebuilt FROM mongoferry.to_put_back($2, ($3->>'run')::bigint) AS b;
    SELECT mongoferry.table_name(o.relation) INTO waited_for FROM mongoferry.to_take_off($2, $3) AS o ORDER BY o.number LIMIT 1;
    IF waited_for IS NOT NULL THEN
        at_what := 'taking indexes or keys off ' || left(waited_for, 40);
    ELSIF is_at_work THEN
        at_what := CASE WHEN at_work.state = 'new' THEN 'splitting ' || at_work.task
                WHEN at_work.done = at_work.parts THEN 'finishing ' || at_work.task
                ELSE format('%s %s/%s', at_work.task, at_work.done, at_work.parts) END
            || CASE WHEN at_work.others > 0 THEN format(' (+%s)', at_work.others) ELSE '' END;
    ELSIF rebuilt.number > 0 THEN
        at_what := format('rebuilding %s', left(rebuilt.name, 40))
            || CASE WHEN rebuilt.number > 1 THEN format(' (+%s)', rebuilt.number - 1) ELSE '' END;
    ELSE
        at_what := format('%s %s/%s', left($2, 20), total.chunks_done, coalesce(total.chunks_total, total.chunks_done));
    END IF;
    RETURN mongoferry.compose_line(total.percent, at_what, ARRAY[
        CASE WHEN is_at_work AND rebuilt.number > 0 THEN 'rebuilding ' || rebuilt.name END,
        CASE WHEN total.refused > 0 THEN mongoferry.short_number(total.refused) || ' refused' END,
        CASE WHEN total.percent < 100 THEN mongoferry.short_interval(total.time_left) || ' left' END,
        mongoferry.short_number(total.rows_per_second) || ' rows/s',
        CASE WHEN total.documents_total IS NULL OR total.state = 'done'
            THEN to_char(total.documents_done, 'FM999,999,999,999,990') || ' documents'
            ELSE mongoferry.short_number(total.documents_done) || ' of ~' || mongoferry.short_number(total.documents_total)
                || ' documents' END]);
END
$function$;
COMMENT ON FUNCTION mongoferry.progress_line(text, text, jsonb) IS
    'how far a run is, as one line of less than 100 characters; NULL where nothing can be said. options as begin_run() completed them. Part of the toolkit';
