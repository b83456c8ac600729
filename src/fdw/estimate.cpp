/* See estimate.h. Relies on the options having been validated. */
#include "fdw/callbacks.h"

#include "pg/encoding.h"
#include "query/filter.h"
#include "source/live/collection_statistics.h"

#include <cmath>

extern "C" {
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
}

namespace mongoferry::fdw {

namespace {

/* Assumptions where nothing is known. */
constexpr double default_documents = 1000;
constexpr double default_document_bytes = 300;
constexpr double default_unwound_elements = 3;

/* As far as the server counts for use_remote_estimate: beyond it the plan is the same anyway. */
constexpr int64_t most_counted = 100000;

constexpr Cost live_startup_cost = 100; /* as postgres_fdw */
constexpr Cost live_tuple_cost = 0.2;   /* as postgres_fdw since PostgreSQL 17 */
constexpr Cost file_startup_cost = 1;
constexpr Cost file_tuple_cost = 0.01;

/* A further batch needs no connection and no plan, only the way there and back. */
constexpr double round_trip_share = 0.1; /* of the startup cost */
constexpr double batch_bytes = 16.0 * 1024 * 1024;
/* How many of the documents that an index leads to have to be fetched from the server's disk. */
constexpr double uncached_share = 0.1;

/* A look-up is a small query of its own: some five times what a document costs that is only sent. */
constexpr Cost look_up_cost = 1;

Cost byte_cost() {
    return seq_page_cost / BLCKSZ;
}

/* Type, key and NUL around each value of a document. */
constexpr double element_overhead = 3;
/* Of the document itself, with its _id, which always comes along. */
constexpr double document_overhead = 30;

source::live::CollectionStatistics server_statistics(const SourceOptions &source) {
    return pg_entry([&] {
        return source::live::planned_statistics(connection_key(source), connection_options(source), source.database,
                                                source.collection);
    });
}

int64_t server_count(const SourceOptions &source, bson::View filter) {
    return pg_entry([&] {
        return source::live::planned_count(connection_key(source), connection_options(source), source.database,
                                           source.collection, bson::Document(filter.data, filter.data + filter.size),
                                           most_counted);
    });
}

using Indexes = std::shared_ptr<const std::vector<source::live::Index>>;

/* Exception world. */
Indexes server_indexes(const SourceOptions &source) {
    return source::live::planned_indexes(connection_key(source), connection_options(source), source.database,
                                         source.collection);
}

/* path: UTF-8 */
bool has_leading_path(const std::vector<source::live::Index> &indexes, std::string_view path, bool for_equality) {
    for (const source::live::Index &index : indexes) {
        using Order = source::live::IndexKey::Order;
        const source::live::IndexKey &first = index.keys.front();
        if (index.is_usable() && first.path == path && first.order != Order::other &&
            (first.order != Order::hashed || for_equality))
            return true;
    }
    return false;
}

/* Whether the server can find what a predicate of one field wants in an index on it, without going through all. */
bool narrows(const bson::Value &value, bool *is_equality) {
    *is_equality = true;
    if (value.type != bson::Type::object)
        return true;
    bson::Iterator iterator(bson::document_of(value));
    bool found = false;
    bool is_first = true;
    while (iterator.next()) {
        const std::string_view key = iterator.key();
        if (is_first && !key.starts_with('$'))
            return true; /* equal to an object */
        is_first = false;
        if (key == "$eq" || key == "$in")
            return true;
        if (key == "$lt" || key == "$lte" || key == "$gt" || key == "$gte" || key == "$type" || key == "$regex" ||
            key == "$elemMatch")
            found = true;
    }
    *is_equality = false;
    return found;
}

/* Whether an index serves the filter: one of the conditions that must hold, or all of the alternatives. */
bool is_served(bson::View filter, const std::vector<source::live::Index> &indexes) {
    bson::Iterator iterator(filter);
    while (iterator.next()) {
        const std::string_view key = iterator.key();
        const bson::Value value = iterator.value();
        if (key == "$and" || key == "$or") {
            if (value.type != bson::Type::array)
                continue;
            bool any = false;
            bool all = true;
            bson::Iterator branch(bson::document_of(value));
            while (branch.next()) {
                const bool served =
                    branch.value().type == bson::Type::object && is_served(bson::document_of(branch.value()), indexes);
                any |= served;
                all &= served;
            }
            if (key == "$and" ? any : any && all)
                return true;
        } else if (!key.starts_with('$')) {
            bool is_equality;
            if (narrows(value, &is_equality) && has_leading_path(indexes, key, is_equality))
                return true;
        }
    }
    return false;
}

bool is_served_by_index(const SourceOptions &source, bson::View filter) {
    return pg_entry([&] { return is_served(filter, *server_indexes(source)); });
}

/* The filter that a scan would send, as far as the planner knows. */
struct KnownFilter {
    bson::View filter; /* size 0: none */
    bool is_exact;     /* with the values that it will have; else with others in the place of what is not known yet */
    bool is_empty;     /* no document can fit */
};

KnownFilter known_filter(PlannerInfo *root, const RelationInfo *info) {
    KnownFilter result{};
    if (info->remote.conditions == NIL)
        return result;
    List *placeholders = NIL;
    query::RemoteQuery remote = query::make_plan_form(info->remote, info->relations, &placeholders);
    List *values = NIL;
    ListCell *cell;
    foreach (cell, placeholders) {
        /* Stable functions have a value now already, and it serves to estimate. */
        Node *value = estimate_expression_value(root, static_cast<Node *>(lfirst(cell)));
        if (!IsA(value, Const))
            break;
        values = lappend(values, value);
    }
    result.is_exact = list_length(values) == list_length(placeholders);
    if (result.is_exact)
        remote = query::with_values(remote, values);
    const query::Command command =
        query::make_command(remote, translated_tables(info->tables), list_length(info->tables), result.is_exact);
    result.is_empty = result.is_exact && command.empty;
    if (command.filter_count > 0)
        result.filter =
            pg_entry([&] { return palloc_copy(query::render_filter(command.filters, command.filter_count)); });
    return result;
}

/* The restrictions of a relation whose conditions are sent, or (sent false) are not. */
List *restrictions_of(const RelOptInfo *relation, const RelationInfo *info, bool sent) {
    List *restrictions = NIL;
    ListCell *cell;
    foreach (cell, relation->baserestrictinfo) {
        RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
        if (list_member_ptr(info->remote.conditions, restriction->clause) == sent)
            restrictions = lappend(restrictions, restriction);
    }
    return restrictions;
}

/* The collection's size, as far as it is known without ANALYZE. */
void estimate_collection(const TableDescription *table, BaseEstimate *estimate) {
    estimate->documents = default_documents;
    estimate->document_bytes = default_document_bytes;
    if (table->source.dump) {
        const source::SizeEstimate size = pg_entry([&] {
            return source::estimate_size(file_options(table->source),
                                         table->source.database ? table->source.database : "",
                                         table->source.collection);
        });
        if (size.document_size > 0)
            estimate->document_bytes = static_cast<double>(size.document_size);
        if (size.bytes >= 0)
            estimate->documents = clamp_row_est(static_cast<double>(size.bytes) / estimate->document_bytes);
        return;
    }
    const source::live::CollectionStatistics statistics = server_statistics(table->source);
    /* None may mean that it is being filled, and plans for nothing are bad for something. */
    if (statistics.documents > 0)
        estimate->documents = static_cast<double>(statistics.documents);
    if (statistics.documents > 0 && statistics.bytes > 0)
        estimate->document_bytes = Max(static_cast<double>(statistics.bytes) / estimate->documents, 5);
}

/* What is asked of a document, in bytes of BSON. */
double estimate_transfer_bytes(const TableDescription *table, const Bitmapset *attributes, double document_bytes) {
    double bytes = document_overhead;
    for (int number = -1; (number = bms_next_member(attributes, number)) >= 0;) {
        const query::Field &field = table->fields.fields[number - 1];
        if (!field.path)
            continue;
        if (strcmp(field.path, "$$ROOT") == 0)
            return document_bytes;
        int32 width = get_attavgwidth(table->id, static_cast<AttrNumber>(number));
        if (width <= 0)
            width = get_typavgwidth(field.type, field.typmod);
        bytes += width + static_cast<double>(strlen(field.path)) + element_overhead;
    }
    /* Elements come as they are stored. */
    return table->fields.unwind ? document_bytes : Min(bytes, document_bytes);
}

} // namespace

PlanningOptions planning_options(const List *server_options, const List *table_options, bool is_file) {
    const auto text = [&](const char *name) { return option_text(table_options, server_options, name); };
    PlanningOptions options;
    options.use_remote_estimate = boolean_value(text("use_remote_estimate"), false);
    options.startup_cost = number_value(text("fdw_startup_cost"), is_file ? file_startup_cost : live_startup_cost);
    options.tuple_cost = number_value(text("fdw_tuple_cost"), is_file ? file_tuple_cost : live_tuple_cost);
    const char *sampling = text("analyze_sampling");
    options.analyze_sampling = sampling && strcmp(sampling, "random") == 0 ? AnalyzeSampling::random
                               : sampling && strcmp(sampling, "off") == 0  ? AnalyzeSampling::off
                                                                           : AnalyzeSampling::automatic;
    return options;
}

/* A BSON document with nothing but an ObjectId: what is less comes from an unknown size. */
static double bytes_of_pages(const RelOptInfo *relation, double documents) {
    constexpr double smallest_document = 22;
    const double bytes = static_cast<double>(relation->pages) * BLCKSZ / documents;
    return bytes >= smallest_document ? bytes : default_document_bytes;
}

/* Everything but what the conditions let through. Sets relation->tuples. */
static BaseEstimate estimate_whole(RelOptInfo *relation, const TableDescription *table, double chunk_documents) {
    const bool is_analyzed = relation->tuples > 0;
    BaseEstimate estimate{};
    estimate.rows_per_document = table->fields.unwind ? default_unwound_elements : 1;
    if (chunk_documents >= 0) {
        estimate.documents = chunk_documents;
        estimate.document_bytes = default_document_bytes;
        if (is_analyzed) { /* a chunk is no more than the whole */
            const double all_documents = clamp_row_est(relation->tuples / estimate.rows_per_document);
            estimate.documents = Min(estimate.documents, all_documents);
            estimate.document_bytes = bytes_of_pages(relation, all_documents);
        }
    } else if (is_analyzed && (table->source.dump || !table->planning.use_remote_estimate)) {
        estimate.documents = clamp_row_est(relation->tuples / estimate.rows_per_document);
        estimate.document_bytes = bytes_of_pages(relation, estimate.documents);
        return estimate;
    } else {
        estimate_collection(table, &estimate);
        /* How many rows a document has is what ANALYZE knows better; its pages are the collection's bytes, rounded. */
        if (table->fields.unwind && is_analyzed && relation->pages > 10)
            estimate.rows_per_document =
                relation->tuples * estimate.document_bytes / (static_cast<double>(relation->pages) * BLCKSZ);
    }
    relation->tuples = clamp_row_est(estimate.documents * estimate.rows_per_document);
    return estimate;
}

/* What the filter lets through, and how the server finds it. */
static void estimate_filter(PlannerInfo *root, RelOptInfo *relation, const RelationInfo *info, bool in_chunk,
                            BaseEstimate *estimate) {
    const KnownFilter known = known_filter(root, info);
    if (known.is_empty) {
        estimate->matching = estimate->examined = 0;
        relation->rows = 1;
        return;
    }
    if (known.filter.size == 0)
        return;
    const double fitting_rows =
        relation->tuples * clauselist_selectivity(root, restrictions_of(relation, info, true), 0, JOIN_INNER, nullptr);
    /* Each row that fits belongs to a document that fits. */
    estimate->matching = clamp_row_est(Min(estimate->documents, fitting_rows));
    if (in_chunk)
        return; /* the server goes along the index on _id */
    if (info->table->planning.use_remote_estimate && known.is_exact) {
        const double count = static_cast<double>(server_count(info->table->source, known.filter));
        if (count >= most_counted) {
            estimate->matching = Max(estimate->matching, count);
        } else if (count >= 0) {
            estimate->matching = clamp_row_est(count);
            /* At least a row of each document that fits, at most all of its rows. */
            const double most = count * Max(estimate->rows_per_document, 1);
            const double of_the_rest =
                clauselist_selectivity(root, restrictions_of(relation, info, false), 0, JOIN_INNER, nullptr);
            relation->rows = clamp_row_est(Max(Min(fitting_rows, most), count) * of_the_rest);
        }
    }
    if (is_served_by_index(info->table->source, known.filter))
        estimate->examined = estimate->matching;
}

static Cost cost_of_examining(const BaseEstimate &estimate) {
    const Cost document = estimate.examined < estimate.documents
                              ? cpu_index_tuple_cost + random_page_cost * uncached_share
                              : estimate.document_bytes * byte_cost();
    return estimate.examined * (cpu_tuple_cost + document);
}

BaseEstimate estimate_base_relation(PlannerInfo *root, RelOptInfo *relation, const RelationInfo *info,
                                    double chunk_documents) {
    BaseEstimate estimate = estimate_whole(relation, info->table, chunk_documents);
    set_baserel_size_estimates(root, relation);
    estimate.matching = estimate.examined = estimate.documents;
    if (!info->table->source.dump)
        estimate_filter(root, relation, info, chunk_documents >= 0, &estimate);
    estimate.server_cost = cost_of_examining(estimate);
    estimate.transfer_bytes = estimate_transfer_bytes(info->table, info->attributes, estimate.document_bytes);
    return estimate;
}

Cost cost_of_sending(const TableDescription *table, double documents, double bytes) {
    const PlanningOptions &options = table->planning;
    if (table->source.dump)
        return documents * options.tuple_cost;
    const double batches = table->fetch_size > 0 ? documents / table->fetch_size : documents * bytes / batch_bytes;
    return documents * (options.tuple_cost + bytes * byte_cost()) + std::floor(batches) * cost_of_round_trip(table);
}

Cost cost_of_round_trip(const TableDescription *table) {
    return table->planning.startup_cost * round_trip_share;
}

double bytes_of_values(int width) {
    return document_overhead + width;
}

Cost cost_of_look_up(bool indexed, double documents) {
    return indexed ? look_up_cost : look_up_cost + documents * cpu_operator_cost;
}

Cost cost_of_examining_all(const BaseEstimate &estimate) {
    BaseEstimate all = estimate;
    all.examined = all.documents;
    return cost_of_examining(all);
}

void cost_base_scan(const RelOptInfo *relation, const TableDescription *table, const BaseEstimate &estimate,
                    Cost *startup, Cost *total) {
    *startup = table->planning.startup_cost + relation->baserestrictcost.startup + relation->reltarget->cost.startup;
    const double rows_built = estimate.matching * estimate.rows_per_document;
    *total = *startup + estimate.server_cost + cost_of_sending(table, estimate.matching, estimate.transfer_bytes) +
             rows_built * (cpu_tuple_cost + relation->baserestrictcost.per_tuple) +
             relation->rows * relation->reltarget->cost.per_tuple;
}

bool leading_index_path(const TableDescription *table, const char *path, bool for_equality) {
    if (table->source.dump)
        return false;
    return pg_entry([&] { return has_leading_path(*server_indexes(table->source), to_utf8(path), for_equality); });
}

IndexPattern *usable_indexes(const TableDescription *table, int *count) {
    *count = 0;
    if (table->source.dump)
        return nullptr;
    return pg_entry([&] {
        const Indexes indexes = server_indexes(table->source);
        IndexPattern *patterns = static_cast<IndexPattern *>(
            pg_guard([&] { return palloc0(sizeof(IndexPattern) * Max(indexes->size(), 1)); }));
        for (const source::live::Index &index : *indexes) {
            if (!index.is_usable())
                continue;
            using Order = source::live::IndexKey::Order;
            IndexPattern &pattern = patterns[*count];
            pattern.unique = index.unique;
            pattern.keys =
                static_cast<IndexPath *>(pg_guard([&] { return palloc(sizeof(IndexPath) * index.keys.size()); }));
            for (const source::live::IndexKey &key : index.keys) {
                std::string path;
                if (key.order == Order::other || !convert_to_server_text(key.path, &path))
                    break;
                const char *copy = pg_guard([&] { return pstrdup(path.c_str()); });
                pattern.keys[pattern.key_count++] = {copy, key.order == Order::descending, key.order == Order::hashed};
            }
            if (pattern.key_count > 0)
                ++*count;
        }
        return patterns;
    });
}

} // namespace mongoferry::fdw
