/*
 * What stands above the scans: grouping, ORDER BY, LIMIT, DISTINCT. Each stage of the planner is offered to the file
 * that knows it.
 */
#include "fdw/callbacks.h"
#include "fdw/group_paths.h"
#include "fdw/order_paths.h"
#include "fdw/reasons.h"

namespace mongoferry::fdw {

/* Nothing is done above what is checked here. */
static void note_inexact(PlannerInfo *root, UpperRelationKind stage, const RelOptInfo *input,
                         const RelationInfo *below) {
    const char *part = stage == UPPERREL_GROUP_AGG  ? "grouping"
                       : stage == UPPERREL_DISTINCT ? "DISTINCT"
                       : stage == UPPERREL_ORDERED  ? "ORDER BY"
                                                    : nullptr;
    const TableDescription *table = static_cast<const TableDescription *>(linitial(below->tables));
    if (!part || table->source.dump || !table->pushdown)
        return; /* of the others nothing may be wanted; the rest is told of the table */
    note_reason(relation_names(root, input), part,
                below->has_local_conditions ? "a condition below it is checked here"
                                            : "a condition below it is checked here once more");
}

void get_foreign_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input, RelOptInfo *output,
                             void *extra) {
    const RelationInfo *below = static_cast<const RelationInfo *>(input->fdw_private);
    if (!below || output->fdw_private)
        return;
    if (!below->exact) {
        note_inexact(root, stage, input, below);
        return;
    }
    switch (stage) {
    case UPPERREL_GROUP_AGG:
    case UPPERREL_PARTIAL_GROUP_AGG:
        add_group_path(root, input, output, static_cast<const GroupPathExtraData *>(extra),
                       stage == UPPERREL_PARTIAL_GROUP_AGG);
        break;
    case UPPERREL_DISTINCT:
        add_distinct_path(root, input, output);
        break;
    case UPPERREL_ORDERED:
        add_ordered_path(root, input, output);
        break;
    case UPPERREL_FINAL:
        add_limited_path(root, input, output, static_cast<const FinalPathExtraData *>(extra));
        break;
    default:
        break;
    }
}

} // namespace mongoferry::fdw
