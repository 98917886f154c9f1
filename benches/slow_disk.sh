#!/usr/bin/env bash
# Simulates a disk whose sync takes 2 ms: runs a bench whose fsync and fdatasync
# calls, and those of its PostgreSQL, take that long. Usage: benches/slow_disk.sh [bench]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bench=${1:-acked}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder" # PostgreSQL's user reads it
cat >"$folder/slow.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
static int slow(const char *name, int file) {
    struct timespec end, now;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += 2000000;
    if (end.tv_nsec >= 1000000000) { end.tv_nsec -= 1000000000; end.tv_sec++; }
    int done = ((int (*)(int))dlsym(RTLD_NEXT, name))(file);
    do {
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, 0);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
    return done;
}
int fsync(int file) { return slow("fsync", file); }
int fdatasync(int file) { return slow("fdatasync", file); }
C
cc -O2 -shared -fPIC -o "$folder/slow.so" "$folder/slow.c" -ldl
program=$(cargo bench -p chatcore-benches --bench "$bench" --no-run --message-format=json 2>/dev/null |
    sed -n "s/.*\"name\":\"$bench\".*\"executable\":\"\([^\"]*\)\".*/\1/p" | tail -n 1)
[ -x "$program" ] || { echo "slow_disk.sh: there is no bench '$bench'" >&2; exit 1; }
LD_PRELOAD="$folder/slow.so" "$program" --bench
