/* See document_reader.h. */
#include "migrate/document_reader.h"

#include "migrate/shown_json.h"
#include "pg/bytea.h"
#include "pg/guard.h"
#include "source/chunk_source.h"

namespace mongoferry::migrate {

source::Range range_of(const bytea *bounds) {
    if (!bounds)
        return {};
    return source::parse_range({reinterpret_cast<const uint8_t *>(VARDATA_ANY(bounds)), VARSIZE_ANY_EXHDR(bounds)});
}

source::Request make_document_request(const fdw::TableDescription *table, source::Range range) {
    source::Request request = fdw::whole_collection(table);
    request.range = std::move(range);
    return request;
}

Reading *open_reading(MemoryContext context, const fdw::TableDescription *table, const bytea *bounds, int64 maximum,
                      bool sample) {
    Reading *reading = static_cast<Reading *>(MemoryContextAllocZero(context, sizeof(Reading)));
    reading->left = maximum;
    pg_entry([&] {
        source::Request request = make_document_request(table, range_of(bounds));
        if (maximum == 0)
            return;
        if (maximum > 0 && request.range.except.empty())
            request.limit = maximum; /* else the limit would count those that are passed over */
        request.sample = sample;
        auto *owner = new_in_context<std::unique_ptr<source::Source>>(context);
        *owner = source::make_chunk_source(fdw::make_source(table->source));
        reading->source = owner->get();
        reading->source->open(request);
    });
    return reading;
}

bool next_document(Reading *reading, bson::View *document) {
    if (reading->left == 0)
        return false;
    while (!reading->batch.next(document)) {
        CHECK_FOR_INTERRUPTS();
        if (!pg_entry([&] { return reading->source->next_batch(&reading->batch); }))
            return false;
    }
    if (reading->left > 0)
        --reading->left;
    return true;
}

void close_reading(Reading *reading) {
    if (reading->source)
        pg_entry([&] { reading->source->close(); });
    reading->source = nullptr;
    reading->left = 0;
}

void document_columns(bson::View document, Datum *values, bool *nulls) {
    bson::Value id;
    nulls[0] = !(bson::find(document, "_id", &id) && shown_json(id, &values[0]));
    nulls[1] = !shown_json(document, &values[1]);
    nulls[2] = false;
    values[2] = PointerGetDatum(make_bytea(document.data, document.size));
}

} // namespace mongoferry::migrate
