/*
 * The module's door: its magic, and the handler that tells PostgreSQL which callbacks the wrapper has.
 *
 * The driver is not touched here: it must be initialised in the backend that uses it, never in the postmaster
 * (shared_preload_libraries), so the first connection does it.
 */
#include "fdw/callbacks.h"

extern "C" {
#include "utils/guc.h"

PG_MODULE_MAGIC;
PGDLLEXPORT void _PG_init(void);
PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_handler);
}

extern "C" void _PG_init(void) {
    DefineCustomBoolVariable(
        "mongoferry.remote_explain",
        "EXPLAIN asks the server for its own plan of the command, and with ANALYZE for how it ran.",
        "The server then runs the command once more.", &mongoferry::fdw::explain_asks_server, false, PGC_USERSET, 0,
        nullptr, nullptr, nullptr);
    mongoferry::reserve_setting_prefix("mongoferry");
}

extern "C" Datum mongoferry_handler(PG_FUNCTION_ARGS) {
    (void)fcinfo;
    FdwRoutine *routine = makeNode(FdwRoutine);
    routine->GetForeignRelSize = mongoferry::fdw::get_foreign_rel_size;
    routine->GetForeignPaths = mongoferry::fdw::get_foreign_paths;
    routine->GetForeignPlan = mongoferry::fdw::get_foreign_plan;
    routine->GetForeignJoinPaths = mongoferry::fdw::get_foreign_join_paths;
    routine->GetForeignUpperPaths = mongoferry::fdw::get_foreign_upper_paths;
    routine->BeginForeignScan = mongoferry::fdw::begin_foreign_scan;
    routine->IterateForeignScan = mongoferry::fdw::iterate_foreign_scan;
    routine->ReScanForeignScan = mongoferry::fdw::rescan_foreign_scan;
    routine->EndForeignScan = mongoferry::fdw::end_foreign_scan;
    routine->ExplainForeignScan = mongoferry::fdw::explain_foreign_scan;
    routine->IsForeignScanParallelSafe = mongoferry::fdw::is_foreign_scan_parallel_safe;
    routine->EstimateDSMForeignScan = mongoferry::fdw::estimate_dsm_foreign_scan;
    routine->InitializeDSMForeignScan = mongoferry::fdw::initialize_dsm_foreign_scan;
    routine->ReInitializeDSMForeignScan = mongoferry::fdw::reinitialize_dsm_foreign_scan;
    routine->InitializeWorkerForeignScan = mongoferry::fdw::initialize_worker_foreign_scan;
    routine->ShutdownForeignScan = mongoferry::fdw::shutdown_foreign_scan;
    routine->AnalyzeForeignTable = mongoferry::fdw::analyze_foreign_table;
    routine->ImportForeignSchema = mongoferry::fdw::import_foreign_schema;
    PG_RETURN_POINTER(routine);
}
