/*
 * IMPORT FOREIGN SCHEMA: a foreign table for each collection of a database, its columns from a sample of documents.
 *
 * The callback is meant to return CREATE FOREIGN TABLE commands, which the backend then runs, and it accepts no others:
 * the comments that tell what was seen could not be among them. So each table is made here, by the same steps as in the
 * backend's ImportForeignSchema() (commands/foreigncmds.c), its columns are commented on, and the list returned is
 * empty. Both are subcommands of the statement as the backend's own are: with the rights of its user, seen by event
 * triggers and auditing, undone with it. The other way, a hook that waits for the tables to appear, would have to keep
 * state across errors, and would be in everybody's way in between. It also means that one table at a time is in memory.
 */
#include "fdw/callbacks.h"

#include "bson/inference.h"
#include "bson/mismatch.h"
#include "fdw/import_names.h"
#include "pg/encoding.h"
#include "pg/guard.h"
#include "source/file/dump.h"

extern "C" {
#include "mb/pg_wchar.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
}

namespace mongoferry::fdw {

namespace {

constexpr size_t max_identifier_size = NAMEDATALEN - 1;
/* The names of the columns that every table has (catalog/heap.c). */
constexpr std::string_view system_columns[] = {"ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"};
constexpr int64_t default_sample_size = 1000; /* as options.cpp says */

/* What an error's context needs to know. POD, palloc'd: an exception of ours is reported after the objects that it
 * passed are gone. */
struct Progress {
    const char *table;   /* that is being imported, or NULL */
    const char *command; /* that is being run, or NULL */
};

/* As the backend's import_error_callback(). */
void tell_progress(void *argument) {
    const Progress *progress = static_cast<const Progress *>(argument);
    int position = geterrposition();
    if (progress->command && position > 0) {
        errposition(0);
        internalerrposition(position);
        internalerrquery(progress->command);
    }
    if (progress->table)
        errcontext("importing foreign table \"%s\"", progress->table);
}

/* POD world. Runs a subcommand of an IMPORT FOREIGN SCHEMA; the command's text is for the log. */
void run_subcommand(Node *node, const char *command) {
    PlannedStmt *planned = makeNode(PlannedStmt);
    planned->commandType = CMD_UTILITY;
    planned->utilityStmt = node;
    ProcessUtility(planned, command, false, PROCESS_UTILITY_SUBCOMMAND, nullptr, nullptr, None_Receiver, nullptr);
    CommandCounterIncrement();
}

/* POD world. */
void create_foreign_table(const char *command, const char *schema) {
    List *statements = pg_parse_query(command);
    if (list_length(statements) != 1)
        elog(ERROR, "import made %d commands for one foreign table", list_length(statements));
    Node *node = linitial_node(RawStmt, statements)->stmt;
    if (!IsA(node, CreateForeignTableStmt))
        elog(ERROR, "import made a command that creates no foreign table");
    reinterpret_cast<CreateForeignTableStmt *>(node)->base.relation->schemaname = pstrdup(schema);
    run_subcommand(node, command);
}

/* POD world. */
void comment_on_column(const char *schema, const char *table, const char *column, const char *comment) {
    CommentStmt *statement = makeNode(CommentStmt);
    statement->objtype = OBJECT_COLUMN;
    statement->object = reinterpret_cast<Node *>(
        list_make3(makeString(pstrdup(schema)), makeString(pstrdup(table)), makeString(pstrdup(column))));
    statement->comment = pstrdup(comment);
    run_subcommand(reinterpret_cast<Node *>(statement), "COMMENT ON COLUMN");
}

/* The text in the database's encoding; an error where that can't hold it. */
std::string from_utf8(const std::string &text) {
    return pg_guard([&] { return pg_any_to_server(text.c_str(), static_cast<int>(text.size()), PG_UTF8); });
}

/* Quoted for a command in UTF-8: neither depends on the encoding or on settings. */
std::string identifier(const std::string &name) {
    std::string quoted = "\"";
    for (char c : name)
        quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + '"';
}
std::string literal(const std::string &text) {
    const bool has_backslash = text.find('\\') != std::string::npos;
    std::string quoted = has_backslash ? "E'" : "'";
    for (char c : text)
        quoted += c == '\'' || c == '\\' ? std::string(2, c) : std::string(1, c);
    return quoted + '\'';
}

/* A name in UTF-8, which is cut and compared, and in the database's encoding. */
struct Name {
    std::string utf8;
    std::string local;
};

/* A collection and the table that it becomes. */
struct ImportedTable {
    Name collection;
    Name name;
};

/* The statement's options. */
struct ImportOptions {
    int64_t sample_size;
    bool nested_columns;
    bool snake_case;
};

/* POD world. */
ImportOptions read_options(const List *options) {
    ListCell *cell;
    foreach (cell, options) {
        DefElem *option = lfirst_node(DefElem, cell);
        const OptionDefinition *definition = find_option(option->defname);
        if (!definition || !(definition->levels & on_import))
            refuse_unknown_option(option->defname, on_import);
        check_option_value(definition, option);
    }
    const auto is = [options](const char *name, const char *word) {
        const char *text = option_text(options, name);
        return text && strcmp(text, word) == 0;
    };
    return {integer_value(option_text(options, "import_sample_size"), default_sample_size),
            !is("import_nested", "jsonb"), is("import_names", "snake_case")};
}

/* One run of the statement. Exception world. */
class Import {
public:
    Import(ImportForeignSchemaStmt *statement, const SourceOptions &source, const ImportOptions &options,
           Progress *progress)
        : statement_(statement), source_(source), options_(options), progress_(progress),
          database_(statement->remote_schema) {}

    void run() {
        const std::vector<ImportedTable> tables = choose_tables();
        /* What is palloc'd for a table goes with it. */
        MemoryContext context = pg_guard(
            [] { return AllocSetContextCreate(CurrentMemoryContext, "mongoferry import", ALLOCSET_DEFAULT_SIZES); });
        for (const ImportedTable &table : tables) {
            MemoryContext caller_context = MemoryContextSwitchTo(context);
            progress_->table = pg_guard([&] { return pstrdup(table.name.local.c_str()); });
            import(table);
            *progress_ = {};
            MemoryContextSwitchTo(caller_context);
            pg_guard([&] { MemoryContextReset(context); });
        }
        pg_guard([&] { MemoryContextDelete(context); });
    }

private:
    /* The tables to make: those of all collections have their names before some of them are left out, so that a name
     * does not depend on LIMIT TO and EXCEPT. */
    std::vector<ImportedTable> choose_tables() {
        std::vector<source::CollectionInfo> collections =
            source_.dump
                ? source::list_collections(file_options(source_), database_)
                : source::live::list_collections(connection_key(source_), connection_options(source_), database_);
        if (collections.empty())
            pg_guard([&] {
                ereport(NOTICE, (errmsg("database \"%s\" on server \"%s\" has no collections",
                                        statement_->remote_schema, statement_->server_name)));
            });

        std::vector<ImportedTable> tables;
        std::vector<WantedName> wanted;
        for (source::CollectionInfo &info : collections) {
            Name collection{std::move(info.name), {}};
            if (collection.utf8.empty() || collection.utf8.find('\0') != std::string::npos ||
                !convert_to_server_text(collection.utf8, &collection.local)) {
                const std::string shown = to_server_text(collection.utf8);
                pg_guard([&] {
                    ereport(WARNING, (errmsg("collection \"%s\" is left out of the import", shown.c_str()),
                                      errdetail("Its name is empty, or contains what this database's encoding cannot "
                                                "represent.")));
                });
                continue;
            }
            const std::string name = options_.snake_case ? snake_case(collection.utf8) : collection.utf8;
            wanted.push_back({name, name == collection.utf8});
            tables.push_back({std::move(collection), {}});
        }
        const std::vector<std::string> names = assign_names(wanted, max_identifier_size, {}, "collection");
        for (size_t i = 0; i < tables.size(); ++i)
            tables[i].name = {names[i], from_utf8(names[i])};
        report_unknown_tables(tables);
        std::erase_if(tables, [&](const ImportedTable &table) {
            return !pg_guard([&] { return IsImportableForeignTable(table.name.local.c_str(), statement_); });
        });
        return tables;
    }

    /* A name in LIMIT TO that nothing answers to is probably misspelled. */
    void report_unknown_tables(const std::vector<ImportedTable> &tables) {
        if (statement_->list_type != FDW_IMPORT_SCHEMA_LIMIT_TO)
            return;
        ListCell *cell;
        foreach (cell, statement_->table_list) {
            const char *name = static_cast<const RangeVar *>(lfirst(cell))->relname;
            bool is_known = false;
            for (const ImportedTable &table : tables)
                is_known = is_known || table.name.local == name;
            if (!is_known)
                pg_guard([&] {
                    ereport(WARNING, (errmsg("no collection of database \"%s\" becomes foreign table \"%s\"",
                                             statement_->remote_schema, name)));
                });
        }
    }

    void import(const ImportedTable &table) {
        const std::vector<bson::InferredColumn> columns = find_columns(table.collection.local);

        std::vector<WantedName> wanted;
        wanted.reserve(columns.size());
        for (const bson::InferredColumn &column : columns)
            wanted.push_back(wanted_name(column));
        const std::vector<std::string> names =
            assign_names(wanted, max_identifier_size, {std::begin(system_columns), std::end(system_columns)}, "field");

        std::string command = "CREATE FOREIGN TABLE " + identifier(table.name.utf8) + " (";
        for (size_t i = 0; i < columns.size(); ++i) {
            command += i > 0 ? ",\n    " : "\n    ";
            command += identifier(names[i]) + " " + columns[i].type;
            const std::string field = field_of(columns[i]);
            if (field != names[i])
                command += " OPTIONS (field " + literal(field) + ")";
        }
        command += "\n) SERVER " + identifier(to_utf8(statement_->server_name)) + " OPTIONS (collection " +
                   literal(table.collection.utf8);
        if (needs_database(table.collection.local))
            command += ", database " + literal(to_utf8(database_));
        command += ")";

        const std::string local_command = from_utf8(command);
        progress_->command = pg_guard([&] { return pstrdup(local_command.c_str()); });
        pg_guard([&] { create_foreign_table(progress_->command, statement_->local_schema); });
        progress_->command = nullptr;
        for (size_t i = 0; i < columns.size(); ++i) {
            const std::string column = from_utf8(names[i]);
            const std::string comment = from_utf8(columns[i].comment);
            pg_guard([&] {
                comment_on_column(statement_->local_schema, table.name.local.c_str(), column.c_str(), comment.c_str());
            });
        }
        if (!columns.empty() && columns.back().path.empty()) {
            const std::string column = from_utf8(names.back());
            pg_guard([&] {
                ereport(NOTICE, (errmsg("some fields of collection \"%s\" have no column in foreign table \"%s\"",
                                        table.collection.local.c_str(), table.name.local.c_str()),
                                 errdetail("They are too many, or a path can't name them. Column \"%s\" holds the "
                                           "whole document.",
                                           column.c_str())));
            });
        }
    }

    /* Whether a table has to name its database, because it would read another one by itself. */
    bool needs_database(const std::string &collection) {
        const std::string by_itself = source_.database ? source_.database : "";
        if (database_ == by_itself)
            return false;
        if (!source_.dump)
            return true;
        try {
            const source::CollectionFile file = source::locate_collection(file_options(source_), by_itself, collection);
            const source::CollectionFile wanted =
                source::locate_collection(file_options(source_), database_, collection);
            return file.path != wanted.path || file.database != wanted.database;
        } catch (const Error &) {
            return true; /* by itself it would not know which of several */
        }
    }

    WantedName wanted_name(const bson::InferredColumn &column) const {
        if (column.path.empty())
            return {"document", false};
        std::string name;
        for (const std::string &key : column.path)
            name += (name.empty() ? "" : "_") + (options_.snake_case ? snake_case(key) : key);
        const bool is_given = column.path.size() == 1 && name == column.path.front();
        return {std::move(name), is_given};
    }

    static std::string field_of(const bson::InferredColumn &column) {
        if (column.path.empty())
            return "$$ROOT";
        std::string path;
        for (const std::string &key : column.path)
            path += (path.empty() ? "" : ".") + key;
        return path;
    }

    /*
     * Of a small collection every document is read. Of a larger one, the server chooses at random, for fields and types
     * may have changed over the years; a file can be read only from its start, so there the first documents have to do.
     */
    std::vector<bson::InferredColumn> find_columns(const std::string &collection) {
        source::Request request;
        request.database = database_;
        request.collection = collection;
        request.limit = options_.sample_size;
        bson::InferenceOptions inference_options;
        inference_options.max_columns = MaxHeapAttributeNumber;
        if (!options_.nested_columns)
            inference_options.nested_levels = 0;

        bson::Inference first(inference_options);
        observe(request, &first);
        const bool is_complete = first.documents() < options_.sample_size;
        if (is_complete || source_.dump)
            return first.columns(is_complete);
        bson::Inference sample(inference_options);
        request.sample = true;
        observe(request, &sample);
        return sample.columns(false);
    }

    void observe(const source::Request &request, bson::Inference *inference) {
        std::unique_ptr<source::Source> source = make_source(source_);
        source->open(request);
        source::Batch batch;
        while (source->next_batch(&batch)) {
            pg_guard([] { CHECK_FOR_INTERRUPTS(); });
            bson::View document;
            while (batch.next(&document)) {
                size_t offset;
                const char *problem = inference->observe(document, &offset);
                if (problem)
                    refuse_corrupt_document(request, *source, batch, document, problem, offset);
            }
        }
    }

    /* The same error as a scan's. */
    void refuse_corrupt_document(const source::Request &request, const source::Source &source,
                                 const source::Batch &batch, bson::View document, const char *problem, size_t offset) {
        const std::string collection = source_.dump ? request.collection : request.database + "." + request.collection;
        bson::Conversion conversion{};
        conversion.source = {progress_->table, collection.c_str(), source.file_name()};
        conversion.document = document;
        conversion.offset = batch.first_offset < 0 ? -1 : batch.first_offset + (document.data - batch.start);
        pg_guard([&] { bson::raise_corrupt_document(conversion, document.data + offset, problem); });
    }

    ImportForeignSchemaStmt *statement_;
    const SourceOptions &source_;
    ImportOptions options_;
    Progress *progress_;
    std::string database_; /* the remote schema, in the database's encoding as the sources want it */
};

} // namespace

List *import_foreign_schema(ImportForeignSchemaStmt *statement, Oid server) {
    const ImportOptions options = read_options(statement->options);
    const SourceOptions source = resolve_source(server, GetUserId(), NIL, nullptr);
    Progress progress{};
    ErrorContextCallback context{};
    context.callback = tell_progress;
    context.arg = &progress;
    context.previous = error_context_stack;
    error_context_stack = &context;
    pg_entry([&] { Import(statement, source, options, &progress).run(); });
    error_context_stack = context.previous;
    return NIL;
}

} // namespace mongoferry::fdw
