-- What of grouping and aggregates is done by the server, and how. Planning needs no server, so the host need not exist.
CREATE SERVER aggregates_server FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'nowhere.invalid', database 'shop');
CREATE FOREIGN TABLE sales (
    _id      int,
    n        int,
    big      int8,
    d        float8,
    price    numeric,
    flag     bool,
    at       timestamptz,
    name     text COLLATE "C",
    document jsonb OPTIONS (field '$$ROOT')
) SERVER aggregates_server OPTIONS (collection 'sales');
CREATE FOREIGN TABLE sales_off (n int) SERVER aggregates_server OPTIONS (collection 'sales', pushdown 'off');
SET TimeZone = 'UTC';

-- the stages of a query, one a line; NULL: it is not grouped there
CREATE FUNCTION stages(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line LIKE '%Command: {"aggregate"%' THEN
            RETURN regexp_replace(regexp_replace(line, '^.*"pipeline": \[(.*)\], "allowDiskUse".*$', '\1'),
                                  '\}, \{"\$(group|set|match|sort)":', E'},\n{"$\\1":', 'g');
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
\pset format unaligned
\pset tuples_only on

-- the plan has the local way below it
EXPLAIN (VERBOSE, COSTS OFF) SELECT count(*) FROM sales;
EXPLAIN (COSTS OFF) SELECT name, count(*) FROM sales GROUP BY name HAVING count(*) > 5 AND avg(n) > 2;

SELECT '--- ' || query || E'\n' || coalesce(stages(query), 'here') FROM unnest(ARRAY[
    'SELECT count(*) FROM sales',
    'SELECT count(*) FROM sales WHERE n = 5',
    'SELECT count(n), sum(n), avg(n) FROM sales',
    'SELECT sum(big) FROM sales',
    'SELECT sum(price) FROM sales',
    'SELECT stddev(n) FROM sales',
    'SELECT sum(d) FROM sales',
    'SELECT min(n), max(at), min(name), bool_and(flag), bool_or(flag) FROM sales',
    'SELECT max(price) FROM sales',
    'SELECT max(d) FROM sales',
    'SELECT name, flag FROM sales GROUP BY name, flag',
    'SELECT DISTINCT name FROM sales',
    'SELECT d FROM sales GROUP BY d',
    'SELECT count(DISTINCT n) FROM sales',
    'SELECT flag, count(DISTINCT n), count(*), max(n) FROM sales GROUP BY flag',
    'SELECT count(*) FILTER (WHERE flag), sum(n) FILTER (WHERE flag) FROM sales',
    'SELECT name, count(*) FROM sales GROUP BY name HAVING count(*) > 5',
    'SELECT name FROM sales GROUP BY name HAVING sum(n) IS NULL OR name > ''x''',
    'SELECT count(*) FROM sales HAVING count(*) > 5',
    -- not there
    'SELECT array_agg(n) FROM sales',
    'SELECT count(DISTINCT n), count(DISTINCT name) FROM sales',
    'SELECT sum(DISTINCT price) FROM sales',
    'SELECT stddev(d) FROM sales',
    'SELECT document FROM sales GROUP BY document',
    'SELECT DISTINCT ON (n) n, name FROM sales',
    'SELECT name, flag, count(*) FROM sales GROUP BY CUBE (name, flag)',
    'SELECT count(*) FROM sales WHERE random() < 1',
    'SELECT sum(n) FROM sales_off'
]) AS query;

-- and why not
SELECT part || ': ' || reason FROM unnest(ARRAY[
    'SELECT array_agg(n) FROM sales', 'SELECT count(DISTINCT n), count(DISTINCT name) FROM sales', 'SELECT sum(DISTINCT price) FROM sales',
    'SELECT stddev(d) FROM sales', 'SELECT document FROM sales GROUP BY document', 'SELECT 1 FROM sales GROUP BY CUBE (name, flag)',
    'SELECT name FROM sales GROUP BY name HAVING avg(n) > 2', 'SELECT DISTINCT document FROM sales'
]) AS query, mongoferry.why_not_pushed(query);
\pset tuples_only off
\pset format aligned

DROP FUNCTION stages(text);
SET client_min_messages = warning;
DROP SERVER aggregates_server CASCADE;
