# Functions to start and stop a Postgres for measurements, on a free port of 127.0.0.1. Sourced by scripts that have set
# $folder, a temporary folder that everybody may enter. Needs postgresql (Debian: postgresql).

postgres_programs=$(dirname "$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -1)")
[ -x "$postgres_programs/initdb" ] || postgres_programs=$(dirname "$(command -v initdb || true)")
[ -x "$postgres_programs/initdb" ] || { echo "initdb is missing: apt-get install postgresql" >&2; exit 1; }

# Postgres refuses to run as root.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then (cd / && setpriv --reuid=postgres --regid=postgres --clear-groups "$@"); else "$@"; fi
}

free_port() {
    local port
    while port=$((20000 + RANDOM % 10000)); (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}

# start_postgres [PREFIX…]: starts a server by a prefix such as taskset, and sets $postgres_port and $postgres_url.
start_postgres() {
    mkdir "$folder/postgres"
    [ "$(id -u)" != 0 ] || chown postgres "$folder/postgres"
    postgres_port=$(free_port)
    as_postgres "$postgres_programs/initdb" -D "$folder/postgres" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
        >/dev/null
    # pg_ctl waits until the server accepts connections.
    as_postgres "$@" "$postgres_programs/pg_ctl" -D "$folder/postgres" -l "$folder/postgres/log" -w start \
        -o "-h 127.0.0.1 -p $postgres_port -k $folder/postgres" >/dev/null
    postgres_url="postgres://postgres@127.0.0.1:$postgres_port/postgres?sslmode=disable"
}

stop_postgres() {
    if [ -f "$folder/postgres/postmaster.pid" ]; then
        as_postgres "$postgres_programs/pg_ctl" -D "$folder/postgres" -m fast -w stop >/dev/null || true
    fi
}

# The median of some values.
median() { printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'; }
