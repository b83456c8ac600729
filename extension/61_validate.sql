-- validate() and recheck(): every row that the transforms give now against what the target has.
--
-- The work is cut into parts, which the workers take one by one (validate_step). Phase 1: a chunk's rows are put into a
-- temporary table, whose columns have the target's types, and compared with the target by key. Phase 2: rows of a target
-- that no task gives. Phase 3: references, and the results.

-- How a column is compared. Types without an equality that means "the same value" are compared as text.
CREATE FUNCTION mongoferry.comparable(expression text, type oid) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT CASE
        WHEN base.typtype = 'c' OR element.typname IN ('json', 'xml', 'point', 'line', 'lseg', 'box', 'path', 'polygon', 'circle')
            THEN $1 || '::pg_catalog.text'
        ELSE $1
    END
    FROM pg_type AS declared
    JOIN pg_type AS base ON base.oid = CASE WHEN declared.typtype = 'd' THEN declared.typbasetype ELSE declared.oid END
    JOIN pg_type AS element ON element.oid = CASE WHEN base.typelem <> 0 AND base.typlen = -1 THEN base.typelem ELSE base.oid END
    WHERE declared.oid = $2
$function$;
COMMENT ON FUNCTION mongoferry.comparable(text, oid) IS
    'an SQL expression of this type in a form that IS DISTINCT FROM compares by value';

-- A key as text that is the same for equal values: numbers without trailing zeros.
CREATE FUNCTION mongoferry.key_expression(alias text, columns name[], types oid[]) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT 'pg_catalog.jsonb_build_array(' || string_agg(
        CASE WHEN member.type = 'numeric'::regtype
            THEN format('CASE WHEN %1$s.%2$I IN (''NaN'', ''Infinity'', ''-Infinity'') THEN pg_catalog.to_jsonb(%1$s.%2$I::text) ELSE pg_catalog.to_jsonb(pg_catalog.trim_scale(%1$s.%2$I)) END', $1, member.name)
            ELSE format('%s.%I', $1, member.name)
        END, ', ' ORDER BY member.position) || ')'
    FROM unnest($2, $3) WITH ORDINALITY AS member (name, type, position)
$function$;
COMMENT ON FUNCTION mongoferry.key_expression(text, name[], oid[]) IS
    'SQL expression: these columns of a table alias as a jsonb array, equal for equal values';

CREATE FUNCTION mongoferry.key_object(alias text, columns name[]) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT 'pg_catalog.jsonb_build_object(' || string_agg(format('%L, %s.%I', member.name, $1, member.name), ', ' ORDER BY member.position) || ')'
    FROM unnest($2) WITH ORDINALITY AS member (name, position)
$function$;
COMMENT ON FUNCTION mongoferry.key_object(text, name[]) IS 'SQL expression: these columns of a table alias as a jsonb object';

-- What of a task is compared, and by which key.
CREATE FUNCTION mongoferry.validation_columns(migration text, task text,
        OUT columns name[], OUT types oid[], OUT declared text[], OUT compared name[], OUT key name[], OUT key_types oid[])
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this mongoferry.task;
BEGIN
    SELECT t.* INTO STRICT this FROM mongoferry.task AS t WHERE t.migration = $1 AND t.task = $2;
    SELECT array_agg(c.column_name ORDER BY c.position), array_agg(c.type ORDER BY c.position),
           array_agg(format_type(c.type, c.type_modifier)
               || CASE WHEN a.attcollation <> 0 THEN format(' COLLATE %I.%I', n.nspname, l.collname) ELSE '' END ORDER BY c.position)
    INTO columns, types, declared
    FROM mongoferry.task_columns($1, $2) AS c
    JOIN pg_attribute AS a ON a.attrelid = this.target AND a.attname = c.column_name
    LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
    LEFT JOIN pg_namespace AS n ON n.oid = l.collnamespace;
    key := mongoferry.task_key($1, $2);
    IF NOT key <@ columns THEN
        key := NULL;
    END IF;
    IF key IS NULL THEN
        -- Rows are compared whole, by the columns that all tasks on this target fill.
        SELECT array_agg(c.name ORDER BY c.position) INTO compared
        FROM unnest(columns) WITH ORDINALITY AS c (name, position)
        WHERE NOT EXISTS (SELECT FROM mongoferry.task AS other
            WHERE other.migration = $1 AND other.target = this.target AND other.on_conflict <> 'update'
                AND NOT EXISTS (SELECT FROM mongoferry.task_columns($1, other.task) AS o WHERE o.column_name = c.name));
    ELSE
        -- What a later pass over the same rows fills is that pass's to compare.
        SELECT array_agg(c.name ORDER BY c.position) INTO compared
        FROM unnest(columns) WITH ORDINALITY AS c (name, position)
        WHERE NOT EXISTS (SELECT FROM mongoferry.task AS other
            WHERE other.migration = $1 AND other.target = this.target AND other.on_conflict = 'update'
                AND other.position > this.position AND c.name <> ALL (key)
                AND EXISTS (SELECT FROM mongoferry.task_columns($1, other.task) AS o WHERE o.column_name = c.name));
    END IF;
    SELECT array_agg(types[array_position(columns, k.name)] ORDER BY k.position) INTO key_types
    FROM unnest(coalesce(key, compared)) WITH ORDINALITY AS k (name, position);
END
$function$;
COMMENT ON FUNCTION mongoferry.validation_columns(text, text) IS
    'what validate() compares of a task: the columns that it fills with their types, those that are compared, and the key that pairs rows (NULL: whole rows are compared; key_types are then the types of compared)';

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
    'runs the statement that fills validate()''s temporary table over a chunk; returns the documents that the transform refuses';

-- Which document gave a row? Where each document gives one row, the n-th; else by trying. Each find is tried before it is
-- believed. Needs the temporary table mongoferry_expected and mongoferry_wanted (ordinal of a row, its key).
CREATE FUNCTION mongoferry.find_documents(migration text, task text, bounds bytea, key name[], key_types oid[])
    RETURNS TABLE (ordinal bigint, source_id jsonb, document jsonb, raw bytea)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    this mongoferry.task;
    probe text;
    documents bytea[];
    pieces int4range[] := '{}';
    piece int4range;
    first_number integer;
    last_number integer;
    middle integer;
    hits bigint[];
    wanted record;
BEGIN
    SELECT t.* INTO STRICT this FROM mongoferry.task AS t WHERE t.migration = $1 AND t.task = $2;
    SELECT array_agg(d.raw) INTO documents FROM mongoferry.read_documents(this.source, $3) AS d;
    IF documents IS NULL THEN
        RETURN;
    END IF;
    -- the wanted rows that these documents give
    probe := format('SELECT pg_catalog.array_agg(DISTINCT w.ordinal) FROM (%s) AS given JOIN pg_temp.mongoferry_wanted AS w ON w.key = (%s)::pg_catalog.text',
        mongoferry.validation_query($1, $2), mongoferry.key_expression('given', $4, $5));
    CREATE TEMP TABLE mongoferry_found (ordinal bigint, number integer);
    IF (SELECT count(*) FROM pg_temp.mongoferry_expected) = cardinality(documents) THEN
        FOR wanted IN SELECT w.ordinal, (SELECT count(*) FROM pg_temp.mongoferry_expected AS e WHERE e.mongoferry_ordinal <= w.ordinal)::integer AS number
            FROM pg_temp.mongoferry_wanted AS w
        LOOP
            hits := mongoferry.probe_documents($1, $2, probe, mongoferry.raw_bounds(documents[wanted.number:wanted.number]));
            INSERT INTO pg_temp.mongoferry_found SELECT hit, wanted.number FROM unnest(hits) AS hit;
        END LOOP;
    END IF;
    IF EXISTS (SELECT FROM pg_temp.mongoferry_wanted AS w WHERE w.ordinal NOT IN (SELECT f.ordinal FROM pg_temp.mongoferry_found AS f)) THEN
        pieces := ARRAY[int4range(1, cardinality(documents), '[]')];
    END IF;
    WHILE cardinality(pieces) > 0 LOOP
        piece := pieces[cardinality(pieces)];
        pieces := pieces[1:cardinality(pieces) - 1];
        first_number := lower(piece);
        last_number := upper(piece) - 1;
        hits := mongoferry.probe_documents($1, $2, probe, mongoferry.raw_bounds(documents[first_number:last_number]));
        CONTINUE WHEN hits IS NULL;
        IF first_number = last_number THEN
            INSERT INTO pg_temp.mongoferry_found SELECT hit, first_number FROM unnest(hits) AS hit;
        ELSE
            middle := (first_number + last_number) / 2;
            pieces := pieces || int4range(middle + 1, last_number, '[]') || int4range(first_number, middle, '[]');
        END IF;
    END LOOP;
    RETURN QUERY
        SELECT DISTINCT ON (f.ordinal) f.ordinal, d.source_id, d.document, d.raw
        FROM pg_temp.mongoferry_found AS f
        JOIN LATERAL mongoferry.read_documents(this.source, mongoferry.raw_bounds(documents[f.number:f.number])) AS d ON true
        ORDER BY f.ordinal, f.number;
    DROP TABLE pg_temp.mongoferry_found;
END
$function$;
COMMENT ON FUNCTION mongoferry.find_documents(text, text, bytea, name[], oid[]) IS
    'for validate(): which documents of a chunk give the rows in the temporary table mongoferry_wanted';

-- Has a document changed since? Only its own word counts.
CREATE FUNCTION mongoferry.is_changed(source regclass, raw bytea, changed_field text, since timestamptz) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    changed_at jsonb;
BEGIN
    IF raw IS NULL OR changed_field IS NULL THEN
        RETURN false;
    END IF;
    SELECT d.document #> string_to_array($3, '.') -> '$date' INTO changed_at
    FROM mongoferry.read_documents($1, mongoferry.raw_bounds(ARRAY[$2])) AS d;
    RETURN coalesce(CASE jsonb_typeof(changed_at)
        WHEN 'string' THEN (changed_at #>> '{}')::timestamptz
        WHEN 'object' THEN to_timestamp((changed_at ->> '$numberLong')::numeric::double precision / 1000)
    END > since, false);
END
$function$;
COMMENT ON FUNCTION mongoferry.is_changed(regclass, bytea, text, timestamptz) IS
    'true if the document (BSON) has a date in changed_field (dotted path) that is later than since';

CREATE FUNCTION mongoferry.probe_documents(migration text, task text, probe text, bounds bytea) RETURNS bigint[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    hits bigint[];
BEGIN
    PERFORM mongoferry.use_search_path($1, $2);
    EXECUTE $3 INTO hits USING $4;
    RETURN hits;
EXCEPTION
    WHEN data_exception OR integrity_constraint_violation OR data_corrupted OR raise_exception THEN
        RETURN NULL; -- a document that the transform refuses gives no row
END
$function$;
COMMENT ON FUNCTION mongoferry.probe_documents(text, text, text, bytea) IS
    'for validate(): runs the query of find_documents() over some documents';

-- The bound query of a task with its columns cast to the target's, as the temporary table has them.
CREATE FUNCTION mongoferry.validation_query(migration text, task text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT format('SELECT %s FROM (%s) AS transformed',
        string_agg(format('transformed.%1$I::%2$s AS %1$I', c.column_name, format_type(c.type, c.type_modifier)), ', ' ORDER BY c.position),
        mongoferry.task_query($1, $2))
    FROM mongoferry.task_columns($1, $2) AS c
$function$;
COMMENT ON FUNCTION mongoferry.validation_query(text, text) IS
    'for validate(): the rows of a task''s transform over the chunk $1, in the types of the target';

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
    shape record;
    refused bytea[];
    looked_at bytea[];
    chunk_bounds bytea;
    pairing text;
    differing text;
    read record;
    unreadable bigint := 0;
    expected_rows bigint;
    matched_rows bigint := 0;
    missing_rows bigint := 0;
    different_rows bigint := 0;
    changed_rows bigint := 0;
BEGIN
    SELECT p.* INTO STRICT piece FROM mongoferry.validation_part AS p WHERE p.run = $1 AND p.part = $2;
    SELECT t.* INTO STRICT this FROM mongoferry.task AS t WHERE t.migration = piece.migration AND t.task = piece.task;
    SELECT c.* INTO STRICT copied FROM mongoferry.chunk AS c
    WHERE c.migration = piece.migration AND c.task = piece.task AND c.chunk = piece.chunk;
    SELECT v.* INTO shape FROM mongoferry.validation_columns(this.migration, this.task) AS v;

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
    EXECUTE format('CREATE TEMP TABLE mongoferry_expected (%s, mongoferry_ordinal bigint GENERATED ALWAYS AS IDENTITY)',
        (SELECT string_agg(format('%I %s', c.name, c.declared), ', ' ORDER BY c.position)
         FROM unnest(shape.columns, shape.declared) WITH ORDINALITY AS c (name, declared, position)));
    CREATE TEMP TABLE mongoferry_wanted (ordinal bigint, key text, kind text, key_shown jsonb, column_name text, expected text, actual text);
    CREATE TEMP TABLE mongoferry_refused AS
        SELECT r.* FROM mongoferry.fill_expected(this.migration, this.task, this.source,
            format('INSERT INTO pg_temp.mongoferry_expected (%s) %s',
                (SELECT string_agg(quote_ident(c.name), ', ' ORDER BY c.position) FROM unnest(shape.columns) WITH ORDINALITY AS c (name, position)),
                mongoferry.task_query(this.migration, this.task)), chunk_bounds) AS r;
    SELECT t.* INTO read FROM mongoferry.chunk_totals() AS t;

    -- Documents that were copied and cannot be transformed any more.
    INSERT INTO mongoferry.mismatches (migration, task, kind, source_id, actual, chunk, raw, changed)
        SELECT this.migration, this.task, 'different', r.source_id, format('%s: %s', r.sqlstate, r.message), copied.chunk, r.raw,
            mongoferry.is_changed(this.source, r.raw, this.changed_field, copied.started_at)
        FROM pg_temp.mongoferry_refused AS r LIMIT recorded_rows;
    unreadable := (SELECT count(*) FROM pg_temp.mongoferry_refused);

    IF shape.key IS NULL THEN
        expected_rows := (SELECT count(*) FROM pg_temp.mongoferry_expected);
        -- Whole rows are compared when all are there (phase 2).
        EXECUTE format('INSERT INTO mongoferry.validation_key SELECT $1, $2, $3, (%s)::pg_catalog.text FROM pg_temp.mongoferry_expected AS e',
            mongoferry.key_expression('e', shape.compared, shape.key_types)) USING run, this.migration, this.target::oid;
        matched_rows := NULL;
        missing_rows := NULL;
    ELSE
        -- Of several documents with one key, the one that was written counts.
        IF this.on_conflict <> 'error' THEN
            EXECUTE format('DELETE FROM pg_temp.mongoferry_expected AS e USING pg_temp.mongoferry_expected AS o WHERE %s AND o.mongoferry_ordinal %s e.mongoferry_ordinal',
                (SELECT string_agg(format('e.%1$I = o.%1$I', k), ' AND ') FROM unnest(shape.key) AS k),
                CASE this.on_conflict WHEN 'nothing' THEN '<' ELSE '>' END);
        END IF;
        EXECUTE format('ANALYZE pg_temp.mongoferry_expected (%s)', (SELECT string_agg(quote_ident(k), ', ') FROM unnest(shape.key) AS k));
        pairing := (SELECT string_agg(format('t.%1$I = e.%1$I', k), ' AND ') FROM unnest(shape.key) AS k);
        -- An UPDATE makes no rows: one that is not there is missed by the task that was to make it, if it was not refused there.
        IF mongoferry.is_update(this.target, this.on_conflict, shape.columns) THEN
            EXECUTE format('DELETE FROM pg_temp.mongoferry_expected AS e WHERE NOT EXISTS (SELECT FROM %s AS t WHERE %s)', this.target, pairing);
        END IF;
        expected_rows := (SELECT count(*) FROM pg_temp.mongoferry_expected);
        EXECUTE format('SELECT count(*) FROM pg_temp.mongoferry_expected AS e WHERE EXISTS (SELECT FROM %s AS t WHERE %s)', this.target, pairing) INTO matched_rows;
        missing_rows := (SELECT count(*) FROM pg_temp.mongoferry_expected) - matched_rows;
        IF level = 'values' OR this.on_conflict <> 'update' AND level = 'counts' THEN
            EXECUTE format('INSERT INTO mongoferry.validation_key SELECT $1, $2, $3, (%s)::pg_catalog.text FROM pg_temp.mongoferry_expected AS e',
                mongoferry.key_expression('e', shape.key, shape.key_types)) USING run, this.migration, this.target::oid;
        END IF;
        IF missing_rows > 0 THEN
            EXECUTE format('INSERT INTO pg_temp.mongoferry_wanted SELECT e.mongoferry_ordinal, (%s)::pg_catalog.text, ''missing'', %s FROM pg_temp.mongoferry_expected AS e WHERE NOT EXISTS (SELECT FROM %s AS t WHERE %s) ORDER BY 1 LIMIT %s',
                mongoferry.key_expression('e', shape.key, shape.key_types), mongoferry.key_object('e', shape.key), this.target, pairing, recorded_rows);
        END IF;
        differing := (SELECT string_agg(format('%s IS DISTINCT FROM %s',
                mongoferry.comparable(format('e.%I', c), shape.types[array_position(shape.columns, c)]),
                mongoferry.comparable(format('t.%I', c), shape.types[array_position(shape.columns, c)])), ' OR ')
            FROM unnest(shape.compared) AS c WHERE c <> ALL (shape.key));
        IF level <> 'counts' AND differing IS NOT NULL THEN
            EXECUTE format('SELECT count(*) FROM pg_temp.mongoferry_expected AS e JOIN %s AS t ON %s WHERE %s', this.target, pairing, differing) INTO different_rows;
            IF different_rows > 0 THEN
                EXECUTE format('INSERT INTO pg_temp.mongoferry_wanted SELECT d.mongoferry_ordinal, d.key, ''different'', d.key_shown, v.column_name, v.expected, v.actual FROM (SELECT e.mongoferry_ordinal, (%s)::pg_catalog.text AS key, %s AS key_shown, e, t FROM pg_temp.mongoferry_expected AS e JOIN %s AS t ON %s WHERE %s ORDER BY 1 LIMIT %s) AS d CROSS JOIN LATERAL (VALUES %s) AS v (column_name, expected, actual, differs) WHERE v.differs',
                    mongoferry.key_expression('e', shape.key, shape.key_types), mongoferry.key_object('e', shape.key), this.target, pairing, differing, recorded_rows,
                    (SELECT string_agg(format('(%L, (d.e).%I::pg_catalog.text, (d.t).%2$I::pg_catalog.text, %s IS DISTINCT FROM %s)', c, c,
                        mongoferry.comparable(format('(d.e).%I', c), shape.types[array_position(shape.columns, c)]),
                        mongoferry.comparable(format('(d.t).%I', c), shape.types[array_position(shape.columns, c)])), ', ')
                     FROM unnest(shape.compared) AS c WHERE c <> ALL (shape.key)));
            END IF;
        END IF;
    END IF;

    IF EXISTS (SELECT FROM pg_temp.mongoferry_wanted) THEN
        CREATE TEMP TABLE mongoferry_documents (ordinal bigint, source_id jsonb, raw bytea);
        IF read.bytes <= largest_chunk_searched THEN
            INSERT INTO pg_temp.mongoferry_documents
                SELECT f.ordinal, f.source_id, f.raw
                FROM mongoferry.find_documents(this.migration, this.task, chunk_bounds, shape.key, shape.key_types) AS f;
        END IF;
        INSERT INTO mongoferry.mismatches (migration, task, kind, source_id, key, column_name, expected, actual, chunk, raw, changed)
            SELECT this.migration, this.task, w.kind, d.source_id, w.key_shown, w.column_name, w.expected, w.actual, copied.chunk, d.raw,
                mongoferry.is_changed(this.source, d.raw, this.changed_field, copied.started_at)
            FROM pg_temp.mongoferry_wanted AS w LEFT JOIN pg_temp.mongoferry_documents AS d USING (ordinal)
            ORDER BY w.ordinal;
        DROP TABLE pg_temp.mongoferry_documents;
    END IF;
    changed_rows := (SELECT count(DISTINCT coalesce(m.key, m.source_id)) FROM mongoferry.mismatches AS m
        WHERE m.migration = this.migration AND m.task = this.task AND m.chunk = copied.chunk AND m.changed);
    DROP TABLE pg_temp.mongoferry_expected, pg_temp.mongoferry_wanted, pg_temp.mongoferry_refused;

    UPDATE mongoferry.validation_part AS p
    SET state = 'done', documents = read.documents, rows_expected = expected_rows, rows_matched = matched_rows,
        missing = missing_rows, different = different_rows + unreadable, changed = changed_rows
    WHERE p.run = $1 AND p.part = $2;
END
$function$;
COMMENT ON FUNCTION mongoferry.validate_chunk(bigint, integer, text) IS
    'compares the rows of one chunk with the target; level is counts, values, sample or recheck';


-- Phase 2: the rows of a target that no task gives.
CREATE FUNCTION mongoferry.validate_target(run bigint, part integer, level text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    recorded_rows CONSTANT integer := 1000;
    piece mongoferry.validation_part;
    this mongoferry.task;
    shape record;
    key_text text;
    extra_rows bigint;
    missing_rows bigint;
BEGIN
    SELECT p.* INTO STRICT piece FROM mongoferry.validation_part AS p WHERE p.run = $1 AND p.part = $2;
    SELECT t.* INTO STRICT this FROM mongoferry.task AS t WHERE t.migration = piece.migration AND t.task = piece.task;
    SELECT v.* INTO shape FROM mongoferry.validation_columns(this.migration, this.task) AS v;
    DELETE FROM mongoferry.mismatches AS m
    WHERE m.migration = this.migration AND m.task = this.task AND m.chunk IS NULL;
    ANALYZE mongoferry.validation_key;
    key_text := format('(%s)::pg_catalog.text', mongoferry.key_expression('t', coalesce(shape.key, shape.compared), shape.key_types));
    IF shape.key IS NOT NULL THEN
        EXECUTE format('WITH extra AS MATERIALIZED (SELECT %s AS key FROM %s AS t WHERE NOT EXISTS (SELECT FROM mongoferry.validation_key AS k WHERE k.run = $1 AND k.target = $2 AND k.key = %s)), kept AS (INSERT INTO mongoferry.mismatches (migration, task, kind, key) SELECT $3, $4, ''extra'', extra.key FROM extra LIMIT %s) SELECT count(*) FROM extra',
            mongoferry.key_object('t', shape.key), this.target, key_text, recorded_rows)
            USING run, this.target::oid, this.migration, this.task INTO extra_rows;
    ELSE
        -- As multisets: each whole row as often on one side as on the other.
        EXECUTE format('CREATE TEMP TABLE mongoferry_uneven AS SELECT key, coalesce(e.rows, 0) AS expected, coalesce(a.rows, 0) AS actual FROM (SELECT k.key, count(*) AS rows FROM mongoferry.validation_key AS k WHERE k.run = %s AND k.target = %s GROUP BY k.key) AS e FULL JOIN (SELECT %s AS key, count(*) AS rows FROM %s AS t GROUP BY 1) AS a USING (key) WHERE e.rows IS DISTINCT FROM a.rows',
            run, this.target::oid, key_text, this.target);
        INSERT INTO mongoferry.mismatches (migration, task, kind, key, expected, actual)
            SELECT this.migration, this.task, CASE WHEN u.expected > u.actual THEN 'missing' ELSE 'extra' END,
                (SELECT jsonb_object_agg(c.name, c.value) FROM ROWS FROM (unnest(shape.compared), jsonb_array_elements(u.key::jsonb)) AS c (name, value)),
                format('%s times', u.expected), format('%s times', u.actual)
            FROM pg_temp.mongoferry_uneven AS u LIMIT recorded_rows;
        SELECT coalesce(sum(greatest(u.actual - u.expected, 0)), 0), coalesce(sum(greatest(u.expected - u.actual, 0)), 0)
        INTO extra_rows, missing_rows FROM pg_temp.mongoferry_uneven AS u;
        DROP TABLE pg_temp.mongoferry_uneven;
    END IF;
    UPDATE mongoferry.validation_part AS p SET state = 'done', extra = extra_rows, missing = missing_rows
    WHERE p.run = $1 AND p.part = $2;
END
$function$;
COMMENT ON FUNCTION mongoferry.validate_target(bigint, integer, text) IS
    'finds the rows of a target that no task of the migration gives';

-- The foreign keys that a task fills: orphans in the target, and documents refused for them.
CREATE FUNCTION mongoferry.validate_references(migration text, task text)
    RETURNS TABLE ("check" text, ok boolean, source_value text, target_value text, detail text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    this mongoferry.task;
    reference record;
    orphans bigint;
    refused bigint;
    of_refused_parents bigint;
BEGIN
    SELECT t.* INTO STRICT this FROM mongoferry.task AS t WHERE t.migration = $1 AND t.task = $2;
    FOR reference IN
        SELECT c.conname, c.confrelid::regclass AS parent, c.confmatchtype,
               string_agg(format('p.%I = t.%I', parent.attname, child.attname), ' AND ') AS pairing,
               string_agg(format('t.%I IS NOT NULL', child.attname), CASE c.confmatchtype WHEN 'f' THEN ' OR ' ELSE ' AND ' END) AS filled
        FROM pg_constraint AS c
        CROSS JOIN LATERAL unnest(c.conkey, c.confkey) AS k (child, parent)
        JOIN pg_attribute AS child ON child.attrelid = c.conrelid AND child.attnum = k.child
        JOIN pg_attribute AS parent ON parent.attrelid = c.confrelid AND parent.attnum = k.parent
        WHERE c.contype = 'f' AND c.conrelid = this.target AND c.conparentid = 0
        GROUP BY c.oid, c.conname, c.confrelid, c.confmatchtype
        HAVING bool_or(child.attname IN (SELECT f.column_name FROM mongoferry.task_columns($1, $2) AS f))
        ORDER BY c.conname
    LOOP
        EXECUTE format('SELECT count(*) FROM %s AS t WHERE (%s) AND NOT EXISTS (SELECT FROM %s AS p WHERE %s)',
            this.target, reference.filled, reference.parent, reference.pairing) INTO orphans;
        refused := (SELECT count(*) FROM mongoferry.errors AS e
            WHERE e.migration = $1 AND e.task = $2 AND e.sqlstate = '23503' AND e.constraint_name = reference.conname);
        of_refused_parents := CASE WHEN refused > 0 THEN mongoferry.refused_for_refused_parents($1, $2, reference.conname) ELSE 0 END;
        "check" := 'reference ' || reference.conname;
        ok := orphans = 0;
        source_value := refused || ' refused';
        target_value := orphans || ' orphans';
        detail := CASE WHEN refused > 0 THEN
            format('%s documents refer to a row of %s that is not there; of these, %s to a document in the quarantine.', refused, reference.parent, of_refused_parents) END;
        RETURN NEXT;
    END LOOP;
END
$function$;
COMMENT ON FUNCTION mongoferry.validate_references(text, text) IS
    'for each foreign key that a task fills: rows of the target without a parent, and documents that were refused for it';

-- The keys that the quarantined documents of the parent's tasks would have had, as errors name them: (column)=(value).
CREATE FUNCTION mongoferry.refused_for_refused_parents(migration text, task text, constraint_name text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    parent_key text[];
    parents record;
    document record;
    keys text[] := '{}';
    found_keys text[];
BEGIN
    FOR parents IN
        SELECT p.task, p.source, array_agg(a.attname::text ORDER BY k.position) AS columns
        FROM mongoferry.task AS this
        JOIN pg_constraint AS c ON c.contype = 'f' AND c.conrelid = this.target AND c.conname = $3
        JOIN mongoferry.task AS p ON p.migration = this.migration AND p.target = c.confrelid AND p.on_conflict <> 'update'
        CROSS JOIN LATERAL unnest(c.confkey) WITH ORDINALITY AS k (number, position)
        JOIN pg_attribute AS a ON a.attrelid = c.confrelid AND a.attnum = k.number
        WHERE this.migration = $1 AND this.task = $2
        GROUP BY p.task, p.source
    LOOP
        CONTINUE WHEN NOT parents.columns <@ (SELECT array_agg(f.column_name::text) FROM mongoferry.task_columns($1, parents.task) AS f);
        FOR document IN SELECT e.raw FROM mongoferry.errors AS e WHERE e.migration = $1 AND e.task = parents.task LOOP
            BEGIN
                PERFORM mongoferry.use_search_path($1, parents.task);
                EXECUTE format('SELECT pg_catalog.array_agg(pg_catalog.concat_ws('', '', %s)) FROM (%s) AS given',
                    (SELECT pg_catalog.string_agg(pg_catalog.format('given.%I', c), ', ') FROM pg_catalog.unnest(parents.columns) AS c),
                    mongoferry.validation_query($1, parents.task))
                    INTO found_keys USING mongoferry.raw_bounds(ARRAY[document.raw]);
                keys := pg_catalog.array_cat(keys, found_keys);
            EXCEPTION
                WHEN data_exception OR data_corrupted OR raise_exception THEN
                    NULL; -- not even its key can be told
            END;
        END LOOP;
    END LOOP;
    PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);
    RETURN (SELECT count(*) FROM mongoferry.errors AS e
        WHERE e.migration = $1 AND e.task = $2 AND e.sqlstate = '23503' AND e.constraint_name = $3
            AND substring(e.detail FROM '\)=\((.*)\) ') = ANY (keys));
END
$function$;
COMMENT ON FUNCTION mongoferry.refused_for_refused_parents(text, text, text) IS
    'how many documents of a task were refused for a foreign key because the parent''s document is in the quarantine';

-- Phase 3: the results.
CREATE FUNCTION mongoferry.conclude_validation(run bigint, migration text, level text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    this mongoferry.task;
    sums record;
    copied record;
    inserts_rows boolean;
    base bigint;
BEGIN
    CREATE TEMP TABLE mongoferry_results (number serial, task text, "check" text, ok boolean, source_value text, target_value text, detail text);
    -- recheck() adds to what the last validate() found
    FOR this IN SELECT t.* FROM mongoferry.task AS t WHERE t.migration = $2 ORDER BY t.position LOOP
        SELECT count(*) AS chunks, count(*) FILTER (WHERE c.state = 'done') AS done, sum(c.documents) AS documents,
               sum(c.rows_written) AS rows_written, sum(c.refused) AS refused
        INTO copied FROM mongoferry.chunk AS c WHERE c.migration = $2 AND c.task = this.task;
        SELECT sum(p.documents) AS documents, sum(p.rows_expected) AS rows_expected, sum(p.rows_matched) AS rows_matched,
               sum(p.missing) AS missing, sum(p.different) AS different, sum(p.changed) AS changed, sum(p.extra) AS extra,
               count(p.extra) AS targets, count(p.chunk) AS chunks,
               (SELECT count(*) FROM mongoferry.errors AS e WHERE e.migration = $2 AND e.task = this.task) AS refused,
               (SELECT sum(c.documents) FROM mongoferry.chunk AS c JOIN mongoferry.validation_part AS q
                    ON q.run = $1 AND q.migration = c.migration AND q.task = c.task AND q.chunk = c.chunk
                WHERE c.migration = $2 AND c.task = this.task) AS documents_copied,
               (SELECT count(*) FROM mongoferry.errors AS e JOIN mongoferry.validation_part AS q
                    ON q.run = $1 AND q.migration = e.migration AND q.task = e.task AND q.chunk = e.chunk
                WHERE e.migration = $2 AND e.task = this.task) AS refused_there,
               (SELECT string_agg(format('chunk %s: %s now, %s then', c.chunk, q.documents + q.errors, c.documents), '; ' ORDER BY c.chunk)
                FROM mongoferry.chunk AS c JOIN (SELECT r.*, (SELECT count(*) FROM mongoferry.errors AS e
                        WHERE e.migration = r.migration AND e.task = r.task AND e.chunk = r.chunk) AS errors
                    FROM mongoferry.validation_part AS r) AS q
                    ON q.run = $1 AND q.migration = c.migration AND q.task = c.task AND q.chunk = c.chunk
                WHERE c.migration = $2 AND c.task = this.task AND q.documents + q.errors <> c.documents) AS uneven,
               (SELECT string_agg(format('chunk %s: %s of %s rows', q.chunk, q.rows_matched, q.rows_expected), '; ' ORDER BY q.chunk)
                FROM mongoferry.validation_part AS q
                WHERE q.run = $1 AND q.task = this.task AND q.rows_matched <> q.rows_expected) AS short
        INTO sums FROM mongoferry.validation_part AS p WHERE p.run = $1 AND p.task = this.task;

        INSERT INTO pg_temp.mongoferry_results (task, "check", ok, source_value, target_value, detail) VALUES
            (this.task, 'chunks', copied.done = copied.chunks AND copied.chunks > 0, copied.chunks::text, copied.done::text,
             CASE WHEN copied.done < copied.chunks OR copied.chunks = 0 THEN 'Not everything has been copied yet; what has not was not compared.' END);
        IF level <> 'recheck' THEN
            INSERT INTO pg_temp.mongoferry_results (task, "check", ok, source_value, target_value, detail) VALUES
                (this.task, 'documents', sums.documents + sums.refused_there IS NOT DISTINCT FROM sums.documents_copied,
                 (sums.documents + sums.refused_there)::text, sums.documents_copied::text,
                 left(sums.uneven, 1000)),
                (this.task, 'refused', true, sums.refused::text, NULL,
                 CASE WHEN sums.refused > 0 THEN 'These documents are in mongoferry.errors, and not in the target.' END);
            IF sums.rows_matched IS NOT NULL THEN
                INSERT INTO pg_temp.mongoferry_results (task, "check", ok, source_value, target_value, detail) VALUES
                    (this.task, 'rows', sums.rows_matched = sums.rows_expected, sums.rows_expected::text, sums.rows_matched::text, left(sums.short, 1000));
            ELSIF sums.chunks > 0 THEN
                INSERT INTO pg_temp.mongoferry_results (task, "check", ok, source_value, target_value, detail)
                    SELECT this.task, 'rows', coalesce(p.missing, 0) = 0, sums.rows_expected::text, (sums.rows_expected - p.missing)::text,
                        'The target has no key that the task fills: whole rows were compared, over all tasks with this target.'
                    FROM mongoferry.validation_part AS p JOIN mongoferry.task AS t ON t.migration = p.migration AND t.task = p.task
                    WHERE p.run = $1 AND p.phase = 2 AND t.target = this.target;
            END IF;
        END IF;
        IF level = 'recheck' THEN
            INSERT INTO pg_temp.mongoferry_results (task, "check", ok, source_value, target_value, detail)
                SELECT this.task, k.kind, count(m.id) = 0, NULL, count(DISTINCT coalesce(m.key, m.source_id))::text,
                    CASE WHEN count(m.id) > 0 THEN 'See mongoferry.mismatches.' END
                FROM unnest(ARRAY['missing', 'different', 'extra']) WITH ORDINALITY AS k (kind, position)
                LEFT JOIN mongoferry.mismatches AS m ON m.migration = $2 AND m.task = this.task AND m.kind = k.kind AND NOT m.changed
                GROUP BY k.kind, k.position ORDER BY k.position;
        ELSIF level <> 'counts' THEN
            INSERT INTO pg_temp.mongoferry_results (task, "check", ok, source_value, target_value, detail) VALUES
                (this.task, 'values', sums.different IS NOT DISTINCT FROM 0 OR sums.chunks = 0, sums.rows_expected::text, (coalesce(sums.rows_matched, sums.rows_expected) - sums.different)::text,
                 CASE WHEN sums.different > 0 THEN format('%s rows differ; see mongoferry.mismatches.', sums.different) END);
        END IF;
        IF level IN ('values', 'sample') AND this.changed_field IS NOT NULL THEN
            INSERT INTO pg_temp.mongoferry_results (task, "check", ok, source_value, target_value, detail) VALUES
                (this.task, 'changed', coalesce(sums.changed, 0) = 0, coalesce(sums.changed, 0)::text, NULL,
                 CASE WHEN sums.changed > 0 THEN format('Of the rows that differ or are missing, those of %s documents changed at the source after they were copied (%s).', sums.changed, this.changed_field) END);
        END IF;
        IF sums.targets > 0 THEN
            INSERT INTO pg_temp.mongoferry_results (task, "check", ok, source_value, target_value, detail) VALUES
                (this.task, 'extra rows', sums.extra = 0, NULL, sums.extra::text,
                 CASE WHEN sums.extra > 0 THEN format('%s has rows that no task of the migration gives; see mongoferry.mismatches.', this.target) END);
        END IF;
        INSERT INTO pg_temp.mongoferry_results (task, "check", ok, source_value, target_value, detail)
            SELECT this.task, r.* FROM mongoferry.validate_references($2, this.task) AS r;
    END LOOP;
    DELETE FROM mongoferry.validation_result AS r WHERE r.run = $1;
    INSERT INTO mongoferry.validation_result (run, migration, number, task, "check", ok, source_value, target_value, detail)
        SELECT $1, $2, r.* FROM pg_temp.mongoferry_results AS r;
    DROP TABLE pg_temp.mongoferry_results;
    DELETE FROM mongoferry.validation_key AS k WHERE k.migration = $2;
    UPDATE mongoferry.run AS r
    SET finished_at = clock_timestamp(),
        outcome = (SELECT CASE WHEN bool_and(v.ok) THEN 'no difference' ELSE format('%s checks failed', count(*) FILTER (WHERE NOT v.ok)) END
                   FROM mongoferry.validation_result AS v WHERE v.run = $1)
    WHERE r.id = $1;
END
$function$;
COMMENT ON FUNCTION mongoferry.conclude_validation(bigint, text, text) IS 'turns the parts of a validation into its results';

CREATE FUNCTION mongoferry.begin_validation(run bigint, migration text, options jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    level text := options ->> 'level';
BEGIN
    INSERT INTO mongoferry.run (id, migration, job, options, workers)
        VALUES ($1, $2, CASE level WHEN 'recheck' THEN 'recheck' ELSE 'validate' END, options - 'run', (options ->> 'workers')::integer);
    DELETE FROM mongoferry.validation_part AS p WHERE p.migration = $2;
    DELETE FROM mongoferry.validation_key AS k WHERE k.migration = $2;
    IF level <> 'recheck' THEN
        DELETE FROM mongoferry.mismatches AS m WHERE m.migration = $2;
    END IF;
    INSERT INTO mongoferry.validation_part (run, part, migration, task, chunk, phase)
        SELECT $1, (row_number() OVER (ORDER BY parts.phase, parts.position, parts.chunk))::integer, $2, parts.task, parts.chunk, parts.phase
        FROM (
            SELECT t.position, c.task, c.chunk, 1 AS phase
            FROM (SELECT d.*, row_number() OVER (PARTITION BY d.task ORDER BY random()) AS draw, count(*) OVER (PARTITION BY d.task) AS chunks
                  FROM mongoferry.chunk AS d WHERE d.migration = $2 AND d.state = 'done') AS c
            JOIN mongoferry.task AS t ON t.migration = c.migration AND t.task = c.task
            WHERE CASE level
                WHEN 'sample' THEN c.draw <= greatest(1, ceil(c.chunks * (options ->> 'share')::double precision))
                WHEN 'recheck' THEN EXISTS (SELECT FROM mongoferry.mismatches AS m WHERE m.migration = $2 AND m.task = c.task AND m.chunk = c.chunk)
                ELSE true END
            UNION ALL
            -- A target is looked at as a whole where all its tasks are done and all their chunks were read.
            SELECT min(t.position), (array_agg(t.task ORDER BY t.position))[1], NULL, 2
            FROM mongoferry.task AS t
            WHERE t.migration = $2 AND t.on_conflict <> 'update'
            GROUP BY t.target
            HAVING level IN ('values', 'counts')
                AND NOT EXISTS (SELECT FROM mongoferry.task AS o LEFT JOIN mongoferry.chunk AS c ON c.migration = o.migration AND c.task = o.task
                    WHERE o.migration = $2 AND o.target = t.target AND o.on_conflict <> 'update' AND (c.state IS NULL OR c.state <> 'done'))
            UNION ALL
            SELECT max(t.position), (array_agg(t.task ORDER BY t.position))[1], NULL, 3
            FROM mongoferry.task AS t WHERE t.migration = $2 HAVING count(*) > 0
        ) AS parts;
    IF level = 'recheck' THEN
        -- Rows that no task gave: those that are gone from the target by now are no difference any more.
        PERFORM mongoferry.recheck_extra_rows($2);
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.begin_validation(bigint, text, jsonb) IS 'cuts a validation into parts';

CREATE FUNCTION mongoferry.recheck_extra_rows(migration text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    line record;
    is_there boolean;
BEGIN
    FOR line IN SELECT m.id, m.key, t.target FROM mongoferry.mismatches AS m
        JOIN mongoferry.task AS t ON t.migration = m.migration AND t.task = m.task
        WHERE m.migration = $1 AND m.kind = 'extra'
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s AS t JOIN pg_catalog.jsonb_populate_record(NULL::%1$s, $1) AS k ON %s)', line.target,
            (SELECT string_agg(format('t.%1$I IS NOT DISTINCT FROM k.%1$I', name), ' AND ') FROM jsonb_object_keys(line.key) AS name))
            INTO is_there USING line.key;
        IF NOT is_there THEN
            DELETE FROM mongoferry.mismatches AS m WHERE m.id = line.id;
        END IF;
    END LOOP;
END
$function$;
COMMENT ON FUNCTION mongoferry.recheck_extra_rows(text) IS 'forgets the extra rows that the target does not have any more';

CREATE FUNCTION mongoferry.validate_step(migration text, options jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    this_run CONSTANT bigint := (options ->> 'run')::bigint;
    level CONSTANT text := options ->> 'level';
    piece mongoferry.validation_part;
    current_phase smallint;
BEGIN
    IF NOT EXISTS (SELECT FROM mongoferry.run AS r WHERE r.id = this_run) THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('mongoferry validation ' || this_run, 0));
        IF NOT EXISTS (SELECT FROM mongoferry.run AS r WHERE r.id = this_run) THEN
            PERFORM mongoferry.begin_validation(this_run, $1, options);
        END IF;
        RETURN 'again';
    END IF;
    SELECT min(p.phase) INTO current_phase FROM mongoferry.validation_part AS p WHERE p.run = this_run AND p.state = 'pending';
    IF current_phase IS NULL THEN
        RETURN 'finished';
    END IF;
    SELECT p.* INTO piece FROM mongoferry.validation_part AS p
    WHERE p.run = this_run AND p.state = 'pending' AND p.phase = current_phase
    ORDER BY p.part LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 'wait';
    END IF;
    PERFORM mongoferry.note_step(piece.task, piece.chunk);
    CASE current_phase
        WHEN 1 THEN
            PERFORM mongoferry.validate_chunk(this_run, piece.part, level);
        WHEN 2 THEN
            PERFORM mongoferry.validate_target(this_run, piece.part, level);
        ELSE
            PERFORM mongoferry.conclude_validation(this_run, $1, level);
            UPDATE mongoferry.validation_part AS p SET state = 'done' WHERE p.run = this_run AND p.part = piece.part;
    END CASE;
    RETURN 'again';
END
$function$;
COMMENT ON FUNCTION mongoferry.validate_step(text, jsonb) IS
    'one step of a worker of validate(): again, wait (others work on the rest of the phase) or finished';

CREATE FUNCTION mongoferry.run_validation(migration text, level text, share double precision, workers integer)
    RETURNS TABLE (task text, "check" text, ok boolean, source_value text, target_value text, detail text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    this_run bigint;
BEGIN
    PERFORM mongoferry.require_owner($1);
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_transaction_state',
            MESSAGE = 'a migration can only be validated in a transaction of isolation level read committed',
            DETAIL = 'The workers commit what they find, and this transaction has to see it.';
    END IF;
    IF NOT EXISTS (SELECT FROM mongoferry.task AS t WHERE t.migration = $1) THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('migration "%s" has no tasks', $1),
            HINT = 'Add them with mongoferry.add_task().';
    END IF;
    this_run := nextval('mongoferry.run_id_seq');
    PERFORM mongoferry.run_workers(CASE level WHEN 'recheck' THEN 'recheck' ELSE 'validate' END, $1,
        jsonb_build_object('run', this_run, 'level', level, 'share', share, 'workers', workers), workers);
    RETURN QUERY
        SELECT r.task, r."check", r.ok, r.source_value, r.target_value, r.detail
        FROM mongoferry.validation_result AS r WHERE r.run = this_run ORDER BY r.number;
END
$function$;
COMMENT ON FUNCTION mongoferry.run_validation(text, text, double precision, integer) IS 'what validate() and recheck() have in common';

CREATE FUNCTION mongoferry.validate(migration text, level text DEFAULT 'values', sample_share double precision DEFAULT 0.01, workers integer DEFAULT 2)
    RETURNS TABLE (task text, "check" text, ok boolean, source_value text, target_value text, detail text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    IF $2 IS NULL OR $2 NOT IN ('counts', 'values', 'sample') THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('invalid level of validation: "%s"', $2),
            HINT = 'Levels are "counts", "values" and "sample".';
    END IF;
    IF $3 IS NULL OR NOT ($3 > 0 AND $3 <= 1) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('invalid sample_share: %s', $3),
            HINT = 'It is the share of the chunks that is compared, above 0 and up to 1.';
    END IF;
    RETURN QUERY SELECT v.* FROM mongoferry.run_validation($1, $2, $3, $4) AS v;
END
$function$;
COMMENT ON FUNCTION mongoferry.validate(text, text, double precision, integer) IS
    'compares what the tasks of a migration give now with their targets. level: counts (documents and rows, chunk by chunk), values (every row, value by value, both ways) or sample (the same on a share of the chunks); references always. Returns a row for each check; the differences are in mongoferry.mismatches. The transaction stays open meanwhile';

CREATE FUNCTION mongoferry.recheck(migration text, workers integer DEFAULT 2)
    RETURNS TABLE (task text, "check" text, ok boolean, source_value text, target_value text, detail text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RETURN QUERY SELECT v.* FROM mongoferry.run_validation($1, 'recheck', NULL, $2) AS v;
END
$function$;
COMMENT ON FUNCTION mongoferry.recheck(text, integer) IS
    'looks again at what validate() found different, as source and target are now; what is equal by now leaves mongoferry.mismatches';
