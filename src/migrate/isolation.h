/*
 * Which documents to try next, when a statement over many documents has failed and the bad ones are to be found.
 *
 * A statement is run over a piece of the documents at a time. Pieces that succeed stay written; a piece that fails is
 * taken apart until a document fails alone, which is then refused. Nothing right of a document is tried for good before
 * the document is decided, so the outcome is that of a run document by document in the order of the source: of two that
 * conflict the first wins.
 *
 * What makes it cheap: an error raised at a row tells which document was at hand (a hint, verified and never trusted:
 * what sorts or joins has read further). Where the error comes at the statement's end, as those of foreign keys do, the
 * bad document is found by halving. And pieces are small, since all of a piece that fails is done in vain and leaves
 * dead rows, while a try costs no more than a few documents do. For one bad document in d, tries that cost as much as c
 * documents and pieces of m, the cost of a document is about c/m + 1 + 2m/d: least where m is the square root of cd/2.
 * d is what has been seen lately.
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

    /* Begins with the next slice of documents. What was learnt of the distance between bad documents is kept. */
    void begin(size_t count) noexcept;

    bool finished() const noexcept { return position_ >= count_; }
    /* What to try; only before it has finished. */
    Piece next() const noexcept;
    /* What became of next(). at: the document that was at hand when the error was raised, or unknown. A piece of one
     * document that has failed is decided: the document is refused. */
    void succeeded() noexcept;
    void failed(size_t at) noexcept;

private:
    size_t piece_size() const noexcept;
    void refuse() noexcept;

    size_t count_ = 0;
    size_t position_ = 0;           /* all documents before it are decided */
    size_t suspect_end_ = 0;        /* beyond position_: the documents up to there have failed together */
    size_t culprit_ = unknown;      /* the hint of that failure */
    size_t since_refused_ = 0;      /* documents written since the last one that was refused */
    double log_distance_ = -1;      /* smoothed logarithm of the distance between refused documents; -1: not known */
    bool is_raised_at_row_ = false; /* the last failure had a useful hint */
};

} // namespace mongoferry::migrate
