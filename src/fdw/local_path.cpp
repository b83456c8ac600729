/* See local_path.h. */
#include "fdw/local_path.h"

namespace mongoferry::fdw {

/* 0 for a kind of path that is not copied. */
static size_t size_of_path(const Path *path) {
    switch (nodeTag(path)) {
    case T_Path:
        return sizeof(Path);
    case T_AggPath:
        return sizeof(AggPath);
    case T_GroupPath:
        return sizeof(GroupPath);
    case T_GroupResultPath:
        return sizeof(GroupResultPath);
    case T_UpperUniquePath:
        return sizeof(UpperUniquePath);
    case T_SortPath:
        return sizeof(SortPath);
    case T_IncrementalSortPath:
        return sizeof(IncrementalSortPath);
    case T_LimitPath:
        return sizeof(LimitPath);
    case T_ProjectionPath:
        return sizeof(ProjectionPath);
    case T_NestPath:
        return sizeof(NestPath);
    case T_MergePath:
        return sizeof(MergePath);
    case T_HashPath:
        return sizeof(HashPath);
    case T_GatherPath:
        return sizeof(GatherPath);
    case T_GatherMergePath:
        return sizeof(GatherMergePath);
    case T_MaterialPath:
        return sizeof(MaterialPath);
    default:
        return 0;
    }
}

/* Not a pushed one, nor one above a pushed one that gives the same relation. */
static bool is_local_path(const Path *path, const RelOptInfo *relation) {
    for (;;) {
        if (path->parent != relation)
            return true;
        if (IsA(path, ForeignPath))
            return false;
        if (IsA(path, ProjectionPath))
            path = reinterpret_cast<const ProjectionPath *>(path)->subpath;
        else if (IsA(path, SortPath))
            path = reinterpret_cast<const SortPath *>(path)->subpath;
        else
            return true;
    }
}

Path *copy_local_path(const RelOptInfo *relation, PathTarget *target) {
    const Path *best = nullptr;
    ListCell *cell;
    foreach (cell, relation->pathlist) {
        const Path *path = static_cast<const Path *>(lfirst(cell));
        if (path->param_info || size_of_path(path) == 0 || !is_local_path(path, relation))
            continue;
        if (target && !IsA(path, AggPath) && !IsA(path, GroupPath))
            continue;
        if (!best || path->total_cost < best->total_cost)
            best = path;
    }
    if (!best)
        return nullptr;
    const size_t size = size_of_path(best);
    Path *copy = static_cast<Path *>(palloc(size));
    memcpy(copy, best, size);
    if (target)
        copy->pathtarget = target;
    return copy;
}

} // namespace mongoferry::fdw
