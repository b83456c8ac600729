/* What the functions of this module share: columns from arrays of paths and types, options from words. */
#pragma once

#include "bson/field_plan.h"

extern "C" {
#include "utils/array.h"
}

namespace mongoferry::bson {

struct Fields {
    FieldSpec *specs;
    int count;
};

/* Of a text[] of paths and one of types, of the same length. Column names are the paths. */
Fields parse_fields(ArrayType *paths, ArrayType *types, const ConversionOptions &options);

/* on_mismatch=null on_nul=strip on_nul=replace coerce_strings json_format=canonical javaLegacy csharpLegacy
 * pythonLegacy */
ConversionOptions parse_options(const char *words);

View view_of(bytea *document);

} // namespace mongoferry::bson
