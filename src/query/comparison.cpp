/*
 * See comparison.h. For each type: what is sent, and why that is right.
 *
 * Source of MongoDB's side: manual, "Comparison Query Operators" (comparisons match values of the constant's type only,
 * numbers of all kinds being one type; NaN equals NaN and is neither less nor greater than anything) and "Query for
 * Null or Missing Fields". Numbers compare by value exactly across int, long, double and decimal.
 */
#include "query/comparison.h"

#include "query/comparison_work.h"

#include "bson/uuid_layout.h"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/typcache.h"
#include "utils/uuid.h"
}

namespace mongoferry::query {

/* --- comparisons ------------------------------------------------------------------------------------------------- */

Comparison negated(Comparison comparison) {
    switch (comparison) {
    case Comparison::equal:
        return Comparison::not_equal;
    case Comparison::not_equal:
        return Comparison::equal;
    case Comparison::less:
        return Comparison::greater_equal;
    case Comparison::less_equal:
        return Comparison::greater;
    case Comparison::greater:
        return Comparison::less_equal;
    default:
        return Comparison::less;
    }
}

Comparison commuted(Comparison comparison) {
    switch (comparison) {
    case Comparison::less:
        return Comparison::greater;
    case Comparison::less_equal:
        return Comparison::greater_equal;
    case Comparison::greater:
        return Comparison::less;
    case Comparison::greater_equal:
        return Comparison::less_equal;
    default:
        return comparison;
    }
}

static bool comparison_of_strategy(int strategy, Comparison *comparison) {
    switch (strategy) {
    case BTLessStrategyNumber:
        *comparison = Comparison::less;
        return true;
    case BTLessEqualStrategyNumber:
        *comparison = Comparison::less_equal;
        return true;
    case BTEqualStrategyNumber:
        *comparison = Comparison::equal;
        return true;
    case BTGreaterEqualStrategyNumber:
        *comparison = Comparison::greater_equal;
        return true;
    case BTGreaterStrategyNumber:
        *comparison = Comparison::greater;
        return true;
    default:
        return false;
    }
}

bool find_comparison(Oid operator_id, Oid left_type, Comparison *comparison) {
    const Oid base_type = getBaseType(left_type);
    const Oid type = base_type == VARCHAROID ? TEXTOID : base_type;
    const TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);
    if (!OidIsValid(entry->btree_opf))
        return false;
    if (comparison_of_strategy(get_op_opfamily_strategy(operator_id, entry->btree_opf), comparison))
        return true;
    const Oid negator = get_negator(operator_id); /* <> is in no family of btree */
    *comparison = Comparison::not_equal;
    return OidIsValid(negator) && get_op_opfamily_strategy(negator, entry->btree_opf) == BTEqualStrategyNumber;
}

namespace {

/* --- identifiers ------------------------------------------------------------------------------------------------- */

/* Native are binaries of one subtype. Of equal ones of the other subtype, and ObjectIds, the bytes are known. */
FilterNode *compare_uuid(Work *work, const uint8_t *bytes) {
    const UsedColumn &used = *work->used;
    const bson::UuidRepresentation representation =
        used.field ? used.field->options.uuid_representation : bson::UuidRepresentation::standard;
    uint8_t stored[UUID_LEN]; /* each of the legacy orders is its own reverse */
    bson::uuid_from_legacy(bytes, representation, stored);
    const Constant standard = uuid_constant(4, bytes);
    const Constant legacy = uuid_constant(3, stored);
    const Constant &native = used.rule.uuid_binary == 4 ? standard : legacy;
    if (work->comparison == Comparison::equal) {
        FilterNode *node = equals(*work, native);
        if (!used.field)
            return node;
        node = either(node, equals(*work, used.rule.uuid_binary == 4 ? legacy : standard));
        uint8_t object_id[12];
        if (bson::object_id_from_uuid(bytes, object_id))
            node = either(node, equals(*work, object_id_constant(object_id)));
        static constexpr const char *string_type = "string";
        return either(node, type_node(work->path(), {&string_type, 1}));
    }
    const bool keeps_order = used.rule.uuid_binary == 4 || memcmp(bytes, stored, UUID_LEN) == 0 ||
                             representation == bson::UuidRepresentation::python_legacy;
    if (work->comparison != Comparison::not_equal && !keeps_order) {
        work->exact = false;
        return some_value(work);
    }
    return compare(*work, work->comparison, native);
}

/* --- one comparison ---------------------------------------------------------------------------------------------- */

/* NULL where there is no rule for the two types. */
FilterNode *compare_native(Work *work, Oid compared_type, const Const *constant) {
    const Oid constant_type = getBaseType(constant->consttype);
    switch (work->used->rule.kind) {
    case ColumnKind::integer:
        return compare_integer(work, constant);
    case ColumnKind::float32:
    case ColumnKind::float64: {
        if (constant_type != FLOAT4OID && constant_type != FLOAT8OID)
            return nullptr;
        const double value = constant_type == FLOAT4OID ? static_cast<double>(DatumGetFloat4(constant->constvalue))
                                                        : DatumGetFloat8(constant->constvalue);
        return work->used->rule.kind == ColumnKind::float64 ? compare_float64(work, value)
                                                            : compare_float32(work, value);
    }
    case ColumnKind::numeric:
        return constant_type == NUMERICOID ? compare_numeric(work, constant->constvalue) : nullptr;
    case ColumnKind::boolean: {
        if (constant_type != BOOLOID)
            return nullptr;
        Constant made = boolean_constant(DatumGetBool(constant->constvalue));
        if (work->comparison != Comparison::not_equal || work->placeholder > 0)
            return compare(*work, work->comparison, made);
        made.boolean = !made.boolean;
        return compare(*work, Comparison::equal, made);
    }
    case ColumnKind::text:
        return constant_type == TEXTOID || constant_type == VARCHAROID ? compare_text(work, constant->constvalue)
                                                                       : nullptr;
    case ColumnKind::object_id:
        if (constant_type != work->used->rule.base_type || compared_type != constant_type)
            return nullptr;
        return compare(*work, work->comparison,
                       object_id_constant(reinterpret_cast<const uint8_t *>(DatumGetPointer(constant->constvalue))));
    case ColumnKind::uuid:
        return constant_type == UUIDOID ? compare_uuid(work, DatumGetUUIDP(constant->constvalue)->data) : nullptr;
    case ColumnKind::timestamp:
        return compare_timestamp(work, constant);
    case ColumnKind::date:
        return compare_date(work, constant);
    default:
        return nullptr;
    }
}

bool adds_convertible(const Work &work) {
    if (!work.used->field)
        return false;
    switch (work.used->rule.kind) {
    case ColumnKind::text:
    case ColumnKind::uuid: /* equality has arms of its own, and $nin lets pass all that is something else */
        return work.comparison != Comparison::equal &&
               (work.comparison != Comparison::not_equal || differs_by_order(work));
    case ColumnKind::date:
    case ColumnKind::boolean: /* <> true is said as = false */
        return true;
    default:
        return work.comparison != Comparison::not_equal || differs_by_order(work);
    }
}

const char *refusal_of_comparison(const Work &work, Oid collation) {
    if (const char *refusal = refusal_in_query(*work.used))
        return refusal;
    if (work.used->rule.not_comparable)
        return work.used->rule.not_comparable;
    if (work.used->rule.kind != ColumnKind::text)
        return nullptr;
    if (OidIsValid(collation) && !get_collation_isdeterministic(collation))
        return "the collation is not deterministic";
    const bool is_order = is_less(work.comparison) || is_greater(work.comparison);
    return is_order && !collation_is_c(collation) ? "text is ordered by its bytes only in the collation C" : nullptr;
}

} // namespace

static Predicate finish(const Work &work, FilterNode *node) {
    if (adds_convertible(work))
        node = either(node, convertible_filter(*work.used));
    const UsedColumn &used = *work.used;
    const bool exact = work.exact && !used.rule.not_exact && !used.of_elements && !used.has_position;
    return {node, exact};
}

Predicate compare_with_constant(Translation *translation, Node *expression, const UsedColumn &used, Oid compared_type,
                                Comparison comparison, const Const *constant, int placeholder, Oid collation) {
    Work work{&used, comparison, placeholder, true};
    if (const char *refusal = refusal_of_comparison(work, collation)) {
        not_sent(translation, expression, refusal);
        return {nullptr, false};
    }
    FilterNode *node = compare_native(&work, compared_type, constant);
    if (!node) {
        not_sent(translation, expression,
                 psprintf("a column of type %s can't be compared with this value of type %s in MongoDB",
                          format_type_be(used.rule.base_type), format_type_be(constant->consttype)));
        return {nullptr, false};
    }
    if (used.field)
        use_field(translation, used.table, used.column);
    return finish(work, node);
}

Predicate compare_object_id_with_uuid(Translation *translation, Node *expression, const UsedColumn &used,
                                      Comparison comparison, const Const *constant, int placeholder) {
    Work work{&used, comparison, placeholder, true};
    if (const char *refusal = refusal_of_comparison(work, InvalidOid)) {
        not_sent(translation, expression, refusal);
        return {nullptr, false};
    }
    uint8_t object_id[12]{};
    FilterNode *node;
    if (bson::object_id_from_uuid(DatumGetUUIDP(constant->constvalue)->data, object_id) || placeholder > 0)
        node = compare(work, comparison, object_id_constant(object_id)); /* to_uuid() keeps the order */
    else if (comparison == Comparison::equal)
        node = nothing();
    else if (comparison == Comparison::not_equal)
        node = some_value(&work);
    else {
        not_sent(translation, expression, "no ObjectId makes this UUID");
        return {nullptr, false};
    }
    if (used.field)
        use_field(translation, used.table, used.column);
    return finish(work, node);
}

Predicate match_pattern(Translation *translation, Node *expression, const UsedColumn &used, PatternKind kind,
                        bool matches, const Const *pattern, int placeholder, Oid collation) {
    Work work{&used, matches ? Comparison::equal : Comparison::not_equal, placeholder, true};
    const char *refusal = refusal_of_comparison(work, collation);
    if (!refusal && used.rule.kind != ColumnKind::text)
        refusal = "it is no column of type text";
    if (!refusal && !matches && (used.of_elements || used.has_position))
        refusal = refusal_in_expression(used);
    TextPattern translated{};
    if (!refusal)
        refusal =
            translate_pattern(kind, TextDatumGetCString(pattern->constvalue), collation_is_c(collation), &translated);
    if (!refusal && !matches && !translated.exact)
        refusal = "which letters are the same depends on the locale";
    if (refusal) {
        not_sent(translation, expression, refusal);
        return {nullptr, false};
    }
    if (used.field)
        use_field(translation, used.table, used.column);
    work.exact = translated.exact;
    if (translated.literal && placeholder == 0)
        return finish(work, compare_text(&work, CStringGetTextDatum(translated.literal)));
    return finish(work, match_text(work, translated));
}

/* --- NULL -------------------------------------------------------------------------------------------------------- */

static const char *refusal_of_null_test(const UsedColumn &used) {
    if (const char *refusal = refusal_in_query(used))
        return refusal;
    if (used.of_elements || used.has_position)
        return refusal_in_expression(used);
    return nullptr;
}

Predicate is_null_predicate(Translation *translation, Node *expression, const UsedColumn &used) {
    if (const char *refusal = refusal_of_null_test(used)) {
        not_sent(translation, expression, refusal);
        return {nullptr, false};
    }
    if (used.field)
        use_field(translation, used.table, used.column);
    FilterNode *node = compare_node(used.path, BTEqualStrategyNumber, Constant{}); /* missing too */
    node = either(node, null_by_oddity_filter(used));
    if (node->kind == NodeKind::everything) {
        not_sent(translation, expression, "what on_mismatch reads as NULL can't be told by the server");
        return {nullptr, false};
    }
    return {node, !used.rule.not_exact};
}

Predicate is_not_null_predicate(Translation *translation, Node *expression, const UsedColumn &used) {
    if (const char *refusal = refusal_of_null_test(used)) {
        not_sent(translation, expression, refusal);
        return {nullptr, false};
    }
    if (used.field)
        use_field(translation, used.table, used.column);
    FilterNode *node = not_null_node(used.path);
    /* An array that contains null is something too, where arrays are values. */
    static constexpr const char *array_type = "array";
    if (used.field && (used.rule.kind == ColumnKind::text || used.rule.kind == ColumnKind::other))
        node = either(node, type_node(used.path, {&array_type, 1}));
    return {node, !used.rule.not_exact};
}

} // namespace mongoferry::query
