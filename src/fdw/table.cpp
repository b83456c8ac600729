/*
 * describe_table(): what the catalogs say of a foreign table, read once for planning and once for the scan.
 */
#include "fdw/callbacks.h"

extern "C" {
#include "access/table.h"
#include "utils/rel.h"
}

namespace mongoferry::fdw {

const char *collection_name(const SourceOptions &options) {
    return options.database ? psprintf("%s.%s", options.database, options.collection) : options.collection;
}

TableDescription *describe_table(Relation relation, Index relation_index, Oid user) {
    ForeignTable *table = GetForeignTable(RelationGetRelid(relation));
    TableDescription *description = static_cast<TableDescription *>(palloc0(sizeof(TableDescription)));
    description->id = RelationGetRelid(relation);
    description->name = pstrdup(RelationGetRelationName(relation));
    description->source = resolve_source(table->serverid, user, table->options, RelationGetRelationName(relation));
    const List *server_options = description->source.server->options;
    description->fetch_size =
        static_cast<int32>(integer_value(option_text(table->options, server_options, "fetch_size"), 0));
    const char *pushdown = option_text(table->options, server_options, "pushdown");
    description->parallel_workers =
        static_cast<int>(integer_value(option_text(table->options, server_options, "parallel_workers"), -1));
    description->pushdown = !pushdown || strcmp(pushdown, "on") == 0;

    description->planning = planning_options(server_options, table->options, description->source.dump != nullptr);

    TupleDesc row = RelationGetDescr(relation);
    query::Field *fields = static_cast<query::Field *>(palloc0(sizeof(query::Field) * Max(row->natts, 1)));
    for (int i = 0; i < row->natts; ++i) {
        Form_pg_attribute attribute = TupleDescAttr(row, i);
        if (attribute->attisdropped)
            continue;
        List *column_options = GetForeignColumnOptions(RelationGetRelid(relation), attribute->attnum);
        const char *path = option_text(column_options, "field");
        fields[i].column_name = NameStr(attribute->attname);
        fields[i].path = path ? path : pstrdup(NameStr(attribute->attname));
        fields[i].type = attribute->atttypid;
        fields[i].typmod = attribute->atttypmod;
        fields[i].options = conversion_options(server_options, table->options, column_options);
    }
    description->fields.relation = relation_index;
    description->fields.count = row->natts;
    description->fields.fields = fields;
    description->fields.unwind = option_text(table->options, "unwind");
    description->fields.unwind_outer = boolean_value(option_text(table->options, "unwind_outer"), false);
    return description;
}

source::Request whole_collection(const TableDescription *table) {
    source::Request request;
    request.database = table->source.database ? table->source.database : "";
    request.collection = table->source.collection;
    request.batch_size = table->fetch_size;
    return request;
}

} // namespace mongoferry::fdw
