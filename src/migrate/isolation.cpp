/* See isolation.h. */
#include "migrate/isolation.h"

#include <algorithm>
#include <cmath>

namespace mongoferry::migrate {

namespace {

/* How fast the distance follows what is found. Logarithms, so that it comes down quickly from a long stretch of good
 * documents. */
constexpr double smoothing = 0.3;

/* Sizes of pieces, in distances. A piece whose error comes at its end costs all of it, and should fail about every
 * other time (0.69 of the mean distance, which is 1.78 times its geometric mean); one whose error is raised at a row
 * costs what is before that row, so it may be larger. */
constexpr double distances_at_end = 1.2;
constexpr double distances_at_row = 8;

} // namespace

void Isolation::begin(size_t count, bool failed_together) noexcept {
    count_ = count;
    position_ = 0;
    suspect_end_ = failed_together ? count : 0;
    culprit_ = unknown;
}

Isolation::Piece Isolation::next() const noexcept {
    if (position_ >= suspect_end_)
        return {position_, position_ + std::min(piece_, count_ - position_)};
    if (culprit_ != unknown)
        return {position_, culprit_ > position_ ? culprit_ : position_ + 1};
    return {position_, position_ + std::max<size_t>(1, (suspect_end_ - position_) / 2)};
}

void Isolation::succeeded() noexcept {
    const Piece piece = next();
    if (position_ >= suspect_end_)
        piece_ = std::max(piece_, piece_ <= count_ ? piece_ * 2 : piece_);
    if (culprit_ != unknown && culprit_ < piece.end)
        culprit_ = unknown; /* it was no good hint */
    since_refused_ += piece.size();
    position_ = piece.end;
}

void Isolation::failed(size_t at) noexcept {
    const Piece piece = next();
    if (piece.size() == 1) {
        refuse();
        return;
    }
    suspect_end_ = piece.end;
    /* The last document is at hand whenever the error came after all were read. */
    is_raised_at_row_ = at >= piece.first && at < piece.end - 1;
    culprit_ = is_raised_at_row_ ? at : unknown;
}

void Isolation::refuse() noexcept {
    const double distance = std::log(static_cast<double>(since_refused_ + 1));
    log_distance_ = log_distance_ < 0 ? distance : log_distance_ + smoothing * (distance - log_distance_);
    const double pieces = std::exp(log_distance_) * (is_raised_at_row_ ? distances_at_row : distances_at_end);
    /* Where nearly all are bad, trying two at once is a try wasted. */
    piece_ = log_distance_ < std::log(1.5) ? 1 : std::max<size_t>(1, static_cast<size_t>(pieces));
    since_refused_ = 0;
    ++position_;
    suspect_end_ = position_;
    culprit_ = unknown;
}

} // namespace mongoferry::migrate
