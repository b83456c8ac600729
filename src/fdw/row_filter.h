/*
 * Conditions that a scan checks while it decodes rows, so that a row that fails is never built.
 *
 * They stay in the plan node's list of conditions, where EXPLAIN shows them as Filter, but the scan takes them over
 * when it begins: it evaluates them by the executor's own means on the half-filled scan slot, in stages
 * (bson/field_plan.h), and the executor checks only what is left on whole rows. Rows that EvalPlanQual brings back are
 * checked by fdw_recheck_quals. POD world (pg/guard.h).
 *
 * What a row that fails holds in other columns is not looked at: it may be a value that the scan would refuse. So there
 * is nothing of this with pushdown 'off'.
 */
#pragma once

#include "pg/backend.h"

#include "bson/field_plan.h"
#include "query/relation_fields.h"

extern "C" {
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"
}

namespace mongoferry::fdw {

/*
 * Planning: the stage of each condition, from 0 on, or -1 for one that is left to the executor; an integer list in the
 * conditions' order. NIL if there is nothing to be gained. conditions: of RestrictInfo *, without pseudoconstant ones,
 * as order_qual_clauses() has sorted them; attributes: the attribute numbers that the scan reads.
 */
List *choose_stages(const query::RelationFields &fields, const List *conditions, const Bitmapset *attributes);

/* Copies of the conditions that have a stage: what must be rechecked (fdw_recheck_quals). */
List *staged_conditions(const List *conditions, const List *stages);

/* The names of the columns that are decoded before the filter's last stage is asked, in the order of the stages: for
 * EXPLAIN. conditions: those of the plan node. */
List *columns_of_stages(const query::RelationFields &fields, Index relation, const List *conditions,
                        const List *stages);

struct RowConditions; /* row_filter.cpp's own */

/* Takes the staged conditions over from the executor. row_context: where the scan's values live; it is reset for each
 * row that fails. */
RowConditions *begin_row_filter(ForeignScanState *node, const List *stages, MemoryContext row_context);

/* The stage in which a column is needed; for FieldSpec.stage. */
int stage_of_column(const RowConditions *conditions, AttrNumber column);

/* For bson::set_row_filter(). */
bson::RowFilter row_filter_of(RowConditions *conditions);

} // namespace mongoferry::fdw
