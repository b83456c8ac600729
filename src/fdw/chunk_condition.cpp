/* See chunk_condition.h. Relies on the extension's schema being mongoferry, which the control file fixes. */
#include "fdw/chunk_condition.h"

#include "bson/view.h"
#include "pg/guard.h"
#include "source/range.h"

extern "C" {
#include "access/sysattr.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
}

namespace mongoferry::fdw {

double expected_chunk_documents = default_chunk_documents;

namespace {

bool is_in_chunk(Oid function) {
    if (function < FirstNormalObjectId)
        return false;
    char *name = get_func_name(function);
    return name && strcmp(name, "in_chunk") == 0 &&
           get_func_namespace(function) == get_namespace_oid("mongoferry", true);
}

/* The bounds, if the clause is in_chunk(tableoid, bounds) over the relation and bounds are known when a scan starts. */
Expr *chunk_bounds_of(Node *clause, Index relation) {
    if (!IsA(clause, FuncExpr))
        return nullptr;
    const FuncExpr *call = reinterpret_cast<FuncExpr *>(clause);
    if (list_length(call->args) != 2 || !is_in_chunk(call->funcid))
        return nullptr;
    const Node *table = static_cast<Node *>(linitial(call->args));
    if (!IsA(table, Var))
        return nullptr;
    const Var *variable = reinterpret_cast<const Var *>(table);
    if (variable->varno != static_cast<int>(relation) || variable->varattno != TableOidAttributeNumber ||
        variable->varlevelsup != 0)
        return nullptr;
    Node *bounds = static_cast<Node *>(lsecond(call->args));
    if (contain_var_clause(bounds) || contain_volatile_functions(bounds))
        return nullptr;
    return reinterpret_cast<Expr *>(bounds);
}

double count_documents(const source::Range &range) {
    double count = 0;
    if (range.kind == source::Range::Kind::list) {
        bson::Iterator iterator(bson::view_of(range.ids));
        while (iterator.next())
            ++count;
        return count;
    }
    if (range.kind == source::Range::Kind::raw) {
        for (size_t position = 0; position < range.raw.size; ++count)
            position += static_cast<size_t>(bson::load_int32(range.raw.data + position));
        return count;
    }
    return expected_chunk_documents;
}

} // namespace

Expr *take_chunk_condition(RelOptInfo *relation, Oid table) {
    Expr *found = nullptr;
    List *others = NIL;
    ListCell *cell;
    foreach (cell, relation->baserestrictinfo) {
        RestrictInfo *condition = lfirst_node(RestrictInfo, cell);
        Expr *bounds = chunk_bounds_of(reinterpret_cast<Node *>(condition->clause), relation->relid);
        if (!bounds) {
            others = lappend(others, condition);
            continue;
        }
        if (found)
            ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                            errmsg("a scan of foreign table \"%s\" cannot be restricted to two chunks at once",
                                   get_rel_name(table)),
                            errhint("Use one condition with mongoferry.in_chunk().")));
        found = bounds;
    }
    if (found)
        relation->baserestrictinfo = others;
    return found;
}

double estimate_chunk_documents(const Expr *bounds) {
    if (!IsA(bounds, Const))
        return expected_chunk_documents;
    const Const *constant = reinterpret_cast<const Const *>(bounds);
    if (constant->constisnull)
        return 1;
    const bytea *bytes = DatumGetByteaPP(constant->constvalue);
    const bson::View view{reinterpret_cast<const uint8_t *>(VARDATA_ANY(bytes)), VARSIZE_ANY_EXHDR(bytes)};
    return clamp_row_est(pg_entry([&] {
        try {
            return count_documents(source::parse_range(view));
        } catch (const Error &) {
            return expected_chunk_documents; /* the scan will say what is wrong with them */
        }
    }));
}

} // namespace mongoferry::fdw
