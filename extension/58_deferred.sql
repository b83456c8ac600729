-- Indexes and foreign keys of targets that are taken off while a migration runs, and put back with the same definitions.
--
-- begin_run() only says what is to be taken off. The workers do it, a transaction for each table, so that no lock is held for
-- longer than that, and a lock that is not to be had is tried for again as with any other step. No chunk is begun before all
-- is off, because the order of the tasks goes by the keys that are left. What is off is in mongoferry.deferred and nowhere
-- else, so that any later run, or restore_deferred(), can put it back whatever has happened in between.

-- ---- which ----

CREATE FUNCTION mongoferry.deferrable_objects(target regclass)
    RETURNS TABLE (kind text, object oid, relation regclass, name name)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    WITH part AS (
        SELECT $1 AS relation UNION SELECT p.relid FROM pg_partition_tree($1) AS p
    )
    -- Keys stay, and with them all that ON CONFLICT, references and replication go by. So does what could not be put back as
    -- it was: invalid indexes, and what belongs to or is needed by something else (an extension, an index of a parent).
    SELECT 'index', i.indexrelid, i.indrelid::regclass, c.relname
    FROM part AS p
    JOIN pg_index AS i ON i.indrelid = p.relation
    JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE NOT (i.indisunique OR i.indisprimary OR i.indisexclusion OR i.indisreplident)
        AND i.indisvalid AND i.indisready AND i.indislive
        AND NOT EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhrelid = i.indexrelid)
        AND NOT EXISTS (SELECT FROM pg_depend AS d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refclassid = 'pg_extension'::regclass)
        AND NOT EXISTS (SELECT FROM pg_depend AS d
            WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indexrelid
                AND NOT EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhrelid = d.objid AND h.inhparent = i.indexrelid))
    UNION ALL
    -- A key that is NOT VALID would be put back so, and what was written meanwhile never be checked; one that is not
    -- enforced costs nothing.
    SELECT 'foreign key', c.oid, c.conrelid::regclass, c.conname
    FROM part AS p
    JOIN pg_constraint AS c ON c.conrelid = p.relation
    WHERE c.contype = 'f' AND c.conparentid = 0 AND c.convalidated
        AND coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true)
        AND NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgconstraint = c.oid AND t.tgenabled <> 'O')
        AND NOT EXISTS (SELECT FROM pg_depend AS d
            WHERE d.classid = 'pg_constraint'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_extension'::regclass)
$function$;
COMMENT ON FUNCTION mongoferry.deferrable_objects(regclass) IS
    'secondary indexes and foreign keys of a table and its partitions that can be taken off and put back as they were. Part of the toolkit';

CREATE FUNCTION mongoferry.check_deferral_rights(kind text, object oid, relation regclass, name name) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    lacking record;
BEGIN
    -- What DROP does not ask for but CREATE does counts too: what is off must come back.
    SELECT l.message, l.hint INTO lacking
    FROM (
        SELECT 1 AS number, format('must be owner of table %s', mongoferry.table_name(c.oid)) AS message,
            format('Let the owner of the migration, %I, own the table too', current_user) AS hint
        FROM pg_class AS c
        WHERE (c.oid = $3 OR c.oid IN (SELECT p.relid FROM pg_partition_tree($3) AS p)) AND c.relkind <> 'f'
            AND NOT pg_has_role(c.relowner, 'USAGE')
        UNION ALL
        SELECT 2, format('permission denied for schema %I', n.nspname),
            format('GRANT CREATE ON SCHEMA %I TO %I', n.nspname, current_user)
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE $1 = 'index' AND (c.oid = $2 OR c.oid IN (SELECT p.relid FROM pg_partition_tree($2) AS p))
            AND NOT has_schema_privilege(n.oid, 'CREATE')
        UNION ALL
        SELECT 3, format('permission denied for tablespace %I', s.spcname),
            format('GRANT CREATE ON TABLESPACE %I TO %I', s.spcname, current_user)
        FROM pg_class AS c JOIN pg_tablespace AS s ON s.oid = c.reltablespace
        WHERE $1 = 'index' AND (c.oid = $2 OR c.oid IN (SELECT p.relid FROM pg_partition_tree($2) AS p))
            AND NOT has_tablespace_privilege(s.oid, 'CREATE')
        UNION ALL
        SELECT 4, format('permission denied for table %s', mongoferry.table_name(c.confrelid)),
            format('GRANT REFERENCES ON %s TO %I', mongoferry.table_name(c.confrelid), current_user)
        FROM pg_constraint AS c CROSS JOIN LATERAL unnest(c.confkey) AS k (attribute)
        WHERE $1 = 'foreign key' AND c.oid = $2 AND NOT has_column_privilege(c.confrelid, k.attribute, 'REFERENCES')
        UNION ALL
        SELECT 5, format('permission denied for schema %I', n.nspname),
            format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, current_user)
        FROM pg_constraint AS c
        JOIN pg_class AS r ON r.oid = c.confrelid
        JOIN pg_namespace AS n ON n.oid = r.relnamespace
        WHERE $1 = 'foreign key' AND c.oid = $2 AND NOT has_schema_privilege(n.oid, 'USAGE')
    ) AS l
    ORDER BY l.number, l.message LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%', lacking.message
            USING ERRCODE = 'insufficient_privilege',
                DETAIL = format('migrate() would take off and put back %s.', mongoferry.name_deferred($1, $3, $4)),
                HINT = format('%s, or leave out %s.', lacking.hint,
                    CASE $1 WHEN 'index' THEN 'defer_indexes' ELSE 'defer_foreign_keys' END);
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.check_deferral_rights(text, oid, regclass, name) IS
    'raises insufficient_privilege if the current role could not take an index or a foreign key off and put it back. Part of the toolkit';

CREATE FUNCTION mongoferry.plan_deferral(migration text, tasks text[], defer_indexes boolean, defer_foreign_keys boolean)
    RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    plan jsonb;
BEGIN
    SELECT jsonb_agg(jsonb_build_object('kind', o.kind, 'object', o.object, 'relation', o.relation::oid, 'name', o.name,
        'target', t.target::oid) ORDER BY t.position, o.relation::oid, o.kind, o.name)
    INTO plan
    FROM (SELECT t.target, min(t.position) AS position FROM mongoferry.task AS t
        WHERE t.migration = $1 AND t.task = ANY ($2) AND t.state <> 'done' GROUP BY t.target) AS t
    CROSS JOIN LATERAL mongoferry.deferrable_objects(t.target) AS o
    WHERE CASE o.kind WHEN 'index' THEN $3 ELSE $4 END;
    PERFORM mongoferry.check_deferral_rights(o.kind, o.object, o.relation, o.name)
    FROM jsonb_to_recordset(plan) AS o (kind text, object oid, relation oid, name name);
    RETURN coalesce(plan, '[]');
END
$function$;
COMMENT ON FUNCTION mongoferry.plan_deferral(text, text[], boolean, boolean) IS
    'what a run of these tasks takes off, as an array of objects; an error if the current role may not. Part of the toolkit';

CREATE FUNCTION mongoferry.run_dependencies(migration text, tasks text[], take_off jsonb)
    RETURNS TABLE (task text, depends_on text, reason text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RETURN QUERY
        SELECT DISTINCT e.task, e.depends_on, e.reason
        FROM mongoferry.task_edges($1) AS e
        WHERE e.task = ANY ($2)
            AND NOT EXISTS (SELECT FROM jsonb_to_recordset($3) AS o (kind text, relation oid, name name)
                WHERE o.kind = 'foreign key' AND o.relation = e.referencing AND o.name = e.constraint_name)
        ORDER BY 1, 2, 3;
END
$function$;
COMMENT ON FUNCTION mongoferry.run_dependencies(text, text[], jsonb) IS
    'task_dependencies() of some tasks, without the foreign keys that a run takes off. Part of the toolkit';

-- ---- off ----

CREATE FUNCTION mongoferry.index_commands(index regclass) RETURNS text[]
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET datestyle = 'ISO, YMD' -- constants in expressions
    SET intervalstyle = 'postgres'
    SET quote_all_identifiers = off
AS $function$
    -- Indexes of partitions come first: the command for the parent finds them, and makes those that are missing (of
    -- partitions that are new).
    WITH part AS (
        SELECT $1 AS index, 0 AS level
        UNION
        SELECT p.relid, p.level FROM pg_partition_tree($1) AS p
    )
    SELECT array_agg(m.command ORDER BY p.level DESC, p.index::oid, m.number)
    FROM part AS p
    JOIN pg_class AS c ON c.oid = p.index
    JOIN pg_index AS i ON i.indexrelid = p.index
    CROSS JOIN LATERAL (SELECT mongoferry.table_name(i.indexrelid) AS index, mongoferry.table_name(i.indrelid) AS relation) AS n
    LEFT JOIN pg_tablespace AS s ON s.oid = c.reltablespace
    CROSS JOIN LATERAL (
        SELECT 1, format('SET LOCAL default_tablespace = %L', s.spcname) WHERE s.oid IS NOT NULL
        UNION ALL
        SELECT 2, CASE WHEN c.relkind = 'I' AND starts_with(d.definition, format('CREATE INDEX %I ON ONLY ', c.relname))
            THEN format('CREATE INDEX %I ON ', c.relname)
                || substr(d.definition, length(format('CREATE INDEX %I ON ONLY ', c.relname)) + 1)
            ELSE d.definition END
        FROM (SELECT pg_get_indexdef(i.indexrelid) AS definition) AS d
        UNION ALL
        SELECT 3, 'SET LOCAL default_tablespace = ''''' WHERE s.oid IS NOT NULL
        UNION ALL
        SELECT 4, format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', n.index, a.attnum, a.attstattarget)
        FROM pg_attribute AS a WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0
        UNION ALL
        SELECT 5, format('ALTER TABLE %s CLUSTER ON %I', n.relation, c.relname) WHERE i.indisclustered
        UNION ALL
        SELECT 6, format('COMMENT ON INDEX %s IS %L', n.index, d.comment)
        FROM (SELECT obj_description(i.indexrelid, 'pg_class') AS comment) AS d WHERE d.comment IS NOT NULL
    ) AS m (number, command)
$function$;
COMMENT ON FUNCTION mongoferry.index_commands(regclass) IS
    'the commands that make an index as it is now, with those of partitions that belong to it, its tablespace, statistics targets, CLUSTER mark and comment. Part of the toolkit';

CREATE FUNCTION mongoferry.foreign_key_commands(foreign_key oid) RETURNS text[]
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET quote_all_identifiers = off
AS $function$
    -- The keys of partitions that follow from this one; where they have a name of their own, they come first, and the
    -- command for the parent finds them.
    WITH RECURSIVE part AS (
        SELECT c.oid, c.conrelid, c.conname, 0 AS level FROM pg_constraint AS c WHERE c.oid = $1
        UNION ALL
        SELECT c.oid, c.conrelid, c.conname, p.level + 1
        FROM part AS p JOIN pg_constraint AS c ON c.conparentid = p.oid AND c.conrelid <> p.conrelid AND c.contype = 'f'
    )
    SELECT array_agg(m.command ORDER BY m.number, p.level DESC, p.oid)
    FROM part AS p
    CROSS JOIN LATERAL (
        SELECT 1, format('ALTER TABLE %s ADD CONSTRAINT %I %s', mongoferry.table_name(p.conrelid), p.conname,
            pg_get_constraintdef(p.oid))
        WHERE p.oid = $1 OR p.conname <> (SELECT c.conname FROM pg_constraint AS c WHERE c.oid = $1)
        UNION ALL
        SELECT 2, format('COMMENT ON CONSTRAINT %I ON %s IS %L', p.conname, mongoferry.table_name(p.conrelid), d.comment)
        FROM (SELECT obj_description(p.oid, 'pg_constraint') AS comment) AS d WHERE d.comment IS NOT NULL
    ) AS m (number, command)
$function$;
COMMENT ON FUNCTION mongoferry.foreign_key_commands(oid) IS
    'the commands that make a foreign key as it is now, with names and comments of those of partitions. Part of the toolkit';

CREATE FUNCTION mongoferry.take_off(migration text, kind text, object oid) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this mongoferry.deferred;
BEGIN
    this.migration := $1;
    this.kind := $2;
    this.taken_off_at := clock_timestamp();
    IF $2 = 'index' THEN
        SELECT i.indrelid, c.relname, pg_get_indexdef(c.oid), mongoferry.index_commands(c.oid)
        INTO STRICT this.relation, this.name, this.definition, this.commands
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE i.indexrelid = $3;
    ELSE
        SELECT c.conrelid, c.conname, pg_get_constraintdef(c.oid), mongoferry.foreign_key_commands(c.oid),
            array_agg(a.attname::text ORDER BY k.number), c.confrelid, array_agg(r.attname::text ORDER BY k.number),
            c.confmatchtype = 'f'
        INTO STRICT this.relation, this.name, this.definition, this.commands, this.columns, this.referenced,
            this.referenced_columns, this.match_full
        FROM pg_constraint AS c
        CROSS JOIN LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY AS k (attribute, referenced, number)
        JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.attribute
        JOIN pg_attribute AS r ON r.attrelid = c.confrelid AND r.attnum = k.referenced
        WHERE c.oid = $3
        GROUP BY c.oid;
    END IF;
    -- One of the same name that is noted already was made anew by somebody: this one counts.
    DELETE FROM mongoferry.deferred AS d
    WHERE d.migration = $1 AND d.kind = $2 AND d.relation = this.relation AND d.name = this.name;
    INSERT INTO mongoferry.deferred SELECT this.*;
    IF $2 = 'index' THEN
        EXECUTE format('DROP INDEX %s', mongoferry.table_name($3));
    ELSE
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', mongoferry.table_name(this.relation), this.name);
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.take_off(text, text, oid) IS
    'notes an index or a foreign key in mongoferry.deferred and drops it. Part of the toolkit';

CREATE FUNCTION mongoferry.to_take_off(migration text, options jsonb)
    RETURNS TABLE (number bigint, kind text, object oid, relation regclass)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT o.number, o.entry ->> 'kind', (o.entry ->> 'object')::oid, (o.entry ->> 'relation')::oid::regclass
    FROM jsonb_array_elements($2 -> 'take_off') WITH ORDINALITY AS o (entry, number)
    WHERE CASE o.entry ->> 'kind'
            WHEN 'index' THEN EXISTS (SELECT FROM pg_class AS c WHERE c.oid = (o.entry ->> 'object')::oid)
            ELSE EXISTS (SELECT FROM pg_constraint AS c WHERE c.oid = (o.entry ->> 'object')::oid)
        END
        -- not for a task that failed before, or has nothing to carry over
        AND EXISTS (SELECT FROM mongoferry.task AS t
            JOIN mongoferry.chunk AS c ON c.migration = t.migration AND c.task = t.task AND c.state = 'pending'
            WHERE t.migration = $1 AND $2 -> 'tasks' ? t.task AND t.state = 'running'
                AND t.target::oid = (o.entry ->> 'target')::oid)
$function$;
COMMENT ON FUNCTION mongoferry.to_take_off(text, jsonb) IS
    'what a run has still to take off before chunks can be carried over; options as begin_run() completed them. Part of the toolkit';

CREATE FUNCTION mongoferry.take_off_next(migration text, options jsonb) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    next regclass;
BEGIN
    IF NOT EXISTS (SELECT FROM mongoferry.to_take_off($1, $2)) THEN
        RETURN false;
    END IF;
    -- By one worker at a time, for two could each wait for a table that the other one has.
    PERFORM FROM mongoferry.run AS r WHERE r.migration = $1 AND r.id = ($2 ->> 'run')::bigint FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT o.relation INTO next FROM mongoferry.to_take_off($1, $2) AS o ORDER BY o.number LIMIT 1;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- So that nobody alters between the look and the drop.
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', mongoferry.table_name(next));
    PERFORM mongoferry.take_off($1, o.kind, o.object)
    FROM (SELECT * FROM mongoferry.to_take_off($1, $2) AS o WHERE o.relation = next ORDER BY o.number OFFSET 0) AS o;
    RETURN true;
END
$function$;
COMMENT ON FUNCTION mongoferry.take_off_next(text, jsonb) IS
    'takes off what a run has to take off of one table; false: nothing is left, or another worker is at it. Part of the toolkit';

-- ---- and back ----

CREATE FUNCTION mongoferry.sharing_rows(relation regclass) RETURNS SETOF regclass
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT $1
    UNION SELECT a.relid FROM pg_partition_ancestors($1) AS a (relid)
    UNION SELECT p.relid FROM pg_partition_tree($1) AS p
$function$;
COMMENT ON FUNCTION mongoferry.sharing_rows(regclass) IS
    'a table, its partitions, and the tables that it is a partition of: those of which share_rows() is true. Part of the toolkit';

CREATE FUNCTION mongoferry.to_put_back(migration text, run bigint)
    RETURNS TABLE (kind text, relation regclass, name text, is_ready boolean)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    WITH off AS MATERIALIZED (
        SELECT d.kind, d.relation, d.name, d.referenced FROM mongoferry.deferred AS d
        WHERE d.migration = $1 AND d.failed_run IS DISTINCT FROM $2
    ), incomplete AS MATERIALIZED (
        SELECT DISTINCT s.relation
        FROM mongoferry.task AS t CROSS JOIN LATERAL mongoferry.sharing_rows(t.target) AS s (relation)
        WHERE t.migration = $1 AND t.state <> 'done' AND EXISTS (SELECT FROM off)
    ), complete AS MATERIALIZED (
        SELECT o.* FROM off AS o
        WHERE NOT EXISTS (SELECT FROM incomplete AS i WHERE i.relation IN (o.relation, o.referenced))
    ), without_index AS MATERIALIZED (
        SELECT DISTINCT s.relation
        FROM (SELECT DISTINCT c.relation FROM complete AS c WHERE c.kind = 'index') AS c
        CROSS JOIN LATERAL mongoferry.sharing_rows(c.relation) AS s (relation)
    )
    -- An index is made under a lock that other indexes of the table can share, but keys can't.
    SELECT c.kind, c.relation, c.name,
        c.kind = 'index' OR NOT EXISTS (SELECT FROM without_index AS w WHERE w.relation IN (c.relation, c.referenced))
    FROM complete AS c
$function$;
COMMENT ON FUNCTION mongoferry.to_put_back(text, bigint) IS
    'what can be put back because all tasks that write its table, and for a foreign key the table that it refers to, are done; less what could not be put back in this run. is_ready: nothing has to be put back before. Part of the toolkit';

CREATE FUNCTION mongoferry.note_deferred_failure(
        migration text, kind text, relation regclass, name text, run bigint, sqlstate text, message text, detail text, hint text)
    RETURNS void
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    UPDATE mongoferry.deferred AS d
    SET failed_run = $5, failure_sqlstate = $6,
        failure = concat($7, E'\nDETAIL:  ' || nullif($8, ''), E'\nHINT:  ' || nullif($9, ''))
    WHERE d.migration = $1 AND d.kind = $2 AND d.relation = $3 AND d.name = $4
$function$;
COMMENT ON FUNCTION mongoferry.note_deferred_failure(text, text, regclass, text, bigint, text, text, text, text) IS
    'notes why an index or a foreign key could not be put back. Part of the toolkit';

CREATE FUNCTION mongoferry.put_back(deferred mongoferry.deferred, run bigint) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET datestyle = 'ISO, YMD' -- as the commands were made
    SET intervalstyle = 'postgres'
    SET default_tablespace = ''
AS $function$
DECLARE
    this CONSTANT mongoferry.deferred := $1;
    command text;
    present text;
    state text; message text; detail text; hint text;
BEGIN
    IF EXISTS (SELECT FROM unnest(ARRAY[this.relation, this.referenced]) AS r (relation)
        WHERE r.relation IS NOT NULL AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = r.relation))
    THEN
        RAISE WARNING '% "%" is not put back, because its table does not exist any more', this.kind, this.name
            USING DETAIL = 'It was: ' || array_to_string(this.commands, '; ');
        DELETE FROM mongoferry.deferred AS d
        WHERE d.migration = this.migration AND d.kind = this.kind AND d.relation = this.relation AND d.name = this.name;
        RETURN true;
    END IF;
    IF this.kind = 'index' THEN
        SELECT pg_get_indexdef(i.indexrelid) INTO present
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE i.indrelid = this.relation AND c.relname = this.name AND i.indisvalid;
    ELSE
        SELECT pg_get_constraintdef(c.oid) INTO present
        FROM pg_constraint AS c WHERE c.conrelid = this.relation AND c.conname = this.name AND c.contype = 'f';
    END IF;
    BEGIN
        -- Made anew by somebody already, it is left as it is.
        IF present IS DISTINCT FROM this.definition THEN
            FOREACH command IN ARRAY this.commands LOOP
                EXECUTE command;
            END LOOP;
        END IF;
        DELETE FROM mongoferry.deferred AS d
        WHERE d.migration = this.migration AND d.kind = this.kind AND d.relation = this.relation AND d.name = this.name;
        RETURN true;
    EXCEPTION
        WHEN transaction_rollback OR lock_not_available OR operator_intervention THEN
            RAISE; -- the worker tries it again
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
                hint = PG_EXCEPTION_HINT;
    END;
    PERFORM mongoferry.note_deferred_failure(this.migration, this.kind, this.relation, this.name, $2, state, message, detail,
        hint);
    RETURN false;
END
$function$;
COMMENT ON FUNCTION mongoferry.put_back(mongoferry.deferred, bigint) IS
    'makes an index or a foreign key that was taken off anew; false: it could not be, and the row in mongoferry.deferred tells why. Part of the toolkit';

CREATE FUNCTION mongoferry.put_back_next(migration text, options jsonb) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    run CONSTANT bigint := ($2 ->> 'run')::bigint;
    this mongoferry.deferred;
BEGIN
    SELECT d.* INTO this FROM mongoferry.deferred AS d
    WHERE d.migration = $1 AND EXISTS (SELECT FROM mongoferry.to_put_back($1, run) AS b
        WHERE b.is_ready AND b.kind = d.kind AND b.relation = d.relation AND b.name = d.name)
    ORDER BY d.kind DESC, d.taken_off_at LIMIT 1
    FOR UPDATE OF d SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM mongoferry.note_step(mongoferry.name_deferred(this.kind, this.relation, this.name), NULL);
    PERFORM mongoferry.put_back(this, run);
    RETURN true;
END
$function$;
COMMENT ON FUNCTION mongoferry.put_back_next(text, jsonb) IS
    'puts the next index or foreign key back that can be; false: there is none, or others are at them. Part of the toolkit';

CREATE FUNCTION mongoferry.deferred_problems(migration text, run bigint)
    RETURNS TABLE (label text, message text, rest text, hint text)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT mongoferry.name_deferred(d.kind, d.relation, d.name), split_part(d.failure, E'\n', 1),
        -- detail and hint, without their labels
        nullif(regexp_replace(substr(d.failure, strpos(d.failure || E'\n', E'\n') + 1), '(^|\n)(DETAIL|HINT):  ', '\1', 'g'), ''),
        CASE
            WHEN d.failure_sqlstate = '23503' THEN format(
                'The rows came in while the key was off. mongoferry.validate() counts them; delete or mend them, or bring '
                'what they refer to. Then CALL mongoferry.restore_deferred(%L), or run the migration again.', $1)
            WHEN d.failure_sqlstate IN ('42P07', '42710') THEN format(
                'Somebody has used the name meanwhile: rename or drop what has it. Then CALL mongoferry.restore_deferred(%L), '
                'or run the migration again.', $1)
            ELSE format('When it is mended, CALL mongoferry.restore_deferred(%L), or run the migration again.', $1)
        END
    FROM mongoferry.deferred AS d
    WHERE d.migration = $1 AND d.failure IS NOT NULL AND ($2 IS NULL OR d.failed_run = $2)
    ORDER BY d.kind DESC, d.taken_off_at
$function$;
COMMENT ON FUNCTION mongoferry.deferred_problems(text, bigint) IS
    'what could not be put back in a run of a migration (NULL: in whichever), why, and what to do. Part of the toolkit';

-- ---- by hand ----

CREATE FUNCTION mongoferry.restore_next(migration text, tried text[]) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this mongoferry.deferred;
    label text;
BEGIN
    PERFORM mongoferry.require_owner($1);
    PERFORM mongoferry.exclude_runs($1);
    SELECT d.* INTO this FROM mongoferry.deferred AS d
    WHERE d.migration = $1 AND mongoferry.name_deferred(d.kind, d.relation, d.name) <> ALL ($2)
    ORDER BY d.kind DESC, d.taken_off_at LIMIT 1
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    label := mongoferry.name_deferred(this.kind, this.relation, this.name);
    IF mongoferry.put_back(this, NULL) THEN
        RAISE NOTICE '% is back', label;
    END IF;
    RETURN label;
END
$function$;
COMMENT ON FUNCTION mongoferry.restore_next(text, text[]) IS
    'puts one of those back that were taken off for a migration and are not among those tried, and names it; NULL: there is none. Part of the toolkit';

CREATE FUNCTION mongoferry.end_restore(migration text) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    problem record;
BEGIN
    SELECT count(*) AS number, min(p.label) AS label, min(p.message) AS message, min(p.rest) AS rest, min(p.hint) AS hint,
        string_agg(concat_ws(E'\n', format('%s: %s', p.label, p.message), p.rest), E'\n') AS messages
    INTO problem FROM mongoferry.deferred_problems($1, NULL) AS p;
    IF problem.number = 1 THEN
        RAISE EXCEPTION '% could not be put back: %', problem.label, problem.message
            USING ERRCODE = 'raise_exception', DETAIL = concat_ws(E'\n', problem.rest, 'Its definition stays in mongoferry.deferred.'),
                HINT = problem.hint;
    ELSIF problem.number > 1 THEN
        RAISE EXCEPTION '% of migration "%" could not be put back', mongoferry.count_deferred($1), $1
            USING ERRCODE = 'raise_exception',
                DETAIL = concat_ws(E'\n', problem.messages, 'Their definitions stay in mongoferry.deferred.'), HINT = problem.hint;
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.end_restore(text) IS
    'raises an error that names what restore_deferred() could not put back. Part of the toolkit';

-- Without settings of its own, for a procedure that has some cannot commit: all names are qualified.
CREATE PROCEDURE mongoferry.restore_deferred(migration text)
    LANGUAGE plpgsql
AS $procedure$
DECLARE
    tried pg_catalog.text[] := '{}';
    label pg_catalog.text;
BEGIN
    PERFORM mongoferry.refuse_transaction_block('restore_deferred');
    LOOP
        label := mongoferry.restore_next(migration, tried);
        EXIT WHEN label IS NULL;
        tried := pg_catalog.array_append(tried, label);
        COMMIT;
    END LOOP;
    PERFORM mongoferry.end_restore(migration);
END
$procedure$;
COMMENT ON PROCEDURE mongoferry.restore_deferred(text) IS
    'puts the indexes and foreign keys back that migrate() has taken off the targets of a migration, complete or not, and raises an error at its end if some could not be put back. Not in a transaction block: it commits one by one';
