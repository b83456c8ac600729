/*
 * SQL values → the aggregation language: columns, constants and logic. Functions and operators are function_rules.h's.
 */
#include "query/column_rule.h"
#include "query/function_rules.h"
#include "query/translation.h"

#include "bson/number_text.h"
#include "bson/objectid_type_id.h"

extern "C" {
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "utils/date.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
}

namespace mongoferry::query {

static constexpr int64 milliseconds_per_day = 86400000;
static constexpr int64 epoch_days = POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE;

/* --- constants --------------------------------------------------------------------------------------------------- */

/* NULL, or why it is not. */
static const char *constant_of_datum(Oid type, Datum value, Constant *made) {
    switch (type) {
    case BOOLOID:
        made->kind = ConstantKind::boolean;
        made->boolean = DatumGetBool(value);
        return nullptr;
    case INT2OID:
        made->kind = ConstantKind::integer;
        made->integer = DatumGetInt16(value);
        return nullptr;
    case INT4OID:
        made->kind = ConstantKind::integer;
        made->integer = DatumGetInt32(value);
        return nullptr;
    case INT8OID:
        made->kind = ConstantKind::integer;
        made->integer = DatumGetInt64(value);
        return nullptr;
    case FLOAT8OID:
        made->kind = ConstantKind::float64;
        made->float64 = DatumGetFloat8(value);
        return nullptr;
    case NUMERICOID: {
        const char *text = DatumGetCString(DirectFunctionCall1(numeric_out, value));
        made->kind = ConstantKind::decimal128;
        return bson::parse_decimal128(text, made->bytes) ? nullptr : "it has more digits than Decimal128";
    }
    case TEXTOID:
    case VARCHAROID: {
        if (GetDatabaseEncoding() != PG_UTF8)
            return "the database's encoding is not UTF8";
        const char *characters = TextDatumGetCString(value);
        made->kind = ConstantKind::text;
        made->text = {characters, strlen(characters), nullptr};
        return nullptr;
    }
    case TIMESTAMPOID:
    case TIMESTAMPTZOID: {
        const Timestamp microseconds = DatumGetTimestamp(value);
        if (TIMESTAMP_NOT_FINITE(microseconds))
            return "there is no infinite date in MongoDB";
        if (microseconds % 1000 != 0)
            return "dates in MongoDB have milliseconds";
        made->kind = ConstantKind::date;
        made->integer = microseconds / 1000 + epoch_days * milliseconds_per_day;
        return nullptr;
    }
    case DATEOID: {
        const DateADT day = DatumGetDateADT(value);
        if (DATE_NOT_FINITE(day))
            return "there is no infinite date in MongoDB";
        made->kind = ConstantKind::date;
        made->integer = (day + epoch_days) * milliseconds_per_day;
        return nullptr;
    }
    case UUIDOID:
        made->kind = ConstantKind::uuid;
        made->binary_subtype = 4;
        memcpy(made->bytes, DatumGetUUIDP(value)->data, UUID_LEN);
        return nullptr;
    default:
        if (type == bson::objectid_type_id()) {
            made->kind = ConstantKind::object_id;
            memcpy(made->bytes, DatumGetPointer(value), 12);
            return nullptr;
        }
        return psprintf("there is no rule for constants of type %s", format_type_be(type));
    }
}

/* A constant of a type as a value of the server's; false, with a reason, if there is none that is the same. */
static bool make_constant(Translation *translation, const Const *constant, int placeholder, Constant *made) {
    *made = {};
    made->placeholder = placeholder;
    if (constant->constisnull)
        return true;
    const char *why_not = constant_of_datum(getBaseType(constant->consttype), constant->constvalue, made);
    if (why_not)
        not_sent(translation, constant, why_not);
    return !why_not;
}

/* --- columns ----------------------------------------------------------------------------------------------------- */

/* Why there is no exact value of a column in the aggregation language; NULL if there is. */
static const char *refusal_of_value(const UsedColumn &used) {
    if (const char *refusal = refusal_in_expression(used))
        return refusal;
    if (used.rule.not_comparable)
        return used.rule.not_comparable;
    if (used.rule.not_exact)
        return used.rule.not_exact;
    if (used.rule.scale >= 0)
        return "the type modifier of numeric sets the number of digits";
    if (used.rule.kind == ColumnKind::float32 && used.field)
        return "real rounds values";
    if (used.rule.kind == ColumnKind::uuid && used.rule.uuid_binary != 4)
        return "UUIDs of subtype 3 are only compared with constants";
    return nullptr;
}

/* A native value, or null. In numeric columns integral doubles are native, in float8 columns integers of other types:
 * these become what all others are. */
static ServerValue *sanitised(const UsedColumn &used, ServerValue *field) {
    ServerValue *value = field;
    ServerValue *is_double = operation("$eq", {operation_of("$type", field), text_value("double")});
    if (used.rule.kind == ColumnKind::numeric)
        value = operation("$cond", {is_double, operation_of("$toLong", field), field});
    else if (used.rule.kind == ColumnKind::float64)
        value = operation("$cond", {is_double, field, operation_of("$toDouble", field)});
    return operation("$cond", {native_test(used), value, null_value()});
}

/* raw: as the field is, for total operators. */
static ServerValue *translate_column(Translation *translation, Node *expression, const UsedColumn &used, bool raw) {
    if (const char *refusal = refusal_of_value(used))
        return not_sent(translation, expression, refusal);
    ServerValue *field = field_value(used.path);
    if (!used.field)
        return field;
    use_field(translation, used.table, used.column);
    const bool is_date = used.rule.kind == ColumnKind::date;
    if (raw && !is_date)
        return field;
    if (!is_date)
        return sanitised(used, field);
    ServerValue *day = document_value();
    append_entry(day, "date", sanitised(used, field));
    append_entry(day, "unit", text_value("day"));
    return operation_of("$dateTrunc", day);
}

/* --- any expression ---------------------------------------------------------------------------------------------- */

static ServerValue *translate(Translation *translation, Node *expression, bool raw) {
    check_stack_depth();
    UsedColumn used;
    if (find_column(translation, expression, &used))
        return translate_column(translation, expression, used, raw);
    if (const Const *constant = constant_of(translation, expression)) {
        Constant made;
        if (!make_constant(translation, constant, placeholder_of(expression), &made))
            return nullptr;
        return constant_value(made);
    }
    if (IsA(expression, RelabelType))
        return translate(translation, reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(expression)->arg), raw);
    return translate_function(translation, expression);
}

ServerValue *translate_value(Translation *translation, Node *expression) {
    return translate(translation, expression, false);
}

ServerValue *translate_operand(Translation *translation, Node *expression) {
    return translate(translation, expression, true);
}

} // namespace mongoferry::query
