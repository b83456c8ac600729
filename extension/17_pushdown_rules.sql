CREATE FUNCTION mongoferry.pushdown_rules(
    OUT subject text, OUT sql text, OUT mongodb text, OUT sent_when text) RETURNS SETOF record
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mongoferry_pushdown_rules';
COMMENT ON FUNCTION mongoferry.pushdown_rules() IS
    'The table of rules for functions, operators and conditions, a row each: what becomes of it on the server (mongodb; NULL if it is not sent), and when it is sent and which documents are left to PostgreSQL (sent_when; or why it is not sent).';
