/* See reader_cache.h. Relies on a transaction callback to close what is not needed any more. */
#include "source/file/reader_cache.h"

#include "pg/guard.h"

extern "C" {
#include "access/xact.h"
#include "utils/timestamp.h"
}

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace mongoferry::source {

namespace {

constexpr size_t max_readers = 4; /* each holds a file descriptor and about a megabyte */
constexpr int idle_milliseconds = 60 * 1000;

struct Kept {
    std::unique_ptr<CollectionReader> reader;
    TimestampTz since;
};

/* The least recently used is first. Never destroyed: the process ends with what it holds. */
std::vector<Kept> &kept_readers() {
    static std::vector<Kept> *all = [] {
        auto *readers = new std::vector<Kept>;
        readers->reserve(max_readers + 1); /* so that keeping one never fails */
        return readers;
    }();
    return *all;
}

/* Files that were changed or deleted are let go, lest their space stays taken; so are those not used for a while. */
void on_transaction_end(XactEvent event, void *) {
    if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
        return;
    const TimestampTz now = GetCurrentTimestamp();
    std::erase_if(kept_readers(), [&](const Kept &kept) {
        return TimestampDifferenceExceeds(kept.since, now, idle_milliseconds) ||
               !kept.reader->content().file().is_unchanged();
    });
}

void register_callback() {
    static bool is_registered = false;
    if (is_registered)
        return;
    pg_guard([] { RegisterXactCallback(on_transaction_end, nullptr); });
    is_registered = true;
}

bool is_same(const CollectionFile &one, const CollectionFile &other) {
    return one.path == other.path && one.format == other.format && one.database == other.database &&
           one.collection == other.collection;
}

} // namespace

std::unique_ptr<CollectionReader> take_kept_reader(const CollectionFile &file, int64_t first) {
    register_callback();
    std::vector<Kept> &all = kept_readers();
    std::erase_if(all, [&](const Kept &kept) {
        return is_same(kept.reader->collection(), file) && !kept.reader->content().file().is_unchanged();
    });
    auto nearest = all.end();
    for (auto kept = all.begin(); kept != all.end(); ++kept) {
        if (!is_same(kept->reader->collection(), file))
            continue;
        if (nearest == all.end() ||
            std::abs(kept->reader->position() - first) < std::abs(nearest->reader->position() - first))
            nearest = kept;
    }
    if (nearest == all.end())
        return nullptr;
    std::unique_ptr<CollectionReader> reader = std::move(nearest->reader);
    all.erase(nearest);
    return reader;
}

void keep_reader(std::unique_ptr<CollectionReader> reader) noexcept {
    std::vector<Kept> &all = kept_readers();
    if (all.size() == max_readers)
        all.erase(all.begin());
    all.push_back({std::move(reader), GetCurrentTimestamp()});
}

} // namespace mongoferry::source
