-- Which orders, offsets and limits are sent to the server, and in which form. Planning connects to nothing, so the host
-- need not exist.
CREATE SERVER order_server FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'nowhere.invalid', database 'shop');
CREATE USER MAPPING FOR CURRENT_USER SERVER order_server;
CREATE FOREIGN TABLE ordered (
    _id      mongoferry.objectid,
    n        int,
    big      int8,
    d        float8,
    r        float4,
    price    numeric,
    rounded  numeric(6,2),
    flag     bool,
    at       timestamptz,
    day      date,
    name     text COLLATE "C",
    city     text OPTIONS (field 'address.city'),
    tag      text OPTIONS (field 'tags.0') COLLATE "C",
    u        uuid,
    document jsonb OPTIONS (field '$$ROOT')
) SERVER order_server OPTIONS (collection 'things');
SET timezone = 'UTC';
-- The command; or what PostgreSQL does above the scan.
CREATE FUNCTION sent(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF, FORMAT json) ' || query INTO plan;
    plan := plan->0->'Plan';
    IF plan->>'Node Type' = 'Foreign Scan' THEN
        RETURN NEXT plan->>'Command';
    ELSE
        RETURN NEXT 'stays here: ' || (plan->>'Node Type');
    END IF;
END $$;
-- offset and limit alone
SELECT sent('SELECT n FROM ordered LIMIT 10');
SELECT sent('SELECT n, document FROM ordered OFFSET 5 LIMIT 10');
SELECT sent('SELECT n FROM ordered OFFSET 5');
SELECT sent('SELECT n FROM ordered OFFSET 5 LIMIT 9223372036854775807');
-- nulls and NaN where MongoDB has them, and where it has not
SELECT sent('SELECT n FROM ordered ORDER BY n NULLS FIRST LIMIT 10');
SELECT sent('SELECT n FROM ordered ORDER BY n DESC NULLS LAST LIMIT 10');
SELECT sent('SELECT n FROM ordered ORDER BY n LIMIT 10 OFFSET 5');
SELECT sent('SELECT n FROM ordered ORDER BY n DESC LIMIT 10');
SELECT sent('SELECT n FROM ordered ORDER BY d NULLS FIRST LIMIT 10');
SELECT sent('SELECT n FROM ordered ORDER BY d DESC LIMIT 10');
SELECT sent('SELECT n FROM ordered WHERE n > 5 ORDER BY n LIMIT 10');
SELECT sent('SELECT n FROM ordered WHERE n IS NOT NULL AND flag ORDER BY n DESC, flag LIMIT 10');
-- each type
SELECT c, sent(format('SELECT n FROM ordered ORDER BY %s NULLS FIRST LIMIT 10', c)) FROM unnest('{_id, n, big, flag, at, day, name, u}'::text[]) c;
SELECT c, sent(format('SELECT n FROM ordered ORDER BY %s NULLS FIRST LIMIT 10', c)) FROM unnest('{d, r, price, rounded}'::text[]) c;
-- rows of a day, and rounded values, tie here and not there
SELECT sent('SELECT n FROM ordered ORDER BY day NULLS FIRST, n NULLS FIRST LIMIT 10');
SELECT sent('SELECT n FROM ordered ORDER BY rounded, n LIMIT 10');
SELECT sent('SELECT n FROM ordered ORDER BY r, n LIMIT 10');
-- expressions
SELECT sent('SELECT n FROM ordered ORDER BY n % 10 LIMIT 10');
SELECT sent('SELECT name FROM ordered ORDER BY city COLLATE "C" NULLS FIRST LIMIT 10');
-- what stays here
SELECT sent('SELECT n FROM ordered ORDER BY n');
SELECT sent('SELECT n FROM ordered ORDER BY city LIMIT 10');
SELECT sent('SELECT n FROM ordered ORDER BY tag LIMIT 10');
SELECT sent('SELECT n FROM ordered ORDER BY document LIMIT 10');
SELECT sent('SELECT n FROM ordered ORDER BY n FETCH FIRST 10 ROWS WITH TIES');
SELECT sent('SELECT n FROM ordered ORDER BY n LIMIT 10 FOR UPDATE');
SELECT sent('SELECT n, generate_series(1, 2) FROM ordered ORDER BY n LIMIT 10');
SELECT sent('SELECT tableoid FROM ordered ORDER BY n LIMIT 10');
SELECT sent('SELECT n FROM ordered WHERE random() < n ORDER BY n LIMIT 10');
SELECT sent('SELECT n FROM ordered WHERE n > 5 LIMIT 10'); -- a search for odd documents would cost more than it saves
-- groups
SELECT sent('SELECT flag, sum(big) FROM ordered GROUP BY flag ORDER BY sum(big) DESC LIMIT 10 OFFSET 5');
SELECT sent('SELECT n, count(*) FROM ordered GROUP BY n ORDER BY count(*) DESC, n NULLS FIRST LIMIT 10');
SELECT sent('SELECT count(*) FROM ordered LIMIT 10');
-- the whole plan, with the local one that is run if there are documents that the orders disagree about
EXPLAIN (VERBOSE, COSTS OFF) SELECT n + 1 FROM ordered ORDER BY at, n DESC LIMIT 10;
SET client_min_messages = warning;
DROP FUNCTION sent;
DROP SERVER order_server CASCADE;
