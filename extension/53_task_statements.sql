-- From a task to SQL: the query and the statement that it runs for a chunk, and the columns and the key of its target.
-- What has to hold for them is checked here, each time they are made, because sources and targets change: add_task() and
-- alter_task() need no checks of their own for it. In all of them $1 is the bounds of the chunk, bytea.
-- Relies on bind_transform() and describe_query().

CREATE FUNCTION mongoferry.find_task(migration text, task text) RETURNS mongoferry.task
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    found_task mongoferry.task;
BEGIN
    PERFORM mongoferry.require_task(find_task.migration, find_task.task);
    SELECT t.* INTO found_task FROM mongoferry.task AS t WHERE t.migration = find_task.migration AND t.task = find_task.task;
    IF mongoferry.table_name(found_task.source) IS NULL THEN
        RAISE EXCEPTION 'source of task "%" of migration "%" does not exist any more', find_task.task, find_task.migration
            USING ERRCODE = 'undefined_table', HINT = 'Name another foreign table with mongoferry.alter_task().';
    END IF;
    IF mongoferry.table_name(found_task.target) IS NULL THEN
        RAISE EXCEPTION 'target of task "%" of migration "%" does not exist any more', find_task.task, find_task.migration
            USING ERRCODE = 'undefined_table', HINT = 'Name another table with mongoferry.alter_task().';
    END IF;
    RETURN found_task;
END
$function$;
COMMENT ON FUNCTION mongoferry.find_task(text, text) IS
    'the row of a task; raises undefined_object if there is none, and undefined_table if its source or target is gone. Part of the toolkit';

-- No SET clause: its very purpose is to change the search_path of the function that calls it. That function's own SET
-- clause puts it back at the end.
CREATE FUNCTION mongoferry.use_search_path(migration text, task text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $function$
BEGIN
    PERFORM pg_catalog.set_config('search_path', (mongoferry.find_task(migration, task)).search_path, true);
END
$function$;
COMMENT ON FUNCTION mongoferry.use_search_path(text, text) IS
    'SET LOCAL search_path to the one that the task''s transform is planned and run with; to be called around the execution of a transform, in a function whose SET clause restores the search_path. Part of the toolkit';

CREATE FUNCTION mongoferry.task_source_query(migration text, task text) RETURNS text
    LANGUAGE sql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT format('SELECT * FROM %s WHERE mongoferry.in_chunk(tableoid, $1)',
        mongoferry.table_name((mongoferry.find_task($1, $2)).source))
$function$;
COMMENT ON FUNCTION mongoferry.task_source_query(text, text) IS
    'the query that stands for "source" in a transform: the documents of one chunk, whose bounds are its parameter $1. Part of the toolkit';

CREATE FUNCTION mongoferry.transform_by_names(source regclass, target regclass) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT 'SELECT ' || string_agg(quote_ident(s.attname), ', ' ORDER BY s.attnum) || ' FROM source'
    FROM pg_attribute AS s JOIN pg_attribute AS t ON t.attname = s.attname
    WHERE s.attrelid = $1 AND s.attnum > 0 AND NOT s.attisdropped
        AND t.attrelid = $2 AND t.attnum > 0 AND NOT t.attisdropped AND t.attgenerated = ''
$function$;
COMMENT ON FUNCTION mongoferry.transform_by_names(regclass, regclass) IS
    'the transform of a task that has none: the columns whose names are equal, without those that the target computes; NULL if there is no such column. Part of the toolkit';

CREATE FUNCTION mongoferry.raise_about(what text, sqlstate text, message text, detail text, hint text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    full_message CONSTANT text := format('%s: %s', $1, $3);
BEGIN
    -- An option of RAISE must not be NULL, and an empty one shows.
    CASE
        WHEN $4 <> '' AND $5 <> '' THEN RAISE EXCEPTION USING ERRCODE = $2, MESSAGE = full_message, DETAIL = $4, HINT = $5;
        WHEN $4 <> '' THEN RAISE EXCEPTION USING ERRCODE = $2, MESSAGE = full_message, DETAIL = $4;
        WHEN $5 <> '' THEN RAISE EXCEPTION USING ERRCODE = $2, MESSAGE = full_message, HINT = $5;
        ELSE RAISE EXCEPTION USING ERRCODE = $2, MESSAGE = full_message;
    END CASE;
END
$function$;
COMMENT ON FUNCTION mongoferry.raise_about(text, text, text, text, text) IS
    'raises a caught error again, its message after what it is about. Part of the toolkit';

CREATE FUNCTION mongoferry.raise_about_transform(migration text, task text, sqlstate text, message text, detail text, hint text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM mongoferry.raise_about(format('transform of task "%s" of migration "%s" cannot be used', $2, $1), $3, $4, $5, $6);
END
$function$;
COMMENT ON FUNCTION mongoferry.raise_about_transform(text, text, text, text, text, text) IS
    'raises an error of a transform again, with the names of its task and migration. Part of the toolkit';

CREATE FUNCTION mongoferry.task_query(migration text, task text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
    source_query CONSTANT text := mongoferry.task_source_query($1, $2);
    transform CONSTANT text := coalesce(this.transform, mongoferry.transform_by_names(this.source, this.target));
    state text; message text; detail text; hint text;
BEGIN
    IF transform IS NULL THEN
        RAISE EXCEPTION 'source and target of task "%" of migration "%" have no column in common', $2, $1
            USING ERRCODE = 'undefined_column', HINT = 'Give the task a transform.';
    END IF;
    BEGIN
        RETURN mongoferry.bind_transform(transform, source_query);
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
            hint = PG_EXCEPTION_HINT;
        PERFORM mongoferry.raise_about_transform($1, $2, state, message, detail, hint);
    END;
END
$function$;
COMMENT ON FUNCTION mongoferry.task_query(text, text) IS
    'the SELECT of a task, its transform over the documents of one chunk, whose bounds are its parameter $1. To be planned and run with the task''s search_path (use_search_path()). Part of the toolkit';

CREATE FUNCTION mongoferry.task_columns(migration text, task text)
    RETURNS TABLE ("position" integer, column_name name, attribute smallint, type oid, type_modifier integer)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    this mongoferry.task;
    query text;
    given name[];
    bad text;
    example text;
    state text; message text; detail text; hint text;
BEGIN
    PERFORM mongoferry.require_owner($1);
    this := mongoferry.find_task($1, $2);
    query := mongoferry.task_query($1, $2);
    BEGIN
        PERFORM mongoferry.use_search_path($1, $2);
        SELECT pg_catalog.array_agg(d.name::pg_catalog.name ORDER BY d.position) INTO given FROM mongoferry.describe_query(query) AS d;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
            hint = PG_EXCEPTION_HINT;
        PERFORM mongoferry.raise_about_transform($1, $2, state, message, detail, hint);
    END;

    IF given IS NULL THEN
        RAISE EXCEPTION 'transform of task "%" of migration "%" gives no columns', $2, $1 USING ERRCODE = 'syntax_error';
    END IF;

    SELECT string_agg(quote_ident(g.name), ', ' ORDER BY g.number) INTO bad
    FROM unnest(given) WITH ORDINALITY AS g (name, number)
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
        WHERE a.attrelid = this.target AND a.attname = g.name AND a.attnum > 0 AND NOT a.attisdropped);
    IF bad IS NOT NULL THEN
        SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO detail
        FROM pg_attribute AS a WHERE a.attrelid = this.target AND a.attnum > 0 AND NOT a.attisdropped;
        SELECT quote_ident(a.attname) INTO example
        FROM pg_attribute AS a JOIN unnest(given) AS g (name) ON lower(a.attname) = lower(g.name) AND a.attname <> g.name
        WHERE a.attrelid = this.target AND a.attnum > 0 AND NOT a.attisdropped AND NOT a.attname = ANY (given)
        ORDER BY a.attnum LIMIT 1;
        RAISE EXCEPTION USING ERRCODE = 'undefined_column',
            MESSAGE = format('transform of task "%s" of migration "%s" gives columns that %s does not have: %s',
                $2, $1, mongoferry.table_name(this.target), bad),
            DETAIL = format('Columns of the target: %s.', coalesce(detail, 'none')),
            HINT = CASE
                WHEN '?column?' = ANY (given) THEN 'Name each expression of the SELECT with AS.'
                WHEN example IS NOT NULL THEN
                    format('A name in mixed case has to stand in double quotes: AS %s.', example)
                ELSE 'The columns of the SELECT go to the target''s columns by name: rename them with AS.'
            END;
    END IF;

    SELECT quote_ident(g.name) INTO bad FROM unnest(given) AS g (name) GROUP BY g.name HAVING count(*) > 1
        ORDER BY g.name LIMIT 1;
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION 'transform of task "%" of migration "%" gives column % more than once', $2, $1, bad
            USING ERRCODE = 'duplicate_column';
    END IF;

    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO bad FROM pg_attribute AS a
    WHERE a.attrelid = this.target AND a.attnum > 0 AND a.attname = ANY (given) AND a.attgenerated <> '';
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION 'transform of task "%" of migration "%" gives columns that % computes itself: %',
            $2, $1, mongoferry.table_name(this.target), bad
            USING ERRCODE = 'generated_always', HINT = 'Leave generated columns out of the transform.';
    END IF;

    RETURN QUERY
        SELECT g.number::integer, a.attname, a.attnum, a.atttypid, a.atttypmod
        FROM unnest(given) WITH ORDINALITY AS g (name, number)
        JOIN pg_attribute AS a ON a.attrelid = this.target AND a.attname = g.name
        ORDER BY g.number;
END
$function$;
COMMENT ON FUNCTION mongoferry.task_columns(text, text) IS
    'the columns of the target that a task fills, in the order in which its transform gives them, with their types in the target. Raises an error if the transform cannot be planned or its columns do not fit the target. Part of the toolkit';

CREATE FUNCTION mongoferry.task_key(migration text, task text) RETURNS name[]
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
    arbiter CONSTANT boolean := this.on_conflict <> 'error';
    key name[];
    bad text;
BEGIN
    IF this.conflict_key IS NULL THEN
        SELECT array_agg(a.attname ORDER BY k.number) INTO key
        FROM pg_index AS i
        CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attribute, number)
        JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attribute
        WHERE i.indrelid = this.target AND i.indisprimary AND i.indisvalid AND k.number <= i.indnkeyatts
            AND (i.indimmediate AND NOT i.indisexclusion OR NOT arbiter);
        RETURN key;
    END IF;
    SELECT string_agg(quote_ident(c.name), ', ' ORDER BY c.number) INTO bad
    FROM unnest(this.conflict_key) WITH ORDINALITY AS c (name, number)
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
        WHERE a.attrelid = this.target AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped);
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION 'conflict_key of task "%" of migration "%" names columns that % does not have: %',
            $2, $1, mongoferry.table_name(this.target), bad
            USING ERRCODE = 'undefined_column',
                HINT = 'conflict_key takes the names as they are, without double quotes.';
    END IF;
    IF NOT mongoferry.is_remote(this.target) AND NOT mongoferry.has_unique_key(this.target, this.conflict_key::name[], arbiter) THEN
        RAISE EXCEPTION 'conflict_key of task "%" of migration "%" is not a unique key of %',
            $2, $1, mongoferry.table_name(this.target)
            USING ERRCODE = 'invalid_column_reference',
                DETAIL = 'It takes a unique index or constraint over exactly these columns that is not partial'
                    || CASE WHEN arbiter THEN ' and not deferrable.' ELSE '.' END;
    END IF;
    RETURN this.conflict_key::name[];
END
$function$;
COMMENT ON FUNCTION mongoferry.task_key(text, text) IS
    'the key that tells a task''s rows apart: its conflict_key, else the primary key of its target; NULL if there is neither, or if on_conflict could not use it. Part of the toolkit';

CREATE FUNCTION mongoferry.is_update(target regclass, on_conflict text, filled name[]) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT $2 = 'update' AND mongoferry.missing_columns($1, $3) IS NOT NULL
$function$;
COMMENT ON FUNCTION mongoferry.is_update(regclass, text, name[]) IS
    'whether a task only updates rows: with on_conflict update, and too few columns for new ones. Part of the toolkit';

CREATE FUNCTION mongoferry.can_update(number bigint, nulls integer) RETURNS boolean
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    IF nulls > 0 THEN
        RAISE EXCEPTION 'transform gives NULL in the key of the row to be updated' USING ERRCODE = 'not_null_violation';
    END IF;
    IF number > 1 THEN
        RAISE EXCEPTION 'transform gives more than one row for one row of the target'
            USING ERRCODE = 'cardinality_violation', HINT = 'Let it give each key once.';
    END IF;
    RETURN true;
END
$function$;
COMMENT ON FUNCTION mongoferry.can_update(bigint, integer) IS
    'true for the first row with a key that has no NULL; for others it raises the errors that an INSERT ON CONFLICT DO UPDATE would. Part of the toolkit';

CREATE FUNCTION mongoferry.task_statement(migration text, task text) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this mongoferry.task;
    target text;
    query text;
    filled name[];
    key name[];
    missing name[];
    assignments text;
    given_key text;
    conditions text;
    overriding text;
    target_is_remote boolean;
BEGIN
    PERFORM mongoferry.require_owner($1);
    this := mongoferry.find_task($1, $2);
    target := mongoferry.table_name(this.target);
    query := mongoferry.task_query($1, $2);
    target_is_remote := mongoferry.is_remote(this.target);
    filled := ARRAY(SELECT c.column_name FROM mongoferry.task_columns($1, $2) AS c ORDER BY c.position);
    key := mongoferry.task_key($1, $2);
    missing := mongoferry.missing_columns(this.target, filled);

    IF this.on_conflict = 'update' AND target_is_remote THEN
        RAISE EXCEPTION 'task "%" of migration "%" cannot have on_conflict "update"', $2, $1
            USING ERRCODE = 'feature_not_supported',
                DETAIL = format('%s is a foreign table or has foreign partitions, and these know ON CONFLICT DO NOTHING alone.', target),
                HINT = 'Use on_conflict "nothing".';
    END IF;
    IF this.on_conflict <> 'error' AND NOT target_is_remote THEN
        IF key IS NULL THEN
            RAISE EXCEPTION 'task "%" of migration "%" has on_conflict "%", but % has no primary key that it can use',
                $2, $1, this.on_conflict, target
                USING ERRCODE = 'invalid_column_reference',
                    HINT = 'Name the columns of a unique key, not a deferrable one, with conflict_key.';
        END IF;
        IF NOT key <@ filled THEN
            RAISE EXCEPTION 'transform of task "%" of migration "%" does not give the key that on_conflict "%" needs',
                $2, $1, this.on_conflict
                USING ERRCODE = 'undefined_column',
                    DETAIL = format('The key of %s is (%s).', target, mongoferry.column_list(key)),
                    HINT = 'Give all columns of the key, or name another unique key with conflict_key.';
        END IF;
        IF this.on_conflict = 'update' AND filled <@ key THEN
            RAISE EXCEPTION 'task "%" of migration "%" has on_conflict "update", but its transform gives nothing besides the key',
                $2, $1
                USING ERRCODE = 'undefined_column', HINT = 'Use on_conflict "nothing", or give columns to update.';
        END IF;
    END IF;

    IF mongoferry.is_update(this.target, this.on_conflict, filled) THEN
        -- Rows of an earlier task get further columns. INSERT ... ON CONFLICT cannot do this: NOT NULL comes before the conflict.
        -- As there, a second row for one key is an error, and NULL in the key: UPDATE by itself would take any, and none.
        SELECT string_agg(format('%1$I = given.%1$I', f.name), ', ' ORDER BY f.number) INTO assignments
        FROM unnest(filled) WITH ORDINALITY AS f (name, number) WHERE NOT f.name = ANY (key);
        SELECT string_agg(format('given.%I::%s', a.attname, mongoferry.comparison_type(a.atttypid, a.atttypmod)), ', ' ORDER BY k.number),
            string_agg(format('target.%1$I %2$s given.%1$I::%3$s', a.attname, mongoferry.equality_operator(this.target, a.attnum),
                mongoferry.comparison_type(a.atttypid, a.atttypmod)), ' AND ' ORDER BY k.number)
        INTO given_key, conditions
        FROM unnest(key) WITH ORDINALITY AS k (name, number)
        JOIN pg_attribute AS a ON a.attrelid = this.target AND a.attname = k.name;
        RETURN format('UPDATE %s AS target SET %s FROM (SELECT given.*, pg_catalog.row_number() OVER (PARTITION BY %s) '
            'AS "number of the row" FROM (%s) AS given) AS given WHERE mongoferry.can_update(given."number of the row", pg_catalog.num_nulls(%s)) AND %s',
            target, assignments, given_key, query, given_key, conditions);
    END IF;

    -- A trigger may fill them.
    IF missing IS NOT NULL AND NOT EXISTS (SELECT FROM pg_trigger AS t
        WHERE t.tgrelid = this.target AND t.tgtype & 7 = 7 AND t.tgenabled IN ('O', 'A')) -- BEFORE INSERT FOR EACH ROW
    THEN
        RAISE EXCEPTION 'transform of task "%" of migration "%" does not give columns that % needs: %',
            $2, $1, target, mongoferry.column_list(missing)
            USING ERRCODE = 'not_null_violation', DETAIL = 'They are NOT NULL and have no default.',
                HINT = 'Give them, or let them have a default; to update rows of another task, set on_conflict to "update".';
    END IF;
    SELECT CASE WHEN bool_or(a.attidentity = 'a') THEN ' OVERRIDING SYSTEM VALUE' ELSE '' END INTO overriding
    FROM pg_attribute AS a WHERE a.attrelid = this.target AND a.attname = ANY (filled);
    SELECT string_agg(format('%1$I = excluded.%1$I', f.name), ', ' ORDER BY f.number) INTO assignments
    FROM unnest(filled) WITH ORDINALITY AS f (name, number) WHERE NOT f.name = ANY (key);
    -- The key is always named: DO NOTHING alone would also swallow what violates other keys. (A foreign table knows nothing else.)
    RETURN format('INSERT INTO %s AS target (%s)%s %s', target, mongoferry.column_list(filled), overriding, query)
        || CASE
            WHEN this.on_conflict = 'error' THEN ''
            WHEN target_is_remote THEN 'ON CONFLICT DO NOTHING'
            WHEN this.on_conflict = 'nothing' THEN format('ON CONFLICT (%s) DO NOTHING', mongoferry.column_list(key))
            ELSE format('ON CONFLICT (%s) DO UPDATE SET %s', mongoferry.column_list(key), assignments)
        END;
END
$function$;
COMMENT ON FUNCTION mongoferry.task_statement(text, text) IS
    'the statement that carries one chunk of a task over, whose bounds are its parameter $1: an INSERT, or an UPDATE where on_conflict is update and the columns are too few for new rows. To be planned and run with the task''s search_path (use_search_path())';
