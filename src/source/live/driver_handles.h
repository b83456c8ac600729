/*
 * Owners of the driver's objects, one for each kind that we hold on to.
 */
#pragma once

#include "source/live/driver_compat.h"

#include <memory>

namespace mongoferry::source::live {

template <auto destroy>
struct DestroyWith {
    template <typename T>
    void operator()(T *object) const noexcept {
        destroy(object);
    }
};

using UriHandle = std::unique_ptr<mongoc_uri_t, DestroyWith<mongoc_uri_destroy>>;
using ReadPreferenceHandle = std::unique_ptr<mongoc_read_prefs_t, DestroyWith<mongoc_read_prefs_destroy>>;
using ReadConcernHandle = std::unique_ptr<mongoc_read_concern_t, DestroyWith<mongoc_read_concern_destroy>>;
using SessionHandle = std::unique_ptr<mongoc_client_session_t, DestroyWith<mongoc_client_session_destroy>>;
using SessionOptionsHandle = std::unique_ptr<mongoc_session_opt_t, DestroyWith<mongoc_session_opts_destroy>>;
using ServerDescriptionHandle =
    std::unique_ptr<mongoc_server_description_t, DestroyWith<mongoc_server_description_destroy>>;

/* A document of the driver's, built by us or filled by a call. */
class BsonHandle {
public:
    BsonHandle() noexcept { bson_init(&bson_); }
    ~BsonHandle() { bson_destroy(&bson_); }
    BsonHandle(const BsonHandle &) = delete;
    BsonHandle &operator=(const BsonHandle &) = delete;

    bson_t *get() noexcept { return &bson_; }
    const bson_t *get() const noexcept { return &bson_; }
    /* For a call that initialises its reply itself. */
    bson_t *prepare() noexcept {
        bson_destroy(&bson_);
        return &bson_;
    }
    void clear() noexcept {
        bson_destroy(&bson_);
        bson_init(&bson_);
    }

private:
    bson_t bson_;
};

} // namespace mongoferry::source::live
