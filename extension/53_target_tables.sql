-- What the system catalogues say about the target of a task: its keys, what a row of it needs, the foreign keys that are
-- checked when it is written, where its rows are kept. All of it holds for partitioned and foreign tables too.

CREATE FUNCTION mongoferry.table_name(relation regclass) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = $1
$function$;
COMMENT ON FUNCTION mongoferry.table_name(regclass) IS
    'name of a table with its schema, quoted where needed, whatever the search_path; NULL if it does not exist any more. Part of the toolkit';

CREATE FUNCTION mongoferry.column_list(columns name[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT string_agg(quote_ident(c.name), ', ' ORDER BY c.number) FROM unnest($1) WITH ORDINALITY AS c (name, number)
$function$;
COMMENT ON FUNCTION mongoferry.column_list(name[]) IS 'names of columns, quoted where needed, with commas between. Part of the toolkit';

CREATE FUNCTION mongoferry.missing_columns(target regclass, filled name[]) RETURNS name[]
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT array_agg(a.attname ORDER BY a.attnum)
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND NOT a.attname = ANY ($2)
        AND (a.attnotnull OR t.typnotnull) AND NOT a.atthasdef AND a.attidentity = '' AND t.typdefaultbin IS NULL
$function$;
COMMENT ON FUNCTION mongoferry.missing_columns(regclass, name[]) IS
    'columns that a new row needs: NOT NULL, without a default, and not among those that are filled; NULL if there is none. Part of the toolkit';

CREATE FUNCTION mongoferry.has_unique_key(target regclass, columns name[], arbiter boolean) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT EXISTS (
        SELECT FROM pg_index AS i
        WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
            AND (i.indimmediate AND NOT i.indisexclusion OR NOT $3)
            AND (SELECT array_agg(a.attname ORDER BY a.attname)
                FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attribute, number)
                JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attribute
                WHERE k.number <= i.indnkeyatts)
                = (SELECT array_agg(DISTINCT c.name ORDER BY c.name) FROM unnest($2) AS c (name)))
$function$;
COMMENT ON FUNCTION mongoferry.has_unique_key(regclass, name[], boolean) IS
    'whether exactly these columns, in any order, are a unique key of the table; arbiter: one that ON CONFLICT can use, which neither a deferrable constraint is nor one WITHOUT OVERLAPS. Part of the toolkit';

CREATE FUNCTION mongoferry.equality_operator(target regclass, attribute smallint) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT format('OPERATOR(%I.%s)', n.nspname, op.oprname)
    FROM pg_index AS i
    CROSS JOIN LATERAL unnest(i.indkey::smallint[], i.indclass::oid[]) AS k (attribute, class)
    JOIN pg_opclass AS c ON c.oid = k.class
    JOIN pg_amop AS o ON o.amopfamily = c.opcfamily AND o.amoplefttype = c.opcintype AND o.amoprighttype = c.opcintype
        AND o.amopstrategy = 3 -- equality of a B-tree, the only kind of unique index
    JOIN pg_operator AS op ON op.oid = o.amopopr
    JOIN pg_namespace AS n ON n.oid = op.oprnamespace
    WHERE i.indrelid = $1 AND i.indisunique AND k.attribute = $2
    ORDER BY i.indexrelid LIMIT 1
$function$;
COMMENT ON FUNCTION mongoferry.equality_operator(regclass, smallint) IS
    'the operator by which a unique index of the table tells the column''s values apart, to be written between two values. Part of the toolkit';

CREATE FUNCTION mongoferry.base_type(INOUT type oid, INOUT type_modifier integer)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    WITH RECURSIVE base (type, modifier) AS (
        SELECT $1, $2
        UNION ALL
        SELECT t.typbasetype, t.typtypmod FROM base AS b JOIN pg_type AS t ON t.oid = b.type WHERE t.typtype = 'd'
    )
    SELECT b.type, b.modifier FROM base AS b JOIN pg_type AS t ON t.oid = b.type WHERE t.typtype <> 'd'
$function$;
COMMENT ON FUNCTION mongoferry.base_type(oid, integer) IS
    'the type under a domain, also one over other domains, with its modifier; other types as they are. Part of the toolkit';

CREATE FUNCTION mongoferry.comparison_type(type oid, type_modifier integer) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT format_type(b.type, CASE
        WHEN b.type IN ('varchar'::regtype, 'bpchar'::regtype, 'bit'::regtype, 'varbit'::regtype) THEN -1
        ELSE b.type_modifier
    END)
    FROM mongoferry.base_type($1, $2) AS b
$function$;
COMMENT ON FUNCTION mongoferry.comparison_type(oid, integer) IS
    'the type that a value is cast to so that it equals what an assignment to a column of this type would store: rounded as numeric(5,2) does; but not cut to a length, which an assignment refuses to do. Part of the toolkit';

CREATE FUNCTION mongoferry.is_remote(target regclass) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT EXISTS (SELECT FROM pg_class AS c WHERE c.relkind = 'f'
        AND (c.oid = $1 OR c.oid IN (SELECT p.relid FROM pg_partition_tree($1) AS p)))
$function$;
COMMENT ON FUNCTION mongoferry.is_remote(regclass) IS
    'whether a table is a foreign table or has a foreign table among its partitions, so that its rows are kept elsewhere. Part of the toolkit';

CREATE FUNCTION mongoferry.share_rows(one regclass, other regclass) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT $1 = $2
        OR EXISTS (SELECT FROM pg_partition_ancestors($1) AS p (relation) WHERE p.relation = $2)
        OR EXISTS (SELECT FROM pg_partition_ancestors($2) AS p (relation) WHERE p.relation = $1)
$function$;
COMMENT ON FUNCTION mongoferry.share_rows(regclass, regclass) IS
    'whether two tables are the same one, or one is a partition of the other. Part of the toolkit';

CREATE FUNCTION mongoferry.target_foreign_keys(target regclass)
    RETURNS TABLE (constraint_name name, referencing regclass, columns name[], referenced regclass, optional name[],
        has_defaults name[], match_full boolean, referenced_columns name[])
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT c.conname, c.conrelid::regclass,
        array_agg(a.attname ORDER BY k.number), c.confrelid::regclass,
        coalesce(array_agg(a.attname ORDER BY k.number)
            FILTER (WHERE NOT a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''), '{}'),
        coalesce(array_agg(a.attname ORDER BY k.number) FILTER (WHERE a.atthasdef OR a.attidentity <> ''), '{}'),
        c.confmatchtype = 'f', array_agg(r.attname ORDER BY k.number)
    FROM pg_constraint AS c
    CROSS JOIN LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY AS k (attribute, referenced, number)
    JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.attribute
    JOIN pg_attribute AS r ON r.attrelid = c.confrelid AND r.attnum = k.referenced
    WHERE c.contype = 'f'
        -- the table itself, and what its partitions have besides
        AND (c.conrelid = $1 OR c.conparentid = 0 AND c.conrelid IN (SELECT p.relid FROM pg_partition_tree($1) AS p))
        -- One to a partitioned table has a copy for each partition there: they say nothing new.
        AND NOT EXISTS (SELECT FROM pg_constraint AS parent WHERE parent.oid = c.conparentid AND parent.conrelid = c.conrelid)
        -- PostgreSQL 18 has constraints that are not enforced.
        AND coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true)
    GROUP BY c.oid, c.conname, c.conrelid, c.confrelid, c.confmatchtype
$function$;
COMMENT ON FUNCTION mongoferry.target_foreign_keys(regclass) IS
    'the foreign keys that are checked when a table is written: its own and those of its partitions, each once. optional: those of the columns that are NULL when no value is given; has_defaults: those that have one then. Part of the toolkit';
