-- What is sent to the server for which condition, and what stays here. Planning connects to nothing, so the host
-- need not exist.
CREATE SERVER pushdown_server FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'nowhere.invalid', database 'shop');
CREATE DOMAIN pushdown_domain AS int CHECK (VALUE > 0);
CREATE FOREIGN TABLE pushdown (
    _id      mongoferry.objectid,
    small    int2,
    n        int,
    big      int8,
    dom      pushdown_domain,
    d        float8,
    r        float4,
    price    numeric,
    rounded  numeric(6,2),
    flag     bool,
    at       timestamptz,
    utc      timestamp,
    name     text COLLATE "C",
    vname    varchar,
    code     varchar(3),
    city     text OPTIONS (field 'address.city'),
    tag      text OPTIONS (field 'tags.0'),
    loose    int  OPTIONS (coerce_strings 'true'),
    stripped text OPTIONS (on_nul 'strip'),
    document jsonb OPTIONS (field '$$ROOT'),
    day      date,
    u        uuid,
    old      uuid OPTIONS (uuid_representation 'csharpLegacy'),
    tags     int[],
    words    text[],
    seconds  timestamptz(0)
) SERVER pushdown_server OPTIONS (collection 'things');
CREATE FOREIGN TABLE pushdown_off (n int) SERVER pushdown_server OPTIONS (collection 'things', pushdown 'off');
CREATE FOREIGN TABLE pushdown_unwound (
    _id mongoferry.objectid, total int, position int OPTIONS (field '$$INDEX'), qty int OPTIONS (field 'items.qty')
) SERVER pushdown_server OPTIONS (collection 'things', unwind 'items');

-- the command of a condition, without the plan around it
CREATE FUNCTION pushdown_command(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line LIKE '%Command:%' THEN RETURN regexp_replace(line, '^ *Command: ', ''); END IF;
    END LOOP;
    RETURN NULL;
END $$;
SET TimeZone = 'UTC';

EXPLAIN (VERBOSE, COSTS OFF) SELECT n, city FROM pushdown WHERE n > 5;

SELECT condition, substring(pushdown_command('SELECT _id FROM pushdown WHERE ' || condition) FROM '"filter": (.*), "projection"') AS filter
FROM unnest(ARRAY[
    'n = 5', 'n < 5', 'n <= 5', 'n > 5', 'n >= 5', 'n <> 5', '5 < n', 'n = 3000000000', 'small = 5::int2', 'big > 9007199254740993',
    'dom = 5', 'n IN (1, 2, NULL)', 'n = ANY (''{}''::int[])', 'n NOT IN (1, 2)', 'n BETWEEN 1 AND 3',
    'n = 1 OR n = 2', 'n = 1 OR big = 2', 'n = 1 OR n + 1 = 2', 'n = 1 AND (big = 2 OR n + 1 = 2)', 'NOT n = 1', 'n + 1 = 2', 'n IS NULL',
    'n = big', 'd = random()',
    'd > 1.5', 'd <= 1.5', 'd = ''NaN''', 'd > ''Infinity''', 'r > 1.5',
    'price = 5', 'price > 12.5', 'price <= 0.1', 'price = ''NaN''', 'price > 9007199254740993', 'price = 1e40', 'price = 1e-6200', 'rounded = 5',
    'flag', 'NOT flag', 'flag = true', 'flag IS TRUE', 'flag OR n = 1',
    'at >= ''2024-02-29 12:00:00.123Z''', 'at < ''2024-02-29 12:00:00.123456Z''', 'at > ''infinity''', 'utc = ''1969-12-31 23:59:59.999''',
    'at > ''2024-01-01''::timestamp', 'at > ''1969-12-31 23:59:59.9985Z''',
    'name = ''Ada''', 'name = ''''', 'name = ''12''', 'name = ''true''', 'name = ''507f1f77bcf86cd799439011''', 'name > ''A''', 'name LIKE ''A%''',
    'vname = ''Ada''', 'vname IN (''Ada'', ''Bob'')', 'code = ''abc''', 'city = ''Köln''', 'tag = ''x''', 'loose = 5', 'stripped = ''x''',
    '_id = ''507f1f77bcf86cd799439011''', '_id > ''507f1f77bcf86cd799439011''', '_id IN (''507f1f77bcf86cd799439011'', ''507f1f77bcf86cd799439012'')',
    'document = ''{}'''
]) AS condition;

-- what a condition shall be; NULL is neither
SELECT condition, substring(pushdown_command('SELECT _id FROM pushdown WHERE ' || condition) FROM '"filter": (.*), "projection"') AS filter
FROM unnest(ARRAY[
    'n IS NULL', 'n IS NOT NULL', 'city IS NULL', 'city IS NOT NULL', 'tag IS NULL', 'NOT (n = 1 AND flag)', 'NOT (n = 1 OR flag)',
    '(n = 1) IS TRUE', '(n = 1) IS NOT TRUE', '(n = 1) IS FALSE', '(n = 1) IS NOT FALSE', '(n = 1) IS UNKNOWN', '(n = 1) IS NOT UNKNOWN',
    'flag IS NOT TRUE', 'flag IS UNKNOWN', 'n IS DISTINCT FROM 1', 'n IS NOT DISTINCT FROM 1', 'n IS DISTINCT FROM NULL',
    'n = ANY (''{1,NULL}'')', 'n <> ALL (''{1,2}'')', 'n <> ALL (''{1,NULL}'')', 'n > ALL (''{1,2}'')', 'n > ANY (''{1,2}'')',
    'n NOT BETWEEN 1 AND 3', 'n = 1 OR NULL'
]) AS condition;

-- numbers of other types, dates, identifiers
SELECT condition, substring(pushdown_command('SELECT _id FROM pushdown WHERE ' || condition) FROM '"filter": (.*), "projection"') AS filter
FROM unnest(ARRAY[
    'n > 2.5', 'n <= 2.5', 'n = 2.5', 'n < 1e30', 'n > 1e30', 'big = 5.0::float8', 'big = 1e17::float8', 'd = 0.1', 'd > 0.1', 'd <> ''NaN''', 'r = 0.1::float4',
    'price = 0.1', 'price > 0.3', 'price <> 0.1', 'price < ''Infinity''',
    'day = ''2024-02-29''', 'day < ''2024-02-29''', 'day > ''2024-02-29''', 'day <> ''2024-02-29''', 'day >= ''2024-02-29 12:00''::timestamp',
    'at >= ''2024-02-29''::date', 'utc > ''2024-02-29 12:00Z''::timestamptz', 'seconds > ''2024-02-29''',
    'u = ''00112233-4455-6677-8899-aabbccddeeff''', 'u > ''00112233-4455-6677-8899-aabbccddeeff''', 'old = ''00112233-4455-6677-8899-aabbccddeeff''',
    'u <> ''00112233-4455-6677-8899-aabbccddeeff''',
    'mongoferry.to_uuid(_id) = ''013a7092-e8d8-7bcf-a1b3-5e650e404400''', 'mongoferry.to_uuid(_id) = ''00112233-4455-6677-8899-aabbccddeeff''',
    'mongoferry.to_uuid(_id) IN (''013a7092-e8d8-7bcf-a1b3-5e650e404400'', ''00112233-4455-6677-8899-aabbccddeeff'')'
]) AS condition;

-- text and arrays
SELECT condition, substring(pushdown_command('SELECT _id FROM pushdown WHERE ' || condition) FROM '"filter": (.*), "projection"') AS filter
FROM unnest(ARRAY[
    'name <> ''Ada''', 'name LIKE ''Ad%''', 'name LIKE ''Ada''', 'name LIKE ''%a.b_''', 'name LIKE ''x\_y%''', 'name NOT LIKE ''Ad%''', 'name ILIKE ''ad%''', 'name NOT ILIKE ''ad%''',
    'name LIKE ANY (''{A%,K%}'')', 'starts_with(name, ''a.'')', 'name ^@ ''Ad''', 'name ~ ''^Ad(a|b)+$''', 'name !~ ''^Ad''', 'name ~ ''\d''', 'name ~* ''^ad''',
    'name ~ ''(?i)a''', 'name ~ ''\mA''', 'name SIMILAR TO ''A(d|x)a''', 'code LIKE ''a%''', 'vname ILIKE ''ad%''',
    '5 = ANY (tags)', '5 < ANY (tags)', 'tags @> ''{1,2}''', 'tags && ''{1,2}''', 'tags <@ ''{1,2}''', 'tags = ''{1,2}''', '''x'' = ANY (words)'
]) AS condition;

-- values that are not known yet
PREPARE pushdown_query(int, text, int[]) AS SELECT _id FROM pushdown WHERE n = $1 AND name LIKE $2 AND big = ANY ($3);
SET plan_cache_mode = force_generic_plan;
SELECT pushdown_command('EXECUTE pushdown_query(1, ''A%'', ''{1,2}'')');
RESET plan_cache_mode;
DEALLOCATE pushdown_query;

-- off, or not for this column
SELECT pushdown_command('SELECT n FROM pushdown_off WHERE n = 5');
SELECT pushdown_command('SELECT * FROM pushdown_unwound WHERE total = 5 AND qty = 1');

-- the fields that are asked for
SELECT query, substring(pushdown_command(query) FROM '"projection": (.*?\})') AS projection
FROM unnest(ARRAY[
    'SELECT count(*) FROM pushdown', 'SELECT n FROM pushdown', 'SELECT city, tag FROM pushdown', 'SELECT n FROM pushdown WHERE flag',
    'SELECT document FROM pushdown', 'SELECT 1 FROM pushdown ORDER BY big', 'SELECT pushdown FROM pushdown', 'SELECT position FROM pushdown_unwound',
    'SELECT qty FROM pushdown_unwound'
]) AS query;

-- integers that JavaScript can't hold exactly make the command canonical
EXPLAIN (COSTS OFF) SELECT n FROM pushdown WHERE big = 9007199254740993;

DROP FUNCTION pushdown_command(text);
SET client_min_messages = warning;
DROP SERVER pushdown_server CASCADE;
DROP DOMAIN pushdown_domain;
