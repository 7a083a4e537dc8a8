/* Preloaded into a program, it makes a bad machine of the one that the program runs on.
 *
 * In the folder BAD_MACHINE: while a file `no-fsync` is there, fsync and fdatasync fail as on a broken disk; the number
 * in a file `clock` is added, in seconds, to the wall clock. Monotonic clocks and the time of files stay as they are.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int open_flag(const char *name) {
    char path[4096];
    const char *folder = getenv("BAD_MACHINE");
    if (folder == NULL) return -1;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
}

static int refused(void) {
    int flag = open_flag("no-fsync");
    if (flag < 0) return 0;
    close(flag);
    errno = EIO;
    return 1;
}

int fsync(int fd) { return refused() ? -1 : syscall(SYS_fsync, fd); }

int fdatasync(int fd) { return refused() ? -1 : syscall(SYS_fdatasync, fd); }

/* Looked up again after 50 ms. */
static long shift_seconds(void) {
    static long shift, looked_at_ms = -1000;
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    long now_ms = now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (now_ms - looked_at_ms < 50) return shift;
    looked_at_ms = now_ms;
    int known_errno = errno;
    char text[32] = "0";
    int file = open_flag("clock");
    if (file >= 0) {
        ssize_t length = read(file, text, sizeof text - 1);
        text[length > 0 ? length : 0] = 0;
        close(file);
    }
    errno = known_errno;
    return shift = atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift_seconds();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (now != NULL) *now = precise.tv_sec;
    return precise.tv_sec;
}
