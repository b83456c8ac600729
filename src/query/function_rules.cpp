/* See function_rules.h. The rules are in the files rules_*.cpp, by subject; here they are found. */
#include "query/function_rules.h"

#include "query/value_comparison.h"
#include "query/rule.h"

extern "C" {
#include "nodes/nodeFuncs.h"
}

namespace mongoferry::query {

static const RuleGroup *const groups[] = {&conditional_rules, &arithmetic_rules, &numeric_rules, &cast_rules,
                                          &text_rules,        &time_rules,       &json_rules};

static const FunctionRule *find_rule(Oid function) {
    for (const RuleGroup *group : groups)
        for (int i = 0; i < group->count; ++i)
            for (const Oid candidate : group->rules[i].functions) {
                if (!OidIsValid(candidate))
                    break;
                if (candidate == function)
                    return &group->rules[i];
            }
    return nullptr;
}

static ServerValue *translate_call(const Call &call) {
    const FunctionRule *rule = find_rule(call.function);
    if (!rule && is_time_of_object_id(call))
        return time_of_object_id(call);
    if (!rule) {
        const char *name = get_func_name(call.function);
        return not_sent(call.translation, call.expression,
                        psprintf("there is no rule for the function %s()", name ? name : "?"));
    }
    if (!rule->translate)
        return not_sent(call.translation, call.expression, rule->when);
    /* The server would compute constant parts before it looks at guards. */
    if (func_strict(call.function)) {
        ListCell *cell;
        foreach (cell, call.arguments) {
            const Node *node = static_cast<const Node *>(lfirst(cell));
            if (IsA(node, Const) && reinterpret_cast<const Const *>(node)->constisnull)
                return null_value();
        }
    }
    return rule->translate(call);
}

/* Comparisons are found by their operators. */
static ServerValue *translate_operator(Call *call, OpExpr *expression) {
    ComparedTypes types;
    const char *why = nullptr;
    if (list_length(expression->args) == 2 && read_comparison(expression->opno, expression->inputcollid, &types, &why))
        return translate_conditional(*call);
    set_opfuncid(expression);
    call->function = expression->opfuncid;
    if (!find_rule(call->function) && why)
        return not_sent(call->translation, call->expression, why);
    return translate_call(*call);
}

/* MongoDB promises 100 levels of nesting (manual, "MongoDB Limits and Thresholds"), and what stands around a value
 * needs some of them. Nor should a command become so long that it is more to read than the documents. */
static bool is_modest(const ServerValue *value, int levels, int *left) {
    if (levels == 0 || --*left < 0)
        return false;
    for (int i = 0; i < value->count && value->kind != ServerValueKind::predicate; ++i)
        if (!is_modest(value->items[i], levels - 1, left))
            return false;
    return true;
}

static bool is_modest(const ServerValue *value) {
    constexpr int levels = 80;
    int left = 20000; /* parts */
    return is_modest(value, levels, &left);
}

static ServerValue *translate_node(Translation *translation, Node *expression) {
    check_stack_depth();
    Call call{};
    call.translation = translation;
    call.expression = expression;
    call.type = exprType(expression);
    call.collation = exprInputCollation(expression);
    switch (nodeTag(expression)) {
    case T_FuncExpr:
        call.function = reinterpret_cast<FuncExpr *>(expression)->funcid;
        call.arguments = reinterpret_cast<FuncExpr *>(expression)->args;
        return translate_call(call);
    case T_OpExpr:
        call.arguments = reinterpret_cast<OpExpr *>(expression)->args;
        return translate_operator(&call, reinterpret_cast<OpExpr *>(expression));
    case T_CoerceViaIO:
        call.arguments = list_make1(reinterpret_cast<CoerceViaIO *>(expression)->arg);
        return translate_text_cast(call);
    case T_CoalesceExpr:
        call.arguments = reinterpret_cast<CoalesceExpr *>(expression)->args;
        return translate_conditional(call);
    case T_MinMaxExpr:
        call.arguments = reinterpret_cast<MinMaxExpr *>(expression)->args;
        return translate_conditional(call);
    case T_NullIfExpr:
        call.arguments = reinterpret_cast<NullIfExpr *>(expression)->args;
        return translate_conditional(call);
    case T_CaseExpr:
    case T_BoolExpr:
    case T_NullTest:
    case T_BooleanTest:
    case T_DistinctExpr:
    case T_ScalarArrayOpExpr:
        return translate_conditional(call);
    default:
        return not_sent(translation, expression, "there is no rule for it");
    }
}

ServerValue *translate_function(Translation *translation, Node *expression) {
    ServerValue *value = translate_node(translation, expression);
    if (!value)
        return nullptr;
    bool fits = is_modest(value);
    ListCell *cell;
    foreach (cell, translation->troubles)
        fits = fits && is_modest(static_cast<const ServerValue *>(lfirst(cell)));
    return fits ? value : not_sent(translation, expression, "it is too long for a command of MongoDB's");
}

const RuleText *function_rule_texts(int *count) {
    *count = 0;
    int most = 0;
    for (const RuleGroup *group : groups)
        most += group->count;
    RuleText *texts = static_cast<RuleText *>(palloc(sizeof(RuleText) * most));
    for (const RuleGroup *group : groups)
        for (int i = 0; i < group->count; ++i) {
            const FunctionRule &rule = group->rules[i];
            if (rule.sql) /* else the texts above are its own too */
                texts[(*count)++] = {group->subject, rule.sql, rule.mongodb, rule.when};
        }
    return texts;
}

} // namespace mongoferry::query
