-- The foreign-data wrapper. This file is one part of the install script; the parts run in the order of their names.
\echo Use "CREATE EXTENSION mongoferry" to load this file. \quit

CREATE FUNCTION mongoferry.mongoferry_handler() RETURNS fdw_handler
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mongoferry_handler';
COMMENT ON FUNCTION mongoferry.mongoferry_handler() IS
    'Handler of the foreign-data wrapper mongoferry. Not to be called by hand.';

CREATE FUNCTION mongoferry.mongoferry_validator(options text[], catalog oid) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mongoferry_validator';
COMMENT ON FUNCTION mongoferry.mongoferry_validator(text[], oid) IS
    'Checks the options of servers, user mappings, foreign tables and columns of the foreign-data wrapper mongoferry.';

CREATE FOREIGN DATA WRAPPER mongoferry
    HANDLER mongoferry.mongoferry_handler VALIDATOR mongoferry.mongoferry_validator;
COMMENT ON FOREIGN DATA WRAPPER mongoferry IS
    'MongoDB collections, and the dumps that mongodump and mongoexport write, as foreign tables.';
