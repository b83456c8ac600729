/* See bson_file.h. */
#include "source/file/bson_file.h"

namespace mongoferry::source {

void BsonFileReader::enter(const Section &section) {
    handed_out_ = 0;
    end_ = section.end;
    go_to_first(input_, section.first);
}

bool BsonFileReader::next_batch(Batch *batch) {
    input_.consume(handed_out_);
    handed_out_ = 0;

    const size_t left = bytes_before(end_, input_.offset());
    if (left == 0)
        return false;
    size_t needed = 4;
    while (true) {
        if (!input_.fill(needed)) {
            if (input_.available() == 0)
                return false;
            throw Damage(input_.offset(), input_.available() < 4
                                              ? "The file ends inside a document's length."
                                              : "The file ends inside a document: " + std::to_string(needed) +
                                                    " bytes are announced, " + std::to_string(input_.available()) +
                                                    " are there.");
        }
        Run run = frame_documents(input_.data(), input_.available(), Terminator::no, left);
        if (run.size > 0) {
            /* A fault behind the run is found again, and thrown, at the next call. */
            hand_out(batch, input_.data(), run.size, input_.offset());
            handed_out_ = run.size;
            documents_ = run.documents;
            return true;
        }
        if (!run.damage.empty())
            throw Damage(input_.offset(), run.damage);
        needed = run.needed;
    }
}

} // namespace mongoferry::source
