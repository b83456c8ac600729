-- Sequences behind the columns that a task fills: after it they stand past the copied values, so that the application's
-- own first row does not meet one of them.

CREATE FUNCTION mongoferry.advance_sequence(sequence regclass, value bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    -- A lock that keeps others from drawing would wait for every transaction that has drawn, and the application's next ones
    -- would wait behind it. So short ways are gone by drawing, which never sets back; and a setval() over a long one would
    -- only set back if others drew more than this between two commands.
    longest_way CONSTANT integer := 100000;
    definition pg_sequence;
    last_value bigint;
    is_called boolean;
    next numeric;
    draws numeric;
    drawn bigint;
BEGIN
    SELECT * INTO definition FROM pg_sequence AS s WHERE s.seqrelid = $1;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% is not a sequence', $1 USING ERRCODE = 'wrong_object_type';
    END IF;
    IF NOT (has_sequence_privilege($1, 'SELECT') AND has_sequence_privilege($1, 'UPDATE')) THEN
        RAISE EXCEPTION 'permission denied for sequence %', $1
            USING ERRCODE = 'insufficient_privilege',
                HINT = format('GRANT SELECT, UPDATE ON SEQUENCE %s, so that it can be set past the copied values.', $1);
    END IF;
    LOOP
        EXECUTE format('SELECT last_value, is_called FROM %s', $1) INTO last_value, is_called;
        next := last_value::numeric + CASE WHEN is_called THEN definition.seqincrement ELSE 0 END;
        draws := ceil(($2 - next) / definition.seqincrement) + 1;
        -- With CACHE, draws may come from what this session has kept, and not bring the sequence further.
        EXIT WHEN draws <= 0 AND (drawn IS NULL OR (drawn - $2) * sign(definition.seqincrement) >= 0);
        draws := greatest(draws, 1);
        IF draws > longest_way
            OR next + (draws - 1) * definition.seqincrement NOT BETWEEN definition.seqmin AND definition.seqmax
        THEN
            PERFORM setval($1, $2); -- which forgets what this session has kept
            EXIT;
        END IF;
        SELECT CASE WHEN definition.seqincrement > 0 THEN max(d.value) ELSE min(d.value) END INTO drawn
        FROM (SELECT nextval($1) AS value FROM generate_series(1, draws::integer)) AS d;
    END LOOP;
END
$function$;
COMMENT ON FUNCTION mongoferry.advance_sequence(regclass, bigint) IS
    'sets a sequence so that its next value is past value, in the direction in which it counts, unless it is past it already: it is never set back. As nextval() and setval(), not undone by a rollback. Needs SELECT and UPDATE on the sequence. Part of the toolkit';

CREATE FUNCTION mongoferry.filled_sequences(migration text, task text)
    RETURNS TABLE (column_name name, sequence regclass)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    WITH RECURSIVE filled AS (
        SELECT t.target, a.attnum, a.attname, a.atttypid
        FROM mongoferry.task AS t
        CROSS JOIN mongoferry.task_columns($1, $2) AS f
        JOIN pg_attribute AS a ON a.attrelid = t.target AND a.attnum = f.attribute
        WHERE t.migration = $1 AND t.task = $2
    ), base (attnum, type, typtype, typbasetype) AS (
        SELECT f.attnum, y.oid, y.typtype, y.typbasetype FROM filled AS f JOIN pg_type AS y ON y.oid = f.atttypid
        UNION ALL
        SELECT b.attnum, y.oid, y.typtype, y.typbasetype FROM base AS b JOIN pg_type AS y ON y.oid = b.typbasetype
        WHERE b.typtype = 'd'
    ), numbers AS (
        SELECT f.* FROM filled AS f JOIN base AS b ON b.attnum = f.attnum
        WHERE b.type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
    )
    -- of an identity column, or OWNED BY the column as with serial
    SELECT n.attname, d.objid::regclass
    FROM numbers AS n
    JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
        AND d.refobjid = n.target AND d.refobjsubid = n.attnum AND d.deptype IN ('a', 'i')
    JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'S'
    UNION
    -- whose next value is the column's default, and nothing but that
    SELECT n.attname, d.refobjid::regclass
    FROM numbers AS n
    JOIN pg_attrdef AS e ON e.adrelid = n.target AND e.adnum = n.attnum
    JOIN pg_depend AS d ON d.classid = 'pg_attrdef'::regclass AND d.objid = e.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class AS c ON c.oid = d.refobjid AND c.relkind = 'S'
    WHERE pg_get_expr(e.adbin, e.adrelid) ~ '^\(*nextval\(''[^)]*''::regclass\)\)*(::[a-z0-9 ]+)?$'
$function$;
COMMENT ON FUNCTION mongoferry.filled_sequences(text, text) IS
    'the sequences behind the target''s number columns that a task fills: identity columns, sequences owned by the column, and defaults that are nextval() of a sequence. Part of the toolkit';

CREATE FUNCTION mongoferry.advance_sequences(migration text, task text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    target regclass;
    found record;
    last_value bigint;
BEGIN
    SELECT t.target INTO target FROM mongoferry.task AS t WHERE t.migration = $1 AND t.task = $2;
    FOR found IN
        SELECT f.column_name, f.sequence, s.seqincrement > 0 AS ascends, s.seqmin, s.seqmax
        FROM mongoferry.filled_sequences($1, $2) AS f JOIN pg_sequence AS s ON s.seqrelid = f.sequence
        ORDER BY 1, 2
    LOOP
        -- Values beyond the sequence's bounds are none that it could give.
        EXECUTE format('SELECT %s::bigint FROM %s WHERE %I BETWEEN %s AND %s',
            format(CASE WHEN found.ascends THEN 'ceil(max(%I)::numeric)' ELSE 'floor(min(%I)::numeric)' END, found.column_name),
            target, found.column_name, found.seqmin, found.seqmax)
            INTO last_value;
        PERFORM mongoferry.advance_sequence(found.sequence, last_value);
    END LOOP;
END
$function$;
COMMENT ON FUNCTION mongoferry.advance_sequences(text, text) IS
    'sets the sequences behind the columns that a task fills past the values that the target holds now; those of an empty target stay as they are. Part of the toolkit';
