#!/usr/bin/env bash
# Shows where a server's time goes: runs one row of the fan-out bench with one server, samples that server with perf
# during the load, and prints the share of each activity. Usage:
#   benches/profile.sh '500 members, W1' [chatcore-memory]
# SECONDS_EACH is the time of the load (8). A sample in the kernel counts for its system call, a sample outside of the
# kernel for its function, and an inlined function for the function that it is inlined into.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
row=${1:?"usage: benches/profile.sh '500 members, W1' [server]"}
server=${2:-chatcore-memory}
seconds=${SECONDS_EACH:-8}
fail() { printf 'profile.sh: %s\n' "$*" >&2; exit 1; }
command -v perf >/dev/null || fail "perf is missing (Debian's package linux-perf)"

folder=$(mktemp -d)
load=
end() {
    [ -z "$load" ] || kill "$load" 2>/dev/null || true
    rm -rf "$folder"
}
trap end EXIT
program=$(cargo bench -p chatcore-benches --bench fanout --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"name":"fanout".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -x "$program" ] || fail "the bench 'fanout' does not build"

ROWS=$row SERVERS=$server RUNS=1 SECONDS_EACH=$seconds "$program" >"$folder/table" 2>"$folder/progress" &
load=$!
while [ -d "/proc/$load" ] && ! pid=$(pgrep -P "$load" -f " $server "); do sleep 0.1; done
[ -n "${pid:-}" ] || fail "no row '$row' with a server '$server'"
# The members join, and the load warms up, before the first sample.
perf record --quiet --output "$folder/samples" --freq 1999 --call-graph fp --delay 2000 --pid "$pid" 2>/dev/null || true
wait "$load"
load=
cat "$folder/table"
perf script --input "$folder/samples" --fields ip,sym,dso 2>/dev/null | awk -v limit=1 '
    function kernel_group(chain) {
        if (chain ~ /eventfd_write/) return "waking: epoll, eventfd, futex, the scheduler"
        if (chain ~ /__x64_sys_(send|write)|do_writev|tcp_sendmsg/) return "the send call"
        if (chain ~ /__x64_sys_(recv|read)|do_readv|tcp_recvmsg/) return "the read call"
        if (chain ~ /__x64_sys_(epoll|futex|sched)/) return "waking: epoll, eventfd, futex, the scheduler"
        if (chain ~ /__x64_sys_(accept|close|shutdown|socket|setsockopt|getsockopt|getpeername|getsockname|ioctl|fcntl)/)
            return "opening and closing sockets"
        if (chain ~ /page_fault|__x64_sys_(mmap|munmap|madvise|mprotect|brk)/) return "allocating and freeing"
        if (chain ~ /sysvec_|asm_common_interrupt|handle_softirqs/) return "interrupts"
        return "other of the kernel"
    }
    function program_group(symbol, object) {
        if (object !~ /fanout/) {
            if (symbol ~ /malloc|calloc|realloc|free|_int_|unlink_chunk|arena|sysmalloc|tcache/) return "allocating and freeing"
            if (symbol ~ /send|writev/) return "the send call"
            if (symbol ~ /recv|^_*read/) return "the read call"
            if (symbol ~ /epoll|syscall/) return "waking: epoll, eventfd, futex, the scheduler"
            if (symbol ~ /mem(cpy|move|cmp|set|chr)/) return "copying and comparing bytes"
            return "other"
        }
        # A trait method is in angle brackets, with its own type first.
        sub(/^[<&(]*(dyn |mut |const )*/, "", symbol)
        if (symbol ~ /serde|^itoa|^ryu|^zmij|^jiff|^chatcore::protocol|^chatcore::time/) return "JSON"
        if (symbol ~ /^(chatcore_hyper|tungstenite|hyper|hyper_util|http|httparse|sha1|base64|data_encoding|utf8?)::/)
            return "the transport (chatcore-hyper, tungstenite, hyper)"
        if (symbol ~ /^chatcore::(fanout|followers?|turn|outlet|subscription)::/) return "the fan-out (chatcore)"
        if (symbol ~ /^chatcore::store::/) return "the memory store"
        if (symbol ~ /^chatcore::/) return "the rest of the engine (chatcore)"
        if (symbol ~ /^(bytes|alloc::collections|hashbrown|dashmap|core::hash)::/) return "shared bytes, maps, hashes"
        if (symbol ~ /^fanout::/) return "the bench itself (a floor, the authenticator)"
        if (symbol ~ /^(tokio|mio|futures[a-z_]*|parking_lot[a-z_]*)::/) return "the runtime (tokio)"
        return "other"
    }
    function take() {
        if (depth == 0) return
        group = leaf_object ~ /kernel|unknown/ ? kernel_group(chain) : program_group(leaf, leaf_object)
        counts[group]++
        if (leaf_object !~ /kernel/) functions[group "\t" leaf]++
        all++
        depth = 0; chain = ""
    }
    NF == 0 { take(); next }
    {
        object = $NF
        symbol = $0
        sub(/^[ \t]*[0-9a-f]+ /, "", symbol)
        sub(/ \([^()]*\)$/, "", symbol)
        if (depth++ == 0) { leaf = symbol; leaf_object = object }
        chain = chain " " symbol
    }
    END {
        take()
        if (all == 0) { print "profile.sh: no samples" > "/dev/stderr"; exit 1 }
        printf "\n%d samples\n\n| where | share |\n|---|---|\n", all
        sorted = "sort -t\"|\" -k3 -nr"
        for (group in counts) printf "| %s | %.1f %% |\n", group, 100 * counts[group] / all | sorted
        close(sorted)
        printf "\nOutside of the kernel, functions with %d %% or more:\n\n| where | function | share |\n|---|---|---|\n", limit
        sorted = "sort -t\"|\" -k4 -nr"
        for (each in functions) if (functions[each] * 100 >= limit * all) {
            split(each, parts, "\t")
            printf "| %s | `%s` | %.1f %% |\n", parts[1], parts[2], 100 * functions[each] / all | sorted
        }
        close(sorted)
    }'
