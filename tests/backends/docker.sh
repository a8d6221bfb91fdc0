# Docker for the tests: source this file, then `docker_install; docker_up; …; docker_down`.
#
# The daemon is our own, beside whatever the machine runs: its data, its socket, its network settings and its process
# id lie in one folder, and docker_down stops only the process of that id. docker_up prints and exports
#   METAEVO_TEST_DOCKER    the daemon's address
#   METAEVO_TEST_IMAGE     the folder with the sandbox image's lock
#   METAEVO_TEST_RUNTIMES  the runtimes that the daemon has, separated by spaces; first runc
#   METAEVO_TEST_REQUIRE   1, with all of them there: a test that lacks one fails where it would have been skipped
# Needs root on Debian (or a derivative) and cgroups. A runtime that the archive lacks, or that cannot run a plain
# container here, is left out by name.

docker_here=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/../.." && pwd)
: "${METAEVO_TEST_DOCKER_DIR:=/tmp/metaevo-test-docker}"
: "${METAEVO_TEST_PYTHON:=$docker_here/.venv/bin/python}"

docker_say() { echo "docker.sh: $*" >&2; }

docker_install() {
    [ "$(id -u)" = 0 ] || { docker_say "needs root to install and run a daemon of its own"; return 1; }
    local missing=() pair
    for pair in dockerd:docker.io debootstrap:debootstrap bwrap:bubblewrap iptables:iptables openssl:openssl; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair##*:}")
    done
    if [ "${#missing[@]}" -gt 0 ]; then
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null; } ||
            { docker_say "apt-get could not install ${missing[*]}"; return 1; }
    fi
    if ! command -v runsc >/dev/null 2>&1; then
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends runsc >/dev/null 2>&1 ||
            docker_say "skipped: runsc (gVisor) is not in this machine's archive"
    fi
}

docker_settings() {
    # runsc keeps its memory limit only where it may use cgroups; runsc-nocgroups is the case the self-check must catch.
    local gvisor=""
    if command -v runsc >/dev/null 2>&1; then
        local path; path=$(command -v runsc)
        gvisor=$(printf ',"runsc":{"path":"%s","runtimeArgs":["--platform=ptrace","--network=none"]}' "$path")
        gvisor+=$(printf ',"runsc-nocgroups":{"path":"%s","runtimeArgs":["--platform=ptrace","--ignore-cgroups","--network=none"]}' "$path")
    fi
    printf '{"data-root":"%s/data","exec-root":"%s/exec","pidfile":"%s/dockerd.pid","hosts":["unix://%s/docker.sock"],' \
        "$1" "$1" "$1" "$1"
    printf '"exec-opts":["native.cgroupdriver=cgroupfs"],'
    printf '"bridge":"none","iptables":false,"ip-forward":false,"live-restore":false,"log-driver":"none","runtimes":{%s}}\n' "${gvisor#,}"
}

docker_start() { # docker_start FOLDER: a daemon in this folder, its id in FOLDER/dockerd.pid
    mkdir -p "$1" && docker_settings "$1" > "$1/daemon.json"
    setsid --wait dockerd --config-file "$1/daemon.json" > "$1/dockerd.log" 2>&1 < /dev/null &
    local until=$((SECONDS + 60))
    while [ "$SECONDS" -lt "$until" ] && kill -0 "$!" 2>/dev/null; do
        docker_asked "$1" 'daemon.ping()' && return 0
        sleep 0.2
    done
    docker_say "the daemon ended, or did not answer within 60 s: $(tail -n 1 "$1/dockerd.log" | tail -c 300)"; return 1
}

docker_asked() { # docker_asked FOLDER CODE WORD...: Python that asks this folder's daemon; silent, its end is the answer
    local folder=$1 code=$2; shift 2
    "$METAEVO_TEST_PYTHON" -P -c "import sys, docker; daemon = docker.APIClient(sys.argv[1], timeout=60); $code" \
        "unix://$folder/docker.sock" "$@" >/dev/null 2>&1
}

docker_runs() { # docker_runs FOLDER RUNTIME: whether a plain container with a memory limit comes through
    docker_asked "$1" '
image, runtime = sys.argv[2:]
limits = daemon.create_host_config(mem_limit="128m", network_mode="none", runtime=runtime)
made = daemon.create_container(image, ["/usr/bin/python3", "-c", "pass"], host_config=limits)
daemon.start(made)
ended = daemon.wait(made)["StatusCode"]
daemon.remove_container(made)
sys.exit(ended)' "$(sed -n 's/.*"image": "\([^"]*\)".*/\1/p' "$1/image/sandbox.lock")" "$2"
}

docker_stop() { # docker_stop FOLDER: stop that folder's daemon, and only if the id still belongs to it
    local pid; pid=$(cat "$1/dockerd.pid" 2>/dev/null) || return 0
    if tr '\0' ' ' < "/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$1/daemon.json"; then
        kill "$pid"
        local tries
        for tries in $(seq 100); do [ -d "/proc/$pid" ] || break; sleep 0.1; done
        [ -d "/proc/$pid" ] && kill -9 "$pid"
    fi
    rm -f "$1/dockerd.pid"
}

docker_up() {
    local dir=$METAEVO_TEST_DOCKER_DIR
    docker_start "$dir" || return 1
    export METAEVO_TEST_DOCKER="unix://$dir/docker.sock" METAEVO_TEST_IMAGE="$dir/image" METAEVO_TEST_RUNTIMES=""
    (cd "$docker_here" && "$METAEVO_TEST_PYTHON" -m sandbox.images debian "$METAEVO_TEST_IMAGE" \
        --host "$METAEVO_TEST_DOCKER") >/dev/null || { docker_say "no image could be built"; return 1; }
    local runtime left=""
    for runtime in runc runsc runsc-nocgroups; do
        if docker_runs "$dir" "$runtime"; then
            METAEVO_TEST_RUNTIMES+="${METAEVO_TEST_RUNTIMES:+ }$runtime"
        else
            left+=" $runtime"
        fi
    done
    case "$METAEVO_TEST_RUNTIMES" in runc*) ;; *) docker_say "runc runs no container here"; return 1 ;; esac
    [ -z "$left" ] && export METAEVO_TEST_REQUIRE=1 || docker_say "skipped: the daemon has no working runtime:$left"
    docker_say "up: $METAEVO_TEST_DOCKER, runtimes $METAEVO_TEST_RUNTIMES"
}

docker_down() {
    docker_stop "$METAEVO_TEST_DOCKER_DIR"
    # Data stays for the next run only where METAEVO_TEST_DOCKER_KEEP says so.
    [ -n "${METAEVO_TEST_DOCKER_KEEP:-}" ] || rm -rf "$METAEVO_TEST_DOCKER_DIR" || docker_say "left: $METAEVO_TEST_DOCKER_DIR"
    unset METAEVO_TEST_DOCKER METAEVO_TEST_IMAGE METAEVO_TEST_RUNTIMES METAEVO_TEST_REQUIRE
}
