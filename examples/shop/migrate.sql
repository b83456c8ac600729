-- The migration, from the first check to the report. Comes after schema.sql (the target), foreign_tables.sql (the source, a dump
-- or a live server) and tasks.sql (what goes where). CALL migrate goes on where it stopped, however it stopped.

-- What would go wrong? A sample of the documents is tried, and nothing stays written.
SELECT severity, task, "check", message FROM mongoferry.preflight('shop') WHERE severity <> 'note';

-- Go. Two workers carry the documents over, chunk by chunk; a document that the target cannot hold is refused and kept.
CALL mongoferry.migrate('shop', workers => 2, progress_interval => '100 ms');

-- How far did it come? (Any other session may ask that too, while it runs: TABLE mongoferry.progress_total \watch 2)
SELECT task, state, percent, chunks_done AS chunks, documents_done AS documents, rows_written AS rows, refused
FROM mongoferry.progress WHERE migration = 'shop';

-- What was refused, and why?
SELECT task, documents, cause FROM mongoferry.errors_summary WHERE migration = 'shop';

-- A closer look at the causes that can be mended: each document is there, whole.
SELECT task, document->>'status' AS status, document->>'number' AS number, message
FROM mongoferry.errors WHERE migration = 'shop' AND task = 'orders' AND sqlstate = '22P02' ORDER BY id;
SELECT task, source_id, detail
FROM mongoferry.errors WHERE migration = 'shop' AND task = 'customers' AND column_name = 'birth_date' ORDER BY id;
SELECT task, document->>'sku' AS sku, length(document->>'name') AS length, message
FROM mongoferry.errors WHERE migration = 'shop' AND task = 'products' AND sqlstate = '22001' ORDER BY id;

-- Mend the transform: what the clerks wrote as a status has a meaning.
SELECT mongoferry.alter_task('shop', 'orders', transform => $$
    SELECT mongoferry.to_uuid(_id) AS "id", number, mongoferry.to_uuid(customer_id) AS "customerId",
           CASE lower(status)
               WHEN 'shiped' THEN 'SHIPPED'
               WHEN 'on hold' THEN 'PENDING'
               ELSE upper(status)
           END::"OrderStatus" AS "status",
           total, currency, shipping_method AS "shippingMethod", coalesce(shipping_cost, 0) AS "shippingCost",
           shipping_address AS "shippingAddress", shipping_country AS "shippingCountry",
           gift_message AS "giftMessage", coupons, placed_at AS "placedAt"
    FROM source $$);

-- Mend the source: a birth date in the year 30 million becomes NULL. (A warning will count such values.)
ALTER FOREIGN TABLE mongo.customers ALTER COLUMN birth_date OPTIONS (ADD on_mismatch 'null');

-- Mend the target: names may be longer than we thought.
ALTER TABLE "Product" ALTER COLUMN "name" TYPE VARCHAR(200);

-- Once more with what was refused: also those that were refused only because of their customer, their order or their product.
CALL mongoferry.retry_errors('shop');

-- What is left is for people to decide, and nothing is lost meanwhile. (Without those whose parent is refused or gone.)
SELECT task, documents, cause FROM mongoferry.errors_summary WHERE migration = 'shop' AND sqlstate <> '23503';

-- Did everything arrive? Each document is read and transformed again, and compared with its rows, value by value, both ways.
CREATE TEMPORARY TABLE validated AS SELECT * FROM mongoferry.validate('shop') WITH ORDINALITY;
SELECT task, bool_and(ok) AS ok, count(*) AS checks,
       max(source_value) FILTER (WHERE "check" = 'values') AS "rows expected", max(target_value) FILTER (WHERE "check" = 'values') AS "rows equal",
       max(source_value) FILTER (WHERE "check" = 'refused') AS refused
FROM validated GROUP BY task ORDER BY min(ordinality);
SELECT task, "check", source_value, target_value, detail FROM validated WHERE NOT ok;

-- For those who were not there: a page with charts. (As text: SELECT mongoferry.report('shop'))
SELECT mongoferry.report('shop', 'html') \g (tuples_only=on format=unaligned) shop-report.html
