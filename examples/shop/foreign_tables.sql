-- The source: the shop's collections as foreign tables. From a dump, or from the live server: all that differs is the server.
--     psql -v dump=/backup/dump/shop -f foreign_tables.sql           the absolute path of the folder that mongodump wrote for the database
--     psql -v uri=mongodb://localhost -v database=shop -f foreign_tables.sql
--     psql -f foreign_tables.sql                                     extension and server "shop" are there already (see docs/runbook.md)
-- The server process reads a dump, so only superusers and members of pg_read_server_files may have one read.

\if :{?dump}
CREATE EXTENSION IF NOT EXISTS mongoferry;
CREATE SERVER shop FOREIGN DATA WRAPPER mongoferry OPTIONS (dump :'dump');
\elif :{?uri}
CREATE EXTENSION IF NOT EXISTS mongoferry;
CREATE SERVER shop FOREIGN DATA WRAPPER mongoferry OPTIONS (uri :'uri', database :'database');
\endif

-- For the migration the columns are chosen by hand: exactly those that the target needs, in the types that it needs. A value
-- that does not fit its column is refused, with its document. Where a field is known to be dirty, an option says what to do:
-- coerce_strings reads "12.50" as a number, on_nul 'replace' puts U+FFFD for NUL, which no text of PostgreSQL holds.
CREATE SCHEMA mongo;

CREATE FOREIGN TABLE mongo.customers (
    _id            mongoferry.objectid,
    name           jsonb,                                   -- {first, last}; in the oldest documents a string
    email          text,
    phone          text,                                    -- sometimes a number
    birth_date     date      OPTIONS (field 'birthDate'),
    street         text      OPTIONS (field 'address.street'),
    postcode       text      OPTIONS (field 'address.postcode'),
    city           text      OPTIONS (field 'address.city'),
    country        text      OPTIONS (field 'address.country'),
    loyalty_points integer   OPTIONS (field 'loyaltyPoints'),
    marketing      boolean   OPTIONS (coerce_strings 'true'),  -- sometimes "yes"
    tags           jsonb,                                   -- an array, once a bare string
    preferences    jsonb,
    notes          text,
    referred_by    mongoferry.objectid OPTIONS (field 'referredBy'),
    created_at     timestamp OPTIONS (field 'createdAt')
) SERVER shop OPTIONS (collection 'customers', on_nul 'replace');

CREATE FOREIGN TABLE mongo.products (
    _id            uuid,
    sku            text,
    name           text,
    price          numeric   OPTIONS (coerce_strings 'true'),
    stock          integer,
    ean            bigint,
    weight         double precision,
    categories     text[],
    tags           text[],
    attributes     jsonb,
    image          bytea,
    erp_id         uuid      OPTIONS (field 'erpId', uuid_representation 'javaLegacy'),
    discontinued   boolean,
    released_at    timestamp OPTIONS (field 'releasedAt'),
    changed        timestamptz
) SERVER shop OPTIONS (collection 'products');

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
    placed_at        timestamp OPTIONS (field 'placedAt')
) SERVER shop OPTIONS (collection 'orders', on_nul 'replace');

-- The same collection once more: a row for each element of the array items.
CREATE FOREIGN TABLE mongo.order_items (
    order_id       mongoferry.objectid OPTIONS (field '_id'),
    position       integer   OPTIONS (field '$$INDEX'),
    product_id     uuid      OPTIONS (field 'items.productId'),
    sku            text      OPTIONS (field 'items.sku'),
    quantity       integer   OPTIONS (field 'items.qty', coerce_strings 'true'),
    price          numeric   OPTIONS (field 'items.price'),
    options        jsonb     OPTIONS (field 'items.options')
) SERVER shop OPTIONS (collection 'orders', unwind 'items');

CREATE FOREIGN TABLE mongo.reviews (
    _id            text,                                    -- an ObjectId, or an integer from the shop's forerunner
    customer_id    mongoferry.objectid OPTIONS (field 'customerId', coerce_strings 'true'),  -- or its digits as a string
    product_id     uuid      OPTIONS (field 'productId'),
    rating         smallint  OPTIONS (coerce_strings 'true'),
    text           text,
    helpful_up     integer   OPTIONS (field 'helpful.up'),
    helpful_down   integer   OPTIONS (field 'helpful.down'),
    verified       boolean,
    created_at     timestamptz OPTIONS (field 'createdAt')  -- a date, or a string with a date
) SERVER shop OPTIONS (collection 'reviews', on_nul 'replace');
