/*
 * A source that reads a collection part by part, as it is given them: how each of several processes reads its share of
 * what they read together. Exception world.
 */
#pragma once

#include "source/source.h"

#include <memory>

namespace mongoferry::source {

/* Where the parts come from. Together the parts that all get are the whole collection, each of them once. */
class Division {
public:
    virtual ~Division() = default;
    Division() = default;
    Division(const Division &) = delete;
    Division &operator=(const Division &) = delete;

    /* The next part, which nobody else gets; false when all are taken. Called when the part before has been read. */
    virtual bool take(Range *range) = 0;
    /* True when nobody wants more documents. */
    virtual bool is_stopped() const noexcept = 0;
};

/* inner must outlive it, and be of use to nobody else. The division starts again where open() does. */
std::unique_ptr<Source> make_divided_source(Source *inner, std::unique_ptr<Division> division);

} // namespace mongoferry::source
