/* See decode_fields.h. */
#include "decode_fields.h"

extern "C" {
#include "parser/parse_type.h"
}

namespace mongoferry::bson {

ConversionOptions parse_options(const char *words) {
    const std::string_view text = words;
    const auto has = [text](const char *word) { return text.find(word) != std::string_view::npos; };
    ConversionOptions options;
    if (has("on_mismatch=null"))
        options.on_mismatch = OnMismatch::null;
    if (has("on_nul=strip"))
        options.on_nul = OnNul::strip;
    if (has("on_nul=replace"))
        options.on_nul = OnNul::replace;
    options.coerce_strings = has("coerce_strings");
    if (has("json_format=canonical"))
        options.json_format = JsonFormat::canonical;
    if (has("javaLegacy"))
        options.uuid_representation = UuidRepresentation::java_legacy;
    if (has("csharpLegacy"))
        options.uuid_representation = UuidRepresentation::csharp_legacy;
    if (has("pythonLegacy"))
        options.uuid_representation = UuidRepresentation::python_legacy;
    return options;
}

Fields parse_fields(ArrayType *paths, ArrayType *types, const ConversionOptions &options) {
    Datum *path_datums;
    Datum *type_datums;
    int path_count;
    int type_count;
    deconstruct_array(paths, TEXTOID, -1, false, TYPALIGN_INT, &path_datums, nullptr, &path_count);
    deconstruct_array(types, TEXTOID, -1, false, TYPALIGN_INT, &type_datums, nullptr, &type_count);
    if (path_count != type_count)
        elog(ERROR, "as many paths as types are needed");
    FieldSpec *specs = static_cast<FieldSpec *>(palloc0(sizeof(FieldSpec) * static_cast<size_t>(path_count + 1)));
    for (int index = 0; index < path_count; ++index) {
        FieldSpec *spec = new (&specs[index]) FieldSpec();
        spec->slot = index;
        spec->path = TextDatumGetCString(path_datums[index]);
        spec->column_name = spec->path;
        spec->options = options;
        parseTypeString(TextDatumGetCString(type_datums[index]), &spec->type, &spec->typmod, 0);
    }
    return {specs, path_count};
}

View view_of(bytea *document) {
    return {reinterpret_cast<const uint8_t *>(VARDATA_ANY(document)), static_cast<size_t>(VARSIZE_ANY_EXHDR(document))};
}

} // namespace mongoferry::bson
