-- retry_errors(): refused documents are carried over again, after the transform, the target or the source was mended. A
-- batch of them is one transaction, in which rows are written and lines of the quarantine deleted or brought up to date.

CREATE FUNCTION mongoferry.order_tasks(tasks text[], dependencies jsonb) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    remaining text[] := $1;
    ordered text[] := '{}';
    next text;
BEGIN
    WHILE cardinality(remaining) > 0 LOOP
        -- (The last criterion only counts when tasks wait for each other in a circle.)
        SELECT r.task INTO next FROM unnest(remaining) WITH ORDINALITY AS r (task, number)
        ORDER BY EXISTS (
            SELECT FROM jsonb_array_elements_text($2->r.task) AS d (task) WHERE d.task = ANY (remaining)), r.number
        LIMIT 1;
        ordered := ordered || next;
        remaining := array_remove(remaining, next);
    END LOOP;
    RETURN ordered;
END
$function$;
COMMENT ON FUNCTION mongoferry.order_tasks(text[], jsonb) IS
    'the tasks in such an order that each comes after those that it depends on (dependencies: {task: [tasks]}), and else as given. Part of the toolkit';

CREATE FUNCTION mongoferry.same_collection(one regclass, other regclass) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT count(*) = 2 AND count(DISTINCT (t.ftserver, t.collection, t.database)) = 1 FROM (
        SELECT f.ftserver,
            coalesce((SELECT o.option_value FROM pg_options_to_table(f.ftoptions) AS o WHERE o.option_name = 'collection'),
                c.relname) AS collection,
            coalesce((SELECT o.option_value FROM pg_options_to_table(f.ftoptions) AS o WHERE o.option_name = 'database'),
                (SELECT o.option_value FROM pg_options_to_table(s.srvoptions) AS o WHERE o.option_name = 'database'), '')
                AS database
        FROM unnest(ARRAY[$1, $2]) AS u (relation)
        JOIN pg_foreign_table AS f ON f.ftrelid = u.relation
        JOIN pg_class AS c ON c.oid = f.ftrelid
        JOIN pg_foreign_server AS s ON s.oid = f.ftserver) AS t
$function$;
COMMENT ON FUNCTION mongoferry.same_collection(regclass, regclass) IS
    'whether two foreign tables of mongoferry read the same collection, be it with other columns or unwound. Part of the toolkit';

CREATE FUNCTION mongoferry.document_key(raw bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT coalesce(nullif(mongoferry.id_bounds(ARRAY[$1]), mongoferry.id_bounds('{}')), $1)
$function$;
COMMENT ON FUNCTION mongoferry.document_key(bytea) IS
    'what tells a document (BSON) from others of its collection: equal for equal _ids (type and value), and for equal documents without _id. Part of the toolkit';

CREATE FUNCTION mongoferry.later_passes(migration text, task text, options jsonb) RETURNS SETOF mongoferry.task
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT later.*
    FROM mongoferry.task AS mended
    JOIN mongoferry.task AS later ON later.migration = mended.migration AND later.on_conflict = 'update'
    JOIN jsonb_array_elements_text($3->'order') WITH ORDINALITY AS m (task, number) ON m.task = mended.task
    JOIN jsonb_array_elements_text($3->'order') WITH ORDINALITY AS l (task, number) ON l.task = later.task
    WHERE mended.migration = $1 AND mended.task = $2 AND l.number > m.number
        AND mongoferry.share_rows(later.target, mended.target)
        AND mongoferry.same_collection(later.source, mended.source)
        -- A chunk that is to come brings its documents itself; but in which chunk a document is, is not known here, and an
        -- update may be done twice.
        AND EXISTS (SELECT FROM mongoferry.chunk AS c
            WHERE c.migration = $1 AND c.task = later.task AND c.state = 'done')
    ORDER BY l.number
$function$;
COMMENT ON FUNCTION mongoferry.later_passes(text, text, jsonb) IS
    'the tasks that update the rows that a task brings, from the same documents, and have run already: a mended document has missed them. Part of the toolkit';

CREATE FUNCTION mongoferry.pass_over_mended(task mongoferry.task, documents bytea[]) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    to_pass bytea[];
    totals record;
BEGIN
    -- not those that it refused itself: they have a line of their own, and their turn
    SELECT array_agg(u.raw) INTO to_pass FROM unnest($2) AS u (raw)
    WHERE NOT EXISTS (
        SELECT FROM mongoferry.errors AS e
        WHERE e.migration = $1.migration AND e.task = $1.task
            AND mongoferry.document_key(e.raw) = mongoferry.document_key(u.raw));
    IF to_pass IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO mongoferry.errors (migration, task, source_id, document, raw, sqlstate, message, detail, hint, constraint_name,
            column_name)
        SELECT $1.migration, $1.task, r.source_id, r.document, r.raw, r.sqlstate, r.message, r.detail, r.hint,
            r.constraint_name, r.column_name
        FROM mongoferry.carry_over($1.migration, $1.task, $1.source,
            mongoferry.task_statement($1.migration, $1.task), mongoferry.raw_bounds(to_pass), NULL) AS r;
    SELECT * INTO totals FROM mongoferry.chunk_totals();
    UPDATE mongoferry.task AS t SET rows_mended = t.rows_mended + totals.rows_written
    WHERE t.migration = $1.migration AND t.task = $1.task;
    IF totals.refused > 0 THEN
        RAISE NOTICE 'task "%": refused % of % documents that another task has carried over now', $1.task, totals.refused,
            totals.documents;
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.pass_over_mended(mongoferry.task, bytea[]) IS
    'runs a task on documents that an earlier one has carried over after all. Part of the toolkit';

CREATE FUNCTION mongoferry.read_again(task text, source regclass, documents bytea[], OUT current bytea[], OUT first_place bigint[],
        OUT is_reached boolean)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    is_reached := true;
    WITH fresh AS MATERIALIZED (
        SELECT DISTINCT ON (f.key) f.key, f.raw
        FROM (SELECT mongoferry.document_key(d.raw) AS key, d.raw
            FROM mongoferry.read_documents($2, mongoferry.id_bounds($3)) AS d) AS f
        ORDER BY f.key, f.raw
    ), stored AS (
        SELECT u.raw, u.place, mongoferry.document_key(u.raw) AS key FROM unnest($3) WITH ORDINALITY AS u (raw, place)
    )
    SELECT array_agg(coalesce(f.raw, s.raw) ORDER BY s.place), array_agg(s.first_place ORDER BY s.place)
    INTO current, first_place
    FROM (SELECT *, min(place) OVER (PARTITION BY key) AS first_place FROM stored) AS s
    LEFT JOIN fresh AS f ON f.key = s.key;
EXCEPTION
    WHEN connection_exception OR fdw_unable_to_establish_connection THEN
        RAISE WARNING 'the source of task "%" cannot be reached: the stored copies of its refused documents are used', $1
            USING DETAIL = SQLERRM;
        is_reached := false;
END
$function$;
COMMENT ON FUNCTION mongoferry.read_again(text, regclass, bytea[]) IS
    'documents as the live source has them now; where it has them no more, as given. first_place: at which place the document with the same _id stands first. is_reached false, with a WARNING: the source cannot be reached. Part of the toolkit';

CREATE FUNCTION mongoferry.retry_lines(task mongoferry.task, lines bigint[], documents bytea[], first_place bigint[],
        OUT documents_tried bigint, OUT mended bytea[], OUT rows_written bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    WITH line AS MATERIALIZED (
        SELECT u.id, u.raw, u.first_place, u.place
        FROM unnest($2, $3, $4) WITH ORDINALITY AS u (id, raw, first_place, place)
    ), sent AS MATERIALIZED (
        SELECT l.place, l.raw, row_number() OVER (PARTITION BY l.raw ORDER BY l.place) AS number
        FROM line AS l WHERE l.place = l.first_place
    ), refused AS MATERIALIZED (
        SELECT r.*, row_number() OVER (PARTITION BY r.raw) AS number
        FROM mongoferry.carry_over($1.migration, $1.task, $1.source, mongoferry.task_statement($1.migration, $1.task),
            mongoferry.raw_bounds((SELECT array_agg(s.raw ORDER BY s.place) FROM sent AS s)), NULL) AS r
    ), judged AS MATERIALIZED (
        SELECT s.place, s.raw AS sent_raw, r.*
        FROM sent AS s LEFT JOIN refused AS r ON r.raw = s.raw AND r.number = s.number
    ), still_refused AS (
        UPDATE mongoferry.errors AS e
        SET source_id = j.source_id, document = j.document, raw = j.raw, sqlstate = j.sqlstate, message = j.message,
            detail = j.detail, hint = j.hint, constraint_name = j.constraint_name, column_name = j.column_name,
            occurred_at = clock_timestamp()
        FROM line AS l JOIN judged AS j ON j.place = l.first_place
        WHERE e.id = l.id AND j.sqlstate IS NOT NULL
    ), done AS (
        DELETE FROM mongoferry.errors AS e
        USING line AS l JOIN judged AS j ON j.place = l.first_place
        WHERE e.id = l.id AND j.sqlstate IS NULL
    )
    SELECT count(*), coalesce(array_agg(j.sent_raw ORDER BY j.place) FILTER (WHERE j.sqlstate IS NULL), '{}')
    INTO documents_tried, mended
    FROM judged AS j;
    rows_written := (mongoferry.chunk_totals()).rows_written;
    UPDATE mongoferry.task AS t
    SET documents_mended = t.documents_mended + cardinality(mended), rows_mended = t.rows_mended + rows_written
    WHERE t.migration = $1.migration AND t.task = $1.task;
END
$function$;
COMMENT ON FUNCTION mongoferry.retry_lines(mongoferry.task, bigint[], bytea[], bigint[]) IS
    'carries documents over again: their lines of the quarantine are deleted, or, where they are refused again, brought up to date. Part of the toolkit';

CREATE FUNCTION mongoferry.retry_batch(task mongoferry.task, options jsonb, OUT last_line bigint, OUT documents_tried bigint,
        OUT documents_mended bigint, OUT is_reached boolean)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    lines bigint[];
    documents bytea[];
    first_place bigint[];
    again record;
    tried record;
    later mongoferry.task;
BEGIN
    is_reached := NOT coalesce(($2->>'is_unreachable')::boolean, false);
    SELECT array_agg(w.id ORDER BY w.id), array_agg(w.raw ORDER BY w.id), array_agg(w.number ORDER BY w.id), max(w.id)
    INTO lines, documents, first_place, last_line
    FROM (SELECT e.id, e.raw, row_number() OVER (ORDER BY e.id) AS number,
            sum(octet_length(e.raw)) OVER (ORDER BY e.id) AS bytes
        FROM (SELECT e.id, e.raw FROM mongoferry.errors AS e
            WHERE e.migration = $1.migration AND e.task = $1.task
                AND e.id > ($2->>'after')::bigint AND e.id <= ($2->>'last')::bigint
                -- a pending chunk is carried over whole by the next migrate()
                AND NOT EXISTS (SELECT FROM mongoferry.chunk AS c
                    WHERE c.migration = e.migration AND c.task = e.task AND c.chunk = e.chunk AND c.state = 'pending')
            ORDER BY e.id LIMIT 1000) AS e) AS w
    WHERE w.number = 1 OR w.bytes <= 16 * 1024 * 1024;
    IF lines IS NULL THEN
        RETURN;
    END IF;
    IF is_reached AND NOT mongoferry.is_dump($1.source) THEN
        SELECT * INTO again FROM mongoferry.read_again($1.task, $1.source, documents);
        is_reached := again.is_reached;
        IF is_reached THEN
            documents := again.current;
            first_place := again.first_place;
        END IF;
    END IF;
    SELECT * INTO tried FROM mongoferry.retry_lines($1, lines, documents, first_place);
    documents_tried := tried.documents_tried;
    documents_mended := cardinality(tried.mended);
    IF documents_mended > 0 THEN
        FOR later IN SELECT * FROM mongoferry.later_passes($1.migration, $1.task, $2) LOOP
            PERFORM mongoferry.pass_over_mended(later, tried.mended);
        END LOOP;
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.retry_batch(mongoferry.task, jsonb) IS
    'carries the next refused documents of a task over again. last_line NULL: there are no more. Part of the toolkit';

CREATE FUNCTION mongoferry.retry_step(migration text, options jsonb) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this mongoferry.task;
    batch record;
    state text; message text; detail text; hint text;
BEGIN
    PERFORM mongoferry.require_owner($1);
    PERFORM mongoferry.exclude_runs($1);
    SELECT t.* INTO this FROM mongoferry.task AS t WHERE t.migration = $1 AND t.task = $2->'to_do'->>0;
    IF FOUND THEN
        BEGIN
            SELECT * INTO batch FROM mongoferry.retry_batch(this, $2);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
                hint = PG_EXCEPTION_HINT;
            PERFORM mongoferry.raise_about(format('task "%s"', this.task), state, message, detail, hint);
        END;
        IF batch.last_line IS NOT NULL THEN
            RETURN $2 || jsonb_build_object('after', batch.last_line, 'is_unreachable', NOT batch.is_reached,
                'tried', ($2->>'tried')::bigint + batch.documents_tried,
                'mended', ($2->>'mended')::bigint + batch.documents_mended);
        END IF;
        IF ($2->>'tried')::bigint > 0 THEN
            RAISE NOTICE 'task "%": % of % refused documents carried over', this.task, $2->>'mended', $2->>'tried';
        END IF;
        IF ($2->>'mended')::bigint > 0 AND this.state = 'done' THEN
            PERFORM mongoferry.advance_sequences($1, this.task);
        END IF;
    END IF;
    RETURN $2 || jsonb_build_object('to_do', ($2->'to_do') - 0, 'after', 0, 'is_unreachable', false, 'tried', 0, 'mended', 0,
        'all_tried', ($2->>'all_tried')::bigint + ($2->>'tried')::bigint,
        'all_mended', ($2->>'all_mended')::bigint + ($2->>'mended')::bigint);
END
$function$;
COMMENT ON FUNCTION mongoferry.retry_step(text, jsonb) IS
    'one transaction of retry_errors(); returns the options of the next one. Part of the toolkit';

CREATE FUNCTION mongoferry.begin_retry(migration text, only_tasks text[]) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    options jsonb;
BEGIN
    IF $1 IS NULL THEN
        RAISE EXCEPTION 'argument "migration" of retry_errors() must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM mongoferry.require_owner($1);
    PERFORM mongoferry.exclude_runs($1);
    options := mongoferry.begin_run('retry_errors', $1, jsonb_build_object('only_tasks', $2));
    -- The order is that of all tasks, because a document that is mended may have missed a task that is not named.
    options := options || jsonb_build_object('order', mongoferry.order_tasks(
        ARRAY(SELECT t.task FROM mongoferry.task AS t WHERE t.migration = $1 ORDER BY t.position),
        (SELECT coalesce(jsonb_object_agg(d.task, d.needed), '{}')
            FROM (SELECT d.task, jsonb_agg(d.depends_on) AS needed
                FROM mongoferry.task_dependencies($1) AS d GROUP BY d.task) AS d)));
    RETURN options || jsonb_build_object(
        'to_do', (SELECT jsonb_agg(o.task ORDER BY o.number)
            FROM jsonb_array_elements_text(options->'order') WITH ORDINALITY AS o (task, number)
            WHERE options->'tasks' ? o.task),
        'after', 0, 'is_unreachable', false, 'tried', 0, 'mended', 0, 'all_tried', 0, 'all_mended', 0,
        -- what is refused from now on is for the next call
        'last', (SELECT coalesce(max(e.id), 0) FROM mongoferry.errors AS e WHERE e.migration = $1));
END
$function$;
COMMENT ON FUNCTION mongoferry.begin_retry(text, text[]) IS 'the beginning of retry_errors(); returns the options of its first step. Part of the toolkit';

CREATE FUNCTION mongoferry.retry_goes_on(options jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT jsonb_array_length($1->'to_do') > 0
$function$;
COMMENT ON FUNCTION mongoferry.retry_goes_on(jsonb) IS 'whether retry_errors() has another step to do. Part of the toolkit';

CREATE FUNCTION mongoferry.end_retry(migration text, options jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    waiting bigint;
    outcome CONSTANT text := format('%s of %s refused documents carried over', $2->>'all_mended', $2->>'all_tried');
BEGIN
    SELECT count(*) INTO waiting
    FROM mongoferry.errors AS e
    JOIN mongoferry.chunk AS c ON c.migration = e.migration AND c.task = e.task AND c.chunk = e.chunk AND c.state = 'pending'
    WHERE e.migration = $1 AND $2->'tasks' ? e.task;
    IF waiting > 0 THEN
        RAISE NOTICE 'refused documents of chunks that are still to be carried over, left for mongoferry.migrate(): %', waiting;
    END IF;
    IF ($2->>'all_tried')::bigint = 0 AND waiting = 0 THEN
        RAISE NOTICE 'migration "%" has no refused documents to try again', $1;
    ELSE
        RAISE NOTICE 'migration "%": %', $1, outcome;
    END IF;
    PERFORM mongoferry.end_run('retry_errors', $1, $2, outcome);
END
$function$;
COMMENT ON FUNCTION mongoferry.end_retry(text, jsonb) IS 'the end of retry_errors(). Part of the toolkit';

CREATE FUNCTION mongoferry.refuse_transaction_block(procedure text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mongoferry_refuse_transaction_block';
COMMENT ON FUNCTION mongoferry.refuse_transaction_block(text) IS
    'raises active_sql_transaction where the procedure that calls it cannot commit. Part of the toolkit';

-- A procedure that commits can't have a SET clause: so all names in it are qualified, and it uses no operator.
CREATE PROCEDURE mongoferry.retry_errors(migration text, only_tasks text[] DEFAULT NULL)
    LANGUAGE plpgsql
AS $procedure$
DECLARE
    options pg_catalog.jsonb;
BEGIN
    PERFORM mongoferry.refuse_transaction_block('retry_errors');
    options := mongoferry.begin_retry(migration, only_tasks);
    COMMIT;
    WHILE mongoferry.retry_goes_on(options) LOOP
        options := mongoferry.retry_step(migration, options);
        COMMIT;
    END LOOP;
    PERFORM mongoferry.end_retry(migration, options);
END
$procedure$;
COMMENT ON PROCEDURE mongoferry.retry_errors(text, text[]) IS
    'carries refused documents over again, in the order in which tasks depend on each other: as the live source has them now, or, where it has them no more and for files, from their stored copies. Those that go in leave mongoferry.errors, the others get their new reason. only_tasks names the tasks to do (NULL: all). Not in a transaction block: it commits batch by batch';
