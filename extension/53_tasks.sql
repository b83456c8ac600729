-- Tasks: added, altered, dropped, begun anew. A task is written to the catalogue first and checked then, as it stands
-- there; what is wrong raises an error, which takes the change back.

CREATE FUNCTION mongoferry.check_task(migration text, task text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this mongoferry.task;
    statement text;
    assignment text;
    kind "char";
    persistence "char";
    rights CONSTANT integer := 8; -- what pg_relation_is_updatable() calls INSERT; 4 is UPDATE
    state text; message text; detail text; hint text;
BEGIN
    PERFORM mongoferry.require_owner($1);
    this := mongoferry.find_task($1, $2);

    IF NOT EXISTS (
        SELECT FROM pg_foreign_table AS ft
        JOIN pg_foreign_server AS s ON s.oid = ft.ftserver
        JOIN pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw
        WHERE ft.ftrelid = this.source AND w.fdwhandler = 'mongoferry.mongoferry_handler()'::regprocedure)
    THEN
        RAISE EXCEPTION 'source of task "%" of migration "%" is not a foreign table of mongoferry: %',
            $2, $1, mongoferry.table_name(this.source)
            USING ERRCODE = 'wrong_object_type',
                HINT = 'CREATE FOREIGN TABLE or IMPORT FOREIGN SCHEMA makes one of a collection; the transform may join other tables.';
    END IF;

    SELECT c.relkind, c.relpersistence INTO kind, persistence FROM pg_class AS c WHERE c.oid = this.target;
    IF kind NOT IN ('r', 'p', 'f') THEN
        RAISE EXCEPTION 'target of task "%" of migration "%" is not a table: %', $2, $1, mongoferry.table_name(this.target)
            USING ERRCODE = 'wrong_object_type',
                DETAIL = 'It takes a table, a partitioned table or a foreign table that can be written.',
                HINT = CASE WHEN kind IN ('v', 'm') THEN 'Name the table behind the view.'
                    ELSE 'Name the table that the rows go to.' END;
    END IF;
    IF persistence = 't' THEN
        RAISE EXCEPTION 'target of task "%" of migration "%" is a temporary table: %', $2, $1,
            (SELECT quote_ident(c.relname) FROM pg_class AS c WHERE c.oid = this.target)
            USING ERRCODE = 'wrong_object_type', DETAIL = 'The sessions that carry the rows over do not see it.',
                HINT = 'Name a table that is not temporary.';
    END IF;
    IF kind = 'f' AND pg_relation_is_updatable(this.target, false) & rights = 0 THEN
        RAISE EXCEPTION 'target of task "%" of migration "%" is a foreign table that cannot be written: %',
            $2, $1, mongoferry.table_name(this.target)
            USING ERRCODE = 'wrong_object_type';
    END IF;

    IF $2 = ANY (this.depends_on) THEN
        RAISE EXCEPTION 'task "%" of migration "%" cannot depend on itself', $2, $1
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF array_position(this.depends_on, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'depends_on of task "%" of migration "%" contains NULL', $2, $1
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF cardinality(this.conflict_key) = 0 OR array_position(this.conflict_key, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'conflict_key of task "%" of migration "%" is empty or contains NULL', $2, $1
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave it out to use the primary key.';
    END IF;
    IF this.changed_field !~ '^[^.]+(\.[^.]+)*$' THEN
        RAISE EXCEPTION 'changed_field of task "%" of migration "%" is not the path of a field: "%"', $2, $1, this.changed_field
            USING ERRCODE = 'invalid_parameter_value', HINT = 'A path is names with dots between, such as "meta.updated".';
    END IF;

    PERFORM mongoferry.task_key($1, $2);
    statement := mongoferry.task_statement($1, $2);
    -- Whether every value can be assigned to its column, the server itself knows best: it plans the statement. An UPDATE does
    -- not assign the key, so there an INSERT of all is planned besides.
    IF statement LIKE 'UPDATE %' THEN
        assignment := format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE %s', mongoferry.table_name(this.target),
            mongoferry.column_list(ARRAY(SELECT c.column_name FROM mongoferry.task_columns($1, $2) AS c ORDER BY c.position)),
            mongoferry.task_query($1, $2));
    END IF;
    BEGIN
        PERFORM mongoferry.use_search_path($1, $2);
        PERFORM FROM mongoferry.describe_query(statement);
        PERFORM FROM mongoferry.describe_query(assignment); -- strict: nothing for NULL
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
            hint = PG_EXCEPTION_HINT;
        PERFORM mongoferry.raise_about_transform($1, $2, state, message, detail, hint);
    END;
END
$function$;
COMMENT ON FUNCTION mongoferry.check_task(text, text) IS
    'checks a task as it stands: source, target, transform, columns, types, keys. Raises an error that tells what is wrong. add_task() and alter_task() call it; by hand it is of use after a source or a target was altered';

CREATE FUNCTION mongoferry.warn_of_remote_target(migration text, task text) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
BEGIN
    IF this.on_conflict = 'error' AND mongoferry.is_remote(this.target) THEN
        RAISE WARNING 'task "%" of migration "%" may write rows twice after a crash', $2, $1
            USING DETAIL = format('%s is a foreign table or has foreign partitions: a chunk is committed there before it is marked as done here.',
                    mongoferry.table_name(this.target)),
                HINT = 'Let the table there have a unique key, and set on_conflict "nothing".';
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.warn_of_remote_target(text, text) IS
    'a warning if the target of a task is kept on another server, and nothing there keeps a chunk that is carried over again from being written twice. Part of the toolkit';

CREATE FUNCTION mongoferry.check_settings(chunk_size integer, on_conflict text, on_error text, max_errors bigint) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    IF chunk_size < 1 THEN
        RAISE EXCEPTION 'chunk_size must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF on_conflict NOT IN ('error', 'nothing', 'update') THEN
        RAISE EXCEPTION 'invalid value for on_conflict: "%"', on_conflict
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Valid values are "error", "nothing" and "update".';
    END IF;
    IF on_error NOT IN ('quarantine', 'abort') THEN
        RAISE EXCEPTION 'invalid value for on_error: "%"', on_error
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Valid values are "quarantine" and "abort".';
    END IF;
    IF max_errors < 0 THEN
        RAISE EXCEPTION 'max_errors must not be negative' USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.check_settings(integer, text, text, bigint) IS
    'raises an error for a setting of a task that is out of its range; NULL passes. Part of the toolkit';

CREATE FUNCTION mongoferry.add_task(
    migration text,
    task text,
    source regclass,
    target regclass,
    transform text DEFAULT NULL,
    depends_on text[] DEFAULT '{}',
    chunk_size integer DEFAULT 20000,
    on_conflict text DEFAULT 'error',
    conflict_key text[] DEFAULT NULL,
    on_error text DEFAULT 'quarantine',
    max_errors bigint DEFAULT NULL,
    changed_field text DEFAULT NULL,
    search_path text DEFAULT pg_catalog.current_setting('search_path') -- evaluated by the caller, under the caller's
) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM mongoferry.require_owner($1);
    IF coalesce($2, '') = '' THEN
        RAISE EXCEPTION 'a task needs a name' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF $3 IS NULL OR $4 IS NULL THEN
        RAISE EXCEPTION 'task "%" of migration "%" needs a source and a target', $2, $1
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF $6 IS NULL OR $7 IS NULL OR $8 IS NULL OR $10 IS NULL OR $13 IS NULL THEN
        RAISE EXCEPTION 'depends_on, chunk_size, on_conflict, on_error and search_path must not be NULL'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Leave them out for their defaults.';
    END IF;
    PERFORM mongoferry.check_settings($7, $8, $10, $11);
    -- One at a time, for the sake of the position.
    PERFORM FROM mongoferry.migration AS m WHERE m.migration = $1 FOR NO KEY UPDATE;
    INSERT INTO mongoferry.task (migration, task, position, source, target, transform, depends_on, chunk_size, on_conflict,
            conflict_key, on_error, max_errors, changed_field, search_path)
        VALUES ($1, $2, (SELECT coalesce(max(t.position), 0) + 1 FROM mongoferry.task AS t WHERE t.migration = $1),
            $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT ON CONSTRAINT task_pkey DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'task "%" of migration "%" already exists', $2, $1
            USING ERRCODE = 'duplicate_object', HINT = 'mongoferry.alter_task() changes it.';
    END IF;
    PERFORM mongoferry.check_task($1, $2);
    PERFORM mongoferry.warn_of_remote_target($1, $2);
END
$function$;
COMMENT ON FUNCTION mongoferry.add_task(text, text, regclass, regclass, text, text[], integer, text, text[], text, bigint, text, text) IS
    'adds a task to a migration: carry the documents of source (a foreign table of mongoferry), as transform (a SELECT over "source") gives them, into target, columns by name. Without a transform, columns go over by equal names. All of it is checked at once';

CREATE FUNCTION mongoferry.alter_task(
    migration text,
    task text,
    source regclass DEFAULT NULL,
    target regclass DEFAULT NULL,
    transform text DEFAULT NULL,
    depends_on text[] DEFAULT NULL,
    chunk_size integer DEFAULT NULL,
    on_conflict text DEFAULT NULL,
    conflict_key text[] DEFAULT NULL,
    on_error text DEFAULT NULL,
    max_errors bigint DEFAULT NULL,
    changed_field text DEFAULT NULL,
    reset text[] DEFAULT '{}',
    search_path text DEFAULT pg_catalog.current_setting('search_path') -- evaluated by the caller, under the caller's
) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    resettable CONSTANT text[] := '{transform,depends_on,chunk_size,on_conflict,conflict_key,on_error,max_errors,changed_field}';
    given CONSTANT text[] := array_remove(ARRAY[
        CASE WHEN $5 IS NOT NULL THEN 'transform' END, CASE WHEN $6 IS NOT NULL THEN 'depends_on' END,
        CASE WHEN $7 IS NOT NULL THEN 'chunk_size' END, CASE WHEN $8 IS NOT NULL THEN 'on_conflict' END,
        CASE WHEN $9 IS NOT NULL THEN 'conflict_key' END, CASE WHEN $10 IS NOT NULL THEN 'on_error' END,
        CASE WHEN $11 IS NOT NULL THEN 'max_errors' END, CASE WHEN $12 IS NOT NULL THEN 'changed_field' END], NULL);
    this mongoferry.task;
    setting text;
BEGIN
    PERFORM mongoferry.require_owner($1);
    -- not find_task(): the source or the target may be gone, and this be what mends it
    PERFORM mongoferry.require_task($1, $2);
    SELECT t.* INTO this FROM mongoferry.task AS t WHERE t.migration = $1 AND t.task = $2 FOR NO KEY UPDATE;
    FOREACH setting IN ARRAY coalesce($13, '{}') LOOP
        IF setting IS NULL OR NOT setting = ANY (resettable) THEN
            RAISE EXCEPTION 'setting "%" of a task cannot be reset', setting
                USING ERRCODE = 'invalid_parameter_value',
                    HINT = format('Those that can be: %s.', array_to_string(resettable, ', '));
        END IF;
        IF setting = ANY (given) THEN
            RAISE EXCEPTION 'setting "%" is both given and reset', setting USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END LOOP;
    PERFORM mongoferry.check_settings($7, $8, $10, $11);
    -- One that is gone may be replaced: it was dropped and made anew. Its chunks hold as long as it is the same collection.
    IF this.state <> 'new' AND ($3 <> this.source AND mongoferry.table_name(this.source) IS NOT NULL
        OR $4 <> this.target AND mongoferry.table_name(this.target) IS NOT NULL)
    THEN
        RAISE EXCEPTION 'task "%" of migration "%" has begun: its source and its target cannot be changed', $2, $1
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'mongoferry.reset_task() lets it begin anew; what it wrote to the target is not touched.';
    END IF;
    IF this.state <> 'new' AND (($7 IS NOT NULL AND $7 <> this.chunk_size) OR 'chunk_size' = ANY ($13)) THEN
        RAISE NOTICE 'task "%" of migration "%" has been split into chunks already: chunk_size counts from its next split', $2, $1
            USING HINT = 'mongoferry.reset_task() lets it begin anew; what it wrote to the target is not touched.';
    END IF;

    FOREACH setting IN ARRAY coalesce($13, '{}') LOOP
        EXECUTE format('UPDATE mongoferry.task AS t SET %I = DEFAULT WHERE t.migration = $1 AND t.task = $2', setting)
            USING $1, $2;
    END LOOP;
    UPDATE mongoferry.task AS t SET
        source = coalesce($3, t.source),
        target = coalesce($4, t.target),
        transform = coalesce($5, t.transform),
        search_path = CASE WHEN $5 IS NULL THEN t.search_path ELSE coalesce($14, t.search_path) END,
        depends_on = coalesce($6, t.depends_on),
        chunk_size = coalesce($7, t.chunk_size),
        on_conflict = coalesce($8, t.on_conflict),
        conflict_key = coalesce($9, t.conflict_key),
        on_error = coalesce($10, t.on_error),
        max_errors = coalesce($11, t.max_errors),
        changed_field = coalesce($12, t.changed_field)
    WHERE t.migration = $1 AND t.task = $2;
    PERFORM mongoferry.check_task($1, $2);
    IF $4 IS NOT NULL OR $8 IS NOT NULL OR 'on_conflict' = ANY ($13) THEN
        PERFORM mongoferry.warn_of_remote_target($1, $2);
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.alter_task(text, text, regclass, regclass, text, text[], integer, text, text[], text, bigint, text, text[], text) IS
    'changes a task: what is left out or NULL stays as it is, settings named in reset go back to their defaults. search_path counts where a transform is given. The task is checked as by add_task(). It counts from the next chunk on';

CREATE FUNCTION mongoferry.drop_task(migration text, task text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM mongoferry.require_task($1, $2);
    PERFORM mongoferry.exclude_runs($1);
    DELETE FROM mongoferry.task AS t WHERE t.migration = $1 AND t.task = $2;
END
$function$;
COMMENT ON FUNCTION mongoferry.drop_task(text, text) IS
    'forgets a task with its chunks and refused documents. Its target and the rows there stay';

CREATE FUNCTION mongoferry.reset_task(migration text, task text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM mongoferry.require_task($1, $2);
    PERFORM mongoferry.exclude_runs($1);
    UPDATE mongoferry.task AS t SET state = DEFAULT, documents_total = DEFAULT, bytes_total = DEFAULT,
        documents_mended = DEFAULT, rows_mended = DEFAULT, failure_sqlstate = DEFAULT, failure = DEFAULT,
        started_at = DEFAULT, finished_at = DEFAULT
    WHERE t.migration = $1 AND t.task = $2;
    DELETE FROM mongoferry.chunk AS c WHERE c.migration = $1 AND c.task = $2;
    DELETE FROM mongoferry.errors AS e WHERE e.migration = $1 AND e.task = $2;
END
$function$;
COMMENT ON FUNCTION mongoferry.reset_task(text, text) IS
    'forgets how far a task has come, with its chunks and refused documents, so that the next migrate carries all of its documents over again. It does not touch the target: empty it before, or set on_conflict';
