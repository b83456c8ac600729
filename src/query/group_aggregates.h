/*
 * The table of rules for aggregates: which are sent, as which accumulators of $group, and what is made of these
 * afterwards. docs/pushdown.md is held against it by a test. POD world.
 */
#pragma once

#include "query/function_rules.h"
#include "query/group_finish.h"
#include "query/translation.h"

extern "C" {
#include "nodes/primnodes.h"
}

namespace mongoferry::query {

/* What a $group stage is made of, while it is put together. */
struct GroupStage {
    Translation *translation; /* of what stands before the stage */
    ServerValue *group;       /* the stage's document */
    /* An aggregate with DISTINCT: the documents are first grouped by its argument too (as _id.d), and these groups then
     * once more, by this document. NULL: there is no such aggregate. */
    const Aggref *distinct;
    ServerValue *regroup;
    int accumulator_count;
    ServerValue *after; /* {field: value} to be set behind it, or empty */
    List *troubles;     /* of ServerValue *: of groups, true where PostgreSQL's answer might be another */
    List *accumulators; /* the file's own */
    /* The parts that the rows are made of, by position: a field and the type that it is read as. */
    List *part_paths; /* of char * */
    List *part_types; /* of Oid */
};

/* Adds what the aggregate needs to the stage. *known is the field that has its value behind the stage, NULL if it is
 * only to be had here, by *finish. False, with a reason, if it can't be sent. */
bool add_aggregate(GroupStage *stage, const Aggref *aggregate, Finish *finish, const char **known);

/* The first aggregate of the list whose DISTINCT matters; NULL: there is none. */
const Aggref *find_distinct_aggregate(const List *expressions);

/* Notes why something is not sent; returns false. */
inline bool refuse(Translation *translation, const void *expression, const char *why) {
    not_sent(translation, expression, why);
    return false;
}

/* The position of a part: a field of the group's document. */
int part_of(GroupStage *stage, const char *path, Oid type);

/* The rules as people read them, see function_rules.h. */
const RuleText *aggregate_rule_texts(int *count);

} // namespace mongoferry::query
