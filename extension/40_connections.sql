-- This session's connections to live servers.

CREATE FUNCTION mongoferry.get_connections(OUT server_name text, OUT user_name text, OUT valid boolean, OUT in_use boolean)
    RETURNS SETOF record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mongoferry_get_connections';
COMMENT ON FUNCTION mongoferry.get_connections() IS
    'the connections that this session has open to MongoDB servers: the foreign server (NULL if it was dropped), whose user mapping it was made with (NULL for none), whether it will be used again (false once server or mapping have changed), and whether a scan is reading from it now';

CREATE FUNCTION mongoferry.disconnect(server_name text) RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mongoferry_disconnect';
COMMENT ON FUNCTION mongoferry.disconnect(text) IS
    'closes the connections that this session has to a foreign server, except those that a scan is reading from; true if any was closed';

CREATE FUNCTION mongoferry.disconnect_all() RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mongoferry_disconnect_all';
COMMENT ON FUNCTION mongoferry.disconnect_all() IS
    'closes all connections that this session has to MongoDB servers, except those that a scan is reading from; true if any was closed';
