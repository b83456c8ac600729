/* See isolation.h. */
#include "migrate/isolation.h"

#include <algorithm>
#include <cmath>

namespace mongoferry::migrate {

namespace {

/* How fast the distance follows what is found. Of logarithms, so that it comes down quickly after a long stretch of
 * good documents. */
constexpr double smoothing = 0.3;

/* For the size of pieces: what a try costs, in documents, and how much of a piece that fails is done in vain. At the
 * end all of it, and as much again for the halving; at a row half of it. The distance is a geometric mean, which is
 * 0.56 of the arithmetic one where documents are bad at random. */
constexpr double cost_of_try = 3;
constexpr double mean_of_geometric_mean = 1 / 0.56;
constexpr double waste_at_end = 2;
constexpr double waste_at_row = 0.5;

} // namespace

void Isolation::begin(size_t count) noexcept {
    count_ = count;
    position_ = 0;
    suspect_end_ = 0;
    culprit_ = unknown;
}

size_t Isolation::piece_size() const noexcept {
    /* Before one was found there is at least one, or we would not be here. */
    const double known = log_distance_ < 0 ? static_cast<double>(count_) : std::exp(log_distance_);
    if (known < 1.5 && since_refused_ == 0)
        return 1; /* where nearly all are bad, trying two at once is a try in vain */
    /* A stretch of good documents says by itself how rare bad ones have become. */
    const double distance = std::max(known * mean_of_geometric_mean, static_cast<double>(since_refused_));
    const double waste = is_raised_at_row_ ? waste_at_row : waste_at_end;
    return std::max<size_t>(1, static_cast<size_t>(std::sqrt(cost_of_try * distance / waste)));
}

Isolation::Piece Isolation::next() const noexcept {
    if (position_ >= suspect_end_)
        return {position_, position_ + std::min(piece_size(), count_ - position_)};
    if (culprit_ != unknown)
        return {position_, culprit_ > position_ ? culprit_ : position_ + 1};
    return {position_, position_ + std::max<size_t>(1, (suspect_end_ - position_) / 2)};
}

void Isolation::succeeded() noexcept {
    const Piece piece = next();
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
    since_refused_ = 0;
    ++position_;
    suspect_end_ = position_;
    culprit_ = unknown;
}

} // namespace mongoferry::migrate
