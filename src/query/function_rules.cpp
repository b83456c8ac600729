/* See function_rules.h. */
#include "query/function_rules.h"

namespace mongoferry::query {

ServerValue *translate_function(Translation *translation, Node *expression) {
    return not_sent(translation, expression, "there is no rule for it");
}

ServerValue *translate_truth(Translation *translation, Node *condition, bool) {
    return not_sent(translation, condition, "there is no rule for it");
}

FilterNode *translate_json_condition(Translation *, Node *) {
    return nullptr;
}

const RuleText *function_rule_texts(int *count) {
    *count = 0;
    return nullptr;
}

} // namespace mongoferry::query
