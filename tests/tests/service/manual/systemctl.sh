#!/bin/bash
# systemctl for a machine without a running systemd. Commands that only work on files are passed to the real systemctl.
# Starting a unit runs the command of the installed unit, on the folders below DESTDIR.
set -euo pipefail

units=$DESTDIR/etc/systemd/system
pid=$DESTDIR/run/web_chat.pid
log=$DESTDIR/run/web_chat.log

verified() { # systemd has nothing to say of the unit
    local said
    said=$(systemd-analyze verify --root="$DESTDIR" "$1" 2>&1) && [ -z "$said" ] || {
        echo "$said" >&2
        return 1
    }
}

enabled() { # the real one has linked the unit, to be started with its target
    local target
    target=$(sed -n 's/^WantedBy=//p' "$units/$1")
    [ "$(readlink "$units/$target.wants/$1")" = "/etc/systemd/system/$1" ]
}

value() { sed -n "s/^$1=//p" "$units/$unit"; }

# The unit's folders are below DESTDIR here.
command_of() { value "$1" | sed -e "s#/\(usr/local\|var\)/#$DESTDIR/\1/#g" -e 's/%%/%/g'; }

start_service() {
    enabled "$unit"
    grep -q "^$(value User):" "$DESTDIR/etc/passwd"
    mkdir -p -m "$(value StateDirectoryMode)" "$DESTDIR/var/lib/$(value StateDirectory)"
    local environment=() line
    while read -r line; do
        environment+=("${line/=\//=$DESTDIR/}")
    done < <(value Environment; cat "$DESTDIR$(value EnvironmentFile)")
    (
        umask "$(value UMask)"
        exec env "${environment[@]}" setsid "$(command_of ExecStart)" </dev/null >>"$log" 2>&1
    ) &
    echo $! >"$pid"
}

start() {
    verified "$unit"
    case $unit in
        web_chat.service) start_service ;;
        *.timer) enabled "$unit" ;;
        *)
            eval "$(command_of ExecStart)"
            eval "$(command_of ExecStartPost)"
            ;;
    esac
}

stop() {
    local main
    main=$(cat "$pid")
    kill -TERM "$main"
    timeout "$(value TimeoutStopSec)" tail --pid="$main" -f /dev/null
    rm "$pid"
}

unit=${2:-web_chat}
[[ $unit == *.* ]] || unit=$unit.service
case $1 in
    start) start ;;
    stop) stop ;;
    restart) stop; start ;;
    daemon-reload) verified "$unit" ;;
    *) exec "$SYSTEMCTL" "$@" ;;
esac
