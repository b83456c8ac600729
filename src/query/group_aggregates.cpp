/*
 * See group_aggregates.h.
 *
 * Why sums are exact: integers become long or Decimal128 before they are added; Decimal128 has 34 digits, and a sum
 * that needed more is noticed, since the sum of the magnitudes then has 34 digits too (it only grows, and each inexact
 * step leaves all 34 digits used). Doubles are added only while they are integers and the sum of their magnitudes is
 * below 2^53: then every order of adding gives the same.
 *
 * Source: MongoDB manual, "$sum (aggregation)", "$min (aggregation)", "$max (aggregation)" (they pass over null and
 * missing), "Comparison/Sort Order" (NaN is below all numbers), "$toDecimal (aggregation)" (a double is rounded to 15
 * digits).
 */
#include "query/group_aggregates.h"

#include "bson/objectid_type_id.h"
#include "pg/compat.h"
#include "query/rule.h"

extern "C" {
#include "catalog/pg_aggregate.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
}

#include <cmath>

namespace mongoferry::query {

namespace {

/* --- the rules --------------------------------------------------------------------------------------------------- */

enum class Method : uint8_t {
    count_rows,
    count_values,
    sum_integers,   /* → bigint */
    sum_bigints,    /* → numeric */
    sum_numerics,   /* → numeric */
    sum_doubles,    /* → double precision */
    average,        /* of integers and numeric → numeric */
    average_double, /* → double precision */
    minimum,
    maximum,
    spread, /* variance and standard deviation of integers and numeric → numeric */
};

struct AggregateRule {
    Oid function;
    Method method;
    FinishKind finish;
};

constexpr AggregateRule rules[] = {
    {F_COUNT_, Method::count_rows, FinishKind::count},
    {F_COUNT_ANY, Method::count_values, FinishKind::count},
    {F_SUM_INT2, Method::sum_integers, FinishKind::none},
    {F_SUM_INT4, Method::sum_integers, FinishKind::none},
    {F_SUM_INT8, Method::sum_bigints, FinishKind::none},
    {F_SUM_NUMERIC, Method::sum_numerics, FinishKind::none},
    {F_SUM_FLOAT8, Method::sum_doubles, FinishKind::none},
    {F_AVG_INT2, Method::average, FinishKind::average_numeric},
    {F_AVG_INT4, Method::average, FinishKind::average_numeric},
    {F_AVG_INT8, Method::average, FinishKind::average_numeric},
    {F_AVG_NUMERIC, Method::average, FinishKind::average_numeric},
    {F_AVG_FLOAT8, Method::average_double, FinishKind::average_float64},
    {F_MIN_INT2, Method::minimum, FinishKind::none},
    {F_MIN_INT4, Method::minimum, FinishKind::none},
    {F_MIN_INT8, Method::minimum, FinishKind::none},
    {F_MIN_NUMERIC, Method::minimum, FinishKind::none},
    {F_MIN_FLOAT8, Method::minimum, FinishKind::none},
    {F_MIN_TEXT, Method::minimum, FinishKind::none},
    {F_MIN_DATE, Method::minimum, FinishKind::none},
    {F_MIN_TIMESTAMP, Method::minimum, FinishKind::none},
    {F_MIN_TIMESTAMPTZ, Method::minimum, FinishKind::none},
    {F_MAX_INT2, Method::maximum, FinishKind::none},
    {F_MAX_INT4, Method::maximum, FinishKind::none},
    {F_MAX_INT8, Method::maximum, FinishKind::none},
    {F_MAX_NUMERIC, Method::maximum, FinishKind::none},
    {F_MAX_FLOAT8, Method::maximum, FinishKind::none},
    {F_MAX_TEXT, Method::maximum, FinishKind::none},
    {F_MAX_DATE, Method::maximum, FinishKind::none},
    {F_MAX_TIMESTAMP, Method::maximum, FinishKind::none},
    {F_MAX_TIMESTAMPTZ, Method::maximum, FinishKind::none},
    {F_BOOL_AND, Method::minimum, FinishKind::none}, /* false is below true */
    {F_EVERY, Method::minimum, FinishKind::none},
    {F_BOOL_OR, Method::maximum, FinishKind::none},
    {F_VAR_POP_INT2, Method::spread, FinishKind::var_pop},
    {F_VAR_POP_INT4, Method::spread, FinishKind::var_pop},
    {F_VAR_POP_INT8, Method::spread, FinishKind::var_pop},
    {F_VAR_POP_NUMERIC, Method::spread, FinishKind::var_pop},
    {F_VAR_SAMP_INT2, Method::spread, FinishKind::var_samp},
    {F_VAR_SAMP_INT4, Method::spread, FinishKind::var_samp},
    {F_VAR_SAMP_INT8, Method::spread, FinishKind::var_samp},
    {F_VAR_SAMP_NUMERIC, Method::spread, FinishKind::var_samp},
    {F_VARIANCE_INT2, Method::spread, FinishKind::var_samp},
    {F_VARIANCE_INT4, Method::spread, FinishKind::var_samp},
    {F_VARIANCE_INT8, Method::spread, FinishKind::var_samp},
    {F_VARIANCE_NUMERIC, Method::spread, FinishKind::var_samp},
    {F_STDDEV_POP_INT2, Method::spread, FinishKind::stddev_pop},
    {F_STDDEV_POP_INT4, Method::spread, FinishKind::stddev_pop},
    {F_STDDEV_POP_INT8, Method::spread, FinishKind::stddev_pop},
    {F_STDDEV_POP_NUMERIC, Method::spread, FinishKind::stddev_pop},
    {F_STDDEV_SAMP_INT2, Method::spread, FinishKind::stddev_samp},
    {F_STDDEV_SAMP_INT4, Method::spread, FinishKind::stddev_samp},
    {F_STDDEV_SAMP_INT8, Method::spread, FinishKind::stddev_samp},
    {F_STDDEV_SAMP_NUMERIC, Method::spread, FinishKind::stddev_samp},
    {F_STDDEV_INT2, Method::spread, FinishKind::stddev_samp},
    {F_STDDEV_INT4, Method::spread, FinishKind::stddev_samp},
    {F_STDDEV_INT8, Method::spread, FinishKind::stddev_samp},
    {F_STDDEV_NUMERIC, Method::spread, FinishKind::stddev_samp},
};

/* min and max of objectid are the extension's, so that their numbers are not known here. */
bool find_object_id_rule(const Aggref *aggregate, Oid argument_type, AggregateRule *rule) {
    if (argument_type != bson::objectid_type_id() || get_func_namespace(aggregate->aggfnoid) != PG_CATALOG_NAMESPACE)
        return false;
    const char *name = get_func_name(aggregate->aggfnoid);
    const bool is_minimum = name && strcmp(name, "min") == 0;
    if (!is_minimum && !(name && strcmp(name, "max") == 0))
        return false;
    *rule = {aggregate->aggfnoid, is_minimum ? Method::minimum : Method::maximum, FinishKind::none};
    return true;
}

bool find_rule(const Aggref *aggregate, Oid argument_type, AggregateRule *rule) {
    for (const AggregateRule &candidate : rules)
        if (candidate.function == aggregate->aggfnoid) {
            *rule = candidate;
            return true;
        }
    return find_object_id_rule(aggregate, argument_type, rule);
}

/* --- accumulators ------------------------------------------------------------------------------------------------ */

enum class Accumulation : uint8_t {
    count,
    sum_long,
    sum_decimal,
    magnitude_decimal, /* sum of the absolute values */
    squares,           /* sum of them */
    sum_double,
    magnitude_double,
    minimum,
    maximum,
    /* Of {value, text}: of equal values the one whose text is lowest or highest. */
    lowest_text,          /* of the minimum */
    highest_text,         /* of the maximum */
    negated_lowest_text,  /* of the maximum, negated */
    negated_highest_text, /* of the minimum, negated */
};

/* What is watched besides. */
enum class Guard : uint8_t {
    digits,
    small_squares,
    not_integral,
    large_magnitude,
    negative_zero,
    nan,
    equal_minima,
    equal_maxima
};

/* One of the stage's fields, or one of its guards; what is the same is there once. */
struct Accumulator {
    int kind;       /* Accumulation, or a Guard behind them */
    Node *argument; /* NULL: rows */
    Node *filter;   /* NULL: all */
    bool distinct;
    const char *name;
};

/* {$let: {vars: {x: value}, in: body}} with $$x in the body */
ServerValue *let_x(ServerValue *value, ServerValue *body) {
    return let(append_entry(document_value(), "x", value), body);
}

/* An aggregate while it is translated. */
struct Argument {
    GroupStage *stage;
    const Aggref *aggregate;
    Node *expression;    /* NULL: count(*) */
    Oid type;            /* its base type */
    bool distinct;       /* each value once: that of the stage's DISTINCT aggregate */
    ServerValue *filter; /* two-valued; NULL: all rows */
};

/* The value where the filter lets it through, else null. */
ServerValue *filtered(const Argument &argument, ServerValue *value) {
    return argument.filter ? operation("$cond", {argument.filter, value, null_value()}) : value;
}

/* PostgreSQL evaluates the argument only of rows that the filter lets through. */
void add_trouble(const Argument &argument, ServerValue *trouble) {
    if (argument.filter)
        trouble = operation("$and", {argument.filter, trouble});
    add_trouble(argument.stage->translation, trouble);
}

/* A number as Decimal128 with PostgreSQL's scale. (Values of numeric are no doubles, see function_rules.h: of a double
 * of 5 $toDecimal would make 5.00000000000000.) */
ServerValue *as_decimal(Oid type, ServerValue *value) {
    return operation_of("$toDecimal", type == NUMERICOID ? value : operation_of("$toLong", value));
}

/* {value: key, text: …} of a number, null for null; the key may use $$x. */
ServerValue *with_text(ServerValue *number, ServerValue *key) {
    ServerValue *x = variable_value("x");
    ServerValue *pair = document_value();
    append_entry(pair, "value", key);
    append_entry(pair, "text", operation_of("$toString", x));
    return let_x(number, operation("$cond", {is_something(x), pair, null_value()}));
}

/* The operand of an accumulator; NULL if the argument can't be sent. */
ServerValue *operand_of(const Argument &argument, Accumulation kind) {
    Translation *translation = argument.stage->translation;
    if (!argument.expression)
        return argument.filter ? operation("$cond", {argument.filter, integer_value(1), integer_value(0)})
                               : integer_value(1);
    const bool total = kind == Accumulation::count || kind == Accumulation::minimum || kind == Accumulation::maximum;
    ServerValue *value = argument.distinct ? field_value("_id.d")
                         : total           ? translate_operand(translation, argument.expression)
                                           : translate_value(translation, argument.expression);
    if (!value)
        return nullptr;
    switch (kind) {
    case Accumulation::count: {
        ServerValue *counts = is_something(value);
        if (argument.filter)
            counts = operation("$and", {argument.filter, counts});
        return operation("$cond", {counts, integer_value(1), integer_value(0)});
    }
    case Accumulation::sum_long:
        return filtered(argument, operation_of("$toLong", value));
    case Accumulation::sum_decimal:
        return filtered(argument, as_decimal(argument.type, value));
    case Accumulation::magnitude_decimal:
        return filtered(argument, operation_of("$abs", as_decimal(argument.type, value)));
    case Accumulation::squares: {
        ServerValue *x = variable_value("x");
        return filtered(argument, let_x(as_decimal(argument.type, value), operation("$multiply", {x, x})));
    }
    case Accumulation::sum_double:
        return filtered(argument, operation_of("$toDouble", value));
    case Accumulation::magnitude_double:
        return filtered(argument, operation_of("$abs", operation_of("$toDouble", value)));
    case Accumulation::minimum:
    case Accumulation::maximum:
        return filtered(argument, value);
    case Accumulation::lowest_text:
    case Accumulation::highest_text:
        return filtered(argument, with_text(value, variable_value("x")));
    case Accumulation::negated_lowest_text:
    case Accumulation::negated_highest_text:
        return filtered(
            argument,
            with_text(value, operation("$subtract", {integer_value(0), as_decimal(NUMERICOID, variable_value("x"))})));
    }
    return nullptr;
}

const char *operator_of(Accumulation kind) {
    switch (kind) {
    case Accumulation::minimum:
    case Accumulation::lowest_text:
    case Accumulation::negated_lowest_text:
        return "$min";
    case Accumulation::maximum:
    case Accumulation::highest_text:
    case Accumulation::negated_highest_text:
        return "$max";
    default:
        return "$sum";
    }
}

constexpr int first_guard = 100;

const Accumulator *find_accumulator(const Argument &argument, int kind) {
    ListCell *cell;
    foreach (cell, argument.stage->accumulators) {
        const Accumulator *there = static_cast<const Accumulator *>(lfirst(cell));
        if (there->kind == kind && equal(there->argument, argument.expression) &&
            equal(there->filter, argument.aggregate->aggfilter) && there->distinct == argument.distinct)
            return there;
    }
    return nullptr;
}

const char *remember(const Argument &argument, int kind, const char *name) {
    Accumulator *accumulator = static_cast<Accumulator *>(palloc(sizeof(Accumulator)));
    *accumulator = {kind, argument.expression, reinterpret_cast<Node *>(argument.aggregate->aggfilter),
                    argument.distinct, name};
    argument.stage->accumulators = lappend(argument.stage->accumulators, accumulator);
    return name;
}

/* The field of the group that has it; NULL, with a reason, if it can't be sent. */
const char *accumulate(const Argument &argument, Accumulation kind) {
    GroupStage *stage = argument.stage;
    if (const Accumulator *there = find_accumulator(argument, static_cast<int>(kind)))
        return there->name;
    ServerValue *operand = operand_of(argument, kind);
    if (!operand)
        return nullptr;
    const char *name = psprintf("a%d", stage->accumulator_count++);
    const char *accumulating = operator_of(kind);
    if (!argument.distinct)
        append_entry(stage->group, name, operation_of(accumulating, operand));
    /* Sums add up to sums, extremes have an extreme. */
    if (stage->regroup)
        append_entry(stage->regroup, name, operation_of(accumulating, argument.distinct ? operand : field_value(name)));
    return remember(argument, static_cast<int>(kind), name);
}

/* Whether the guard has to be made; asked once, for then it is. */
bool is_new(const Argument &argument, Guard guard) {
    const int kind = first_guard + static_cast<int>(guard);
    if (find_accumulator(argument, kind))
        return false;
    remember(argument, kind, nullptr);
    return true;
}

/* --- guards ------------------------------------------------------------------------------------------------------ */

void add_group_trouble(GroupStage *stage, ServerValue *trouble) {
    stage->troubles = lappend(stage->troubles, trouble);
}

/* More digits than Decimal128 has, or so small that squares may have become zero. The text of a number is at least as
 * long as its digits. */
bool guard_digits(const Argument &argument, Guard guard, const char *magnitude) {
    if (!magnitude)
        return false;
    if (!is_new(argument, guard))
        return true;
    constexpr int64 decimal128_digits = 34;
    ServerValue *text = operation_of("$toString", field_value(magnitude));
    add_group_trouble(argument.stage,
                      operation("$gte", {operation_of("$strLenBytes", text), integer_value(decimal128_digits)}));
    return true;
}

bool guard_squares(const Argument &argument, const char *squares) {
    if (squares && find_accumulator(argument, first_guard + static_cast<int>(Guard::small_squares)))
        return true;
    if (!guard_digits(argument, Guard::small_squares, squares))
        return false;
    ServerValue *text = operation_of("$toString", field_value(squares));
    add_group_trouble(argument.stage,
                      operation("$gte", {operation("$indexOfBytes", {text, text_value("E-")}), integer_value(0)}));
    return true;
}

/* Doubles that are no integers, and NaN. */
bool guard_integral(const Argument &argument) {
    if (!is_new(argument, Guard::not_integral))
        return true;
    ServerValue *value = translate_value(argument.stage->translation, argument.expression);
    if (!value)
        return false;
    ServerValue *x = variable_value("x");
    add_trouble(argument, let_x(value, operation("$or", {operation("$ne", {x, operation_of("$trunc", x)}),
                                                         operation("$eq", {x, float64_value(std::nan(""))})})));
    return true;
}

/* -0, which is equal to 0 and reads differently. */
bool guard_negative_zero(const Argument &argument) {
    if (!is_new(argument, Guard::negative_zero))
        return true;
    ServerValue *value = translate_value(argument.stage->translation, argument.expression);
    if (!value)
        return false;
    ServerValue *x = variable_value("x");
    add_trouble(argument,
                let_x(value, operation("$and", {operation("$eq", {x, integer_value(0)}),
                                                operation("$ne", {operation_of("$toString", x), text_value("0")})})));
    return true;
}

bool guard_nan(const Argument &argument) {
    if (!is_new(argument, Guard::nan))
        return true;
    ServerValue *value = translate_operand(argument.stage->translation, argument.expression);
    if (!value)
        return false;
    add_trouble(argument, operation("$eq", {value, float64_value(std::nan(""))}));
    return true;
}

/* --- aggregates -------------------------------------------------------------------------------------------------- */

/* The field is null where nothing was added, as SQL has it. */
void null_for_nothing(GroupStage *stage, const char *field, const char *count) {
    for (int i = 0; i < stage->after->count; ++i)
        if (strcmp(stage->after->keys[i], field) == 0)
            return;
    append_entry(stage->after, field,
                 operation("$cond", {operation("$gt", {field_value(count), integer_value(0)}), field_value(field),
                                     null_value()}));
}

/* The sum as the argument's type asks, null for nothing, guarded. NULL if it can't be sent. */
const char *sum_of(const Argument &argument, bool in_double) {
    const char *count = accumulate(argument, Accumulation::count);
    if (!count)
        return nullptr;
    const Oid type = argument.type;
    const bool fits_long = type == INT2OID || type == INT4OID; /* it takes 2^32 rows to leave it */
    const char *sum = accumulate(argument, in_double   ? Accumulation::sum_double
                                           : fits_long ? Accumulation::sum_long
                                                       : Accumulation::sum_decimal);
    if (!sum)
        return nullptr;
    if (type == NUMERICOID &&
        !guard_digits(argument, Guard::digits, accumulate(argument, Accumulation::magnitude_decimal)))
        return nullptr;
    if (in_double) {
        constexpr double exact_limit = 9007199254740992.0;
        const char *magnitude = accumulate(argument, Accumulation::magnitude_double);
        if (!magnitude || !guard_integral(argument))
            return nullptr;
        if (is_new(argument, Guard::large_magnitude))
            add_group_trouble(argument.stage, operation("$gte", {field_value(magnitude), float64_value(exact_limit)}));
    }
    null_for_nothing(argument.stage, sum, count);
    return sum;
}

/* Equal numerics may read differently (1.0, 1.00), and PostgreSQL gives the last of them, MongoDB the first: the lowest
 * and the highest text of the extreme value must be the same. */
bool guard_equal_texts(const Argument &argument, bool is_minimum) {
    const char *one = accumulate(argument, is_minimum ? Accumulation::lowest_text : Accumulation::highest_text);
    const char *other =
        accumulate(argument, is_minimum ? Accumulation::negated_highest_text : Accumulation::negated_lowest_text);
    if (!one || !other)
        return false;
    if (is_new(argument, is_minimum ? Guard::equal_minima : Guard::equal_maxima))
        add_group_trouble(argument.stage, operation("$ne", {field_value(psprintf("%s.text", one)),
                                                            field_value(psprintf("%s.text", other))}));
    return true;
}

const char *extreme_of(const Argument &argument, bool is_minimum) {
    const Oid collation = argument.aggregate->inputcollid;
    if (argument.type == TEXTOID && !collation_is_c(collation))
        return not_sent(argument.stage->translation, argument.aggregate,
                        "the order of text depends on the collation, and MongoDB's is that of \"C\"");
    if (argument.type == FLOAT8OID && !(guard_nan(argument) && guard_negative_zero(argument)))
        return nullptr;
    if (argument.type == NUMERICOID && !(guard_nan(argument) && guard_equal_texts(argument, is_minimum)))
        return nullptr;
    return accumulate(argument, is_minimum ? Accumulation::minimum : Accumulation::maximum);
}

/* Variance and standard deviation. */
bool add_spread(const Argument &argument, FinishKind kind, Finish *finish) {
    GroupStage *stage = argument.stage;
    const char *sum = sum_of(argument, false);
    const char *squares = sum ? accumulate(argument, Accumulation::squares) : nullptr;
    if (!squares || !guard_squares(argument, squares))
        return false;
    const char *count = accumulate(argument, Accumulation::count);
    *finish = {kind,
               {part_of(stage, count, INT8OID), part_of(stage, sum, NUMERICOID), part_of(stage, squares, NUMERICOID)}};
    return true;
}

bool add_average(const Argument &argument, bool in_double, Finish *finish) {
    GroupStage *stage = argument.stage;
    const char *sum = sum_of(argument, in_double);
    if (!sum)
        return false;
    const char *count = accumulate(argument, Accumulation::count);
    *finish = {in_double ? FinishKind::average_float64 : FinishKind::average_numeric,
               {part_of(stage, sum, in_double ? FLOAT8OID : NUMERICOID), part_of(stage, count, INT8OID), 0}};
    return true;
}

/* The state of avg(smallint) and avg(integer). */
bool add_partial_average(const Argument &argument, Finish *finish) {
    GroupStage *stage = argument.stage;
    const char *sum = sum_of(argument, false);
    if (!sum)
        return false;
    const char *count = accumulate(argument, Accumulation::count);
    *finish = {FinishKind::int8_pair, {part_of(stage, count, INT8OID), part_of(stage, sum, INT8OID), 0}};
    return true;
}

/* Of a partial aggregate, whose rows are combined here: whether its state is a value that can be made here. */
bool has_plain_state(Method method, Oid state_type) {
    switch (method) {
    case Method::spread:
    case Method::average_double:
        return false;
    case Method::average:
        return state_type == INT8ARRAYOID;
    default:
        return state_type != INTERNALOID;
    }
}

/* The field of an aggregate that the server finishes; NULL if it can't be sent. */
const char *add_finished(const Argument &argument, Method method) {
    switch (method) {
    case Method::count_rows:
    case Method::count_values:
        return accumulate(argument, Accumulation::count);
    case Method::sum_integers:
    case Method::sum_bigints:
    case Method::sum_numerics:
        return sum_of(argument, false);
    case Method::sum_doubles: {
        /* The sum of nothing but -0 is -0 in PostgreSQL. */
        const char *sum = sum_of(argument, true);
        return sum && guard_negative_zero(argument) ? sum : nullptr;
    }
    case Method::minimum:
    case Method::maximum:
        return extreme_of(argument, method == Method::minimum);
    default:
        return nullptr;
    }
}

/* Why no rule fits. */
const char *refusal_of(const Aggref *aggregate, Oid argument_type) {
    switch (argument_type) {
    case FLOAT4OID:
        return "real rounds values";
    case FLOAT8OID:
        return "its last digits depend on the order of the rows";
    default:
        (void)aggregate;
        return "there is no rule for this aggregate";
    }
}

} // namespace

int part_of(GroupStage *stage, const char *path, Oid type) {
    ListCell *cell;
    foreach (cell, stage->part_paths) {
        const int position = foreach_current_index(cell);
        if (strcmp(static_cast<const char *>(lfirst(cell)), path) == 0 &&
            list_nth_oid(stage->part_types, position) == type)
            return position;
    }
    stage->part_paths = lappend(stage->part_paths, const_cast<char *>(path));
    stage->part_types = lappend_oid(stage->part_types, type);
    return list_length(stage->part_paths) - 1;
}

static Node *argument_of(const Aggref *aggregate) {
    return aggregate->args == NIL ? nullptr
                                  : reinterpret_cast<Node *>(linitial_node(TargetEntry, aggregate->args)->expr);
}

static bool repeats_matter(Method method) {
    return method != Method::minimum && method != Method::maximum;
}

const Aggref *find_distinct_aggregate(const List *expressions) {
    ListCell *cell;
    foreach (cell, expressions) {
        const Aggref *aggregate = static_cast<const Aggref *>(lfirst(cell));
        AggregateRule rule;
        if (IsA(aggregate, Aggref) && aggregate->aggdistinct != NIL && list_length(aggregate->args) == 1 &&
            find_rule(aggregate, getBaseType(exprType(argument_of(aggregate))), &rule) && repeats_matter(rule.method))
            return aggregate;
    }
    return nullptr;
}

bool add_aggregate(GroupStage *stage, const Aggref *aggregate, Finish *finish, const char **known) {
    Translation *translation = stage->translation;
    *known = nullptr;
    const bool is_partial = aggregate->aggsplit == AGGSPLIT_INITIAL_SERIAL;
    if ((aggregate->aggsplit != AGGSPLIT_SIMPLE && !is_partial) || aggregate->aggkind != AGGKIND_NORMAL ||
        aggregate->aggvariadic || list_length(aggregate->args) > 1)
        return refuse(translation, aggregate, "there is no rule for this form of aggregate");
    if (aggregate->aggorder != NIL)
        return refuse(translation, aggregate, "there is no rule for an aggregate with ORDER BY");

    Argument argument{stage, aggregate, argument_of(aggregate), InvalidOid, false, nullptr};
    if (argument.expression) {
        argument.type = getBaseType(exprType(argument.expression));
        if (argument.type == VARCHAROID)
            argument.type = TEXTOID;
    }
    AggregateRule rule;
    if (!find_rule(aggregate, argument.type, &rule))
        return refuse(translation, aggregate, refusal_of(aggregate, argument.type));
    if (is_partial && !has_plain_state(rule.method, aggregate->aggtranstype))
        return refuse(translation, aggregate, "the partial state of this aggregate is PostgreSQL's own");
    argument.distinct = aggregate->aggdistinct != NIL && repeats_matter(rule.method);
    if (argument.distinct) {
        const bool is_integer = argument.type == INT2OID || argument.type == INT4OID || argument.type == INT8OID;
        if (rule.method != Method::count_values && !is_integer)
            return refuse(translation, aggregate, "equal values may differ in scale or sign");
        if (!equal(argument.expression, argument_of(stage->distinct)) ||
            !equal(aggregate->aggfilter, stage->distinct->aggfilter))
            return refuse(translation, aggregate, "only one argument with DISTINCT can be sent");
    } else if (aggregate->aggfilter) {
        argument.filter = translate_truth(translation, reinterpret_cast<Node *>(aggregate->aggfilter), true);
        if (!argument.filter)
            return false;
    }
    if (rule.method == Method::spread)
        return add_spread(argument, rule.finish, finish);
    if (rule.method == Method::average && is_partial)
        return add_partial_average(argument, finish);
    if (rule.method == Method::average || rule.method == Method::average_double)
        return add_average(argument, rule.method == Method::average_double, finish);
    *known = add_finished(argument, rule.method);
    if (!*known)
        return false;
    *finish = {rule.finish, {part_of(stage, *known, aggregate->aggtype), 0, 0}};
    return true;
}

const RuleText *aggregate_rule_texts(int *count) {
    static constexpr const char *subject = "Groups and aggregates";
    static constexpr RuleText texts[] = {
        {subject, "GROUP BY, SELECT DISTINCT", "{$group: {_id: {k0: …}}}",
         "keys are smallint, integer, bigint, numeric, double precision, boolean, text of a deterministic collation, "
         "objectid, uuid, date, timestamp, timestamptz: columns, or expressions for which there is a rule"},
        {subject, "count(*), count(x)", "{$sum: 1}, of values that are not null", "always"},
        {subject, "sum(smallint), sum(integer)", "{$sum: {$toLong: x}}", "always"},
        {subject, "sum(bigint)", "{$sum: {$toDecimal: x}}", "always"},
        {subject, "sum(numeric)", "{$sum: {$toDecimal: x}}",
         "trouble: the sum of the magnitudes has more digits than Decimal128"},
        {subject, "avg(smallint), avg(integer), avg(bigint), avg(numeric)", "sum and count",
         "as the sum; PostgreSQL divides"},
        {subject, "sum(double precision), avg(double precision)", "{$sum: x}",
         "trouble: a value that is no integer, for its sums depend on the order of adding; the sum of the magnitudes "
         "is "
         "2^53 or more"},
        {subject, "var_pop, var_samp, variance, stddev_pop, stddev_samp, stddev",
         "count, sum and {$sum: {$multiply: [x, x]}}",
         "of integers and numeric; PostgreSQL does the rest; trouble: the sum of squares has more digits than "
         "Decimal128"},
        {subject, "stddev … of double precision and real", nullptr, "its last digits depend on the order of the rows"},
        {subject, "min, max", "$min, $max",
         "of integers, numeric, double precision, date, timestamp, timestamptz, objectid, text under collation \"C\"; "
         "trouble: NaN, -0, and equal numeric values that read differently (1.0, 1.00)"},
        {subject, "bool_and, every, bool_or", "$min, $max", "always"},
        {subject, "count(DISTINCT x); sum, avg, stddev … (DISTINCT x) of integers",
         "$group by x, then $group once more", "all with one argument; x is what could be a key"},
        {subject, "aggregate(x) FILTER (WHERE condition)", "{$cond: [condition, x, null]}", "the condition is exact"},
        {subject, "HAVING", "$match behind $group",
         "conditions for which there is a rule, on keys, and aggregates that the server finishes (not avg, stddev …); "
         "others are checked here"},
        {subject, "partial aggregates of partitions", "as above",
         "count, sum of smallint, integer and double precision, avg of smallint and integer, min, max, bool_and, "
         "bool_or"},
        {subject, "array_agg, string_agg, jsonb_agg, percentile_cont …", nullptr, "there is no rule for it"},
        {subject, "GROUPING SETS, ROLLUP, CUBE, DISTINCT ON", nullptr, "there is no rule for it"},
    };
    *count = lengthof(texts);
    return texts;
}

} // namespace mongoferry::query
