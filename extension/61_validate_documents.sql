-- Which document of a chunk gave a row that differs, and whether it has changed since it was copied.

-- Which document gave a row? Where each document gives one row, the n-th; else by trying. Each find is tried before it is
-- believed. Needs the temporary table mongoferry_expected and mongoferry_wanted (ordinal of a row, its key).
CREATE FUNCTION mongoferry.find_documents(migration text, task text, bounds bytea, key name[], key_types oid[])
    RETURNS TABLE (ordinal bigint, source_id jsonb, document jsonb, raw bytea)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    this mongoferry.task;
    probe text;
    documents bytea[];
    pieces int4range[] := '{}';
    piece int4range;
    first_number integer;
    last_number integer;
    middle integer;
    hits bigint[];
    wanted record;
BEGIN
    SELECT t.* INTO STRICT this FROM mongoferry.task AS t WHERE t.migration = $1 AND t.task = $2;
    SELECT array_agg(d.raw) INTO documents FROM mongoferry.read_documents(this.source, $3) AS d;
    IF documents IS NULL THEN
        RETURN;
    END IF;
    -- the wanted rows that these documents give
    probe := format('SELECT pg_catalog.array_agg(DISTINCT w.ordinal) FROM (%s) AS given JOIN pg_temp.mongoferry_wanted AS w ON w.key = (%s)::pg_catalog.text',
        mongoferry.validation_query($1, $2), mongoferry.key_expression('given', $4, $5));
    CREATE TEMP TABLE mongoferry_found (ordinal bigint, number integer);
    IF (SELECT count(*) FROM pg_temp.mongoferry_expected) = cardinality(documents) THEN
        FOR wanted IN SELECT w.ordinal, (SELECT count(*) FROM pg_temp.mongoferry_expected AS e WHERE e.mongoferry_ordinal <= w.ordinal)::integer AS number
            FROM pg_temp.mongoferry_wanted AS w
        LOOP
            hits := mongoferry.probe_documents($1, $2, probe, mongoferry.raw_bounds(documents[wanted.number:wanted.number]));
            INSERT INTO pg_temp.mongoferry_found SELECT hit, wanted.number FROM unnest(hits) AS hit;
        END LOOP;
    END IF;
    IF EXISTS (SELECT FROM pg_temp.mongoferry_wanted AS w WHERE w.ordinal NOT IN (SELECT f.ordinal FROM pg_temp.mongoferry_found AS f)) THEN
        pieces := ARRAY[int4range(1, cardinality(documents), '[]')];
    END IF;
    WHILE cardinality(pieces) > 0 LOOP
        piece := pieces[cardinality(pieces)];
        pieces := pieces[1:cardinality(pieces) - 1];
        first_number := lower(piece);
        last_number := upper(piece) - 1;
        hits := mongoferry.probe_documents($1, $2, probe, mongoferry.raw_bounds(documents[first_number:last_number]));
        CONTINUE WHEN hits IS NULL;
        IF first_number = last_number THEN
            INSERT INTO pg_temp.mongoferry_found SELECT hit, first_number FROM unnest(hits) AS hit;
        ELSE
            middle := (first_number + last_number) / 2;
            pieces := pieces || int4range(middle + 1, last_number, '[]') || int4range(first_number, middle, '[]');
        END IF;
    END LOOP;
    RETURN QUERY
        SELECT DISTINCT ON (f.ordinal) f.ordinal, d.source_id, d.document, d.raw
        FROM pg_temp.mongoferry_found AS f
        JOIN LATERAL mongoferry.read_documents(this.source, mongoferry.raw_bounds(documents[f.number:f.number])) AS d ON true
        ORDER BY f.ordinal, f.number;
    DROP TABLE pg_temp.mongoferry_found;
END
$function$;
COMMENT ON FUNCTION mongoferry.find_documents(text, text, bytea, name[], oid[]) IS
    'for validate(): which documents of a chunk give the rows in the temporary table mongoferry_wanted. Part of the toolkit';

CREATE FUNCTION mongoferry.probe_documents(migration text, task text, probe text, bounds bytea) RETURNS bigint[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    hits bigint[];
BEGIN
    PERFORM mongoferry.use_search_path($1, $2);
    EXECUTE $3 INTO hits USING $4;
    RETURN hits;
EXCEPTION
    WHEN data_exception OR integrity_constraint_violation OR data_corrupted OR raise_exception THEN
        RETURN NULL; -- a document that the transform refuses gives no row
END
$function$;
COMMENT ON FUNCTION mongoferry.probe_documents(text, text, text, bytea) IS
    'for validate(): runs the query of find_documents() over some documents. Part of the toolkit';

-- Has a document changed since? Only its own word counts.
CREATE FUNCTION mongoferry.is_changed(source regclass, raw bytea, changed_field text, since timestamptz) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    changed_at jsonb;
BEGIN
    IF raw IS NULL OR changed_field IS NULL THEN
        RETURN false;
    END IF;
    SELECT d.document #> string_to_array($3, '.') -> '$date' INTO changed_at
    FROM mongoferry.read_documents($1, mongoferry.raw_bounds(ARRAY[$2])) AS d;
    RETURN coalesce(CASE jsonb_typeof(changed_at)
        WHEN 'string' THEN (changed_at #>> '{}')::timestamptz
        WHEN 'object' THEN to_timestamp((changed_at ->> '$numberLong')::numeric::double precision / 1000)
    END > since, false);
END
$function$;
COMMENT ON FUNCTION mongoferry.is_changed(regclass, bytea, text, timestamptz) IS
    'true if the document (BSON) has a date in changed_field (dotted path) that is later than since. Part of the toolkit';
