# PostgreSQL for the tests: source this file, then `postgres_install; postgres_up; …; postgres_down`.
#
# The cluster is our own, beside whatever the machine runs: data, socket and log lie in one folder, nothing listens on
# the network, and postgres_down stops only the server of that folder's process id. postgres_up prints and exports
#   METAEVO_TEST_POSTGRES  the address of its database `postgres`; each test makes a database of its own there
# Its texts sort by ICU's en-US, unlike SQLite's: what sorts by a text must not care. Needs root on Debian (or a
# derivative); the server itself runs as the user `postgres`, or as `nobody` where there is none.

: "${METAEVO_TEST_POSTGRES_DIR:=/tmp/metaevo-test-postgres}"

postgres_say() { echo "postgres.sh: $*" >&2; }

postgres_bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1; }

postgres_install() {
    [ "$(id -u)" = 0 ] || { postgres_say "needs root to install and run a server of its own"; return 1; }
    [ -z "$(postgres_bin)" ] || return 0
    # Without this file Debian's package would make and start a cluster that is not ours.
    [ -e /etc/postgresql-common/createcluster.conf ] ||
        { mkdir -p /etc/postgresql-common && echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf; }
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends postgresql >/dev/null; } ||
        { postgres_say "apt-get could not install postgresql"; return 1; }
}

postgres_as() { # postgres_as COMMAND…: run it as the server's user
    local user=postgres; id postgres >/dev/null 2>&1 || user=nobody
    setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@"
}

postgres_up() {
    local dir=$METAEVO_TEST_POSTGRES_DIR bin; bin=$(postgres_bin)
    [ -n "$bin" ] || { postgres_say "no server in /usr/lib/postgresql"; return 1; }
    postgres_stop "$dir"; rm -rf "$dir"
    mkdir -p "$dir" && postgres_as true && chown "$(postgres_as id -u)" "$dir" || return 1
    postgres_as "$bin/initdb" -D "$dir/data" -U metaevo --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
        --locale-provider=icu --icu-locale=en-US --no-sync > "$dir/initdb.log" 2>&1 ||
        { postgres_say "no cluster could be made: $(tail -n 1 "$dir/initdb.log")"; return 1; }
    # Tests kill clients, never the server: its disk need not be waited for.
    postgres_as "$bin/pg_ctl" -D "$dir/data" -l "$dir/data/log" -w -t 60 \
        -o "-c listen_addresses='' -c unix_socket_directories='$dir' -c max_connections=200 -c fsync=off -c full_page_writes=off" start > /dev/null ||
        { postgres_say "the server did not start: $(tail -n 1 "$dir/data/log")"; return 1; }
    export METAEVO_TEST_POSTGRES="postgresql+psycopg://metaevo@/postgres?host=$dir"
    postgres_say "up: $METAEVO_TEST_POSTGRES"
}

postgres_stop() { # postgres_stop FOLDER: stop that folder's server, and only if the id still belongs to it
    local pid; pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) || return 0
    if tr '\0' ' ' < "/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$1/data"; then
        kill -INT "$pid"
        local tries
        for tries in $(seq 100); do [ -d "/proc/$pid" ] || break; sleep 0.1; done
        [ -d "/proc/$pid" ] && kill -QUIT "$pid"
    fi
    return 0
}

postgres_down() {
    postgres_stop "$METAEVO_TEST_POSTGRES_DIR"
    rm -rf "$METAEVO_TEST_POSTGRES_DIR" || postgres_say "left: $METAEVO_TEST_POSTGRES_DIR"
    unset METAEVO_TEST_POSTGRES
}
