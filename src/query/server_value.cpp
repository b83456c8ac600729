/* See server_value.h. */
#include "query/server_value.h"

#include "query/filter.h"

namespace mongoferry::query {

static ServerValue *make_value(ServerValueKind kind) {
    ServerValue *value = static_cast<ServerValue *>(palloc0(sizeof(ServerValue)));
    value->kind = kind;
    return value;
}

ServerValue *null_value() {
    return make_value(ServerValueKind::constant); /* ConstantKind::null is 0 */
}

ServerValue *constant_value(const Constant &constant) {
    ServerValue *value = make_value(ServerValueKind::constant);
    value->constant = constant;
    return value;
}

ServerValue *integer_value(int64 integer) {
    return constant_value(integer_constant(integer));
}

ServerValue *float64_value(double number) {
    return constant_value(float64_constant(number));
}

ServerValue *boolean_value(bool boolean) {
    return constant_value(boolean_constant(boolean));
}

ServerValue *date_value(int64 milliseconds) {
    return constant_value(date_constant(milliseconds));
}

ServerValue *text_value(const char *utf8) {
    return constant_value(text_constant(utf8));
}

ServerValue *field_value(const char *path) {
    ServerValue *value = make_value(ServerValueKind::field);
    value->text = path;
    return value;
}

ServerValue *variable_value(const char *name) {
    ServerValue *value = make_value(ServerValueKind::variable);
    value->text = name;
    return value;
}

ServerValue *document_value() {
    return make_value(ServerValueKind::document);
}

ServerValue *predicate_value(FilterNode *const *filters, int count) {
    ServerValue *value = make_value(ServerValueKind::predicate);
    value->filters = filters;
    value->count = count;
    return value;
}

ServerValue *match_stage(FilterNode *filter) {
    FilterNode **filters = static_cast<FilterNode **>(palloc(sizeof(FilterNode *)));
    filters[0] = filter;
    return operation_of("$match", predicate_value(filters, 1));
}

ServerValue *append_item(ServerValue *array, ServerValue *item) {
    const size_t size = sizeof(ServerValue *) * (array->count + 1);
    array->items = static_cast<ServerValue **>(array->items ? repalloc(array->items, size) : palloc(size));
    array->items[array->count++] = item;
    return array;
}

ServerValue *append_entry(ServerValue *document, const char *key, ServerValue *value) {
    const size_t size = sizeof(const char *) * (document->count + 1);
    document->keys = static_cast<const char **>(document->keys ? repalloc(document->keys, size) : palloc(size));
    document->keys[document->count] = key;
    return append_item(document, value);
}

ServerValue *array_value(std::initializer_list<ServerValue *> items) {
    ServerValue *array = make_value(ServerValueKind::array);
    for (ServerValue *item : items)
        append_item(array, item);
    return array;
}

ServerValue *operation(const char *name, std::initializer_list<ServerValue *> arguments) {
    return append_entry(document_value(), name, array_value(arguments));
}

ServerValue *operation_of(const char *name, ServerValue *argument) {
    return append_entry(document_value(), name, argument);
}

/* --- writing BSON ------------------------------------------------------------------------------------------------ */

void render_constant(bson::Builder *builder, std::string_view key, const Constant &constant) {
    if (constant.placeholder > 0) {
        builder->begin_document(key);
        if (constant.kind == ConstantKind::regex)
            builder->begin_document("$regex");
        builder->append_int32("$parameter", constant.placeholder);
        if (constant.kind == ConstantKind::regex)
            builder->end();
        builder->end();
        return;
    }
    switch (constant.kind) {
    case ConstantKind::null:
        builder->append_null(key);
        break;
    case ConstantKind::integer:
        if (constant.integer >= PG_INT32_MIN && constant.integer <= PG_INT32_MAX)
            builder->append_int32(key, static_cast<int32_t>(constant.integer));
        else
            builder->append_int64(key, constant.integer);
        break;
    case ConstantKind::float64:
        builder->append_float64(key, constant.float64);
        break;
    case ConstantKind::decimal128:
        builder->append_decimal128(key, constant.bytes);
        break;
    case ConstantKind::boolean:
        builder->append_bool(key, constant.boolean);
        break;
    case ConstantKind::object_id:
        builder->append_object_id(key, constant.bytes);
        break;
    case ConstantKind::date:
        builder->append_date(key, constant.integer);
        break;
    case ConstantKind::text:
        builder->append_string(key, {constant.text.data, constant.text.size});
        break;
    case ConstantKind::regex:
        builder->append_regex(key, {constant.text.data, constant.text.size}, constant.text.options);
        break;
    case ConstantKind::uuid:
        builder->append_binary(key, constant.binary_subtype, constant.bytes, 16);
        break;
    }
}

/* In an expression a string with a dollar in front is a field or a variable, unless it is marked as a literal. */
static bool needs_literal(const Constant &constant) {
    return constant.placeholder == 0 && constant.kind == ConstantKind::text && constant.text.size > 0 &&
           constant.text.data[0] == '$';
}

static void render_items(bson::Builder *builder, const ServerValue *value) {
    const bool is_array = value->kind == ServerValueKind::array;
    for (int i = 0; i < value->count; ++i)
        if (is_array)
            render_value(builder, builder->array_key(), value->items[i]);
        else
            render_value(builder, value->keys[i], value->items[i]);
}

void render_value(bson::Builder *builder, std::string_view key, const ServerValue *value) {
    switch (value->kind) {
    case ServerValueKind::constant:
        if (needs_literal(value->constant)) {
            builder->begin_document(key);
            render_constant(builder, "$literal", value->constant);
            builder->end();
        } else {
            render_constant(builder, key, value->constant);
        }
        break;
    case ServerValueKind::field:
        builder->append_string(key, std::string("$") + value->text);
        break;
    case ServerValueKind::variable:
        builder->append_string(key, std::string("$$") + value->text);
        break;
    case ServerValueKind::array:
        builder->begin_array(key);
        render_items(builder, value);
        builder->end();
        break;
    case ServerValueKind::document:
        builder->begin_document(key);
        render_items(builder, value);
        builder->end();
        break;
    case ServerValueKind::predicate: {
        const bson::Document predicate = render_filter(value->filters, value->count);
        builder->append_document(key, bson::view_of(predicate));
        break;
    }
    }
}

bson::Document render_document(const ServerValue *value) {
    bson::Builder builder;
    for (int i = 0; i < value->count; ++i)
        if (value->kind == ServerValueKind::array)
            render_value(&builder, std::to_string(i), value->items[i]);
        else
            render_value(&builder, value->keys[i], value->items[i]);
    return builder.finish();
}

} // namespace mongoferry::query
