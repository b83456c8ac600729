/*
 * What stands above the scans: grouping, ORDER BY, LIMIT, DISTINCT. Each stage of the planner is offered to the file
 * that knows it.
 */
#include "fdw/callbacks.h"
#include "fdw/group_paths.h"

namespace mongoferry::fdw {

void get_foreign_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input, RelOptInfo *output,
                             void *extra) {
    const RelationInfo *below = static_cast<const RelationInfo *>(input->fdw_private);
    if (!below || !below->exact || output->fdw_private)
        return;
    switch (stage) {
    case UPPERREL_GROUP_AGG:
        add_group_path(root, input, output, static_cast<const GroupPathExtraData *>(extra));
        break;
    case UPPERREL_DISTINCT:
        add_distinct_path(root, input, output);
        break;
    default:
        break;
    }
}

} // namespace mongoferry::fdw
