/*
 * Which documents to try next, when a statement over many documents has failed and the bad ones are to be found.
 *
 * A statement is run over a piece of the documents at a time. Pieces that succeed stay written; a piece that fails is
 * taken apart until a document fails alone, which is then refused. Nothing right of a document is tried for good before
 * the document is decided, so the outcome is that of a run document by document in the order of the source: of two that
 * conflict the first wins.
 *
 * Two things make it cheap. An error raised at a row tells which document was at hand (a hint, verified and never
 * trusted: what sorts or joins has read further). Where an error comes at the statement's end, as those of foreign keys
 * do, the search is group testing by generalized binary splitting (F. K. Hwang, "A Method for Detecting All Defective
 * Members in a Population by Group Testing", Journal of the American Statistical Association 67, 1972), with groups
 * whose size follows the distance between the documents refused.
 *
 * Pure C++ and POD world: no allocation, no exception.
 */
#pragma once

#include <cstddef>

namespace mongoferry::migrate {

class Isolation {
public:
    static constexpr size_t unknown = static_cast<size_t>(-1);

    /* Documents [first, end), by their position in the slice. */
    struct Piece {
        size_t first;
        size_t end;
        size_t size() const noexcept { return end - first; }
    };

    /* Begins with the next slice of documents. failed_together: all of them have been tried at once and failed. What
     * was learnt of the distance between bad documents is kept. */
    void begin(size_t count, bool failed_together) noexcept;

    bool finished() const noexcept { return position_ >= count_; }
    /* What to try; only before it has finished. */
    Piece next() const noexcept;
    /* What became of next(). at: the document that was at hand when the error was raised, or unknown. A piece of one
     * document that has failed is decided: the document is refused. */
    void succeeded() noexcept;
    void failed(size_t at) noexcept;

private:
    void refuse() noexcept;

    size_t count_ = 0;
    size_t position_ = 0;           /* all documents before it are decided */
    size_t suspect_end_ = 0;        /* beyond position_: the documents up to there have failed together */
    size_t culprit_ = unknown;      /* the hint of that failure */
    size_t piece_ = unknown;        /* how many to try at once where nothing is suspect */
    size_t since_refused_ = 0;      /* documents decided since the last one that was refused */
    double log_distance_ = -1;      /* smoothed logarithm of the distance between refused documents; -1: not known */
    bool is_raised_at_row_ = false; /* the last failure had a useful hint */
};

} // namespace mongoferry::migrate
