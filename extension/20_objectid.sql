-- The type mongoferry.objectid: MongoDB's ObjectId.

-- Types and functions are for everybody, as those of an extension in the schema public would be. What somebody may read
-- or write is settled by rights on servers, foreign tables and the extension's tables.
GRANT USAGE ON SCHEMA mongoferry TO PUBLIC;

CREATE TYPE mongoferry.objectid;

CREATE FUNCTION mongoferry.objectid_in(cstring) RETURNS mongoferry.objectid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION mongoferry.objectid_out(mongoferry.objectid) RETURNS cstring
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION mongoferry.objectid_recv(internal) RETURNS mongoferry.objectid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION mongoferry.objectid_send(mongoferry.objectid) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';

CREATE TYPE mongoferry.objectid (
    INPUT = mongoferry.objectid_in,
    OUTPUT = mongoferry.objectid_out,
    RECEIVE = mongoferry.objectid_recv,
    SEND = mongoferry.objectid_send,
    INTERNALLENGTH = 12,
    ALIGNMENT = char,
    STORAGE = plain
);

COMMENT ON TYPE mongoferry.objectid IS
    'MongoDB''s ObjectId: 12 bytes, written as 24 hexadecimal digits; sorts by time of creation';
COMMENT ON FUNCTION mongoferry.objectid_in(cstring) IS 'I/O of type objectid';
COMMENT ON FUNCTION mongoferry.objectid_out(mongoferry.objectid) IS 'I/O of type objectid';
COMMENT ON FUNCTION mongoferry.objectid_recv(internal) IS 'I/O of type objectid';
COMMENT ON FUNCTION mongoferry.objectid_send(mongoferry.objectid) IS 'I/O of type objectid';

-- Comparison. The operators, and the aggregates min and max, stand in pg_catalog, so that they are found whatever the
-- search_path is: a foreign table's _id is compared by people who need not know where its type lives.

CREATE FUNCTION mongoferry.objectid_eq(mongoferry.objectid, mongoferry.objectid) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME';
CREATE FUNCTION mongoferry.objectid_ne(mongoferry.objectid, mongoferry.objectid) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME';
CREATE FUNCTION mongoferry.objectid_lt(mongoferry.objectid, mongoferry.objectid) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME';
CREATE FUNCTION mongoferry.objectid_le(mongoferry.objectid, mongoferry.objectid) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME';
CREATE FUNCTION mongoferry.objectid_gt(mongoferry.objectid, mongoferry.objectid) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME';
CREATE FUNCTION mongoferry.objectid_ge(mongoferry.objectid, mongoferry.objectid) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME';

COMMENT ON FUNCTION mongoferry.objectid_eq(mongoferry.objectid, mongoferry.objectid) IS 'implementation of = operator';
COMMENT ON FUNCTION mongoferry.objectid_ne(mongoferry.objectid, mongoferry.objectid) IS 'implementation of <> operator';
COMMENT ON FUNCTION mongoferry.objectid_lt(mongoferry.objectid, mongoferry.objectid) IS 'implementation of < operator';
COMMENT ON FUNCTION mongoferry.objectid_le(mongoferry.objectid, mongoferry.objectid) IS 'implementation of <= operator';
COMMENT ON FUNCTION mongoferry.objectid_gt(mongoferry.objectid, mongoferry.objectid) IS 'implementation of > operator';
COMMENT ON FUNCTION mongoferry.objectid_ge(mongoferry.objectid, mongoferry.objectid) IS 'implementation of >= operator';

CREATE OPERATOR pg_catalog.= (
    FUNCTION = mongoferry.objectid_eq, LEFTARG = mongoferry.objectid, RIGHTARG = mongoferry.objectid,
    COMMUTATOR = OPERATOR(pg_catalog.=), NEGATOR = OPERATOR(pg_catalog.<>),
    RESTRICT = pg_catalog.eqsel, JOIN = pg_catalog.eqjoinsel, HASHES, MERGES
);
CREATE OPERATOR pg_catalog.<> (
    FUNCTION = mongoferry.objectid_ne, LEFTARG = mongoferry.objectid, RIGHTARG = mongoferry.objectid,
    COMMUTATOR = OPERATOR(pg_catalog.<>), NEGATOR = OPERATOR(pg_catalog.=),
    RESTRICT = pg_catalog.neqsel, JOIN = pg_catalog.neqjoinsel
);
CREATE OPERATOR pg_catalog.< (
    FUNCTION = mongoferry.objectid_lt, LEFTARG = mongoferry.objectid, RIGHTARG = mongoferry.objectid,
    COMMUTATOR = OPERATOR(pg_catalog.>), NEGATOR = OPERATOR(pg_catalog.>=),
    RESTRICT = pg_catalog.scalarltsel, JOIN = pg_catalog.scalarltjoinsel
);
CREATE OPERATOR pg_catalog.<= (
    FUNCTION = mongoferry.objectid_le, LEFTARG = mongoferry.objectid, RIGHTARG = mongoferry.objectid,
    COMMUTATOR = OPERATOR(pg_catalog.>=), NEGATOR = OPERATOR(pg_catalog.>),
    RESTRICT = pg_catalog.scalarlesel, JOIN = pg_catalog.scalarlejoinsel
);
CREATE OPERATOR pg_catalog.> (
    FUNCTION = mongoferry.objectid_gt, LEFTARG = mongoferry.objectid, RIGHTARG = mongoferry.objectid,
    COMMUTATOR = OPERATOR(pg_catalog.<), NEGATOR = OPERATOR(pg_catalog.<=),
    RESTRICT = pg_catalog.scalargtsel, JOIN = pg_catalog.scalargtjoinsel
);
CREATE OPERATOR pg_catalog.>= (
    FUNCTION = mongoferry.objectid_ge, LEFTARG = mongoferry.objectid, RIGHTARG = mongoferry.objectid,
    COMMUTATOR = OPERATOR(pg_catalog.<=), NEGATOR = OPERATOR(pg_catalog.<),
    RESTRICT = pg_catalog.scalargesel, JOIN = pg_catalog.scalargejoinsel
);

COMMENT ON OPERATOR pg_catalog.= (mongoferry.objectid, mongoferry.objectid) IS 'equal';
COMMENT ON OPERATOR pg_catalog.<> (mongoferry.objectid, mongoferry.objectid) IS 'not equal';
COMMENT ON OPERATOR pg_catalog.< (mongoferry.objectid, mongoferry.objectid) IS 'less than';
COMMENT ON OPERATOR pg_catalog.<= (mongoferry.objectid, mongoferry.objectid) IS 'less than or equal';
COMMENT ON OPERATOR pg_catalog.> (mongoferry.objectid, mongoferry.objectid) IS 'greater than';
COMMENT ON OPERATOR pg_catalog.>= (mongoferry.objectid, mongoferry.objectid) IS 'greater than or equal';

-- Indexes

CREATE FUNCTION mongoferry.objectid_cmp(mongoferry.objectid, mongoferry.objectid) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME';
CREATE FUNCTION mongoferry.objectid_sortsupport(internal) RETURNS void
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION mongoferry.objectid_hash(mongoferry.objectid) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME';
CREATE FUNCTION mongoferry.objectid_hash_extended(mongoferry.objectid, bigint) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME';

COMMENT ON FUNCTION mongoferry.objectid_cmp(mongoferry.objectid, mongoferry.objectid) IS 'less-equal-greater';
COMMENT ON FUNCTION mongoferry.objectid_sortsupport(internal) IS 'sort support';
COMMENT ON FUNCTION mongoferry.objectid_hash(mongoferry.objectid) IS 'hash';
COMMENT ON FUNCTION mongoferry.objectid_hash_extended(mongoferry.objectid, bigint) IS 'hash';

CREATE OPERATOR CLASS mongoferry.objectid_ops DEFAULT FOR TYPE mongoferry.objectid USING btree AS
    OPERATOR 1 pg_catalog.<,
    OPERATOR 2 pg_catalog.<=,
    OPERATOR 3 pg_catalog.=,
    OPERATOR 4 pg_catalog.>=,
    OPERATOR 5 pg_catalog.>,
    FUNCTION 1 mongoferry.objectid_cmp(mongoferry.objectid, mongoferry.objectid),
    FUNCTION 2 mongoferry.objectid_sortsupport(internal),
    FUNCTION 4 pg_catalog.btequalimage(oid);

CREATE OPERATOR CLASS mongoferry.objectid_ops DEFAULT FOR TYPE mongoferry.objectid USING hash AS
    OPERATOR 1 pg_catalog.=,
    FUNCTION 1 mongoferry.objectid_hash(mongoferry.objectid),
    FUNCTION 2 mongoferry.objectid_hash_extended(mongoferry.objectid, bigint);

CREATE OPERATOR CLASS mongoferry.objectid_minmax_ops DEFAULT FOR TYPE mongoferry.objectid USING brin AS
    OPERATOR 1 pg_catalog.<,
    OPERATOR 2 pg_catalog.<=,
    OPERATOR 3 pg_catalog.=,
    OPERATOR 4 pg_catalog.>=,
    OPERATOR 5 pg_catalog.>,
    FUNCTION 1 pg_catalog.brin_minmax_opcinfo(internal),
    FUNCTION 2 pg_catalog.brin_minmax_add_value(internal, internal, internal, internal),
    FUNCTION 3 pg_catalog.brin_minmax_consistent(internal, internal, internal),
    FUNCTION 4 pg_catalog.brin_minmax_union(internal, internal, internal),
    STORAGE mongoferry.objectid;

COMMENT ON OPERATOR CLASS mongoferry.objectid_ops USING btree IS 'B-tree order of ObjectIds';
COMMENT ON OPERATOR CLASS mongoferry.objectid_ops USING hash IS 'hashing of ObjectIds';
COMMENT ON OPERATOR CLASS mongoferry.objectid_minmax_ops USING brin IS 'block ranges of ObjectIds';
COMMENT ON OPERATOR FAMILY mongoferry.objectid_ops USING btree IS 'B-tree order of ObjectIds';
COMMENT ON OPERATOR FAMILY mongoferry.objectid_ops USING hash IS 'hashing of ObjectIds';
COMMENT ON OPERATOR FAMILY mongoferry.objectid_minmax_ops USING brin IS 'block ranges of ObjectIds';

-- Aggregates

CREATE FUNCTION mongoferry.objectid_smaller(mongoferry.objectid, mongoferry.objectid) RETURNS mongoferry.objectid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION mongoferry.objectid_larger(mongoferry.objectid, mongoferry.objectid) RETURNS mongoferry.objectid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';

COMMENT ON FUNCTION mongoferry.objectid_smaller(mongoferry.objectid, mongoferry.objectid) IS 'smaller of two';
COMMENT ON FUNCTION mongoferry.objectid_larger(mongoferry.objectid, mongoferry.objectid) IS 'larger of two';

CREATE AGGREGATE pg_catalog.min(mongoferry.objectid) (
    SFUNC = mongoferry.objectid_smaller, STYPE = mongoferry.objectid,
    COMBINEFUNC = mongoferry.objectid_smaller, SORTOP = OPERATOR(pg_catalog.<), PARALLEL = SAFE
);
CREATE AGGREGATE pg_catalog.max(mongoferry.objectid) (
    SFUNC = mongoferry.objectid_larger, STYPE = mongoferry.objectid,
    COMBINEFUNC = mongoferry.objectid_larger, SORTOP = OPERATOR(pg_catalog.>), PARALLEL = SAFE
);

COMMENT ON AGGREGATE pg_catalog.min(mongoferry.objectid) IS 'minimum value of all ObjectIds';
COMMENT ON AGGREGATE pg_catalog.max(mongoferry.objectid) IS 'maximum value of all ObjectIds';

-- Casts. To and from text there are those that every type has: explicit from text, as an assignment to text.

CREATE FUNCTION mongoferry.objectid_to_bytea(mongoferry.objectid) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION mongoferry.objectid_from_bytea(bytea) RETURNS mongoferry.objectid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION mongoferry.objectid_to_timestamptz(mongoferry.objectid) RETURNS timestamp with time zone
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';

COMMENT ON FUNCTION mongoferry.objectid_to_bytea(mongoferry.objectid) IS 'the 12 bytes of an ObjectId';
COMMENT ON FUNCTION mongoferry.objectid_from_bytea(bytea) IS 'the ObjectId of these 12 bytes';
COMMENT ON FUNCTION mongoferry.objectid_to_timestamptz(mongoferry.objectid) IS
    'the time at which an ObjectId was made, in whole seconds';

CREATE CAST (mongoferry.objectid AS bytea) WITH FUNCTION mongoferry.objectid_to_bytea(mongoferry.objectid);
CREATE CAST (bytea AS mongoferry.objectid) WITH FUNCTION mongoferry.objectid_from_bytea(bytea);
CREATE CAST (mongoferry.objectid AS timestamp with time zone)
    WITH FUNCTION mongoferry.objectid_to_timestamptz(mongoferry.objectid);

COMMENT ON CAST (mongoferry.objectid AS bytea) IS 'the 12 bytes of an ObjectId';
COMMENT ON CAST (bytea AS mongoferry.objectid) IS 'the ObjectId of these 12 bytes';
COMMENT ON CAST (mongoferry.objectid AS timestamp with time zone) IS
    'the time at which an ObjectId was made, in whole seconds';
