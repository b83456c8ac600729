/*
 * A task's transform as text: checked, and bound to the query that stands for its source.
 *
 * A transform is a SELECT over "source", which is no table: bind_transform() puts a WITH query of that name into it.
 * The WITH query joins the transform's own WITH clause, and does not wrap the transform, because only then literals of
 * the select list keep their unknown type until INSERT assigns them (an enum column takes 'shipped'), and because a
 * name that the transform gives twice stays the error that it is.
 *
 * POD world. Relies on the backend's raw parser for where things stand in the text.
 */
#include "pg/set_returning.h"

extern "C" {
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "parser/parser.h"
#include "utils/plancache.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_bind_transform);
PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_describe_query);
}

namespace mongoferry::migrate {

namespace {

constexpr const char *source_name = "source";

/* Has the positions of syntax errors refer to the transform, and not to the query that called us. */
void show_transform_in_error(void *transform) {
    const int position = geterrposition();
    if (position <= 0)
        return;
    errposition(0);
    internalerrposition(position);
    internalerrquery(static_cast<const char *>(transform));
}

/* For errors of our own about a place in the transform; location counts bytes from 0, as the parser does, or is -1. */
int point_at(const char *transform, int location) {
    if (location >= 0)
        errposition(pg_mbstrlen_with_len(transform, location) + 1);
    return 0;
}

struct Inspection {
    const char *transform;
    bool reads_source;
};

/* Refuses what a transform must not contain, at any depth, and looks for the source. */
bool inspect_node(Node *node, void *context) {
    Inspection *inspection = static_cast<Inspection *>(context);
    if (node == nullptr)
        return false;
    switch (nodeTag(node)) {
    case T_SelectStmt: {
        const SelectStmt *select = reinterpret_cast<SelectStmt *>(node);
        if (select->intoClause)
            ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("transform must not contain SELECT INTO"),
                            point_at(inspection->transform, select->intoClause->rel->location)));
        if (select->lockingClause != NIL)
            ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("transform must not lock rows"),
                            errhint("Leave out FOR UPDATE, FOR NO KEY UPDATE, FOR SHARE and FOR KEY SHARE.")));
        break;
    }
    case T_CommonTableExpr: {
        const CommonTableExpr *query = reinterpret_cast<CommonTableExpr *>(node);
        if (!IsA(query->ctequery, SelectStmt))
            ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("transform must not modify data"),
                            errdetail("WITH query \"%s\" is not a SELECT.", query->ctename),
                            point_at(inspection->transform, query->location)));
        break;
    }
    case T_ParamRef:
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_PARAMETER),
                        errmsg("transform must not contain parameters such as $%d",
                               reinterpret_cast<ParamRef *>(node)->number),
                        point_at(inspection->transform, reinterpret_cast<ParamRef *>(node)->location)));
        break;
    case T_RangeVar: {
        const RangeVar *relation = reinterpret_cast<RangeVar *>(node);
        if (!relation->schemaname && strcmp(relation->relname, source_name) == 0)
            inspection->reads_source = true;
        break;
    }
    default:
        break;
    }
    return walk_raw_expression(node, inspect_node, context);
}

/* The one SELECT (or VALUES, or TABLE) that the transform is. Raises 42601 for anything else. */
const RawStmt *parse_transform(const char *transform) {
    const List *statements = raw_parser(transform, RAW_PARSE_DEFAULT);
    if (statements == NIL)
        ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("transform is empty"),
                        errhint("A transform is a SELECT over source.")));
    if (list_length(statements) > 1)
        ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("transform is more than one statement"),
                        errhint("A transform is one SELECT over source."),
                        point_at(transform, static_cast<RawStmt *>(lsecond(statements))->stmt_location)));
    RawStmt *statement = static_cast<RawStmt *>(linitial(statements));
    if (!IsA(statement->stmt, SelectStmt))
        ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("transform is not a SELECT"),
                        errhint("A transform is a SELECT over source.")));
    Inspection inspection{transform, false};
    inspect_node(statement->stmt, &inspection);
    if (!inspection.reads_source)
        ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("transform does not read source"),
                        errhint("A transform is a SELECT over source: it has to say FROM source somewhere.")));
    return statement;
}

/* The transform's text with the WITH query in it, palloc'd; see bind_transform() in the install script. */
char *bind_transform(const char *transform, const char *source_query) {
    const RawStmt *statement = parse_transform(transform);
    const WithClause *with = reinterpret_cast<SelectStmt *>(statement->stmt)->withClause;

    /* Where the statement stands; what follows its semicolon (nothing but comments) stays out. */
    const int location = Max(statement->stmt_location, 0);
    const int end = statement->stmt_len > 0 ? location + statement->stmt_len : static_cast<int>(strlen(transform));
    /* Before PostgreSQL 18 the location is that of the white space before the statement. */
    const int start = location + static_cast<int>(strspn(transform + location, " \t\n\r\f\v"));
    int insert_at = start;
    if (with) {
        ListCell *cell;
        foreach (cell, with->ctes) {
            const CommonTableExpr *query = static_cast<CommonTableExpr *>(lfirst(cell));
            if (strcmp(query->ctename, source_name) == 0)
                ereport(ERROR, (errcode(ERRCODE_DUPLICATE_ALIAS),
                                errmsg("transform must not have a WITH query named \"%s\"", source_name),
                                errdetail("That is the name of the documents that it reads."),
                                point_at(transform, query->location)));
        }
        /* First of the queries, so that all others see it; after RECURSIVE, if that is there. */
        insert_at = static_cast<CommonTableExpr *>(linitial(with->ctes))->location;
    }

    StringInfoData bound;
    initStringInfo(&bound);
    appendBinaryStringInfo(&bound, transform + start, insert_at - start);
    appendStringInfo(&bound, "%s%s AS NOT MATERIALIZED (%s)%s", with ? "" : "WITH ", source_name, source_query,
                     with ? ", " : " ");
    appendBinaryStringInfo(&bound, transform + insert_at, end - insert_at);
    /* What is appended to the statement must not become part of a comment at its end. */
    appendStringInfoChar(&bound, '\n');
    return bound.data;
}

} // namespace

} // namespace mongoferry::migrate

extern "C" Datum mongoferry_bind_transform(PG_FUNCTION_ARGS) {
    char *transform = text_to_cstring(PG_GETARG_TEXT_PP(0));
    const char *source_query = text_to_cstring(PG_GETARG_TEXT_PP(1));

    ErrorContextCallback error_context;
    error_context.callback = mongoferry::migrate::show_transform_in_error;
    error_context.arg = transform;
    error_context.previous = error_context_stack;
    error_context_stack = &error_context;
    char *bound = mongoferry::migrate::bind_transform(transform, source_query);
    error_context_stack = error_context.previous;
    PG_RETURN_TEXT_P(cstring_to_text(bound));
}

extern "C" Datum mongoferry_describe_query(PG_FUNCTION_ARGS) {
    const char *query = text_to_cstring(PG_GETARG_TEXT_PP(0));
    const mongoferry::ResultRows rows = mongoferry::begin_result_rows(fcinfo);

    if (SPI_connect() != SPI_OK_CONNECT)
        elog(ERROR, "SPI_connect failed");
    Oid parameter_type = BYTEAOID;
    SPIPlanPtr plan = SPI_prepare(query, 1, &parameter_type); /* raises what is wrong with the query */
    if (plan == nullptr)
        elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
    const List *sources = SPI_plan_get_plan_sources(plan);
    if (list_length(sources) != 1)
        ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("query to be described is not exactly one statement")));
    CachedPlan *cached_plan = SPI_plan_get_cached_plan(plan); /* plans it: raises what planning finds */
    if (cached_plan)
        ReleaseCachedPlan(cached_plan, nullptr); /* a plan that is not saved belongs to no resource owner */

    const TupleDesc columns = static_cast<CachedPlanSource *>(linitial(sources))->resultDesc;
    for (int i = 0; columns && i < columns->natts; ++i) {
        const Form_pg_attribute column = TupleDescAttr(columns, i);
        Datum values[] = {Int32GetDatum(i + 1), CStringGetTextDatum(NameStr(column->attname)),
                          ObjectIdGetDatum(column->atttypid), Int32GetDatum(column->atttypmod)};
        rows.put(values);
    }
    if (SPI_finish() != SPI_OK_FINISH)
        elog(ERROR, "SPI_finish failed");
    return 0;
}
