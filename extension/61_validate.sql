-- validate() and recheck(): every row that the transforms give now against what the target has.
--
-- The work is cut into parts, which the workers take one by one (validate_step). Phase 1: a chunk's rows are put into a
-- temporary table, whose columns have the target's types, and compared with the target by key (61_validate_chunk). Phase 2:
-- rows of a target that no task gives (61_validate_target). Phase 3: references (61_validate_references), and the results
-- (61_validate_results).

-- The parts of a validation. A target is looked at as a whole (phase 2) where all its tasks are done and all their chunks
-- are read.
CREATE FUNCTION mongoferry.validation_parts(migration text, level text, share double precision)
    RETURNS TABLE (phase integer, task_position integer, task text, chunk integer)
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT 1, t.position, c.task, c.chunk
    FROM (SELECT d.task, d.chunk, row_number() OVER (PARTITION BY d.task ORDER BY random()) AS draw, count(*) OVER (PARTITION BY d.task) AS chunks
          FROM mongoferry.chunk AS d WHERE d.migration = $1 AND d.state = 'done') AS c
    JOIN mongoferry.task AS t ON t.migration = $1 AND t.task = c.task
    WHERE CASE $2
        WHEN 'sample' THEN c.draw <= greatest(1, ceil(c.chunks * $3))
        WHEN 'recheck' THEN EXISTS (SELECT FROM mongoferry.mismatches AS m WHERE m.migration = $1 AND m.task = c.task AND m.chunk = c.chunk)
        ELSE true
    END
    UNION ALL
    SELECT 2, min(t.position), (array_agg(t.task ORDER BY t.position))[1], NULL
    FROM mongoferry.task AS t
    WHERE t.migration = $1 AND mongoferry.makes_rows(t) AND $2 IN ('values', 'counts')
    GROUP BY t.target
    HAVING NOT EXISTS (SELECT FROM mongoferry.task AS o LEFT JOIN mongoferry.chunk AS c ON c.migration = o.migration AND c.task = o.task
        WHERE o.migration = $1 AND o.target = t.target AND mongoferry.makes_rows(o) AND (c.state IS NULL OR c.state <> 'done'))
    UNION ALL
    SELECT 3, max(t.position), (array_agg(t.task ORDER BY t.position))[1], NULL
    FROM mongoferry.task AS t WHERE t.migration = $1 HAVING count(*) > 0
$function$;
COMMENT ON FUNCTION mongoferry.validation_parts(text, text, double precision) IS
    'the parts that a validation of this level is cut into; share: of the chunks, for level sample. Part of the toolkit';

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
        SELECT $1, (row_number() OVER (ORDER BY p.phase, p.task_position, p.chunk))::integer, $2, p.task, p.chunk, p.phase
        FROM mongoferry.validation_parts($2, level, (options ->> 'share')::double precision) AS p;
    IF level = 'recheck' THEN
        -- Rows that no task gave: those that are gone from the target by now are no difference any more.
        PERFORM mongoferry.recheck_extra_rows($2);
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.begin_validation(bigint, text, jsonb) IS 'cuts a validation into parts. Part of the toolkit';

CREATE FUNCTION mongoferry.recheck_extra_rows(migration text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    line record;
    times bigint;
BEGIN
    FOR line IN SELECT m.id, m.key, t.target, coalesce(split_part(m.expected, ' ', 1)::bigint, 0) AS expected FROM mongoferry.mismatches AS m
        JOIN mongoferry.task AS t ON t.migration = m.migration AND t.task = m.task
        WHERE m.migration = $1 AND m.kind = 'extra'
    LOOP
        EXECUTE format('SELECT count(*) FROM %s AS t JOIN pg_catalog.jsonb_populate_record(NULL::%1$s, $1) AS k ON %s', line.target,
            (SELECT string_agg(format('t.%1$I IS NOT DISTINCT FROM k.%1$I', name), ' AND ') FROM jsonb_object_keys(line.key) AS name))
            INTO times USING line.key;
        IF times <= line.expected THEN
            DELETE FROM mongoferry.mismatches AS m WHERE m.id = line.id;
        END IF;
    END LOOP;
END
$function$;
COMMENT ON FUNCTION mongoferry.recheck_extra_rows(text) IS 'forgets the extra rows that the target does not have any more. Part of the toolkit';

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
    'one step of a worker of validate(): again, wait (others work on the rest of the phase) or finished. Part of the toolkit';

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
COMMENT ON FUNCTION mongoferry.run_validation(text, text, double precision, integer) IS 'what validate() and recheck() have in common. Part of the toolkit';

CREATE FUNCTION mongoferry.validate(migration text, level text DEFAULT 'values', sample_share double precision DEFAULT 0.01, workers integer DEFAULT 2)
    RETURNS TABLE (task text, "check" text, ok boolean, source_value text, target_value text, detail text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    IF $2 IS NULL OR $2 NOT IN ('counts', 'values', 'sample') THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('invalid value for level: "%s"', coalesce($2, 'NULL')),
            HINT = 'Valid values are "counts", "values" and "sample".';
    END IF;
    IF $3 IS NULL OR NOT ($3 > 0 AND $3 <= 1) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('invalid value for sample_share: %s', coalesce($3::text, 'NULL')),
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
