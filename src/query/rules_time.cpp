/*
 * Functions of timestamptz, timestamp and date. A timestamp's BSON date is read in UTC, a date is its midnight in UTC.
 *
 * Time zones are sent by their names in the IANA database, which both sides have, in whatever edition. Where the two
 * might read it differently, in a zone with daylight saving time, documents are trouble: before 1971 and from 2037 on
 * (copies differ in what they keep of such years), and where a local time does not exist or exists twice (PostgreSQL
 * takes the standard time then). Without zones: before the year 1 and from 10000 on. What $dateTrunc, $dateToParts …
 * give: MongoDB manual, "Date Operators".
 */
#include "query/rule.h"

#include "bson/objectid_type_id.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "pgtime.h"
#include "utils/timestamp.h"
}

namespace mongoferry::query {

static constexpr int64 milliseconds_per_hour = 3600000;
static constexpr int64 milliseconds_per_day = 86400000;

/* --- zones ------------------------------------------------------------------------------------------------------- */

struct Zone {
    const char *name;
    bool is_fixed; /* one offset, always */
};

static bool is_one_of(const char *name, std::initializer_list<const char *> names) {
    for (const char *one : names)
        if (strcmp(name, one) == 0)
            return true;
    return false;
}

/* Area/City. "posix/…" and the like are PostgreSQL's own. */
static bool is_area_and_city(const char *name) {
    static const char *const areas[] = {"Africa/",   "America/",   "Antarctica/", "Arctic/", "Asia/",
                                        "Atlantic/", "Australia/", "Europe/",     "Indian/", "Pacific/"};
    /* Names younger than the oldest edition that a server may have: it would raise an error. */
    if (is_one_of(name, {"America/Ciudad_Juarez", "America/Coyhaique", "America/Nuuk", "Asia/Qostanay", "Europe/Kyiv",
                         "Pacific/Kanton"}))
        return false;
    for (const char *area : areas)
        if (strncmp(name, area, strlen(area)) == 0)
            return true;
    return false;
}

static bool read_zone(const Call &call, const char *name, Zone *zone) {
    *zone = {name, true};
    if (is_one_of(name, {"UTC", "GMT", "Etc/UTC", "Etc/GMT", "Etc/UCT", "UCT", "Zulu", "Universal", "Etc/Zulu",
                         "Etc/Universal", "Greenwich", "Etc/Greenwich"})) {
        zone->name = "UTC";
        return true;
    }
    if (strncmp(name, "Etc/GMT", strlen("Etc/GMT")) == 0)
        return true;
    zone->is_fixed = false;
    if (is_area_and_city(name))
        return true;
    not_sent(call.translation, call.expression,
             psprintf("the time zone \"%s\" is not one that MongoDB surely knows by this name", name));
    return false;
}

static bool session_zone(const Call &call, Zone *zone) {
    return read_zone(call, pg_get_timezone_name(session_timezone), zone);
}

/* The zone that is written as an argument. */
static bool zone_argument(const Call &call, int number, Zone *zone) {
    const Const *literal = literal_argument(call, number);
    char *written = literal ? TextDatumGetCString(literal->constvalue) : nullptr;
    if (!written) {
        not_sent(call.translation, call.expression, "the time zone is not a constant");
        return false;
    }
    if (strchr(written, '/') && strlen(written) < TZ_STRLEN_MAX) {
        const pg_tz *known = pg_tzset(written); /* in any case of letters */
        if (known)
            return read_zone(call, pstrdup(pg_get_timezone_name(const_cast<pg_tz *>(known))), zone);
    }
    return read_zone(call, written, zone);
}

static bool is_utc(const Zone &zone) {
    return strcmp(zone.name, "UTC") == 0;
}

/* {operator: {date: …, timezone: …}} */
static ServerValue *part_of(const char *name, ServerValue *date, const Zone &zone) {
    if (is_utc(zone))
        return operation_of(name, date);
    return named_operation(name, {{"date", date}, {"timezone", text_value(zone.name)}});
}

/* --- which documents --------------------------------------------------------------------------------------------- */

/* A stretch of time in milliseconds since 1970, both ends included. */
struct Window {
    int64 first;
    int64 last;
};

static constexpr Window years_1_to_9999 = {INT64CONST(-62135596800000), INT64CONST(253402300799999)};
static constexpr Window years_1971_to_2036 = {INT64CONST(31536000000), INT64CONST(2114380799999)};

static Window window_of(const Zone &zone) {
    return zone.is_fixed ? years_1_to_9999 : years_1971_to_2036;
}

static ServerValue *is_in_window(ServerValue *date, const Window &window) {
    return all_of(
        {operation("$gte", {date, date_value(window.first)}), operation("$lte", {date, date_value(window.last)})});
}

/* What the function makes of a date in the window; others are trouble. */
template <typename MakeBody>
static ServerValue *of_date(const Call &call, ServerValue *date, const Window &window, MakeBody make_body) {
    add_trouble(call.translation, with_name("date", date, [&](ServerValue *known) {
                    return all_of({is_something(known), not_of(is_in_window(known, window))});
                }));
    return with_name("date", date, [&](ServerValue *known) {
        return choice(is_in_window(known, window), make_body(known), null_value());
    });
}

template <typename MakeBody>
static ServerValue *of_date(const Call &call, ServerValue *date, const Zone &zone, MakeBody make_body) {
    return of_date(call, date, window_of(zone), make_body);
}

/* Trouble where the local hour of a moment is not the wanted one, or an hour before or after it is too. */
static void add_ambiguity_trouble(const Call &call, ServerValue *moment, ServerValue *local_hour, const Zone &zone) {
    if (zone.is_fixed)
        return;
    add_trouble(
        call.translation, with_names("moment", moment, "hour", local_hour, [&](ServerValue *known, ServerValue *hour) {
            auto hour_at = [&](int64 distance) {
                return part_of("$hour", operation("$add", {known, integer_value(distance)}), zone);
            };
            return all_of({is_something(known), any_of({operation("$ne", {part_of("$hour", known, zone), hour}),
                                                        operation("$eq", {hour_at(milliseconds_per_hour), hour}),
                                                        operation("$eq", {hour_at(-milliseconds_per_hour), hour})})});
        }));
}

static constexpr Zone utc = {"UTC", true};

/* --- between local and absolute time ----------------------------------------------------------------------------- */

static ServerValue *from_parts(ServerValue *parts_of, const Zone &parts_zone, const Zone &zone, bool with_time) {
    ServerValue *variables =
        append_entry(document_value(), "parts",
                     named_operation("$dateToParts", {{"date", parts_of}, {"timezone", text_value(parts_zone.name)}}));
    ServerValue *made = document_value();
    append_entry(made, "year", variable_value("parts.year"));
    append_entry(made, "month", variable_value("parts.month"));
    append_entry(made, "day", variable_value("parts.day"));
    if (with_time) {
        append_entry(made, "hour", variable_value("parts.hour"));
        append_entry(made, "minute", variable_value("parts.minute"));
        append_entry(made, "second", variable_value("parts.second"));
        append_entry(made, "millisecond", variable_value("parts.millisecond"));
    }
    append_entry(made, "timezone", text_value(zone.name));
    return let(variables, operation_of("$dateFromParts", made));
}

/* The local time of a moment, as a date in UTC. */
static ServerValue *to_local(const Call &call, ServerValue *moment, const Zone &zone, bool with_time) {
    if (is_utc(zone) && with_time)
        return moment;
    return of_date(call, moment, zone, [&](ServerValue *known) { return from_parts(known, zone, utc, with_time); });
}

/* The moment of a local time. */
static ServerValue *from_local(const Call &call, ServerValue *local, const Zone &zone) {
    if (is_utc(zone))
        return local;
    ServerValue *moment =
        of_date(call, local, zone, [&](ServerValue *known) { return from_parts(known, utc, zone, true); });
    add_ambiguity_trouble(call, moment, operation_of("$hour", local), zone);
    return moment;
}

static ServerValue *timestamp_of_timestamptz(const Call &call) {
    Zone zone;
    ServerValue *moment = session_zone(call, &zone) ? argument_value(call, 0) : nullptr;
    return moment ? to_local(call, moment, zone, true) : nullptr;
}

static ServerValue *date_of_timestamptz(const Call &call) {
    Zone zone;
    ServerValue *moment = session_zone(call, &zone) ? argument_value(call, 0) : nullptr;
    return moment ? to_local(call, moment, zone, false) : nullptr;
}

static ServerValue *date_of_timestamp(const Call &call) {
    ServerValue *moment = argument_value(call, 0);
    return moment ? to_local(call, moment, utc, false) : nullptr;
}

static ServerValue *timestamp_of_date(const Call &call) {
    return argument_value(call, 0);
}

static ServerValue *timestamptz_of_local(const Call &call) {
    Zone zone;
    ServerValue *local = session_zone(call, &zone) ? argument_value(call, 0) : nullptr;
    return local ? from_local(call, local, zone) : nullptr;
}

/* timezone(zone, timestamptz), of which AT TIME ZONE is another spelling */
static ServerValue *local_at_zone(const Call &call) {
    Zone zone;
    ServerValue *moment = zone_argument(call, 0, &zone) ? argument_value(call, 1) : nullptr;
    return moment ? to_local(call, moment, zone, true) : nullptr;
}

static ServerValue *moment_at_zone(const Call &call) {
    Zone zone;
    ServerValue *local = zone_argument(call, 0, &zone) ? argument_value(call, 1) : nullptr;
    return local ? from_local(call, local, zone) : nullptr;
}

/* --- units and fields -------------------------------------------------------------------------------------------- */

/* The name of a unit or field in small letters; NULL, with a reason, if it is not written. */
static const char *field_name(const Call &call) {
    const Const *literal = literal_argument(call, 0);
    if (!literal)
        return not_sent(call.translation, call.expression, "the unit is not a constant");
    char *name = TextDatumGetCString(literal->constvalue);
    for (char *at = name; *at; ++at)
        *at = static_cast<char>(pg_ascii_tolower(static_cast<unsigned char>(*at)));
    return name;
}

/* --- date_trunc -------------------------------------------------------------------------------------------------- */

/* Minutes, seconds and milliseconds of the local time are taken off; the offset stays, as in PostgreSQL. */
static ServerValue *truncate_clock(ServerValue *date, bool minutes, const Zone &zone) {
    ServerValue *rest = array_value({part_of("$millisecond", date, zone),
                                     operation("$multiply", {part_of("$second", date, zone), integer_value(1000)})});
    if (minutes)
        append_item(rest, operation("$multiply", {part_of("$minute", date, zone), integer_value(60000)}));
    return operation("$subtract", {date, operation_of("$add", rest)});
}

static ServerValue *truncate_time(const Call &call, ServerValue *date, const Zone &zone) {
    const char *unit = field_name(call);
    if (!unit || !date)
        return nullptr;
    if (is_one_of(unit, {"millisecond", "milliseconds", "microsecond", "microseconds"}))
        return date; /* as exact as a date is */
    if (is_one_of(unit, {"second", "seconds"}))
        return of_date(call, date, zone, [&](ServerValue *known) {
            return operation("$subtract", {known, operation_of("$millisecond", known)});
        });
    const bool is_hour = is_one_of(unit, {"hour", "hours"});
    if (is_hour || is_one_of(unit, {"minute", "minutes"}))
        return of_date(call, date, zone, [&](ServerValue *known) { return truncate_clock(known, is_hour, zone); });
    const char *name = is_one_of(unit, {"day", "days"})       ? "day"
                       : is_one_of(unit, {"week", "weeks"})   ? "week"
                       : is_one_of(unit, {"month", "months"}) ? "month"
                       : is_one_of(unit, {"quarter"})         ? "quarter"
                       : is_one_of(unit, {"year", "years"})   ? "year"
                                                              : nullptr;
    if (!name)
        return not_sent(call.translation, call.expression, psprintf("there is no rule for the unit \"%s\"", unit));
    ServerValue *result = of_date(call, date, zone, [&](ServerValue *known) {
        ServerValue *arguments = append_entry(document_value(), "date", known);
        append_entry(arguments, "unit", text_value(name));
        if (!is_utc(zone))
            append_entry(arguments, "timezone", text_value(zone.name));
        if (strcmp(name, "week") == 0)
            append_entry(arguments, "startOfWeek", text_value("monday"));
        return operation_of("$dateTrunc", arguments);
    });
    add_ambiguity_trouble(call, result, integer_value(0), zone);
    return result;
}

static ServerValue *truncate_timestamptz(const Call &call) {
    Zone zone;
    return session_zone(call, &zone) ? truncate_time(call, argument_value(call, 1), zone) : nullptr;
}

static ServerValue *truncate_timestamptz_in(const Call &call) {
    Zone zone;
    return zone_argument(call, 2, &zone) ? truncate_time(call, argument_value(call, 1), zone) : nullptr;
}

static ServerValue *truncate_timestamp(const Call &call) {
    return truncate_time(call, argument_value(call, 1), utc);
}

/* --- extract and date_part --------------------------------------------------------------------------------------- */

static ServerValue *whole_field(const char *field, ServerValue *date, const Zone &zone) {
    static const struct {
        const char *field;
        const char *name;
    } operators[] = {{"year", "$year"},     {"month", "$month"},         {"day", "$dayOfMonth"},
                     {"doy", "$dayOfYear"}, {"isodow", "$isoDayOfWeek"}, {"week", "$isoWeek"},
                     {"hour", "$hour"},     {"isoyear", "$isoWeekYear"}, {"minute", "$minute"}};
    for (const auto &entry : operators)
        if (strcmp(entry.field, field) == 0)
            return part_of(entry.name, date, zone);
    if (strcmp(field, "dow") == 0)
        return operation("$subtract", {part_of("$dayOfWeek", date, zone), integer_value(1)});
    if (strcmp(field, "quarter") == 0)
        return converted(operation("$ceil", {operation("$divide", {part_of("$month", date, zone), integer_value(3)})}),
                         "int");
    return nullptr;
}

/* Thousandths as numeric with so many zeros as PostgreSQL shows. */
static ServerValue *thousandths(ServerValue *number, const char *zero) {
    return operation(
        "$add", {decimal_value(zero), operation("$divide", {converted(number, "decimal"), decimal_value("1000")})});
}

/* By the same steps as PostgreSQL's own, in doubles. */
static ServerValue *seconds_as_float64(ServerValue *whole, ServerValue *milliseconds) {
    ServerValue *fraction =
        operation("$divide", {operation("$multiply", {milliseconds, integer_value(1000)}), float64_value(1000000)});
    return whole ? operation("$add", {converted(whole, "double"), fraction}) : fraction;
}

static ServerValue *extract_field(const Call &call, const Zone &zone) {
    const char *field = field_name(call);
    ServerValue *date = field ? argument_value(call, 1) : nullptr;
    if (!date)
        return nullptr;
    const bool as_float64 = call.type == FLOAT8OID;
    if (strcmp(field, "epoch") == 0) {
        ServerValue *milliseconds = converted(date, "long");
        return as_float64 ? seconds_as_float64(nullptr, milliseconds) : thousandths(milliseconds, "0.000000");
    }
    const bool is_second = is_one_of(field, {"second", "seconds"});
    const bool is_millisecond = is_one_of(field, {"millisecond", "milliseconds"});
    if (!is_second && !is_millisecond && !whole_field(field, date, zone))
        return not_sent(call.translation, call.expression, psprintf("there is no rule for the field \"%s\"", field));
    return of_date(call, date, zone, [&](ServerValue *known) {
        if (!is_second && !is_millisecond)
            return as_float64 ? converted(whole_field(field, known, zone), "double") : whole_field(field, known, zone);
        ServerValue *second = part_of("$second", known, zone);
        ServerValue *millisecond = part_of("$millisecond", known, zone);
        if (is_second && as_float64)
            return seconds_as_float64(second, millisecond);
        ServerValue *all = operation("$add", {operation("$multiply", {second, integer_value(1000)}), millisecond});
        if (is_second)
            return thousandths(all, "0.000000");
        return as_float64 ? converted(all, "double")
                          : operation("$add", {decimal_value("0.000"), converted(all, "decimal")});
    });
}

static ServerValue *extract_from_timestamptz(const Call &call) {
    Zone zone;
    return session_zone(call, &zone) ? extract_field(call, zone) : nullptr;
}

static ServerValue *extract_from_timestamp(const Call &call) {
    return extract_field(call, utc);
}

static ServerValue *extract_from_date(const Call &call) {
    const char *field = field_name(call);
    if (!field)
        return nullptr;
    if (strcmp(field, "epoch") == 0) { /* whole seconds, and shown so */
        ServerValue *date = argument_value(call, 1);
        return date ? converted(operation("$divide", {converted(date, "long"), integer_value(1000)}), "long") : nullptr;
    }
    if (is_one_of(field, {"hour", "minute"}) || !whole_field(field, null_value(), utc))
        return not_sent(call.translation, call.expression, psprintf("there is no rule for the field \"%s\"", field));
    return extract_field(call, utc);
}

/* --- to_char ----------------------------------------------------------------------------------------------------- */

/* The format of $dateToString for one of to_char(); NULL if it has more than numbers and signs between. */
static const char *date_format(const char *format) {
    static const struct {
        const char *pattern;
        const char *specifier;
    } patterns[] = {{"IYYY", "%G"}, {"YYYY", "%Y"}, {"HH24", "%H"}, {"DDD", "%j"}, {"MM", "%m"},
                    {"DD", "%d"},   {"MI", "%M"},   {"SS", "%S"},   {"MS", "%L"},  {"IW", "%V"}};
    StringInfoData result;
    initStringInfo(&result);
    while (*format) {
        const auto *found = static_cast<decltype(&patterns[0])>(nullptr);
        for (const auto &entry : patterns)
            if (!found && pg_strncasecmp(format, entry.pattern, strlen(entry.pattern)) == 0)
                found = &entry;
        if (found) {
            format += strlen(found->pattern);
            if (pg_strncasecmp(format, "th", 2) == 0)
                return nullptr; /* a suffix */
            appendStringInfoString(&result, found->specifier);
        } else if (strchr("-:/., ", *format)) {
            appendStringInfoChar(&result, *format++);
        } else {
            return nullptr;
        }
    }
    return result.data;
}

static ServerValue *format_time(const Call &call, const Zone &zone) {
    const Const *literal = literal_argument(call, 1);
    const char *format = literal ? date_format(TextDatumGetCString(literal->constvalue)) : nullptr;
    if (!format)
        return not_sent(call.translation, call.expression, "the format is not a constant of numbers and signs");
    ServerValue *date = argument_value(call, 0);
    if (!date)
        return nullptr;
    return of_date(call, date, zone, [&](ServerValue *known) {
        return named_operation("$dateToString",
                               {{"date", known}, {"format", text_value(format)}, {"timezone", text_value(zone.name)}});
    });
}

static ServerValue *format_timestamptz(const Call &call) {
    Zone zone;
    return session_zone(call, &zone) ? format_time(call, zone) : nullptr;
}

static ServerValue *format_timestamp(const Call &call) {
    return format_time(call, utc);
}

/* --- arithmetic -------------------------------------------------------------------------------------------------- */

/* date + interval: months by the calendar, then days, then time. */
static ServerValue *move_by_interval(const Call &call, const Zone &zone, int sign) {
    const Const *literal = literal_argument(call, 1);
    if (!literal)
        return not_sent(call.translation, call.expression, "the interval is not a constant");
    const Interval *interval = DatumGetIntervalP(literal->constvalue);
    constexpr int64 limit_days = 365 * 1000;
    if (interval->month > 12000 || interval->month < -12000 || interval->day > limit_days ||
        interval->day < -limit_days || interval->time / USECS_PER_DAY > limit_days ||
        interval->time / USECS_PER_DAY < -limit_days)
        return not_sent(call.translation, call.expression, "the interval is longer than a thousand years");
    if (interval->time % 1000 != 0)
        return not_sent(call.translation, call.expression, "dates in MongoDB have milliseconds");
    if (!is_utc(zone) && (interval->month != 0 || interval->day != 0))
        return not_sent(call.translation, call.expression,
                        "days and months have their length from the time zone; only UTC has no surprises");
    ServerValue *date = argument_value(call, 0);
    if (!date)
        return nullptr;
    const int64 months = static_cast<int64>(sign) * interval->month;
    const int64 distance = sign * (interval->day * milliseconds_per_day + interval->time / 1000);
    /* So that the years of the result lie in the window too. */
    const int64 farthest = distance + months * 31 * milliseconds_per_day;
    const Window window = {years_1_to_9999.first - Min(Min(distance, farthest), 0),
                           years_1_to_9999.last - Max(Max(distance, farthest), 0)};
    return of_date(call, date, window, [&](ServerValue *known) {
        ServerValue *moved = known;
        if (months != 0)
            moved = named_operation(
                "$dateAdd", {{"startDate", known}, {"unit", text_value("month")}, {"amount", integer_value(months)}});
        return distance == 0 ? moved : operation("$add", {moved, integer_value(distance)});
    });
}

static ServerValue *add_to_timestamptz(const Call &call) {
    Zone zone;
    return session_zone(call, &zone) ? move_by_interval(call, zone, 1) : nullptr;
}

static ServerValue *subtract_from_timestamptz(const Call &call) {
    Zone zone;
    return session_zone(call, &zone) ? move_by_interval(call, zone, -1) : nullptr;
}

static ServerValue *add_to_timestamp(const Call &call) {
    return move_by_interval(call, utc, 1);
}

static ServerValue *subtract_from_timestamp(const Call &call) {
    return move_by_interval(call, utc, -1);
}

static ServerValue *move_by_days(const Call &call, int64 step) {
    ServerValue *date = argument_value(call, 0);
    ServerValue *days = date ? argument_value(call, 1) : nullptr;
    if (!days)
        return nullptr;
    ServerValue *moved = operation(
        "$add", {converted(date, "long"), operation("$multiply", {converted(days, "long"), integer_value(step)})});
    auto is_within = [](ServerValue *milliseconds) {
        return all_of({operation("$gte", {milliseconds, integer_value(years_1_to_9999.first)}),
                       operation("$lte", {milliseconds, integer_value(years_1_to_9999.last)})});
    };
    add_trouble(call.translation, with_name("moved", moved, [&](ServerValue *known) {
                    return all_of({is_something(known), not_of(is_within(known))});
                }));
    return with_name("moved", moved, [&](ServerValue *known) {
        return choice(is_within(known), operation_of("$toDate", known), null_value());
    });
}

static ServerValue *add_days(const Call &call) {
    return move_by_days(call, milliseconds_per_day);
}

static ServerValue *subtract_days(const Call &call) {
    return move_by_days(call, -milliseconds_per_day);
}

static ServerValue *days_between(const Call &call) {
    ServerValue *later = argument_value(call, 0);
    ServerValue *earlier = later ? argument_value(call, 1) : nullptr;
    if (!earlier)
        return nullptr;
    return converted(
        operation("$divide", {operation("$subtract", {later, earlier}), integer_value(milliseconds_per_day)}), "long");
}

/* --- ObjectIds --------------------------------------------------------------------------------------------------- */

bool is_time_of_object_id(const Call &call) {
    const char *name = get_func_name(call.function);
    return list_length(call.arguments) == 1 && call.type == TIMESTAMPTZOID &&
           exprType(argument(call, 0)) == bson::objectid_type_id() && name &&
           strcmp(name, "objectid_to_timestamptz") == 0;
}

/* The seconds are unsigned for mongoferry; whether they are for $toDate the manual does not tell. */
ServerValue *time_of_object_id(const Call &call) {
    ServerValue *value = argument_value(call, 0);
    if (!value)
        return nullptr;
    Constant first_with_sign{};
    first_with_sign.kind = ConstantKind::object_id;
    first_with_sign.bytes[0] = 0x80;
    add_trouble(call.translation, operation("$gte", {value, constant_value(first_with_sign)}));
    return of_something(value, [](ServerValue *known) { return operation_of("$toDate", known); });
}

/* --- the table --------------------------------------------------------------------------------------------------- */

// clang-format off
static const FunctionRule rules[] = {
    {"date_trunc(unit, timestamptz or timestamp), date_trunc(unit, timestamptz, zone)",
     "{$dateTrunc: {date: a, unit: …, timezone: …, startOfWeek: 'monday'}}; for hours and less the rest is subtracted",
     "unit is milliseconds, second, minute, hour, day, week, month, quarter or year, and it and the zone are constants; the session's zone or this one is UTC, GMT, Etc/GMT±n or Area/City; "
     "before the year 1 and from 10000 on is trouble, with Area/City before 1971, from 2037 on, and where the new time does not exist or exists twice",
     truncate_timestamptz, {F_DATE_TRUNC_TEXT_TIMESTAMPTZ}},
    {nullptr, nullptr, nullptr, truncate_timestamptz_in, {F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT}},
    {nullptr, nullptr, nullptr, truncate_timestamp, {F_DATE_TRUNC_TEXT_TIMESTAMP}},
    {"extract(field FROM timestamptz, timestamp or date), date_part(field, …)", "$year, $month, $dayOfMonth, $hour, $isoWeek … with timezone",
     "field is epoch, year, isoyear, quarter, month, week, day, doy, dow, isodow, hour, minute, second or milliseconds; zones and years as for date_trunc",
     extract_from_timestamptz, {F_EXTRACT_TEXT_TIMESTAMPTZ, F_DATE_PART_TEXT_TIMESTAMPTZ}},
    {nullptr, nullptr, nullptr, extract_from_timestamp, {F_EXTRACT_TEXT_TIMESTAMP, F_DATE_PART_TEXT_TIMESTAMP}},
    {nullptr, nullptr, nullptr, extract_from_date, {F_EXTRACT_TEXT_DATE}},
    {"to_char(timestamptz or timestamp, format)", "{$dateToString: {date: a, format: …, timezone: …}}",
     "the format is a constant of YYYY, MM, DD, HH24, MI, SS, MS, DDD, IYYY, IW and - : / . , and blanks; zones and years as for date_trunc",
     format_timestamptz, {F_TO_CHAR_TIMESTAMPTZ_TEXT}},
    {nullptr, nullptr, nullptr, format_timestamp, {F_TO_CHAR_TIMESTAMP_TEXT}},
    {"timestamptz → timestamp, date; timestamptz AT TIME ZONE zone", "$dateToParts with timezone, $dateFromParts", "zones and years as for date_trunc", timestamp_of_timestamptz,
     {F_TIMESTAMP_TIMESTAMPTZ}},
    {nullptr, nullptr, nullptr, date_of_timestamptz, {F_DATE_TIMESTAMPTZ}},
    {nullptr, nullptr, nullptr, local_at_zone, {F_TIMEZONE_TEXT_TIMESTAMPTZ}},
    {"timestamp, date → timestamptz; timestamp AT TIME ZONE zone", "$dateToParts, $dateFromParts with timezone", "zones and years as for date_trunc", timestamptz_of_local,
     {F_TIMESTAMPTZ_TIMESTAMP, F_TIMESTAMPTZ_DATE}},
    {nullptr, nullptr, nullptr, moment_at_zone, {F_TIMEZONE_TEXT_TIMESTAMP}},
    {"timestamp → date, date → timestamp", "the midnight in UTC", "before the year 1 and from 10000 on is trouble", date_of_timestamp, {F_DATE_TIMESTAMP}},
    {nullptr, nullptr, nullptr, timestamp_of_date, {F_TIMESTAMP_DATE}},
    {"timestamptz ± interval", "{$add: [a, milliseconds]}", "the interval is a constant without fractions of milliseconds; with days or months only if the session's time zone is UTC",
     add_to_timestamptz, {F_TIMESTAMPTZ_PL_INTERVAL}},
    {nullptr, nullptr, nullptr, subtract_from_timestamptz, {F_TIMESTAMPTZ_MI_INTERVAL}},
    {"timestamp ± interval, date ± interval", "{$dateAdd: {startDate: a, unit: 'month', amount: n}}, {$add: [a, milliseconds]}",
     "the interval is a constant without fractions of milliseconds", add_to_timestamp, {F_TIMESTAMP_PL_INTERVAL, F_DATE_PL_INTERVAL}},
    {nullptr, nullptr, nullptr, subtract_from_timestamp, {F_TIMESTAMP_MI_INTERVAL, F_DATE_MI_INTERVAL}},
    {"date ± integer, date - date", "{$add: [a, milliseconds]}, {$subtract: [a, b]}", "before the year 1 and from 10000 on is trouble", add_days, {F_DATE_PLI}},
    {nullptr, nullptr, nullptr, subtract_days, {F_DATE_MII}},
    {nullptr, nullptr, nullptr, days_between, {F_DATE_MI}},
    {"objectid → timestamptz", "{$toDate: a}", "from 2038 on is trouble", nullptr, {}},
    {"timestamptz - timestamptz, age(…)", nullptr, "MongoDB has no intervals", nullptr,
     {F_TIMESTAMPTZ_MI, F_TIMESTAMP_MI, F_AGE_TIMESTAMPTZ_TIMESTAMPTZ, F_AGE_TIMESTAMP_TIMESTAMP}},
};
// clang-format on

const RuleGroup time_rules = {"time", rules, lengthof(rules)};

} // namespace mongoferry::query
