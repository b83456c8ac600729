-- preflight(): what would go wrong in migrate(), found before anything is written. The checks are in the files before.

CREATE FUNCTION mongoferry.preflight_task(migration text, task text, sample jsonb, until timestamptz) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    found_rows jsonb := (SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]') FROM mongoferry.preflight_statement($1, $2) AS s);
BEGIN
    -- Without source or target there is no more to look at.
    IF EXISTS (SELECT FROM mongoferry.task AS t WHERE t.migration = $1 AND t.task = $2
        AND (mongoferry.table_name(t.source) IS NULL OR mongoferry.table_name(t.target) IS NULL))
    THEN
        RETURN (SELECT jsonb_agg(f || jsonb_build_object('task', $2)) FROM jsonb_array_elements(found_rows) AS f);
    END IF;
    found_rows := (SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') FROM mongoferry.preflight_rights($1, $2) AS r) || found_rows;
    -- Most checks need columns, which the transform must be able to give.
    IF NOT jsonb_path_exists(found_rows, '$[*] ? (@.severity == "error" && @.check == "transform")') THEN
        found_rows := found_rows || (SELECT coalesce(jsonb_agg(to_jsonb(f)), '[]')
            FROM (SELECT w.* FROM mongoferry.preflight_whole($1, $2) AS w
                  UNION ALL SELECT i.* FROM mongoferry.preflight_identity($1, $2) AS i) AS f);
    END IF;
    found_rows := found_rows || (SELECT coalesce(jsonb_agg(to_jsonb(f)), '[]')
        FROM (SELECT s.* FROM mongoferry.preflight_source($1, $2, $3) AS s
              UNION ALL SELECT t.* FROM mongoferry.preflight_target($1, $2) AS t
              UNION ALL SELECT r.* FROM mongoferry.preflight_remote($1, $2) AS r
              UNION ALL SELECT i.* FROM mongoferry.preflight_indexes($1, $2) AS i
              UNION ALL SELECT t.* FROM mongoferry.preflight_triggers($1, $2) AS t) AS f);
    -- Where something is wrong already, the documents would only say it again.
    IF NOT jsonb_path_exists(found_rows, '$[*] ? (@.severity == "error")') THEN
        found_rows := found_rows || (SELECT coalesce(jsonb_agg(to_jsonb(i)), '[]') FROM mongoferry.preflight_ids($1, $2, $3) AS i)
            || (SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]') FROM mongoferry.preflight_sample($1, $2, $3) AS s)
            || (SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') FROM mongoferry.preflight_references($1, $2, $4) AS r);
    END IF;
    RETURN (SELECT coalesce(jsonb_agg(f || jsonb_build_object('task', $2)), '[]') FROM jsonb_array_elements(found_rows) AS f);
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_task(text, text, jsonb, timestamptz) IS
    'what all checks find of a task, as an array of the rows of preflight(); sample as preflight_documents() gave it, until as in preflight_references(). Part of preflight()';

CREATE FUNCTION mongoferry.preflight(name text, max_duration interval DEFAULT '1 min')
    RETURNS TABLE (severity text, task text, "check" text, message text, hint text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    until CONSTANT timestamptz := clock_timestamp() + $2;
    this record;
    samples jsonb := '{}'; -- by the source's OID
    of_task jsonb;
    found_rows jsonb;
    sizes jsonb := '[]';
BEGIN
    PERFORM mongoferry.require_owner($1);
    SELECT coalesce(jsonb_agg(to_jsonb(f)), '[]') INTO found_rows
    FROM (SELECT o.* FROM mongoferry.preflight_order($1) AS o
          UNION ALL SELECT d.* FROM mongoferry.preflight_deferred($1) AS d
          UNION ALL SELECT w.* FROM mongoferry.preflight_workers() AS w) AS f;
    IF NOT EXISTS (SELECT FROM mongoferry.task AS t WHERE t.migration = $1) THEN
        found_rows := found_rows || jsonb_build_object('severity', 'error', 'check', 'tasks',
            'message', format('migration "%s" has no tasks', $1), 'hint', 'Add them with mongoferry.add_task().');
    END IF;
    FOR this IN
        SELECT t.task, t.source, t.target, t.source::oid::text AS source_key
        FROM mongoferry.task AS t WHERE t.migration = $1 ORDER BY t."position"
    LOOP
        IF NOT samples ? this.source_key THEN
            samples := samples || jsonb_build_object(this.source_key, mongoferry.preflight_documents(this.source));
        END IF;
        of_task := mongoferry.preflight_task($1, this.task, samples -> this.source_key, until);
        found_rows := found_rows || of_task;
        sizes := sizes || (SELECT coalesce(jsonb_agg(jsonb_build_object('target', this.target::oid, 'bytes', f -> 'bytes')), '[]')
            FROM jsonb_array_elements(of_task) AS f WHERE f ->> 'bytes' IS NOT NULL);
    END LOOP;
    found_rows := found_rows || (SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]') FROM mongoferry.preflight_space(sizes) AS s);
    RETURN QUERY
        SELECT f ->> 'severity', f ->> 'task', f ->> 'check', f ->> 'message', f ->> 'hint'
        FROM jsonb_array_elements(found_rows) WITH ORDINALITY AS r (f, number)
        ORDER BY array_position(ARRAY['error', 'warning', 'note'], f ->> 'severity'), r.number;
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight(text, interval) IS
    'what would go wrong in migrate(): a row for each finding, errors first, then warnings and notes; task is NULL where it is about the migration. A sample of each source is written and taken back, so nothing is changed; what a trigger or a function does outside of the transaction is done. References between sources are looked for until max_duration has passed (NULL: to the end; 0: not at all). Only for the owner of the migration';
