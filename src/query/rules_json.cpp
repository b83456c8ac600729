/* Operators of jsonb. */
#include "query/rule.h"

namespace mongoferry::query {

// clang-format off
static const FunctionRule rules[] = {
    {"jsonb ->, ->>, #>, #>>, ?, @>", nullptr, "a jsonb value is made of a whole document, which a scan may refuse for what lies elsewhere in it", nullptr,
     {F_JSONB_OBJECT_FIELD, F_JSONB_OBJECT_FIELD_TEXT, F_JSONB_ARRAY_ELEMENT, F_JSONB_ARRAY_ELEMENT_TEXT, F_JSONB_EXTRACT_PATH,
      F_JSONB_EXTRACT_PATH_TEXT, F_JSONB_EXISTS, F_JSONB_CONTAINS}},
};
// clang-format on

const RuleGroup json_rules = {"jsonb", rules, lengthof(rules)};

FilterNode *translate_json_condition(Translation *, Node *) {
    return nullptr;
}

} // namespace mongoferry::query
