#!/usr/bin/env bash
# Runs Autobahn's test suite (sections 1 to 7, 9, 10, 12 and 13) against the example ws_echo, and fails if a case fails. The
# suite needs Python 2.7: install it with `pip install autobahntestsuite`, and set WSTEST to its program if that is not
# on the path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wstest=${WSTEST:-wstest}
command -v "$wstest" >/dev/null || { echo "autobahn.sh: there is no $wstest; set WSTEST to Autobahn's program" >&2; exit 1; }
cargo build --release --locked -p ws_echo --example ws_echo
"${CARGO_TARGET_DIR:-target}/release/examples/ws_echo" 127.0.0.1:9001 &
echo=$!
trap 'kill $echo' EXIT
"$wstest" -m fuzzingclient -s tests/autobahn.json
node -e '
const cases = Object.values(JSON.parse(require("fs").readFileSync("target/autobahn/index.json", "utf8")).chatcore);
const counts = {};
for (const { behavior, behaviorClose } of cases) {
  for (const kind of new Set([behavior, behaviorClose])) counts[kind] = (counts[kind] ?? 0) + 1;
}
console.log(cases.length, "cases:", counts);
const good = ["OK", "NON-STRICT", "INFORMATIONAL"];
process.exit(cases.length > 0 && Object.keys(counts).every((kind) => good.includes(kind)) ? 0 : 1);
'
