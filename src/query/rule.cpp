/* See rule.h. */
#include "query/rule.h"

#include "bson/number_text.h"

namespace mongoferry::query {

const Const *literal_argument(const Call &call, int number) {
    Node *node = argument(call, number);
    if (!IsA(node, Const) || reinterpret_cast<Const *>(node)->constisnull)
        return nullptr;
    return reinterpret_cast<Const *>(node);
}

bool may_be_stored(Node *expression) {
    return !IsA(expression, OpExpr) && !IsA(expression, FuncExpr) && !IsA(expression, Const);
}

void add_trouble(Translation *translation, ServerValue *condition) {
    translation->troubles = lappend(translation->troubles, condition);
}

bool is_constant(const ServerValue *value) {
    return value->kind == ServerValueKind::constant;
}

bool is_null_constant(const ServerValue *value) {
    return is_constant(value) && value->constant.kind == ConstantKind::null && value->constant.placeholder == 0;
}

static ServerValue *joined(const char *name, std::initializer_list<ServerValue *> conditions) {
    ServerValue *array = array_value({});
    for (ServerValue *condition : conditions)
        if (condition)
            append_item(array, condition);
    return array->count == 1 ? array->items[0] : operation_of(name, array);
}

ServerValue *all_of(std::initializer_list<ServerValue *> conditions) {
    return joined("$and", conditions);
}

ServerValue *any_of(std::initializer_list<ServerValue *> conditions) {
    return joined("$or", conditions);
}

ServerValue *decimal_value(const char *text) {
    Constant constant{};
    constant.kind = ConstantKind::decimal128;
    if (!bson::parse_decimal128(text, constant.bytes))
        elog(ERROR, "\"%s\" is no Decimal128", text);
    return constant_value(constant);
}

ServerValue *converted(ServerValue *value, const char *type) {
    return named_operation(
        "$convert", {{"input", value}, {"to", text_value(type)}, {"onError", null_value()}, {"onNull", null_value()}});
}

ServerValue *named_operation(const char *name,
                             std::initializer_list<std::pair<const char *, ServerValue *>> arguments) {
    ServerValue *document = document_value();
    for (const auto &[key, value] : arguments)
        append_entry(document, key, value);
    return operation_of(name, document);
}

bool needs_name(const ServerValue *value) {
    return value->kind != ServerValueKind::field && value->kind != ServerValueKind::constant;
}

ServerValue *let(ServerValue *variables, ServerValue *body) {
    return named_operation("$let", {{"vars", variables}, {"in", body}});
}

} // namespace mongoferry::query
