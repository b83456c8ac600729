/*
 * The content of a file on the server's disk: bytes as stored, or decompressed if they are gzip's (told by the content,
 * not by the name).
 *
 * Exception world. The file descriptor belongs to the object, not to the transaction: a scan may live on in a cursor
 * WITH HOLD or outlive a subtransaction, while the backend's own transient files are closed at their end. The backend's
 * count of descriptors knows of it (ReserveExternalFD), so that its own files make room. read(2) rather than mmap(2): a
 * file that is cut while it is being read is an error then, and not a SIGBUS.
 */
#pragma once

#include "pg/guard.h"
#include "source/file/gzip_input.h"

#include <memory>
#include <string>
#include <sys/stat.h>

namespace mongoferry::source {

/* An error of the operating system about a path: "could not ACTION \"PATH\": reason", with the SQLSTATE that the
 * backend gives it. `number` is errno's. */
Error system_error(const char *action, const std::string &path, int number);

/* Damage as an error: names the file and where it is. */
Error damage_error(const std::string &path, bool compressed, const Damage &damage);

/* Counts for one descriptor in the backend's books while it lives. */
class DescriptorReservation {
public:
    DescriptorReservation();
    ~DescriptorReservation();
    DescriptorReservation(const DescriptorReservation &) = delete;
    DescriptorReservation &operator=(const DescriptorReservation &) = delete;
};

/* A regular file, as it stands. Interruptible between two reads. */
class RegularFile : public Input {
public:
    /* Throws if it can't be opened, or is not a regular file (a pipe or a device could block, for good). */
    explicit RegularFile(const std::string &path);
    ~RegularFile() override;
    size_t read(uint8_t *to, size_t capacity) override;
    int64_t go_near(int64_t offset) override;

    const std::string &path() const noexcept { return path_; }
    int64_t size() const noexcept { return status_.st_size; } /* when it was opened */
    /* True if the path still leads to this file and nothing has been done to the file since it was opened, as far as
     * its size and times tell. */
    bool is_unchanged() const noexcept;
    bool is_gzipped() const;

private:
    std::string path_;
    DescriptorReservation reservation_;
    int descriptor_ = -1;
    struct stat status_;
};

class ContentInput : public Input {
public:
    explicit ContentInput(const std::string &path);
    size_t read(uint8_t *to, size_t capacity) override {
        return gzip_ ? gzip_->read(to, capacity) : file_.read(to, capacity);
    }

    int64_t go_near(int64_t offset) override { return gzip_ ? gzip_->go_near(offset) : file_.go_near(offset); }
    /* To be called before reading where go_near() will be used: makes going back in compressed files cheap. */
    void expect_to_go_back() noexcept {
        if (gzip_)
            gzip_->keep_marks();
    }

    const RegularFile &file() const noexcept { return file_; }
    const std::string &path() const noexcept { return file_.path(); }
    bool is_compressed() const noexcept { return gzip_ != nullptr; }
    /* Of the content; an estimate, from what was read so far, if it is compressed. */
    int64_t estimated_size() const noexcept;

private:
    RegularFile file_;
    std::unique_ptr<GzipInput> gzip_;
};

/* The first bytes of the content, up to `limit`; throws as reading does. */
std::string read_beginning(const std::string &path, size_t limit);

} // namespace mongoferry::source
