-- What validate() compares of a task: the columns, their types, the key that pairs rows, and the expressions that compare them.

-- How a column is compared: by value where its type (or that of an array's elements) has an equality that an index could
-- use. Others have none, or one that means something else, as the equal areas of two boxes; they are compared as text.
CREATE FUNCTION mongoferry.comparable(expression text, type oid) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT CASE
        WHEN element.typtype IN ('e', 'r', 'm') OR EXISTS (SELECT FROM pg_opclass AS o JOIN pg_am AS m ON m.oid = o.opcmethod
                WHERE o.opcdefault AND m.amname IN ('btree', 'hash')
                    AND (o.opcintype = element.oid OR EXISTS (SELECT FROM pg_cast AS c
                        WHERE c.castsource = element.oid AND c.casttarget = o.opcintype
                            AND c.castmethod = 'b' AND c.castcontext = 'i')))
            THEN $1
        ELSE $1 || '::pg_catalog.text'
    END
    -- OFFSET 0: base_type() once, not for each row of pg_type
    FROM (SELECT (mongoferry.base_type($2, -1)).type AS oid OFFSET 0) AS base
    LEFT JOIN pg_type AS member ON member.typarray = base.oid
    CROSS JOIN LATERAL (SELECT CASE WHEN member.oid IS NULL THEN base.oid
        WHEN member.typtype = 'd' THEN (mongoferry.base_type(member.oid, -1)).type ELSE member.oid END AS oid OFFSET 0) AS of_member
    JOIN pg_type AS element ON element.oid = of_member.oid
$function$;
COMMENT ON FUNCTION mongoferry.comparable(text, oid) IS
    'an SQL expression of this type in a form that IS DISTINCT FROM compares by value. Part of the toolkit';

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
    'SQL expression: these columns of a table alias as a jsonb array, equal for equal values. Part of the toolkit';

CREATE FUNCTION mongoferry.key_object(alias text, columns name[]) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT 'pg_catalog.jsonb_build_object(' || string_agg(format('%L, %s.%I', member.name, $1, member.name), ', ' ORDER BY member.position) || ')'
    FROM unnest($2) WITH ORDINALITY AS member (name, position)
$function$;
COMMENT ON FUNCTION mongoferry.key_object(text, name[]) IS 'SQL expression: these columns of a table alias as a jsonb object. Part of the toolkit';

-- What of a task is compared, and by which key.
CREATE TYPE mongoferry.validation_shape AS (
    columns name[],     -- that the task fills, in the transform's order
    types oid[],        -- of columns
    declared text[],    -- their types and collations as the target declares them
    compared name[],    -- those of columns that are compared
    key name[],         -- that pairs rows; NULL: whole rows are compared
    key_types oid[]     -- of key, or of compared where there is none
);
COMMENT ON TYPE mongoferry.validation_shape IS 'what validate() compares of a task. Part of the toolkit';

CREATE FUNCTION mongoferry.validation_columns(migration text, task text) RETURNS mongoferry.validation_shape
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this mongoferry.task;
    shape mongoferry.validation_shape;
BEGIN
    SELECT t.* INTO STRICT this FROM mongoferry.task AS t WHERE t.migration = $1 AND t.task = $2;
    SELECT array_agg(c.column_name ORDER BY c.position), array_agg(c.type ORDER BY c.position),
           array_agg(format_type(c.type, c.type_modifier)
               || CASE WHEN a.attcollation <> 0 THEN format(' COLLATE %I.%I', n.nspname, l.collname) ELSE '' END ORDER BY c.position)
    INTO shape.columns, shape.types, shape.declared
    FROM mongoferry.task_columns($1, $2) AS c
    JOIN pg_attribute AS a ON a.attrelid = this.target AND a.attname = c.column_name
    LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
    LEFT JOIN pg_namespace AS n ON n.oid = l.collnamespace;
    shape.key := mongoferry.task_key($1, $2);
    IF NOT shape.key <@ shape.columns THEN
        shape.key := NULL;
    END IF;
    IF shape.key IS NULL THEN
        -- Rows are compared whole, by the columns that all tasks on this target fill.
        SELECT array_agg(c.name ORDER BY c.position) INTO shape.compared
        FROM unnest(shape.columns) WITH ORDINALITY AS c (name, position)
        WHERE NOT EXISTS (SELECT FROM mongoferry.task AS other
            WHERE other.migration = $1 AND other.target = this.target AND other.on_conflict <> 'update'
                AND NOT EXISTS (SELECT FROM mongoferry.task_columns($1, other.task) AS o WHERE o.column_name = c.name));
    ELSE
        -- What a later pass over the same rows fills is that pass's to compare.
        SELECT array_agg(c.name ORDER BY c.position) INTO shape.compared
        FROM unnest(shape.columns) WITH ORDINALITY AS c (name, position)
        WHERE NOT EXISTS (SELECT FROM mongoferry.task AS other
            WHERE other.migration = $1 AND other.target = this.target AND other.on_conflict = 'update'
                AND other.position > this.position AND c.name <> ALL (shape.key)
                AND EXISTS (SELECT FROM mongoferry.task_columns($1, other.task) AS o WHERE o.column_name = c.name));
    END IF;
    SELECT array_agg(shape.types[array_position(shape.columns, k.name)] ORDER BY k.position) INTO shape.key_types
    FROM unnest(coalesce(shape.key, shape.compared)) WITH ORDINALITY AS k (name, position);
    RETURN shape;
END
$function$;
COMMENT ON FUNCTION mongoferry.validation_columns(text, text) IS
    'what validate() compares of a task. Part of the toolkit';

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
    'for validate(): the rows of a task''s transform over the chunk $1, in the types of the target. Part of the toolkit';

CREATE FUNCTION mongoferry.makes_rows(this mongoferry.task) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT CASE WHEN $1.on_conflict = 'update' THEN
        NOT mongoferry.is_update($1.target, $1.on_conflict, ARRAY(SELECT c.column_name FROM mongoferry.task_columns($1.migration, $1.task) AS c))
    ELSE true END
$function$;
COMMENT ON FUNCTION mongoferry.makes_rows(mongoferry.task) IS
    'for validate(): true if a task inserts rows; false if it is a pass over the rows of another one, an UPDATE. Part of the toolkit';
