-- The checks of preflight() that ask the catalogues: a function for each, which returns rows (severity, "check", message,
-- hint) about a task or a migration.

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

CREATE FUNCTION mongoferry.preflight_advice(detail text, hint text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT nullif(concat_ws(E'\n', nullif($1, ''), nullif($2, '')), '')
$function$;
COMMENT ON FUNCTION mongoferry.preflight_advice(text, text) IS
    'detail and hint of a caught error as one hint, a line each; NULL if it has neither. Part of preflight()';

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
    RETURN QUERY SELECT 'error', 'order', error_message, mongoferry.preflight_advice(error_detail, error_hint);
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_order(text) IS
    'the error of check_order() as a row, if there is one. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_deferred(migration text)
    RETURNS TABLE (severity text, "check" text, message text, hint text)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT 'note', 'deferred', format('taken off by an earlier run: %s', off.amount),
        'The next run puts them back when all tasks of their tables are done, CALL mongoferry.restore_deferred() at once.'
    FROM (SELECT mongoferry.count_deferred($1) AS amount) AS off
    WHERE off.amount IS NOT NULL
$function$;
COMMENT ON FUNCTION mongoferry.preflight_deferred(text) IS
    'a row if indexes or foreign keys of the targets are taken off. Part of preflight()';

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
    RETURN QUERY SELECT 'error', 'transform', error_message, mongoferry.preflight_advice(error_detail, error_hint);
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

CREATE FUNCTION mongoferry.preflight_identity(migration text, task text)
    RETURNS TABLE (severity text, "check" text, message text, hint text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
    filled CONSTANT name[] := ARRAY(SELECT c.column_name FROM mongoferry.task_columns($1, $2) AS c);
BEGIN
    -- advance_sequence() raises an error for these when all has been carried over.
    RETURN QUERY
        SELECT CASE WHEN r.may_set THEN 'note' ELSE 'error' END, CASE WHEN r.may_set THEN 'sequence' ELSE 'rights' END,
            format(CASE WHEN r.may_set THEN 'sequence %s behind %s of %s will be set past the copied values'
                ELSE 'no right to set sequence %s behind %s of %s' END,
                mongoferry.table_name(r.sequence), quote_ident(r.column_name), mongoferry.table_name(this.target)),
            CASE WHEN r.may_set THEN 'When the task is done; it is never set back.'
                ELSE format('GRANT SELECT, UPDATE ON SEQUENCE %s TO %I.', mongoferry.table_name(r.sequence), current_user) END
        FROM (
            SELECT f.column_name, f.sequence,
                has_sequence_privilege(f.sequence, 'SELECT') AND has_sequence_privilege(f.sequence, 'UPDATE') AS may_set
            FROM mongoferry.filled_sequences($1, $2) AS f
        ) AS r
        ORDER BY r.column_name, r.sequence;
    RETURN QUERY
        SELECT 'note', 'identity', format('%s of %s is GENERATED ALWAYS, and the transform gives it', quote_ident(a.attname),
                mongoferry.table_name(this.target)),
            'The values are written as they are (OVERRIDING SYSTEM VALUE).'
        FROM pg_attribute AS a
        WHERE a.attrelid = this.target AND a.attname = ANY (filled) AND a.attidentity = 'a'
        ORDER BY a.attnum;
    -- An identity column needs no right on its sequence, a default does.
    RETURN QUERY
        SELECT DISTINCT 'error', 'rights', format('no right to draw from sequence %s, the default of %s of %s',
                mongoferry.table_name(d.refobjid), quote_ident(a.attname), mongoferry.table_name(this.target)),
            format('GRANT USAGE ON SEQUENCE %s TO %I.', mongoferry.table_name(d.refobjid), current_user)
        FROM pg_attribute AS a
        JOIN pg_attrdef AS e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
        JOIN pg_depend AS d ON d.classid = 'pg_attrdef'::regclass AND d.objid = e.oid AND d.refclassid = 'pg_class'::regclass
        JOIN pg_class AS c ON c.oid = d.refobjid
        WHERE a.attrelid = this.target AND NOT a.attisdropped AND NOT a.attname = ANY (filled)
            AND NOT mongoferry.is_update(this.target, this.on_conflict, filled)
            -- not joined: the privileges of what is no sequence cannot be asked for
            AND CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(c.oid, 'USAGE, UPDATE') END;
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_identity(text, text) IS
    'sequences behind columns that a task fills, which will be set, or may not be; columns GENERATED ALWAYS that it fills; sequences that defaults draw from without the right to. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_remote(migration text, task text)
    RETURNS TABLE (severity text, "check" text, message text, hint text)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
BEGIN
    IF mongoferry.is_remote(this.target) THEN
        RETURN QUERY SELECT CASE WHEN this.on_conflict = 'error' THEN 'warning' ELSE 'note' END, 'remote target',
            format('rows of %s are kept on another server', mongoferry.table_name(this.target)),
            'They are committed there before the chunk is marked as done here. After a crash in between, the chunk is carried over again: '
            || CASE WHEN this.on_conflict = 'error'
                THEN 'its rows are then there twice, or refused. Set on_conflict to "nothing", and let the table there have a unique key.'
                ELSE 'on_conflict "nothing" passes over its rows, if the table there has a unique key that they meet.' END;
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_remote(text, text) IS
    'a warning if the target of a task is on another server, where a crash may leave rows of a chunk that is not marked; a note if on_conflict makes that harmless. Part of preflight()';
