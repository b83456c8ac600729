/*
 * From a sample of documents to the columns of a foreign table: which fields there are, at which paths, and which
 * PostgreSQL type takes every value that was seen without changing it.
 *
 * Pure C++ (no backend header), exception world: std::bad_alloc. Memory is bounded whatever the documents are: fields
 * beyond InferenceOptions' limits are not told apart any more.
 */
#pragma once

#include "bson/view.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mongoferry::bson {

struct InferenceOptions {
    int nested_levels = 8;     /* how deep objects become columns of their own; 0: they become jsonb */
    size_t max_columns = 1600; /* a table can't have more; at least 2 */
    size_t max_keys = 100;     /* an object with more different keys is a map rather than a record: jsonb */
    size_t max_fields = 20000; /* that are told apart in a collection */
};

struct InferredColumn {
    std::vector<std::string> path; /* the keys from the document to the field, in UTF-8; empty: the whole document */
    std::string type;              /* in SQL, with its schema where it is no keyword */
    std::string comment;           /* what was seen: types, their shares, how often the field is missing */
};

/*
 * Types (of what the sample shows apart from null, undefined and missing):
 *   int                        integer
 *   int, long                  bigint
 *   int, double                double precision
 *   long with double; decimal  numeric
 *   date, timestamp            timestamptz; with a date beyond its range: jsonb
 *   binData                    uuid if all are UUIDs of subtype 4, else bytea
 *   string, symbol             text; so do javascript alone and regex alone
 *   objectId, bool             mongoferry.objectid, boolean
 *   object                     a column for each field; jsonb where that can't be or was not asked for
 *   array                      an array, if its elements have one of the types above (but jsonb); else jsonb
 *   nothing but null           text
 *   anything else, and mixes   jsonb
 * _id is a column of its own whatever it is.
 */
class Inference {
public:
    explicit Inference(const InferenceOptions &options = {});
    ~Inference();
    Inference(const Inference &) = delete;
    Inference &operator=(const Inference &) = delete;

    /* Takes in a document. Returns NULL, or what is wrong with it in words that follow "document is corrupt: ", with
     * *offset set to where, in bytes from the document's start. */
    const char *observe(View document, size_t *offset);

    int64_t documents() const noexcept { return documents_; }

    /*
     * The columns: _id first, then in the order in which the fields were first seen. is_complete says that the sample
     * is the whole collection (for the comments). Where fields can't become columns (too many, or keys that a path
     * can't name: empty, with a dot, with '$' in front, not UTF-8), the last column is the whole document, in jsonb. Of
     * an empty collection: _id as ObjectId, which is what MongoDB makes by itself.
     */
    std::vector<InferredColumn> columns(bool is_complete) const;

private:
    struct Field;
    struct Columns;

    const char *observe_fields(Field &object, View document, int level, View outermost, size_t *offset);
    const char *observe_value(Field &field, const Value &value, int level, View outermost, size_t *offset);

    InferenceOptions options_;
    int64_t documents_ = 0;
    size_t fields_ = 0; /* told apart so far */
    std::unique_ptr<Field> root_;
};

} // namespace mongoferry::bson
