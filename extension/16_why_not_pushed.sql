CREATE FUNCTION mongoferry.why_not_pushed(query text)
    RETURNS TABLE ("table" text, part text, reason text)
    LANGUAGE c STRICT VOLATILE
    AS 'MODULE_PATHNAME', 'mongoferry_why_not_pushed';
COMMENT ON FUNCTION mongoferry.why_not_pushed(text) IS
    'What of a query is not sent to a server, and why: a row for each condition, join, group, order or limit that PostgreSQL does itself. Plans the query as EXPLAIN does, without running it. Raises 42601 unless the text is one SELECT, INSERT, UPDATE, DELETE or MERGE.';
