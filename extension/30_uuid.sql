-- UUIDs for what had other keys. docs/uuid.md explains the choices and works an example.

CREATE FUNCTION mongoferry.to_uuid(mongoferry.objectid) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'uuid_from_objectid';
COMMENT ON FUNCTION mongoferry.to_uuid(mongoferry.objectid) IS
    'the UUID of an ObjectId: version 7, reversible with to_objectid(), and in the order of the ObjectIds';

CREATE FUNCTION mongoferry.to_objectid(uuid) RETURNS mongoferry.objectid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'objectid_from_uuid';
COMMENT ON FUNCTION mongoferry.to_objectid(uuid) IS
    'the ObjectId that to_uuid() made this UUID of; an error if it did not';

CREATE CAST (mongoferry.objectid AS uuid) WITH FUNCTION mongoferry.to_uuid(mongoferry.objectid);
COMMENT ON CAST (mongoferry.objectid AS uuid) IS 'mongoferry.to_uuid()';

CREATE CAST (uuid AS mongoferry.objectid) WITH FUNCTION mongoferry.to_objectid(uuid);
COMMENT ON CAST (uuid AS mongoferry.objectid) IS 'mongoferry.to_objectid()';

CREATE FUNCTION mongoferry.to_uuid(namespace uuid, value text) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'uuid_from_uuid_namespace';
COMMENT ON FUNCTION mongoferry.to_uuid(uuid, text) IS
    'the version 5 UUID of a value in a namespace (RFC 9562); a quoted constant as namespace is text unless cast to uuid';

CREATE FUNCTION mongoferry.to_uuid(namespace text, value text) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'uuid_from_text_namespace';
COMMENT ON FUNCTION mongoferry.to_uuid(text, text) IS
    'the version 5 UUID of a value in a named namespace, which is itself the version 5 UUID of its name in b54057e2-e88c-4401-b0a3-1089e020668b';

CREATE FUNCTION mongoferry.generate_uuid() RETURNS uuid
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION mongoferry.generate_uuid() IS 'a new version 7 UUID; those that a session makes rise strictly';
