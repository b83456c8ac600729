/*
 * A source that honours the parts of a Range that do not depend on where the documents come from: documents given
 * whole (Range::raw), for which the inner source is not touched at all, and those to be passed over (Range::except).
 * Everything else is the inner source's. Exception world.
 */
#pragma once

#include "source/source.h"

#include <memory>

namespace mongoferry::source {

/* The bytes that range.raw points to must live until close(). */
std::unique_ptr<Source> make_chunk_source(std::unique_ptr<Source> inner);

} // namespace mongoferry::source
