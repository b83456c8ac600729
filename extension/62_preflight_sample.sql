-- preflight() on a sample of documents: read once for all tasks of a source, and written for each task.
--
-- The sample is written for real, in a block that always rolls back. Numbers of sequences do not come back with a rollback,
-- and setting one back would take numbers from other sessions; so the sequences are restarted in the block before, which
-- gives them new storage that the rollback throws away.

CREATE FUNCTION mongoferry.preflight_spread(source regclass, documents integer, OUT raw bytea[], OUT documents_total bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    places CONSTANT integer := 20;
    parts bytea[];
    part bytea;
    of_part bytea[];
BEGIN
    SELECT coalesce(sum(s.documents_estimated), 0), array_agg(s.bounds ORDER BY s.chunk) INTO documents_total, parts
    FROM mongoferry.split_source($1, 20000) AS s;
    IF cardinality(parts) < places AND documents_total > $2 THEN
        SELECT array_agg(s.bounds ORDER BY s.chunk) INTO parts
        FROM mongoferry.split_source($1, greatest(documents_total / places, 1)::integer) AS s;
    END IF;
    FOREACH part IN ARRAY ARRAY(
        SELECT p.bounds FROM unnest(parts) WITH ORDINALITY AS p (bounds, number)
        WHERE p.number * places / cardinality(parts) > (p.number - 1) * places / cardinality(parts)
        ORDER BY p.number)
    LOOP
        SELECT array_agg(d.raw) INTO of_part
        FROM mongoferry.read_documents($1, part, ceil($2::numeric / least(places, cardinality(parts)))::bigint) AS d;
        raw := raw || of_part;
    END LOOP;
    raw := raw[:$2];
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_spread(regclass, integer) IS
    'documents of a dump, from up to twenty places all over it, and how many it has. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_random(source regclass, documents integer) RETURNS bytea[]
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RETURN ARRAY(SELECT DISTINCT d.raw FROM mongoferry.sample_documents($1, $2) AS d);
EXCEPTION WHEN fdw_error THEN
    -- Servers that resemble MongoDB may not know $sample.
    RETURN ARRAY(SELECT d.raw FROM mongoferry.read_documents($1, NULL, $2) AS d);
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_random(regclass, integer) IS
    'documents of a live collection, chosen at random where the server can. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_documents(source regclass) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    most_documents CONSTANT integer := 200;
    most_bytes CONSTANT integer := 32 * 1024 * 1024;
    total bigint;
    sample bytea[];
    average numeric;
    error_message text; error_detail text; error_hint text;
BEGIN
    IF mongoferry.is_dump($1) THEN
        SELECT s.raw, s.documents_total INTO sample, total FROM mongoferry.preflight_spread($1, most_documents) AS s;
    ELSE
        total := mongoferry.count_documents($1);
        sample := mongoferry.preflight_random($1, most_documents);
    END IF;
    SELECT avg(length(s.raw)), array_agg(s.raw ORDER BY s.number) FILTER (WHERE s.reach <= most_bytes) INTO average, sample
    FROM (SELECT r.raw, r.number, sum(length(r.raw)) OVER (ORDER BY r.number) AS reach
          FROM unnest(sample) WITH ORDINALITY AS r (raw, number)) AS s;
    RETURN jsonb_build_object('documents', total, 'average', average, 'sampled', coalesce(cardinality(sample), 0),
        'bounds', encode(mongoferry.raw_bounds(coalesce(sample, '{}')), 'base64'));
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS error_message := MESSAGE_TEXT, error_detail := PG_EXCEPTION_DETAIL, error_hint := PG_EXCEPTION_HINT;
    RETURN jsonb_build_object('error', error_message,
        'hint', mongoferry.preflight_advice(error_detail, error_hint));
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_documents(regclass) IS
    'a sample of a source: documents (how many it has), average (bytes of a document), sampled (how many documents are in the sample: at most 200 and 32 MB), bounds (of a chunk that consists of them, in base64); or error and hint if it cannot be read. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_source(migration text, task text, sample jsonb)
    RETURNS TABLE (severity text, "check" text, message text, hint text)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    source CONSTANT text := mongoferry.table_name((mongoferry.find_task($1, $2)).source);
BEGIN
    IF $3 ? 'error' THEN
        RETURN QUERY SELECT 'error', 'source', format('cannot read %s: %s', source, $3 ->> 'error'), $3 ->> 'hint';
    ELSIF ($3 ->> 'documents')::bigint = 0 AND ($3 ->> 'sampled')::bigint = 0 THEN
        RETURN QUERY SELECT 'warning', 'source', format('%s has no documents', source),
            'Check the options "database" and "collection": a live server takes a collection that does not exist for an empty one.';
    ELSE
        RETURN QUERY SELECT 'note', 'source', format('%s has %s documents, about %s', source, $3 ->> 'documents',
                pg_size_pretty((($3 ->> 'documents')::bigint * coalesce(($3 ->> 'average')::numeric, 0))::bigint)),
            'The size is estimated by a sample, as BSON.';
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_source(text, text, jsonb) IS
    'how many documents the source of a task has, or why it cannot be read. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_id_types(source regclass, sample jsonb) RETURNS text[]
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT array_agg(DISTINCT t.type ORDER BY t.type)
    FROM mongoferry.read_documents($1, decode($2 ->> 'bounds', 'base64')) AS d
    CROSS JOIN LATERAL (SELECT CASE jsonb_typeof(d.source_id)
        WHEN 'boolean' THEN 'bool'
        WHEN 'object' THEN
            CASE
                WHEN d.source_id ? '$oid' THEN 'objectId'
                WHEN d.source_id ? '$date' THEN 'date'
                WHEN d.source_id ?| '{$binary,$uuid}' THEN 'binData'
                WHEN d.source_id ?| '{$numberDecimal,$numberDouble,$numberLong,$numberInt}' THEN 'number'
                WHEN d.source_id ?| '{$timestamp,$minKey,$maxKey}' THEN ltrim(substring(d.source_id::text FROM '\$\w+'), '$')
                ELSE 'object'
            END
        ELSE jsonb_typeof(d.source_id)
    END) AS t (type)
    WHERE t.type IS NOT NULL
$function$;
COMMENT ON FUNCTION mongoferry.preflight_id_types(regclass, jsonb) IS
    'which types the _ids of a sample have, as id_types() names them. Part of preflight()';

CREATE FUNCTION mongoferry.preflight_ids(migration text, task text, sample jsonb)
    RETURNS TABLE (severity text, "check" text, message text, hint text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    source CONSTANT regclass := (mongoferry.find_task($1, $2)).source;
    types text[];
    is_sampled boolean;
    narrow text;
    collation_shown jsonb;
BEGIN
    BEGIN
        types := mongoferry.id_types(source);
        collation_shown := mongoferry.default_collation(source);
    EXCEPTION WHEN fdw_error THEN
        NULL; -- a server that resembles MongoDB
    END;
    is_sampled := types IS NULL;
    IF is_sampled THEN
        types := mongoferry.preflight_id_types(source, $3);
    END IF;
    IF cardinality(types) > 1 THEN
        SELECT string_agg(format('%I (%s)', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum) INTO narrow
        FROM pg_attribute AS a
        WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped
            AND coalesce((SELECT o.option_value FROM pg_options_to_table(a.attfdwoptions) AS o WHERE o.option_name = 'field'), a.attname) = '_id'
            AND NOT a.atttypid = ANY (ARRAY['text', 'varchar', 'json', 'jsonb']::regtype[]);
        RETURN QUERY SELECT CASE WHEN narrow IS NULL THEN 'note' ELSE 'warning' END, '_id',
            format(CASE WHEN is_sampled THEN 'sampled documents of %s have _ids of several types: %s'
                ELSE '%s has _ids of several types: %s' END, mongoferry.table_name(source), array_to_string(types, ', ')),
            CASE WHEN narrow IS NULL THEN 'They are all carried over: chunks go by the order over all types.'
                ELSE format('Those that do not fit are refused by %s. Columns of type text and jsonb take any.', narrow) END;
    END IF;
    IF collation_shown ->> 'locale' <> 'simple' THEN
        RETURN QUERY SELECT 'note', '_id',
            format('the collection of %s has a default collation: %s', mongoferry.table_name(source), collation_shown),
            'Strings that are equal by it are the same _id there, and differ here. Chunks follow it, as the index on _id does.';
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_ids(text, text, jsonb) IS
    'a warning or note if the _ids of a task''s source are of several types, a note if its collection has a collation. Part of preflight()';

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

CREATE FUNCTION mongoferry.preflight_sample(migration text, task text, sample jsonb)
    RETURNS TABLE (severity text, "check" text, message text, hint text, bytes numeric)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this CONSTANT mongoferry.task := mongoferry.find_task($1, $2);
    -- What the try says it has read may be less: of an empty target a pass that updates knows the answer without.
    documents CONSTANT integer := ($3 ->> 'sampled')::integer;
    tried record;
    foreign_sequences text;
    target_bytes numeric;
    error_message text; error_detail text; error_hint text;
BEGIN
    IF mongoferry.is_remote(this.target) THEN
        -- A foreign server may not take anything back.
        RETURN QUERY SELECT 'note', 'sample', format('no sample was written to %s', mongoferry.table_name(this.target)),
            'Its rows are kept elsewhere, and not every server can take them back.', NULL::numeric;
        RETURN;
    END IF;
    SELECT string_agg(mongoferry.table_name(s.sequence), ', ') INTO foreign_sequences
    FROM unnest(mongoferry.preflight_sequences($1, $2)) AS s (sequence)
    JOIN pg_class AS c ON c.oid = s.sequence WHERE NOT pg_has_role(c.relowner, 'USAGE');
    IF foreign_sequences IS NOT NULL THEN
        RETURN QUERY SELECT 'warning', 'sample', format('no sample was written to %s', mongoferry.table_name(this.target)),
            format('It could move sequences of another role, which cannot be taken back: %s.', foreign_sequences), NULL::numeric;
        RETURN;
    END IF;
    IF documents = 0 THEN
        RETURN;
    END IF;
    SELECT * INTO tried FROM mongoferry.preflight_try($1, $2, decode($3 ->> 'bounds', 'base64'));

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
            SELECT r.is_open, count(*) AS refused, (array_agg(r.message))[1] AS message, (array_agg(r.source_id))[1] AS source_id,
                (array_agg(r.detail))[1] AS detail, (array_agg(r.hint))[1] AS hint, sum(count(*)) OVER (PARTITION BY r.is_open) AS alike
            FROM refusal AS r
            GROUP BY r.is_open, r.sqlstate, r.constraint_name, r.column_name,
                CASE WHEN r.constraint_name IS NULL AND r.column_name IS NULL THEN regexp_replace(r.message, ': .*$', '') END
        )
        SELECT CASE WHEN c.is_open THEN 'note'
                WHEN c.alike = documents OR this.on_error = 'abort' OR c.alike > this.max_errors THEN 'error'
                ELSE 'warning' END,
            'sample',
            format(CASE WHEN c.is_open THEN '%s of %s sampled documents could not be judged: %s'
                ELSE '%s of %s sampled documents are refused: %s' END, c.refused, documents, c.message),
            concat_ws(E'\n', c.detail, c.hint, CASE WHEN c.is_open
                    THEN 'A task of the migration brings, or has brought, the row in question.' END,
                format('One of them has _id %s.', c.source_id)),
            NULL::numeric
        FROM cause AS c
        ORDER BY c.is_open, c.refused DESC;
    IF tried.refusals = '[]' THEN
        RETURN QUERY SELECT 'note', 'sample', format('%s sampled documents give %s rows', documents, tried.rows_written),
            'They were written and taken back.', NULL::numeric;
    END IF;
    IF tried.row_bytes IS NOT NULL THEN
        target_bytes := round(($3 ->> 'documents')::bigint * tried.row_bytes * tried.rows_written / documents);
        RETURN QUERY SELECT 'note', 'target size', format('%s will take about %s, without its indexes', mongoferry.table_name(this.target),
            pg_size_pretty(target_bytes)), 'Estimated by the sample.', target_bytes;
    END IF;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS error_message := MESSAGE_TEXT, error_detail := PG_EXCEPTION_DETAIL, error_hint := PG_EXCEPTION_HINT;
    RETURN QUERY SELECT 'error', 'sample', format('the sample cannot be written: %s', error_message),
        mongoferry.preflight_advice(error_detail, error_hint), NULL::numeric;
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_sample(text, text, jsonb) IS
    'tries the statement of a task on a sample of preflight_documents() and takes it back; what was refused, by cause. Refusals by foreign keys to targets of tasks that are not done are no more than a note. bytes: the target''s size, estimated; NULL but for the row that tells it. Part of preflight()';
