#!/usr/bin/env bash
# Compiles the published crates with the oldest version of each dependency that their Cargo.toml allows. It is not part
# of test.sh, since it builds all dependencies once more. A compile error shows the dependency whose bound is too low.
# The lines after `Locking` list the selected versions.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

published=(chatcore chatcore-redb chatcore-postgres chatcore-nats chatcore-hyper)
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/minimal_versions
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

cp -r Cargo.toml "${published[@]}" "$copy"
cd "$copy"
members=$(printf '"%s", ' "${published[@]}")
sed -i "s/^members = .*/members = [${members%, }]/" Cargo.toml
# Tests may need newer versions, as long as only they do.
sed -i '/^\[dev-dependencies\]$/,/^\[lints\]$/{/^\[lints\]$/!d}' ./*/Cargo.toml

# The flag is unstable, and the variable makes a stable cargo accept it. It does not affect compilation.
RUSTC_BOOTSTRAP=1 cargo update -Z direct-minimal-versions
for crate in "${published[@]}"; do
    cargo check --locked --target-dir "$target" -p "$crate" --no-default-features
    cargo check --locked --target-dir "$target" -p "$crate" --all-features
done
