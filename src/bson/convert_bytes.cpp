/* BSON → bytea, uuid and mongoferry.objectid. See converter.h. */
#include "bson/converter.h"

#include "bson/number_text.h"
#include "bson/uuid_layout.h"

extern "C" {
#include "utils/uuid.h"
}

namespace mongoferry::bson {

namespace {

constexpr uint8_t subtype_legacy_uuid = 3;
constexpr uint8_t subtype_uuid = 4;
constexpr size_t object_id_size = 12;

Datum make_bytea(const uint8_t *data, size_t size) {
    bytea *result = static_cast<bytea *>(palloc(size + VARHDRSZ));
    SET_VARSIZE(result, size + VARHDRSZ);
    memcpy(VARDATA(result), data, size);
    return PointerGetDatum(result);
}

Outcome bytea_from_binary(const Converter &, Conversion &, const Value &value, Datum *result) {
    const Binary binary = binary_of(value);
    *result = make_bytea(binary.data, binary.size);
    return Outcome::value;
}

Outcome bytea_from_object_id(const Converter &, Conversion &, const Value &value, Datum *result) {
    *result = make_bytea(value.bytes, object_id_size);
    return Outcome::value;
}

Outcome uuid_from_binary(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    const Binary binary = binary_of(value);
    if (binary.subtype != subtype_uuid && binary.subtype != subtype_legacy_uuid)
        return refuse(conversion, ERRCODE_MOST_SPECIFIC_TYPE_MISMATCH,
                      "is binary data of a subtype other than 3 and 4");
    if (binary.size != UUID_LEN)
        return refuse(conversion, ERRCODE_INVALID_BINARY_REPRESENTATION, "does not have the 16 bytes of a UUID");
    pg_uuid_t *uuid = static_cast<pg_uuid_t *>(palloc(sizeof(pg_uuid_t)));
    if (binary.subtype == subtype_uuid)
        memcpy(uuid->data, binary.data, UUID_LEN);
    else
        uuid_from_legacy(binary.data, converter.options.uuid_representation, uuid->data);
    *result = UUIDPGetDatum(uuid);
    return Outcome::value;
}

Outcome uuid_from_object_id_value(const Converter &, Conversion &, const Value &value, Datum *result) {
    pg_uuid_t *uuid = static_cast<pg_uuid_t *>(palloc(sizeof(pg_uuid_t)));
    uuid_from_object_id(value.bytes, uuid->data);
    *result = UUIDPGetDatum(uuid);
    return Outcome::value;
}

Outcome uuid_from_string(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    pg_uuid_t uuid;
    if (!parse_uuid(text_of(value), uuid.data)) /* uuid_in knows more forms, and says what is wrong */
        return convert_string_by_input(converter, conversion, value, result);
    pg_uuid_t *copy = static_cast<pg_uuid_t *>(palloc(sizeof(pg_uuid_t)));
    *copy = uuid;
    *result = UUIDPGetDatum(copy);
    return Outcome::value;
}

/* The type's representation is the 12 bytes, by reference and unaligned. */
Outcome objectid_from_object_id(const Converter &, Conversion &, const Value &value, Datum *result) {
    void *bytes = palloc(object_id_size);
    memcpy(bytes, value.bytes, object_id_size);
    *result = PointerGetDatum(bytes);
    return Outcome::value;
}

} // namespace

void choose_bytes_converters(Converter *converter) {
    switch (converter->base_type) {
    case BYTEAOID:
        converter->by_type[type_index(Type::binary)] = bytea_from_binary;
        converter->by_type[type_index(Type::object_id)] = bytea_from_object_id;
        break;
    case UUIDOID:
        converter->by_type[type_index(Type::binary)] = uuid_from_binary;
        converter->by_type[type_index(Type::object_id)] = uuid_from_object_id_value;
        converter->by_type[type_index(Type::string)] = uuid_from_string;
        break;
    default: /* mongoferry.objectid */
        if (get_typlen(converter->base_type) == static_cast<int16>(object_id_size) &&
            !get_typbyval(converter->base_type))
            converter->by_type[type_index(Type::object_id)] = objectid_from_object_id;
        converter->by_type[type_index(Type::string)] = coerced_string(*converter);
    }
}

} // namespace mongoferry::bson
