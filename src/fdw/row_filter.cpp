/* See row_filter.h. */
#include "fdw/row_filter.h"

#include "bson/path.h"

extern "C" {
#include "access/sysattr.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/syscache.h"
}

namespace mongoferry::fdw {

/* --- planning -------------------------------------------------------------------------------------------------- */

namespace {

/* In units of cpu_operator_cost: functions that cost more are left to the executor, which calls them last. */
constexpr float4 largest_function_cost = 10;

constexpr int left_to_executor = -1;

/* A function that does no more than compute: written in C, and not declared expensive. Others may do anything, and a
 * user expects them to be called on whole rows, after everything cheap. */
bool is_unsuitable_function(Oid function, void *) {
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple))
        return true;
    const Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
    const bool is_suitable = (form->prolang == INTERNALlanguageId || form->prolang == ClanguageId) &&
                             form->procost <= largest_function_cost && !form->proretset;
    ReleaseSysCache(tuple);
    return !is_suitable;
}

/* Anything but the common kinds of expressions is left to the executor, subplans above all. */
bool contains_unsuitable(Node *node, void *context) {
    if (!node)
        return false;
    switch (nodeTag(node)) {
    case T_Var:
        return reinterpret_cast<const Var *>(node)->varattno <= 0; /* the whole row, or what is no column */
    case T_SubscriptingRef: {
        const Oid container = reinterpret_cast<const SubscriptingRef *>(node)->refcontainertype;
        if (container != JSONBOID && !OidIsValid(get_element_type(container)))
            return true;
        break;
    }
    case T_List:
    case T_Const:
    case T_Param:
    case T_OpExpr:
    case T_DistinctExpr:
    case T_NullIfExpr:
    case T_ScalarArrayOpExpr:
    case T_RowCompareExpr:
    case T_BoolExpr:
    case T_NullTest:
    case T_BooleanTest:
    case T_RelabelType:
    case T_CoerceViaIO:
    case T_ArrayCoerceExpr:
    case T_FuncExpr:
    case T_CoalesceExpr:
    case T_MinMaxExpr:
    case T_CaseExpr:
    case T_CaseWhen:
    case T_CaseTestExpr:
    case T_ArrayExpr:
    case T_FieldSelect:
    case T_SQLValueFunction:
        break;
    default:
        return true;
    }
    return check_functions_in_node(node, is_unsuitable_function, nullptr) ||
           walk_expression(node, contains_unsuitable, context);
}

/* Columns whose values are small and quickly made. */
bool is_cheap(const query::Field &field) {
    const Oid type = getBaseType(field.type);
    return type != JSONOID && type != JSONBOID && !OidIsValid(get_element_type(type)) &&
           get_typtype(type) != TYPTYPE_COMPOSITE && strcmp(field.path, "$$ROOT") != 0;
}

bool is_of_document(const query::RelationFields &fields, const query::Field &field) {
    return strcmp(field.path, "$$INDEX") != 0 && !(fields.unwind && bson::is_at_or_below(field.path, fields.unwind));
}

/* The columns of the relation in an expression, as attribute numbers. */
Bitmapset *columns_in(Node *expression, Index relation) {
    Bitmapset *numbers = nullptr; /* offset by FirstLowInvalidHeapAttributeNumber */
    pull_varattnos(expression, relation, &numbers);
    Bitmapset *columns = nullptr;
    for (int number = -1; (number = bms_next_member(numbers, number)) >= 0;)
        if (number + FirstLowInvalidHeapAttributeNumber > 0)
            columns = bms_add_member(columns, number + FirstLowInvalidHeapAttributeNumber);
    return columns;
}

/* The stage that a condition would best have, as if all stages were in use: what concerns the document of an unwound
 * table comes before what concerns its elements, cheap columns before expensive ones. */
int preferred_stage(const query::RelationFields &fields, const Bitmapset *columns) {
    bool of_document = true;
    bool cheap = true;
    for (int number = -1; (number = bms_next_member(columns, number)) >= 0;) {
        const query::Field &field = fields.fields[number - 1];
        of_document = of_document && is_of_document(fields, field);
        cheap = cheap && is_cheap(field);
    }
    return (of_document ? 0 : 2) + (cheap ? 0 : 1);
}
constexpr int most_stages = 4;

struct Candidate {
    Bitmapset *columns;
    Index security_level;
    int stage;
};

/* Makes the stages that are in use follow one another. Returns how many there are. */
int close_gaps(Candidate *candidates, int count) {
    int renumbered[most_stages];
    int used = 0;
    for (int stage = 0; stage < most_stages; ++stage) {
        bool is_used = false;
        for (int index = 0; index < count; ++index)
            is_used = is_used || candidates[index].stage == stage;
        renumbered[stage] = used;
        used += is_used;
    }
    for (int index = 0; index < count; ++index)
        if (candidates[index].stage >= 0)
            candidates[index].stage = renumbered[candidates[index].stage];
    return used;
}

/* Conditions of a security barrier are checked before what stands above it, unless that leaks nothing: a condition
 * comes no earlier than those of lower levels, and is left to the executor where one of them is. */
void respect_security(Candidate *candidates, int count) {
    Index highest = 0;
    for (int index = 0; index < count; ++index)
        highest = Max(highest, candidates[index].security_level);
    int earliest = 0;
    bool is_left = false;
    for (Index level = 0; level <= highest; ++level) {
        int last = earliest;
        bool is_one_left = is_left;
        for (int index = 0; index < count; ++index) {
            Candidate *candidate = &candidates[index];
            if (candidate->security_level != level)
                continue;
            if (is_left || candidate->stage == left_to_executor) {
                candidate->stage = left_to_executor;
                is_one_left = true;
            } else {
                candidate->stage = Max(candidate->stage, earliest);
                last = Max(last, candidate->stage);
            }
        }
        earliest = last;
        is_left = is_one_left;
    }
}

/* A condition that might raise an error is not checked before one that stands before it: without stages that one might
 * have spared it the row. */
void respect_order(Candidate *candidates, const List *conditions) {
    int last_stage = 0;
    bool behind_executor = false;
    ListCell *cell;
    foreach (cell, conditions) {
        Candidate *candidate = &candidates[foreach_current_index(cell)];
        Node *condition = reinterpret_cast<Node *>(lfirst_node(RestrictInfo, cell)->clause);
        if (candidate->stage != left_to_executor && contain_leaked_vars(condition))
            candidate->stage = behind_executor ? left_to_executor : Max(candidate->stage, last_stage);
        if (candidate->stage == left_to_executor)
            behind_executor = true;
        else
            last_stage = Max(last_stage, candidate->stage);
    }
}

} // namespace

List *choose_stages(const query::RelationFields &fields, const List *conditions, const Bitmapset *attributes) {
    const int count = list_length(conditions);
    Candidate *candidates = static_cast<Candidate *>(palloc0(sizeof(Candidate) * Max(count, 1)));
    ListCell *cell;
    foreach (cell, conditions) {
        const RestrictInfo *info = lfirst_node(RestrictInfo, cell);
        Node *condition = reinterpret_cast<Node *>(info->clause);
        Candidate *candidate = &candidates[foreach_current_index(cell)];
        candidate->security_level = info->leakproof ? 0 : info->security_level;
        candidate->columns = columns_in(condition, fields.relation);
        candidate->stage = bms_is_empty(candidate->columns) || contains_unsuitable(condition, nullptr) ||
                                   contain_volatile_functions(condition)
                               ? left_to_executor
                               : preferred_stage(fields, candidate->columns);
    }
    respect_security(candidates, count);
    respect_order(candidates, conditions);
    const int stage_count = close_gaps(candidates, count);

    Bitmapset *others = bms_copy(attributes); /* decoded only for rows that pass */
    Bitmapset *first = nullptr;
    for (int index = 0; index < count; ++index) {
        if (candidates[index].stage >= 0)
            others = bms_del_members(others, candidates[index].columns);
        if (candidates[index].stage == 0)
            first = bms_add_members(first, candidates[index].columns);
    }
    const bool may_skip_documents = stage_count > 0 && fields.unwind && preferred_stage(fields, first) < 2;
    if (stage_count == 0 || (bms_is_empty(others) && stage_count == 1 && !may_skip_documents))
        return NIL;

    List *stages = NIL;
    for (int index = 0; index < count; ++index)
        stages = lappend_int(stages, candidates[index].stage);
    return stages;
}

/* The conditions of one stage. */
static List *conditions_of_stage(const List *conditions, const List *stages, int stage) {
    List *chosen = NIL;
    ListCell *condition;
    ListCell *number;
    forboth(condition, conditions, number, stages) {
        if (lfirst_int(number) == stage)
            chosen = lappend(chosen, lfirst(condition));
    }
    return chosen;
}

static int count_stages(const List *stages) {
    int count = 0;
    ListCell *cell;
    foreach (cell, stages)
        count = Max(count, lfirst_int(cell) + 1);
    return count;
}

List *staged_conditions(const List *conditions, const List *stages) {
    List *staged = NIL;
    for (int stage = 0; stage < count_stages(stages); ++stage)
        staged = list_concat(staged, conditions_of_stage(conditions, stages, stage));
    return static_cast<List *>(copyObjectImpl(staged));
}

List *columns_of_stages(const query::RelationFields &fields, Index relation, const List *conditions,
                        const List *stages) {
    List *names = NIL;
    Bitmapset *named = nullptr;
    for (int stage = 0; stage < count_stages(stages); ++stage) {
        List *chosen = conditions_of_stage(conditions, stages, stage);
        const Bitmapset *columns = bms_difference(columns_in(reinterpret_cast<Node *>(chosen), relation), named);
        for (int number = -1; (number = bms_next_member(columns, number)) >= 0;)
            names = lappend(names, const_cast<char *>(fields.fields[number - 1].column_name));
        named = bms_add_members(named, columns);
    }
    return names;
}

/* --- running --------------------------------------------------------------------------------------------------- */

struct RowConditions {
    TupleTableSlot *slot;
    ExprContext *context;
    MemoryContext row_context;
    int stage_count;
    ExprState **stages;
    Bitmapset **columns; /* of each stage */
    bool counts_rows;
};

RowConditions *begin_row_filter(ForeignScanState *node, const List *stages, MemoryContext row_context) {
    const Scan *scan = &reinterpret_cast<const ForeignScan *>(node->ss.ps.plan)->scan;
    const List *conditions = scan->plan.qual;
    RowConditions *state = static_cast<RowConditions *>(palloc0(sizeof(RowConditions)));
    state->slot = node->ss.ss_ScanTupleSlot;
    state->context = node->ss.ps.ps_ExprContext;
    state->row_context = row_context;
    state->counts_rows = node->ss.ps.state->es_instrument != 0;
    state->stage_count = count_stages(stages);
    state->stages = static_cast<ExprState **>(palloc(sizeof(ExprState *) * Max(state->stage_count, 1)));
    state->columns = static_cast<Bitmapset **>(palloc(sizeof(Bitmapset *) * Max(state->stage_count, 1)));
    for (int stage = 0; stage < state->stage_count; ++stage) {
        List *chosen = conditions_of_stage(conditions, stages, stage);
        state->stages[stage] = ExecInitQual(chosen, &node->ss.ps);
        state->columns[stage] = columns_in(reinterpret_cast<Node *>(chosen), scan->scanrelid);
    }

    /* The rest. Where there are subplans in it they are initialised already, once and for all, and everything is
     * checked again on the rows that come through. */
    List *left = conditions_of_stage(conditions, stages, left_to_executor);
    if (!contain_subplans(reinterpret_cast<Node *>(left)))
        node->ss.ps.qual = ExecInitQual(left, &node->ss.ps);
    return state;
}

int stage_of_column(const RowConditions *conditions, AttrNumber column) {
    for (int stage = 0; stage < conditions->stage_count; ++stage)
        if (bms_is_member(column, conditions->columns[stage]))
            return stage;
    return conditions->stage_count;
}

static bool passes(void *context, int stage) {
    RowConditions *conditions = static_cast<RowConditions *>(context);
    TupleTableSlot *slot = conditions->slot;
    if (TTS_EMPTY(slot))
        ExecStoreVirtualTuple(slot);
    conditions->context->ecxt_scantuple = slot;
    if (ExecQual(conditions->stages[stage], conditions->context))
        return true;
    ExecClearTuple(slot);
    ResetExprContext(conditions->context);
    MemoryContextReset(conditions->row_context);
    CHECK_FOR_INTERRUPTS(); /* a document may have very many elements */
    return false;
}

bson::RowFilter row_filter_of(RowConditions *conditions) {
    return {conditions->stage_count, passes, conditions, conditions->counts_rows};
}

} // namespace mongoferry::fdw
