-- The chunks that a new task gets: those that its source is split into, or the ones that somebody chose for it. With the
-- latter a migration is shared out to several databases, each of which carries its own chunks over.

CREATE FUNCTION mongoferry.keep_chunks(task mongoferry.task, chunks text) RETURNS integer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    number integer;
    documents bigint;
    bytes bigint;
BEGIN
    EXECUTE format($query$
        WITH part AS (
            SELECT p.chunk, p.bounds, p.bounds_shown, greatest(p.documents_estimated, 0) AS documents, p.bytes_estimated AS bytes
            FROM %s AS p
        ), kept AS (
            INSERT INTO mongoferry.chunk (migration, task, chunk, bounds, bounds_shown, documents_estimated)
                SELECT $1, $2, p.chunk, p.bounds, p.bounds_shown, p.documents FROM part AS p
        )
        SELECT count(*), coalesce(sum(p.documents), 0),
            CASE WHEN count(*) = 0 THEN 0 WHEN bool_and(p.bytes >= 0) THEN sum(p.bytes) END
        FROM part AS p $query$, $2)
        INTO number, documents, bytes USING $1.migration, $1.task;
    UPDATE mongoferry.task AS t SET state = 'running', documents_total = documents, bytes_total = bytes
    WHERE t.migration = $1.migration AND t.task = $1.task;
    RETURN number;
END
$function$;
COMMENT ON FUNCTION mongoferry.keep_chunks(mongoferry.task, text) IS
    'gives a new task its chunks; chunks: SQL that stands in FROM and gives the columns of split_source(). Returns how many they are. Part of the toolkit';

CREATE FUNCTION mongoferry.set_chunks(migration text, task text, chunks regclass) RETURNS integer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    this mongoferry.task;
    missing text;
BEGIN
    PERFORM mongoferry.require_owner($1);
    PERFORM mongoferry.exclude_runs($1);
    this := mongoferry.find_task($1, $2);
    IF this.state <> 'new' THEN
        RAISE EXCEPTION 'task "%" of migration "%" has its chunks already', $2, $1
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'mongoferry.reset_task() lets it begin anew; what it wrote to the target is not touched.';
    END IF;
    IF $3 IS NULL OR mongoferry.table_name($3) IS NULL THEN
        RAISE EXCEPTION 'the table of chunks must be one that exists' USING ERRCODE = 'undefined_table';
    END IF;
    SELECT string_agg(w.name, ', ' ORDER BY w.place) INTO missing
    FROM unnest('{chunk,bounds,bounds_shown,documents_estimated,bytes_estimated}'::name[]) WITH ORDINALITY AS w (name, place)
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
        WHERE a.attrelid = $3 AND a.attname = w.name AND a.attnum > 0 AND NOT a.attisdropped);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'table of chunks % lacks columns: %', mongoferry.table_name($3), missing
            USING ERRCODE = 'undefined_column', HINT = 'It takes the columns that mongoferry.split_source() gives.';
    END IF;
    RETURN mongoferry.keep_chunks(this, mongoferry.table_name($3));
END
$function$;
COMMENT ON FUNCTION mongoferry.set_chunks(text, text, regclass) IS
    'gives a new task its chunks, instead of splitting its source: those in a table or view with the columns of split_source(). Only their documents are carried over. Whether they overlap or leave gaps is not checked. Returns how many they are';
