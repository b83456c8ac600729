/* See reasons.h. */
#include "fdw/reasons.h"

#include "query/translation.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/ruleutils.h"
}

namespace mongoferry::fdw {

namespace {

/* Of the innermost collect_reasons(). */
struct Collection {
    List *reasons;
    MemoryContext context;
};
Collection *current = nullptr;

} // namespace

List *collect_reasons(void (*plan)(void *), void *argument) {
    Collection collection{NIL, CurrentMemoryContext};
    Collection *const outer = current;
    current = &collection;
    PG_TRY();
    { plan(argument); }
    PG_FINALLY();
    { current = outer; }
    PG_END_TRY();
    return collection.reasons;
}

void note_reason(const char *table, const char *part, const char *text) {
    if (!current)
        return;
    ListCell *cell;
    foreach (cell, current->reasons) {
        const StayReason *known = static_cast<const StayReason *>(lfirst(cell));
        if (strcmp(known->table, table) == 0 && strcmp(known->part, part) == 0 && strcmp(known->text, text) == 0)
            return;
    }
    MemoryContext caller_context = MemoryContextSwitchTo(current->context);
    StayReason *reason = static_cast<StayReason *>(palloc(sizeof(StayReason)));
    *reason = {pstrdup(table), pstrdup(part), pstrdup(text)};
    current->reasons = lappend(current->reasons, reason);
    MemoryContextSwitchTo(caller_context);
}

const char *relation_names(PlannerInfo *root, const RelOptInfo *relation) {
    StringInfoData names;
    initStringInfo(&names);
    Relids relids = IS_UPPER_REL(relation) ? root->all_baserels : relation->relids;
    for (int index = -1; (index = bms_next_member(relids, index)) >= 0;) {
        const RangeTblEntry *entry = planner_rt_fetch(index, root);
        if (entry->rtekind == RTE_RELATION)
            appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", entry->eref->aliasname);
    }
    return names.data;
}

/* Whether there are columns of other tables, or anything that SQL text can't be made of, in the expression. */
static bool has_foreign_parts(Node *node, void *index) {
    if (!node)
        return false;
    if (IsA(node, Var))
        return static_cast<int>(reinterpret_cast<const Var *>(node)->varno) != *static_cast<const int *>(index);
    if (IsA(node, PlaceHolderVar) || IsA(node, Param) || IsA(node, SubPlan) || IsA(node, AlternativeSubPlan))
        return true;
    return walk_expression(node, has_foreign_parts, index);
}

/* The expression as SQL, with the columns' plain names where it concerns one table. */
static const char *expression_text(PlannerInfo *root, const RelOptInfo *relation, Node *expression) {
    int index = bms_next_member(relation->relids, -1);
    if (IS_SIMPLE_REL(relation) && planner_rt_fetch(index, root)->rtekind == RTE_RELATION &&
        !has_foreign_parts(expression, &index)) {
        Node *copy = static_cast<Node *>(copyObjectImpl(expression));
        ChangeVarNodes(copy, index, 1, 0);
        const RangeTblEntry *entry = planner_rt_fetch(index, root);
        return deparse_expression(copy, deparse_context_for(entry->eref->aliasname, entry->relid), false, false);
    }
    return nullptr;
}

static const char *first_text(const List *reasons) {
    return reasons != NIL ? static_cast<const query::Reason *>(linitial(reasons))->text : "there is no rule for it";
}

void note_condition(PlannerInfo *root, const RelOptInfo *relation, const char *what, Node *expression,
                    const List *reasons) {
    if (!current)
        return;
    const char *text = expression_text(root, relation, expression);
    note_reason(relation_names(root, relation), text ? psprintf("%s %s", what, text) : what, first_text(reasons));
}

void note_stage(PlannerInfo *root, const RelOptInfo *relation, const char *stage, const List *reasons) {
    if (current)
        note_reason(relation_names(root, relation), stage, first_text(reasons));
}

} // namespace mongoferry::fdw
