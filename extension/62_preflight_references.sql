-- preflight() on references between sources: does a task give rows whose foreign key meets no row that other tasks give?
--
-- The keys of the parents and the references of the children are written to temporary tables, chunk by chunk, as migrate()
-- writes rows: so documents that a transform refuses give none, and what does not fit in memory goes to temporary files.
-- It is all in a block that rolls back, the temporary tables too.

CREATE FUNCTION mongoferry.preflight_foreign_keys(migration text, task text)
    RETURNS TABLE (constraint_name name, columns name[], referenced regclass, referenced_columns name[], parents text[],
        incomplete text, child_columns text, parent_columns text, pairing text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
    filled CONSTANT name[] := ARRAY(SELECT c.column_name FROM mongoferry.task_columns($1, $2) AS c);
BEGIN
    RETURN QUERY
        WITH key AS (
            SELECT k.constraint_name, k.columns, k.referenced, k.referenced_columns, c.conrelid, c.conkey, c.confkey
            FROM mongoferry.target_foreign_keys(this.target) AS k
            JOIN pg_constraint AS c ON c.conrelid = k.referencing AND c.conname = k.constraint_name AND c.contype = 'f'
            WHERE k.columns <@ filled
        ), parent AS (
            -- Rows of tasks that are done are in the table.
            SELECT k.constraint_name, k.conrelid, array_agg(t.task ORDER BY t."position") AS tasks,
                min(t.task) FILTER (WHERE NOT k.referenced_columns <@ p.filled) AS incomplete
            FROM key AS k
            JOIN mongoferry.task AS t ON t.migration = $1 AND t.state <> 'done' AND mongoferry.share_rows(t.target, k.referenced)
            CROSS JOIN LATERAL (SELECT ARRAY(SELECT c.column_name FROM mongoferry.task_columns($1, t.task) AS c)) AS p (filled)
            WHERE NOT mongoferry.is_update(t.target, t.on_conflict, p.filled)
            GROUP BY k.constraint_name, k.conrelid
        )
        SELECT k.constraint_name, k.columns, k.referenced, k.referenced_columns, p.tasks, p.incomplete,
            d.child_columns, d.parent_columns, d.pairing
        FROM key AS k JOIN parent AS p ON p.constraint_name = k.constraint_name AND p.conrelid = k.conrelid
        CROSS JOIN LATERAL (
            SELECT string_agg(mongoferry.preflight_column(c, n.number), ', ' ORDER BY n.number) AS child_columns,
                string_agg(mongoferry.preflight_column(r, n.number), ', ' ORDER BY n.number) AS parent_columns,
                string_agg(format('p.k%1$s %2$s c.k%1$s', n.number, mongoferry.equality_operator(k.referenced, r.attnum)), ' AND '
                    ORDER BY n.number) AS pairing
            FROM unnest(k.conkey, k.confkey) WITH ORDINALITY AS n (child, parent, number)
            JOIN pg_attribute AS c ON c.attrelid = k.conrelid AND c.attnum = n.child
            JOIN pg_attribute AS r ON r.attrelid = k.referenced AND r.attnum = n.parent
        ) AS d
        ORDER BY k.constraint_name;
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_foreign_keys(text, text) IS
    'the foreign keys that a task fills and whose rows other tasks, or it itself, are to bring: parents, and incomplete, one of these that does not give the referenced columns; the columns of temporary tables for both sides, k1, k2, ..., and the condition that pairs them as p and c. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_column(attribute pg_catalog.pg_attribute, number bigint) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT format('k%s %s', $2, format_type($1.atttypid, $1.atttypmod))
        || coalesce((SELECT format(' COLLATE %I.%I', n.nspname, c.collname)
            FROM pg_collation AS c JOIN pg_namespace AS n ON n.oid = c.collnamespace
            WHERE c.oid = $1.attcollation AND c.collname <> 'default'), '')
$function$;
COMMENT ON FUNCTION mongoferry.preflight_column(pg_catalog.pg_attribute, bigint) IS
    'the definition of a column named k and a number that holds what another column holds. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_fill(migration text, task text, into_table text, columns name[], until timestamptz,
        OUT documents bigint, OUT is_whole boolean)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
    statement CONSTANT text := format('INSERT INTO pg_temp.%I SELECT %s FROM (%s) AS given', $3,
        (SELECT string_agg(format('given.%I', c.name), ', ' ORDER BY c.number) FROM unnest($4) WITH ORDINALITY AS c (name, number)),
        mongoferry.task_query($1, $2));
    bounds bytea;
BEGIN
    documents := 0;
    is_whole := true;
    -- Files are read from their beginning; of a collection, what there is time for is spread over it.
    FOREACH bounds IN ARRAY ARRAY(
        SELECT s.bounds FROM mongoferry.split_source(this.source, this.chunk_size) AS s
        ORDER BY CASE WHEN mongoferry.is_dump(this.source) THEN s.chunk END, random())
    LOOP
        IF clock_timestamp() >= $5 THEN
            is_whole := false;
            EXIT;
        END IF;
        PERFORM FROM mongoferry.fill_expected($1, $2, this.source, statement, bounds);
        documents := documents + (SELECT t.documents FROM mongoferry.chunk_totals() AS t);
    END LOOP;
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_fill(text, text, text, name[], timestamptz) IS
    'writes columns of the rows that a task gives to a temporary table, until a point in time: how many documents were read, and whether that was all of them. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_reference(migration text, task text, key record, until timestamptz,
        OUT documents bigint, OUT is_whole boolean, OUT parents_whole boolean, OUT given bigint, OUT orphans bigint, OUT example text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    parent text;
    children CONSTANT text := format('FROM pg_temp.mongoferry_child AS c WHERE num_nulls(%s) = 0',
        (SELECT string_agg('c.k' || n.number, ', ' ORDER BY n.number) FROM unnest(key.columns) WITH ORDINALITY AS n (name, number)));
    orphaned text := format(' AND NOT EXISTS (SELECT FROM pg_temp.mongoferry_parent AS p WHERE %s)', key.pairing);
BEGIN
    BEGIN
        EXECUTE format('CREATE TEMPORARY TABLE mongoferry_parent (%s)', key.parent_columns);
        EXECUTE format('CREATE TEMPORARY TABLE mongoferry_child (%s)', key.child_columns);
        parents_whole := true;
        FOREACH parent IN ARRAY key.parents LOOP
            SELECT f.is_whole INTO parents_whole
            FROM mongoferry.preflight_fill($1, parent, 'mongoferry_parent', key.referenced_columns, $4) AS f;
            EXIT WHEN NOT parents_whole;
        END LOOP;
        IF parents_whole THEN
            SELECT f.documents, f.is_whole INTO documents, is_whole
            FROM mongoferry.preflight_fill($1, $2, 'mongoferry_child', key.columns, $4) AS f;
            EXECUTE 'ANALYZE pg_temp.mongoferry_parent, pg_temp.mongoferry_child';
            IF has_table_privilege(key.referenced, 'SELECT') THEN
                orphaned := orphaned || format(' AND NOT EXISTS (SELECT FROM (SELECT %s FROM %s) AS p WHERE %s)',
                    (SELECT string_agg(format('%I AS k%s', n.name, n.number), ', ' ORDER BY n.number)
                    FROM unnest(key.referenced_columns) WITH ORDINALITY AS n (name, number)),
                    mongoferry.table_name(key.referenced), key.pairing);
            END IF;
            EXECUTE format('SELECT count(*) %s', children) INTO given;
            EXECUTE format('SELECT count(*), (array_agg(c::text))[1] %s', children || orphaned) INTO orphans, example;
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'MFUND', MESSAGE = 'the temporary tables are taken back';
    EXCEPTION WHEN SQLSTATE 'MFUND' THEN
        NULL; -- What variables hold stays.
    END;
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_reference(text, text, record, timestamptz) IS
    'how many references by a foreign key of preflight_foreign_keys() meet no row, with an example, and how many there are; NULL if there was no time to read all parents. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_references(migration text, task text, until timestamptz)
    RETURNS TABLE (severity text, "check" text, message text, hint text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    key record;
    found_references record;
    parents text;
    error_message text;
BEGIN
    FOR key IN SELECT * FROM mongoferry.preflight_foreign_keys($1, $2) LOOP
        "check" := 'reference';
        severity := 'note';
        message := format('references by foreign key "%s" were not looked at', key.constraint_name);
        SELECT string_agg(format('"%s"', p.task), ', ' ORDER BY p.number) INTO parents
        FROM unnest(key.parents) WITH ORDINALITY AS p (task, number);
        IF key.incomplete IS NOT NULL THEN
            hint := format('Task "%s" does not give (%s) of %s.', key.incomplete, mongoferry.column_list(key.referenced_columns),
                mongoferry.table_name(key.referenced));
            RETURN NEXT;
            CONTINUE;
        END IF;
        IF NOT has_database_privilege(current_database(), 'TEMPORARY') THEN
            hint := format('It takes temporary tables: GRANT TEMPORARY ON DATABASE %I TO %I.', current_database(), current_user);
            RETURN NEXT;
            CONTINUE;
        END IF;
        BEGIN
            SELECT * INTO found_references FROM mongoferry.preflight_reference($1, $2, key, $3);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS error_message := MESSAGE_TEXT;
            hint := format('They could not be read: %s', error_message);
            RETURN NEXT;
            CONTINUE;
        END;
        IF NOT found_references.parents_whole OR NOT found_references.is_whole AND found_references.documents = 0 THEN
            hint := 'There was not enough time to read all documents that they refer to: give preflight() a longer max_duration.';
        ELSE
            hint := format('Looked at %s, and at all that %s.', format(CASE WHEN found_references.is_whole THEN 'all %s documents'
                    ELSE '%s documents, as many as max_duration allowed' END, found_references.documents),
                format(CASE WHEN cardinality(key.parents) = 1 THEN 'task %s gives' ELSE 'tasks %s give' END, parents));
            IF found_references.orphans = 0 THEN
                message := format('all %s references by foreign key "%s" meet a row', found_references.given, key.constraint_name);
            ELSE
                severity := 'warning';
                message := format('%s of %s references by foreign key "%s" meet no row', found_references.orphans, found_references.given,
                    key.constraint_name);
                hint := concat_ws(E'\n', format('Their documents will be refused. One of them has (%s) = %s.',
                    mongoferry.column_list(key.columns), found_references.example), hint);
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_references(text, text, timestamptz) IS
    'for each foreign key of the target whose rows tasks of the migration bring: how many references meet none of these and none that is there. Reads the sources of both, until a point in time (NULL: to the end). Part of preflight()';
