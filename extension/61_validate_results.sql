-- Phase 3 of validate(): the results.

CREATE FUNCTION mongoferry.conclude_validation(run bigint, migration text, level text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    this mongoferry.task;
    sums record;
    copied record;
BEGIN
    CREATE TEMP TABLE mongoferry_results (number serial, task text, "check" text, ok boolean, source_value text, target_value text, detail text);
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
                 CASE WHEN sums.extra > 0 THEN format('%s has rows that no task of the migration gives, or gives less often; see mongoferry.mismatches.', this.target) END);
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
COMMENT ON FUNCTION mongoferry.conclude_validation(bigint, text, text) IS 'turns the parts of a validation into its results. Part of the toolkit';
