/*
 * Fails the n-th operation on files of one folder, from outside of the program under test (LD_PRELOAD).
 *
 * It stands in front of the C library's functions through which Rust's standard library reaches files. Operations on
 * anything below FAULTS_FOLDER are counted, each in its class and all together, over all threads. The n-th of a class
 * gets what FAULTS_PLAN says: an error, half of what was asked for, a signal before it, or a change of another file under
 * the program's hands. The counts, and what was hit, lie in FAULTS_STATE, a file that is mapped: they survive SIGKILL.
 *
 *     FAULTS_PLAN=class:n:action[:argument]    class: a name below, or "any"; n from 1
 *     action: errno as a number (once); "from" + errno (this and all later ones of the class);
 *             "full" (this and whatever later needs room: ENOSPC); "half" (of a read or write);
 *             "signal" + number; "shrink", "grow", "scribble" (FAULTS_VICTIM); "swap" (argument: renamed over it)
 *
 * What a program does by raw system calls passes by: the harness looks for that with strace.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* The order is that of `Class` in crates/testkit/src/faults.rs. */
enum class { READ, WRITE, OPEN, SYNC, RENAME, TRUNCATE, STAT, UNLINK, MAKE, DUP, ATTRIBUTES, LIST, SEEK, CLASSES, ANY };
static const char *const NAMES[] = {"read", "write", "open",       "sync", "rename", "truncate", "stat", "unlink",
                                    "make", "dup",   "attributes", "list", "seek",   "",         "any"};

struct state {
    uint64_t counts[16];
    uint64_t any;
    uint64_t hits;
    uint32_t hit_class;
    char path[PATH_MAX];
};

enum action { NONE, ERROR, ERROR_FROM, FULL, HALF, SIGNAL, SHRINK, GROW, SCRIBBLE, SWAP };

static struct state *state;
static char folder[PATH_MAX];
static size_t folder_len;
static enum class plan_class = ANY;
static uint64_t plan_n;
static enum action plan_action;
static int plan_number;
static const char *victim, *argument;

#define REAL(type, name, ...)                                                                                         \
    static type (*real_##name)(__VA_ARGS__);                                                                          \
    if (!real_##name) {                                                                                               \
        *(void **)&real_##name = dlsym(RTLD_NEXT, #name);                                                             \
    }

__attribute__((constructor)) static void start(void) {
    const char *where = getenv("FAULTS_FOLDER"), *map = getenv("FAULTS_STATE"), *plan = getenv("FAULTS_PLAN");
    if (!where || !map) return;
    int fd = syscall(SYS_openat, AT_FDCWD, map, O_RDWR | O_CLOEXEC);
    if (fd < 0) abort();
    state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (state == MAP_FAILED) abort();
    syscall(SYS_close, fd);
    snprintf(folder, sizeof folder, "%s", where);
    folder_len = strlen(folder);
    victim = getenv("FAULTS_VICTIM");
    argument = getenv("FAULTS_ARGUMENT");
    if (!plan || !*plan) return;
    char class[32], action[32];
    unsigned long long n;
    if (sscanf(plan, "%31[^:]:%llu:%31s", class, &n, action) != 3) abort();
    int known = 0;
    for (int i = 0; i <= ANY; i++) {
        if (NAMES[i][0] && !strcmp(NAMES[i], class)) plan_class = i, known = 1;
    }
    if (!known) abort();
    plan_n = n;
    if (!strncmp(action, "from", 4)) plan_action = ERROR_FROM, plan_number = atoi(action + 4);
    else if (!strcmp(action, "full")) plan_action = FULL, plan_number = ENOSPC;
    else if (!strcmp(action, "half")) plan_action = HALF;
    else if (!strncmp(action, "signal", 6)) plan_action = SIGNAL, plan_number = atoi(action + 6);
    else if (!strcmp(action, "shrink")) plan_action = SHRINK;
    else if (!strcmp(action, "grow")) plan_action = GROW;
    else if (!strcmp(action, "scribble")) plan_action = SCRIBBLE;
    else if (!strcmp(action, "swap")) plan_action = SWAP;
    else if (atoi(action) > 0) plan_action = ERROR, plan_number = atoi(action);
    else abort();
}

static int below(const char *path) {
    return !strncmp(path, folder, folder_len) && (path[folder_len] == '/' || !path[folder_len]);
}

/* The file of a descriptor, if it is one of ours. */
static int of_fd(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    if (len < 0) return 0;
    path[len] = 0;
    return below(path);
}

static int of_path(int dir, const char *name, char *path) {
    if (!name) return 0;
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return below(path);
    }
    size_t len;
    if (dir == AT_FDCWD) {
        long got = syscall(SYS_getcwd, path, PATH_MAX);
        if (got < 0) return 0;
        len = strlen(path);
    } else {
        of_fd(dir, path);
        len = strlen(path);
    }
    snprintf(path + len, PATH_MAX - len, name[0] ? "/%s" : "%s", name);
    return below(path);
}

/* Changes the victim, by system calls that nobody counts. */
static void change_victim(void) {
    if (plan_action == SWAP) {
        syscall(SYS_renameat2, AT_FDCWD, argument, AT_FDCWD, victim, 0);
        return;
    }
    int fd = syscall(SYS_openat, AT_FDCWD, victim, O_RDWR | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) abort();
    char other[4096];
    memset(other, 0xA5, sizeof other);
    if (plan_action == SHRINK) {
        if (syscall(SYS_ftruncate, fd, st.st_size / 2)) abort();
    } else if (plan_action == GROW) {
        if (syscall(SYS_pwrite64, fd, other, sizeof other, st.st_size) < 0) abort();
    } else {
        for (off_t at = 0; at < st.st_size; at += sizeof other) {
            size_t len = st.st_size - at < (off_t)sizeof other ? st.st_size - at : (off_t)sizeof other;
            if (syscall(SYS_pwrite64, fd, other, len, at) < 0) abort();
        }
    }
    syscall(SYS_close, fd);
}

enum verdict { GO = 0, FAIL = 1, HALVE = 2 };

/* Counts an operation and says what becomes of it. */
static enum verdict operation(enum class class, const char *path, int needs_room) {
    if (!state) return GO;
    uint64_t any = __atomic_add_fetch(&state->any, 1, __ATOMIC_SEQ_CST);
    uint64_t n = __atomic_add_fetch(&state->counts[class], 1, __ATOMIC_SEQ_CST);
    if (plan_class == ANY) n = any;
    else if (plan_class != class && plan_action != FULL) return GO;
    int hit;
    switch (plan_action) {
    case NONE:
        return GO;
    case ERROR_FROM:
        hit = n >= plan_n;
        break;
    case FULL:
        hit = plan_class == class && n == plan_n;
        if (!hit && __atomic_load_n(&state->hits, __ATOMIC_SEQ_CST)) hit = needs_room;
        break;
    default:
        hit = n == plan_n;
    }
    if (!hit) return GO;
    if (__atomic_fetch_add(&state->hits, 1, __ATOMIC_SEQ_CST) == 0) {
        state->hit_class = class;
        snprintf(state->path, sizeof state->path, "%s", path);
    }
    switch (plan_action) {
    case HALF:
        return HALVE;
    case SIGNAL:
        kill(getpid(), plan_number);
        return GO;
    case SHRINK:
    case GROW:
    case SCRIBBLE:
    case SWAP:
        change_victim();
        return GO;
    default:
        errno = plan_number;
        return FAIL;
    }
}

static enum verdict on_fd(enum class class, int fd) {
    char path[PATH_MAX];
    if (!state || !of_fd(fd, path)) return GO;
    return operation(class, path, class == WRITE || class == TRUNCATE);
}

static enum verdict on_path(enum class class, int dir, const char *name, int needs_room) {
    char path[PATH_MAX];
    if (!state || !of_path(dir, name, path)) return GO;
    return operation(class, path, needs_room);
}

#define HALF_OF(verdict, len) ((verdict) == HALVE && (len) > 1 ? (len) / 2 : (len))

ssize_t read(int fd, void *buf, size_t len) {
    REAL(ssize_t, read, int, void *, size_t)
    enum verdict v = on_fd(READ, fd);
    return v == FAIL ? -1 : real_read(fd, buf, HALF_OF(v, len));
}

ssize_t write(int fd, const void *buf, size_t len) {
    REAL(ssize_t, write, int, const void *, size_t)
    enum verdict v = on_fd(WRITE, fd);
    return v == FAIL ? -1 : real_write(fd, buf, HALF_OF(v, len));
}

#define POSITIONED(name, class, pointer, off)                                                                         \
    ssize_t name(int fd, pointer buf, size_t len, off at) {                                                           \
        REAL(ssize_t, name, int, pointer, size_t, off)                                                                \
        enum verdict v = on_fd(class, fd);                                                                            \
        return v == FAIL ? -1 : real_##name(fd, buf, HALF_OF(v, len), at);                                            \
    }
POSITIONED(pread, READ, void *, off_t)
POSITIONED(pread64, READ, void *, off64_t)
POSITIONED(pwrite, WRITE, const void *, off_t)
POSITIONED(pwrite64, WRITE, const void *, off64_t)

/* Of vectors, half is the first of them. */
#define VECTORS(name, class)                                                                                          \
    ssize_t name(int fd, const struct iovec *io, int count) {                                                         \
        REAL(ssize_t, name, int, const struct iovec *, int)                                                           \
        enum verdict v = on_fd(class, fd);                                                                            \
        return v == FAIL ? -1 : real_##name(fd, io, v == HALVE && count > 1 ? 1 : count);                             \
    }
VECTORS(readv, READ)
VECTORS(writev, WRITE)

#define VECTORS_AT(name, class, off)                                                                                  \
    ssize_t name(int fd, const struct iovec *io, int count, off at) {                                                 \
        REAL(ssize_t, name, int, const struct iovec *, int, off)                                                      \
        enum verdict v = on_fd(class, fd);                                                                            \
        return v == FAIL ? -1 : real_##name(fd, io, v == HALVE && count > 1 ? 1 : count, at);                         \
    }
VECTORS_AT(preadv, READ, off_t)
VECTORS_AT(preadv64, READ, off64_t)
VECTORS_AT(pwritev, WRITE, off_t)
VECTORS_AT(pwritev64, WRITE, off64_t)

/* Copies inside the kernel read one file and write the other: both count. */
static enum verdict on_copy(int from, int to) {
    enum verdict v = on_fd(READ, from);
    return v == GO ? on_fd(WRITE, to) : v;
}

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t len, unsigned flags) {
    REAL(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned)
    enum verdict v = on_copy(from, to);
    return v == FAIL ? -1 : real_copy_file_range(from, from_at, to, to_at, HALF_OF(v, len), flags);
}

ssize_t sendfile64(int to, int from, off64_t *at, size_t len) {
    REAL(ssize_t, sendfile64, int, int, off64_t *, size_t)
    enum verdict v = on_copy(from, to);
    return v == FAIL ? -1 : real_sendfile64(to, from, at, HALF_OF(v, len));
}

#define MODE_OF(flags)                                                                                                \
    mode_t mode = 0;                                                                                                  \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                            \
        va_list list;                                                                                                 \
        va_start(list, flags);                                                                                        \
        mode = va_arg(list, mode_t);                                                                                  \
        va_end(list);                                                                                                 \
    }
#define OPEN_AS(name)                                                                                                 \
    int name(const char *path, int flags, ...) {                                                                      \
        REAL(int, name, const char *, int, ...)                                                                       \
        MODE_OF(flags)                                                                                                \
        return on_path(OPEN, AT_FDCWD, path, flags & O_CREAT) == FAIL ? -1 : real_##name(path, flags, mode);          \
    }
OPEN_AS(open)
OPEN_AS(open64)
#define OPENAT_AS(name)                                                                                               \
    int name(int dir, const char *path, int flags, ...) {                                                             \
        REAL(int, name, int, const char *, int, ...)                                                                  \
        MODE_OF(flags)                                                                                                \
        return on_path(OPEN, dir, path, flags & O_CREAT) == FAIL ? -1 : real_##name(dir, path, flags, mode);          \
    }
OPENAT_AS(openat)
OPENAT_AS(openat64)

#define OF_FD(name, class)                                                                                            \
    int name(int fd) {                                                                                                \
        REAL(int, name, int)                                                                                          \
        return on_fd(class, fd) == FAIL ? -1 : real_##name(fd);                                                       \
    }
OF_FD(fsync, SYNC)
OF_FD(fdatasync, SYNC)

#define TRUNCATE_AS(name, off)                                                                                        \
    int name(int fd, off len) {                                                                                       \
        REAL(int, name, int, off)                                                                                     \
        return on_fd(TRUNCATE, fd) == FAIL ? -1 : real_##name(fd, len);                                               \
    }
TRUNCATE_AS(ftruncate, off_t)
TRUNCATE_AS(ftruncate64, off64_t)

#define ALLOCATE_AS(name, off)                                                                                        \
    int name(int fd, int mode, off at, off len) {                                                                     \
        REAL(int, name, int, int, off, off)                                                                           \
        return on_fd(TRUNCATE, fd) == FAIL ? -1 : real_##name(fd, mode, at, len);                                     \
    }
ALLOCATE_AS(fallocate, off_t)
ALLOCATE_AS(fallocate64, off64_t)

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *)
    return on_path(RENAME, AT_FDCWD, to, 1) == FAIL ? -1 : real_rename(from, to);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    REAL(int, renameat, int, const char *, int, const char *)
    return on_path(RENAME, to_dir, to, 1) == FAIL ? -1 : real_renameat(from_dir, from, to_dir, to);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    REAL(int, renameat2, int, const char *, int, const char *, unsigned)
    return on_path(RENAME, to_dir, to, 1) == FAIL ? -1 : real_renameat2(from_dir, from, to_dir, to, flags);
}

int unlink(const char *path) {
    REAL(int, unlink, const char *)
    return on_path(UNLINK, AT_FDCWD, path, 0) == FAIL ? -1 : real_unlink(path);
}

int unlinkat(int dir, const char *path, int flags) {
    REAL(int, unlinkat, int, const char *, int)
    return on_path(UNLINK, dir, path, 0) == FAIL ? -1 : real_unlinkat(dir, path, flags);
}

int rmdir(const char *path) {
    REAL(int, rmdir, const char *)
    return on_path(UNLINK, AT_FDCWD, path, 0) == FAIL ? -1 : real_rmdir(path);
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t)
    return on_path(MAKE, AT_FDCWD, path, 1) == FAIL ? -1 : real_mkdir(path, mode);
}

int link(const char *from, const char *to) {
    REAL(int, link, const char *, const char *)
    return on_path(MAKE, AT_FDCWD, to, 1) == FAIL ? -1 : real_link(from, to);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
    REAL(int, linkat, int, const char *, int, const char *, int)
    return on_path(MAKE, to_dir, to, 1) == FAIL ? -1 : real_linkat(from_dir, from, to_dir, to, flags);
}

int symlink(const char *target, const char *path) {
    REAL(int, symlink, const char *, const char *)
    return on_path(MAKE, AT_FDCWD, path, 1) == FAIL ? -1 : real_symlink(target, path);
}

int fcntl_dup(int fd, int command, long value) {
    REAL(int, fcntl64, int, int, ...)
    if ((command == F_DUPFD || command == F_DUPFD_CLOEXEC) && on_fd(DUP, fd) == FAIL) return -1;
    return real_fcntl64(fd, command, value);
}

#define FCNTL_AS(name)                                                                                                \
    int name(int fd, int command, ...) {                                                                              \
        va_list list;                                                                                                 \
        va_start(list, command);                                                                                      \
        long value = va_arg(list, long);                                                                              \
        va_end(list);                                                                                                 \
        return fcntl_dup(fd, command, value);                                                                         \
    }
FCNTL_AS(fcntl)
FCNTL_AS(fcntl64)

int statx(int dir, const char *restrict path, int flags, unsigned mask, struct statx *restrict out) {
    REAL(int, statx, int, const char *, int, unsigned, struct statx *)
    return on_path(STAT, dir, path, 0) == FAIL ? -1 : real_statx(dir, path, flags, mask, out);
}

#define STAT_AS(name, type)                                                                                           \
    int name(const char *restrict path, struct type *restrict out) {                                                  \
        REAL(int, name, const char *, struct type *)                                                                  \
        return on_path(STAT, AT_FDCWD, path, 0) == FAIL ? -1 : real_##name(path, out);                                \
    }
STAT_AS(stat, stat)
STAT_AS(lstat, stat)
STAT_AS(stat64, stat64)
STAT_AS(lstat64, stat64)

#define FSTAT_AS(name, type)                                                                                          \
    int name(int fd, struct type *out) {                                                                              \
        REAL(int, name, int, struct type *)                                                                           \
        return on_fd(STAT, fd) == FAIL ? -1 : real_##name(fd, out);                                                   \
    }
FSTAT_AS(fstat, stat)
FSTAT_AS(fstat64, stat64)

char *realpath(const char *restrict path, char *restrict resolved) {
    REAL(char *, realpath, const char *, char *)
    return on_path(STAT, AT_FDCWD, path, 0) == FAIL ? NULL : real_realpath(path, resolved);
}

ssize_t readlink(const char *restrict path, char *restrict buf, size_t len) {
    REAL(ssize_t, readlink, const char *, char *, size_t)
    return on_path(STAT, AT_FDCWD, path, 0) == FAIL ? -1 : real_readlink(path, buf, len);
}

DIR *opendir(const char *path) {
    REAL(DIR *, opendir, const char *)
    return on_path(LIST, AT_FDCWD, path, 0) == FAIL ? NULL : real_opendir(path);
}

#define READDIR_AS(name, type)                                                                                        \
    struct type *name(DIR *dir) {                                                                                     \
        REAL(struct type *, name, DIR *)                                                                              \
        return on_fd(LIST, dirfd(dir)) == FAIL ? NULL : real_##name(dir);                                             \
    }
READDIR_AS(readdir, dirent)
READDIR_AS(readdir64, dirent64)

#define SEEK_AS(name, off)                                                                                            \
    off name(int fd, off at, int whence) {                                                                            \
        REAL(off, name, int, off, int)                                                                                \
        return on_fd(SEEK, fd) == FAIL ? -1 : real_##name(fd, at, whence);                                            \
    }
SEEK_AS(lseek, off_t)
SEEK_AS(lseek64, off64_t)

int fchmod(int fd, mode_t mode) {
    REAL(int, fchmod, int, mode_t)
    return on_fd(ATTRIBUTES, fd) == FAIL ? -1 : real_fchmod(fd, mode);
}

int chmod(const char *path, mode_t mode) {
    REAL(int, chmod, const char *, mode_t)
    return on_path(ATTRIBUTES, AT_FDCWD, path, 0) == FAIL ? -1 : real_chmod(path, mode);
}

int fchown(int fd, uid_t owner, gid_t group) {
    REAL(int, fchown, int, uid_t, gid_t)
    return on_fd(ATTRIBUTES, fd) == FAIL ? -1 : real_fchown(fd, owner, group);
}

int futimens(int fd, const struct timespec times[2]) {
    REAL(int, futimens, int, const struct timespec *)
    return on_fd(ATTRIBUTES, fd) == FAIL ? -1 : real_futimens(fd, times);
}

int utimensat(int dir, const char *path, const struct timespec times[2], int flags) {
    REAL(int, utimensat, int, const char *, const struct timespec *, int)
    return on_path(ATTRIBUTES, dir, path, 0) == FAIL ? -1 : real_utimensat(dir, path, times, flags);
}
