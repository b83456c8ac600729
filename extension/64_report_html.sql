-- The HTML page of report(): one file with its style and its charts (SVG) in it, for people who have no database at hand.
--
-- Relies on 64_report.sql: its jsonb document of figures and the cells of its tables. Every value that comes from a user goes
-- through report_escape(); the other functions return HTML.

CREATE FUNCTION mongoferry.report_escape(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT replace(replace(replace(replace(replace(coalesce($1, ''),
        '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), '''', '&#39;')
$function$;
COMMENT ON FUNCTION mongoferry.report_escape(text) IS
    'a value for the text or a quoted attribute of an HTML page; NULL: empty. Part of report()';

CREATE FUNCTION mongoferry.report_html_table(cells jsonb, alignment text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT '<div class="wide"><table>' || string_agg('<tr>' || line || '</tr>', E'\n' ORDER BY row_number) || E'</table></div>\n'
    FROM (
        SELECT row_number, string_agg(format('<%1$s class="%2$s%3$s">%4$s</%1$s>',
            CASE WHEN row_number = 1 THEN 'th' ELSE 'td' END,
            CASE WHEN substr($2, column_number::integer, 1) = 'r' THEN 'r' ELSE 'l' END,
            CASE WHEN substr($2, column_number::integer, 1) = 's' AND lower(value) = 'failed' THEN ' failed' ELSE '' END,
            mongoferry.report_escape(value)), '' ORDER BY column_number) AS line
        FROM jsonb_array_elements($1) WITH ORDINALITY AS r (cells, row_number),
            jsonb_array_elements_text(r.cells) WITH ORDINALITY AS c (value, column_number)
        GROUP BY row_number) AS lines
$function$;
COMMENT ON FUNCTION mongoferry.report_html_table(jsonb, text) IS 'a table as HTML. Part of report()';

CREATE FUNCTION mongoferry.report_html_bars(title text, bars jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT format('<svg role="img" aria-label="%s" viewBox="0 0 800 %s">', mongoferry.report_escape($1), count(*) * 26 + 4)
        || string_agg(format('<g><title>%1$s: %2$s</title><text x="400" y="%3$s" text-anchor="end">%4$s</text>'
            '<rect class="track" x="410" y="%5$s" width="300" height="16" rx="3"/>'
            '<rect class="%6$s" x="410" y="%5$s" width="%7$s" height="16" rx="3"/>'
            '<text x="718" y="%3$s">%2$s</text></g>',
            mongoferry.report_escape(b ->> 'label'), mongoferry.report_escape(b ->> 'shown'), n * 26 - 8,
            mongoferry.report_escape(CASE WHEN length(b ->> 'label') > 58 THEN left(b ->> 'label', 55) || '...' ELSE b ->> 'label' END),
            n * 26 - 21, CASE WHEN (b ->> 'failed')::boolean THEN 'failed' ELSE 'bar' END,
            round(300 * least((b ->> 'share')::numeric, 1), 1)), E'\n' ORDER BY n)
        || E'</svg>\n'
    FROM jsonb_array_elements($2) WITH ORDINALITY AS bar (b, n)
    HAVING count(*) > 0
$function$;
COMMENT ON FUNCTION mongoferry.report_html_bars(text, jsonb) IS
    'a chart of horizontal bars, each {"label", "share" (0 to 1), "shown", "failed"}; NULL when there are none. Part of report()';

CREATE FUNCTION mongoferry.report_html_share_chart(tasks jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT mongoferry.report_html_bars('share done of each task', jsonb_agg(jsonb_build_object('label', t -> 'task',
        'share', t -> 'share_done', 'shown', mongoferry.report_share(t -> 'share_done'), 'failed', t ->> 'state' = 'failed')
        ORDER BY n))
    FROM jsonb_array_elements($1) WITH ORDINALITY AS task (t, n)
$function$;
COMMENT ON FUNCTION mongoferry.report_html_share_chart(jsonb) IS
    'the chart of what is done of each task; NULL when there is none. Part of report()';

CREATE FUNCTION mongoferry.report_html_error_chart(errors jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT mongoferry.report_html_bars('refused documents by cause', jsonb_agg(jsonb_build_object(
        -- of a message about a constraint, its name is what has room
        'label', (e ->> 'task') || ': ' || coalesce(e ->> 'constraint_name', e ->> 'message'),
        'share', (e ->> 'documents')::numeric / most, 'shown', mongoferry.report_number(e -> 'documents'), 'failed', true)
        ORDER BY n))
    FROM jsonb_array_elements($1) WITH ORDINALITY AS error (e, n),
        (SELECT max((x ->> 'documents')::numeric) AS most FROM jsonb_array_elements($1) AS x) AS scale
$function$;
COMMENT ON FUNCTION mongoferry.report_html_error_chart(jsonb) IS
    'the chart of the refused documents by cause; NULL when there are none. Part of report()';

CREATE FUNCTION mongoferry.report_html_throughput(throughput jsonb) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    WITH point AS (
        SELECT n, p, (p ->> 'rows_per_second')::numeric AS rate, count(*) OVER () AS points,
            greatest(max((p ->> 'rows_per_second')::numeric) OVER (), 1) AS most,
            -- a few points make bars, not walls
            least(720.0 / count(*) OVER (), 40) AS step
        FROM jsonb_array_elements($1 -> 'points') WITH ORDINALITY AS element (p, n)
    ), grid AS (
        SELECT string_agg(format('<line class="grid" x1="70" x2="790" y1="%1$s" y2="%1$s"/>'
            '<text x="64" y="%2$s" text-anchor="end">%3$s</text>', 180 - 160 * part, 184 - 160 * part,
            mongoferry.report_number(to_jsonb(round(most * part, 1)))), '' ORDER BY part) AS svg
        FROM (SELECT max(most) AS most FROM point) AS scale, unnest(ARRAY[0, 0.5, 1]) AS part
    )
    SELECT '<svg role="img" aria-label="rows per second over time" viewBox="0 0 800 210">' || (SELECT svg FROM grid)
        || string_agg(
            CASE WHEN (p ->> 'after_pause')::boolean
                THEN format('<line class="pause" x1="%1$s" x2="%1$s" y1="20" y2="180"><title>pause</title></line>', round(70 + (n - 1) * step, 1))
                ELSE '' END
            || format('<rect class="bar" x="%s" y="%s" width="%s" height="%s"><title>%s: %s rows/s, %s rows</title></rect>',
                round(70 + (n - 1) * step + step * 0.1, 2), round(180 - 160 * rate / most, 1), round(step * 0.8, 2),
                round(160 * rate / most, 1), mongoferry.report_time(p -> 'at'), mongoferry.report_number(p -> 'rows_per_second'),
                mongoferry.report_number(p -> 'rows')), E'\n' ORDER BY n)
        || format('<text x="70" y="202">%s</text><text x="790" y="202" text-anchor="end">%s</text>',
            mongoferry.report_time($1 #> '{points,0,at}'),
            CASE WHEN count(*) > 1 THEN 'to ' || mongoferry.report_time($1 #> '{points,-1,at}') ELSE '' END)
        || E'</svg>\n'
    FROM point
    HAVING count(*) > 0
$function$;
COMMENT ON FUNCTION mongoferry.report_html_throughput(jsonb) IS
    'the chart of rows per second over time; NULL when nothing has been carried over. Part of report()';

CREATE FUNCTION mongoferry.report_html_style() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT $css$
:root { color-scheme: light dark; --page: #fff; --ink: #1c2430; --faint: #5b6675; --line: #d9dee5; --panel: #f4f6f9; --bar: #1f7a4d; --failed: #b3261e; }
@media (prefers-color-scheme: dark) {
:root { --page: #14181e; --ink: #e4e8ee; --faint: #9aa5b4; --line: #333c48; --panel: #1d232b; --bar: #4cc38a; --failed: #ff8a80; } }
body { background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 90rem; padding: 1.5rem; }
h1 { margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { margin: .3rem 0; } .faint, svg text { color: var(--faint); fill: var(--faint); } svg text { font-size: 12px; }
dl { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; } dl div { background: var(--panel); border-radius: .5rem; padding: .6rem 1rem; }
dt { color: var(--faint); font-size: .8rem; } dd { font-size: 1.3rem; font-variant-numeric: tabular-nums; margin: 0; }
svg { display: block; max-width: 800px; width: 100%; } .bar { fill: var(--bar); } .failed { color: var(--failed); fill: var(--failed); }
.track { fill: var(--panel); } .grid { stroke: var(--line); } .pause { stroke: var(--faint); stroke-dasharray: 4 3; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); max-width: 24rem; overflow-wrap: break-word; padding: .3rem .6rem; vertical-align: top; }
th { color: var(--faint); font-weight: 600; white-space: nowrap; } .l { text-align: left; } .r { text-align: right; white-space: nowrap; }
$css$
$function$;
COMMENT ON FUNCTION mongoferry.report_html_style() IS 'the style sheet of the page. Part of report()';

CREATE FUNCTION mongoferry.report_html_figures(totals jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT '<dl>' || string_agg(format('<div><dt>%s</dt><dd>%s</dd></div>', name, figure), '' ORDER BY n) || E'</dl>\n'
    FROM (VALUES
        (1, 'tasks done', mongoferry.report_number($1 -> 'tasks_done') || ' / ' || mongoferry.report_number($1 -> 'tasks')),
        (2, 'documents read', mongoferry.report_number($1 -> 'documents')),
        (3, 'rows written', mongoferry.report_number($1 -> 'rows')),
        (4, 'refused', mongoferry.report_number($1 -> 'refused')),
        (5, 'mended', mongoferry.report_number($1 -> 'mended')),
        (6, 'time at work', mongoferry.report_duration($1 -> 'seconds')),
        (7, 'rows/s', mongoferry.report_number($1 -> 'rows_per_second')),
        (8, 'BSON read', pg_size_pretty(($1 ->> 'bytes')::numeric))) AS figures (n, name, figure)
$function$;
COMMENT ON FUNCTION mongoferry.report_html_figures(jsonb) IS 'the figures at the head of the page. Part of report()';

CREATE FUNCTION mongoferry.report_html_section(title text, line text, variadic parts text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT format(E'<section><h2>%s</h2>\n', mongoferry.report_escape($1))
        || CASE WHEN $2 IS NULL THEN '' ELSE format(E'<p>%s</p>\n', mongoferry.report_escape($2)) END
        || array_to_string($3, '') || E'</section>\n'
$function$;
COMMENT ON FUNCTION mongoferry.report_html_section(text, text, text[]) IS
    'a section of the page: its title, a line of text, and HTML; what is NULL is left out. Part of report()';

CREATE FUNCTION mongoferry.report_html_head(title text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT E'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        -- The page needs nothing but itself, and a value that got into it unescaped could neither run nor fetch anything.
        '<meta http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        || format(E'<title>Migration %s</title>\n<style>%s</style></head>\n', mongoferry.report_escape($1), mongoferry.report_html_style())
$function$;
COMMENT ON FUNCTION mongoferry.report_html_head(text) IS 'the head of the page. Part of report()';

CREATE FUNCTION mongoferry.report_html(data jsonb) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT mongoferry.report_html_head($1 ->> 'migration')
        || format(E'<body><h1>Migration %s</h1>\n<p class="faint">%s</p>\n<p>%s</p>\n<p>%s</p>\n',
            mongoferry.report_escape($1 ->> 'migration'), mongoferry.report_time($1 -> 'reported_at'),
            mongoferry.report_escape($1 ->> 'comment'), mongoferry.report_headline($1))
        || mongoferry.report_html_figures($1 -> 'totals')
        || mongoferry.report_html_section('Throughput (rows per second)',
            CASE WHEN $1 #> '{throughput,points}' = '[]' THEN 'Nothing has been carried over yet.'
                ELSE 'Each bar is ' || mongoferry.report_duration($1 #> '{throughput,bucket_seconds}')
                    || '; times when nothing ran are left out (dashed line).' END,
            mongoferry.report_html_throughput($1 -> 'throughput'))
        || mongoferry.report_html_section('Tasks', CASE WHEN $1 -> 'tasks' = '[]' THEN 'The migration has no tasks yet.' END,
            mongoferry.report_html_share_chart($1 -> 'tasks'),
            CASE WHEN $1 -> 'tasks' <> '[]' THEN
                mongoferry.report_html_table(mongoferry.report_task_cells($1 -> 'tasks'), 'lllsrrrrrrrrrl') END)
        || mongoferry.report_html_section('Refused documents', mongoferry.report_errors_line($1),
            mongoferry.report_html_error_chart($1 -> 'errors'),
            CASE WHEN $1 -> 'errors' <> '[]' THEN
                mongoferry.report_html_table(mongoferry.report_error_cells($1 -> 'errors'), 'rllllll') END)
        || mongoferry.report_html_section('Validation', mongoferry.report_validation_line($1 -> 'validation'),
            CASE WHEN $1 #> '{validation,checks}' IS NOT NULL THEN
                mongoferry.report_html_table(mongoferry.report_check_cells($1 #> '{validation,checks}'), 'sllrrl') END)
        || mongoferry.report_html_section('Runs', CASE WHEN $1 -> 'runs' = '[]' THEN 'Nothing has been run yet.' END,
            CASE WHEN $1 -> 'runs' <> '[]' THEN
                mongoferry.report_html_table(mongoferry.report_run_cells($1 -> 'runs'), 'llrrl') END)
        || E'</body></html>\n'
$function$;
COMMENT ON FUNCTION mongoferry.report_html(jsonb) IS 'the HTML page of report(). Part of report()';
