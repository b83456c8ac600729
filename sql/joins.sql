-- Joins that the server does. Planning connects to nothing that is needed, so the host need not exist; other joins are
-- discouraged, because nothing is known of the collections' sizes and indexes.
CREATE SERVER joins_server FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'nowhere.invalid', database 'shop');
CREATE SERVER joins_elsewhere FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'nowhere.invalid', database 'other');
CREATE FOREIGN TABLE joins_orders (_id int, customer int, city int OPTIONS (field 'address.city'), total int, note text)
    SERVER joins_server OPTIONS (collection 'orders');
CREATE FOREIGN TABLE joins_customers (_id int, name text, region int, document jsonb OPTIONS (field '$$ROOT'))
    SERVER joins_server OPTIONS (collection 'customers');
CREATE FOREIGN TABLE joins_cities (_id int, name text) SERVER joins_server OPTIONS (collection 'cities');
CREATE FOREIGN TABLE joins_loose (_id int) SERVER joins_server OPTIONS (collection 'loose', on_mismatch 'null');
CREATE FOREIGN TABLE joins_items (_id int, sku text OPTIONS (field 'items.sku')) SERVER joins_server OPTIONS (collection 'orders', unwind 'items');
CREATE FOREIGN TABLE joins_other (_id int) SERVER joins_server OPTIONS (database 'other', collection 'customers');
CREATE FOREIGN TABLE joins_far (_id int) SERVER joins_elsewhere OPTIONS (database 'shop', collection 'customers');
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_nestloop = off;
SET jit = off;
SET client_min_messages = error;

-- the pipeline of a join; NULL if it is done here
CREATE FUNCTION joins_pipeline(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line LIKE '%Command:%$lookup%' THEN RETURN substring(line FROM '"pipeline": (.*), "allowDiskUse"'); END IF;
    END LOOP;
    RETURN NULL;
END $$;

EXPLAIN (VERBOSE, COSTS OFF)
SELECT o._id, c.name FROM joins_orders o JOIN joins_customers c ON c._id = o.customer;

SELECT query, joins_pipeline(query) FROM unnest(ARRAY[
    'SELECT o._id, c.name FROM joins_orders o JOIN joins_customers c ON c._id = o.customer WHERE o.total > 5 AND c.region = 1',
    'SELECT o._id, c.name FROM joins_orders o LEFT JOIN joins_customers c ON c._id = o.customer AND c.region = 1',
    'SELECT o._id, c.name FROM joins_orders o LEFT JOIN joins_customers c ON c._id = o.customer WHERE c.name IS NULL',
    'SELECT o._id FROM joins_orders o WHERE EXISTS (SELECT 1 FROM joins_customers c WHERE c._id = o.customer)',
    'SELECT o._id FROM joins_orders o WHERE NOT EXISTS (SELECT 1 FROM joins_customers c WHERE c._id = o.customer)',
    'SELECT o._id, c.document FROM joins_orders o JOIN joins_customers c ON c._id = o.customer',
    'SELECT o._id, c.name FROM joins_orders o JOIN joins_customers c ON c._id = o.customer AND c.region < o.total',
    'SELECT o._id, c.name, t.name FROM joins_orders o JOIN joins_customers c ON c._id = o.customer JOIN joins_cities t ON t._id = o.city',
    'SELECT o._id, l._id FROM joins_orders o JOIN joins_loose l ON l._id = o.customer']) AS query;

-- done here
SELECT query, joins_pipeline(query) FROM unnest(ARRAY[
    'SELECT o._id, c.name FROM joins_orders o JOIN joins_customers c ON c._id = o.customer + 1',
    'SELECT o._id, c.name FROM joins_orders o JOIN joins_customers c ON c._id > o.customer',
    'SELECT o._id, c.name FROM joins_orders o FULL JOIN joins_customers c ON c._id = o.customer',
    'SELECT o._id, c.name FROM joins_orders o LEFT JOIN joins_customers c ON c._id = o.customer AND c.region < o.total',
    'SELECT o._id, c.name FROM joins_orders o JOIN joins_customers c ON c._id = o.customer WHERE random() < o.total',
    'SELECT o._id, c._id FROM joins_orders o JOIN joins_other c ON c._id = o.customer',
    'SELECT o._id, c._id FROM joins_orders o JOIN joins_far c ON c._id = o.customer',
    'SELECT o._id, i.sku FROM joins_orders o JOIN joins_items i ON i._id = o._id',
    'SELECT o._id, c.name FROM joins_orders o JOIN joins_customers c ON c._id = o.customer FOR UPDATE OF o']) AS query;

RESET client_min_messages;
SET client_min_messages = warning;
DROP FUNCTION joins_pipeline(text);
DROP SERVER joins_server, joins_elsewhere CASCADE;
