/*
 * ANALYZE of a foreign table: a random sample of its rows, and how many there are.
 *
 * A live collection is sampled by its server ($sample), so that no more than the sample comes over; small ones are read
 * whole. A file is read from its beginning to its end, for its documents can be found in no other way, but only the
 * documents of the sample are decoded. (Of a table with a row for each array element all are decoded, to be counted.)
 *
 * A value that does not fit its column is taken for NULL whatever on_mismatch says, and told in a WARNING: which
 * documents are in the sample is chance, and so would be the error.
 *
 * Source of the sampling: Vitter's reservoir, as in PostgreSQL's own ANALYZE (utils/sampling.h).
 */
#include "fdw/callbacks.h"

#include "pg/guard.h"
#include "query/projection.h"
#include "source/live/collection_statistics.h"

#include <cmath>

extern "C" {
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sampling.h"
}

namespace mongoferry::fdw {

namespace {

/* A sample of rows that grows row by row. POD. */
struct Sample {
    HeapTuple *rows;
    int capacity; /* at most the array's size; less when memory is short */
    int count;
    double seen;    /* rows offered so far */
    double to_skip; /* of those to come; negative: not drawn yet */
    Size bytes;
    Size most_bytes;
    ReservoirStateData reservoir;
    MemoryContext context; /* of the rows */
};

constexpr int fewest_rows = 100; /* that are kept whatever memory they take */

/* Some of the rows go, chosen at random: what is left is a random sample still. */
void shrink(Sample *sample) {
    const int kept = Max(sample->count / 4 * 3, fewest_rows);
    for (int i = 0; i < kept; ++i) {
        const int other = i + static_cast<int>(random_fraction(&sample->reservoir) * (sample->count - i));
        HeapTuple row = sample->rows[other];
        sample->rows[other] = sample->rows[i];
        sample->rows[i] = row;
    }
    for (int i = kept; i < sample->count; ++i) {
        sample->bytes -= sample->rows[i]->t_len;
        heap_freetuple(sample->rows[i]);
    }
    sample->count = sample->capacity = kept;
    sample->to_skip = -1;
    reservoir_init_selection_state(&sample->reservoir, sample->capacity);
}

/* Whether the next row is to be offered, or can be passed over without being looked at. */
bool wants_next(Sample *sample) {
    if (sample->count < sample->capacity)
        return true;
    if (sample->to_skip < 0)
        sample->to_skip = reservoir_get_next_S(&sample->reservoir, sample->seen, sample->capacity);
    if (sample->to_skip < 1)
        return true;
    sample->to_skip -= 1;
    sample->seen += 1;
    return false;
}

/* Takes a row that was wanted. */
void put(Sample *sample, TupleDesc descriptor, Datum *values, bool *nulls) {
    MemoryContext caller_context = MemoryContextSwitchTo(sample->context);
    HeapTuple row = heap_form_tuple(descriptor, values, nulls);
    MemoryContextSwitchTo(caller_context);
    sample->seen += 1;
    sample->bytes += row->t_len;
    if (sample->count < sample->capacity) {
        sample->rows[sample->count++] = row;
    } else {
        const int place = static_cast<int>(sample->capacity * random_fraction(&sample->reservoir));
        sample->bytes -= sample->rows[place]->t_len;
        heap_freetuple(sample->rows[place]);
        sample->rows[place] = row;
        sample->to_skip = -1;
    }
    if (sample->bytes > sample->most_bytes && sample->count > fewest_rows)
        shrink(sample);
}

bson::FieldPlan *make_analyze_plan(Relation relation, const TableDescription *table) {
    const query::RelationFields &fields = table->fields;
    bson::FieldSpec *specs =
        static_cast<bson::FieldSpec *>(palloc0(sizeof(bson::FieldSpec) * static_cast<Size>(Max(fields.count, 1))));
    int count = 0;
    for (int slot = 0; slot < fields.count; ++slot) {
        const query::Field &field = fields.fields[slot];
        if (!field.path)
            continue;
        specs[count] = {slot, field.column_name, field.path, field.type, field.typmod, field.options};
        specs[count++].options.on_mismatch = bson::OnMismatch::null;
    }
    return bson::make_field_plan(
        specs, count, fields.count, fields.unwind, fields.unwind_outer,
        {RelationGetRelationName(relation), collection_name(table->source), table->source.dump});
}

/* Everything that the table's columns read. Exception world. */
source::Request make_request(const TableDescription *table) {
    source::Request request = whole_collection(table);
    std::vector<std::string> paths;
    for (int slot = 0; slot < table->fields.count; ++slot)
        if (table->fields.fields[slot].path)
            paths.push_back(table->fields.fields[slot].path);
    request.projection = query::make_field_projection(std::move(paths), table->fields);
    return request;
}

/* A reading of a collection, or of a sample of it. Everything lives in its context, which goes with it. */
struct Reading {
    MemoryContext context;
    MemoryContext row_context;
    bson::FieldPlan *plan;
    source::Source *source;
    double documents; /* read so far */
};

Reading begin_reading(Relation relation, const TableDescription *table, const source::Request &request) {
    Reading reading{};
    reading.context = AllocSetContextCreate(CurrentMemoryContext, "mongoferry analyze", ALLOCSET_DEFAULT_SIZES);
    reading.row_context = AllocSetContextCreate(reading.context, "mongoferry row", ALLOCSET_DEFAULT_SIZES);
    MemoryContext caller_context = MemoryContextSwitchTo(reading.context);
    reading.plan = make_analyze_plan(relation, table);
    reading.source = pg_entry([&] {
        auto *owner = new_in_context<std::unique_ptr<source::Source>>(reading.context);
        *owner = make_source(table->source);
        (*owner)->open(request);
        return owner->get();
    });
    if (const char *file_name = reading.source->file_name())
        bson::set_file_name(reading.plan, file_name);
    MemoryContextSwitchTo(caller_context);
    return reading;
}

/* Offers all rows to the sample. */
void read_rows(Reading *reading, const TableDescription *table, TupleDesc descriptor, Sample *sample) {
    const Size slots = static_cast<Size>(Max(descriptor->natts, 1));
    Datum *values = static_cast<Datum *>(MemoryContextAlloc(reading->context, sizeof(Datum) * slots));
    bool *nulls = static_cast<bool *>(MemoryContextAlloc(reading->context, sizeof(bool) * slots));
    source::Batch batch;
    while (pg_entry([&] { return reading->source->next_batch(&batch); })) {
        bson::View document;
        while (batch.next(&document)) {
            CHECK_FOR_INTERRUPTS();
            reading->documents += 1;
            const bool one_row = table->fields.unwind == nullptr;
            if (one_row && !wants_next(sample))
                continue;
            MemoryContextReset(reading->row_context);
            MemoryContext caller_context = MemoryContextSwitchTo(reading->row_context);
            bson::begin_document(reading->plan, document,
                                 batch.first_offset < 0 ? -1 : batch.first_offset + (document.data - batch.start));
            while (bson::next_row(reading->plan, values, nulls)) {
                if (one_row || wants_next(sample))
                    put(sample, descriptor, values, nulls);
                CHECK_FOR_INTERRUPTS();
                if (!one_row)
                    MemoryContextReset(reading->row_context);
            }
            MemoryContextSwitchTo(caller_context);
        }
    }
}

void end_reading(Reading *reading, bool is_told) {
    if (is_told)
        bson::report_mismatches(reading->plan);
    MemoryContextDelete(reading->context);
}

source::live::CollectionStatistics statistics_now(const SourceOptions &source) {
    return pg_entry([&] {
        return source::live::collection_statistics(connection_key(source), connection_options(source), source.database,
                                                   source.collection);
    });
}

/* Exact; reads keys of all documents on the server. */
double count_now(const SourceOptions &source) {
    return static_cast<double>(pg_entry([&] {
        return source::live::count_documents(connection_key(source), connection_options(source), source.database,
                                             source.collection, source::Range());
    }));
}

/* One attempt: the documents that the request gives. Returns how many there were. */
double sample_documents(Relation relation, const TableDescription *table, const source::Request &request,
                        int64_t most_documents, Sample *sample) {
    Reading reading = begin_reading(relation, table, request);
    read_rows(&reading, table, RelationGetDescr(relation), sample);
    const double documents = reading.documents;
    end_reading(&reading, documents < static_cast<double>(most_documents));
    return documents;
}

/* A server may sort so much in its memory (100 MB) with ease. */
constexpr double most_sorted_in_memory = 50.0 * 1024 * 1024;

void begin_sample(Sample *sample, HeapTuple *rows, int capacity) {
    *sample = {};
    sample->rows = rows;
    sample->capacity = capacity;
    sample->to_skip = -1;
    sample->most_bytes = static_cast<Size>(maintenance_work_mem) * 1024;
    sample->context = CurrentMemoryContext;
    reservoir_init_selection_state(&sample->reservoir, capacity);
}

void empty_sample(Sample *sample, int capacity) {
    for (int i = 0; i < sample->count; ++i)
        heap_freetuple(sample->rows[i]);
    begin_sample(sample, sample->rows, capacity);
}

/* Returns how many rows the whole table has, as far as the sample tells. */
double sample_live(Relation relation, const TableDescription *table, int wanted, Sample *sample) {
    const AnalyzeSampling sampling = table->planning.analyze_sampling;
    source::Request *request =
        pg_entry([&] { return new_in_context<source::Request>(CurrentMemoryContext, make_request(table)); });
    if (sampling == AnalyzeSampling::off) {
        sample_documents(relation, table, *request, PG_INT64_MAX, sample);
        return sample->seen;
    }
    const source::live::CollectionStatistics statistics = statistics_now(table->source);
    /* What the metadata say may be wrong after a crash; of a view there are none. */
    if (sampling == AnalyzeSampling::automatic && statistics.documents <= wanted) {
        request->limit = static_cast<int64_t>(wanted) + 1;
        if (sample_documents(relation, table, *request, request->limit, sample) <= wanted)
            return sample->seen;
        empty_sample(sample, wanted);
    }
    const double documents =
        statistics.documents > wanted ? static_cast<double>(statistics.documents) : count_now(table->source);
    request->limit = wanted;
    request->sample = true;
    if (request->batch_size == 0) /* as much at once as the server's reply holds */
        request->batch_size = wanted;
    if (statistics.documents > 0 && statistics.bytes > 0)
        request->sample_on_disk =
            static_cast<double>(statistics.bytes) / static_cast<double>(statistics.documents) * wanted >
            most_sorted_in_memory;
    const double sampled = sample_documents(relation, table, *request, PG_INT64_MAX, sample);
    return sampled > 0 ? sample->seen / sampled * Max(documents, sampled) : 0;
}

int acquire_sample_rows(Relation relation, int level, HeapTuple *rows, int wanted, double *total_rows,
                        double *total_dead_rows) {
    /* As what a scan of the owner would see; that is who ANALYZE runs as. */
    const TableDescription *table = describe_table(relation, 0, relation->rd_rel->relowner);
    Sample sample;
    begin_sample(&sample, rows, wanted);
    if (table->source.dump) {
        source::Request *request =
            pg_entry([&] { return new_in_context<source::Request>(CurrentMemoryContext, make_request(table)); });
        sample_documents(relation, table, *request, PG_INT64_MAX, &sample);
        *total_rows = sample.seen;
    } else {
        *total_rows = sample_live(relation, table, wanted, &sample);
    }
    *total_dead_rows = 0;
    ereport(level, (errmsg("\"%s\": about %.0f rows; %d rows in sample", RelationGetRelationName(relation), *total_rows,
                           sample.count)));
    return sample.count;
}

/* In the planner's pages: of BSON. */
double collection_bytes(const TableDescription *table) {
    if (!table->source.dump)
        return static_cast<double>(statistics_now(table->source).bytes);
    return static_cast<double>(pg_entry([&] {
        return source::estimate_size(file_options(table->source), table->source.database ? table->source.database : "",
                                     table->source.collection)
            .bytes;
    }));
}

} // namespace

bool analyze_foreign_table(Relation relation, AcquireSampleRowsFunc *acquire, BlockNumber *pages) {
    *acquire = acquire_sample_rows;
    const TableDescription *table = describe_table(relation, 0, relation->rd_rel->relowner);
    /* At least one: a partition without pages would get no share of its parent's sample. */
    *pages = static_cast<BlockNumber>(Max(Min(std::ceil(collection_bytes(table) / BLCKSZ), MaxBlockNumber), 1));
    return true;
}

} // namespace mongoferry::fdw
