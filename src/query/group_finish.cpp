/*
 * See group_finish.h. The formulas are those of PostgreSQL's src/backend/utils/adt/numeric.c (numeric_avg,
 * int8_avg, numeric_stddev_internal) and float.c (float8_avg), which are the same from 14 to 18.
 */
#include "query/group_finish.h"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
}

namespace mongoferry::query {

namespace {

Numeric numeric_at(const Finish &finish, int part, const Datum *values) {
    return DatumGetNumeric(values[finish.parts[part]]);
}

Datum call(PGFunction function, Numeric left, Numeric right) {
    return DirectFunctionCall2(function, NumericGetDatum(left), NumericGetDatum(right));
}

Numeric multiply(Numeric left, Numeric right) {
    return DatumGetNumeric(call(numeric_mul, left, right));
}

int32 scale_of(Numeric value) {
    return DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(value)));
}

Datum round_to(Datum value, int32 scale) {
    return DirectFunctionCall2(numeric_round, value, Int32GetDatum(scale));
}

/* The square root with as many digits behind the point as the argument has. numeric_sqrt() chooses how many by itself,
 * never fewer than the argument's, and rounds; twenty more digits make sure that rounding again gives the same. */
Datum square_root(Datum value) {
    const int32 scale = scale_of(DatumGetNumeric(value));
    constexpr int32 more_digits = 20;
    return round_to(DirectFunctionCall1(numeric_sqrt, round_to(value, scale + more_digits)), scale);
}

Datum not_a_number() {
    return DirectFunctionCall3(numeric_in, CStringGetDatum("NaN"), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/* (N ΣX² − (ΣX)²) / N², or / N (N − 1) */
Datum spread(const Finish &finish, const Datum *values, bool *is_null) {
    const bool sample = finish.kind == FinishKind::var_samp || finish.kind == FinishKind::stddev_samp;
    const bool variance = finish.kind == FinishKind::var_pop || finish.kind == FinishKind::var_samp;
    const int64 count = *is_null ? 0 : DatumGetInt64(values[finish.parts[0]]);
    *is_null = count == 0 || (sample && count == 1);
    if (*is_null)
        return 0;
    const Numeric sum = numeric_at(finish, 1, values);
    const Numeric squares = numeric_at(finish, 2, values);
    /* Any infinity gives NaN here. */
    if (numeric_is_nan(squares) || numeric_is_inf(squares))
        return not_a_number();
    const Numeric n = int64_to_numeric(count);
    const Numeric numerator = DatumGetNumeric(call(numeric_sub, multiply(n, squares), multiply(sum, sum)));
    const Numeric zero = int64_to_numeric(0);
    if (!DatumGetBool(call(numeric_gt, numerator, zero)))
        return NumericGetDatum(zero);
    const Numeric denominator = multiply(n, sample ? int64_to_numeric(count - 1) : n);
    const Datum quotient = call(numeric_div, numerator, denominator);
    return variance ? quotient : square_root(quotient);
}

Datum pair_of(int64 count, int64 sum) {
    Datum elements[2] = {Int64GetDatum(count), Int64GetDatum(sum)};
    return PointerGetDatum(construct_array(elements, 2, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

} // namespace

Datum finish_value(const Finish &finish, const Datum *values, const bool *nulls, bool *is_null) {
    const int first = finish.parts[0];
    *is_null = nulls[first];
    switch (finish.kind) {
    case FinishKind::none:
        return values[first];
    case FinishKind::count: {
        const int64 count = *is_null ? 0 : DatumGetInt64(values[first]);
        *is_null = false;
        return Int64GetDatum(count);
    }
    case FinishKind::average_numeric:
        return *is_null ? 0
                        : call(numeric_div, numeric_at(finish, 0, values),
                               int64_to_numeric(DatumGetInt64(values[finish.parts[1]])));
    case FinishKind::average_float64:
        return *is_null ? 0
                        : Float8GetDatum(DatumGetFloat8(values[first]) /
                                         static_cast<double>(DatumGetInt64(values[finish.parts[1]])));
    case FinishKind::var_pop:
    case FinishKind::var_samp:
    case FinishKind::stddev_pop:
    case FinishKind::stddev_samp:
        return spread(finish, values, is_null);
    case FinishKind::int8_pair: {
        const bool nothing = *is_null || nulls[finish.parts[1]];
        *is_null = false;
        return nothing ? pair_of(0, 0) : pair_of(DatumGetInt64(values[first]), DatumGetInt64(values[finish.parts[1]]));
    }
    }
    return 0;
}

} // namespace mongoferry::query
