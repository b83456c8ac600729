-- What is carried over: the migration and its tasks. Each reads a foreign table (foreign_tables.sql), transforms its documents
-- in SQL and writes one table of the target (schema.sql). Nothing is read or written yet, but each task is planned and
-- checked: columns, types, keys. The order follows from the target's foreign keys.

SELECT mongoferry.create_migration('shop', 'the shop moves to PostgreSQL');

-- Equal ObjectIds become equal UUIDs everywhere, so references need no look-up table.
SELECT mongoferry.add_task('shop', 'customers', source => 'mongo.customers', target => '"Customer"', transform => $$
    SELECT mongoferry.to_uuid(_id)                    AS "id",
           lower(email)                               AS "email",
           name->>'first'                             AS "firstName",
           coalesce(name->>'last', name #>> '{}')     AS "lastName",
           phone, birth_date                          AS "birthDate",
           street, postcode, city, country,
           coalesce(loyalty_points, 0)                AS "loyaltyPoints",
           coalesce(marketing, false)                 AS "marketing",
           CASE jsonb_typeof(tags)
               WHEN 'array' THEN ARRAY(SELECT jsonb_array_elements_text(tags))
               WHEN 'string' THEN ARRAY[tags #>> '{}']
           END                                        AS "tags",
           preferences, notes,
           created_at                                 AS "createdAt"
    FROM source $$);

-- A second pass: a customer may have been referred by one who comes later, so the reference is filled when all are there.
SELECT mongoferry.add_task('shop', 'referrals', source => 'mongo.customers', target => '"Customer"', on_conflict => 'update', transform => $$
    SELECT mongoferry.to_uuid(_id) AS "id", mongoferry.to_uuid(referred_by) AS "referredById"
    FROM source
    WHERE referred_by IS NOT NULL $$);

-- These have UUIDs already.
SELECT mongoferry.add_task('shop', 'products', source => 'mongo.products', target => '"Product"', transform => $$
    SELECT _id AS "id", sku, name, price, stock, ean, weight, tags, attributes, image, erp_id AS "erpId",
           coalesce(discontinued, false) AS "discontinued", released_at AS "releasedAt", changed AT TIME ZONE 'UTC' AS "updatedAt"
    FROM source $$);

-- An array of names becomes a table and a join table. Many products name the same category: the first one makes it.
SELECT mongoferry.add_task('shop', 'categories', source => 'mongo.products', target => '"Category"', on_conflict => 'nothing', transform => $$
    SELECT mongoferry.to_uuid('categories', slug) AS "id", slug
    FROM source, unnest(categories) AS slug $$);

SELECT mongoferry.add_task('shop', 'category links', source => 'mongo.products', target => '"_CategoryToProduct"', transform => $$
    SELECT mongoferry.to_uuid('categories', slug) AS "A", _id AS "B"
    FROM source, unnest(categories) AS slug $$);

SELECT mongoferry.add_task('shop', 'orders', source => 'mongo.orders', target => '"Order"', chunk_size => 250, transform => $$
    SELECT mongoferry.to_uuid(_id) AS "id", number, mongoferry.to_uuid(customer_id) AS "customerId",
           upper(status)::"OrderStatus" AS "status",
           total, currency, shipping_method AS "shippingMethod", coalesce(shipping_cost, 0) AS "shippingCost",
           shipping_address AS "shippingAddress", shipping_country AS "shippingCountry",
           gift_message AS "giftMessage", coupons, placed_at AS "placedAt"
    FROM source $$);

-- The array of items becomes a child table. What has no key of its own gets one made of its order and its place.
SELECT mongoferry.add_task('shop', 'order items', source => 'mongo.order_items', target => '"OrderItem"', chunk_size => 250, transform => $$
    SELECT mongoferry.to_uuid('order_items', order_id || '/' || coalesce(position, 0)) AS "id",
           mongoferry.to_uuid(order_id) AS "orderId", coalesce(position, 0) AS "position",
           product_id AS "productId", sku, quantity, price, options
    FROM source $$);

-- Keys that are ObjectIds carry their UUID in them, all others get one of version 5.
SELECT mongoferry.add_task('shop', 'reviews', source => 'mongo.reviews', target => '"Review"', transform => $$
    SELECT CASE WHEN _id ~ '^[0-9a-f]{24}$' THEN mongoferry.to_uuid(_id::mongoferry.objectid)
                ELSE mongoferry.to_uuid('reviews', _id)
           END AS "id",
           mongoferry.to_uuid(customer_id) AS "customerId", product_id AS "productId", rating, text,
           helpful_up - helpful_down AS "helpful", coalesce(verified, false) AS "verified", created_at AT TIME ZONE 'UTC' AS "createdAt"
    FROM source $$);
