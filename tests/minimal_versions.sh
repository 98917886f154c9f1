#!/usr/bin/env bash
# Compiles the published crates with the oldest version of each dependency that their Cargo.toml allows. It is not part
# of test.sh, since it builds all dependencies once more. A compile error shows the dependency whose bound is too low.
# The lines after `Locking` list the selected versions.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# async-nats needs a newer `bytes` than the others do, and a workspace has one of them. So chatcore-nats has one of its own,
# to which chatcore is a dependency like any other.
together=(chatcore chatcore-redb chatcore-postgres chatcore-hyper)
alone=(chatcore-nats)
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/minimal_versions
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

mkdir "$copy/together" "$copy/alone"
cp -r Cargo.toml "${together[@]}" "$copy/together"
cp -r Cargo.toml "${alone[@]}" "$copy/alone"
sed -i 's|path = "chatcore"|path = "../together/chatcore"|' "$copy/alone/Cargo.toml"

check() { # folder, crates…
    cd "$copy/$1"; shift
    local crate members
    members=$(printf '"%s", ' "$@")
    sed -i "s/^members = .*/members = [${members%, }]/" Cargo.toml
    # Tests may need newer versions, as long as only they do.
    sed -i '/^\[dev-dependencies\]$/,/^\[lints\]$/{/^\[lints\]$/!d}' ./*/Cargo.toml

    # The flag is unstable, and the variable makes a stable cargo accept it. It does not affect compilation.
    RUSTC_BOOTSTRAP=1 cargo update -Z direct-minimal-versions
    for crate in "$@"; do
        cargo check --locked --target-dir "$target" -p "$crate" --no-default-features
        cargo check --locked --target-dir "$target" -p "$crate" --all-features
    done
}

check together "${together[@]}"
check alone "${alone[@]}"
