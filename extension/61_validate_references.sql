-- What validate() says of the foreign keys that a task fills: orphans in the target, and documents refused for them.

CREATE FUNCTION mongoferry.validate_references(migration text, task text)
    RETURNS TABLE ("check" text, ok boolean, source_value text, target_value text, detail text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    this mongoferry.task;
    filled_columns CONSTANT name[] := ARRAY(SELECT f.column_name FROM mongoferry.task_columns($1, $2) AS f);
    reference record;
    orphans bigint;
    refused bigint;
    of_refused_parents bigint;
BEGIN
    SELECT t.* INTO STRICT this FROM mongoferry.task AS t WHERE t.migration = $1 AND t.task = $2;
    FOR reference IN
        SELECT k.constraint_name, k.referencing, k.referenced,
            (SELECT string_agg(format('p.%I = t.%I', c.referenced, c.referencing), ' AND ')
                FROM unnest(k.columns, k.referenced_columns) AS c (referencing, referenced)) AS pairing,
            (SELECT string_agg(format('t.%I IS NOT NULL', c.name), CASE WHEN k.match_full THEN ' OR ' ELSE ' AND ' END)
                FROM unnest(k.columns) AS c (name)) AS filled
        FROM (
            SELECT f.constraint_name, f.referencing, f.columns, f.referenced, f.referenced_columns, f.match_full
            FROM mongoferry.target_foreign_keys(this.target) AS f
            UNION
            -- those that are off, too: orphans keep them from being put back
            SELECT d.name::name, d.relation, d.columns::name[], d.referenced, d.referenced_columns::name[], d.match_full
            FROM mongoferry.deferred AS d
            WHERE d.migration = $1 AND d.kind = 'foreign key'
                AND (d.relation = this.target OR d.relation IN (SELECT p.relid FROM pg_partition_tree(this.target) AS p))
        ) AS k
        WHERE k.columns && filled_columns
        ORDER BY k.constraint_name, k.referencing
    LOOP
        EXECUTE format('SELECT count(*) FROM %s AS t WHERE (%s) AND NOT EXISTS (SELECT FROM %s AS p WHERE %s)',
            mongoferry.table_name(reference.referencing), reference.filled, mongoferry.table_name(reference.referenced), reference.pairing)
            INTO orphans;
        refused := (SELECT count(*) FROM mongoferry.errors AS e
            WHERE e.migration = $1 AND e.task = $2 AND e.sqlstate = '23503' AND e.constraint_name = reference.constraint_name);
        of_refused_parents := CASE WHEN refused > 0 THEN mongoferry.refused_for_refused_parents($1, $2, reference.constraint_name) ELSE 0 END;
        "check" := 'reference ' || reference.constraint_name;
        ok := orphans = 0;
        source_value := refused || ' refused';
        target_value := orphans || ' orphans';
        detail := CASE WHEN refused > 0 THEN
            format('%s documents refer to a row of %s that is not there; of these, %s to a document in the quarantine.', refused, reference.referenced, of_refused_parents) END;
        RETURN NEXT;
    END LOOP;
END
$function$;
COMMENT ON FUNCTION mongoferry.validate_references(text, text) IS
    'for each foreign key that a task fills: rows of the target without a parent, and documents that were refused for it. Part of the toolkit';

-- The keys that the quarantined documents of the parent's tasks would have had, as errors name them: (column)=(value).
CREATE FUNCTION mongoferry.refused_for_refused_parents(migration text, task text, constraint_name text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    parents record;
    document record;
    keys text[] := '{}';
    found_keys text[];
BEGIN
    FOR parents IN
        SELECT p.task, k.referenced_columns AS columns
        FROM mongoferry.task AS this
        CROSS JOIN LATERAL mongoferry.target_foreign_keys(this.target) AS k
        JOIN mongoferry.task AS p ON p.migration = this.migration AND mongoferry.share_rows(p.target, k.referenced)
            AND mongoferry.makes_rows(p)
        WHERE this.migration = $1 AND this.task = $2 AND k.constraint_name = $3
    LOOP
        CONTINUE WHEN NOT parents.columns <@ ARRAY(SELECT f.column_name FROM mongoferry.task_columns($1, parents.task) AS f);
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
    'how many documents of a task were refused for a foreign key because the parent''s document is in the quarantine. Part of the toolkit';
