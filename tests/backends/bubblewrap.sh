# bubblewrap for the tests: source this file, then `bwrap_install`. It needs no root but to be installed, and no daemon.

bwrap_say() { echo "bubblewrap.sh: $*" >&2; }

bwrap_install() {
    if ! command -v bwrap >/dev/null 2>&1; then
        [ "$(id -u)" = 0 ] || { bwrap_say "bwrap is not installed, and that needs root"; return 1; }
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq -y --no-install-recommends bubblewrap >/dev/null; } ||
            { bwrap_say "apt-get could not install bubblewrap"; return 1; }
    fi
    bwrap --unshare-all --unshare-user --die-with-parent --ro-bind / / --proc /proc true ||
        { bwrap_say "this machine grants no user namespace"; return 1; }
}
