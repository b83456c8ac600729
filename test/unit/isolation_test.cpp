/*
 * Finding the bad documents: every document is decided, once, in order; exactly the bad ones are refused, whatever the
 * hints say; and it takes few tries.
 */
#include "migrate/isolation.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace {

using mongoferry::migrate::Isolation;

enum class Hint { at_row, at_end, none, random };

struct Outcome {
    std::set<size_t> refused;
    size_t tries = 0;
    size_t documents = 0; /* tried, each time that they were; at_row: only up to the error */
};

/* Slices of documents, of which some are bad. */
Outcome isolate(const std::vector<std::vector<bool>> &slices, Hint hint) {
    std::mt19937 random(7);
    Outcome outcome;
    Isolation isolation;
    size_t before = 0;
    for (const std::vector<bool> &bad : slices) {
        isolation.begin(bad.size());
        size_t decided = 0;
        while (!isolation.finished()) {
            const Isolation::Piece piece = isolation.next();
            EXPECT_EQ(piece.first, decided);
            EXPECT_GT(piece.end, piece.first);
            EXPECT_LE(piece.end, bad.size());
            ++outcome.tries;
            size_t first_bad = piece.first;
            while (first_bad < piece.end && !bad[first_bad])
                ++first_bad;
            if (first_bad == piece.end) {
                outcome.documents += piece.size();
                decided = piece.end;
                isolation.succeeded();
                continue;
            }
            outcome.documents += hint == Hint::at_row ? first_bad - piece.first + 1 : piece.size();
            if (piece.size() == 1) {
                EXPECT_TRUE(outcome.refused.insert(before + piece.first).second);
                decided = piece.end;
            }
            switch (hint) {
            case Hint::at_row:
                isolation.failed(first_bad);
                break;
            case Hint::at_end:
                isolation.failed(piece.end - 1);
                break;
            case Hint::none:
                isolation.failed(Isolation::unknown);
                break;
            case Hint::random: /* also outside the piece */
                isolation.failed(random() % (bad.size() + 2));
                break;
            }
        }
        EXPECT_EQ(decided, bad.size());
        before += bad.size();
    }
    return outcome;
}

std::vector<bool> some_bad(size_t count, double share, unsigned seed) {
    std::mt19937 random(seed);
    std::bernoulli_distribution is_bad(share);
    std::vector<bool> bad(count);
    for (size_t i = 0; i < count; ++i)
        bad[i] = is_bad(random);
    return bad;
}

TEST(Isolation, RefusesExactlyTheBadDocuments) {
    for (const Hint hint : {Hint::at_row, Hint::at_end, Hint::none, Hint::random})
        for (const double share : {0.0, 0.001, 0.02, 0.3, 0.9, 1.0})
            for (unsigned seed = 0; seed < 20; ++seed) {
                const size_t sizes[] = {1, 2, 3, 700, seed};
                std::vector<std::vector<bool>> slices;
                std::set<size_t> expected;
                size_t before = 0;
                for (const size_t size : sizes) {
                    slices.push_back(some_bad(size, share, seed));
                    for (size_t i = 0; i < size; ++i)
                        if (slices.back()[i])
                            expected.insert(before + i);
                    before += size;
                }
                EXPECT_EQ(isolate(slices, hint).refused, expected);
            }
}

TEST(Isolation, HasNothingToDoForNoDocuments) {
    Isolation isolation;
    isolation.begin(0);
    EXPECT_TRUE(isolation.finished());
}

TEST(Isolation, TakesAboutOneTryForEachWhereAllAreBad) {
    for (const Hint hint : {Hint::at_row, Hint::at_end, Hint::none})
        EXPECT_LE(isolate({std::vector<bool>(10000, true)}, hint).tries, 10100U);
}

/* Two in a hundred bad, spread evenly, clustered, and all at the end. */
TEST(Isolation, IsCheapForFewBadDocuments) {
    std::vector<bool> clustered(20000);
    for (size_t i = 5000; i < 5400; ++i)
        clustered[i] = true;
    std::vector<bool> at_end(20000);
    for (size_t i = 19600; i < 20000; ++i)
        at_end[i] = true;
    std::vector<bool> in_bursts(20000);
    for (size_t i = 0; i < 20000; i += 2500)
        for (size_t j = 0; j < 50; ++j)
            in_bursts[i + j] = true;
    for (const auto &bad : {some_bad(20000, 0.02, 1), clustered, at_end, in_bursts}) {
        const Outcome at_row = isolate({bad}, Hint::at_row);
        EXPECT_LE(at_row.tries, 6 * 400U);
        EXPECT_LE(at_row.documents, 20000 * 5 / 4U);
        const Outcome at_end_of_statement = isolate({bad}, Hint::at_end);
        EXPECT_LE(at_end_of_statement.tries, 10 * 400U);
        EXPECT_LE(at_end_of_statement.documents, 20000 * 3 / 2U);
    }
}

TEST(Isolation, IsCheapForOneBadDocument) {
    for (const size_t place : {size_t{0}, size_t{12345}, size_t{19999}}) {
        std::vector<bool> bad(20000);
        bad[place] = true;
        const Outcome outcome = isolate({bad}, Hint::none);
        EXPECT_LE(outcome.tries, 250U);
        EXPECT_LE(outcome.documents, 20000 * 11 / 10U);
    }
}

} // namespace
