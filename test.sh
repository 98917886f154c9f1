#!/usr/bin/env bash
# Checks and tests everything, or only the given steps. Installs the Debian packages that a step needs, as root or with
# sudo. If it can't, it says what to install and fails. It skips nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools=$target/tools
packages=$target/packages
published=(chatcore chatcore-redb chatcore-postgres chatcore-nats chatcore-hyper) # in the order in which they are published
version=$(sed -n '/^\[workspace.package\]$/,/^$/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
node_major=22 # where the system has none, or one older than 20
cargo_deny=0.20.2
export RUST_BACKTRACE=${RUST_BACKTRACE:-1}
unset DATABASE_URL # the tests bring databases of their own

usage() {
    cat <<'END'
./test.sh            runs every step
./test.sh STEP...    runs these steps, in the order given

tools         what the other steps need is there, or is installed
format        cargo fmt
tests         cargo test
ui            the browser client without a browser
instructions  of the hot path, counted by callgrind against their budgets
journeys      people in a browser; a full run has them beside the tests
lints         cargo clippy on everything; a full run has this and the next three beside the tests
packages      the published crates as they are packaged: their files, each compiled alone with no feature, with
              each, and with all, and the README's first program in a project made by its `cargo add` lines
docs          the documentation, each published crate's as docs.rs builds it
api           what the published crates show: whose types, against the list in each Cargo.toml, and how they can grow
dependencies  of the crates: which and how many, their licences and sources (cargo deny)
END
}

say() { printf '\n== %s\n' "$*"; }
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
    say "installing $* for $purpose"
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

node_is_new() { has node && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ]; }

has_postgres() {
    [ -n "${CHATCORE_PG_BIN:-}" ] || compgen -G "/usr/lib/postgresql/*/bin/postgres" >/dev/null || has postgres
}

need_rust() {
    has cc || install "linking" gcc libc6-dev
    cargo fmt --version >/dev/null 2>&1 || fail "checking the format needs rustfmt: rustup component add rustfmt"
    cargo clippy --version >/dev/null 2>&1 || fail "linting needs clippy: rustup component add clippy"
}

need_node() {
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
}

need_servers() {
    has_postgres || install "the tests on PostgreSQL" postgresql
    has pgbouncer || [ -x /usr/sbin/pgbouncer ] || install "the tests through pgbouncer" pgbouncer
    has nats-server || [ -x /usr/sbin/nats-server ] || install "the tests on NATS" nats-server
    has systemd-analyze && has systemd-sysusers && has systemctl || install "the operator's page" systemd
    has nginx || [ -x /usr/sbin/nginx ] || install "the tests behind nginx" nginx
    has caddy || install "the tests behind Caddy" caddy
    has curl || install "the operator's page" curl
}

need_valgrind() { has valgrind || install "counting instructions" valgrind; }

need_chromium() {
    has chromium || [ -n "${CHROMIUM:-}" ] || install "the journeys in a browser" chromium fonts-noto-color-emoji
}

# Installs a program from crates.io, built without optimisation, which takes half the time.
need_program() { # name, version
    [ "$("$tools/bin/$1" --version 2>/dev/null)" != "$1 $2" ] || return 0
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --debug --locked --version "$2" \
        --root "$tools" --target-dir "$tools/build" "$1"
    rm -rf "$tools/build"
}

check_dependencies() {
    local tree banned direct crate other
    tree=$(cargo tree --locked -p chatcore -e normal --prefix none | cut -d' ' -f1 | sort -u)
    banned=$(grep -xE 'http|http-body|hyper|h2|axum|tower.*|.*tungstenite|.*websocket.*|redb|.*postgres.*|rusqlite|sqlx|.*nats.*' \
        <<<"$tree" || true)
    [ -z "$banned" ] || fail "chatcore must not depend on: $banned"
    direct=$(cargo tree --locked -p chatcore -e normal --depth 1 --prefix none | tail -n +2 | wc -l)
    [ "$direct" -le 12 ] || fail "chatcore has $direct direct dependencies; 12 are allowed"
    for crate in "${published[@]:1}"; do
        tree=$(cargo tree --locked -p "$crate" -e normal --prefix none | cut -d' ' -f1 | sort -u)
        for other in "${published[@]:1}"; do
            [ "$crate" = "$other" ] || ! grep -qx "$other" <<<"$tree" || fail "$crate must not depend on $other"
        done
    done
    echo "chatcore has $direct direct dependencies, and none that knows a network or a database"
}

# Builds the packages, once per run, and unpacks them into a separate workspace, where they depend on each other as
# published. Cargo distinguishes crates by their folder within a workspace, and these share a target folder with those
# of the repository, so their folders must have different names.
unpacked=
unpack_packages() {
    local crate members
    [ -z "$unpacked" ] || return 0
    members=$(cargo metadata --locked --no-deps --format-version 1 | grep -o '"manifest_path":"[^"]*"' | cut -d'"' -f4)
    members=$(xargs grep -L '^publish = false' <<<"$members" | xargs -n 1 dirname | xargs -n 1 basename | sort)
    [ "$members" = "$(printf '%s\n' "${published[@]}" | sort)" ] \
        || fail "the packages to check are not those of the workspace: $members"
    cargo fetch --quiet --locked
    rm -rf "$packages" "$target"/package/*.crate
    mkdir -p "$packages"
    cargo package --quiet --locked --allow-dirty --no-verify "${published[@]/#/--package=}"
    for crate in "${published[@]}"; do
        # Their times are all the same: without new ones cargo would take changed files for built.
        tar -xzmf "$target/package/$crate-$version.crate" -C "$packages"
    done
    {
        printf '[workspace]\nresolver = "3"\nmembers = ["app", "chatcore*"]\n\n[patch.crates-io]\n'
        for crate in "${published[@]}"; do echo "$crate.path = \"$crate-$version\""; done
        # The same profiles, so that what the lints compiled is used.
        printf '\n'
        sed -n '/^\[profile\.dev/,/^$/p' Cargo.toml
    } >"$packages/Cargo.toml"
    cp Cargo.lock "$packages"
    mkdir -p "$packages/app/src"
    printf '[package]\nname = "app"\nedition = "2024"\n' >"$packages/app/Cargo.toml"
    sed '1,/^```rust,no_run$/d; /^```$/,$d' README.md >"$packages/app/src/main.rs"
    unpacked=yes
}

# The only contents of a package: sources, the files that they include, the README of the crate, and the licences.
check_files() { # crate
    local folder=$packages/$1-$version surprising licence
    surprising=$(cd "$folder" && find . -type f | sed 's|^\./||' | grep -vxE \
        -e 'Cargo\.(toml|toml\.orig|lock)|\.cargo_vcs_info\.json|README\.md|LICENSE-(MIT|APACHE)' \
        -e '(src|build)/[a-z0-9_/]+\.rs|build\.rs' \
        -e 'migrations/[a-z0-9_]+\.sql|ui/[a-z0-9/-]+\.(js|css)' || true)
    [ -z "$surprising" ] || fail "the package of $1 has files that no rule allows: $surprising"
    for licence in LICENSE-MIT LICENSE-APACHE; do
        cmp "$licence" "$folder/$licence" || fail "the package of $1 has no $licence"
    done
    echo "$1: $(find "$folder" -type f | wc -l) files, $(du -k "$target/package/$1-$version.crate" | cut -f1) KiB"
}

features() { # crate
    sed -n '/^\[features\]$/,/^\[[^f]/s/^\([a-z0-9_-]*\) = .*/\1/p' "$packages/$1-$version/Cargo.toml" | grep -vx default || true
}

# Compiles and lints a package alone, so that features of other crates in the workspace can't hide a missing one.
check_alone() { # crate, the choice of features…
    echo "$*"
    (cd "$packages" && cargo clippy --quiet --offline --no-deps --target-dir "$target" -p "$@" -- -D warnings)
}

check_packages() {
    local crate feature
    unpack_packages
    for crate in "${published[@]}"; do
        check_files "$crate"
    done
    for crate in "${published[@]}"; do
        check_alone "$crate" --no-default-features
        for feature in $(features "$crate"); do
            check_alone "$crate" --no-default-features --features "$feature"
        done
        check_alone "$crate"
        check_alone "$crate" --all-features
    done
    check_readme
}

# Does what the README says: adds the crates to an app, and compiles its first program.
check_readme() {
    local lines line
    mapfile -t lines < <(sed -n 's|--path ../chatcore/\([a-z-]*\)|--path ../\1-'"$version"'|; s/^cargo add //p' README.md)
    [ "${#lines[@]}" -ge 3 ] || fail "the README has no lines of cargo add"
    for line in "${lines[@]}"; do
        # shellcheck disable=SC2086 # a line is several arguments
        (cd "$packages/app" && cargo add --quiet --offline $line)
    done
    echo "the README's first program"
    (cd "$packages" && cargo check --quiet --offline --target-dir "$target" -p app)
}

# docs.rs builds with a nightly rustdoc. This variable lets the stable one do the same. It must not reach the build
# scripts of dependencies: they would all be rebuilt.
write_rustdoc() {
    mkdir -p "$tools/bin"
    printf '#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc "$@"\n' >"$tools/bin/rustdoc-unstable"
    chmod +x "$tools/bin/rustdoc-unstable"
}

rustdoc_alone() { # crate, arguments of rustdoc…
    local crate=$1; shift
    (cd "$packages" && RUSTDOC="$tools/bin/rustdoc-unstable" RUSTDOCFLAGS="-D warnings --cfg docsrs" \
        cargo rustdoc --quiet --offline --target-dir "$target" -p "$crate" --lib --all-features -- "$@")
}

document() {
    local crate page
    write_rustdoc
    unpack_packages
    for crate in "${published[@]}"; do
        rustdoc_alone "$crate"
    done
    for page in $(grep -oh 'https://docs.rs/chatcore[a-z-]*/latest/[^)# ]*' README.md ./*/README.md | sort -u); do
        [ -f "$target/doc/${page#*/latest/}" ] || fail "a README links to $page, which is not there"
    done
    # With the features of the lints, so that what they compiled is used.
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --all-features --no-deps \
        "${published[@]/#/--exclude=}"
}

check_api() {
    local crate
    write_rustdoc
    unpack_packages
    for crate in "${published[@]}"; do
        rustdoc_alone "$crate" -Z unstable-options --output-format json
        node tests/public_api.mjs "$crate" "$target/doc/${crate//-/_}.json"
    done
}

need_runner() { # of the library's own version
    local version
    version=$(cargo tree --locked -p gungraun --prefix none --depth 0 | sed 's/.* v//')
    need_program gungraun-runner "$version"
}

count_instructions() { # arguments of cargo bench…
    # A container may not allow disabling address randomisation, and the counts hardly depend on it.
    PATH="$tools/bin:$PATH" GUNGRAUN_ALLOW_ASLR=yes \
        cargo bench --locked --profile instructions -p chatcore-instructions "$@"
}

# A full run has some things done beside its steps, each in a process group of its own, which a failure elsewhere ends.
# Tests and journeys wait more than they compute. What compiles beside them has the lowest priority, so it takes only
# what they leave:
#
# - the programs that count instructions and check dependencies
# - the lints, the packages, the documentation and the API, which share what they compile in a target folder of their
#   own: in that of the tests they would wait for each other
declare -A beside=()
start_beside() { # name, niceness, function
    mkdir -p "$target"
    set -m
    (
        renice -n "$2" "$BASHPID" >/dev/null
        "$3"
    ) </dev/null >"$target/$1.log" 2>&1 &
    beside[$1]=$!
    set +m
}

end_beside() { # name
    local group=${beside[$1]:-}
    [ -n "$group" ] || return 0
    unset "beside[$1]"
    wait "$group" || { cat "$target/$1.log" >&2; fail "$1, beside other steps, failed"; }
}

# A failure beside the steps ends the run before the next step, not at the end.
check_beside() {
    local name
    for name in "${!beside[@]}"; do
        kill -0 "${beside[$name]}" 2>/dev/null || end_beside "$name"
    done
}

trap 'for group in "${beside[@]}"; do kill -- "-$group" 2>/dev/null || true; done' EXIT

build_instructions() { need_runner; count_instructions --no-run; }
build_cargo_deny() { need_program cargo-deny "$cargo_deny"; }
build_programs() { build_instructions; build_cargo_deny; }

checks=(lints packages docs api)
run_checks() {
    local name
    target=$target/checks
    export CARGO_TARGET_DIR=$target
    for name in "${checks[@]}"; do time_step "$name"; done
}

run_journeys() {
    (cd tests/journeys && npm ci --silent && WEB_CHAT_BIN="$target/debug/examples/web_chat" npm test)
}

built= # whether web_chat is, by this run's tests
run_step() {
    case $1 in
        tools) need_rust; need_node; need_servers; need_valgrind; need_chromium ;;
        format) need_rust; cargo fmt --all --check ;;
        lints) need_rust; cargo clippy --locked --workspace --all-targets --all-features -- -D warnings ;;
        packages) need_rust; check_packages ;;
        docs) need_rust; document ;;
        api) need_rust; need_node; check_api ;;
        dependencies)
            need_rust; build_cargo_deny
            check_dependencies
            "$tools/bin/cargo-deny" --locked check bans licenses sources ;;
        tests)
            need_rust; need_servers
            cargo test --locked --workspace --no-run
            built=yes
            check_beside
            [ -z "$is_full" ] || start_beside journeys 0 run_journeys
            cargo test --locked --workspace ;;
        instructions) need_rust; need_valgrind; end_beside programs; build_instructions; count_instructions ;;
        ui) need_node; (cd tests/ui && npm ci --silent && npm test) ;;
        journeys)
            need_rust; need_node; need_servers; need_chromium
            if [ -n "$is_full" ]; then
                end_beside journeys
                tail -n 12 "$target/journeys.log"
            else
                [ -n "$built" ] || cargo build --locked --workspace --example web_chat
                run_journeys
            fi ;;
    esac
}

time_step() {
    local began=$SECONDS
    say "$1"
    run_step "$1"
    echo "$1: passed in $((SECONDS - began)) s"
}

steps=$(usage | sed -n 's/^\([a-z]\{1,\}\)  .*/\1/p')
for name in "$@"; do
    case $name in
        -h | --help) usage; exit ;;
        *) grep -qxF -e "$name" <<<"$steps" || { usage >&2; fail "no such step: $name"; } ;;
    esac
done
if [ $# -gt 0 ]; then
    is_full=
    for name in "$@"; do time_step "$name"; done
    exit
fi

is_full=yes
export CARGO_INCREMENTAL=0 # everything is compiled once
need_rust
start_beside programs 19 build_programs # which need Rust only, while the tools are installed
time_step tools
time_step format
start_beside checks 19 run_checks
for name in tests ui instructions; do
    check_beside
    time_step "$name"
done
say "what ran beside these steps: ${checks[*]}"
end_beside checks
grep -E '^[a-z]+: ' "$target/checks.log"
time_step dependencies
time_step journeys
say "everything passed"
