-- Both sides counted: what the dump holds, read anew, against what is in the target and in migration.refused.
-- Needs migrate.sql. The view is a table's worth of truth for demo and test: difference has to be 0 in every line.

CREATE VIEW migration.counts AS
WITH read AS (
    SELECT 'customers' AS collection, (SELECT count(*) FROM mongo.customers) AS documents
    UNION ALL SELECT 'products', (SELECT count(*) FROM mongo.products)
    UNION ALL SELECT 'orders', (SELECT count(*) FROM mongo.orders)
    UNION ALL SELECT 'orders.items', (SELECT count(*) FROM mongo.order_items)
    UNION ALL SELECT 'reviews', (SELECT count(*) FROM mongo.reviews)
), written AS (
    SELECT 'customers' AS collection, 'Customer' AS "table", (SELECT count(*) FROM "Customer") AS rows
    UNION ALL SELECT 'products', 'Product', (SELECT count(*) FROM "Product")
    UNION ALL SELECT 'orders', 'Order', (SELECT count(*) FROM "Order")
    UNION ALL SELECT 'orders.items', 'OrderItem', (SELECT count(*) FROM "OrderItem")
    UNION ALL SELECT 'reviews', 'Review', (SELECT count(*) FROM "Review")
)
SELECT collection, documents, "table", rows AS written,
       (SELECT count(*) FROM migration.refused r WHERE r.collection = read.collection) AS refused,
       documents - rows - (SELECT count(*) FROM migration.refused r WHERE r.collection = read.collection) AS difference
FROM read JOIN written USING (collection);
COMMENT ON VIEW migration.counts IS 'for each collection the documents read, rows written, documents refused, and what is left over: 0 if nothing was lost';
