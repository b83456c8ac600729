/*
 * What the processes of a parallel scan have in common: the parts of the collection that are still to be read, and what
 * each process has found, added up.
 *
 * It lies in a dynamic shared memory segment of its own. That of the parallel query may go before the leader can know
 * what workers have found: where a LIMIT stops them, the leader's scan node hears of the end before they do. This one
 * stays until the scan ends, when they all have.
 *
 * Exception world (pg/guard.h).
 */
#pragma once

#include "pg/backend.h"

#include "bson/field_plan.h"
#include "pg/shared_lock.h"
#include "source/divided_source.h"
#include "source/file/file_source.h"

extern "C" {
#include "port/atomics.h"
#include "storage/dsm.h"
}

#include <memory>
#include <vector>

namespace mongoferry::fdw {

/* How a collection is divided. */
struct Parts {
    std::vector<bson::Document>
        list;              /* ranges as render_range() writes them; of a file that is cut as it is read: empty */
    int64_t file_size = 0; /* of such a file, in bytes */
    int64_t part_size = 0; /* what its parts shall have, in bytes */
};

/* One process's side of it. */
class SharedScan {
public:
    /* The leader's. column_count: of the plans that read the documents. NULL if there is no room for another segment.
     */
    static std::unique_ptr<SharedScan> create(const Parts &parts, int column_count);
    /* A worker's. Throws PgError if there is no such segment (any more). */
    static std::unique_ptr<SharedScan> attach(dsm_handle handle);
    ~SharedScan();
    SharedScan(const SharedScan &) = delete;
    SharedScan &operator=(const SharedScan &) = delete;

    dsm_handle handle() const noexcept { return dsm_segment_handle(segment_); }

    /* All parts are to be read again. While nobody reads. */
    void restart();
    /* Nobody needs more documents: who reads stops after the batch that he has. */
    void stop() noexcept;

    /* Gives this process its parts of the file, if it is one. The plan is the one by which the process reads them; what
     * it has counted of a part is shared before the next one is taken. Both must outlive it. */
    std::unique_ptr<source::Division> division(const source::FileOptions &file, const std::string &database,
                                               const std::string &collection, bson::FieldPlan *plan);

    /* Adds what has been read since the last call. A worker's. */
    void share_statistics(const source::Statistics &now) noexcept;
    /* Moves the plan's counts of what was read as NULL into the shared ones; and all of them back into a plan. */
    void share_mismatches(bson::FieldPlan *plan);
    void collect_mismatches(bson::FieldPlan *plan);

    /* What workers have read, as far as they have told. */
    source::Statistics workers_statistics() const noexcept;
    /* How many parts have been handed out, in all. */
    int64_t parts_taken() const noexcept;

private:
    struct Memory;
    class PartsDivision;
    explicit SharedScan(dsm_segment *segment);

    dsm_segment *segment_;
    Memory *memory_;
    source::Statistics shared_; /* of this process */
    int64_t part_ = 0;          /* the number of the part that this process reads, over all restarts */
};

} // namespace mongoferry::fdw
