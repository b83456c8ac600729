-- Phase 2 of validate(): the rows of a target that no task gives.

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
        -- No unique key here keeps a foreign table from having a row twice.
        IF mongoferry.is_remote(this.target) THEN
            EXECUTE format('WITH again AS MATERIALIZED (SELECT (pg_catalog.array_agg(%s))[1] AS key, count(*) AS rows FROM %s AS t WHERE EXISTS (SELECT FROM mongoferry.validation_key AS k WHERE k.run = $1 AND k.target = $2 AND k.key = %s) GROUP BY %3$s HAVING count(*) > 1), kept AS (INSERT INTO mongoferry.mismatches (migration, task, kind, key, expected, actual) SELECT $3, $4, ''extra'', again.key, ''1 times'', again.rows || '' times'' FROM again LIMIT %s) SELECT $5 + coalesce(pg_catalog.sum(again.rows - 1), 0) FROM again',
                mongoferry.key_object('t', shape.key), this.target, key_text, recorded_rows)
                USING run, this.target::oid, this.migration, this.task, extra_rows INTO extra_rows;
        END IF;
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
    'finds the rows of a target that no task of the migration gives. Part of the toolkit';
