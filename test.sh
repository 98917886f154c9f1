#!/usr/bin/env bash
# Checks and tests everything. Installs what is missing from Debian's packages as root or by sudo; where it
# can't, it says what to install and fails. It skips nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

target=${CARGO_TARGET_DIR:-$PWD/target}
node_major=22 # where the system has none, or one older than 20
export RUST_BACKTRACE=${RUST_BACKTRACE:-1}
unset DATABASE_URL # the tests bring databases of their own

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'test.sh: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null; }

install() { # what it is for, packages…
    local purpose=$1; shift
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        has sudo && sudo -n true 2>/dev/null || fail "$purpose needs: $* (install them, or run this as root)"
        as_root=(sudo -n)
    fi
    has apt-get || fail "$purpose needs: $* (this system has no apt-get to install them with)"
    step "installing $* for $purpose"
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

node_is_new() { has node && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ]; }

has_postgres() {
    [ -n "${CHATCORE_PG_BIN:-}" ] || compgen -G "/usr/lib/postgresql/*/bin/postgres" >/dev/null || has postgres
}

need_tools() {
    has cc || install "linking" gcc libc6-dev
    cargo fmt --version >/dev/null 2>&1 || fail "checking the format needs rustfmt: rustup component add rustfmt"
    cargo clippy --version >/dev/null 2>&1 || fail "linting needs clippy: rustup component add clippy"
    if ! node_is_new; then
        has npm || install "the browser client's tests" nodejs npm
        if ! node_is_new; then
            local package="node-linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')"
            npm install --silent --no-save --prefix "$target/node" "$package@$node_major"
            PATH="$target/node/node_modules/$package/bin:$PATH"
        fi
        node_is_new || fail "the browser client's tests need Node.js 20 or later"
    fi
    has npm || install "the browser client's tests" npm
    has_postgres || install "the tests on PostgreSQL" postgresql
    has pgbouncer || [ -x /usr/sbin/pgbouncer ] || install "the tests through pgbouncer" pgbouncer
    has systemd-analyze && has systemd-sysusers && has systemctl || install "the operator's page" systemd
    has nginx || [ -x /usr/sbin/nginx ] || install "the tests behind nginx" nginx
    has caddy || install "the tests behind Caddy" caddy
    has curl || install "the operator's page" curl
    has valgrind || install "counting instructions" valgrind
    has chromium || [ -n "${CHROMIUM:-}" ] || install "the journeys in a browser" chromium fonts-noto-color-emoji
}

check_dependencies() {
    local tree banned direct
    tree=$(cargo tree --locked -p chatcore -e normal --prefix none | cut -d' ' -f1 | sort -u)
    banned=$(grep -xE 'http|http-body|hyper|h2|axum|tower.*|.*tungstenite|.*websocket.*|redb|.*postgres.*|rusqlite|sqlx' \
        <<<"$tree" || true)
    [ -z "$banned" ] || fail "chatcore must not depend on: $banned"
    direct=$(cargo tree --locked -p chatcore -e normal --depth 1 --prefix none | tail -n +2 | wc -l)
    [ "$direct" -le 12 ] || fail "chatcore has $direct direct dependencies; 12 are allowed"
    for pair in "chatcore-redb chatcore-hyper" "chatcore-hyper chatcore-redb" \
        "chatcore-postgres chatcore-hyper" "chatcore-hyper chatcore-postgres" \
        "chatcore-postgres chatcore-redb" "chatcore-redb chatcore-postgres"; do
        read -r crate other <<<"$pair"
        ! cargo tree --locked -p "$crate" -e normal --prefix none | grep -q "^$other " \
            || fail "$crate must not depend on $other"
    done
    echo "chatcore has $direct direct dependencies, and none that knows a network or a database"
}

# The runner is of the library's own version, and built without optimisation in half the time.
count_instructions() {
    local tools version
    tools=$(realpath -m "$target")/tools
    version=$(cargo tree --locked -p gungraun --prefix none --depth 0 | sed 's/.* v//')
    if [ "$("$tools/bin/gungraun-runner" --version 2>/dev/null)" != "gungraun-runner $version" ]; then
        CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --debug --locked --version "$version" \
            --root "$tools" --target-dir "$tools/build" gungraun-runner
        rm -rf "$tools/build"
    fi
    # A container may refuse to switch the randomisation of addresses off, and the counts hardly depend on it.
    PATH="$tools/bin:$PATH" GUNGRAUN_ALLOW_ASLR=yes \
        cargo bench --locked --profile instructions -p chatcore-instructions
}

step "tools"; need_tools
step "format"; cargo fmt --all --check
step "dependencies"; check_dependencies
step "lints"; cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
step "documentation"; RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
step "tests"; cargo test --locked --workspace
step "instructions of the hot path"; count_instructions
step "the browser client's core"; (cd tests/ui && npm ci --silent && npm test)
step "people in a browser"
(cd tests/journeys && npm ci --silent && WEB_CHAT_BIN="$target/debug/examples/web_chat" npm test)
step "everything passed"
