/* See unwind.h. */
#include "query/unwind.h"

#include "bson/converter.h"
#include "query/filter_node.h"

namespace mongoferry::query {

TranslatedTable *unwound_tables(const TranslatedTable *tables, int table_count) {
    TranslatedTable *unwound = static_cast<TranslatedTable *>(palloc(sizeof(TranslatedTable) * table_count));
    memcpy(unwound, tables, sizeof(TranslatedTable) * table_count);
    unwound[0].unwound = true;
    return unwound;
}

/* An array above the unwound one; NULL: there is nothing above. */
static FilterNode *array_above(const char *path) {
    static const char *const array_type[] = {"array"};
    FilterNode *filter = nullptr;
    for (const char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.')) {
        FilterNode *above = type_node(pnstrdup(path, static_cast<Size>(dot - path)), TypeList{array_type, 1});
        filter = filter ? either(filter, above) : above;
    }
    return filter;
}

static bool names_position(const char *path) {
    for (const char *component = path; component; component = strchr(component, '.')) {
        component += *component == '.';
        const size_t length = strcspn(component, ".");
        if (length > 0 && strspn(component, "0123456789") == length)
            return true;
    }
    return false;
}

bool append_unwind_stage(Translation *translation, Command *command) {
    const RelationFields *fields = translation->tables[0].fields;
    if (names_position(fields->unwind)) {
        not_sent(translation, nullptr, "the path of the unwound array names a position in another one");
        return false;
    }
    const char *path = bson::utf8_name(fields->unwind);
    ServerValue *unwind = append_entry(document_value(), "path", field_value(path));
    if (fields->unwind_outer)
        append_entry(unwind, "preserveNullAndEmptyArrays", boolean_value(true));
    append_item(command->pipeline, operation_of("$unwind", unwind));
    add_probe(command, 0, command->filters, command->filter_count, array_above(path));
    return true;
}

} // namespace mongoferry::query
