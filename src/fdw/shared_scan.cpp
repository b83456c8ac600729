/* See shared_scan.h. */
#include "fdw/shared_scan.h"

#include "pg/guard.h"
#include "source/file/file_divider.h"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace mongoferry::fdw {

namespace {

/* What is known of a column's values that were read as NULL. */
struct Mismatches {
    int64_t count;
    int64_t part;       /* where the first of them was met */
    char first_id[512]; /* longer ones (an _id in a message is an excerpt, and escapes may make it long) are cut */
};

} // namespace

/* The segment. Behind it: the columns, where each range of the list ends in what follows, and the ranges. */
struct SharedScan::Memory {
    SharedLock lock; /* of what is not atomic and changes */
    pg_atomic_uint32 is_stopped;

    int32_t range_count; /* of the list; 0: a file, cut as it is read */
    int64_t file_size;
    int64_t part_size;
    int64_t position; /* in the file, where the next part begins; -1 when there is none */

    int64_t next_part;     /* counted from 0 */
    int64_t earlier_parts; /* handed out before the last restart */

    pg_atomic_uint64 documents;
    pg_atomic_uint64 bytes;
    pg_atomic_uint64 batches;

    int32_t column_count;

    Mismatches *columns() noexcept { return reinterpret_cast<Mismatches *>(this + 1); }
    int64_t *range_ends() noexcept { return reinterpret_cast<int64_t *>(columns() + column_count); }
    uint8_t *ranges() noexcept { return reinterpret_cast<uint8_t *>(range_ends() + range_count); }
    bson::View range(int64_t number) noexcept {
        const int64_t start = number > 0 ? range_ends()[number - 1] : 0;
        return {ranges() + start, static_cast<uint32_t>(range_ends()[number] - start)};
    }
};

SharedScan::SharedScan(dsm_segment *segment)
    : segment_(segment), memory_(static_cast<Memory *>(dsm_segment_address(segment))) {}

SharedScan::~SharedScan() {
    dsm_detach(segment_);
}

std::unique_ptr<SharedScan> SharedScan::create(const Parts &parts, int column_count) {
    size_t size =
        sizeof(Memory) + sizeof(Mismatches) * static_cast<size_t>(column_count) + sizeof(int64_t) * parts.list.size();
    for (const bson::Document &range : parts.list)
        size += range.size();
    dsm_segment *segment = pg_guard([&] {
        dsm_segment *made = dsm_create(size, DSM_CREATE_NULL_IF_MAXSEGMENTS);
        if (made)
            dsm_pin_mapping(made); /* it ends with this object */
        return made;
    });
    if (!segment)
        return nullptr;

    memset(dsm_segment_address(segment), 0, size);
    std::unique_ptr<SharedScan> scan(new SharedScan(segment));
    Memory &memory = *scan->memory_;
    memory.lock.initialize();
    pg_atomic_init_u32(&memory.is_stopped, 0);
    pg_atomic_init_u64(&memory.documents, 0);
    pg_atomic_init_u64(&memory.bytes, 0);
    pg_atomic_init_u64(&memory.batches, 0);
    memory.file_size = parts.file_size;
    memory.part_size = parts.part_size;
    memory.column_count = column_count;
    memory.range_count = static_cast<int32_t>(parts.list.size());
    int64_t end = 0;
    for (int32_t i = 0; i < memory.range_count; ++i) {
        const bson::Document &range = parts.list[static_cast<size_t>(i)];
        memcpy(memory.ranges() + end, range.data(), range.size());
        end += static_cast<int64_t>(range.size());
        memory.range_ends()[i] = end;
    }
    return scan;
}

std::unique_ptr<SharedScan> SharedScan::attach(dsm_handle handle) {
    dsm_segment *segment = pg_guard([&] {
        dsm_segment *found = dsm_attach(handle);
        if (!found)
            ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                            errmsg("could not map dynamic shared memory segment")));
        dsm_pin_mapping(found);
        return found;
    });
    return std::unique_ptr<SharedScan>(new SharedScan(segment));
}

void SharedScan::restart() {
    SharedLockHold hold(&memory_->lock);
    memory_->earlier_parts += memory_->next_part;
    memory_->next_part = 0;
    memory_->position = 0;
    pg_atomic_write_u32(&memory_->is_stopped, 0);
}

void SharedScan::stop() noexcept {
    pg_atomic_write_u32(&memory_->is_stopped, 1);
}

class SharedScan::PartsDivision final : public source::Division {
public:
    PartsDivision(SharedScan *scan, source::FileDivider divider, bson::FieldPlan *plan)
        : scan_(scan), divider_(std::move(divider)), plan_(plan) {}

    bool take(source::Range *range) override {
        scan_->share_mismatches(plan_);
        Memory &memory = *scan_->memory_;
        SharedLockHold hold(&memory.lock);
        if (memory.range_count > 0) {
            if (memory.next_part >= memory.range_count)
                return false;
            *range = source::parse_range(memory.range(memory.next_part));
        } else {
            if (memory.position < 0)
                return false;
            *range = divider_.next_range(&memory.position, memory.part_size, memory.file_size);
        }
        scan_->part_ = memory.earlier_parts + memory.next_part;
        ++memory.next_part;
        return true;
    }

    bool is_stopped() const noexcept override { return pg_atomic_read_u32(&scan_->memory_->is_stopped) != 0; }

private:
    SharedScan *scan_;
    source::FileDivider divider_;
    bson::FieldPlan *plan_;
};

std::unique_ptr<source::Division> SharedScan::division(const source::FileOptions &file, const std::string &database,
                                                       const std::string &collection, bson::FieldPlan *plan) {
    return std::make_unique<PartsDivision>(this, source::FileDivider(file, database, collection), plan);
}

void SharedScan::share_statistics(const source::Statistics &now) noexcept {
    pg_atomic_fetch_add_u64(&memory_->documents, now.documents - shared_.documents);
    pg_atomic_fetch_add_u64(&memory_->bytes, now.bytes - shared_.bytes);
    pg_atomic_fetch_add_u64(&memory_->batches, now.batches - shared_.batches);
    shared_ = now;
}

void SharedScan::share_mismatches(bson::FieldPlan *plan) {
    struct Taken {
        int column;
        int64_t count;
        std::string first_id;
    };
    std::vector<Taken> taken;
    bson::take_mismatches(
        plan,
        [](void *context, int column, int64_t count, const char *first_id) {
            static_cast<std::vector<Taken> *>(context)->push_back({column, count, first_id});
        },
        &taken);
    if (taken.empty())
        return;
    SharedLockHold hold(&memory_->lock);
    for (const Taken &mismatches : taken) {
        Mismatches &to = memory_->columns()[mismatches.column];
        if (to.count == 0 || part_ < to.part) {
            const int room = sizeof to.first_id - 1;
            const int size =
                pg_mbcliplen(mismatches.first_id.data(), static_cast<int>(mismatches.first_id.size()), room);
            memcpy(to.first_id, mismatches.first_id.data(), static_cast<size_t>(size));
            to.first_id[size] = '\0';
            to.part = part_;
        }
        to.count += mismatches.count;
    }
}

void SharedScan::collect_mismatches(bson::FieldPlan *plan) {
    SharedLockHold hold(&memory_->lock);
    for (int i = 0; i < memory_->column_count; ++i) {
        Mismatches &from = memory_->columns()[i];
        if (from.count > 0)
            pg_guard([&] { bson::add_mismatches(plan, i, from.count, from.first_id); });
        from.count = 0;
    }
}

source::Statistics SharedScan::workers_statistics() const noexcept {
    source::Statistics statistics;
    statistics.documents = static_cast<int64_t>(pg_atomic_read_u64(&memory_->documents));
    statistics.bytes = static_cast<int64_t>(pg_atomic_read_u64(&memory_->bytes));
    statistics.batches = static_cast<int64_t>(pg_atomic_read_u64(&memory_->batches));
    return statistics;
}

int64_t SharedScan::parts_taken() const noexcept {
    return memory_->earlier_parts + memory_->next_part;
}

} // namespace mongoferry::fdw
