# Manages one PostgreSQL server: reads the commands `start PORT` and `kill`, and at the end of its input stops and
# removes the server. If its folder has server.crt and server.key, it uses TLS.
bin=$1
folder=$2
caches=$3
postmaster=

# A new cluster takes a second, a copy almost no time. The template is created once for each version and user, and
# moved to its place when it is complete. A template of another user is not used.
make_data() {
    # shellcheck disable=SC2046
    set -- $("$bin/postgres" --version)
    template=$caches/chatcore-postgres-$3-$(id -u)
    if [ ! -O "$template" ]; then
        "$bin/initdb" --pgdata=new --no-sync --auth=trust --username=postgres --encoding=UTF8 --locale=C \
            >>messages 2>&1 || return 1
        mv -T new "$template" 2>>messages || rm -rf new
    fi
    [ -O "$template" ] && cp -R "$template" data
}

# The log is read through a pipe: it shows when the server is ready, and ends with the server's last process.
start() {
    [ -z "$postmaster" ] || return 1
    rm -f log && mkfifo log
    tls=off
    [ ! -f server.key ] || tls=on
    "$bin/postgres" -D data -p "$1" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
        -c max_connections=300 -c dynamic_shared_memory_type=mmap \
        -c ssl=$tls -c ssl_cert_file="$folder/server.crt" -c ssl_key_file="$folder/server.key" >log 2>&1 &
    postmaster=$!
    exec 3<log
    while read -r line <&3; do
        printf '%s\n' "$line" >>messages
        case $line in
        *"ready to accept connections"*)
            cat <&3 >>messages &
            exec 3<&-
            return
            ;;
        esac
    done
    exec 3<&-
    wait
    postmaster=
    return 1
}

crash() {
    [ -n "$postmaster" ] || return 1
    # shellcheck disable=SC2046
    kill -KILL "$postmaster" $(cat "/proc/$postmaster/task/$postmaster/children")
    wait
    postmaster=
}

while read -r order port; do
    case $order in
    start) { [ -d data ] || make_data; } && start "$port" && echo ready || echo failed ;;
    kill) crash 2>>messages && echo killed || echo failed ;;
    esac
done
[ -z "$postmaster" ] || kill -QUIT "$postmaster"
wait
cd / && rm -rf "$folder"
