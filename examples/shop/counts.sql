-- Both sides counted, without the toolkit's own figures: what the source holds, read anew, against the rows of the target and the
-- refused documents. Needs migrate.sql. difference has to be 0 in every line, or something was lost.

CREATE OR REPLACE VIEW mongo.counts AS
WITH read (collection, elements) AS (
    SELECT 'customers', count(*) FROM mongo.customers
    UNION ALL SELECT 'products', count(*) FROM mongo.products
    UNION ALL SELECT 'orders', count(*) FROM mongo.orders
    UNION ALL SELECT 'orders.items', count(*) FROM mongo.order_items
    UNION ALL SELECT 'reviews', count(*) FROM mongo.reviews
), written (collection, "table", rows) AS (
    SELECT 'customers', 'Customer', count(*) FROM "Customer"
    UNION ALL SELECT 'products', 'Product', count(*) FROM "Product"
    UNION ALL SELECT 'orders', 'Order', count(*) FROM "Order"
    UNION ALL SELECT 'orders.items', 'OrderItem', count(*) FROM "OrderItem"
    UNION ALL SELECT 'reviews', 'Review', count(*) FROM "Review"
), refused (collection, elements) AS (
    SELECT task, count(*) FROM mongoferry.errors WHERE migration = 'shop' AND task <> 'order items' GROUP BY task
    UNION ALL  -- a document is refused with all of its items
    SELECT 'orders.items', sum(CASE jsonb_typeof(document->'items') WHEN 'array' THEN jsonb_array_length(document->'items') ELSE 1 END)
    FROM mongoferry.errors WHERE migration = 'shop' AND task = 'order items'
)
SELECT collection, read.elements AS read, "table", rows AS written, coalesce(refused.elements, 0) AS refused,
       read.elements - rows - coalesce(refused.elements, 0) AS difference
FROM read JOIN written USING (collection) LEFT JOIN refused USING (collection);
COMMENT ON VIEW mongo.counts IS 'for each collection what was read, written and refused, and what is left over: 0 if nothing was lost';

TABLE mongo.counts;
