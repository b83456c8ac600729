/* See parallel.h. The callbacks are declared in callbacks.h. */
#include "fdw/parallel.h"

#include "bson/guarded_call.h"
#include "pg/compat.h"
#include "pg/guard.h"
#include "source/file/file_divider.h"

#include <algorithm>

extern "C" {
#include "access/parallel.h"
#include "access/table.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
}

namespace mongoferry::fdw {

namespace {

/* More parts than processes, so that all end at about the same time, though parts differ and so does who reads them. */
constexpr int live_parts_of_a_process = 8;
constexpr int64_t file_parts_of_a_process = 16;
constexpr int64_t smallest_file_part = 256 * 1024;
constexpr int64_t largest_file_part = 16 * 1024 * 1024;

/* In the shared memory of the parallel query. */
struct Coordinate {
    dsm_handle handle;         /* of the SharedScan; DSM_HANDLE_INVALID if there is none */
    pg_atomic_uint32 is_taken; /* without one: whether somebody reads the collection */
};

/* Everything for who comes first. */
class WholeDivision final : public source::Division {
public:
    explicit WholeDivision(pg_atomic_uint32 *is_taken) : is_taken_(is_taken) {}
    bool take(source::Range *range) override {
        *range = source::Range();
        return pg_atomic_exchange_u32(is_taken_, 1) == 0;
    }
    bool is_stopped() const noexcept override { return false; }

private:
    pg_atomic_uint32 *is_taken_;
};

/* The size of a collection that can be read in parts, in pages; -1 for one that can't. */
double divisible_pages(const RelationInfo *state) {
    const SourceOptions &source = state->table->source;
    if (source.dump) {
        const source::Divisibility file = pg_entry([&] {
            return source::divisibility(file_options(source), source.database ? source.database : "",
                                        source.collection);
        });
        return file.is_divisible ? static_cast<double>(file.size) / BLCKSZ : -1;
    }
    /* Each process has a session and so a snapshot of its own. */
    const char *read_concern = option_text(source.server->options, "read_concern");
    if (read_concern && strcmp(read_concern, "snapshot") == 0)
        return -1;
    return state->estimate.documents * state->estimate.document_bytes / BLCKSZ;
}

/* As get_parallel_divisor() of costsize.c: how many processes' work is done at once, the leader having other work too.
 */
double parallel_divisor(int workers) {
    double divisor = workers;
    if (parallel_leader_participation && workers < 4)
        divisor += 1.0 - 0.3 * workers;
    return divisor;
}

Parts divide(const SourceOptions &source, int processes) {
    Parts parts;
    const std::string database = source.database ? source.database : "";
    if (!source.dump) {
        for (source::Chunk &chunk :
             source::live::divide_collection(connection_key(source), connection_options(source), database,
                                             source.collection, int64_t{processes} * live_parts_of_a_process))
            parts.list.push_back(std::move(chunk.bounds));
        return parts;
    }
    const source::Divisibility file = source::divisibility(file_options(source), database, source.collection);
    if (file.is_divisible) {
        parts.file_size = file.size;
        parts.part_size =
            std::clamp(file.size / (processes * file_parts_of_a_process), smallest_file_part, largest_file_part);
    } else { /* it was another file when the query was planned */
        parts.list.push_back(source::render_range({}));
    }
    return parts;
}

/* Puts the parts between the scan and its source. */
void take_part(ScanState *state, ParallelScan *scan, Coordinate *coordinate) {
    const SourceOptions &options = state->table->source;
    std::unique_ptr<source::Division> division;
    if (scan->shared)
        division = scan->shared->division(options.dump ? file_options(options) : source::FileOptions(),
                                          options.database ? options.database : "", options.collection, state->plan);
    else
        division = std::make_unique<WholeDivision>(&coordinate->is_taken);
    scan->source = source::make_divided_source(scan->inner, std::move(division));
    state->source = scan->source.get();
    state->parallel = scan;
}

ParallelScan *make_parallel_scan(ForeignScanState *node, ScanState *state, bool is_leader) {
    auto *scan = new_in_context<ParallelScan>(node->ss.ps.state->es_query_cxt);
    scan->inner = state->source;
    scan->is_leader = is_leader;
    return scan;
}

} // namespace

void add_parallel_path(PlannerInfo *root, RelOptInfo *relation, const RelationInfo *state) {
    if (!relation->consider_parallel || relation->lateral_relids || state->chunk_bounds ||
        max_parallel_workers_per_gather <= 0)
        return;
    if (state->table->parallel_workers >= 0)
        relation->rel_parallel_workers = state->table->parallel_workers;
    const double pages = divisible_pages(state);
    /* The planner gives a small partition workers too. Better that one of them reads all of it: dividing takes time. */
    if (relation->reloptkind != RELOPT_BASEREL && relation->rel_parallel_workers < 0 &&
        pages < min_parallel_table_scan_size && !may_warn(state->table))
        return;
    const int workers = pages >= 0 ? compute_parallel_worker(relation, pages, -1, max_parallel_workers_per_gather) : 0;
    if (workers <= 0)
        return;
    /* The ranges have the server go by the index on _id, so that no other one serves the filter. */
    BaseEstimate estimate = state->estimate;
    estimate.server_cost = cost_of_examining_all(estimate);
    Cost startup, total;
    cost_base_scan(relation, state->table, estimate, &startup, &total);
    const double divisor = parallel_divisor(workers);
    ForeignPath *path = make_foreign_scan_path(root, relation, clamp_row_est(relation->rows / divisor), startup,
                                               startup + (total - startup) / divisor);
    path->path.parallel_aware = true;
    path->path.parallel_workers = workers;
    add_partial_path(relation, reinterpret_cast<Path *>(path));
}

bool may_warn(const TableDescription *table) {
    for (int i = 0; i < table->fields.count; ++i)
        if (table->fields.fields[i].path && table->fields.fields[i].options.on_mismatch == bson::OnMismatch::null)
            return true;
    return false;
}

/* We only read, so it is safe, but for conversions that need a subtransaction. (A scan of a chunk is kept to its
 * process by get_foreign_rel_size().) */
bool is_foreign_scan_parallel_safe(PlannerInfo *root, RelOptInfo *relation, RangeTblEntry *entry) {
    Relation table = table_open(entry->relid, NoLock);
    const TableDescription *description = describe_table(table, relation->relid, planned_user(root, relation, entry));
    table_close(table, NoLock);
    for (int i = 0; i < description->fields.count; ++i) {
        const query::Field &field = description->fields.fields[i];
        if (field.path && field.options.on_mismatch == bson::OnMismatch::null &&
            bson::may_need_subtransaction(field.type))
            return false;
    }
    return true;
}

Size estimate_dsm_foreign_scan(ForeignScanState *, ParallelContext *) {
    return sizeof(Coordinate);
}

void initialize_dsm_foreign_scan(ForeignScanState *node, ParallelContext *context, void *coordinate) {
    ScanState *state = static_cast<ScanState *>(node->fdw_state);
    Coordinate *shared = static_cast<Coordinate *>(coordinate);
    pg_atomic_init_u32(&shared->is_taken, 0);
    pg_entry([&] {
        ParallelScan *scan = state->parallel;
        if (!scan) {
            scan = make_parallel_scan(node, state, true);
            scan->shared = SharedScan::create(divide(state->table->source, context->nworkers + 1),
                                              bson::count_columns(state->plan));
        } else if (scan->shared) { /* a rescan with new workers */
            scan->shared->restart();
        }
        shared->handle = scan->shared ? scan->shared->handle() : DSM_HANDLE_INVALID;
        if (!scan->source || !scan->shared)
            take_part(state, scan, shared);
    });
}

void reinitialize_dsm_foreign_scan(ForeignScanState *node, ParallelContext *, void *coordinate) {
    const ScanState *state = static_cast<ScanState *>(node->fdw_state);
    pg_atomic_write_u32(&static_cast<Coordinate *>(coordinate)->is_taken, 0);
    if (state->parallel->shared)
        pg_entry([&] { state->parallel->shared->restart(); });
}

void initialize_worker_foreign_scan(ForeignScanState *node, shm_toc *, void *coordinate) {
    ScanState *state = static_cast<ScanState *>(node->fdw_state);
    Coordinate *shared = static_cast<Coordinate *>(coordinate);
    pg_entry([&] {
        ParallelScan *scan = make_parallel_scan(node, state, false);
        if (shared->handle != DSM_HANDLE_INVALID)
            scan->shared = SharedScan::attach(shared->handle);
        take_part(state, scan, shared);
    });
}

void shutdown_foreign_scan(ForeignScanState *node) {
    const ScanState *state = static_cast<ScanState *>(node->fdw_state);
    if (!state || !state->parallel || !state->parallel->shared)
        return;
    if (state->parallel->is_leader)
        state->parallel->shared->stop();
    else
        state->parallel->shared->share_statistics(state->source->statistics());
}

void finish_parallel_scan(ScanState *state) {
    if (!state->parallel || !state->parallel->shared)
        return;
    SharedScan *shared = state->parallel->shared.get();
    pg_entry([&] {
        shared->share_mismatches(state->plan);
        if (state->parallel->is_leader)
            shared->collect_mismatches(state->plan);
        else
            shared->share_statistics(state->source->statistics());
    });
}

source::Statistics total_statistics(const ScanState *state) {
    source::Statistics total = state->source->statistics();
    if (state->parallel && state->parallel->shared) {
        const source::Statistics workers = state->parallel->shared->workers_statistics();
        total.documents += workers.documents;
        total.bytes += workers.bytes;
        total.batches += workers.batches;
    }
    return total;
}

} // namespace mongoferry::fdw
