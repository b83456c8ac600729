/*
 * See crew.h. Relies on dynamic shared memory with a table of contents, as parallel queries do, and on the backend's
 * own way to hand a session's settings to another process (SerializeGUCState).
 */
#include "migrate/crew.h"

extern "C" {
#include "mb/pg_wchar.h"
#include "storage/shm_toc.h"
#include "utils/guc.h"
}

namespace mongoferry::migrate {

static constexpr uint64 crew_magic = 0x6d6f6e676f666572; /* "mongofer" */
enum Key : uint64 { key_crew = 1, key_job, key_migration, key_options, key_settings };

static void add_text(shm_toc *toc, Key key, const char *text) {
    const Size size = strlen(text) + 1;
    char *copy = static_cast<char *>(shm_toc_allocate(toc, size));
    memcpy(copy, text, size);
    shm_toc_insert(toc, key, copy);
}

static void find_parts(shm_toc *toc, CrewView *view) {
    auto find = [toc](Key key) { return shm_toc_lookup(toc, key, false); };
    view->crew = static_cast<Crew *>(find(key_crew));
    view->job.job = static_cast<const char *>(find(key_job));
    view->job.migration = static_cast<const char *>(find(key_migration));
    view->job.options = static_cast<const char *>(find(key_options));
    view->job.retry_for = view->crew->retry_for;
    view->job.ends_at_failure = view->crew->ends_at_failure;
    view->settings = find(key_settings);
}

void create_crew(const Job &job, int size, CrewView *view) {
    const Size crew_size = offsetof(Crew, slots) + static_cast<Size>(size) * sizeof(Slot);
    const Size settings_size = EstimateGUCStateSpace();

    shm_toc_estimator estimator;
    shm_toc_initialize_estimator(&estimator);
    shm_toc_estimate_chunk(&estimator, crew_size);
    shm_toc_estimate_chunk(&estimator, settings_size);
    for (const char *text : {job.job, job.migration, job.options})
        shm_toc_estimate_chunk(&estimator, strlen(text) + 1);
    shm_toc_estimate_keys(&estimator, 5);
    const Size total = shm_toc_estimate(&estimator);

    view->segment = dsm_create(total, DSM_CREATE_NULL_IF_MAXSEGMENTS);
    if (!view->segment)
        ereport(ERROR,
                (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
                 errmsg("there is no dynamic shared memory segment left for the workers of migration \"%s\"",
                        job.migration),
                 errhint("Try again when other queries have ended, or raise max_connections, which the number of "
                         "segments depends on.")));
    /* The leader commits between its steps; the mapping has to outlive these transactions. */
    dsm_pin_mapping(view->segment);

    shm_toc *toc = shm_toc_create(crew_magic, dsm_segment_address(view->segment), total);
    Crew *crew = static_cast<Crew *>(shm_toc_allocate(toc, crew_size));
    memset(static_cast<void *>(crew), 0, crew_size);
    crew->database = MyDatabaseId;
    crew->session_user = GetSessionUserId();
    crew->role = GetCurrentRoleId();
    GetUserIdAndSecContext(&crew->current_user, &crew->security_context);
    crew->leader_pid = MyProcPid;
    crew->leader = MyProc;
    crew->retry_for = job.retry_for;
    crew->ends_at_failure = job.ends_at_failure;
    crew->size = size;
    SpinLockInit(&crew->mutex);
    shm_toc_insert(toc, key_crew, crew);

    add_text(toc, key_job, job.job);
    add_text(toc, key_migration, job.migration);
    add_text(toc, key_options, job.options);
    char *settings = static_cast<char *>(shm_toc_allocate(toc, settings_size));
    SerializeGUCState(settings_size, settings);
    shm_toc_insert(toc, key_settings, settings);

    find_parts(toc, view);
}

bool attach_crew(dsm_handle handle, CrewView *view) {
    view->segment = dsm_attach(handle);
    if (!view->segment)
        return false;
    shm_toc *toc = shm_toc_attach(crew_magic, dsm_segment_address(view->segment));
    if (!toc)
        return false;
    find_parts(toc, view);
    return true;
}

void copy_clipped(char *buffer, size_t size, const char *text) {
    if (!text)
        text = "";
    const size_t length = strlen(text);
    const size_t clipped =
        length < size ? length
                      : static_cast<size_t>(pg_mbcliplen(text, static_cast<int>(length), static_cast<int>(size - 1)));
    memcpy(buffer, text, clipped);
    buffer[clipped] = '\0';
}

void leave_failure(Crew *crew, const ErrorData *error) {
    /* Clipping calls the backend, which must not be done under a spinlock. */
    Failure *failure = static_cast<Failure *>(palloc0(sizeof(Failure)));
    failure->is_set = true;
    failure->sqlstate = error->sqlerrcode;
    copy_clipped(failure->message, sizeof(failure->message), error->message);
    copy_clipped(failure->detail, sizeof(failure->detail), error->detail);
    copy_clipped(failure->hint, sizeof(failure->hint), error->hint);
    copy_clipped(failure->context, sizeof(failure->context), error->context);
    SpinLockAcquire(&crew->mutex);
    if (!crew->failure.is_set)
        memcpy(&crew->failure, failure, sizeof(Failure));
    SpinLockRelease(&crew->mutex);
    pfree(failure);
}

Trouble make_trouble(const char *label, const ErrorData *error) {
    Trouble trouble;
    copy_clipped(trouble.label, sizeof(trouble.label), label);
    copy_clipped(trouble.message, sizeof(trouble.message), error->message);
    copy_clipped(trouble.detail, sizeof(trouble.detail), error->detail);
    return trouble;
}

void leave_trouble(Crew *crew, Slot *slot, const char *label, const ErrorData *error) {
    const Trouble trouble = make_trouble(label, error);
    SpinLockAcquire(&crew->mutex);
    slot->troubles++;
    memcpy(&slot->trouble, &trouble, sizeof(trouble));
    SpinLockRelease(&crew->mutex);
}

void leave_warning(Crew *crew, Slot *slot, const ErrorData *warning) {
    Warning copy;
    copy.sqlstate = warning->sqlerrcode;
    copy_clipped(copy.message, sizeof(copy.message), warning->message);
    copy_clipped(copy.detail, sizeof(copy.detail), warning->detail);
    copy_clipped(copy.hint, sizeof(copy.hint), warning->hint);
    SpinLockAcquire(&crew->mutex);
    slot->warnings++;
    memcpy(&slot->warning, &copy, sizeof(copy));
    SpinLockRelease(&crew->mutex);
}

void leave_last_words(Crew *crew, Slot *slot, const ErrorData *error) {
    char last_words[sizeof(slot->last_words)];
    copy_clipped(last_words, sizeof(last_words), error->message);
    SpinLockAcquire(&crew->mutex);
    memcpy(slot->last_words, last_words, sizeof(last_words));
    SpinLockRelease(&crew->mutex);
}

} // namespace mongoferry::migrate
