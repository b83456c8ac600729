-- preflight(): what would go wrong in migrate(), found before anything is written. A function for each check, which returns
-- rows (severity, "check", message, hint); preflight() calls them for each task and sorts.
--
-- The sample is written for real, in a block that always rolls back. Numbers of sequences do not come back with a rollback,
-- and setting one back would take numbers from other sessions; so the sequences are restarted in the block before, which
-- gives them new storage that the rollback throws away.

CREATE FUNCTION mongoferry.preflight_rights(migration text, task text)
    RETURNS TABLE (severity text, "check" text, message text, hint text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
    updates boolean;
BEGIN
    RETURN QUERY
        SELECT 'error', 'rights', m.message, m.hint
        FROM pg_class AS c
        JOIN pg_foreign_table AS f ON f.ftrelid = c.oid
        JOIN pg_foreign_server AS s ON s.oid = f.ftserver
        CROSS JOIN LATERAL (
            SELECT format('no right to use server "%s"', s.srvname),
                format('GRANT USAGE ON FOREIGN SERVER %I TO %I.', s.srvname, current_user)
            WHERE NOT has_server_privilege(s.oid, 'USAGE') AND NOT pg_has_role(c.relowner, 'USAGE')
            UNION ALL
            SELECT format('no right to read %s', mongoferry.table_name(c.oid)),
                format('GRANT SELECT ON %s TO %I.', mongoferry.table_name(c.oid), current_user)
            WHERE NOT has_table_privilege(c.oid, 'SELECT')
        ) AS m (message, hint)
        WHERE c.oid = this.source;
    RETURN QUERY
        SELECT DISTINCT 'error', 'rights', format('no right to use schema "%s"', n.nspname),
            format('GRANT USAGE ON SCHEMA %I TO %I.', n.nspname, current_user)
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.oid IN (this.source, this.target) AND NOT has_schema_privilege(n.oid, 'USAGE');

    updates := mongoferry.is_update(this.target, this.on_conflict,
        ARRAY(SELECT c.column_name FROM mongoferry.task_columns($1, $2) AS c));
    RETURN QUERY
        SELECT 'error', 'rights', format('no %s right on %s of %s', r.privilege, mongoferry.column_list(array_agg(r.name)),
                mongoferry.table_name(this.target)),
            format('GRANT %s ON %s TO %I.', r.privilege, mongoferry.table_name(this.target), current_user)
        FROM (
            SELECT 'INSERT' AS privilege, c.column_name AS name FROM mongoferry.task_columns($1, $2) AS c WHERE NOT updates
            UNION ALL
            SELECT 'UPDATE', c.column_name FROM mongoferry.task_columns($1, $2) AS c
            WHERE this.on_conflict = 'update' AND NOT c.column_name = ANY (mongoferry.task_key($1, $2))
            UNION ALL
            SELECT 'SELECT', k.name FROM unnest(mongoferry.task_key($1, $2)) AS k (name) WHERE this.on_conflict <> 'error'
        ) AS r
        WHERE NOT has_column_privilege(this.target, r.name, r.privilege)
        GROUP BY r.privilege;
    IF NOT has_table_privilege(this.target, 'SELECT') AND this.on_conflict = 'error' THEN
        RETURN QUERY SELECT 'warning', 'rights', format('no right to read %s', mongoferry.table_name(this.target)),
            format('validate() needs it: GRANT SELECT ON %s TO %I.', mongoferry.table_name(this.target), current_user);
    END IF;
EXCEPTION WHEN OTHERS THEN
    -- columns that the transform does not give any more: preflight_statement() says so
    RETURN;
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_rights(text, text) IS
    'rights that the current role lacks on the source, its server and the target of a task. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_order(migration text)
    RETURNS TABLE (severity text, "check" text, message text, hint text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    error_message text; error_detail text; error_hint text;
BEGIN
    PERFORM mongoferry.check_order($1);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS error_message := MESSAGE_TEXT, error_detail := PG_EXCEPTION_DETAIL, error_hint := PG_EXCEPTION_HINT;
    RETURN QUERY SELECT 'error', 'order', error_message, nullif(concat_ws(E'\n', nullif(error_detail, ''), nullif(error_hint, '')), '');
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_order(text) IS
    'the error of check_order() as a row, if there is one. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_statement(migration text, task text)
    RETURNS TABLE (severity text, "check" text, message text, hint text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    error_message text; error_detail text; error_hint text;
BEGIN
    PERFORM mongoferry.check_task($1, $2);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS error_message := MESSAGE_TEXT, error_detail := PG_EXCEPTION_DETAIL, error_hint := PG_EXCEPTION_HINT;
    RETURN QUERY SELECT 'error', 'transform', error_message, nullif(concat_ws(E'\n', nullif(error_detail, ''), nullif(error_hint, '')), '');
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_statement(text, text) IS
    'the error of a task that does not fit its source or target any more. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_whole(migration text, task text)
    RETURNS TABLE (severity text, "check" text, message text, hint text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
    query text;
    plan jsonb;
    error_message text;
BEGIN
    query := mongoferry.task_query($1, $2);
    PERFORM mongoferry.use_search_path($1, $2);
    EXECUTE 'EXPLAIN (VERBOSE, FORMAT JSON) ' || query INTO plan USING mongoferry.raw_bounds('{}');
    -- Only what stands above the scan of the source counts: an aggregate over the elements of one document is all right.
    RETURN QUERY
        SELECT 'warning', 'whole source',
            format('transform combines documents, but sees one chunk at a time (%s)', string_agg(DISTINCT found.kind, ', ')),
            'GROUP BY, DISTINCT, LIMIT and window functions are computed chunk by chunk. That is all right within one document; '
            'else let the target combine (on_conflict), or do it after the migration. This is judged by the plan.'
        FROM (
            SELECT node ->> 'Node Type' AS kind
            FROM jsonb_path_query(plan, 'lax $.** ? (@."Node Type" == "Aggregate" || @."Node Type" == "WindowAgg" '
                '|| @."Node Type" == "Limit" || @."Node Type" == "Unique" || @."Node Type" == "SetOp")') AS node
            WHERE jsonb_path_exists(node, 'lax $.** ? (@."Node Type" == "Foreign Scan" && @."Relation Name" == $name && @."Schema" == $schema)',
                (SELECT jsonb_build_object('name', c.relname, 'schema', n.nspname)
                FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = this.source))
        ) AS found
        HAVING count(*) > 0;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS error_message := MESSAGE_TEXT;
    RETURN QUERY SELECT 'note', 'whole source', format('the plan of the transform cannot be looked at: %s', error_message), NULL;
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_whole(text, text) IS
    'a warning if a transform seems to need all documents at once: by its plan, an aggregate, DISTINCT, LIMIT or window function over the source. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_source(migration text, task text)
    RETURNS TABLE (severity text, "check" text, message text, hint text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
    documents bigint;
    bytes numeric;
    error_message text; error_detail text; error_hint text;
BEGIN
    documents := mongoferry.count_documents(this.source);
    SELECT avg(length(d.raw)) INTO bytes FROM mongoferry.read_documents(this.source, NULL, 200) AS d;
    IF documents = 0 AND bytes IS NULL THEN
        RETURN QUERY SELECT 'warning', 'source', format('%s has no documents', mongoferry.table_name(this.source)),
            'Check the options "database" and "collection": a live server takes a collection that does not exist for an empty one.';
    ELSE
        RETURN QUERY SELECT 'note', 'source', format('%s has %s documents, about %s', mongoferry.table_name(this.source),
            documents, pg_size_pretty(documents * coalesce(bytes, 0))), 'The size is estimated by the first documents, as BSON.';
    END IF;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS error_message := MESSAGE_TEXT, error_detail := PG_EXCEPTION_DETAIL, error_hint := PG_EXCEPTION_HINT;
    RETURN QUERY SELECT 'error', 'source', format('cannot read %s: %s', mongoferry.table_name(this.source), error_message),
        nullif(concat_ws(E'\n', nullif(error_detail, ''), nullif(error_hint, '')), '');
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_source(text, text) IS
    'how many documents the source of a task has, or why it cannot be read. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_target(migration text, task text)
    RETURNS TABLE (severity text, "check" text, message text, hint text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
    has_rows boolean;
BEGIN
    -- What the migration itself has written so far is no surprise.
    IF this.on_conflict <> 'error' OR NOT has_table_privilege(this.target, 'SELECT')
        OR EXISTS (SELECT FROM mongoferry.task AS t WHERE t.migration = $1 AND t.state <> 'new'
            AND mongoferry.share_rows(t.target, this.target))
    THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', mongoferry.table_name(this.target)) INTO has_rows;
    IF has_rows THEN
        RETURN QUERY SELECT 'warning', 'target', format('%s is not empty', mongoferry.table_name(this.target)),
            'Documents whose keys are there already will be refused. Empty it, or set on_conflict.';
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RETURN; -- preflight_rights() says so
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_target(text, text) IS
    'a warning if the target of a task that has not begun is not empty, and on_conflict does not say what to do. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_indexes(migration text, task text)
    RETURNS TABLE (severity text, "check" text, message text, hint text)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
BEGIN
    RETURN QUERY
        SELECT 'warning', 'index', format('no index for foreign key "%s" on (%s) of %s', k.constraint_name,
                mongoferry.column_list(k.columns), mongoferry.table_name(k.referencing)),
            format('Deleting from %s, and looking for its rows, reads the whole table: CREATE INDEX ON %s (%s), best after the migration.',
                mongoferry.table_name(k.referenced), mongoferry.table_name(k.referencing), mongoferry.column_list(k.columns))
        FROM mongoferry.target_foreign_keys(this.target) AS k
        WHERE NOT EXISTS (SELECT FROM pg_index AS i
            WHERE i.indrelid = k.referencing AND i.indisvalid AND i.indpred IS NULL
                AND k.columns <@ ARRAY(SELECT a.attname
                    FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS p (attribute, number)
                    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = p.attribute
                    WHERE p.number <= least(cardinality(k.columns), i.indnkeyatts)));
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_indexes(text, text) IS
    'foreign keys of the target of a task without an index that begins with their columns. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_triggers(migration text, task text)
    RETURNS TABLE (severity text, "check" text, message text, hint text)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
BEGIN
    RETURN QUERY
        SELECT 'warning', 'trigger', format('trigger "%s" of %s fires for each row', t.tgname, mongoferry.table_name(t.tgrelid)),
            format('It takes time, and may do more than a copy should. ALTER TABLE %s DISABLE TRIGGER %I leaves it out.',
                mongoferry.table_name(t.tgrelid), t.tgname)
        FROM pg_trigger AS t
        WHERE t.tgrelid IN (SELECT this.target UNION SELECT p.relid FROM pg_partition_tree(this.target) AS p)
            AND NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled IN ('O', 'A')
            AND t.tgtype & 1 = 1 -- FOR EACH ROW
            AND (t.tgtype & 4 = 4 OR t.tgtype & 16 = 16 AND this.on_conflict = 'update') -- INSERT, UPDATE
        ORDER BY t.tgname;
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_triggers(text, text) IS
    'triggers of users that fire for each row that a task writes. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_workers()
    RETURNS TABLE (severity text, "check" text, message text, hint text)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT CASE WHEN s.setting::integer < 3 THEN 'warning' ELSE 'note' END, 'workers',
        format('max_worker_processes is %s', s.setting),
        'The workers of migrate() count among them, and so do those of parallel queries, of logical replication and of other extensions.'
    FROM pg_settings AS s WHERE s.name = 'max_worker_processes'
$function$;
COMMENT ON FUNCTION mongoferry.preflight_workers() IS
    'how many background workers the server allows; a warning where that is less than migrate() asks for by itself. Part of preflight()';

-- The sample.

CREATE FUNCTION mongoferry.preflight_sequences(migration text, task text) RETURNS regclass[]
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
    found_sequences regclass[];
BEGIN
    PERFORM mongoferry.use_search_path($1, $2);
    WITH relation AS (
        SELECT this.target::oid AS oid UNION SELECT p.relid FROM pg_catalog.pg_partition_tree(this.target) AS p
    ), code AS (
        SELECT this.transform AS text
        UNION ALL
        SELECT p.prosrc FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
        WHERE t.tgrelid IN (SELECT r.oid FROM relation AS r) AND NOT t.tgisinternal
    )
    SELECT pg_catalog.array_agg(DISTINCT c.oid::regclass) INTO found_sequences
    FROM pg_catalog.pg_class AS c
    WHERE c.relkind = 'S' AND c.oid IN (
        -- behind serial and identity columns
        SELECT d.objid FROM pg_catalog.pg_depend AS d
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
            AND d.refobjid IN (SELECT r.oid FROM relation AS r) AND d.deptype IN ('a', 'i')
        UNION ALL
        -- in defaults
        SELECT d.refobjid FROM pg_catalog.pg_attrdef AS a JOIN pg_catalog.pg_depend AS d
            ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = a.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
        WHERE a.adrelid IN (SELECT r.oid FROM relation AS r)
        UNION ALL
        -- by name in code
        SELECT pg_catalog.to_regclass(m.name[1])::oid
        FROM code AS k CROSS JOIN LATERAL pg_catalog.regexp_matches(k.text, 'nextval\s*\(\s*''([^'']+)''', 'gi') AS m (name));
    RETURN coalesce(found_sequences, '{}');
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_sequences(text, text) IS
    'sequences that writing to the target of a task may move: behind its columns, in their defaults, and those that nextval() names in the transform and in functions of its triggers. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_restart_sequence(sequence regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    limits record;
    following numeric;
BEGIN
    SELECT s.seqmin, s.seqmax, s.seqincrement INTO limits FROM pg_sequence AS s WHERE s.seqrelid = $1;
    EXECUTE format('SELECT CASE WHEN is_called THEN last_value::numeric + $1 ELSE last_value END FROM %s', mongoferry.table_name($1))
        INTO following USING limits.seqincrement;
    EXECUTE format('ALTER SEQUENCE %s RESTART WITH %s', mongoferry.table_name($1),
        greatest(limits.seqmin, least(limits.seqmax, following)));
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_restart_sequence(regclass) IS
    'lets a sequence go on from where it is in new storage, so that a rollback also takes back the numbers that it gives; other sessions wait for it meanwhile. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_try(migration text, task text, bounds bytea, OUT documents bigint, OUT rows_written bigint,
        OUT row_bytes numeric, OUT refusals jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
    statement CONSTANT text := mongoferry.task_statement($1, $2);
    sequence regclass;
    was_empty boolean := false;
BEGIN
    BEGIN
        FOREACH sequence IN ARRAY mongoferry.preflight_sequences($1, $2) LOOP
            PERFORM mongoferry.preflight_restart_sequence(sequence);
        END LOOP;
        IF has_table_privilege(this.target, 'SELECT') AND NOT mongoferry.is_remote(this.target) THEN
            EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s)', mongoferry.table_name(this.target)) INTO was_empty;
        END IF;
        PERFORM mongoferry.use_search_path($1, $2);
        SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(w)) INTO refusals FROM (
            SELECT r.source_id, r.sqlstate, r.message, r.detail, r.hint, r.constraint_name, r.column_name
            FROM mongoferry.write_chunk(this.source, statement, $3) AS r) AS w;
        SELECT t.documents, t.rows_written INTO documents, rows_written FROM mongoferry.chunk_totals() AS t;
        IF was_empty THEN
            EXECUTE pg_catalog.format('SELECT pg_catalog.avg(pg_catalog.pg_column_size(t) + 4) FROM %s AS t', mongoferry.table_name(this.target))
                INTO row_bytes;
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'MFUND', MESSAGE = 'the sample is taken back';
    EXCEPTION WHEN SQLSTATE 'MFUND' THEN
        -- What variables hold stays.
        NULL;
    END;
    refusals := coalesce(refusals, '[]');
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_try(text, text, bytea) IS
    'writes documents to the target of a task and takes that back: how many documents and rows it were, the average size of a row (NULL unless the target was empty), and the refusals. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_sample(migration text, task text)
    RETURNS TABLE (severity text, "check" text, message text, hint text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    most_bytes CONSTANT integer := 64 * 1024 * 1024;
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
    sample bytea[];
    tried record;
    foreign_sequences text;
    error_message text; error_detail text; error_hint text;
BEGIN
    IF mongoferry.is_remote(this.target) THEN
        -- A foreign server may not take anything back.
        RETURN QUERY SELECT 'note', 'sample', format('no sample was written to %s', mongoferry.table_name(this.target)),
            'Its rows are kept elsewhere, and not every server can take them back.';
        RETURN;
    END IF;
    SELECT string_agg(mongoferry.table_name(s.sequence), ', ') INTO foreign_sequences
    FROM unnest(mongoferry.preflight_sequences($1, $2)) AS s (sequence)
    JOIN pg_class AS c ON c.oid = s.sequence WHERE NOT pg_has_role(c.relowner, 'USAGE');
    IF foreign_sequences IS NOT NULL THEN
        RETURN QUERY SELECT 'warning', 'sample', format('no sample was written to %s', mongoferry.table_name(this.target)),
            format('It could move sequences of another role, which cannot be taken back: %s.', foreign_sequences);
        RETURN;
    END IF;

    SELECT array_agg(d.raw) INTO sample
    FROM (SELECT r.raw, sum(length(r.raw)) OVER (ROWS UNBOUNDED PRECEDING) AS total
          FROM mongoferry.read_documents(this.source, NULL, 200) AS r) AS d
    WHERE d.total <= most_bytes;
    IF sample IS NULL THEN
        RETURN;
    END IF;
    SELECT * INTO tried FROM mongoferry.preflight_try($1, $2, mongoferry.raw_bounds(sample));

    RETURN QUERY
        WITH refusal AS (
            SELECT r.*,
                -- It may be that another task brings what is missing, or that this one does.
                r.sqlstate = '23503' AND EXISTS (SELECT FROM mongoferry.target_foreign_keys(this.target) AS k
                    JOIN mongoferry.task AS t ON t.migration = $1 AND mongoferry.share_rows(t.target, k.referenced)
                    WHERE k.constraint_name = r.constraint_name AND t.state <> 'done')
                -- What a migration that has begun finds there is what it has written.
                OR r.sqlstate = '23505' AND this.state <> 'new' AS is_open
            FROM jsonb_to_recordset(tried.refusals) AS r (source_id jsonb, sqlstate text, message text, detail text, hint text,
                constraint_name text, column_name text)
        ), cause AS (
            SELECT r.is_open, count(*) AS documents, (array_agg(r.message))[1] AS message, (array_agg(r.source_id))[1] AS source_id,
                (array_agg(r.detail))[1] AS detail, (array_agg(r.hint))[1] AS hint, sum(count(*)) OVER (PARTITION BY r.is_open) AS alike
            FROM refusal AS r
            GROUP BY r.is_open, r.sqlstate, r.constraint_name, r.column_name,
                CASE WHEN r.constraint_name IS NULL AND r.column_name IS NULL THEN regexp_replace(r.message, ': .*$', '') END
        )
        SELECT CASE WHEN c.is_open THEN 'note'
                WHEN c.alike = tried.documents OR this.on_error = 'abort' OR c.alike > this.max_errors THEN 'error'
                ELSE 'warning' END,
            'sample',
            format(CASE WHEN c.is_open THEN '%s of the first %s documents could not be judged: %s'
                ELSE '%s of the first %s documents are refused: %s' END, c.documents, tried.documents, c.message),
            concat_ws(E'\n', c.detail, c.hint, CASE WHEN c.is_open
                    THEN 'A task of the migration brings, or has brought, the row in question.' END,
                format('One of them has _id %s.', c.source_id))
        FROM cause AS c
        ORDER BY c.is_open, c.documents DESC;
    IF tried.refusals = '[]' THEN
        RETURN QUERY SELECT 'note', 'sample', format('the first %s documents give %s rows', tried.documents, tried.rows_written),
            'They were written and taken back.';
    END IF;
    IF tried.row_bytes IS NOT NULL AND tried.documents > 0 THEN
        RETURN QUERY SELECT 'note', 'target size', format('%s will take about %s, without its indexes', mongoferry.table_name(this.target),
                pg_size_pretty(mongoferry.count_documents(this.source) * tried.row_bytes * tried.rows_written / tried.documents)),
            'Estimated by the first documents. PostgreSQL does not know how much of the disk is free: compare it.';
    END IF;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS error_message := MESSAGE_TEXT, error_detail := PG_EXCEPTION_DETAIL, error_hint := PG_EXCEPTION_HINT;
    RETURN QUERY SELECT 'error', 'sample', format('the sample cannot be written: %s', error_message),
        nullif(concat_ws(E'\n', nullif(error_detail, ''), nullif(error_hint, '')), '');
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_sample(text, text) IS
    'tries the statement of a task on up to 200 documents, the first that the source gives, and takes it back; what was refused, by cause. Refusals by foreign keys to targets of tasks that are not done are no more than a note. Part of preflight()';

CREATE FUNCTION mongoferry.preflight(name text)
    RETURNS TABLE (severity text, task text, "check" text, message text, hint text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this text;
    of_task jsonb;
    found_rows jsonb;
BEGIN
    PERFORM mongoferry.require_owner($1);
    SELECT coalesce(jsonb_agg(to_jsonb(f)), '[]') INTO found_rows
    FROM (SELECT o.* FROM mongoferry.preflight_order($1) AS o UNION ALL SELECT w.* FROM mongoferry.preflight_workers() AS w) AS f;
    IF NOT EXISTS (SELECT FROM mongoferry.task AS t WHERE t.migration = $1) THEN
        found_rows := found_rows || jsonb_build_object('severity', 'error', 'check', 'tasks',
            'message', format('migration "%s" has no tasks', $1), 'hint', 'Add them with mongoferry.add_task().');
    END IF;
    FOR this IN SELECT t.task FROM mongoferry.task AS t WHERE t.migration = $1 ORDER BY t."position" LOOP
        SELECT coalesce(jsonb_agg(to_jsonb(f)), '[]') INTO of_task
        FROM (SELECT r.* FROM mongoferry.preflight_rights($1, this) AS r
              UNION ALL SELECT s.* FROM mongoferry.preflight_statement($1, this) AS s) AS f;
        IF NOT jsonb_path_exists(of_task, '$[*] ? (@.severity == "error" && @.check == "transform")') THEN
            of_task := of_task || (SELECT coalesce(jsonb_agg(to_jsonb(f)), '[]') FROM mongoferry.preflight_whole($1, this) AS f);
        END IF;
        of_task := of_task || (SELECT coalesce(jsonb_agg(to_jsonb(f)), '[]')
            FROM (SELECT s.* FROM mongoferry.preflight_source($1, this) AS s
                  UNION ALL SELECT t.* FROM mongoferry.preflight_target($1, this) AS t
                  UNION ALL SELECT i.* FROM mongoferry.preflight_indexes($1, this) AS i
                  UNION ALL SELECT t.* FROM mongoferry.preflight_triggers($1, this) AS t) AS f);
        -- Where something is wrong already, the sample would only say it again.
        IF NOT jsonb_path_exists(of_task, '$[*] ? (@.severity == "error")') THEN
            of_task := of_task || (SELECT coalesce(jsonb_agg(to_jsonb(f)), '[]') FROM mongoferry.preflight_sample($1, this) AS f);
        END IF;
        found_rows := found_rows || (SELECT coalesce(jsonb_agg(f || jsonb_build_object('task', this)), '[]') FROM jsonb_array_elements(of_task) AS f);
    END LOOP;
    RETURN QUERY
        SELECT f ->> 'severity', f ->> 'task', f ->> 'check', f ->> 'message', f ->> 'hint'
        FROM jsonb_array_elements(found_rows) WITH ORDINALITY AS r (f, number)
        ORDER BY array_position(ARRAY['error', 'warning', 'note'], f ->> 'severity'), r.number;
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight(text) IS
    'what would go wrong in migrate(): a row for each finding, errors first, then warnings and notes; task is NULL where it is about the migration. A sample of each source is written and taken back, so nothing is changed; what a trigger or a function does outside of the transaction is done. Only for the owner of the migration';
