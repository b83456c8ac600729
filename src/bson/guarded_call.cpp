/* See guarded_call.h. */
#include "bson/guarded_call.h"

#include "bson/objectid_type_id.h"

extern "C" {
#include "access/transam.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace mongoferry::bson {

/* Built in, or our own: it opens nothing that an error leaves behind. */
static bool is_trusted_function(Oid function) {
    return function < FirstNormalObjectId || get_func_rettype(function) == objectid_type_id();
}

BackendFunction *find_backend_function(Oid function, Oid parameter, MemoryContext context) {
    BackendFunction *found = static_cast<BackendFunction *>(MemoryContextAllocZero(context, sizeof(BackendFunction)));
    fmgr_info_cxt(function, &found->info, context);
    found->parameter = parameter;
    found->is_trusted = is_trusted_function(function);
    return found;
}

static bool is_foreign_function(Oid function, void *) {
    return function >= FirstNormalObjectId;
}

static bool calls_foreign_function(Node *node, void *context) {
    if (node == nullptr)
        return false;
    if (check_functions_in_node(node, is_foreign_function, context))
        return true;
    return walk_expression(node, calls_foreign_function, context);
}

bool has_trusted_checks(Oid domain) {
    /* The reference counts on the context it is made in; it is of no more use after this. */
    MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "mongoferry domain checks", ALLOCSET_SMALL_SIZES);
    MemoryContext previous = MemoryContextSwitchTo(context);
    DomainConstraintRef *constraints = static_cast<DomainConstraintRef *>(palloc0(sizeof(DomainConstraintRef)));
    InitDomainConstraintRef(domain, constraints, context, false);
    bool trusted = true;
    ListCell *cell;
    foreach (cell, constraints->constraints) {
        DomainConstraintState *constraint = static_cast<DomainConstraintState *>(lfirst(cell));
        if (constraint->constrainttype == DOM_CONSTRAINT_CHECK &&
            calls_foreign_function(reinterpret_cast<Node *>(constraint->check_expr), nullptr))
            trusted = false;
    }
    MemoryContextSwitchTo(previous);
    MemoryContextDelete(context);
    return trusted;
}

bool may_need_subtransaction(Oid type) {
    const Oid element = get_base_element_type(type);
    if (OidIsValid(element))
        type = element;
    const char kind = get_typtype(type);
    if (kind == TYPTYPE_COMPOSITE || (kind == TYPTYPE_DOMAIN && !has_trusted_checks(type)))
        return true;
    Oid input, parameter;
    getTypeInputInfo(getBaseType(type), &input, &parameter);
    return !is_trusted_function(input);
}

/* Errors that say that the value is wrong, as opposed to the server's state. Input functions of some types speak of
 * syntax errors (tsquery, jsonpath), of objects that do not exist (regclass) or of limits; those of extensions also of
 * internal errors (hstore), and a function in a domain's check may simply RAISE. */
static bool is_about_the_value(int sqlstate, bool is_trusted) {
    const int category = ERRCODE_TO_CATEGORY(sqlstate);
    if (!is_trusted && (sqlstate == ERRCODE_INTERNAL_ERROR || sqlstate == ERRCODE_RAISE_EXCEPTION))
        return true;
    return category == ERRCODE_DATA_EXCEPTION || category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION ||
           category == ERRCODE_PROGRAM_LIMIT_EXCEEDED ||
           (category == ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR) && sqlstate != ERRCODE_INSUFFICIENT_PRIVILEGE);
}

/* Data errors are of class 22 or 23, whatever the function called them. */
static int as_data_error(int sqlstate) {
    const int category = ERRCODE_TO_CATEGORY(sqlstate);
    return category == ERRCODE_DATA_EXCEPTION || category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION
               ? sqlstate
               : ERRCODE_INVALID_TEXT_REPRESENTATION;
}

/* The error that is being handled becomes a refusal, or is raised again. Called within PG_CATCH. */
static Outcome refuse_by_error(Conversion &conversion, MemoryContext context, bool is_trusted) {
    MemoryContextSwitchTo(context);
    ErrorData *error = CopyErrorData();
    if (!is_about_the_value(error->sqlerrcode, is_trusted))
        PG_RE_THROW();
    FlushErrorState();
    return refuse(conversion, as_data_error(error->sqlerrcode),
                  error->message ? psprintf("is refused: %s", error->message) : "is refused");
}

namespace {
using Body = Outcome (*)(const Converter &converter, Conversion &conversion, Datum *value);
}

static Outcome run_guarded(Body body, bool is_trusted, const Converter &converter, Conversion &conversion,
                           Datum *value) {
    MemoryContext context = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    const bool in_subtransaction = !is_trusted && converter.options.on_mismatch == OnMismatch::null;
    volatile Outcome outcome = Outcome::refused;

    if (in_subtransaction) {
        BeginInternalSubTransaction(nullptr);
        MemoryContextSwitchTo(context);
    }
    PG_TRY();
    {
        outcome = body(converter, conversion, value);
        if (in_subtransaction) {
            ReleaseCurrentSubTransaction();
            MemoryContextSwitchTo(context);
            CurrentResourceOwner = owner;
        }
    }
    PG_CATCH();
    {
        outcome = refuse_by_error(conversion, context, is_trusted);
        if (in_subtransaction) {
            RollbackAndReleaseCurrentSubTransaction();
            MemoryContextSwitchTo(context);
            CurrentResourceOwner = owner;
        }
    }
    PG_END_TRY();
    return outcome;
}

Outcome call_input_function(const Converter &converter, Conversion &conversion, char *text, Datum *result) {
    *result = CStringGetDatum(text);
    return run_guarded(
        [](const Converter &inner, Conversion &state, Datum *value) {
            const char *message = nullptr;
            int sqlstate = 0;
            if (call_input_function_softly(&inner.input->info, DatumGetCString(*value), inner.input->parameter,
                                           inner.base_typmod, value, &sqlstate, &message))
                return Outcome::value;
            return refuse(state, as_data_error(sqlstate), message ? psprintf("is refused: %s", message) : "is refused");
        },
        converter.input->is_trusted, converter, conversion, result);
}

Outcome call_coercion(const Converter &converter, Conversion &conversion, Datum *value) {
    return run_guarded(
        [](const Converter &inner, Conversion &, Datum *in_out) {
            /* The third argument, "explicit cast", is looked at by those functions that have it. */
            *in_out =
                FunctionCall3(&inner.coercion->info, *in_out, Int32GetDatum(inner.base_typmod), BoolGetDatum(false));
            return Outcome::value;
        },
        converter.coercion->is_trusted, converter, conversion, value);
}

Outcome call_domain_check(const Converter &converter, Conversion &conversion, Datum value, bool is_null) {
    return run_guarded(is_null ? Body([](const Converter &inner, Conversion &, Datum *) {
                           domain_check(0, true, inner.type, const_cast<void **>(&inner.domain_state), inner.context);
                           return Outcome::value;
                       })
                               : Body([](const Converter &inner, Conversion &, Datum *checked) {
                                     domain_check(*checked, false, inner.type, const_cast<void **>(&inner.domain_state),
                                                  inner.context);
                                     return Outcome::value;
                                 }),
                       converter.trusts_domain, converter, conversion, &value);
}

} // namespace mongoferry::bson
