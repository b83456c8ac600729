/* See converter.h: choosing converters by type, and what comes after a conversion. */
#include "bson/converter.h"

#include "bson/guarded_call.h"
#include "bson/objectid_type_id.h"
#include "bson/text.h"

extern "C" {
#include "mb/pg_wchar.h"
#include "parser/parse_coerce.h"
#include "utils/typcache.h"
}

namespace mongoferry::bson {

const char *utf8_name(const char *name) {
    return pg_server_to_any(name, static_cast<int>(strlen(name)), PG_UTF8);
}

Outcome convert_null(const Converter &, Conversion &, const Value &, Datum *) {
    return Outcome::null;
}

Outcome refuse_type(const Converter &, Conversion &conversion, const Value &, Datum *) {
    return refuse(conversion, ERRCODE_MOST_SPECIFIC_TYPE_MISMATCH, nullptr);
}

static Outcome refuse_uncoerced_string(const Converter &, Conversion &conversion, const Value &, Datum *) {
    return refuse(conversion, ERRCODE_MOST_SPECIFIC_TYPE_MISMATCH, nullptr, Way::coerce_strings);
}

Outcome convert_string_by_input(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    ConversionError error;
    const ServerText text = server_text(text_of(value), converter.options.on_nul, &error);
    if (error.message)
        return refuse(conversion, error.sqlstate, error.message, error.is_nul ? Way::on_nul : Way::other_type);
    /* Input functions want a final NUL and may write into the text (some split it in place). */
    resetStringInfo(&conversion.text);
    appendBinaryStringInfo(&conversion.text, text.data, static_cast<int>(text.size));
    return call_input_function(converter, conversion, conversion.text.data, result);
}

Convert coerced_string(const Converter &converter) {
    return converter.options.coerce_strings ? convert_string_by_input : refuse_uncoerced_string;
}

/* The type of one byte, "char", keeps only the first byte of what it is given. */
static Outcome convert_string_to_byte(const Converter &converter, Conversion &conversion, const Value &value,
                                      Datum *result) {
    if (text_of(value).size() > 1)
        return refuse(conversion, ERRCODE_STRING_DATA_RIGHT_TRUNCATION, "is too long");
    return convert_string_by_input(converter, conversion, value, result);
}

bool finish_conversion(const Converter &converter, Conversion &conversion, const Value &value, Outcome outcome,
                       Datum *result) {
    if (outcome == Outcome::value && converter.coercion)
        outcome = call_coercion(converter, conversion, result);
    if (outcome != Outcome::refused && converter.is_domain) {
        const bool is_null = outcome == Outcome::null;
        if (call_domain_check(converter, conversion, is_null ? 0 : *result, is_null) == Outcome::refused) {
            /* Reading a refused NULL as NULL is no help, but there is nothing else to read it as. */
            outcome = Outcome::refused;
        }
    }
    if (outcome == Outcome::refused)
        settle_refusal(converter, conversion, value);
    return outcome == Outcome::value;
}

/* The function that applies a type modifier as an assignment does, for the types whose converters don't. */
static BackendFunction *find_coercion(const Converter &converter) {
    if (converter.base_typmod < 0)
        return nullptr;
    switch (converter.base_type) {
    case NUMERICOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID: {
        Oid function;
        if (find_typmod_coercion_function(converter.base_type, &function) != COERCION_PATH_FUNC)
            return nullptr;
        return find_backend_function(function, InvalidOid, converter.context);
    }
    default:
        return nullptr; /* the converter or the input function has applied it */
    }
}

static void choose_input(Converter *converter) {
    Oid function;
    Oid parameter;
    getTypeInputInfo(converter->base_type, &function, &parameter);
    converter->input = find_backend_function(function, parameter, converter->context);
}

Converter *make_converter(Oid type, int32 typmod, const ConversionOptions &options, const char *column_name) {
    check_stack_depth();
    Converter *converter = static_cast<Converter *>(palloc0(sizeof(Converter)));
    converter->context = CurrentMemoryContext;
    converter->type = type;
    converter->typmod = typmod;
    converter->base_typmod = typmod;
    converter->base_type = getBaseTypeAndTypmod(type, &converter->base_typmod);
    converter->options = options;
    converter->is_domain = converter->base_type != type && DomainHasConstraints(type);
    converter->trusts_domain = converter->is_domain && has_trusted_checks(type);

    for (Convert &convert : converter->by_type)
        convert = refuse_type;
    converter->by_type[type_index(Type::null)] = convert_null;
    converter->by_type[type_index(Type::undefined)] = convert_null;

    const Oid base_type = converter->base_type;
    char category;
    bool is_preferred;
    get_type_category_preferred(base_type, &category, &is_preferred);

    /* int2vector and oidvector are arrays in name, and have rules of their own. */
    const Oid element_type =
        base_type == INT2VECTOROID || base_type == OIDVECTOROID ? InvalidOid : get_element_type(base_type);
    if (OidIsValid(element_type))
        choose_array_converters(converter, element_type, column_name);
    else if (get_typtype(base_type) == TYPTYPE_COMPOSITE)
        choose_composite_converters(converter, column_name);
    else if (get_typtype(base_type) == TYPTYPE_PSEUDO)
        ereport(ERROR,
                (errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
                 errmsg("no BSON value can become type %s of column \"%s\"", format_type_be(type), column_name)));
    else {
        choose_input(converter);
        switch (base_type) {
        case BOOLOID:
        case INT2OID:
        case INT4OID:
        case INT8OID:
        case FLOAT4OID:
        case FLOAT8OID:
        case NUMERICOID:
            choose_number_converters(converter);
            break;
        case JSONOID:
        case JSONBOID:
            choose_json_converters(converter);
            break;
        case TIMESTAMPOID:
        case TIMESTAMPTZOID:
        case DATEOID:
            choose_time_converters(converter);
            break;
        case BYTEAOID:
        case UUIDOID:
            choose_bytes_converters(converter);
            break;
        case CHAROID:
            converter->by_type[type_index(Type::string)] = convert_string_to_byte;
            break;
        default:
            if (base_type == objectid_type_id())
                choose_bytes_converters(converter);
            else if (category == TYPCATEGORY_STRING)
                choose_text_converters(converter);
            else /* enums, inet, interval, ranges, and whatever types a user makes */
                converter->by_type[type_index(Type::string)] = convert_string_by_input;
        }
    }

    converter->coercion = find_coercion(*converter);
    converter->finishes = converter->is_domain || converter->coercion != nullptr;
    return converter;
}

} // namespace mongoferry::bson
