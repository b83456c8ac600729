/*
 * What stands above the scans: grouping, ORDER BY, LIMIT, DISTINCT. Each stage of the planner is offered to the file
 * that knows it.
 */
#include "fdw/callbacks.h"

namespace mongoferry::fdw {

void get_foreign_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input, RelOptInfo *output,
                             void *extra) {
    const RelationInfo *below = static_cast<const RelationInfo *>(input->fdw_private);
    if (!below || !below->exact || output->fdw_private)
        return;
    (void)root;
    (void)stage;
    (void)extra;
}

} // namespace mongoferry::fdw
