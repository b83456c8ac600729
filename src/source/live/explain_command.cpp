/* explain_command() in live.h. Source of the formats: MongoDB manual, "explain", "Explain Results". */
#include "pg/encoding.h"
#include "source/live/find_command.h"
#include "source/live/live.h"
#include "source/live/single_command.h"

namespace mongoferry::source::live {

namespace {

/* The members of the reply that tell of plans; those of the server, the session and the command itself do not. */
bool tells_of_plans(std::string_view key) {
    return key == "queryPlanner" || key == "executionStats" || key == "stages" || key == "shards" ||
           key == "splitPipeline" || key == "mergeType";
}

} // namespace

bson::Document explain_command(const ConnectionKey &key, const ConnectionOptions &options, const Request &request,
                               bool executed) {
    const std::string collection = to_utf8(request.collection);
    bson::Builder command;
    command.append_document("explain", bson::view_of(build_find_command(request, collection, IdRangeForm::index)));
    command.append_string("verbosity", executed ? "executionStats" : "queryPlanner");
    BsonHandle reply;
    run_single_command(key, options, to_utf8(request.database), collection, {command.finish(), false}, &reply);
    bson::Builder plans;
    bson::Iterator iterator({bson_get_data(reply.get()), reply.get()->len});
    while (iterator.next())
        if (tells_of_plans(iterator.key()))
            plans.append_value(iterator.key(), iterator.value());
    return plans.finish();
}

} // namespace mongoferry::source::live
