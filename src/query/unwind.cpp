/* See unwind.h. */
#include "query/unwind.h"

#include "bson/converter.h"
#include "bson/path.h"
#include "query/column_rule.h"

namespace mongoferry::query {

TranslatedTable *unwound_tables(const TranslatedTable *tables, int table_count) {
    TranslatedTable *unwound = static_cast<TranslatedTable *>(palloc(sizeof(TranslatedTable) * table_count));
    memcpy(unwound, tables, sizeof(TranslatedTable) * table_count);
    unwound[0].unwound = true;
    return unwound;
}

bool append_unwind_stage(Translation *translation, Command *command) {
    const RelationFields *fields = translation->tables[0].fields;
    if (bson::names_position(fields->unwind)) {
        not_sent(translation, nullptr, "the path of the unwound array names a position in another one");
        return false;
    }
    const char *path = bson::utf8_name(fields->unwind);
    ServerValue *unwind = append_entry(document_value(), "path", field_value(path));
    if (fields->unwind_outer)
        append_entry(unwind, "preserveNullAndEmptyArrays", boolean_value(true));
    append_item(command->pipeline, operation_of("$unwind", unwind));
    add_probe(command, 0, command->filters, command->filter_count, arrays_before_end(path, 0));
    return true;
}

} // namespace mongoferry::query
