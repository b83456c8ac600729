/*
 * See connection_cache.h, and cached_connections() and disconnect() in live.h. Relies on the system caches'
 * invalidation callbacks (by the hash value of the server's or user mapping's OID) and on transaction callbacks.
 */
#include "source/live/connection_cache.h"

#include "pg/guard.h"
#include "source/live/collection_statistics.h"
#include "source/live/driver.h"
#include "source/live/live.h"

extern "C" {
#include "storage/ipc.h"
#include "utils/inval.h"
#include "utils/syscache.h"
}

#include <map>

namespace mongoferry::source::live {

namespace {
struct KeyOrder {
    bool operator()(const ConnectionKey &left, const ConnectionKey &right) const noexcept {
        return left.user_mapping != right.user_mapping ? left.user_mapping < right.user_mapping
                                                       : left.server < right.server;
    }
};
using Connections = std::map<ConnectionKey, std::shared_ptr<Connection>, KeyOrder>;
} // namespace

/* Never destroyed: a process that ends within the driver must not run a destructor that enters it again. */
static Connections &connections() {
    static Connections *all = new Connections;
    return *all;
}

/* Those that nobody needs: out of date, broken, or not to be kept beyond the transaction that has ended. */
static void drop_unneeded(bool transaction_ended) noexcept {
    Connections &all = connections();
    for (auto entry = all.begin(); entry != all.end();) {
        Connection &connection = *entry->second;
        if (transaction_ended && !connection.keep)
            connection.drop_when_unused = true;
        const bool unneeded = !connection.valid || connection.broken() || connection.drop_when_unused;
        if (unneeded && connection.users == 0)
            entry = all.erase(entry);
        else
            ++entry;
    }
}

static void on_invalidation(Datum, int cache, uint32 hash) {
    for (auto &[key, connection] : connections()) {
        const uint32 own = cache == FOREIGNSERVEROID ? connection->server_hash : connection->user_mapping_hash;
        if (hash == 0 || own == hash)
            connection->valid = false;
    }
}

static void on_transaction_end(XactEvent event, void *) {
    switch (event) {
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_PARALLEL_COMMIT:
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PARALLEL_ABORT:
    case XACT_EVENT_PREPARE:
        if (!inside_driver())
            drop_unneeded(true);
        break;
    default:
        break;
    }
}

/* A backend that ends says good-bye to its servers, within a short time. */
static void on_exit(int, Datum) {
    if (!inside_driver())
        connections().clear();
}

static void register_callbacks() {
    static bool registered = false;
    if (registered)
        return;
    pg_guard([] {
        CacheRegisterSyscacheCallback(FOREIGNSERVEROID, on_invalidation, (Datum)0);
        CacheRegisterSyscacheCallback(USERMAPPINGOID, on_invalidation, (Datum)0);
        RegisterXactCallback(on_transaction_end, nullptr);
        before_shmem_exit(on_exit, (Datum)0);
    });
    registered = true;
}

std::shared_ptr<Connection> cached_connection(const ConnectionKey &key, const ConnectionOptions &options) {
    register_callbacks();
    drop_unneeded(false);
    Connections &all = connections();
    auto found = all.find(key);
    if (found != all.end() && found->second->valid && !found->second->broken())
        return found->second;

    auto connection = std::make_shared<Connection>(options);
    pg_guard([&] {
        connection->server_hash = GetSysCacheHashValue1(FOREIGNSERVEROID, ObjectIdGetDatum(key.server));
        /* Without a mapping none of its changes concerns us; a server's change covers the first mapping's coming:
         * that makes another key. */
        connection->user_mapping_hash = OidIsValid(key.user_mapping)
                                            ? GetSysCacheHashValue1(USERMAPPINGOID, ObjectIdGetDatum(key.user_mapping))
                                            : 0;
    });
    /* One that is still in use lives on with its users. */
    all[key] = connection;
    return connection;
}

bool may_be_stale(const ConnectionError &error, bool was_proven, int64_t start) noexcept {
    constexpr int64_t quickly = 2 * 1000 * 1000;
    return was_proven && monotonic_time() - start < quickly &&
           (error.sqlstate == ERRCODE_CONNECTION_FAILURE ||
            error.sqlstate == ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION);
}

ConnectionUse::ConnectionUse(std::shared_ptr<Connection> connection) noexcept : connection_(std::move(connection)) {
    ++connection_->users;
}

void ConnectionUse::release() noexcept {
    if (!connection_)
        return;
    --connection_->users;
    connection_.reset();
    if (!inside_driver())
        drop_unneeded(false);
}

std::vector<CachedConnection> cached_connections() {
    std::vector<CachedConnection> result;
    for (const auto &[key, connection] : connections())
        result.push_back(
            {key.server, key.user_mapping, connection->valid && !connection->broken(), connection->users > 0});
    return result;
}

template <typename Condition>
static bool disconnect_where(Condition &&condition, bool *in_use) {
    forget_statistics();
    Connections &all = connections();
    bool closed = false;
    bool stayed = false;
    for (auto entry = all.begin(); entry != all.end();) {
        if (!condition(entry->first)) {
            ++entry;
        } else if (entry->second->users > 0) {
            stayed = true;
            ++entry;
        } else {
            entry = all.erase(entry);
            closed = true;
        }
    }
    if (in_use)
        *in_use = stayed;
    return closed;
}

bool disconnect(Oid server, bool *in_use) {
    return disconnect_where([server](const ConnectionKey &key) { return key.server == server; }, in_use);
}

bool disconnect_all(bool *in_use) {
    return disconnect_where([](const ConnectionKey &) { return true; }, in_use);
}

} // namespace mongoferry::source::live
