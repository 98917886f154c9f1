#!/usr/bin/env bash
# Starts three services on one PostgreSQL behind a proxy, on loopback, from installed programs (Debian: postgresql,
# nats-server, caddy), and keeps nothing. Ctrl-C ends all of it. Build first:
#   cargo build --release -p web_chat --example web_chat
set -euo pipefail

usage() {
    cat <<'END'
examples/nodes.sh             three services that tell each other what happens by the database
examples/nodes.sh nats        the same by NATS

The chat is at http://127.0.0.1:3000, and the services behind it are at ports 3001, 3002 and 3003. Kill one, or stop it
with SIGSTOP: its people go on at the others.
END
}

fail() { printf 'nodes.sh: %s\n' "$*" >&2; exit 1; }

case ${1:-} in
    '' | postgres) bus=postgres ;;
    nats) bus=nats://127.0.0.1:4222 ;;
    -h | --help) usage; exit ;;
    *) usage >&2; exit 2 ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:/usr/sbin
binary=${WEB_CHAT_BIN:-${CARGO_TARGET_DIR:-target}/release/examples/web_chat}
[ -x "$binary" ] || fail "$binary is missing: cargo build --release -p web_chat --example web_chat"
command -v caddy >/dev/null || fail "the proxy needs caddy (Debian: apt-get install caddy)"
postgres=$(find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
[ -n "$postgres" ] || fail "PostgreSQL's server is missing (Debian: apt-get install postgresql)"
postgres=$(dirname "$postgres")
[ "$bus" = postgres ] || command -v nats-server >/dev/null \
    || fail "NATS is missing (Debian: apt-get install nats-server)"

folder=$(mktemp -d)
chmod 755 "$folder"
running=()
# PostgreSQL does not run as root.
as_postgres=()
if [ "$(id -u)" = 0 ]; then
    as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)
    chown postgres "$folder"
fi

stop() {
    trap - EXIT INT TERM
    [ ${#running[@]} = 0 ] || kill "${running[@]}" 2>/dev/null || true
    wait
    [ ! -f "$folder/data/postmaster.pid" ] || (cd / && "${as_postgres[@]}" "$postgres/pg_ctl" -D "$folder/data" -m fast -s stop) || true
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

begin() { # a program with its arguments, in a process group of its own, so that Ctrl-C ends it last
    setsid "$@" &
    running+=($!)
}

(
    cd /
    "${as_postgres[@]}" "$postgres/initdb" -D "$folder/data" -U chat -A trust -E UTF8 --locale=C -N >/dev/null
    "${as_postgres[@]}" "$postgres/pg_ctl" -D "$folder/data" -l "$folder/data/log" -s -w start \
        -o "-p 5499 -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    "${as_postgres[@]}" "$postgres/createdb" -h 127.0.0.1 -p 5499 -U chat chat
)
[ "$bus" = postgres ] || begin nats-server --addr 127.0.0.1 --port 4222 --log "$folder/nats.log"

for node in 1 2 3; do
    begin "$binary" --listen "127.0.0.1:300$node" --data "$folder/node-$node" --node-name "node-$node" --trust-forwarded 1 \
        --database-url postgresql://chat@127.0.0.1:5499/chat --bus "$bus"
done

# A service that does not answer any more loses its turn. It keeps it while only the bus is away, which /readyz tells: all
# would be without one then.
cat >"$folder/Caddyfile" <<'END'
{
	admin off
	auto_https off
}
http://127.0.0.1:3000 {
	reverse_proxy 127.0.0.1:3001 127.0.0.1:3002 127.0.0.1:3003 {
		lb_policy round_robin
		lb_try_duration 5s
		fail_duration 1s
		health_uri /healthz
		health_interval 1s
		health_timeout 2s
	}
}
END
echo "Open http://127.0.0.1:3000 in two browsers. Ctrl-C ends everything."
begin env XDG_CONFIG_HOME="$folder/caddy" XDG_DATA_HOME="$folder/caddy" caddy run --adapter caddyfile \
    --config "$folder/Caddyfile"
wait
