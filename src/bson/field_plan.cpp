/*
 * Reading documents by a field plan; see field_plan.h. The paths of the wanted fields form a tree; reading a document
 * walks document and tree together, and leaves a level as soon as all of its keys were found.
 *
 * With unwind there are two trees. That of the document is walked once a document: it finds the array, and keeps the
 * values of the other columns as they stand in the document, to be converted for each row (a row's values live in the
 * row's memory). That of the element is walked for each row.
 *
 * With a row filter the one walk does it all: it converts the columns of the stage that is due, keeps the values of
 * later ones as they stand, and asks the filter when the last column of the stage is found. If the row fails the walk
 * ends there; if it passes what was kept is converted and the walk goes on.
 */
#include "bson/field_plan_parts.h"

namespace mongoferry::bson {

namespace {

/* What a walk does with the values that columns want; filter: converts those that are due, and keeps the others. */
enum class Walk : uint8_t { convert, keep, filter };

struct Target {
    FieldPlan *plan;
    uint64_t walk;
    Datum *values;
    bool *nulls;
};

inline void convert_column(const Target &target, Column *column, const Value &value) {
    Conversion &conversion = target.plan->conversion;
    conversion.column = column;
    const int slot = column->field.slot;
    target.nulls[slot] = !convert(*column->converter, conversion, value, &target.values[slot]);
}

/* --- the row filter --------------------------------------------------------------------------------------------- */

/* Converts a value of a row that may still be removed, or have been. A misfit in the document is the same one for each
 * of its rows; one of an element, or a position, is another one each time. */
inline void prepare_staged(FieldPlan *plan, Column *column) {
    const bool is_shared = !column->of_element && !column->is_position;
    plan->conversion.repeats = is_shared && column->converted_in == plan->document_walk;
    column->converted_in = plan->document_walk;
}

inline void convert_staged(const Target &target, Column *column, const Value &value) {
    prepare_staged(target.plan, column);
    convert_column(target, column, value);
}

/* Whether the row has a value for the column so far; then it is in column->value. */
inline bool has_kept_value(const Target &target, Column *column) {
    FieldPlan *plan = target.plan;
    if (column->is_position) {
        if (plan->conversion.position < 0)
            return false;
        plan->shown_position = plan->conversion.position;
        column->value = {Type::int64, reinterpret_cast<const uint8_t *>(&plan->shown_position),
                         sizeof plan->shown_position};
        return true;
    }
    return column->found_in == (column->of_element ? target.walk : plan->document_walk);
}

/* Makes a stage the one that is due: what was found of it is converted. */
void enter_stage(const Target &target, int number) {
    FieldPlan *plan = target.plan;
    const Stage &stage = plan->stages[number];
    plan->stage = number;
    plan->pending = 0;
    for (int index = 0; index < stage.column_count; ++index) {
        Column *column = &plan->columns[stage.columns[index]];
        if (has_kept_value(target, column))
            convert_staged(target, column, column->value);
        else
            ++plan->pending;
    }
}

/* The walk is over: what was not found of the stage that is due is not there. Domains judge that. */
void convert_missing_of_stage(const Target &target) {
    FieldPlan *plan = target.plan;
    for (int index = 0; index < plan->late_count; ++index) {
        Column *column = &plan->columns[plan->late_columns[index]];
        if (column->field.stage != plan->stage || has_kept_value(target, column))
            continue;
        prepare_staged(plan, column);
        plan->conversion.column = column;
        const int slot = column->field.slot;
        target.nulls[slot] = !convert_missing(*column->converter, plan->conversion, &target.values[slot]);
    }
}

/* Asks the filter about the stage that is due. False if the row is removed. */
inline bool passes_stage(FieldPlan *plan) {
    if (plan->filter.passes(plan->filter.context, plan->stage))
        return true;
    ++plan->rows_removed;
    plan->is_removed = true;
    return false;
}

/* Asks as long as all columns are there that are to be looked at. False if the row is removed. */
bool pass_complete_stages(const Target &target) {
    FieldPlan *plan = target.plan;
    while (plan->stage < plan->filter.stage_count && plan->pending == 0) {
        if (!passes_stage(plan))
            return false;
        enter_stage(target, plan->stage + 1);
    }
    return true;
}

/* After the walk: the stages that wait for columns which are not there. False if the row is removed. */
bool pass_remaining_stages(const Target &target) {
    FieldPlan *plan = target.plan;
    for (;;) {
        if (plan->late_count > 0)
            convert_missing_of_stage(target);
        if (plan->stage == plan->filter.stage_count)
            return true;
        if (!passes_stage(plan))
            return false;
        enter_stage(target, plan->stage + 1);
    }
}

/* --- the walk --------------------------------------------------------------------------------------------------- */

template <Walk walk>
void walk_document(const Target &target, PathNode *node, View document);
template <Walk walk>
void walk_array(const Target &target, PathNode *node, View array);

template <Walk walk>
inline void visit(const Target &target, PathNode *node, const Value &value) {
    FieldPlan *plan = target.plan;
    for (int index = 0; index < node->column_count; ++index) {
        Column *column = &plan->columns[node->columns[index]];
        column->found_in = target.walk;
        if constexpr (walk == Walk::convert)
            convert_column(target, column, value);
        else if constexpr (walk == Walk::keep)
            column->value = value;
        else if (column->field.stage > plan->stage)
            column->value = value;
        else {
            convert_staged(target, column, value);
            if (column->field.stage == plan->stage && --plan->pending == 0 && !pass_complete_stages(target))
                return;
        }
    }
    if constexpr (walk == Walk::keep)
        if (node->is_unwound) {
            plan->unwound = value;
            plan->has_unwound = true;
        }
    if (node->node_count > 0) {
        if (value.type == Type::object)
            walk_document<walk>(target, node, document_of(value));
        else if (value.type == Type::array && node->has_positions)
            walk_array<walk>(target, node, document_of(value));
    }
}

template <Walk walk>
void walk_document(const Target &target, PathNode *node, View document) {
    KeySet *keys = node->keys;
    KeySet::Place place = keys->begin();
    int remaining = node->node_count;
    Iterator iterator(document);
    while (iterator.next()) {
        const int index = keys->find(iterator.key(), &place);
        if (index < 0)
            continue;
        PathNode *child = node->nodes[index];
        if (child->seen_in == target.walk) /* of duplicate keys the first counts */
            continue;
        child->seen_in = target.walk;
        visit<walk>(target, child, iterator.value());
        if constexpr (walk == Walk::filter)
            if (target.plan->is_removed)
                return;
        if (--remaining == 0)
            return;
    }
    if (iterator.failed())
        raise_corrupt_document(target.plan->conversion, document.data + iterator.error_offset(), iterator.error());
}

/* Through an array by position: its keys are not looked at, as MongoDB doesn't. */
template <Walk walk>
void walk_array(const Target &target, PathNode *node, View array) {
    int remaining = 0;
    for (int index = 0; index < node->node_count; ++index)
        remaining += node->nodes[index]->position >= 0;
    Iterator iterator(array);
    for (int64_t position = 0; remaining > 0 && iterator.next(); ++position)
        for (int index = 0; index < node->node_count; ++index)
            if (node->nodes[index]->position == position) {
                visit<walk>(target, node->nodes[index], iterator.value());
                if constexpr (walk == Walk::filter)
                    if (target.plan->is_removed)
                        return;
                --remaining;
                break;
            }
    if (iterator.failed())
        raise_corrupt_document(target.plan->conversion, array.data + iterator.error_offset(), iterator.error());
}

/* Domains judge the NULL of a field that is not there. element_walk is 0 without unwind. */
void convert_missing_columns(const Target &target, uint64_t element_walk) {
    FieldPlan *plan = target.plan;
    for (int index = 0; index < plan->late_count; ++index) {
        Column *column = &plan->columns[plan->late_columns[index]];
        if (column->found_in == (column->of_element ? element_walk : plan->document_walk))
            continue;
        plan->conversion.column = column;
        plan->conversion.repeats = !plan->is_first_row && !column->of_element;
        const int slot = column->field.slot;
        target.nulls[slot] = !convert_missing(*column->converter, plan->conversion, &target.values[slot]);
    }
}

/* The columns of an unwound row that don't come from the element. */
void convert_kept_columns(const Target &target) {
    FieldPlan *plan = target.plan;
    Conversion *conversion = &plan->conversion;
    for (int index = 0; index < plan->column_count; ++index) {
        Column *column = &plan->columns[index];
        if (column->of_element)
            continue;
        if (column->is_position) {
            if (conversion->position < 0)
                continue;
            plan->shown_position = conversion->position;
            column->value = {Type::int64, reinterpret_cast<const uint8_t *>(&plan->shown_position),
                             sizeof plan->shown_position};
            column->found_in = plan->document_walk;
        } else if (column->found_in != plan->document_walk)
            continue;
        /* A misfit in the document is the same one for each of its rows, a position is another one each time. */
        conversion->repeats = !plan->is_first_row && !column->is_position;
        convert_column(target, column, column->value);
    }
}

/* Finds the element of the next row. False if there are no more rows; the element has no bytes in an outer row. */
bool next_element(FieldPlan *plan, Value *element, bool *has_element) {
    Conversion *conversion = &plan->conversion;
    *has_element = true;
    switch (plan->rows) {
    case FieldPlan::Rows::elements:
        if (plan->elements.next()) {
            *element = plan->elements.value();
            ++conversion->position;
            return true;
        }
        if (plan->elements.failed())
            raise_corrupt_document(*conversion, plan->unwound.bytes + plan->elements.error_offset(),
                                   plan->elements.error());
        plan->rows = FieldPlan::Rows::none;
        *has_element = false;
        return conversion->position < 0 && plan->unwind_outer; /* an empty array */
    case FieldPlan::Rows::unwound_value:
        *element = plan->unwound;
        plan->rows = FieldPlan::Rows::none;
        return true;
    case FieldPlan::Rows::outer:
        *has_element = false;
        plan->rows = FieldPlan::Rows::none;
        return true;
    default:
        return false;
    }
}

/* One row of a document that is not unwound. */
bool read_filtered_row(FieldPlan *plan, Datum *values, bool *nulls) {
    const View document = plan->conversion.document;
    const Target target{plan, plan->document_walk, values, nulls};
    memset(nulls, true, sizeof(bool) * static_cast<size_t>(plan->slot_count));
    plan->is_removed = false;
    enter_stage(target, 0);
    if (!pass_complete_stages(target))
        return false;
    visit<Walk::filter>(target, plan->document_tree, Value{Type::object, document.data, document.size});
    return !plan->is_removed && pass_remaining_stages(target);
}

/* Whether the document has no row that a filter could be asked about. */
bool gives_no_row(const FieldPlan *plan) {
    constexpr size_t empty_array_size = 5;
    return plan->rows == FieldPlan::Rows::none ||
           (plan->rows == FieldPlan::Rows::elements && !plan->unwind_outer && plan->unwound.size == empty_array_size);
}

/* How many rows the document gives. */
int64_t count_rows(const FieldPlan *plan) {
    if (plan->rows != FieldPlan::Rows::elements)
        return plan->rows != FieldPlan::Rows::none;
    Iterator elements(document_of(plan->unwound));
    int64_t count = 0;
    while (elements.next())
        ++count;
    return count == 0 && plan->unwind_outer ? 1 : count;
}

/* Asks the stages that concern the document, once for all its rows. */
bool passes_document(FieldPlan *plan, const Target &target) {
    plan->is_removed = false;
    for (int stage = 0; stage < plan->document_stages; ++stage) {
        enter_stage(target, stage);
        if (plan->late_count > 0)
            convert_missing_of_stage(target);
        if (!passes_stage(plan)) {
            if (plan->filter.counts_rows)
                plan->rows_removed += count_rows(plan) - 1;
            return false;
        }
    }
    return true;
}

bool read_filtered_element(const Target &target, const Value *element) {
    FieldPlan *plan = target.plan;
    plan->is_removed = false;
    enter_stage(target, plan->document_stages);
    if (!pass_complete_stages(target))
        return false;
    if (element) {
        visit<Walk::filter>(target, plan->element_tree, *element);
        if (plan->is_removed)
            return false;
    }
    return pass_remaining_stages(target);
}

bool next_filtered_element(FieldPlan *plan, Datum *values, bool *nulls) {
    const size_t nulls_size = sizeof(bool) * static_cast<size_t>(plan->slot_count);
    bool is_converted = false; /* what the document's stages look at */
    if (!plan->is_document_judged) {
        plan->is_document_judged = true;
        if (gives_no_row(plan))
            return false;
        memset(nulls, true, nulls_size);
        if (!passes_document(plan, Target{plan, plan->document_walk, values, nulls})) {
            plan->rows = FieldPlan::Rows::none;
            return false;
        }
        is_converted = true;
    }
    Value element;
    bool has_element;
    while (next_element(plan, &element, &has_element)) {
        const Target target{plan, ++plan->last_walk, values, nulls};
        if (!is_converted) {
            memset(nulls, true, nulls_size);
            for (int stage = 0; stage < plan->document_stages; ++stage)
                enter_stage(target, stage);
        }
        is_converted = false;
        if (read_filtered_element(target, has_element ? &element : nullptr))
            return true;
    }
    return false;
}

bool next_unwound_row(FieldPlan *plan, Datum *values, bool *nulls) {
    Value element;
    bool has_element;
    if (!next_element(plan, &element, &has_element))
        return false;

    memset(nulls, true, sizeof(bool) * static_cast<size_t>(plan->slot_count));
    const Target target{plan, ++plan->last_walk, values, nulls};
    convert_kept_columns(target);
    plan->conversion.repeats = false;
    if (has_element)
        visit<Walk::convert>(target, plan->element_tree, element);
    if (plan->late_count > 0)
        convert_missing_columns(target, target.walk);
    plan->is_first_row = false;
    return true;
}

} // namespace

void begin_document(FieldPlan *plan, View document, int64_t offset) {
    Conversion *conversion = &plan->conversion;
    conversion->document = document;
    conversion->offset = offset;
    conversion->position = -1;
    conversion->step = nullptr; /* an error may have left it */
    conversion->repeats = false;
    plan->document_walk = ++plan->last_walk;
    plan->is_first_row = true;

    if (!plan->element_tree) {
        plan->rows = FieldPlan::Rows::single;
        return;
    }

    plan->has_unwound = false;
    plan->is_document_judged = false;
    plan->rows = FieldPlan::Rows::none;
    visit<Walk::keep>(Target{plan, plan->document_walk, nullptr, nullptr}, plan->document_tree,
                      Value{Type::object, document.data, document.size});
    if (!plan->has_unwound || plan->unwound.type == Type::null || plan->unwound.type == Type::undefined)
        plan->rows = plan->unwind_outer ? FieldPlan::Rows::outer : FieldPlan::Rows::none;
    else if (plan->unwound.type == Type::array) {
        plan->rows = FieldPlan::Rows::elements;
        plan->elements = Iterator(document_of(plan->unwound));
    } else
        plan->rows = FieldPlan::Rows::unwound_value;
}

bool next_row(FieldPlan *plan, Datum *values, bool *nulls) {
    if (plan->element_tree)
        return plan->filter.stage_count > 0 ? next_filtered_element(plan, values, nulls)
                                            : next_unwound_row(plan, values, nulls);
    if (plan->rows != FieldPlan::Rows::single)
        return false;
    plan->rows = FieldPlan::Rows::none;
    if (plan->filter.stage_count > 0)
        return read_filtered_row(plan, values, nulls);
    memset(nulls, true, sizeof(bool) * static_cast<size_t>(plan->slot_count));
    const View document = plan->conversion.document;
    const Target target{plan, plan->document_walk, values, nulls};
    visit<Walk::convert>(target, plan->document_tree, Value{Type::object, document.data, document.size});
    if (plan->late_count > 0)
        convert_missing_columns(target, 0);
    return true;
}

void report_mismatches(FieldPlan *plan) {
    warn_of_misfits(plan->conversion, plan->columns, plan->column_count);
}

int count_columns(const FieldPlan *plan) {
    return plan->column_count;
}

void take_mismatches(FieldPlan *plan, TakeMismatches take, void *context) {
    for (int i = 0; i < plan->column_count; ++i) {
        Column &column = plan->columns[i];
        if (column.misfits == 0)
            continue;
        take(context, i, column.misfits, column.first_id);
        pfree(column.first_id);
        column.misfits = 0;
        column.first_id = nullptr;
    }
}

void add_mismatches(FieldPlan *plan, int column, int64_t count, const char *first_id) {
    Column &to = plan->columns[column];
    if (to.misfits == 0)
        to.first_id = MemoryContextStrdup(plan->conversion.context, first_id);
    to.misfits += count;
}

} // namespace mongoferry::bson
