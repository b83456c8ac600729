/* See set_returning.h. */
#include "pg/set_returning.h"

namespace mongoferry {

ResultRows begin_result_rows(FunctionCallInfo fcinfo) {
    InitMaterializedSRF(fcinfo, 0);
    const ReturnSetInfo *result = reinterpret_cast<const ReturnSetInfo *>(fcinfo->resultinfo);
    return {result->setResult, result->setDesc};
}

} // namespace mongoferry
