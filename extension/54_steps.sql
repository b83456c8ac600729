-- What a run does, step by step: the policy that the background workers of migrate() ask for their work. Each step is
-- one transaction, so whatever a step has taken on (a row lock) is free again when its worker dies. Relies on READ
-- COMMITTED: what others have locked is passed over, and what they have done meanwhile is seen.

-- ---- which tasks there are to work on ----

CREATE FUNCTION mongoferry.run_tasks(migration text, options jsonb)
    RETURNS TABLE (task text, "position" integer, state text, is_ready boolean)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT t.task, t.position, t.state,
        NOT EXISTS (
            SELECT FROM jsonb_array_elements_text($2->'dependencies'->t.task) AS d (task)
            WHERE NOT EXISTS (
                SELECT FROM mongoferry.task AS needed
                WHERE needed.migration = $1 AND needed.task = d.task AND needed.state = 'done'))
    FROM mongoferry.task AS t
    WHERE t.migration = $1 AND $2->'tasks' ? t.task
$function$;
COMMENT ON FUNCTION mongoferry.run_tasks(text, jsonb) IS
    'the tasks that a run works on, with their state; is_ready: all that they depend on is done. options as begin_run() completed them. Part of the toolkit';

CREATE FUNCTION mongoferry.run_goes_on(migration text, options jsonb) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    -- Open tasks can come to their end, unless one that they need can't: it failed, or is not of this run and not done.
    WITH RECURSIVE open_task AS (
        SELECT r.task FROM mongoferry.run_tasks($1, $2) AS r WHERE r.state IN ('new', 'running')
    ), needs AS (
        SELECT o.task, d.task AS needed
        FROM open_task AS o CROSS JOIN jsonb_array_elements_text($2->'dependencies'->o.task) AS d (task)
    ), blocked AS (
        SELECT n.task FROM needs AS n
        WHERE n.needed NOT IN (SELECT o.task FROM open_task AS o)
            AND NOT EXISTS (
                SELECT FROM mongoferry.task AS t WHERE t.migration = $1 AND t.task = n.needed AND t.state = 'done')
        UNION
        SELECT n.task FROM needs AS n JOIN blocked AS b ON b.task = n.needed
    )
    SELECT EXISTS (SELECT o.task FROM open_task AS o EXCEPT SELECT b.task FROM blocked AS b)
$function$;
COMMENT ON FUNCTION mongoferry.run_goes_on(text, jsonb) IS
    'whether something is left in a run that can still be done, by whatever worker; options as begin_run() completed them. Part of the toolkit';

-- ---- the steps ----

CREATE FUNCTION mongoferry.carry_over(
        migration text, task text, source regclass, statement text, bounds bytea, max_refused bigint)
    RETURNS TABLE (source_id jsonb, document jsonb, raw bytea, sqlstate text, message text, detail text, hint text,
        constraint_name text, column_name text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    -- In force until this function returns. No operator and no cast below: they would be looked up in it.
    PERFORM mongoferry.use_search_path($1, $2);
    RETURN QUERY SELECT * FROM mongoferry.write_chunk($3, $4, $5, $6);
END
$function$;
COMMENT ON FUNCTION mongoferry.carry_over(text, text, regclass, text, bytea, bigint) IS
    'write_chunk() with the search_path that the task''s transform was written for. Part of the toolkit';

CREATE FUNCTION mongoferry.allowed_errors(task mongoferry.task) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    -- A chunk that was given up is carried over whole again: what it refused then does not count.
    SELECT $1.max_errors - count(*)
    FROM mongoferry.errors AS e
    WHERE e.migration = $1.migration AND e.task = $1.task
        AND NOT EXISTS (SELECT FROM mongoferry.chunk AS c
            WHERE c.migration = e.migration AND c.task = e.task AND c.chunk = e.chunk AND c.state = 'pending')
$function$;
COMMENT ON FUNCTION mongoferry.allowed_errors(mongoferry.task) IS
    'how many documents more may be refused, by what has been committed; negative when it is too many already, and NULL without max_errors. Part of the toolkit';

CREATE FUNCTION mongoferry.fail_for_errors(task mongoferry.task, last mongoferry.errors) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    refused CONSTANT bigint := (SELECT count(*) FROM mongoferry.errors AS e WHERE e.migration = $1.migration AND e.task = $1.task);
BEGIN
    UPDATE mongoferry.task AS t
    SET state = 'failed', failure_sqlstate = coalesce($2.sqlstate, 'P0001'),
        failure = CASE WHEN $1.on_error = 'abort'
            THEN format(E'a document of chunk %s was refused: %s\nDETAIL:  on_error is abort. The document is in mongoferry.errors (id %s).',
                $2.chunk, $2.message, $2.id)
            ELSE format(E'%s %s refused, more than max_errors (%s) allows\nDETAIL:  %sThey are in mongoferry.errors; mongoferry.errors_summary groups them by cause.',
                refused, CASE WHEN refused = 1 THEN 'document was' ELSE 'documents were' END, $1.max_errors,
                format('The last was %s%s ', 'in chunk ' || $2.chunk || ': ', rtrim($2.message, '.') || '.'))
            END
    WHERE t.migration = $1.migration AND t.task = $1.task AND t.state = 'running';
END
$function$;
COMMENT ON FUNCTION mongoferry.fail_for_errors(mongoferry.task, mongoferry.errors) IS
    'marks a task as failed because of the documents that were refused, of which the last is given. Part of the toolkit';

CREATE FUNCTION mongoferry.write_task_chunk(task mongoferry.task, chunk mongoferry.chunk) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    allowance bigint;
    totals record;
BEGIN
    -- Those of a turn that was stopped: the chunk is carried over whole again.
    DELETE FROM mongoferry.errors AS e
    WHERE e.migration = $1.migration AND e.task = $1.task AND e.chunk = $2.chunk;
    IF $1.on_error = 'abort' THEN
        allowance := 0;
    ELSIF $1.max_errors IS NOT NULL THEN
        -- What other workers refuse at this moment is not known here: together they may exceed max_errors. The next to look
        -- sees it, here or in finish_task().
        allowance := mongoferry.allowed_errors($1);
        IF allowance < 0 THEN
            PERFORM mongoferry.fail_for_errors($1, (SELECT e FROM mongoferry.errors AS e
                WHERE e.migration = $1.migration AND e.task = $1.task ORDER BY e.id DESC LIMIT 1));
            RETURN;
        END IF;
    END IF;

    INSERT INTO mongoferry.errors (migration, task, chunk, source_id, document, raw, sqlstate, message, detail, hint,
            constraint_name, column_name)
        SELECT $1.migration, $1.task, $2.chunk, r.source_id, r.document, r.raw, r.sqlstate, r.message, r.detail, r.hint,
            r.constraint_name, r.column_name
        FROM mongoferry.carry_over($1.migration, $1.task, $1.source,
            mongoferry.task_statement($1.migration, $1.task), $2.bounds, allowance) AS r;
    SELECT * INTO totals FROM mongoferry.chunk_totals();

    IF NOT totals.stopped THEN
        UPDATE mongoferry.chunk AS c
        SET state = 'done', documents = totals.documents, rows_written = totals.rows_written, refused = totals.refused,
            bytes_read = totals.bytes, started_at = now(), finished_at = clock_timestamp()
        WHERE c.migration = $2.migration AND c.task = $2.task AND c.chunk = $2.chunk;
        RETURN;
    END IF;
    -- Nothing of the chunk was written, and it stays pending; what was refused stays to be looked at.
    PERFORM mongoferry.fail_for_errors($1, (SELECT e FROM mongoferry.errors AS e
        WHERE e.migration = $1.migration AND e.task = $1.task AND e.chunk = $2.chunk ORDER BY e.id DESC LIMIT 1));
END
$function$;
COMMENT ON FUNCTION mongoferry.write_task_chunk(mongoferry.task, mongoferry.chunk) IS
    'carries a chunk over and marks it done, or, when more documents are refused than the task allows, leaves it pending and marks the task failed. Part of the toolkit';

CREATE FUNCTION mongoferry.finish_target(migration text, task text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM mongoferry.advance_sequences($1, $2);
END
$function$;
COMMENT ON FUNCTION mongoferry.finish_target(text, text) IS
    'what a task''s target needs when all chunks are carried over: its sequences are set past the copied values. Part of the toolkit';

CREATE FUNCTION mongoferry.finish_task(task mongoferry.task) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    IF mongoferry.allowed_errors($1) < 0 THEN
        PERFORM mongoferry.fail_for_errors($1, (SELECT e FROM mongoferry.errors AS e
            WHERE e.migration = $1.migration AND e.task = $1.task ORDER BY e.id DESC LIMIT 1));
        RETURN;
    END IF;
    PERFORM mongoferry.finish_target($1.migration, $1.task);
    UPDATE mongoferry.task AS t
    SET state = 'done', finished_at = clock_timestamp(),
        started_at = coalesce((SELECT min(c.started_at) FROM mongoferry.chunk AS c
            WHERE c.migration = $1.migration AND c.task = $1.task), now())
    WHERE t.migration = $1.migration AND t.task = $1.task;
    PERFORM pg_notify('mongoferry', jsonb_build_object('migration', $1.migration, 'task', $1.task, 'state', 'done',
        'refused', (SELECT count(*) FROM mongoferry.errors AS e
            WHERE e.migration = $1.migration AND e.task = $1.task))::text);
END
$function$;
COMMENT ON FUNCTION mongoferry.finish_task(mongoferry.task) IS 'brings a task of which all chunks are carried over to its end, or marks it failed if more documents were refused than it allows. Part of the toolkit';

CREATE FUNCTION mongoferry.migrate_step(migration text, options jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this mongoferry.task;
    part mongoferry.chunk;
BEGIN
    IF clock_timestamp() >= ($2->>'deadline')::timestamptz THEN
        RETURN 'finished';
    END IF;

    -- All are split first, so that it is known early how much there is to do.
    SELECT t.* INTO this FROM mongoferry.task AS t
    WHERE t.migration = $1 AND $2->'tasks' ? t.task AND t.state = 'new'
    ORDER BY t.position LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED;
    IF FOUND THEN
        PERFORM mongoferry.note_step(this.task, NULL);
        PERFORM mongoferry.keep_chunks(this, format('mongoferry.split_source(%L, %s)', this.source::oid, this.chunk_size));
        RETURN 'again';
    END IF;

    IF mongoferry.take_off_next($1, $2) THEN
        RETURN 'again';
    END IF;

    -- Those that others may wait for come to their end before anything new is begun. (An empty task is not done before
    -- what it depends on, because others may rely on that through it.)
    SELECT t.* INTO this FROM mongoferry.task AS t
    WHERE t.migration = $1 AND t.state = 'running'
        AND t.task IN (SELECT r.task FROM mongoferry.run_tasks($1, $2) AS r WHERE r.is_ready)
        AND NOT EXISTS (
            SELECT FROM mongoferry.chunk AS c
            WHERE c.migration = $1 AND c.task = t.task AND c.state = 'pending')
    ORDER BY t.position LIMIT 1
    FOR NO KEY UPDATE OF t SKIP LOCKED;
    IF FOUND THEN
        PERFORM mongoferry.note_step(this.task, NULL);
        PERFORM mongoferry.finish_task(this);
        RETURN 'again';
    END IF;

    -- Before chunks, because one index may take longer than all that is left of them.
    IF mongoferry.put_back_next($1, $2) THEN
        RETURN 'again';
    END IF;

    IF EXISTS (SELECT FROM mongoferry.to_take_off($1, $2)) THEN
        RETURN 'wait'; -- another worker is at it
    END IF;
    FOR this IN
        SELECT t.* FROM mongoferry.run_tasks($1, $2) AS r
        JOIN mongoferry.task AS t ON t.migration = $1 AND t.task = r.task
        WHERE r.state = 'running' AND r.is_ready
        ORDER BY r.position
    LOOP
        SELECT c.* INTO part FROM mongoferry.chunk AS c
        WHERE c.migration = $1 AND c.task = this.task AND c.state = 'pending'
        ORDER BY c.chunk LIMIT 1
        FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            PERFORM mongoferry.note_step(this.task, part.chunk);
            PERFORM mongoferry.write_task_chunk(this, part);
            RETURN 'again';
        END IF;
    END LOOP;

    -- What is left is locked by other workers, or waits for what they do.
    IF mongoferry.run_goes_on($1, $2) OR EXISTS (SELECT FROM mongoferry.to_put_back($1, ($2->>'run')::bigint)) THEN
        RETURN 'wait';
    END IF;
    RETURN 'finished';
END
$function$;
COMMENT ON FUNCTION mongoferry.migrate_step(text, jsonb) IS
    'does the next step of a migration in this transaction: a task is split, indexes or foreign keys of a target are taken off or put back, a chunk is carried over, or a task brought to its end. again: something was done; wait: nothing can be done now, but others still work; finished: nothing is left that can be done, or the time is up. options as begin_run() completed them. Part of the toolkit';

CREATE FUNCTION mongoferry.work_step(job text, migration text, options jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM mongoferry.require_owner($2);
    IF $1 = 'migrate' THEN
        RETURN mongoferry.migrate_step($2, $3);
    ELSIF $1 IN ('validate', 'recheck') THEN
        RETURN mongoferry.validate_step($2, $3);
    END IF;
    RAISE EXCEPTION 'unrecognized job "%"', $1 USING ERRCODE = 'invalid_parameter_value';
END
$function$;
COMMENT ON FUNCTION mongoferry.work_step(text, text, jsonb) IS
    'does the next step of a job (migrate, validate, recheck) on a migration: what background workers call, a transaction each, until it returns finished. Part of the toolkit';

-- ---- begin and end of a run ----

CREATE FUNCTION mongoferry.select_tasks(migration text, only_tasks text[]) RETURNS text[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    selected text[];
    unknown text;
BEGIN
    SELECT coalesce(array_agg(t.task ORDER BY t.position), '{}') INTO selected
    FROM mongoferry.task AS t
    WHERE t.migration = $1 AND ($2 IS NULL OR t.task = ANY ($2));
    IF array_position($2, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'only_tasks must not contain NULL' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF $2 IS NOT NULL THEN
        SELECT o.task INTO unknown FROM unnest($2) WITH ORDINALITY AS o (task, place)
        WHERE o.task <> ALL (selected)
        ORDER BY o.place LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'task "%" of migration "%" does not exist', unknown, $1
                USING ERRCODE = 'undefined_object',
                    HINT = coalesce('Its tasks are ' || (SELECT string_agg(format('"%s"', t.task), ', ' ORDER BY t.position)
                        FROM mongoferry.task AS t WHERE t.migration = $1) || '.', 'It has no tasks.');
        END IF;
    END IF;
    IF selected = '{}' THEN
        IF $2 IS NOT NULL THEN
            RAISE EXCEPTION 'only_tasks must not be empty'
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Name tasks, or leave it NULL for all of them.';
        END IF;
        RAISE EXCEPTION 'migration "%" has no tasks', $1
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Add them with mongoferry.add_task().';
    END IF;
    RETURN selected;
END
$function$;
COMMENT ON FUNCTION mongoferry.select_tasks(text, text[]) IS
    'the tasks that only_tasks names, NULL: all, in the order in which they were added; an error for a name that is none, and when there are none. Part of the toolkit';

CREATE FUNCTION mongoferry.begin_run(job text, migration text, options jsonb) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    only_tasks text[];
    selected text[];
    take_off jsonb := '[]';
    edges jsonb;
    missing record;
    run bigint;
BEGIN
    PERFORM mongoferry.require_owner($2);
    IF jsonb_typeof($3->'only_tasks') = 'array' THEN
        only_tasks := ARRAY(SELECT jsonb_array_elements_text($3->'only_tasks'));
    END IF;
    selected := mongoferry.select_tasks($2, only_tasks);
    IF $1 = 'migrate' THEN
        take_off := mongoferry.plan_deferral($2, selected, coalesce(($3->>'defer_indexes')::boolean, false),
            coalesce(($3->>'defer_foreign_keys')::boolean, false));
        PERFORM mongoferry.check_order($2, foreign_keys => false);
    END IF;
    -- Kept for all steps: a task that is added meanwhile is for the next run.
    SELECT coalesce(jsonb_agg(to_jsonb(d)), '[]') INTO edges FROM mongoferry.run_dependencies($2, selected, take_off) AS d;
    IF $1 = 'migrate' THEN
        -- What is done waits for nothing, and nothing for it.
        IF (SELECT mongoferry.find_cycle(array_agg(d.task), array_agg(d.depends_on))
            FROM jsonb_to_recordset(edges) AS d (task text, depends_on text)
            JOIN mongoferry.task AS t ON t.migration = $2 AND t.task = d.task AND t.state <> 'done'
            JOIN mongoferry.task AS n ON n.migration = $2 AND n.task = d.depends_on AND n.state <> 'done') IS NOT NULL
        THEN
            PERFORM mongoferry.check_order($2);
        END IF;
        SELECT d.task, d.depends_on, d.reason INTO missing
        FROM jsonb_to_recordset(edges) AS d (task text, depends_on text, reason text)
        JOIN mongoferry.task AS t ON t.migration = $2 AND t.task = d.depends_on
        WHERE d.depends_on <> ALL (selected) AND t.state <> 'done'
        ORDER BY t.position LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'task "%" depends on task "%", which is not done', missing.task, missing.depends_on
                USING ERRCODE = 'object_not_in_prerequisite_state',
                    DETAIL = format('It depends on it by %s.', missing.reason),
                    HINT = format('Name "%s" in only_tasks too, or run it before.', missing.depends_on);
        END IF;
    END IF;
    IF $1 = 'migrate' THEN
        UPDATE mongoferry.task AS t
        SET failure_sqlstate = NULL, failure = NULL,
            state = CASE WHEN EXISTS (SELECT FROM mongoferry.chunk AS c WHERE c.migration = $2 AND c.task = t.task)
                THEN 'running' ELSE 'new' END
        WHERE t.migration = $2 AND t.task = ANY (selected) AND t.state = 'failed';
    END IF;
    INSERT INTO mongoferry.run (migration, job, options, workers)
        VALUES ($2, $1, coalesce($3, '{}'), ($3->>'workers')::integer)
        RETURNING id INTO run;
    RETURN coalesce($3, '{}') || jsonb_build_object('run', run, 'tasks', selected, 'take_off', take_off, 'dependencies',
        (SELECT coalesce(jsonb_object_agg(d.task, d.needed), '{}')
        FROM (SELECT d.task, jsonb_agg(DISTINCT d.depends_on) AS needed
            FROM jsonb_to_recordset(edges) AS d (task text, depends_on text) GROUP BY d.task) AS d));
END
$function$;
COMMENT ON FUNCTION mongoferry.begin_run(text, text, jsonb) IS
    'checks whether a job can be run on a migration (owner, order of its tasks, only_tasks, rights to take off what is to be taken off), makes failed tasks ready to go on, notes the run, and returns the options that its steps need. Part of the toolkit';

CREATE FUNCTION mongoferry.run_state(migration text, options jsonb) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT CASE
        WHEN bool_or(t.state = 'failed' AND $2->'tasks' ? t.task)
            OR EXISTS (SELECT FROM mongoferry.deferred AS d
                WHERE d.migration = $1 AND d.failed_run = ($2->>'run')::bigint) THEN 'failed'
        WHEN bool_and(t.state = 'done') AND mongoferry.count_deferred($1) IS NULL THEN 'complete'
        ELSE 'stopped' END
    FROM mongoferry.task AS t WHERE t.migration = $1
$function$;
COMMENT ON FUNCTION mongoferry.run_state(text, jsonb) IS
    'how a migration stands at the end of a run: complete (all its tasks are done, and nothing is taken off), failed (a task of the run failed, or an index or foreign key could not be put back) or stopped (the time is up, tasks were left out, or it was cancelled). Part of the toolkit';

CREATE FUNCTION mongoferry.run_outcome(migration text, options jsonb) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT CASE mongoferry.run_state($1, $2)
        WHEN 'complete' THEN 'complete'
        WHEN 'failed' THEN 'failed: ' || concat_ws(', ',
            string_agg(format('"%s"', t.task), ', ' ORDER BY t.position) FILTER (WHERE t.state = 'failed' AND $2->'tasks' ? t.task),
            (SELECT string_agg(mongoferry.name_deferred(d.kind, d.relation, d.name), ', ' ORDER BY d.kind DESC, d.taken_off_at)
            FROM mongoferry.deferred AS d WHERE d.migration = $1 AND d.failed_run = ($2->>'run')::bigint))
        ELSE concat_ws('; ',
            CASE WHEN bool_and(t.state = 'done') FILTER (WHERE $2->'tasks' ? t.task) THEN 'complete, but for tasks left out: '
                WHEN clock_timestamp() >= ($2->>'deadline')::timestamptz THEN 'time is up; not done: '
                ELSE 'not done: ' END
                || string_agg(format('"%s"', t.task), ', ' ORDER BY t.position) FILTER (WHERE t.state <> 'done'),
            'taken off: ' || mongoferry.count_deferred($1))
        END
    FROM mongoferry.task AS t WHERE t.migration = $1
$function$;
COMMENT ON FUNCTION mongoferry.run_outcome(text, jsonb) IS
    'how a run ended, for people: complete, time is up, or what was left undone. Part of the toolkit';

CREATE FUNCTION mongoferry.end_run(job text, migration text, options jsonb, outcome text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    taken_off text;
BEGIN
    UPDATE mongoferry.run AS r SET finished_at = clock_timestamp(), outcome = coalesce($4, mongoferry.run_outcome($2, $3))
    WHERE r.migration = $2 AND r.id = ($3->>'run')::bigint;
    IF $1 = 'migrate' THEN
        taken_off := mongoferry.count_deferred($2);
        IF taken_off IS NOT NULL THEN
            RAISE NOTICE 'migration "%": % of its targets taken off', $2, taken_off
                USING HINT = format('A later run puts them back when their tables are complete; CALL mongoferry.restore_deferred(%L) does now.', $2);
        END IF;
        PERFORM pg_notify('mongoferry', jsonb_build_object(
            'migration', $2, 'state', mongoferry.run_state($2, $3),
            'refused', (SELECT count(*) FROM mongoferry.errors AS e WHERE e.migration = $2))::text);
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.end_run(text, text, jsonb, text) IS
    'notes the end of a run (outcome NULL: as the tables tell it), and after migrate() tells it on the channel mongoferry: {"migration": ..., "state": "complete", "failed" or "stopped", "refused": ...}. Part of the toolkit';

CREATE FUNCTION mongoferry.run_problem(job text, migration text, options jsonb)
    RETURNS TABLE (message text, detail text, hint text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    failed record;
    taken_off record;
    undone text;
    goes_on CONSTANT text := 'What is done stays done: when it is mended, mongoferry.migrate() goes on from there.';
BEGIN
    IF $1 <> 'migrate' THEN
        RETURN;
    END IF;
    SELECT count(*) AS number, string_agg(format('"%s"', t.task), ', ' ORDER BY t.position) AS names,
        min(split_part(t.failure, E'\n', 1)) AS message,
        -- detail and hint, without their labels
        min(nullif(regexp_replace(substr(t.failure, strpos(t.failure || E'\n', E'\n') + 1), '(^|\n)(DETAIL|HINT):  ', '\1', 'g'), '')) AS rest,
        string_agg(format('Task "%s": %s', t.task, regexp_replace(t.failure, '\.?\n(DETAIL|HINT):  ', '. ', 'g')), E'\n'
            ORDER BY t.position) AS messages
    INTO failed
    FROM mongoferry.task AS t WHERE t.migration = $2 AND $3->'tasks' ? t.task AND t.state = 'failed';
    SELECT string_agg(format('"%s"', t.task), ', ' ORDER BY t.position) INTO undone
    FROM mongoferry.task AS t WHERE t.migration = $2 AND $3->'tasks' ? t.task AND t.state IN ('new', 'running');
    SELECT count(*) AS number, min(p.label) AS label, min(p.message) AS message, min(p.rest) AS rest, min(p.hint) AS hint,
        string_agg(concat_ws(E'\n', format('%s could not be put back: %s', p.label, p.message), p.rest), E'\n') AS messages
    INTO taken_off FROM mongoferry.deferred_problems($2, ($3->>'run')::bigint) AS p;

    IF failed.number = 0 AND taken_off.number > 0 THEN
        IF taken_off.number = 1 THEN
            message := format('%s could not be put back: %s', taken_off.label, taken_off.message);
            detail := taken_off.rest;
        ELSE
            message := format('%s indexes or foreign keys of migration "%s" could not be put back', taken_off.number, $2);
            detail := taken_off.messages;
        END IF;
        detail := concat_ws(E'\n', detail, 'The definition stays in mongoferry.deferred.', 'Not done: ' || undone || '.');
        hint := taken_off.hint;
        RETURN NEXT;
        RETURN;
    ELSIF failed.number = 0 THEN
        -- Without a failure something is only left when the time is up, or when it was put back while the run went on.
        IF undone IS NOT NULL AND $3->>'deadline' IS NULL THEN
            message := format('migration "%s" is not complete', $2);
            detail := format('Not done: %s.', undone);
            hint := 'Call mongoferry.migrate() again.';
            RETURN NEXT;
        END IF;
        RETURN;
    END IF;
    IF failed.number = 1 THEN
        message := format('task %s of migration "%s" failed: %s', failed.names, $2, failed.message);
        detail := failed.rest;
    ELSE
        message := format('%s tasks of migration "%s" failed: %s', failed.number, $2, failed.names);
        detail := failed.messages;
    END IF;
    detail := nullif(concat_ws(E'\n', detail, taken_off.messages, 'Not done either: ' || undone || '.'), '');
    hint := goes_on;
    RETURN NEXT;
END
$function$;
COMMENT ON FUNCTION mongoferry.run_problem(text, text, jsonb) IS
    'the error that the call of a run has to end with, as message, detail and hint; no row when all went well. Part of the toolkit';

CREATE FUNCTION mongoferry.step_failed(
        job text, migration text, task text, chunk integer, options jsonb, sqlstate text, message text, detail text, hint text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    IF $1 <> 'migrate' THEN
        RETURN;
    END IF;
    UPDATE mongoferry.task AS t
    SET state = 'failed', failure_sqlstate = $6,
        failure = concat(CASE WHEN $4 > 0 THEN format('chunk %s: ', $4) END, $7,
            E'\nDETAIL:  ' || nullif($8, ''), E'\nHINT:  ' || nullif($9, ''))
    WHERE t.migration = $2 AND t.task = $3 AND t.state IN ('new', 'running');
    IF NOT FOUND THEN
        PERFORM mongoferry.note_deferred_failure(d.migration, d.kind, d.relation, d.name, ($5->>'run')::bigint, $6, $7, $8, $9)
        FROM mongoferry.deferred AS d
        WHERE d.migration = $2 AND mongoferry.name_deferred(d.kind, d.relation, d.name) = $3;
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.step_failed(text, text, text, integer, jsonb, text, text, text, text) IS
    'notes that a step failed for good: its task is failed, with the reason, or what it would put back stays off in this run. Others go on, except those that depend on it. Part of the toolkit';
