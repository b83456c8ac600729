-- The source: the dump's collections as foreign tables.
-- Needs the psql variable dump, the absolute path of the folder that mongodump wrote for the database:
--     psql -v dump=/backup/dump/shop -f foreign_tables.sql
-- The server process reads the files, so only superusers and members of pg_read_server_files may do this.

CREATE EXTENSION IF NOT EXISTS mongoferry;

CREATE SERVER shop_dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump :'dump');

-- A look around: a foreign table for each collection, columns and types from a sample of its documents.
CREATE SCHEMA imported;
IMPORT FOREIGN SCHEMA shop FROM SERVER shop_dump INTO imported;

-- For the migration the columns are chosen by hand: exactly those that the target needs, in the types that it needs, and
-- for each field that is known to be dirty the way to deal with it. Without an option a value that does not fit its
-- column ends the query with an error. document is the whole document, for the rows that have to be refused.
CREATE SCHEMA mongo;

CREATE FOREIGN TABLE mongo.customers (
    _id            mongoferry.objectid,
    name           jsonb,                                   -- {first, last}; in the oldest documents a string
    email          text,
    phone          text,                                    -- sometimes a number
    birth_date     date      OPTIONS (field 'birthDate', on_mismatch 'null'),
    street         text      OPTIONS (field 'address.street'),
    postcode       text      OPTIONS (field 'address.postcode'),
    city           text      OPTIONS (field 'address.city'),
    country        text      OPTIONS (field 'address.country'),
    loyalty_points integer   OPTIONS (field 'loyaltyPoints', on_mismatch 'null'),
    marketing      boolean   OPTIONS (coerce_strings 'true'),  -- sometimes "yes"
    tags           jsonb,                                   -- an array, once a bare string
    preferences    jsonb,
    notes          text,
    created_at     timestamp OPTIONS (field 'createdAt'),
    document       jsonb     OPTIONS (field '$$ROOT')
) SERVER shop_dump OPTIONS (collection 'customers', on_nul 'replace');

CREATE FOREIGN TABLE mongo.products (
    _id            uuid,
    sku            text,
    name           text,
    price          numeric   OPTIONS (coerce_strings 'true', on_mismatch 'null'),
    stock          integer   OPTIONS (on_mismatch 'null'),
    ean            bigint,
    weight         double precision,
    categories     text[],
    tags           text[],
    attributes     jsonb,
    image          bytea,
    erp_id         uuid      OPTIONS (field 'erpId', uuid_representation 'javaLegacy'),
    discontinued   boolean,
    released_at    timestamp OPTIONS (field 'releasedAt'),
    changed        timestamptz,
    document       jsonb     OPTIONS (field '$$ROOT')
) SERVER shop_dump OPTIONS (collection 'products');

CREATE FOREIGN TABLE mongo.orders (
    _id              mongoferry.objectid,
    number           integer,
    customer_id      mongoferry.objectid OPTIONS (field 'customerId'),
    status           text,
    total            numeric,                               -- Decimal128, double or int64
    currency         text,
    shipping_method  text      OPTIONS (field 'shipping.method'),
    shipping_cost    numeric   OPTIONS (field 'shipping.cost'),
    shipping_address jsonb     OPTIONS (field 'shipping.address'),
    shipping_country text      OPTIONS (field 'shipping.address.country'),
    gift_message     text      OPTIONS (field 'giftMessage'),
    coupons          text[],
    placed_at        timestamp OPTIONS (field 'placedAt'),
    document         jsonb     OPTIONS (field '$$ROOT')
) SERVER shop_dump OPTIONS (collection 'orders', on_nul 'replace');

-- The same collection once more: a row for each element of the array items.
CREATE FOREIGN TABLE mongo.order_items (
    order_id       mongoferry.objectid OPTIONS (field '_id'),
    position       integer   OPTIONS (field '$$INDEX'),
    product_id     uuid      OPTIONS (field 'items.productId'),
    sku            text      OPTIONS (field 'items.sku'),
    qty            integer   OPTIONS (field 'items.qty', coerce_strings 'true', on_mismatch 'null'),
    price          numeric   OPTIONS (field 'items.price'),
    options        jsonb     OPTIONS (field 'items.options'),
    item           jsonb     OPTIONS (field 'items')
) SERVER shop_dump OPTIONS (collection 'orders', unwind 'items');

CREATE FOREIGN TABLE mongo.reviews (
    _id            text,                                    -- an ObjectId, or an integer from the shop's forerunner
    customer_id    text      OPTIONS (field 'customerId'),  -- an ObjectId, or its digits as a string
    product_id     uuid      OPTIONS (field 'productId'),
    rating         smallint  OPTIONS (coerce_strings 'true', on_mismatch 'null'),
    text           text,
    helpful_up     integer   OPTIONS (field 'helpful.up'),
    helpful_down   integer   OPTIONS (field 'helpful.down'),
    verified       boolean,
    created_at     timestamptz OPTIONS (field 'createdAt', on_mismatch 'null'),  -- a date, or a string with a date
    document       jsonb     OPTIONS (field '$$ROOT')
) SERVER shop_dump OPTIONS (collection 'reviews', on_nul 'replace');
