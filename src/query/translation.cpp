/* See translation.h: what all translations share. */
#include "query/translation.h"

#include "bson/converter.h"
#include "bson/objectid_type_id.h"
#include "query/column_rule.h"

extern "C" {
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
}

namespace mongoferry::query {

void use_field(Translation *translation, int table, AttrNumber column) {
    ListCell *cell;
    foreach (cell, translation->uses) {
        const FieldUse *use = static_cast<const FieldUse *>(lfirst(cell));
        if (use->table == table && use->column == column)
            return;
    }
    FieldUse *use = static_cast<FieldUse *>(palloc(sizeof(FieldUse)));
    *use = {table, column};
    translation->uses = lappend(translation->uses, use);
}

const Field *field_of(const Translation *translation, Node *expression, int *table, AttrNumber *column) {
    while (expression && IsA(expression, RelabelType))
        expression = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(expression)->arg);
    if (!expression || !IsA(expression, Var))
        return nullptr;
    const Var *var = reinterpret_cast<const Var *>(expression);
    const int position = static_cast<int>(var->varno) - 1;
    if (position < 0 || position >= translation->table_count || var->varlevelsup != 0 || var->varattno < 1)
        return nullptr;
    const RelationFields *fields = translation->tables[position].fields;
    if (var->varattno > fields->count || !fields->fields[var->varattno - 1].path)
        return nullptr;
    *table = position;
    *column = var->varattno;
    return &fields->fields[var->varattno - 1];
}

const char *path_of(const Translation *translation, int table, const Field *field) {
    const char *prefix = translation->tables[table].prefix;
    const char *path = bson::utf8_name(field->path);
    return prefix ? psprintf("%s.%s", prefix, path) : path;
}

ServerValue *odd_test(const Translation *translation) {
    ServerValue *any = operation("$or", {});
    ServerValue *arms = any->items[0];
    ListCell *cell;
    foreach (cell, translation->uses) {
        const FieldUse *use = static_cast<const FieldUse *>(lfirst(cell));
        append_item(arms, odd_value_test(column_at(translation, use->table, use->column)));
    }
    foreach (cell, translation->troubles)
        append_item(arms, static_cast<ServerValue *>(lfirst(cell)));
    if (arms->count == 0)
        return nullptr;
    return arms->count == 1 ? arms->items[0] : any;
}

FilterNode *odd_uses_filter(const Translation *translation, int table) {
    FilterNode *filter = nullptr;
    ListCell *cell;
    foreach (cell, translation->uses) {
        const FieldUse *use = static_cast<const FieldUse *>(lfirst(cell));
        if (use->table != table)
            continue;
        filter = either(filter, any_odd_filter(column_at(translation, use->table, use->column)));
    }
    return filter;
}

/* A value of a type whose like will be known when the scan starts: as plain as can be, so that it is translated if any
 * is. False for a type without. */
static bool stand_in_value(Oid type, Datum *value) {
    switch (type) {
    case BOOLOID:
        *value = BoolGetDatum(true);
        return true;
    case INT2OID:
        *value = Int16GetDatum(1);
        return true;
    case INT4OID:
        *value = Int32GetDatum(1);
        return true;
    case INT8OID:
        *value = Int64GetDatum(1);
        return true;
    case FLOAT4OID:
        *value = Float4GetDatum(1);
        return true;
    case FLOAT8OID:
        *value = Float8GetDatum(1);
        return true;
    case NUMERICOID:
        *value = NumericGetDatum(int64_to_numeric(1));
        return true;
    case TEXTOID:
    case VARCHAROID:
    case BPCHAROID:
        *value = CStringGetTextDatum("x");
        return true;
    case DATEOID:
        *value = DateADTGetDatum(0);
        return true;
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
        *value = TimestampTzGetDatum(0);
        return true;
    case UUIDOID:
        *value = PointerGetDatum(palloc0(UUID_LEN));
        return true;
    default:
        if (type == bson::objectid_type_id()) {
            *value = PointerGetDatum(palloc0(12));
            return true;
        }
        return false;
    }
}

int placeholder_of(Node *expression) {
    if (!IsA(expression, Param) || reinterpret_cast<const Param *>(expression)->paramkind != PARAM_EXTERN)
        return 0;
    return reinterpret_cast<const Param *>(expression)->paramid;
}

const Const *constant_of(const Translation *translation, Node *expression) {
    if (IsA(expression, Const))
        return reinterpret_cast<const Const *>(expression);
    if (translation->values_known || placeholder_of(expression) == 0)
        return nullptr;
    const Param *param = reinterpret_cast<const Param *>(expression);
    const Oid base_type = getBaseType(param->paramtype);
    const Oid element_type = get_base_element_type(param->paramtype);
    Datum value;
    if (!stand_in_value(OidIsValid(element_type) ? getBaseType(element_type) : base_type, &value))
        return nullptr;
    int16 length;
    bool by_value;
    char alignment;
    if (OidIsValid(element_type)) {
        get_typlenbyvalalign(element_type, &length, &by_value, &alignment);
        value = PointerGetDatum(construct_array(&value, 1, element_type, length, by_value, alignment));
    }
    get_typlenbyval(param->paramtype, &length, &by_value);
    return makeConst(param->paramtype, param->paramtypmod, param->paramcollid, length, value, false, by_value);
}

} // namespace mongoferry::query
