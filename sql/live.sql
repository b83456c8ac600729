-- A foreign table over the live server that the tests run against; test/tools/load-regress-data made the data.
\set mongo_uri `echo "$MONGOFERRY_TEST_URI"`
CREATE SERVER live FOREIGN DATA WRAPPER mongoferry OPTIONS (uri :'mongo_uri', database 'mongoferry_regress');
CREATE USER MAPPING FOR CURRENT_USER SERVER live;
CREATE FOREIGN TABLE live_orders (
    _id      mongoferry.objectid,
    customer text,
    total    numeric,
    quantity bigint,
    paid     boolean,
    placed   timestamptz,
    tags     text[],
    city     text OPTIONS (field 'shipping.address.city'),
    shipping jsonb
) SERVER live OPTIONS (collection 'orders');
SET timezone = 'UTC';
SELECT * FROM live_orders ORDER BY _id;
SELECT count(*) FROM live_orders WHERE paid;
-- a collection that does not exist is empty, as in MongoDB
CREATE FOREIGN TABLE live_nothing (_id text) SERVER live OPTIONS (collection 'nothing');
SELECT * FROM live_nothing;
SET client_min_messages = warning; -- not whose mapping goes
DROP SERVER live CASCADE;
