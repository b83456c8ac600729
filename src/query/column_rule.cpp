/* See column_rule.h. */
#include "query/column_rule.h"

#include "bson/converter.h"
#include "bson/number_text.h"
#include "bson/objectid_type_id.h"
#include "bson/path.h"
#include "query/rule.h"

extern "C" {
#include "datatype/timestamp.h"
#include "mb/pg_wchar.h"
#include "utils/date.h"
#include "utils/typcache.h"
}

#include <cmath>

namespace mongoferry::query {

static constexpr int64 epoch_days = POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE;
static constexpr int64 milliseconds_per_day = 86400000;
const int64 timestamp_first_millisecond = MIN_TIMESTAMP / 1000 + epoch_days * milliseconds_per_day;
const int64 timestamp_beyond_millisecond = END_TIMESTAMP / 1000 + epoch_days * milliseconds_per_day;
static constexpr int64 date_first_millisecond =
    (static_cast<int64>(DATETIME_MIN_JULIAN) - UNIX_EPOCH_JDATE) * milliseconds_per_day;
static constexpr int64 date_beyond_millisecond =
    (static_cast<int64>(DATE_END_JULIAN) - UNIX_EPOCH_JDATE) * milliseconds_per_day;

/* Up to here every integer is a double. */
static constexpr int64 exact_in_float64 = INT64CONST(9007199254740992);

/* --- the table --------------------------------------------------------------------------------------------------- */

namespace {

constexpr const char *string_type[] = {"string"};
constexpr const char *types_read_as_time[] = {"string", "objectId", "timestamp"};
constexpr const char *types_read_as_uuid[] = {"string", "objectId"};
constexpr const char *types_read_as_bytes[] = {"objectId"};
// clang-format off
constexpr const char *types_read_as_text[] = {
    "double", "int", "long", "decimal", "date", "objectId", "bool", "binData", "regex", "symbol", "javascript",
    "dbPointer", "object", "array", "timestamp", "minKey", "maxKey", "javascriptWithScope"};
constexpr const char *types_read_as_other[] = {
    "double", "int", "long", "decimal", "date", "objectId", "bool", "binData", "regex", "symbol", "javascript",
    "dbPointer", "object", "array", "timestamp", "minKey", "maxKey", "javascriptWithScope", "string"};
// clang-format on

void set_integer(ColumnRule *rule, int64 minimum, int64 maximum) {
    rule->kind = ColumnKind::integer;
    rule->minimum = minimum;
    rule->maximum = maximum;
}

/* See numeric_typmod_precision() and numeric_typmod_scale() of PostgreSQL's numeric.c. */
void set_numeric(ColumnRule *rule, int32 typmod) {
    rule->kind = ColumnKind::numeric;
    if (typmod < VARHDRSZ)
        return;
    constexpr int32 most_places = 30; /* of Decimal128's 34 digits */
    rule->precision = ((typmod - VARHDRSZ) >> 16) & 0xffff;
    rule->scale = (typmod - VARHDRSZ) & 0x7ff; /* a negative one reads as more than 1000 */
    if (rule->scale > most_places || rule->precision - rule->scale > most_places || rule->scale > rule->precision)
        rule->not_comparable = "the type modifier of numeric is beyond what MongoDB can check";
}

void set_text(ColumnRule *rule, int32 typmod) {
    rule->kind = ColumnKind::text;
    rule->convertible = list_of(types_read_as_text);
    if (typmod >= VARHDRSZ)
        rule->limit = typmod - VARHDRSZ;
    if (GetDatabaseEncoding() != PG_UTF8) {
        rule->not_comparable = "the database's encoding is not UTF8";
        rule->not_exact = rule->not_comparable;
    }
}

void set_other(ColumnRule *rule) {
    rule->kind = ColumnKind::other;
    rule->convertible = list_of(types_read_as_other);
    rule->not_comparable = psprintf("there is no rule for type %s", format_type_be(rule->base_type));
    rule->not_exact = psprintf("values of type %s can't be checked on the server", format_type_be(rule->base_type));
}

} // namespace

ColumnRule rule_of_type(Oid type, int32 typmod, const bson::ConversionOptions &options) {
    ColumnRule rule{};
    rule.limit = -1;
    rule.precision = -1;
    rule.scale = -1;
    rule.base_type = getBaseTypeAndTypmod(type, &typmod);
    switch (rule.base_type) {
    case INT2OID:
        set_integer(&rule, PG_INT16_MIN, PG_INT16_MAX);
        break;
    case INT4OID:
        set_integer(&rule, PG_INT32_MIN, PG_INT32_MAX);
        break;
    case INT8OID:
        set_integer(&rule, PG_INT64_MIN, PG_INT64_MAX);
        break;
    case FLOAT4OID:
        rule.kind = ColumnKind::float32;
        break;
    case FLOAT8OID:
        rule.kind = ColumnKind::float64;
        break;
    case NUMERICOID:
        set_numeric(&rule, typmod);
        break;
    case BOOLOID:
        rule.kind = ColumnKind::boolean;
        break;
    case TEXTOID:
    case VARCHAROID:
        set_text(&rule, typmod);
        break;
    case UUIDOID:
        rule.kind = ColumnKind::uuid;
        rule.uuid_binary = options.uuid_representation == bson::UuidRepresentation::standard ? 4 : 3;
        rule.convertible = list_of(types_read_as_uuid);
        break;
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
        rule.kind = ColumnKind::timestamp;
        rule.convertible = list_of(types_read_as_time);
        if (typmod >= 0 && typmod < 3)
            rule.not_comparable = "the type modifier rounds times to less than milliseconds";
        break;
    case DATEOID:
        rule.kind = ColumnKind::date;
        rule.convertible = list_of(types_read_as_time);
        break;
    case BYTEAOID:
        rule.kind = ColumnKind::bytes;
        rule.convertible = list_of(types_read_as_bytes);
        rule.not_comparable = "there is no rule for type bytea";
        break;
    default:
        if (rule.base_type == bson::objectid_type_id())
            rule.kind = ColumnKind::object_id;
        else
            set_other(&rule);
    }
    if (options.coerce_strings && rule.convertible.count == 0)
        rule.convertible = list_of(string_type);
    if (rule.not_comparable && !rule.not_exact && rule.kind != ColumnKind::bytes)
        rule.not_exact = rule.not_comparable;
    if (rule.base_type != type && DomainHasConstraints(type))
        rule.not_exact = "only PostgreSQL can check the constraints of a domain";
    return rule;
}

/* --- columns ----------------------------------------------------------------------------------------------------- */

UsedColumn column_at(const Translation *translation, int table, AttrNumber column) {
    const TranslatedTable &translated = translation->tables[table];
    const Field *field = &translated.fields->fields[column - 1];
    UsedColumn used{};
    used.table = table;
    used.column = column;
    used.field = field;
    used.path = path_of(translation, table, field);
    used.rule = rule_of_type(field->type, field->typmod, field->options);
    used.of_elements = translated.fields->unwind && !translated.unwound &&
                       bson::is_at_or_below(field->path, translated.fields->unwind);
    used.has_position = bson::names_position(field->path);
    return used;
}

bool find_column(const Translation *translation, Node *expression, UsedColumn *used) {
    Node *bare = expression;
    while (bare && IsA(bare, RelabelType))
        bare = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(bare)->arg);
    ListCell *cell;
    foreach (cell, translation->known) {
        const KnownValue *known = static_cast<const KnownValue *>(lfirst(cell));
        if (!equal(known->expression, expression) && !equal(known->expression, bare))
            continue;
        *used = {};
        used->table = -1;
        used->path = known->path;
        used->rule = rule_of_type(exprType(known->expression), -1, bson::ConversionOptions{});
        used->rule.convertible = {};
        used->rule.not_exact = nullptr;
        return true;
    }
    int table;
    AttrNumber column;
    if (!field_of(translation, expression, &table, &column))
        return false;
    *used = column_at(translation, table, column);
    return true;
}

const char *refusal_in_query(const UsedColumn &used) {
    if (used.field && bson::check_path(used.field->path) != nullptr)
        return "its field can't be named in a query";
    if (used.field && used.field->path[0] == '$') /* $$ROOT, $$INDEX */
        return psprintf("%s is not a field of the document", used.field->path);
    return nullptr;
}

const char *refusal_in_expression(const UsedColumn &used) {
    if (const char *refusal = refusal_in_query(used))
        return refusal;
    if (used.has_position)
        return "the path names a position in an array";
    if (used.of_elements)
        return "it is about an element of an array that becomes a row only later";
    return nullptr;
}

/* --- native values ----------------------------------------------------------------------------------------------- */

static ServerValue *has_type(ServerValue *field, std::initializer_list<const char *> types) {
    if (types.size() == 1)
        return operation("$eq", {operation_of("$type", field), text_value(*types.begin())});
    ServerValue *names = array_value({});
    for (const char *type : types)
        append_item(names, text_value(type));
    return operation("$in", {operation_of("$type", field), names});
}

/* $and goes no further than to the first false one (MongoDB manual, "$and (aggregation)"), so that what follows sees
 * only values of the type. */
static ServerValue *is_integral_between(ServerValue *field, int64 minimum, int64 maximum) {
    return operation("$and", {operation_of("$isNumber", field), operation("$gte", {field, integer_value(minimum)}),
                              operation("$lte", {field, integer_value(maximum)}),
                              operation("$eq", {field, operation("$trunc", {field})})});
}

/* Not too large for float4, nor so small that it would become zero. */
static ServerValue *fits_float32(ServerValue *field) {
    constexpr double largest = 3.4028234e38;
    constexpr double smallest = 1e-44;
    ServerValue *special =
        array_value({integer_value(0), float64_value(std::nan("")), float64_value(HUGE_VAL), float64_value(-HUGE_VAL)});
    auto between = [&](double low, double high) {
        return operation(
            "$and", {operation("$gte", {field, float64_value(low)}), operation("$lte", {field, float64_value(high)})});
    };
    return operation("$and", {operation_of("$isNumber", field),
                              operation("$or", {operation("$in", {field, special}), between(smallest, largest),
                                                between(-largest, -smallest)})});
}

/* A number that numeric(precision, scale) does not round, and of a double that it has the digits that one would think.
 */
static ServerValue *fits_numeric(ServerValue *field, int32 precision, int32 scale) {
    auto power_of_ten = [&](const char *sign) {
        Constant constant{};
        constant.kind = ConstantKind::decimal128;
        bson::parse_decimal128(psprintf("%s1E+%d", sign, precision - scale), constant.bytes);
        return constant_value(constant);
    };
    ServerValue *is_no_double = operation("$ne", {operation_of("$type", field), text_value("double")});
    ServerValue *has_places = operation(
        "$and", {is_no_double, operation("$eq", {field, operation("$trunc", {field, integer_value(scale)})})});
    return operation("$and",
                     {operation_of("$isNumber", field), operation("$gt", {field, power_of_ten("-")}),
                      operation("$lt", {field, power_of_ten("")}),
                      operation("$or", {has_places, is_integral_between(field, -exact_in_float64, exact_in_float64)})});
}

/* In milliseconds. */
static ServerValue *is_date_between(ServerValue *field, int64 first, int64 beyond) {
    /* Not $toLong, which raises an error for what is no date; $and need not stop at the first that is false. */
    ServerValue *milliseconds = converted(field, "long");
    return operation("$and", {has_type(field, {"date"}), operation("$gte", {milliseconds, integer_value(first)}),
                              operation("$lt", {milliseconds, integer_value(beyond)})});
}

/* Binary values compare by length, then subtype, then bytes (MongoDB manual, "Comparison/Sort Order"), so that those
 * of one subtype and 16 bytes lie between two of them. */
static Constant uuid_bound(uint8_t subtype, uint8_t byte) {
    Constant constant{};
    constant.kind = ConstantKind::uuid;
    constant.binary_subtype = subtype;
    memset(constant.bytes, byte, sizeof constant.bytes);
    return constant;
}

static ServerValue *is_text(ServerValue *field, int32 limit) {
    Constant nul{};
    nul.kind = ConstantKind::text;
    nul.text = {"\0", 1, nullptr};
    ServerValue *test = operation(
        "$and", {has_type(field, {"string"}),
                 operation("$lt", {operation("$indexOfBytes", {field, constant_value(nul)}), integer_value(0)})});
    if (limit >= 0)
        append_item(test->items[0], operation("$lte", {operation_of("$strLenCP", field), integer_value(limit)}));
    return test;
}

/* First the types all of whose values are native, because that is quick. */
static ServerValue *native_value_test(const UsedColumn &used, bool or_nothing) {
    const ColumnRule &rule = used.rule;
    ServerValue *field = field_value(used.path);
    ServerValue *types = array_value({});
    ServerValue *test = nullptr;
    auto always = [&](std::initializer_list<const char *> names) {
        for (const char *name : names)
            append_item(types, text_value(name));
    };
    switch (rule.kind) {
    case ColumnKind::integer:
        if (rule.base_type != INT2OID)
            always({"int"});
        if (rule.base_type == INT8OID)
            always({"long"});
        test = is_integral_between(field, rule.minimum, rule.maximum);
        break;
    case ColumnKind::float32:
        test = fits_float32(field);
        break;
    case ColumnKind::float64:
        always({"double", "int"});
        test = is_integral_between(field, -exact_in_float64, exact_in_float64);
        break;
    case ColumnKind::numeric:
        if (rule.scale < 0)
            always({"int", "long", "decimal"});
        test = rule.scale < 0 ? is_integral_between(field, -exact_in_float64, exact_in_float64)
                              : fits_numeric(field, rule.precision, rule.scale);
        break;
    case ColumnKind::boolean:
        always({"bool"});
        break;
    case ColumnKind::text:
        test = is_text(field, rule.limit);
        break;
    case ColumnKind::object_id:
        always({"objectId"});
        break;
    case ColumnKind::uuid:
        test = operation("$and", {operation("$gte", {field, constant_value(uuid_bound(rule.uuid_binary, 0))}),
                                  operation("$lte", {field, constant_value(uuid_bound(rule.uuid_binary, 0xff))})});
        break;
    case ColumnKind::timestamp:
        test = is_date_between(field, timestamp_first_millisecond, timestamp_beyond_millisecond);
        break;
    case ColumnKind::date:
        test = is_date_between(field, date_first_millisecond, date_beyond_millisecond);
        break;
    case ColumnKind::bytes:
        always({"binData"});
        break;
    case ColumnKind::other: /* good enough for "is there something", which is never called exact */
        test = operation("$gt", {field, null_value()});
        break;
    }
    if (or_nothing)
        always({"missing", "null"});
    if (types->count == 0)
        return test;
    ServerValue *by_type = types->count == 1 ? operation("$eq", {operation_of("$type", field), types->items[0]})
                                             : operation("$in", {operation_of("$type", field), types});
    return test ? operation("$or", {by_type, test}) : by_type;
}

ServerValue *native_test(const UsedColumn &used) {
    if (!used.field)
        return operation("$gt", {field_value(used.path), null_value()});
    return native_value_test(used, false);
}

ServerValue *odd_value_test(const UsedColumn &used) {
    if (!used.field)
        return boolean_value(false);
    /* An array on the way makes the field an array here, so that needs no test of its own. */
    return operation("$not", {native_value_test(used, true)});
}

/* --- odd values as query predicates ------------------------------------------------------------------------------ */

static FilterNode *all(std::initializer_list<FilterNode *> nodes) {
    return combine(NodeKind::all_of, nodes.begin(), static_cast<int>(nodes.size()));
}

static FilterNode *type_filter(const UsedColumn &used, const char *type) {
    const char **names = static_cast<const char **>(palloc(sizeof(char *)));
    names[0] = type;
    return type_node(used.path, {names, 1});
}

static FilterNode *pattern_filter(const char *path, const char *pattern) {
    Constant regex{};
    regex.kind = ConstantKind::regex;
    regex.text = {pattern, strlen(pattern), ""};
    return compare_node(path, BTEqualStrategyNumber, regex);
}

FilterNode *convertible_filter(const UsedColumn &used) {
    const ColumnRule &rule = used.rule;
    FilterNode *filter = rule.convertible.count > 0 ? type_node(used.path, rule.convertible) : nullptr;
    if (!used.field)
        return filter;
    if (rule.kind == ColumnKind::uuid) {
        const uint8_t other = rule.uuid_binary == 4 ? 3 : 4;
        filter = either(filter, all({compare_node(used.path, BTGreaterEqualStrategyNumber, uuid_bound(other, 0)),
                                     compare_node(used.path, BTLessEqualStrategyNumber, uuid_bound(other, 0xff))}));
    }
    if (rule.kind == ColumnKind::text && used.field->options.on_nul != bson::OnNul::error)
        filter = either(filter, pattern_filter(used.path, "\\x00"));
    if (rule.kind == ColumnKind::text && rule.limit >= 0) { /* blanks beyond the limit are cut */
        ServerValue *field = field_value(used.path);
        ServerValue *is_longer =
            operation("$and", {has_type(field, {"string"}),
                               operation("$gt", {operation_of("$strLenCP", field), integer_value(rule.limit)})});
        filter = either(filter, all({pattern_filter(used.path, " $"), expression_node(is_longer)}));
    }
    return filter;
}

FilterNode *arrays_before_end(const char *path, size_t start) {
    static constexpr const char *array_type[] = {"array"};
    FilterNode *filter = nullptr;
    for (const char *dot = strchr(path + start, '.'); dot; dot = strchr(dot + 1, '.'))
        filter = either(filter, type_node(pnstrdup(path, static_cast<Size>(dot - path)), list_of(array_type)));
    return filter;
}

/* The aggregation language's tests see these too; but SecantusDB, unlike MongoDB, has nothing there. */
static FilterNode *arrays_on_the_way(const UsedColumn &used) {
    const size_t own = strlen(bson::utf8_name(used.field->path)); /* before it stands the table's prefix */
    return arrays_before_end(used.path, strlen(used.path) - own);
}

FilterNode *null_by_oddity_filter(const UsedColumn &used) {
    if (!used.field)
        return nullptr;
    FilterNode *filter = type_filter(used, "undefined");
    if (used.field->options.on_mismatch == bson::OnMismatch::null) {
        if (used.rule.not_exact || refusal_in_expression(used)) /* what is refused can't be told */
            return make_node(NodeKind::everything);
        filter = either(filter, expression_node(odd_value_test(used)));
    }
    return either(filter, arrays_on_the_way(used));
}

FilterNode *odd_filter(const UsedColumn &used) {
    if (!used.field)
        return nullptr;
    FilterNode *filter = null_by_oddity_filter(used);
    if (filter->kind == NodeKind::everything || used.field->options.on_mismatch == bson::OnMismatch::null)
        return filter; /* has all that is odd */
    filter = either(filter, convertible_filter(used));
    FilterNode *odd = expression_node(odd_value_test(used));
    switch (used.rule.kind) {
    case ColumnKind::numeric:
        if (used.rule.scale >= 0)
            return either(filter, odd);
        return either(filter, all({type_filter(used, "double"), odd}));
    case ColumnKind::float64:
        return either(either(filter, all({type_filter(used, "decimal"), odd})), all({type_filter(used, "long"), odd}));
    default:
        return filter;
    }
}

/* Of the kind's BSON types, those that are always native, and those whose values have to be looked at. */
static void native_types(const ColumnRule &rule, List **always, List **sometimes) {
    auto add = [](List **list, std::initializer_list<const char *> names) {
        for (const char *name : names)
            *list = lappend(*list, const_cast<char *>(name));
    };
    switch (rule.kind) {
    case ColumnKind::integer:
        add(rule.base_type == INT2OID ? sometimes : always, {"int"});
        add(rule.base_type == INT8OID ? always : sometimes, {"long"});
        add(sometimes, {"double", "decimal"});
        break;
    case ColumnKind::float32:
        add(sometimes, {"int", "long", "double", "decimal"});
        break;
    case ColumnKind::float64:
        add(always, {"int", "double"});
        add(sometimes, {"long", "decimal"});
        break;
    case ColumnKind::numeric:
        add(rule.scale < 0 ? always : sometimes, {"int", "long", "decimal"});
        add(sometimes, {"double"});
        break;
    case ColumnKind::boolean:
        add(always, {"bool"});
        break;
    case ColumnKind::text:
        add(sometimes, {"string"});
        break;
    case ColumnKind::object_id:
        add(always, {"objectId"});
        break;
    case ColumnKind::uuid:
        add(sometimes, {"binData"});
        break;
    case ColumnKind::timestamp:
    case ColumnKind::date:
        add(sometimes, {"date"});
        break;
    case ColumnKind::bytes:
        add(always, {"binData"});
        break;
    case ColumnKind::other:
        break;
    }
}

static bool names_type(const List *list, const char *name) {
    ListCell *cell;
    foreach (cell, list)
        if (strcmp(static_cast<const char *>(lfirst(cell)), name) == 0)
            return true;
    return false;
}

FilterNode *any_odd_filter(const UsedColumn &used) {
    if (!used.field)
        return nullptr;
    List *always = NIL;
    List *sometimes = NIL;
    native_types(used.rule, &always, &sometimes);
    const char **others = static_cast<const char **>(palloc(sizeof(char *) * (lengthof(types_read_as_other) + 1)));
    int count = 0;
    others[count++] = "undefined";
    for (const char *name : types_read_as_other)
        if (!names_type(always, name) && !names_type(sometimes, name))
            others[count++] = name;
    FilterNode *filter = type_node(used.path, {others, count});
    if (sometimes != NIL) {
        const char **names = static_cast<const char **>(palloc(sizeof(char *) * list_length(sometimes)));
        for (int i = 0; i < list_length(sometimes); ++i)
            names[i] = static_cast<const char *>(list_nth(sometimes, i));
        FilterNode *looked_at = type_node(used.path, {names, list_length(sometimes)});
        filter = either(filter, all({looked_at, expression_node(odd_value_test(used))}));
    }
    return either(filter, arrays_on_the_way(used));
}

} // namespace mongoferry::query
