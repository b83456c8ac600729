-- The order of tasks: what has to be done before what, and what to do when there is no such order. A chunk commits on its
-- own, so a row that a foreign key asks for must be there before: deferring constraints to the end of a transaction does
-- not help between transactions.

CREATE FUNCTION mongoferry.task_edges(migration text)
    RETURNS TABLE (task text, depends_on text, reason text, referencing regclass, constraint_name name, columns name[],
        optional name[])
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    WITH RECURSIVE described AS MATERIALIZED (
        SELECT t.task, t."position", t.target, t.on_conflict, t.depends_on,
            ARRAY(SELECT c.column_name FROM mongoferry.task_columns(t.migration, t.task) AS c) AS filled
        FROM mongoferry.task AS t
        WHERE t.migration = $1
    ), judged AS MATERIALIZED (
        SELECT d.*, mongoferry.is_update(d.target, d.on_conflict, d.filled) AS only_updates FROM described AS d
    ), sorted AS MATERIALIZED (
        SELECT j.*,
            -- a pass over rows that another task brings
            j.on_conflict = 'update' AND (j.only_updates
                OR EXISTS (SELECT FROM judged AS earlier WHERE earlier."position" < j."position"
                    AND NOT earlier.only_updates AND mongoferry.share_rows(earlier.target, j.target))) AS is_pass
        FROM judged AS j
    ), edge AS MATERIALIZED (
        SELECT s.task, u.name AS depends_on, 'depends_on' AS reason, NULL::regclass AS referencing,
            NULL::name AS constraint_name, NULL::name[] AS columns, NULL::name[] AS optional, false AS is_weak
        FROM sorted AS s CROSS JOIN LATERAL unnest(s.depends_on) AS u (name)
        UNION ALL
        SELECT s.task, e.task, 'updates rows of the same target', NULL, NULL, NULL, NULL, false
        FROM sorted AS s JOIN sorted AS e ON mongoferry.share_rows(s.target, e.target)
        WHERE s.is_pass AND NOT e.is_pass
        UNION ALL
        SELECT s.task, p.task,
            format('foreign key "%s" of %s', k.constraint_name, mongoferry.table_name(k.referencing)),
            k.referencing, k.constraint_name, k.columns,
            -- a pass is there to fill them
            ARRAY(SELECT c.name FROM unnest(k.optional) AS c (name) WHERE c.name = ANY (s.filled) AND NOT s.is_pass), p.is_pass
        FROM sorted AS s
        CROSS JOIN LATERAL mongoferry.target_foreign_keys(s.target) AS k
        JOIN sorted AS p ON mongoferry.share_rows(p.target, k.referenced) AND NOT p.only_updates
        -- It asks for a row unless one of its columns stays NULL (with MATCH FULL: all of them).
        WHERE k.columns && s.filled AND CASE
            WHEN s.only_updates OR k.match_full THEN true
            ELSE k.columns <@ (s.filled || k.has_defaults)
        END
        -- what an update leaves as it is asks for nothing
        AND NOT (s.only_updates AND NOT EXISTS (SELECT FROM unnest(k.columns) AS c (name)
            WHERE c.name = ANY (s.filled) AND NOT c.name = ANY (mongoferry.task_key($1, s.task))))
    ), reach (task, depends_on) AS (
        SELECT e.task, e.depends_on FROM edge AS e
        UNION
        SELECT r.task, e.depends_on FROM reach AS r JOIN edge AS e ON e.task = r.depends_on
    )
    -- A pass with on_conflict "update" may bring rows of its own, so it is waited for, but not if it is the one that waits.
    SELECT e.task, e.depends_on, e.reason, e.referencing, e.constraint_name, e.columns, e.optional
    FROM edge AS e
    WHERE NOT (e.is_weak AND (e.task = e.depends_on
        OR EXISTS (SELECT FROM reach AS r WHERE r.task = e.depends_on AND r.depends_on = e.task)))
$function$;
COMMENT ON FUNCTION mongoferry.task_edges(text) IS
    'task_dependencies() with the foreign keys, their columns, and those of them that the task fills and could leave NULL. Part of the toolkit';

CREATE FUNCTION mongoferry.task_dependencies(migration text) RETURNS TABLE (task text, depends_on text, reason text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM mongoferry.require_owner($1);
    RETURN QUERY SELECT DISTINCT e.task, e.depends_on, e.reason FROM mongoferry.task_edges($1) AS e ORDER BY 1, 2, 3;
END
$function$;
COMMENT ON FUNCTION mongoferry.task_dependencies(text) IS
    'which task of a migration has to wait for which other one, and why: depends_on, a foreign key that it fills between their targets, or that it updates rows of the other one';

CREATE FUNCTION mongoferry.find_cycle(tasks text[], depends_on text[]) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    -- the edges: tasks[i] waits for depends_on[i]
    open_tasks text[];
    blocked text[];
    path text[];
    next text;
BEGIN
    SELECT min(e.task) INTO next FROM unnest($1, $2) AS e (task, waits_for) WHERE e.task = e.waits_for;
    IF next IS NOT NULL THEN
        RETURN ARRAY[next];
    END IF;
    -- What waits for nothing that is open gets closed, until nothing more can be.
    SELECT array_agg(DISTINCT e.task) INTO open_tasks FROM unnest($1) AS e (task);
    LOOP
        SELECT array_agg(DISTINCT e.task) INTO blocked
        FROM unnest($1, $2) AS e (task, waits_for) WHERE e.task = ANY (open_tasks) AND e.waits_for = ANY (open_tasks);
        EXIT WHEN blocked IS NULL;
        EXIT WHEN cardinality(blocked) = cardinality(open_tasks);
        open_tasks := blocked;
    END LOOP;
    IF blocked IS NULL THEN
        RETURN NULL;
    END IF;
    -- Each of the rest waits for another of them: going from one to the next must come to one that was met.
    SELECT min(b.task) INTO next FROM unnest(blocked) AS b (task);
    path := '{}';
    WHILE NOT next = ANY (path) LOOP
        path := path || next;
        SELECT min(e.waits_for) INTO next
        FROM unnest($1, $2) AS e (task, waits_for) WHERE e.task = next AND e.waits_for = ANY (blocked);
    END LOOP;
    RETURN path[array_position(path, next):];
END
$function$;
COMMENT ON FUNCTION mongoferry.find_cycle(text[], text[]) IS
    'tasks that wait for each other in a circle, in this order, or NULL; tasks[i] waits for depends_on[i]. Part of the toolkit';

CREATE FUNCTION mongoferry.check_order(migration text, foreign_keys boolean DEFAULT true) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    unknown record;
    waiting text[];
    awaited text[];
    circle text[];
    reasons text;
    by_word boolean; -- whether some task of the circle waits because of depends_on alone
    way record;
BEGIN
    PERFORM mongoferry.require_owner($1);
    SELECT t.task, u.name INTO unknown
    FROM mongoferry.task AS t CROSS JOIN LATERAL unnest(t.depends_on) AS u (name)
    WHERE t.migration = $1
        AND NOT EXISTS (SELECT FROM mongoferry.task AS other WHERE other.migration = $1 AND other.task = u.name)
    ORDER BY t."position", u.name LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'task "%" of migration "%" depends on task "%", which does not exist', unknown.task, $1, unknown.name
            USING ERRCODE = 'undefined_object', HINT = 'Add that task, or change depends_on with mongoferry.alter_task().';
    END IF;

    SELECT array_agg(e.task), array_agg(e.depends_on) INTO waiting, awaited
    FROM mongoferry.task_edges($1) AS e WHERE $2 OR e.constraint_name IS NULL;
    circle := mongoferry.find_cycle(waiting, awaited);
    IF circle IS NULL THEN
        RETURN;
    END IF;

    SELECT string_agg(pair.reasons, E'\n' ORDER BY pair.number), bool_or(pair.without_keys) INTO reasons, by_word
    FROM (
        SELECT c.number, bool_and(e.constraint_name IS NULL) AS without_keys,
            string_agg(format('Task "%s" waits for "%s": %s.', c.task, e.depends_on, e.reason), E'\n' ORDER BY e.reason) AS reasons
        FROM unnest(circle, circle[2:] || circle[1]) WITH ORDINALITY AS c (task, next, number)
        JOIN mongoferry.task_edges($1) AS e ON e.task = c.task AND e.depends_on = c.next
        WHERE $2 OR e.constraint_name IS NULL
        GROUP BY c.number
    ) AS pair;
    -- Where the circle can be opened: all that makes one task wait for the next must be foreign keys with columns that may
    -- be left out. The task with the fewest such columns is the one to change.
    SELECT c.task, string_agg(DISTINCT quote_ident(o.name), ', ') AS columns INTO way
    FROM unnest(circle, circle[2:] || circle[1]) WITH ORDINALITY AS c (task, next, number)
    JOIN mongoferry.task_edges($1) AS e ON e.task = c.task AND e.depends_on = c.next
    LEFT JOIN LATERAL unnest(e.optional) AS o (name) ON true
    WHERE $2 OR e.constraint_name IS NULL
    GROUP BY c.task, c.number
    HAVING bool_and(o.name IS NOT NULL)
    ORDER BY count(DISTINCT o.name), c.number LIMIT 1;
    RAISE EXCEPTION USING ERRCODE = 'invalid_object_definition',
        MESSAGE = CASE WHEN cardinality(circle) = 1
            THEN format('task "%s" of migration "%s" depends on itself', circle[1], $1)
            ELSE format('tasks of migration "%s" depend on each other: %s', $1,
                (SELECT string_agg(format('"%s"', c.task), ', ' ORDER BY c.number)
                FROM unnest(circle) WITH ORDINALITY AS c (task, number)))
        END,
        DETAIL = reasons,
        HINT = CASE
            WHEN way.task IS NOT NULL THEN format('Leave %2$s out of the transform of task "%1$s", and fill it by another task '
                'with the same target and on_conflict "update" whose transform gives the key and %2$s.', way.task, way.columns)
            WHEN by_word THEN 'Change depends_on with mongoferry.alter_task().'
            ELSE 'The columns of these foreign keys cannot be left out: take the keys off meanwhile, with '
                'defer_foreign_keys => true as an argument of mongoferry.migrate().'
        END;
END
$function$;
COMMENT ON FUNCTION mongoferry.check_order(text, boolean) IS
    'raises an error if tasks of a migration wait for each other in a circle, or for one that does not exist; names the way through. foreign_keys false: they are taken off during the migration, and only depends_on counts';
