/*
 * What the rules of one subject share: the shape of the table, and short words for the aggregation language.
 *
 * POD world. Source of the operators' behaviour: MongoDB manual, "Aggregation Operators".
 */
#pragma once

#include "pg/backend.h"

#include "query/filter_node.h"
#include "query/function_rules.h"

extern "C" {
#include "utils/fmgroids.h"
}

namespace mongoferry::query {

/* A call of a function or operator, or another expression with its arguments. */
struct Call {
    Translation *translation;
    Node *expression;
    Oid function; /* InvalidOid for other expressions */
    Oid type;     /* of the result */
    Oid collation;
    List *arguments;
};

/* Returns NULL, with a reason, if the call can't be sent. */
using Translate = ServerValue *(*)(const Call &);

constexpr int functions_per_rule = 20;

struct FunctionRule {
    const char *sql; /* the texts of RuleText; NULL: those of the rule above */
    const char *mongodb;
    const char *when;
    Translate translate;               /* NULL: it is not sent, and `when` tells why */
    Oid functions[functions_per_rule]; /* of pg_proc; 0 after the last. None: the rule is for a kind of node */
};

struct RuleGroup {
    const char *subject;
    const FunctionRule *rules;
    int count;
};

extern const RuleGroup conditional_rules;
extern const RuleGroup arithmetic_rules;
extern const RuleGroup numeric_rules;
extern const RuleGroup cast_rules;
extern const RuleGroup text_rules;
extern const RuleGroup time_rules;
extern const RuleGroup json_rules;

/* The rules for nodes that are no functions: those of conditional_rules, and casts by way of text. */
ServerValue *translate_conditional(const Call &call);
ServerValue *translate_text_cast(const Call &call);
/* mongoferry's own function, which has no number of its own. */
bool is_time_of_object_id(const Call &call);
ServerValue *time_of_object_id(const Call &call);

/* --- looking at a call ------------------------------------------------------------------------------------------- */

inline Node *argument(const Call &call, int number) {
    return static_cast<Node *>(list_nth(call.arguments, number));
}

/* The value of an argument; NULL if it can't be sent. */
inline ServerValue *argument_value(const Call &call, int number) {
    return translate_value(call.translation, argument(call, number));
}

/* The Const that an argument is, if it is one and not null; NULL for placeholders. */
const Const *literal_argument(const Call &call, int number);

/* Whether a number may come as any of BSON's types for numbers, as it is stored, rather than as a rule made it. */
bool may_be_stored(Node *expression);

/* Notes that PostgreSQL raises an error where the condition is true. */
void add_trouble(Translation *translation, ServerValue *condition);

/* --- the aggregation language ------------------------------------------------------------------------------------ */

inline ServerValue *not_of(ServerValue *condition) {
    return operation("$not", {condition});
}

inline ServerValue *choice(ServerValue *condition, ServerValue *then, ServerValue *otherwise) {
    return operation("$cond", {condition, then, otherwise});
}

/* True for values that are neither null nor missing. */
inline ServerValue *is_something(ServerValue *value) {
    return operation("$gt", {value, null_value()});
}

/* True for null and for a missing value. */
inline ServerValue *is_nothing(ServerValue *value) {
    return operation("$lte", {value, null_value()});
}

bool is_constant(const ServerValue *value);
bool is_null_constant(const ServerValue *value);

/* All of or one of the conditions; members that are NULL are left out. */
ServerValue *all_of(std::initializer_list<ServerValue *> conditions);
ServerValue *any_of(std::initializer_list<ServerValue *> conditions);

/* A Decimal128; the text has to be one. */
ServerValue *decimal_value(const char *text);

/* {$convert: …} that gives null for what can't be converted. */
ServerValue *converted(ServerValue *value, const char *type);

/* {operator: {name: value, …}} */
ServerValue *named_operation(const char *name, std::initializer_list<std::pair<const char *, ServerValue *>> arguments);

/* A field or constant stands for itself; anything longer gets a name. */
bool needs_name(const ServerValue *value);
ServerValue *let(ServerValue *variables, ServerValue *body);

/* The body that a function makes of a value, which is computed once. Names within a rule must differ from each other;
 * nothing from outside a rule is seen inside, so rules may use the same names. */
template <typename MakeBody>
ServerValue *with_name(const char *name, ServerValue *value, MakeBody make_body) {
    if (!needs_name(value))
        return make_body(value);
    return let(append_entry(document_value(), name, value), make_body(variable_value(name)));
}

template <typename MakeBody>
ServerValue *with_names(const char *name, ServerValue *value, const char *other_name, ServerValue *other,
                        MakeBody make_body) {
    ServerValue *variables = document_value();
    ServerValue *inner = value;
    ServerValue *inner_other = other;
    if (needs_name(value)) {
        append_entry(variables, name, value);
        inner = variable_value(name);
    }
    if (needs_name(other)) {
        append_entry(variables, other_name, other);
        inner_other = variable_value(other_name);
    }
    ServerValue *body = make_body(inner, inner_other);
    return variables->count > 0 ? let(variables, body) : body;
}

/* null for nothing, else what the function makes of the value: for operators that refuse null. */
template <typename MakeBody>
ServerValue *of_something(ServerValue *value, MakeBody make_body) {
    return with_name("value", value, [&](ServerValue *known) {
        return is_constant(known) && !is_null_constant(known)
                   ? make_body(known)
                   : choice(is_something(known), make_body(known), null_value());
    });
}

} // namespace mongoferry::query
