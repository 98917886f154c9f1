#!/bin/bash
# systemctl for a machine without a running systemd. What works on the files below a folder is done by the real one; to
# start a unit is to run what the installed unit says, on the folders below DESTDIR.
set -euo pipefail

unit=$DESTDIR/etc/systemd/system/web_chat.service
pid=$DESTDIR/run/web_chat.pid
log=$DESTDIR/run/web_chat.log

verified() { # systemd has nothing to say of the unit
    local said
    said=$(systemd-analyze verify --root="$DESTDIR" web_chat.service 2>&1) && [ -z "$said" ] || {
        echo "$said" >&2
        return 1
    }
}

value() { sed -n "s/^$1=//p" "$unit"; }

start() {
    verified
    [ "$(readlink "$DESTDIR/etc/systemd/system/multi-user.target.wants/web_chat.service")" = "${unit#"$DESTDIR"}" ]
    grep -q "^$(value User):" "$DESTDIR/etc/passwd"
    mkdir -p -m "$(value StateDirectoryMode)" "$DESTDIR/var/lib/$(value StateDirectory)"
    local environment=() line
    while read -r line; do
        # Folders of the unit are below DESTDIR here.
        environment+=("${line/=\//=$DESTDIR/}")
    done < <(value Environment; cat "$DESTDIR$(value EnvironmentFile)")
    (
        umask "$(value UMask)"
        exec env "${environment[@]}" setsid "$DESTDIR$(value ExecStart)" </dev/null >>"$log" 2>&1
    ) &
    echo $! >"$pid"
}

stop() {
    local main
    main=$(cat "$pid")
    kill -TERM "$main"
    timeout "$(value TimeoutStopSec)" tail --pid="$main" -f /dev/null
    rm "$pid"
}

case $1 in
    start) start ;;
    stop) stop ;;
    restart) stop; start ;;
    daemon-reload) verified ;;
    *) exec "$SYSTEMCTL" "$@" ;;
esac
