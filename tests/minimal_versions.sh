#!/usr/bin/env bash
# Compiles the published crates with the oldest version of each dependency that their Cargo.toml admits. It is not a
# part of test.sh: it builds all dependencies once more. What fails to compile names the dependency whose bound is too
# low; the lines that follow `Locking` say which versions were chosen.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

published=(chatcore chatcore-redb chatcore-postgres chatcore-hyper)
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/minimal_versions
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

cp -r Cargo.toml "${published[@]}" "$copy"
cd "$copy"
members=$(printf '"%s", ' "${published[@]}")
sed -i "s/^members = .*/members = [${members%, }]/" Cargo.toml
# Tests may need newer versions, as long as only they do.
sed -i '/^\[dev-dependencies\]$/,/^\[lints\]$/{/^\[lints\]$/!d}' ./*/Cargo.toml

# The flag is unstable, and the variable has a stable cargo take it; nothing that is compiled sees it.
RUSTC_BOOTSTRAP=1 cargo update -Z direct-minimal-versions
for crate in "${published[@]}"; do
    cargo check --locked --target-dir "$target" -p "$crate" --no-default-features
    cargo check --locked --target-dir "$target" -p "$crate" --all-features
done
