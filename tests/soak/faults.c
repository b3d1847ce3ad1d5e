/* A disk that fails: preloaded, it counts what writes under a folder, and lets some of it fail.
 *
 * The file that FAULTS names is the memory that all processes share: how much was counted, and what is to fail. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct control {
    _Atomic long count; /* operations so far */
    long first, last;   /* those that fail, from 1 */
    long error;         /* with this errno */
    long half;          /* if so, a write that is the first to fail writes a half of it */
    char folder[PATH_MAX];
};

static struct control *control;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS");
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    int fd = path ? real(path, O_RDWR) : -1;
    if (fd < 0)
        return;
    void *memory = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    control = memory == MAP_FAILED ? NULL : memory;
}

enum verdict { GO, HALF, FAIL };

/* What happens to an operation on this path. */
static enum verdict judge_path(const char *path, int may_be_half) {
    size_t length;
    if (!control || !path || !(length = strlen(control->folder)) || strncmp(path, control->folder, length))
        return GO;
    long n = atomic_fetch_add(&control->count, 1) + 1;
    if (n < control->first || n > control->last)
        return GO;
    if (control->half && n == control->first && may_be_half)
        return HALF;
    if (!control->error)
        return GO;
    errno = (int)control->error;
    return FAIL;
}

static enum verdict judge_at(int directory, const char *path) {
    char base[PATH_MAX], whole[2 * PATH_MAX], link[64];
    if (!path || path[0] == '/')
        return judge_path(path, 0);
    snprintf(link, sizeof link, directory == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", directory);
    ssize_t length = readlink(link, base, sizeof base - 1);
    if (length < 0)
        return GO;
    base[length] = 0;
    snprintf(whole, sizeof whole, "%s/%s", base, path);
    return judge_path(whole, 0);
}

static enum verdict judge_fd(int fd, int may_be_half) {
    char link[64], path[PATH_MAX];
    if (!control)
        return GO;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return GO;
    path[length] = 0;
    return judge_path(path, may_be_half);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define WRITES(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC))
#define MODE(flags, mode)                                                                                              \
    do {                                                                                                               \
        if ((flags) & O_CREAT) {                                                                                       \
            va_list rest;                                                                                              \
            va_start(rest, flags);                                                                                     \
            mode = va_arg(rest, mode_t);                                                                               \
            va_end(rest);                                                                                              \
        }                                                                                                              \
    } while (0)

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        mode_t mode = 0;                                                                                               \
        MODE(flags, mode);                                                                                             \
        return WRITES(flags) && judge_at(AT_FDCWD, path) == FAIL ? -1 : REAL(name)(path, flags, mode);                 \
    }
#define OPENAT(name)                                                                                                   \
    int name(int directory, const char *path, int flags, ...) {                                                        \
        mode_t mode = 0;                                                                                               \
        MODE(flags, mode);                                                                                             \
        return WRITES(flags) && judge_at(directory, path) == FAIL ? -1 : REAL(name)(directory, path, flags, mode);     \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *data, size_t size) {
    switch (judge_fd(fd, size > 1)) {
    case FAIL: return -1;
    case HALF: size /= 2; /* fall through */
    default: return REAL(write)(fd, data, size);
    }
}

#define PWRITE(name, offset_type)                                                                                      \
    ssize_t name(int fd, const void *data, size_t size, offset_type offset) {                                          \
        switch (judge_fd(fd, size > 1)) {                                                                              \
        case FAIL: return -1;                                                                                          \
        case HALF: size /= 2; /* fall through */                                                                       \
        default: return REAL(name)(fd, data, size, offset);                                                            \
        }                                                                                                              \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return judge_fd(fd, 0) == FAIL ? -1 : REAL(writev)(fd, parts, count);
}

int fsync(int fd) { return judge_fd(fd, 0) == FAIL ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return judge_fd(fd, 0) == FAIL ? -1 : REAL(fdatasync)(fd); }
int ftruncate(int fd, off_t size) { return judge_fd(fd, 0) == FAIL ? -1 : REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return judge_fd(fd, 0) == FAIL ? -1 : REAL(ftruncate64)(fd, size); }

int rename(const char *from, const char *to) { return judge_at(AT_FDCWD, to) == FAIL ? -1 : REAL(rename)(from, to); }
int renameat(int from_at, const char *from, int to_at, const char *to) {
    return judge_at(to_at, to) == FAIL ? -1 : REAL(renameat)(from_at, from, to_at, to);
}
int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    return judge_at(to_at, to) == FAIL ? -1 : REAL(renameat2)(from_at, from, to_at, to, flags);
}
int mkdir(const char *path, mode_t mode) { return judge_at(AT_FDCWD, path) == FAIL ? -1 : REAL(mkdir)(path, mode); }
int mkdirat(int directory, const char *path, mode_t mode) {
    return judge_at(directory, path) == FAIL ? -1 : REAL(mkdirat)(directory, path, mode);
}
int unlink(const char *path) { return judge_at(AT_FDCWD, path) == FAIL ? -1 : REAL(unlink)(path); }
int unlinkat(int directory, const char *path, int flags) {
    return judge_at(directory, path) == FAIL ? -1 : REAL(unlinkat)(directory, path, flags);
}
