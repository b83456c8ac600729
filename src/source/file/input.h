/*
 * A stream of bytes, and how the readers of file formats report damage.
 *
 * Pure C++ (no backend header), so that the formats can be tested without a server. Inputs stack: a regular file, gzip
 * over it. The readers know neither the name of the file nor how errors are raised; FileSource adds both.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace mongoferry::source {

/* The file is not what it should be, from this byte (of the decompressed content) on. */
class Damage : public std::runtime_error {
public:
    /* detail: a whole sentence, as for errdetail; line: counted from 1, 0 where lines mean nothing. */
    Damage(int64_t offset_, const std::string &detail, int64_t line_ = 0)
        : std::runtime_error(detail), offset(offset_), line(line_) {}
    int64_t offset;
    int64_t line;
};

class Input {
public:
    virtual ~Input() = default;
    Input() = default;
    Input(const Input &) = delete;
    Input &operator=(const Input &) = delete;

    /* Reads up to capacity (> 0) bytes and returns how many; 0 at the end, and only there. What could be read before a
     * fault is returned first; the fault is thrown (Damage, or an error of the backend) at the call after. */
    virtual size_t read(uint8_t *to, size_t capacity) = 0;

    /* Goes back or forth to the byte at `offset`, or to one before it, the nearest that can be had without reading (it
     * may be the one that the input stands at anyway). Returns where the input stands now; -1 from one that can do
     * nothing of the kind and still is where it was. */
    virtual int64_t go_near(int64_t) { return -1; }
};

} // namespace mongoferry::source
