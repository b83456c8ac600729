-- preflight() on disk space.

CREATE FUNCTION mongoferry.preflight_space(sizes jsonb)
    RETURNS TABLE (severity text, "check" text, message text, hint text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    place record;
    free bigint;
    wal_limit bigint;
    total numeric := 0;
BEGIN
    FOR place IN
        SELECT t.oid, t.spcname, sum(s.bytes) AS bytes,
            t.oid = d.dattablespace OR has_tablespace_privilege(t.oid, 'CREATE') OR pg_has_role('pg_read_all_stats', 'USAGE') AS may_ask
        FROM jsonb_to_recordset($1) AS s (target oid, bytes numeric)
        JOIN pg_class AS c ON c.oid = s.target
        JOIN pg_database AS d ON d.datname = current_database()
        JOIN pg_tablespace AS t ON t.oid = CASE WHEN c.reltablespace = 0 THEN d.dattablespace ELSE c.reltablespace END
        GROUP BY t.oid, t.spcname, d.dattablespace
        ORDER BY t.spcname
    LOOP
        total := total + place.bytes;
        free := CASE WHEN place.may_ask THEN mongoferry.free_disk_space(place.oid) END;
        IF free IS NULL THEN
            RETURN QUERY SELECT 'note', 'disk', format('how much of tablespace "%s" is free is not known', place.spcname),
                format('The targets there will take about %s, without indexes.', pg_size_pretty(place.bytes::bigint));
        ELSE
            RETURN QUERY SELECT CASE WHEN place.bytes > free THEN 'warning' ELSE 'note' END, 'disk',
                format('targets in tablespace "%s" will take about %s, and %s are free', place.spcname, pg_size_pretty(place.bytes::bigint),
                    pg_size_pretty(free)),
                'Indexes come on top; so does the write-ahead log, where it is on the same disk.';
        END IF;
    END LOOP;
    IF total > 0 THEN
        free := mongoferry.free_wal_space();
        wal_limit := pg_size_bytes(current_setting('max_wal_size'));
        -- Each row is in the log, and so is its index entry.
        RETURN QUERY SELECT CASE WHEN least(2 * total, wal_limit) > free THEN 'warning' ELSE 'note' END, 'disk',
            format('the write-ahead log has %s free, and max_wal_size is %s', pg_size_pretty(free), pg_size_pretty(wal_limit)),
            format('Beyond max_wal_size it grows where archiving or a replication slot falls behind: by some %s for the targets.',
                pg_size_pretty((2 * total)::bigint))
        WHERE free IS NOT NULL;
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.preflight_space(jsonb) IS
    'whether the estimated sizes of targets, an array of {target, bytes}, fit on their disks, and the write-ahead log on its own. Part of preflight()';
