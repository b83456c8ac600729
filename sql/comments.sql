-- Everything that the extension creates, and every column of it, explains itself in a comment. No line may come out.
WITH members AS (
    SELECT classid, objid, objsubid FROM pg_depend
    WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
        AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'mongoferry')
), to_explain AS (
    SELECT classid, objid, objsubid FROM members
    WHERE NOT (classid = 'pg_type'::regclass
        AND EXISTS (SELECT FROM pg_type WHERE pg_type.oid = objid AND (typrelid <> 0 OR typcategory = 'A')))
    UNION ALL
    SELECT classid, objid, attnum FROM members JOIN pg_attribute ON classid = 'pg_class'::regclass AND attrelid = objid
    JOIN pg_class ON pg_class.oid = attrelid
    WHERE attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
)
SELECT pg_describe_object(classid, objid, objsubid) AS unexplained
FROM to_explain
WHERE coalesce((SELECT description FROM pg_description AS d
    WHERE d.classoid = to_explain.classid AND d.objoid = to_explain.objid AND d.objsubid = to_explain.objsubid), '') = ''
ORDER BY 1;
-- and there is something to explain
SELECT count(*) > 40 AS enough FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
    AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'mongoferry');
