/* BSON objects → composite types, by attribute names; a missing attribute is NULL. See converter.h. */
#include "bson/converter.h"

extern "C" {
#include "utils/typcache.h"
}

namespace mongoferry::bson {

static Outcome row_from_object(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    check_stack_depth();
    const View document = document_of(value);
    const int slot_count = converter.row_type->natts;
    bool *nulls = converter.attribute_nulls;
    memset(nulls, true, sizeof(bool) * static_cast<size_t>(slot_count));
    memset(converter.attribute_seen, 0, sizeof(bool) * static_cast<size_t>(slot_count));

    KeySet *names = converter.attribute_names;
    KeySet::Place place = names->begin();
    int remaining = names->count;
    PathStep step{conversion.step, nullptr, 0};
    conversion.step = &step;
    Iterator iterator(document);
    while (remaining > 0 && iterator.next()) {
        const int index = names->find(iterator.key(), &place);
        if (index < 0)
            continue;
        const int slot = converter.attribute_slots[index];
        if (converter.attribute_seen[slot]) /* of duplicate keys the first counts */
            continue;
        converter.attribute_seen[slot] = true;
        --remaining;
        step.name = names->keys[index].text;
        nulls[slot] =
            !convert(*converter.attributes[slot], conversion, iterator.value(), &converter.attribute_values[slot]);
    }
    if (iterator.failed())
        raise_corrupt_document(conversion, document.data + iterator.error_offset(), iterator.error());
    for (int index = 0; index < names->count; ++index) {
        const int slot = converter.attribute_slots[index];
        if (converter.attribute_seen[slot])
            continue;
        step.name = names->keys[index].text;
        nulls[slot] = !convert_missing(*converter.attributes[slot], conversion, &converter.attribute_values[slot]);
    }
    conversion.step = step.outer;

    const HeapTuple tuple = heap_form_tuple(converter.row_type, converter.attribute_values, nulls);
    *result = HeapTupleGetDatum(tuple);
    return Outcome::value;
}

void choose_composite_converters(Converter *converter, const char *column_name) {
    TupleDesc row_type = lookup_rowtype_tupdesc_copy(converter->base_type, -1);
    const size_t slot_count = static_cast<size_t>(row_type->natts);
    converter->row_type = row_type;
    converter->attribute_slots = static_cast<int *>(palloc(sizeof(int) * Max(slot_count, 1)));
    converter->attributes = static_cast<Converter **>(palloc0(sizeof(Converter *) * Max(slot_count, 1)));
    converter->attribute_values = static_cast<Datum *>(palloc0(sizeof(Datum) * Max(slot_count, 1)));
    converter->attribute_nulls = static_cast<bool *>(palloc(sizeof(bool) * Max(slot_count, 1)));
    converter->attribute_seen = static_cast<bool *>(palloc(sizeof(bool) * Max(slot_count, 1)));

    std::string_view *names = static_cast<std::string_view *>(palloc(sizeof(std::string_view) * Max(slot_count, 1)));
    int count = 0;
    for (size_t slot = 0; slot < slot_count; ++slot) {
        const Form_pg_attribute attribute = TupleDescAttr(row_type, static_cast<int>(slot));
        if (attribute->attisdropped)
            continue;
        converter->attributes[slot] =
            make_converter(attribute->atttypid, attribute->atttypmod, converter->options, column_name);
        converter->attribute_slots[count] = static_cast<int>(slot);
        new (&names[count++]) std::string_view(utf8_name(NameStr(attribute->attname)));
    }
    converter->attribute_names = make_key_set(names, count);
    converter->by_type[type_index(Type::object)] = row_from_object;
}

} // namespace mongoferry::bson
