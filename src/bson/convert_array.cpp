/*
 * BSON arrays → PostgreSQL arrays. Nested BSON arrays are dimensions, where they are rectangular; null elements stay.
 * See converter.h.
 */
#include "bson/converter.h"

extern "C" {
#include "utils/array.h"
}

namespace mongoferry::bson {

namespace {

constexpr char not_rectangular[] = "is not rectangular, as arrays of several dimensions must be";

/* An array that is being read: its shape, and its elements so far. */
struct Reading {
    const Converter *converter;
    int dimension_count;
    int sizes[MAXDIM];
    int count; /* of elements */
};

void add_element(Reading *reading, Datum value, bool is_null) {
    /* The room belongs to the converter, of which at most one array is read at a time. */
    Converter *converter = const_cast<Converter *>(reading->converter);
    if (reading->count == converter->element_room) {
        const int room = converter->element_room * 2;
        converter->elements =
            static_cast<Datum *>(repalloc_huge(converter->elements, sizeof(Datum) * static_cast<size_t>(room)));
        converter->element_nulls =
            static_cast<bool *>(repalloc_huge(converter->element_nulls, sizeof(bool) * static_cast<size_t>(room)));
        converter->element_room = room;
    }
    converter->elements[reading->count] = value;
    converter->element_nulls[reading->count++] = is_null;
}

/* How many elements an array has, and whether they are arrays that count as a dimension. -1 if some are and some
 * aren't. */
int measure(const Converter &converter, const Conversion &conversion, View array, bool *is_nested, View *first) {
    Iterator iterator(array);
    int count = 0;
    bool has_arrays = false;
    bool has_others = false;
    while (iterator.next()) {
        if (iterator.type() == Type::array && !converter.element_takes_arrays) {
            if (!has_arrays)
                *first = document_of(iterator.value());
            has_arrays = true;
        } else
            has_others = true;
        ++count;
    }
    if (iterator.failed())
        raise_corrupt_document(conversion, array.data + iterator.error_offset(), iterator.error());
    *is_nested = has_arrays;
    return has_arrays && has_others ? -1 : count;
}

/* The shape of the whole by its first elements; false if it is certainly not rectangular or has too many dimensions. */
bool measure_shape(Reading *reading, const Conversion &conversion, View array) {
    bool is_nested = true;
    while (is_nested) {
        if (reading->dimension_count == MAXDIM)
            return false;
        View first;
        const int count = measure(*reading->converter, conversion, array, &is_nested, &first);
        /* PostgreSQL's empty arrays have no dimensions: an array of empty arrays is none. */
        if (count < 0 || (count == 0 && reading->dimension_count > 0))
            return false;
        reading->sizes[reading->dimension_count++] = count;
        array = first;
    }
    return true;
}

bool has_shape(const Reading &reading, const Conversion &conversion, View array, int dimension) {
    bool is_nested;
    View first;
    if (measure(*reading.converter, conversion, array, &is_nested, &first) != reading.sizes[dimension])
        return false;
    const bool is_last = dimension == reading.dimension_count - 1;
    if (is_nested == is_last)
        return false;
    if (!is_last) {
        Iterator iterator(array);
        while (iterator.next())
            if (!has_shape(reading, conversion, document_of(iterator.value()), dimension + 1))
                return false;
    }
    return true;
}

void read_elements(Reading *reading, Conversion &conversion, View array, int dimension) {
    PathStep step{conversion.step, nullptr, 0};
    conversion.step = &step;
    Iterator iterator(array);
    while (iterator.next()) {
        if (dimension < reading->dimension_count - 1)
            read_elements(reading, conversion, document_of(iterator.value()), dimension + 1);
        else {
            Datum value = 0;
            const bool is_null = !convert(*reading->converter->element, conversion, iterator.value(), &value);
            add_element(reading, value, is_null);
        }
        ++step.position;
    }
    conversion.step = step.outer;
    if (iterator.failed())
        raise_corrupt_document(conversion, array.data + iterator.error_offset(), iterator.error());
}

Outcome array_from_array(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    check_stack_depth();
    const View array = document_of(value);
    Reading reading{&converter, 0, {}, 0};

    if (!converter.element_takes_arrays) {
        if (!measure_shape(&reading, conversion, array) ||
            (reading.dimension_count > 1 && !has_shape(reading, conversion, array, 0)))
            return refuse(conversion, ERRCODE_ARRAY_SUBSCRIPT_ERROR, not_rectangular);
    } else
        reading.dimension_count = 1;

    read_elements(&reading, conversion, array, 0);
    if (reading.count == 0) {
        *result = PointerGetDatum(construct_empty_array(converter.element->type));
        return Outcome::value;
    }
    reading.sizes[0] = reading.dimension_count == 1 ? reading.count : reading.sizes[0];
    int lower_bounds[MAXDIM];
    for (int &bound : lower_bounds)
        bound = 1;
    *result = PointerGetDatum(construct_md_array(
        converter.elements, converter.element_nulls, reading.dimension_count, reading.sizes, lower_bounds,
        converter.element->type, converter.element_length, converter.element_by_value, converter.element_alignment));
    return Outcome::value;
}

} // namespace

void choose_array_converters(Converter *converter, Oid element_type, const char *column_name) {
    /* The type modifier of an array is that of its elements. */
    converter->element = make_converter(element_type, converter->base_typmod, converter->options, column_name);
    get_typlenbyvalalign(element_type, &converter->element_length, &converter->element_by_value,
                         &converter->element_alignment);
    const Oid element_base = converter->element->base_type;
    converter->element_takes_arrays =
        element_base == JSONOID || element_base == JSONBOID || OidIsValid(get_element_type(element_base));
    converter->element_room = 16;
    converter->elements = static_cast<Datum *>(palloc(sizeof(Datum) * converter->element_room));
    converter->element_nulls = static_cast<bool *>(palloc(sizeof(bool) * converter->element_room));
    converter->by_type[type_index(Type::array)] = array_from_array;
}

} // namespace mongoferry::bson
