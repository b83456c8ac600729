/*
 * Values of MongoDB's aggregation language as trees: expressions, and the documents that pipeline stages are.
 *
 * POD, palloc'd in CurrentMemoryContext; render_value() writes BSON (exception world). Source of the language: MongoDB
 * manual, "Aggregation Operators", "Aggregation Stages".
 */
#pragma once

#include "bson/builder.h"
#include "query/constant.h"

#include <initializer_list>

namespace mongoferry::query {

struct FilterNode;

enum class ServerValueKind : uint8_t {
    constant,
    field,     /* "$path" */
    variable,  /* "$$name" */
    array,     /* [items] */
    document,  /* {keys: items} */
    predicate, /* a query predicate, as $match takes it */
};

struct ServerValue {
    ServerValueKind kind;
    Constant constant;          /* constant */
    const char *text;           /* field: the dotted path; variable: the name; both without dollars */
    ServerValue **items;        /* array, document */
    const char **keys;          /* document */
    int count;                  /* of items, or of filters */
    FilterNode *const *filters; /* predicate: all must hold */
};

ServerValue *null_value();
ServerValue *constant_value(const Constant &constant);
ServerValue *integer_value(int64 value);
ServerValue *float64_value(double value);
ServerValue *boolean_value(bool value);
ServerValue *date_value(int64 milliseconds);
ServerValue *text_value(const char *utf8);
ServerValue *field_value(const char *path);
ServerValue *variable_value(const char *name);
ServerValue *array_value(std::initializer_list<ServerValue *> items);
ServerValue *document_value();
ServerValue *predicate_value(FilterNode *const *filters, int count);
/* The stage {$match: filter}. */
ServerValue *match_stage(FilterNode *filter);

/* Appends to an array or a document; keys must live on. Return the array or document. */
ServerValue *append_item(ServerValue *array, ServerValue *item);
ServerValue *append_entry(ServerValue *document, const char *key, ServerValue *value);

/* {operator: [arguments]}, and {operator: argument} for operators that take one: "$add", "$not" … */
ServerValue *operation(const char *name, std::initializer_list<ServerValue *> arguments);
ServerValue *operation_of(const char *name, ServerValue *argument);

/* Appends the value under a key (of a document or array that is open in the builder). Exception world. */
void render_value(bson::Builder *builder, std::string_view key, const ServerValue *value);
void render_constant(bson::Builder *builder, std::string_view key, const Constant &constant);
/* The document alone, or for an array its items under "0", "1" …: what a Request carries. */
bson::Document render_document(const ServerValue *value);

} // namespace mongoferry::query
