/* See content_input.h. */
#include "source/file/content_input.h"

#include "pg/encoding.h"
#include "source/file/document_reader.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

extern "C" {
#include "storage/fd.h"
}

namespace mongoferry::source {

namespace {

/* As the backend's errcode_for_file_access() has it, which works only inside ereport(). */
int sqlstate_of(int number) noexcept {
    switch (number) {
    case EPERM:
    case EACCES:
    case EROFS:
        return ERRCODE_INSUFFICIENT_PRIVILEGE;
    case ENOENT:
        return ERRCODE_UNDEFINED_FILE;
    case ENOTDIR:
    case EISDIR:
        return ERRCODE_WRONG_OBJECT_TYPE;
    case ENFILE:
    case EMFILE:
        return ERRCODE_INSUFFICIENT_RESOURCES;
    case ENOMEM:
        return ERRCODE_OUT_OF_MEMORY;
    case EIO:
        return ERRCODE_IO_ERROR;
    default:
        return ERRCODE_SYSTEM_ERROR;
    }
}

void check_for_interrupts() {
    if (InterruptPending)
        pg_guard([] { CHECK_FOR_INTERRUPTS(); });
}

} // namespace

Error system_error(const char *action, const std::string &path, int number) {
    return Error(sqlstate_of(number),
                 std::string("could not ") + action + " \"" + to_valid_text(path) + "\": " + strerror(number));
}

Error damage_error(const std::string &path, bool compressed, const Damage &damage) {
    std::string message = "file \"" + to_valid_text(path) + "\" is corrupt at byte " + std::to_string(damage.offset);
    if (compressed)
        message += " of its decompressed content";
    if (damage.line > 0)
        message += ", in line " + std::to_string(damage.line);
    return Error(ERRCODE_DATA_CORRUPTED, message, to_server_text(damage.what()));
}

DescriptorReservation::DescriptorReservation() {
    pg_guard([] { ReserveExternalFD(); });
}

DescriptorReservation::~DescriptorReservation() {
    ReleaseExternalFD();
}

RegularFile::RegularFile(const std::string &path) : path_(path) {
    /* Looked at before it is opened, because opening a device may do something; and after, because it may be another.
     */
    if (stat(path.c_str(), &status_) != 0)
        throw system_error("open file", path, errno);
    if (S_ISREG(status_.st_mode)) {
        descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (descriptor_ < 0)
            throw system_error("open file", path, errno);
        if (fstat(descriptor_, &status_) != 0) {
            int number = errno;
            ::close(descriptor_);
            throw system_error("examine file", path, number);
        }
    }
    if (!S_ISREG(status_.st_mode)) {
        if (descriptor_ >= 0)
            ::close(descriptor_);
        throw Error(ERRCODE_WRONG_OBJECT_TYPE, "\"" + to_valid_text(path) + "\" is not a regular file");
    }
}

RegularFile::~RegularFile() {
    ::close(descriptor_);
}

size_t RegularFile::read(uint8_t *to, size_t capacity) {
    while (true) {
        check_for_interrupts();
        ssize_t count = ::read(descriptor_, to, capacity);
        if (count >= 0)
            return static_cast<size_t>(count);
        if (errno != EINTR)
            throw system_error("read file", path_, errno);
    }
}

int64_t RegularFile::go_near(int64_t offset) {
    offset = std::min(offset, size()); /* far beyond, lseek() fails in its own way */
    if (lseek(descriptor_, offset, SEEK_SET) < 0)
        throw system_error("seek in file", path_, errno);
    return offset;
}

bool RegularFile::is_unchanged() const noexcept {
    struct stat now;
    return stat(path_.c_str(), &now) == 0 && now.st_dev == status_.st_dev && now.st_ino == status_.st_ino &&
           now.st_size == status_.st_size && now.st_ctim.tv_sec == status_.st_ctim.tv_sec &&
           now.st_ctim.tv_nsec == status_.st_ctim.tv_nsec;
}

bool RegularFile::is_gzipped() const {
    uint8_t beginning[256];
    ssize_t count = pread(descriptor_, beginning, sizeof beginning, 0);
    if (count < 0)
        throw system_error("read file", path_, errno);
    size_t size = static_cast<size_t>(count);
    if (!is_gzip(beginning, size))
        return false;
    /* A document of 559903 bytes begins with the same four bytes; then what is behind them must tell. */
    int32_t length = bson::load_int32(beginning);
    uint8_t last = 1;
    if (length > this->size() || !resembles_document(beginning, size))
        return true;
    if (pread(descriptor_, &last, 1, length - 1) < 0)
        throw system_error("read file", path_, errno);
    return last != 0;
}

ContentInput::ContentInput(const std::string &path) : file_(path) {
    if (file_.is_gzipped())
        gzip_ = std::make_unique<GzipInput>(file_);
}

int64_t ContentInput::estimated_size() const noexcept {
    return gzip_ ? static_cast<int64_t>(static_cast<double>(file_.size()) * gzip_->expansion()) : file_.size();
}

std::string read_beginning(const std::string &path, size_t limit) {
    constexpr size_t step = 16 * 1024; /* most of these files are small */
    ContentInput input(path);
    std::string content;
    try {
        while (content.size() < limit) {
            size_t before = content.size();
            content.resize(std::min(limit, before + step));
            size_t count = input.read(reinterpret_cast<uint8_t *>(content.data()) + before, content.size() - before);
            content.resize(before + count);
            if (count == 0)
                break;
        }
    } catch (const Damage &damage) {
        /* What is before the damage will do to see what the file is. */
        content.resize(static_cast<size_t>(damage.offset));
        if (content.empty())
            throw damage_error(path, input.is_compressed(), damage);
    }
    return content;
}

} // namespace mongoferry::source
