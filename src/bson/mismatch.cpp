/* See mismatch.h. */
#include "bson/mismatch.h"

#include "bson/converter.h"
#include "bson/extended_json_writer.h"
#include "bson/number_text.h"

extern "C" {
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
}

namespace mongoferry::bson {

/* How much of a value is shown in a message, in bytes of UTF-8. */
constexpr size_t excerpt_size = 120;

/* UTF-8 that may be anything, cut to a size, as text for a message: valid in the server's encoding whatever that is,
 * without control characters. */
static void append_excerpt(StringInfo message, std::string_view text, bool is_cut) {
    if (text.size() > excerpt_size) {
        text = text.substr(0, excerpt_size);
        is_cut = true;
    }
    const bool keeps_utf8 = GetDatabaseEncoding() == PG_UTF8;
    for (size_t at = 0; at < text.size();) {
        const unsigned char *bytes = reinterpret_cast<const unsigned char *>(text.data()) + at;
        if (bytes[0] < 0x80) {
            if (bytes[0] < 0x20 || bytes[0] == 0x7F)
                appendStringInfo(message, "\\u%04x", bytes[0]);
            else
                appendStringInfoChar(message, static_cast<char>(bytes[0]));
            ++at;
            continue;
        }
        const size_t size = static_cast<size_t>(pg_utf_mblen(bytes));
        if (size > text.size() - at) {
            if (!is_cut)
                appendStringInfoChar(message, '?');
            break;
        }
        if (!pg_utf8_islegal(bytes, static_cast<int>(size))) {
            appendStringInfoChar(message, '?');
            ++at;
            continue;
        }
        if (keeps_utf8)
            appendBinaryStringInfo(message, text.data() + at, static_cast<int>(size));
        else
            appendStringInfo(message, "\\u{%x}", utf8_to_unicode(bytes));
        at += size;
    }
    if (is_cut)
        appendStringInfoString(message, "...");
}

namespace {
/* Keeps the beginning of what is written. */
struct Beginning {
    char text[excerpt_size];
    size_t size;
    bool is_cut;
};
} // namespace

/* The value as Extended JSON, relaxed. A UUID appears in the short form {"$uuid": "…"}, which parsers of Extended JSON
 * take as well, because nobody finds a document again by base64. */
static void append_value(StringInfo message, const Value &value) {
    if (value.type == Type::binary) {
        const Binary binary = binary_of(value);
        if (binary.subtype == 4 && binary.size == 16) {
            char text[36];
            write_uuid(binary.data, text);
            appendStringInfo(message, "{\"$uuid\": \"%.36s\"}", text);
            return;
        }
    }
    Beginning beginning{};
    const TextSink sink{[](void *context, const char *text, size_t size) {
                            Beginning *kept = static_cast<Beginning *>(context);
                            const size_t fits = Min(size, excerpt_size - kept->size);
                            memcpy(kept->text + kept->size, text, fits);
                            kept->size += fits;
                            kept->is_cut = kept->is_cut || fits < size;
                        },
                        &beginning};
    const WriteError error = write_value(value, JsonFormat::relaxed, sink);
    append_excerpt(message, {beginning.text, beginning.size}, beginning.is_cut || error.message != nullptr);
}

/* {"_id": …}, or words for its absence. */
static void append_id(StringInfo message, View document) {
    Value id;
    if (!find(document, "_id", &id)) {
        appendStringInfoString(message, "without _id");
        return;
    }
    appendStringInfoString(message, "{\"_id\": ");
    append_value(message, id);
    appendStringInfoChar(message, '}');
}

static void append_steps(StringInfo path, const PathStep *step) {
    if (step == nullptr)
        return;
    append_steps(path, step->outer);
    if (step->name) {
        appendStringInfoChar(path, '.');
        append_excerpt(path, step->name, false);
    } else
        appendStringInfo(path, "." INT64_FORMAT, step->position);
}

/* The path of the value that is being converted, positions in arrays included. */
static void append_path(StringInfo message, const Conversion &conversion) {
    const Column &column = *conversion.column;
    if (column.of_element && conversion.position >= 0) {
        const size_t size = strlen(conversion.unwind);
        appendStringInfo(message, "%s." INT64_FORMAT "%s", conversion.unwind, conversion.position,
                         column.field.path + size);
    } else
        appendStringInfoString(message, column.field.path);
    append_steps(message, conversion.step);
}

static const char *hint_of(Way way) {
    switch (way) {
    case Way::coerce_strings:
        return "Set coerce_strings 'true' on the column, table or server to parse strings, or use another column type, "
               "or set on_mismatch 'null'.";
    case Way::on_nul:
        return "Set on_nul 'strip' or 'replace' on the column, table or server, or on_mismatch 'null' to read such "
               "values as NULL.";
    case Way::other_type:
        break;
    }
    return "Use another column type, or set on_mismatch 'null' on the column, table or server.";
}

[[noreturn]] static void raise_misfit(const Converter &converter, const Conversion &conversion, const Value &value) {
    StringInfoData detail;
    initStringInfo(&detail);
    appendStringInfoString(&detail, "Document ");
    append_id(&detail, conversion.document);
    appendStringInfo(&detail, " of collection \"%s\", field \"", conversion.source.collection);
    append_path(&detail, conversion);
    appendStringInfoString(&detail, "\": value ");
    append_value(&detail, value);
    if (conversion.refusal.reason)
        appendStringInfo(&detail, " %s", conversion.refusal.reason);
    /* A reason that is another function's message may end in anything. */
    appendStringInfoChar(&detail, '.');

    ereport(ERROR, (errcode(conversion.refusal.sqlstate),
                    errmsg("cannot convert BSON %s to %s for column \"%s\" of foreign table \"%s\"",
                           type_name(value.type), format_type_with_typemod(converter.type, converter.typmod),
                           conversion.column->field.column_name, conversion.source.relation_name),
                    errdetail_internal("%s", detail.data), errhint("%s", hint_of(conversion.refusal.way)),
                    err_generic_string(PG_DIAG_TABLE_NAME, conversion.source.relation_name),
                    err_generic_string(PG_DIAG_COLUMN_NAME, conversion.column->field.column_name)));
    pg_unreachable();
}

void settle_refusal(const Converter &converter, Conversion &conversion, const Value &value) {
    if (converter.options.on_mismatch == OnMismatch::error)
        raise_misfit(converter, conversion, value);
    if (conversion.repeats)
        return;
    Column *column = conversion.column;
    if (column->misfits++ == 0) {
        MemoryContext previous = MemoryContextSwitchTo(conversion.context);
        StringInfoData id;
        initStringInfo(&id);
        append_id(&id, conversion.document);
        column->first_id = id.data;
        MemoryContextSwitchTo(previous);
    }
}

void raise_corrupt_document(const Conversion &conversion, const uint8_t *at, const char *error) {
    const int64_t inside = at ? at - conversion.document.data : 0;
    if (conversion.source.file_name && conversion.offset >= 0)
        ereport(ERROR,
                (errcode(ERRCODE_DATA_CORRUPTED),
                 errmsg("file \"%s\" is corrupt at byte " INT64_FORMAT, conversion.source.file_name,
                        conversion.offset + inside),
                 errdetail("In the document that begins at byte " INT64_FORMAT " of the decompressed content: %s.",
                           conversion.offset, error)));
    if (conversion.source.file_name)
        ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                        errmsg("file \"%s\" has a corrupt document", conversion.source.file_name),
                        errdetail("At byte " INT64_FORMAT " of the document: %s.", inside, error)));
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("collection \"%s\" has a corrupt document", conversion.source.collection),
                    errdetail("At byte " INT64_FORMAT " of the document: %s.", inside, error)));
    pg_unreachable();
}

namespace {

/* What is told of a column. Everything is in the server's encoding. */
struct Misfits {
    const char *relation_name;
    const char *column_name;
    const char *type_name;
    int64_t count;
    const char *first_id;
};

/* The columns of one relation after another, where they are not told at once. */
struct HeldMisfits {
    MemoryContext context;
    Misfits *columns;
    int count;
    int capacity;
};
HeldMisfits *held = nullptr;

} // namespace

static void warn(const Misfits *columns, int count) {
    int64_t values = 0;
    StringInfoData detail;
    initStringInfo(&detail);
    for (const Misfits *column = columns; column < columns + count; ++column) {
        if (column > columns)
            appendStringInfoChar(&detail, '\n');
        values += column->count;
        appendStringInfo(&detail,
                         ngettext("\"%s\" (%s): " INT64_FORMAT " value, in document %s",
                                  "\"%s\" (%s): " INT64_FORMAT " values, first in document %s",
                                  static_cast<unsigned long>(column->count)),
                         column->column_name, column->type_name, column->count, column->first_id);
    }
    char of_columns[40];
    snprintf(of_columns, sizeof of_columns, ngettext("%d column", "%d columns", static_cast<unsigned long>(count)),
             count);
    ereport(
        WARNING,
        (errmsg_plural(INT64_FORMAT " value of %s of foreign table \"%s\" was read as NULL because it does not fit",
                       INT64_FORMAT " values of %s of foreign table \"%s\" were read as NULL because they do not fit",
                       static_cast<unsigned long>(values), values, of_columns, columns->relation_name),
         errdetail_internal("%s", detail.data)));
}

static void hold(const Misfits &misfits) {
    for (Misfits *known = held->columns; known < held->columns + held->count; ++known) {
        if (strcmp(known->relation_name, misfits.relation_name) == 0 &&
            strcmp(known->column_name, misfits.column_name) == 0) {
            known->count += misfits.count;
            return;
        }
    }
    MemoryContext previous = MemoryContextSwitchTo(held->context);
    if (held->count == held->capacity) {
        const int capacity = held->capacity * 2;
        held->columns =
            static_cast<Misfits *>(repalloc(held->columns, static_cast<size_t>(capacity) * sizeof(Misfits)));
        held->capacity = capacity;
    }
    held->columns[held->count++] = {pstrdup(misfits.relation_name), pstrdup(misfits.column_name),
                                    pstrdup(misfits.type_name), misfits.count, pstrdup(misfits.first_id)};
    MemoryContextSwitchTo(previous);
}

void warn_of_misfits(const Conversion &conversion, Column *columns, int column_count) {
    Misfits *found = nullptr;
    int count = 0;
    for (Column *column = columns; column < columns + column_count; ++column) {
        if (column->misfits == 0)
            continue;
        if (!found)
            found = static_cast<Misfits *>(palloc(sizeof(Misfits) * static_cast<size_t>(column_count)));
        found[count++] = {conversion.source.relation_name, column->field.column_name,
                          format_type_with_typemod(column->field.type, column->field.typmod), column->misfits,
                          column->first_id};
    }
    if (count == 0)
        return;
    if (held)
        for (const Misfits *misfits = found; misfits < found + count; ++misfits)
            hold(*misfits);
    else
        warn(found, count);
    for (Column *column = columns; column < columns + column_count; ++column) {
        if (column->misfits > 0)
            pfree(column->first_id);
        column->misfits = 0;
        column->first_id = nullptr;
    }
    pfree(found);
}

void hold_mismatches(MemoryContext context) {
    HeldMisfits *holder = static_cast<HeldMisfits *>(MemoryContextAllocZero(context, sizeof(HeldMisfits)));
    holder->context = context;
    holder->capacity = 8;
    holder->columns = static_cast<Misfits *>(MemoryContextAlloc(context, sizeof(Misfits) * 8));
    held = holder;
}

void tell_held_mismatches() {
    const HeldMisfits *holder = held;
    held = nullptr;
    /* Those of one relation stand together, unless a statement reads several foreign tables in turns. */
    for (int first = 0, end; first < holder->count; first = end) {
        for (end = first + 1; end < holder->count; ++end)
            if (strcmp(holder->columns[first].relation_name, holder->columns[end].relation_name) != 0)
                break;
        warn(holder->columns + first, end - first);
    }
}

void forget_held_mismatches() {
    held = nullptr;
}

} // namespace mongoferry::bson
