# Shared by the set-up scripts. Sourced, not run.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# fail says what is missing and what to do, in one line.
fail() {
	say "$*"
	exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" -eq 0 ]; }

# apt_install PACKAGE... installs Debian packages; the log is shown only when it fails.
apt_install() {
	have apt-get || fail "$* missing, and there is no apt-get to install it with: install it by this system's own means"
	is_root || fail "$* missing, and installing needs root: run as root, or have it installed"
	say "installing $*"
	apt_log=$(mktemp)
	if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } >"$apt_log" 2>&1 </dev/null; then
		tail -n 15 "$apt_log" >&2
		rm -f "$apt_log"
		fail "apt-get could not install $*: see above; is a package mirror reachable?"
	fi
	rm -f "$apt_log"
}
