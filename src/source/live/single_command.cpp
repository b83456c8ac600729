/* See single_command.h. */
#include "source/live/single_command.h"

#include "source/live/connection_cache.h"
#include "source/live/driver.h"

namespace mongoferry::source::live {

/* The cached one, but not where it could break under a scan. */
static std::shared_ptr<Connection> connection_for(const ConnectionKey &key, const ConnectionOptions &options,
                                                  bool is_limited) {
    std::shared_ptr<Connection> cached = cached_connection(key, options);
    return is_limited && cached->users > 0 ? std::make_shared<Connection>(options) : cached;
}

namespace {

/* What has to be given up if it isn't answered, in this order. */
class Attempt {
public:
    Attempt(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
            const std::string &collection, int64_t time_limit)
        : connection_(connection_for(key, options, time_limit != no_deadline)), database_(database),
          collection_(collection), is_limited_(time_limit != no_deadline) {
        connection_->set_time_limit(time_limit);
    }
    ~Attempt() {
        if (inside_driver()) {
            (void)session_.release();
            return;
        }
        connection_->set_time_limit(no_deadline);
        if (is_limited_)
            in_flight_ = false;
        connection_->discard({&server_, &database_, &collection_, 0, session_.get(), in_flight_});
        DriverScope scope(true);
        session_.reset();
    }
    Attempt(const Attempt &) = delete;
    Attempt &operator=(const Attempt &) = delete;

    bool was_proven() const noexcept { return connection_->proven(); }

    void run(const SingleCommand &command, BsonHandle *reply) {
        server_ = connection_->select_server();
        session_ = connection_->start_session();
        in_flight_ = true;
        try {
            connection_->command(server_, database_, command.command, session_.get(), command.read_concern,
                                 database_ + "." + collection_, reply);
        } catch (const ServerError &) {
            in_flight_ = false;
            throw;
        }
        in_flight_ = false;
    }

private:
    ConnectionUse connection_; /* before session_, which must go first */
    Connection::Server server_;
    SessionHandle session_;
    const std::string &database_;
    const std::string &collection_;
    const bool is_limited_;
    bool in_flight_ = false; /* the command was sent and its reply has not come */
};

} // namespace

void run_single_command(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                        const std::string &collection, const SingleCommand &command, BsonHandle *reply) {
    const int64_t start = monotonic_time();
    for (bool again = false;; again = true) {
        Attempt attempt(key, options, database, collection, command.time_limit);
        const bool was_proven = attempt.was_proven();
        try {
            attempt.run(command, reply);
            return;
        } catch (const ConnectionError &error) {
            if (again || !may_be_stale(error, was_proven, start))
                throw;
        }
    }
}

} // namespace mongoferry::source::live
