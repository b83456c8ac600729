-- The migration: one statement a collection, all in one transaction.
-- Needs schema.sql and foreign_tables.sql. Each statement reads its collection once, decides for each document whether the
-- target can hold it, writes what it can hold, and keeps the rest, with the reason, in migration.refused. So the counts
-- add up: documents read = rows written + documents refused (report.sql shows it).

BEGIN;

CREATE SCHEMA migration;

-- Documents that the target can't hold.
CREATE TABLE migration.refused (
    collection text NOT NULL,
    source_id  text NOT NULL,
    reason     text NOT NULL,
    document   jsonb NOT NULL,
    PRIMARY KEY (collection, source_id)
);

-- Single values of documents that did go in, where the column now is NULL.
CREATE TABLE migration.set_to_null (
    collection text NOT NULL,
    source_id  text NOT NULL,
    field      text NOT NULL,
    value      jsonb NOT NULL,
    PRIMARY KEY (collection, source_id, field)
);

\echo 'customers -> "Customer"'
WITH source AS MATERIALIZED (
    SELECT *,
           CASE
               WHEN loyalty_points IS NULL AND document->'loyaltyPoints' <> 'null'
                   THEN 'loyaltyPoints does not fit an integer'
               WHEN email IS NOT NULL AND row_number() OVER (PARTITION BY lower(email) ORDER BY _id) > 1
                   THEN 'email belongs to an older customer'
           END AS reason
    FROM mongo.customers
), written AS (
    INSERT INTO "Customer" ("id", "email", "firstName", "lastName", "phone", "birthDate", "street", "postcode", "city", "country",
                            "loyaltyPoints", "marketing", "tags", "preferences", "notes", "createdAt")
    SELECT mongoferry.to_uuid(_id), lower(email),
           name->>'first', coalesce(name->>'last', name #>> '{}'),
           phone, birth_date, street, postcode, city, country,
           coalesce(loyalty_points, 0), coalesce(marketing, false),
           CASE jsonb_typeof(tags)
               WHEN 'array' THEN ARRAY(SELECT jsonb_array_elements_text(tags))
               WHEN 'string' THEN ARRAY[tags #>> '{}']
           END,
           preferences, notes, created_at
    FROM source
    WHERE reason IS NULL
), unreadable AS (
    INSERT INTO migration.set_to_null (collection, source_id, field, value)
    SELECT 'customers', _id::text, 'birthDate', document->'birthDate'
    FROM source
    WHERE reason IS NULL AND birth_date IS NULL AND document->'birthDate' <> 'null'
)
INSERT INTO migration.refused (collection, source_id, reason, document)
SELECT 'customers', _id::text, reason, document FROM source WHERE reason IS NOT NULL;

\echo 'products -> "Product", "Category", "_CategoryToProduct"'
WITH source AS MATERIALIZED (
    SELECT *,
           CASE
               WHEN length(name) > 120 THEN 'name is too long'
               WHEN price IS NULL AND coalesce(document->'price', 'null') = 'null' THEN 'price is missing'
               WHEN price IS NULL THEN 'price is not a number'
               WHEN abs(price) >= 10::numeric ^ 10 THEN 'price is too large'
               WHEN stock IS NULL THEN 'stock is not a whole number'
           END AS reason
    FROM mongo.products
), assigned AS MATERIALIZED (
    SELECT _id AS product_id, unnest(categories) AS slug FROM source WHERE reason IS NULL
), written AS (
    INSERT INTO "Product" ("id", "sku", "name", "price", "stock", "ean", "weight", "tags", "attributes", "image", "erpId", "discontinued",
                           "releasedAt", "updatedAt")
    SELECT _id, sku, name, price, stock, ean, weight, tags, attributes, image, erp_id, coalesce(discontinued, false),
           released_at, changed AT TIME ZONE 'UTC'
    FROM source
    WHERE reason IS NULL
), categories AS (
    INSERT INTO "Category" ("id", "slug")
    SELECT DISTINCT mongoferry.to_uuid('categories', slug), slug FROM assigned
), joined AS (
    INSERT INTO "_CategoryToProduct" ("A", "B")
    SELECT mongoferry.to_uuid('categories', slug), product_id FROM assigned
)
INSERT INTO migration.refused (collection, source_id, reason, document)
SELECT 'products', _id::text, reason, document FROM source WHERE reason IS NOT NULL;

\echo 'orders -> "Order"'
WITH source AS MATERIALIZED (
    SELECT o.*,
           CASE
               WHEN upper(o.status) <> ALL (enum_range(NULL::"OrderStatus")::text[]) THEN 'status is unknown'
               WHEN o.total IN ('NaN', 'Infinity', '-Infinity') THEN 'total is not a number'
               WHEN r.source_id IS NOT NULL THEN 'customer was refused'
               WHEN o.customer_id IS NOT NULL AND c."id" IS NULL THEN 'customer is gone'
           END AS reason
    FROM mongo.orders o
    LEFT JOIN "Customer" c ON c."id" = mongoferry.to_uuid(o.customer_id)
    LEFT JOIN migration.refused r ON r.collection = 'customers' AND r.source_id = o.customer_id::text
), written AS (
    INSERT INTO "Order" ("id", "number", "customerId", "status", "total", "currency", "shippingMethod", "shippingCost", "shippingAddress",
                         "shippingCountry", "giftMessage", "coupons", "placedAt")
    SELECT mongoferry.to_uuid(_id), number, mongoferry.to_uuid(customer_id), upper(status)::"OrderStatus", total, currency,
           shipping_method, coalesce(shipping_cost, 0), shipping_address, shipping_country, gift_message, coupons, placed_at
    FROM source
    WHERE reason IS NULL
)
INSERT INTO migration.refused (collection, source_id, reason, document)
SELECT 'orders', _id::text, reason, document FROM source WHERE reason IS NOT NULL;

\echo 'orders.items -> "OrderItem"'
WITH source AS MATERIALIZED (
    SELECT i.order_id || '/' || coalesce(i.position, 0) AS source_id,
           o."id" AS "orderId", coalesce(i.position, 0) AS "position", i.product_id, i.sku, i.qty, i.price, i.options, i.item,
           CASE
               WHEN o."id" IS NULL THEN 'order was refused'
               WHEN i.product_id IS NULL THEN 'product is missing'
               WHEN r.source_id IS NOT NULL THEN 'product was refused'
               WHEN p."id" IS NULL THEN 'product is gone'
               WHEN i.qty IS NULL THEN 'qty is not a whole number'
           END AS reason
    FROM mongo.order_items i
    LEFT JOIN "Order" o ON o."id" = mongoferry.to_uuid(i.order_id)
    LEFT JOIN "Product" p ON p."id" = i.product_id
    LEFT JOIN migration.refused r ON r.collection = 'products' AND r.source_id = i.product_id::text
), written AS (
    INSERT INTO "OrderItem" ("id", "orderId", "position", "productId", "sku", "quantity", "price", "options")
    SELECT mongoferry.to_uuid('order_items', source_id), "orderId", "position", product_id, sku, qty, price, options
    FROM source
    WHERE reason IS NULL
)
INSERT INTO migration.refused (collection, source_id, reason, document)
SELECT 'orders.items', source_id, reason, item FROM source WHERE reason IS NOT NULL;

\echo 'reviews -> "Review"'
WITH source AS MATERIALIZED (
    SELECT v.*,
           CASE
               WHEN v.rating IS NULL AND coalesce(v.document->'rating', 'null') = 'null' THEN 'rating is missing'
               WHEN v.rating IS NULL THEN 'rating is not a whole number'
               WHEN v.created_at IS NULL THEN 'createdAt is not a date'
               WHEN rp.source_id IS NOT NULL THEN 'product was refused'
               WHEN p."id" IS NULL THEN 'product is gone'
               WHEN rc.source_id IS NOT NULL THEN 'customer was refused'
               WHEN c."id" IS NULL THEN 'customer is gone'
               WHEN row_number() OVER (PARTITION BY v.customer_id, v.product_id ORDER BY v.created_at DESC NULLS LAST) > 1
                   THEN 'a newer review replaces it'
           END AS reason,
           -- keys that are ObjectIds carry their UUID in them, all others get one of version 5
           CASE
               WHEN v._id ~ '^[0-9a-f]{24}$' THEN mongoferry.to_uuid(v._id::mongoferry.objectid)
               ELSE mongoferry.to_uuid('reviews', v._id)
           END AS id
    FROM mongo.reviews v
    LEFT JOIN "Customer" c ON c."id" = mongoferry.to_uuid(v.customer_id::mongoferry.objectid)
    LEFT JOIN "Product" p ON p."id" = v.product_id
    LEFT JOIN migration.refused rc ON rc.collection = 'customers' AND rc.source_id = v.customer_id
    LEFT JOIN migration.refused rp ON rp.collection = 'products' AND rp.source_id = v.product_id::text
), written AS (
    INSERT INTO "Review" ("id", "customerId", "productId", "rating", "text", "helpful", "verified", "createdAt")
    SELECT id, mongoferry.to_uuid(customer_id::mongoferry.objectid), product_id, rating, text, helpful_up - helpful_down,
           coalesce(verified, false), created_at AT TIME ZONE 'UTC'
    FROM source
    WHERE reason IS NULL
)
INSERT INTO migration.refused (collection, source_id, reason, document)
SELECT 'reviews', _id, reason, document FROM source WHERE reason IS NOT NULL;

COMMIT;
