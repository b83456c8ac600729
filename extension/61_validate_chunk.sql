-- Phase 1 of validate(): the rows of a chunk, as the transform gives them now, against those of the target.

-- Fills the temporary table and returns the documents that the transform refuses now.
CREATE FUNCTION mongoferry.fill_expected(migration text, task text, source regclass, statement text, bounds bytea)
    RETURNS TABLE (source_id jsonb, raw bytea, sqlstate text, message text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM mongoferry.use_search_path($1, $2);
    RETURN QUERY SELECT w.source_id, w.raw, w.sqlstate, w.message FROM mongoferry.write_chunk($3, $4, $5) AS w;
END
$function$;
COMMENT ON FUNCTION mongoferry.fill_expected(text, text, regclass, text, bytea) IS
    'runs the statement that fills validate()''s temporary table over a chunk; returns the documents that the transform refuses. Part of the toolkit';

-- The temporary tables of a chunk: mongoferry_expected (the rows, in the target's types, numbered as they came),
-- mongoferry_refused (documents that the transform refuses now), mongoferry_wanted (rows that differ, to be recorded).
CREATE FUNCTION mongoferry.expect_rows(migration text, task text, shape mongoferry.validation_shape, bounds bytea) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    source CONSTANT regclass := (SELECT t.source FROM mongoferry.task AS t WHERE t.migration = $1 AND t.task = $2);
BEGIN
    EXECUTE format('CREATE TEMP TABLE mongoferry_expected (%s, mongoferry_ordinal bigint GENERATED ALWAYS AS IDENTITY)',
        (SELECT string_agg(format('%I %s', c.name, c.declared), ', ' ORDER BY c.position)
         FROM unnest(shape.columns, shape.declared) WITH ORDINALITY AS c (name, declared, position)));
    CREATE TEMP TABLE mongoferry_wanted (ordinal bigint, key text, kind text, key_shown jsonb, column_name text, expected text, actual text);
    CREATE TEMP TABLE mongoferry_refused AS
        SELECT r.* FROM mongoferry.fill_expected($1, $2, source,
            format('INSERT INTO pg_temp.mongoferry_expected (%s) %s', mongoferry.column_list(shape.columns), mongoferry.task_query($1, $2)), $4) AS r;
END
$function$;
COMMENT ON FUNCTION mongoferry.expect_rows(text, text, mongoferry.validation_shape, bytea) IS
    'for validate(): makes the temporary tables of a chunk and fills them with what the transform gives now. Part of the toolkit';

-- Notes in mongoferry_wanted what the target lacks or has otherwise.
CREATE FUNCTION mongoferry.compare_by_key(migration text, task text, shape mongoferry.validation_shape, with_values boolean,
        recorded_rows integer, OUT matched bigint, OUT missing bigint, OUT different bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
    target CONSTANT text := mongoferry.table_name(this.target);
    key_text CONSTANT text := format('(%s)::pg_catalog.text', mongoferry.key_expression('e', shape.key, shape.key_types));
    key_shown CONSTANT text := mongoferry.key_object('e', shape.key);
    pairing CONSTANT text := (SELECT string_agg(format('t.%1$I = e.%1$I', k), ' AND ') FROM unnest(shape.key) AS k);
    rows_differ text;
    column_lines text;
BEGIN
    -- Of several documents with one key, the one that was written counts.
    IF this.on_conflict <> 'error' THEN
        EXECUTE format('DELETE FROM pg_temp.mongoferry_expected AS e USING pg_temp.mongoferry_expected AS o
            WHERE %s AND o.mongoferry_ordinal %s e.mongoferry_ordinal',
            (SELECT string_agg(format('e.%1$I = o.%1$I', k), ' AND ') FROM unnest(shape.key) AS k),
            CASE this.on_conflict WHEN 'nothing' THEN '<' ELSE '>' END);
    END IF;
    EXECUTE format('ANALYZE pg_temp.mongoferry_expected (%s)', mongoferry.column_list(shape.key));
    -- An UPDATE makes no rows: one that is not there is missed by the task that was to make it, if it was not refused there.
    IF NOT mongoferry.makes_rows(this) THEN
        EXECUTE format('DELETE FROM pg_temp.mongoferry_expected AS e WHERE NOT EXISTS (SELECT FROM %s AS t WHERE %s)', target, pairing);
    END IF;
    EXECUTE format('SELECT count(*) FILTER (WHERE there), count(*) FILTER (WHERE NOT there)
        FROM (SELECT EXISTS (SELECT FROM %s AS t WHERE %s) AS there FROM pg_temp.mongoferry_expected AS e) AS e', target, pairing)
        INTO matched, missing;
    IF missing > 0 THEN
        EXECUTE format('INSERT INTO pg_temp.mongoferry_wanted (ordinal, key, kind, key_shown)
            SELECT e.mongoferry_ordinal, %s, ''missing'', %s FROM pg_temp.mongoferry_expected AS e
            WHERE NOT EXISTS (SELECT FROM %s AS t WHERE %s) ORDER BY 1 LIMIT %s', key_text, key_shown, target, pairing, recorded_rows);
    END IF;
    different := 0;
    SELECT string_agg(c.differs, ' OR '), string_agg(format('(%L, e.%2$I::pg_catalog.text, t.%2$I::pg_catalog.text, %s)', c.name, c.name, c.differs), ', ')
    INTO rows_differ, column_lines
    FROM (SELECT c.name, format('%s IS DISTINCT FROM %s', mongoferry.comparable(format('e.%I', c.name), a.type),
                mongoferry.comparable(format('t.%I', c.name), a.type)) AS differs
        FROM unnest(shape.compared) AS c (name) JOIN unnest(shape.columns, shape.types) AS a (name, type) USING (name)
        WHERE c.name <> ALL (shape.key)) AS c;
    IF with_values AND rows_differ IS NOT NULL THEN
        EXECUTE format('SELECT count(*) FROM pg_temp.mongoferry_expected AS e JOIN %s AS t ON %s WHERE %s', target, pairing, rows_differ)
            INTO different;
        IF different > 0 THEN
            EXECUTE format('INSERT INTO pg_temp.mongoferry_wanted (ordinal, key, kind, key_shown, column_name, expected, actual)
                SELECT e.mongoferry_ordinal, %1$s, ''different'', %2$s, v.column_name, v.expected, v.actual
                FROM (SELECT e.mongoferry_ordinal AS ordinal FROM pg_temp.mongoferry_expected AS e JOIN %3$s AS t ON %4$s
                    WHERE %5$s ORDER BY 1 LIMIT %6$s) AS d
                JOIN pg_temp.mongoferry_expected AS e ON e.mongoferry_ordinal = d.ordinal
                JOIN %3$s AS t ON %4$s
                CROSS JOIN LATERAL (VALUES %7$s) AS v (column_name, expected, actual, differs)
                WHERE v.differs', key_text, key_shown, target, pairing, rows_differ, recorded_rows, column_lines);
        END IF;
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.compare_by_key(text, text, mongoferry.validation_shape, boolean, integer) IS
    'for validate(): compares the temporary table of a chunk with the target by key, with_values: value by value; counts the rows, and notes up to recorded_rows of each kind. Part of the toolkit';

-- Moves what mongoferry_wanted has into mongoferry.mismatches, each row with the document that gives it.
CREATE FUNCTION mongoferry.record_mismatches(migration text, task text, chunk integer, shape mongoferry.validation_shape, bounds bytea,
        documents_wanted boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
    copied_at CONSTANT timestamptz := (SELECT c.started_at FROM mongoferry.chunk AS c WHERE c.migration = $1 AND c.task = $2 AND c.chunk = $3);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_temp.mongoferry_wanted) THEN
        RETURN;
    END IF;
    CREATE TEMP TABLE mongoferry_documents (ordinal bigint, source_id jsonb, raw bytea);
    IF $6 THEN
        INSERT INTO pg_temp.mongoferry_documents
            SELECT f.ordinal, f.source_id, f.raw FROM mongoferry.find_documents($1, $2, $5, shape.key, shape.key_types) AS f;
    END IF;
    INSERT INTO mongoferry.mismatches (migration, task, kind, source_id, key, column_name, expected, actual, chunk, raw, changed)
        SELECT $1, $2, w.kind, d.source_id, w.key_shown, w.column_name, w.expected, w.actual, $3, d.raw,
            mongoferry.is_changed(this.source, d.raw, this.changed_field, copied_at)
        FROM pg_temp.mongoferry_wanted AS w LEFT JOIN pg_temp.mongoferry_documents AS d USING (ordinal)
        ORDER BY w.ordinal;
    DROP TABLE pg_temp.mongoferry_documents;
END
$function$;
COMMENT ON FUNCTION mongoferry.record_mismatches(text, text, integer, mongoferry.validation_shape, bytea, boolean) IS
    'for validate(): keeps the rows that differ, with the documents that give them where documents_wanted. Part of the toolkit';

CREATE FUNCTION mongoferry.validate_chunk(run bigint, part integer, level text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    recorded_rows CONSTANT integer := 1000;  -- of each kind and chunk
    largest_chunk_searched CONSTANT bigint := 256 * 1024 * 1024;
    this mongoferry.task;
    piece mongoferry.validation_part;
    copied mongoferry.chunk;
    shape mongoferry.validation_shape;
    refused bytea[];
    looked_at bytea[];
    chunk_bounds bytea;
    read record;
    compared record;
    unreadable bigint;
    changed_rows bigint;
BEGIN
    SELECT p.* INTO STRICT piece FROM mongoferry.validation_part AS p WHERE p.run = $1 AND p.part = $2;
    this := mongoferry.find_task(piece.migration, piece.task);
    SELECT c.* INTO STRICT copied FROM mongoferry.chunk AS c
    WHERE c.migration = piece.migration AND c.task = piece.task AND c.chunk = piece.chunk;
    shape := mongoferry.validation_columns(this.migration, this.task);

    -- What is in the quarantine is not in the target.
    SELECT array_agg(e.raw) INTO refused FROM mongoferry.errors AS e
    WHERE e.migration = this.migration AND e.task = this.task AND (e.chunk = copied.chunk OR e.chunk IS NULL);
    chunk_bounds := CASE WHEN refused IS NULL THEN copied.bounds ELSE mongoferry.bounds_except(copied.bounds, refused) END;
    IF level = 'recheck' THEN
        -- Only the documents that differed, as they are now; the whole chunk where it is not known which they were.
        SELECT array_agg(DISTINCT m.raw) INTO looked_at FROM mongoferry.mismatches AS m
        WHERE m.migration = this.migration AND m.task = this.task AND m.chunk = copied.chunk
        HAVING bool_and(m.raw IS NOT NULL) AND count(*) < recorded_rows;
        IF looked_at IS NOT NULL THEN
            chunk_bounds := mongoferry.current_bounds(this.source, looked_at);
        END IF;
    END IF;
    DELETE FROM mongoferry.mismatches AS m
    WHERE m.migration = this.migration AND m.task = this.task AND m.chunk = copied.chunk;

    PERFORM mongoferry.note_step(this.task, copied.chunk);
    PERFORM mongoferry.expect_rows(this.migration, this.task, shape, chunk_bounds);
    SELECT t.* INTO read FROM mongoferry.chunk_totals() AS t;

    -- Documents that were copied and cannot be transformed any more.
    INSERT INTO mongoferry.mismatches (migration, task, kind, source_id, actual, chunk, raw, changed)
        SELECT this.migration, this.task, 'different', r.source_id, format('%s: %s', r.sqlstate, r.message), copied.chunk, r.raw,
            mongoferry.is_changed(this.source, r.raw, this.changed_field, copied.started_at)
        FROM pg_temp.mongoferry_refused AS r LIMIT recorded_rows;
    unreadable := (SELECT count(*) FROM pg_temp.mongoferry_refused);

    -- Phase 2 compares all rows of a target with what all its tasks give.
    IF shape.key IS NULL OR level = 'values' OR level = 'counts' AND mongoferry.makes_rows(this) THEN
        EXECUTE format('INSERT INTO mongoferry.validation_key SELECT $1, $2, $3, (%s)::pg_catalog.text FROM pg_temp.mongoferry_expected AS e',
            mongoferry.key_expression('e', coalesce(shape.key, shape.compared), shape.key_types))
            USING run, this.migration, this.target::oid;
    END IF;
    IF shape.key IS NULL THEN
        SELECT count(*) AS expected, NULL::bigint AS matched, NULL::bigint AS missing, 0::bigint AS different INTO compared
        FROM pg_temp.mongoferry_expected;
    ELSE
        SELECT c.matched + c.missing AS expected, c.matched, c.missing, c.different INTO compared
        FROM mongoferry.compare_by_key(this.migration, this.task, shape, level <> 'counts', recorded_rows) AS c;
    END IF;
    PERFORM mongoferry.record_mismatches(this.migration, this.task, copied.chunk, shape, chunk_bounds, read.bytes <= largest_chunk_searched);

    changed_rows := (SELECT count(DISTINCT coalesce(m.key, m.source_id)) FROM mongoferry.mismatches AS m
        WHERE m.migration = this.migration AND m.task = this.task AND m.chunk = copied.chunk AND m.changed);
    DROP TABLE pg_temp.mongoferry_expected, pg_temp.mongoferry_wanted, pg_temp.mongoferry_refused;

    UPDATE mongoferry.validation_part AS p
    SET state = 'done', documents = read.documents, rows_expected = compared.expected, rows_matched = compared.matched,
        missing = compared.missing, different = compared.different + unreadable, changed = changed_rows
    WHERE p.run = $1 AND p.part = $2;
END
$function$;
COMMENT ON FUNCTION mongoferry.validate_chunk(bigint, integer, text) IS
    'compares the rows of one chunk with the target; level is counts, values, sample or recheck. Part of the toolkit';
