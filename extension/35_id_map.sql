-- The stored map from source keys to UUIDs: for keys that are no ObjectIds, and for targets that chose their UUIDs before.

CREATE TABLE mongoferry.id_map (
    collection text NOT NULL,
    source_id text NOT NULL,
    id uuid NOT NULL DEFAULT mongoferry.generate_uuid(),
    PRIMARY KEY (collection, source_id),
    UNIQUE (id, collection)
);
COMMENT ON TABLE mongoferry.id_map IS
    'which UUID stands for which key of the source; filled by map_id() and map_ids(), or by hand where the UUIDs exist already. Users of map_id() need SELECT and INSERT on this table';
COMMENT ON COLUMN mongoferry.id_map.collection IS 'collection that the key belongs to, or any other name for a set of keys';
COMMENT ON COLUMN mongoferry.id_map.source_id IS 'key at the source, as text';
COMMENT ON COLUMN mongoferry.id_map.id IS 'key at the target; by default a new version 7 UUID';

-- The map is the user's data: pg_dump saves its rows.
SELECT pg_catalog.pg_extension_config_dump('mongoferry.id_map', '');

CREATE FUNCTION mongoferry.map_id(collection text, id text) RETURNS uuid
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    mapped uuid;
BEGIN
    LOOP
        SELECT map.id INTO mapped FROM mongoferry.id_map AS map WHERE map.collection = $1 AND map.source_id = $2;
        IF FOUND THEN
            RETURN mapped;
        END IF;
        -- Waits for another session that is mapping the same key. When that one commits, nothing is inserted and the next
        -- turn of the loop reads its row; a transaction whose snapshot is older gets a serialization failure instead.
        INSERT INTO mongoferry.id_map AS map VALUES ($1, $2, DEFAULT)
            ON CONFLICT ON CONSTRAINT id_map_pkey DO NOTHING
            RETURNING map.id INTO mapped;
        IF FOUND THEN
            RETURN mapped;
        END IF;
    END LOOP;
END
$function$;
COMMENT ON FUNCTION mongoferry.map_id(text, text) IS
    'the UUID of a key in mongoferry.id_map, made if there is none yet. Transactions that map several new keys can deadlock if they do so in different orders: map_ids() first, with all of them, avoids that';

CREATE FUNCTION mongoferry.map_ids(collection text, ids text[]) RETURNS TABLE (source_id text, id uuid)
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
BEGIN
    -- All sessions insert in one order, that of the bytes, so that none waits for one that waits for it.
    INSERT INTO mongoferry.id_map (collection, source_id)
        SELECT $1, wanted.key
        FROM (SELECT DISTINCT unnested.key AS key FROM pg_catalog.unnest($2) AS unnested (key)) AS wanted
        WHERE wanted.key IS NOT NULL
            AND NOT EXISTS (SELECT FROM mongoferry.id_map AS map WHERE map.collection = $1 AND map.source_id = wanted.key)
        ORDER BY wanted.key COLLATE "C"
        ON CONFLICT ON CONSTRAINT id_map_pkey DO NOTHING;
    RETURN QUERY
        SELECT map.source_id, map.id
        FROM (SELECT DISTINCT unnested.key AS key FROM pg_catalog.unnest($2) AS unnested (key)) AS wanted
        JOIN mongoferry.id_map AS map ON map.collection = $1 AND map.source_id = wanted.key;
END
$function$;
COMMENT ON FUNCTION mongoferry.map_ids(text, text[]) IS
    'map_id() for a whole set: a row for each different key, NULL left out. Concurrent calls cannot deadlock, however their sets overlap';
