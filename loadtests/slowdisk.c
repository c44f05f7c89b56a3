/*
 * A disk with one spindle, for tests: preloaded into every program of the weak box (loadtests/weakbox.py).
 *
 * Each call that makes data durable is made as ever, and then takes as long as WEAKBOX_SYNC_NS says. All processes that
 * have the same file WEAKBOX_SPINDLE wait for each other, one call at a time: a lock of that file, which the kernel ends
 * when its holder dies. The file also counts, for whoever maps it: calls, and the nanoseconds that they took without the
 * wait for their turn. With 0 ns nobody waits for anybody, and it only counts.
 *
 * It sees calls through the C library. It does not see io_uring, programs that are linked statically, nor writes to files
 * that were opened with O_DSYNC (PostgreSQL with wal_sync_method = open_datasync).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NANOSECONDS 1000000000LL

struct counts {
    _Atomic long long calls;
    _Atomic long long busy;
};

static struct counts nowhere;
static struct counts *counts = &nowhere;
static const char *spindle;
static long long sync_ns;

__attribute__((constructor)) static void begin(void)
{
    const char *length = getenv("WEAKBOX_SYNC_NS");
    spindle = getenv("WEAKBOX_SPINDLE");
    if (!spindle || !length)
        return;
    sync_ns = atoll(length);
    int file = open(spindle, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED)
        counts = mapped;
    close(file);
}

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * NANOSECONDS + time.tv_nsec;
}

static void sleep_until(long long moment)
{
    struct timespec time = {moment / NANOSECONDS, moment % NANOSECONDS};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR)
        ;
}

/* Each call opens the file anew: threads that shared a descriptor would share the lock. */
static int take_turn(void)
{
    if (!sync_ns)
        return -1;
    int lock = open(spindle, O_RDWR | O_CLOEXEC);
    while (lock >= 0 && flock(lock, LOCK_EX) && errno == EINTR)
        ;
    return lock;
}

static int end_turn(int lock, long long began, int answer)
{
    int told = errno;
    if (sync_ns)
        sleep_until(began + sync_ns);
    atomic_fetch_add(&counts->calls, 1);
    atomic_fetch_add(&counts->busy, now() - began);
    if (lock >= 0)
        close(lock);
    errno = told;
    return answer;
}

#define SLOWLY(call)                             \
    do {                                         \
        int lock = take_turn();                  \
        long long began = now();                 \
        return end_turn(lock, began, (call));    \
    } while (0)

int fsync(int file) { SLOWLY(syscall(SYS_fsync, file)); }

int fdatasync(int file) { SLOWLY(syscall(SYS_fdatasync, file)); }

int syncfs(int file) { SLOWLY(syscall(SYS_syncfs, file)); }

int msync(void *start, size_t length, int flags)
{
    if (!(flags & MS_SYNC))
        return syscall(SYS_msync, start, length, flags);
    SLOWLY(syscall(SYS_msync, start, length, flags));
}

/* Only those who wait for the disk; to begin writing costs nothing. */
int sync_file_range(int file, off64_t offset, off64_t length, unsigned int flags)
{
    if (!(flags & (SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER)))
        return syscall(SYS_sync_file_range, file, offset, length, flags);
    SLOWLY(syscall(SYS_sync_file_range, file, offset, length, flags));
}
