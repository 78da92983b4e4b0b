/* The least that reading the six basic sources costs: files kept open, nothing parsed.
 * Reads a number of rounds a line, answers with the nanoseconds that they took. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static const char *const PATHS[] = {"/proc/stat", "/proc/meminfo", "/proc/loadavg",
                                    "/proc/uptime", "/proc/net/dev"};
enum { FILES = sizeof PATHS / sizeof PATHS[0] };
static char buffer[1 << 18];

static void round_of_reads(const int *files) {
    struct statvfs root;
    for (int i = 0; i < FILES; i++) {
        if (pread(files[i], buffer, sizeof buffer, 0) <= 0) _exit(1);
    }
    if (statvfs("/", &root) != 0) _exit(1);
}

int main(void) {
    int files[FILES];
    long rounds;
    for (int i = 0; i < FILES; i++) files[i] = open(PATHS[i], O_RDONLY | O_CLOEXEC);
    while (scanf("%ld", &rounds) == 1) {
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        for (long i = 0; i < rounds; i++) round_of_reads(files);
        clock_gettime(CLOCK_MONOTONIC, &to);
        printf("%lld\n", (to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec);
        fflush(stdout);
    }
    return 0;
}
