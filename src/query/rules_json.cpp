/*
 * Conditions on the inside of a jsonb column, as predicates for the field below it, so that indexes serve. All are
 * wide: a path also goes into arrays, where SQL's operators do not, and values of other types may have the same text.
 *
 * As values, jsonb and what is taken out of it are not sent: a jsonb value is made of a whole document, and a scan may
 * refuse it for what lies elsewhere in it, which the server would not notice.
 *
 * What a value is in jsonb: Extended JSON (bson/jsonb.h). In the relaxed format, integers and finite doubles are
 * numbers; in both, strings, booleans, arrays and objects are what they are, and all else is an object whose keys begin
 * with a dollar.
 */
#include "query/column_rule.h"
#include "query/comparison.h"
#include "query/rule.h"

#include "bson/number_text.h"
#include "bson/path.h"

extern "C" {
#include "access/stratnum.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
}

#include <cmath>

namespace mongoferry::query {

namespace {

constexpr const char *number_types[] = {"double", "int", "long", "decimal"};
constexpr const char *boolean_type[] = {"bool"};
// clang-format off
/* Casts of these to a number raise an error, or give a number out of a string. */
constexpr const char *types_besides_numbers[] = {
    "string", "object", "array", "bool", "date", "objectId", "binData", "regex", "symbol", "javascript", "dbPointer", "timestamp", "minKey", "maxKey", "undefined",
    "javascriptWithScope", "decimal"};
constexpr const char *types_besides_integers[] = {
    "string", "object", "array", "bool", "date", "objectId", "binData", "regex", "symbol", "javascript", "dbPointer", "timestamp", "minKey", "maxKey", "undefined",
    "javascriptWithScope", "decimal", "double"};
constexpr const char *all_types[] = {
    "string", "object", "array", "bool", "date", "objectId", "binData", "regex", "symbol", "javascript", "dbPointer", "timestamp", "minKey", "maxKey", "undefined",
    "javascriptWithScope", "decimal", "double", "int", "long", "null"};
// clang-format on

/* --- paths ------------------------------------------------------------------------------------------------------- */

/* A place in a jsonb column. */
struct Place {
    const char *path; /* UTF-8; "" for the document itself */
    bool is_relaxed;  /* numbers are numbers */
};

/* A key that a path can name. In the database's encoding, which is UTF-8. */
bool is_plain_key(const char *key) {
    return key[0] != '\0' && key[0] != '$' && !strchr(key, '.');
}

bool go_down(Place *place, const char *key) {
    if (!is_plain_key(key))
        return false;
    place->path = place->path[0] ? psprintf("%s.%s", place->path, key) : pstrdup(key);
    return true;
}

const char *text_of(Node *node) {
    if (!IsA(node, Const) || reinterpret_cast<Const *>(node)->constisnull)
        return nullptr;
    return TextDatumGetCString(reinterpret_cast<Const *>(node)->constvalue);
}

/* Positions from the end have no path. */
bool go_to_position(Place *place, Node *node) {
    if (!IsA(node, Const) || reinterpret_cast<Const *>(node)->constisnull)
        return false;
    const int32 position = DatumGetInt32(reinterpret_cast<Const *>(node)->constvalue);
    return position >= 0 && go_down(place, psprintf("%d", position));
}

bool go_along(Place *place, Node *node) {
    if (!IsA(node, Const) || reinterpret_cast<Const *>(node)->constisnull)
        return false;
    Datum *keys;
    bool *nulls;
    int count;
    deconstruct_array(DatumGetArrayTypeP(reinterpret_cast<Const *>(node)->constvalue), TEXTOID, -1, false, TYPALIGN_INT,
                      &keys, &nulls, &count);
    for (int i = 0; i < count; ++i)
        if (nulls[i] || TextDatumGetCString(keys[i])[0] == '-' || !go_down(place, TextDatumGetCString(keys[i])))
            return false;
    return true;
}

bool find_place(const Translation *translation, Node *node, Place *place);

bool find_place_below(const Translation *translation, const List *arguments, Oid function, Place *place) {
    if (list_length(arguments) != 2 || !find_place(translation, static_cast<Node *>(linitial(arguments)), place))
        return false;
    Node *key = static_cast<Node *>(lsecond(arguments));
    switch (function) {
    case F_JSONB_OBJECT_FIELD:
    case F_JSONB_OBJECT_FIELD_TEXT:
        return text_of(key) && go_down(place, text_of(key));
    case F_JSONB_ARRAY_ELEMENT:
    case F_JSONB_ARRAY_ELEMENT_TEXT:
        return go_to_position(place, key);
    case F_JSONB_EXTRACT_PATH:
    case F_JSONB_EXTRACT_PATH_TEXT:
        return go_along(place, key);
    default:
        return false;
    }
}

bool gives_text(Oid function) {
    return function == F_JSONB_OBJECT_FIELD_TEXT || function == F_JSONB_ARRAY_ELEMENT_TEXT ||
           function == F_JSONB_EXTRACT_PATH_TEXT;
}

Oid function_of(Node *node) {
    if (IsA(node, OpExpr)) {
        set_opfuncid(reinterpret_cast<OpExpr *>(node));
        return reinterpret_cast<OpExpr *>(node)->opfuncid;
    }
    return IsA(node, FuncExpr) ? reinterpret_cast<FuncExpr *>(node)->funcid : InvalidOid;
}

List *arguments_of(Node *node) {
    return IsA(node, OpExpr) ? reinterpret_cast<OpExpr *>(node)->args : reinterpret_cast<FuncExpr *>(node)->args;
}

/* A jsonb column, or a jsonb value within one. */
bool find_place(const Translation *translation, Node *node, Place *place) {
    check_stack_depth();
    const Oid function = function_of(node);
    if (OidIsValid(function))
        return !gives_text(function) && find_place_below(translation, arguments_of(node), function, place);
    int table;
    AttrNumber column;
    const Field *field = field_of(translation, node, &table, &column);
    /* Where NULs are taken out of strings, these are others than the server's. */
    if (!field || getBaseType(field->type) != JSONBOID || field->options.on_nul != bson::OnNul::error)
        return false;
    place->is_relaxed = field->options.json_format == bson::JsonFormat::relaxed;
    if (strcmp(field->path, "$$ROOT") == 0) {
        const char *prefix = translation->tables[table].prefix;
        place->path = prefix ? prefix : "";
        return true;
    }
    if (refusal_in_query(column_at(translation, table, column)))
        return false;
    place->path = path_of(translation, table, field);
    return true;
}

/* The text of a jsonb value within a column. */
bool find_text_place(const Translation *translation, Node *node, Place *place) {
    while (IsA(node, RelabelType))
        node = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(node)->arg);
    const Oid function = function_of(node);
    return gives_text(function) && find_place_below(translation, arguments_of(node), function, place);
}

/* --- scalars ----------------------------------------------------------------------------------------------------- */

/* "path comparison number", also where the number is a double beside the decimal one; NULL if it can't be said. */
FilterNode *number_filter(const char *path, StrategyNumber comparison, Datum number, int placeholder) {
    const char *digits = DatumGetCString(DirectFunctionCall1(numeric_out, number));
    Constant exact{};
    exact.kind = ConstantKind::decimal128;
    exact.placeholder = placeholder;
    Constant nearest = float64_constant(strtod(digits, nullptr));
    nearest.placeholder = placeholder;
    if (!bson::parse_decimal128(digits, exact.bytes) || !std::isfinite(nearest.float64))
        return nullptr;
    const StrategyNumber bound = comparison == BTLessStrategyNumber      ? BTLessEqualStrategyNumber
                                 : comparison == BTGreaterStrategyNumber ? BTGreaterEqualStrategyNumber
                                                                         : comparison;
    return either(compare_node(path, bound, exact), compare_node(path, bound, nearest));
}

/* The value at the path is the scalar; NULL if it can't be said. Null may be missing too, and is not looked for. */
FilterNode *scalar_filter(const Place &place, const JsonbValue &scalar) {
    switch (scalar.type) {
    case jbvString: {
        Constant constant{};
        constant.kind = ConstantKind::text;
        constant.text = {scalar.val.string.val, static_cast<size_t>(scalar.val.string.len), nullptr};
        return compare_node(place.path, BTEqualStrategyNumber, constant);
    }
    case jbvNumeric:
        return place.is_relaxed
                   ? number_filter(place.path, BTEqualStrategyNumber, NumericGetDatum(scalar.val.numeric), 0)
                   : nullptr;
    case jbvBool:
        return compare_node(place.path, BTEqualStrategyNumber, boolean_constant(scalar.val.boolean));
    default:
        return nullptr;
    }
}

/* --- @> ---------------------------------------------------------------------------------------------------------- */

void collect_contained(const Place &place, JsonbContainer *container, List **filters);

void collect_value(const Place &place, const JsonbValue &value, bool in_array, List **filters) {
    if (value.type == jbvBinary) {
        /* An array in an array: a path goes into one of them only. */
        if (!(in_array && JsonContainerIsArray(value.val.binary.data)))
            collect_contained(place, value.val.binary.data, filters);
        return;
    }
    if (place.path[0] == '\0')
        return;
    if (FilterNode *filter = scalar_filter(place, value))
        *filters = lappend(*filters, filter);
}

/* What must be somewhere below the path for the value there to contain this. */
void collect_contained(const Place &place, JsonbContainer *container, List **filters) {
    check_stack_depth();
    JsonbIterator *iterator = JsonbIteratorInit(container);
    const bool is_array = JsonContainerIsArray(container);
    Place inside = place;
    bool can_go = true;
    JsonbValue value;
    JsonbIteratorToken token;
    while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE) {
        if (token == WJB_KEY) {
            inside = place;
            can_go = go_down(&inside, pnstrdup(value.val.string.val, value.val.string.len));
        } else if ((token == WJB_VALUE || token == WJB_ELEM) && can_go) {
            collect_value(inside, value, is_array, filters);
        }
    }
}

FilterNode *all_filters(List *filters) {
    FilterNode *result = nullptr;
    ListCell *cell;
    foreach (cell, filters) {
        FilterNode *pair[] = {result, static_cast<FilterNode *>(lfirst(cell))};
        result = result ? combine(NodeKind::all_of, pair, 2) : pair[1];
    }
    return result;
}

const Const *json_literal(Node *node) {
    if (!IsA(node, Const) || reinterpret_cast<Const *>(node)->constisnull)
        return nullptr;
    return reinterpret_cast<const Const *>(node);
}

FilterNode *contains_filter(const Translation *translation, Node *outer, Node *inner) {
    Place place;
    const Const *literal = json_literal(inner);
    if (!literal || !find_place(translation, outer, &place))
        return nullptr;
    List *filters = NIL;
    collect_contained(place, &DatumGetJsonbP(literal->constvalue)->root, &filters);
    return all_filters(filters);
}

/* --- ? and = ----------------------------------------------------------------------------------------------------- */

/* A key of an object, an element of an array, or the string itself. */
FilterNode *exists_filter(const Translation *translation, Node *object, Node *key) {
    Place place;
    const char *text = text_of(key);
    if (!text || !find_place(translation, object, &place))
        return nullptr;
    Place below = place;
    if (!go_down(&below, text))
        return nullptr;
    FilterNode *has_key = type_node(below.path, list_of(all_types));
    return place.path[0] == '\0'
               ? has_key
               : either(has_key, compare_node(place.path, BTEqualStrategyNumber, text_constant(text)));
}

FilterNode *json_equality(const Translation *translation, Node *left, Node *right) {
    Place place;
    const Const *literal = json_literal(right);
    if (!literal || !find_place(translation, left, &place) || place.path[0] == '\0')
        return nullptr;
    JsonbValue scalar;
    if (!JsonbExtractScalar(&DatumGetJsonbP(literal->constvalue)->root, &scalar))
        return nullptr;
    return scalar_filter(place, scalar);
}

/* --- ->> = text -------------------------------------------------------------------------------------------------- */

/* Which other values might read like this: numbers and booleans. NULL for what might be the text of an object. */
FilterNode *text_filter(const Place &place, const char *text, int placeholder) {
    Constant constant = text_constant(text);
    constant.placeholder = placeholder;
    FilterNode *same = compare_node(place.path, BTEqualStrategyNumber, constant);
    if (text[0] == '{' || text[0] == '[')
        return nullptr;
    if ((text[0] >= '0' && text[0] <= '9') || text[0] == '-')
        return either(same, type_node(place.path, list_of(number_types)));
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return either(same, type_node(place.path, list_of(boolean_type)));
    return same;
}

FilterNode *text_equality(const Translation *translation, Node *left, Node *right, Oid collation) {
    Place place;
    const Const *constant = constant_of(translation, right);
    if (!constant || constant->constisnull || constant->consttype != TEXTOID ||
        (OidIsValid(collation) && !get_collation_isdeterministic(collation)) ||
        !find_text_place(translation, left, &place))
        return nullptr;
    return text_filter(place, TextDatumGetCString(constant->constvalue), placeholder_of(right));
}

/* ->> … = ANY (constants) */
FilterNode *text_in_list(const Translation *translation, const ScalarArrayOpExpr *expression) {
    Place place;
    const Const *constant = constant_of(translation, static_cast<Node *>(lsecond(expression->args)));
    if (!expression->useOr || get_opcode(expression->opno) != F_TEXTEQ || !constant || constant->constisnull ||
        (OidIsValid(expression->inputcollid) && !get_collation_isdeterministic(expression->inputcollid)) ||
        !find_text_place(translation, static_cast<Node *>(linitial(expression->args)), &place))
        return nullptr;
    Datum *texts;
    bool *nulls;
    int count;
    deconstruct_array(DatumGetArrayTypeP(constant->constvalue), TEXTOID, -1, false, TYPALIGN_INT, &texts, &nulls,
                      &count);
    FilterNode *result = nullptr;
    for (int i = 0; i < count; ++i) {
        if (nulls[i])
            continue;
        FilterNode *one = text_filter(place, TextDatumGetCString(texts[i]),
                                      placeholder_of(static_cast<Node *>(lsecond(expression->args))));
        if (!one)
            return nullptr;
        result = either(result, one);
    }
    return result;
}

/* --- (->> …)::number --------------------------------------------------------------------------------------------- */

StrategyNumber strategy_of(Comparison comparison) {
    switch (comparison) {
    case Comparison::less:
        return BTLessStrategyNumber;
    case Comparison::less_equal:
        return BTLessEqualStrategyNumber;
    case Comparison::equal:
        return BTEqualStrategyNumber;
    case Comparison::greater_equal:
        return BTGreaterEqualStrategyNumber;
    case Comparison::greater:
        return BTGreaterStrategyNumber;
    default:
        return InvalidStrategy;
    }
}

/* Values of the path whose text the cast to a number refuses, or reads in its own way, besides those that compare. */
FilterNode *other_numbers(const char *path, Oid type) {
    if (type == NUMERICOID || type == FLOAT8OID) {
        FilterNode *filter = type_node(path, list_of(types_besides_numbers));
        for (const double special : {std::nan(""), HUGE_VAL, -HUGE_VAL})
            filter = either(filter, compare_node(path, BTEqualStrategyNumber, float64_constant(special)));
        return filter;
    }
    FilterNode *filter = type_node(path, list_of(types_besides_integers));
    if (type == INT8OID)
        return filter;
    const int64 largest = type == INT2OID ? PG_INT16_MAX : PG_INT32_MAX;
    return either(filter, either(compare_node(path, BTGreaterStrategyNumber, integer_constant(largest)),
                                 compare_node(path, BTLessStrategyNumber, integer_constant(-largest - 1))));
}

/* The constant as numeric; false for other types. */
bool number_of(const Const *constant, Datum *number) {
    switch (constant->consttype) {
    case INT2OID:
        *number = DirectFunctionCall1(int2_numeric, constant->constvalue);
        return true;
    case INT4OID:
        *number = DirectFunctionCall1(int4_numeric, constant->constvalue);
        return true;
    case INT8OID:
        *number = DirectFunctionCall1(int8_numeric, constant->constvalue);
        return true;
    case NUMERICOID:
        *number = constant->constvalue;
        return !numeric_is_nan(DatumGetNumeric(*number)) && !numeric_is_inf(DatumGetNumeric(*number));
    default:
        return false;
    }
}

FilterNode *cast_comparison(const Translation *translation, Node *left, Comparison comparison, Node *right) {
    if (!IsA(left, CoerceViaIO))
        return nullptr;
    const Oid type = reinterpret_cast<CoerceViaIO *>(left)->resulttype;
    Place place;
    Datum number;
    const Const *constant = constant_of(translation, right);
    if ((type != INT2OID && type != INT4OID && type != INT8OID && type != NUMERICOID) || !constant ||
        constant->constisnull || strategy_of(comparison) == InvalidStrategy || !number_of(constant, &number) ||
        !find_text_place(translation, reinterpret_cast<Node *>(reinterpret_cast<CoerceViaIO *>(left)->arg), &place) ||
        !place.is_relaxed)
        return nullptr;
    FilterNode *compared = number_filter(place.path, strategy_of(comparison), number, placeholder_of(right));
    return compared ? either(compared, other_numbers(place.path, type)) : nullptr;
}

/* --- conditions -------------------------------------------------------------------------------------------------- */

FilterNode *operator_filter(const Translation *translation, OpExpr *expression) {
    if (list_length(expression->args) != 2)
        return nullptr;
    Node *left = static_cast<Node *>(linitial(expression->args));
    Node *right = static_cast<Node *>(lsecond(expression->args));
    switch (function_of(reinterpret_cast<Node *>(expression))) {
    case F_JSONB_CONTAINS:
        return contains_filter(translation, left, right);
    case F_JSONB_CONTAINED:
        return contains_filter(translation, right, left);
    case F_JSONB_EXISTS:
        return exists_filter(translation, left, right);
    case F_JSONB_EQ:
        return IsA(left, Const) ? json_equality(translation, right, left) : json_equality(translation, left, right);
    case F_TEXTEQ:
        return constant_of(translation, left) ? text_equality(translation, right, left, expression->inputcollid)
                                              : text_equality(translation, left, right, expression->inputcollid);
    default:
        break;
    }
    Comparison comparison;
    if (!find_comparison(expression->opno, exprType(left), &comparison))
        return nullptr;
    if (constant_of(translation, left)) {
        std::swap(left, right);
        comparison = commuted(comparison);
    }
    return cast_comparison(translation, left, comparison, right);
}

} // namespace

FilterNode *translate_json_condition(Translation *translation, Node *condition) {
    if (GetDatabaseEncoding() != PG_UTF8)
        return nullptr;
    if (IsA(condition, OpExpr))
        return operator_filter(translation, reinterpret_cast<OpExpr *>(condition));
    if (IsA(condition, ScalarArrayOpExpr))
        return text_in_list(translation, reinterpret_cast<ScalarArrayOpExpr *>(condition));
    return nullptr;
}

/* --- the table --------------------------------------------------------------------------------------------------- */

// clang-format off
static const FunctionRule rules[] = {
    {"data->>'key' = text, data#>>'{a,b}' = text, IN", "{'data.key': text}, or a number or boolean that might have this text",
     "as a condition, checked again; keys and positions are constants without dots and dollars; the database's encoding is UTF8", nullptr, {}},
    {"(data->>'key')::integer, bigint, smallint, numeric = < <= > >= number", "{'data.key': {$gt: number}}, or a value of which the cast might make something else",
     "as a condition, checked again; json_format is relaxed", nullptr, {}},
    {"data @> json, data->'key' @> json", "{'data.a': 1, 'data.b.c': 'x'}", "as a condition, checked again; by the strings, numbers and booleans in json", nullptr, {}},
    {"data->'key' = json", "{'data.key': 1}", "as a condition, checked again; json is a string, number or boolean", nullptr, {}},
    {"data ? 'key'", "{'data.key': {$type: […]}}, or the string 'key' in an array", "as a condition, checked again", nullptr, {}},
    {"jsonb ->, ->>, #>, #>>, ?, @> as values", nullptr, "jsonb is made of a whole document, which a scan may refuse for what lies elsewhere in it", nullptr,
     {F_JSONB_OBJECT_FIELD, F_JSONB_OBJECT_FIELD_TEXT, F_JSONB_ARRAY_ELEMENT, F_JSONB_ARRAY_ELEMENT_TEXT, F_JSONB_EXTRACT_PATH,
      F_JSONB_EXTRACT_PATH_TEXT, F_JSONB_EXISTS, F_JSONB_CONTAINS, F_JSONB_CONTAINED, F_JSONB_EQ}},
};
// clang-format on

const RuleGroup json_rules = {"jsonb", rules, lengthof(rules)};

} // namespace mongoferry::query
