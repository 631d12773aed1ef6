#!/bin/sh
# Makes sure that a Docker daemon answers. Does nothing where one does. Else, on
# Debian and as root, installs what is missing and starts dockerd in the
# background, where it stays. A daemon that was already there is never touched.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

pid_file=${KILLPOINT_DOCKER_PIDFILE:-/var/run/docker.pid}
log=${KILLPOINT_DOCKER_LOG:-/var/log/killpoint-dockerd.log}
start_timeout=30 # seconds

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build_ping() {
	have go || fail "go is missing: install Go 1.26 or later"
	(cd "$here/.." && go build -o "$work/ping" ./internal/cmd/dockerping) || fail "cannot compile internal/cmd/dockerping: see above"
}

# ping keeps its reason, for the message.
ping() { "$work/ping" 2>"$work/reason"; }

reason() { head -n 1 "$work/reason"; }

may_start_one() {
	[ -z "${DOCKER_HOST:-}" ] || fail "no Docker daemon answers at DOCKER_HOST=$DOCKER_HOST: start it, or unset DOCKER_HOST ($(reason))"
	is_root || fail "no Docker daemon answers and starting one needs root: start Docker, or join its group, or run as root ($(reason))"
	if [ -s "$pid_file" ] && kill -0 "$(cat "$pid_file")" 2>/dev/null; then
		fail "a Docker daemon runs (process $(cat "$pid_file")) but does not answer: look after it; it is left as it is ($(reason))"
	fi
}

need_packages() {
	have dockerd && have iptables || apt_install docker.io iptables ca-certificates
}

nat_works() { "$1" -t nat -L -n >/dev/null 2>&1; }

need_nat() {
	nat_works iptables && return
	if have iptables-legacy && nat_works iptables-legacy; then
		say "iptables has no nat table here, iptables-legacy has: switching to it"
		update-alternatives --set iptables "$(command -v iptables-legacy)" >&2 || fail "cannot switch iptables to its legacy variant: see above"
		return
	fi
	fail "the kernel offers no iptables nat table, which Docker's networks need: load its modules (iptable_nat or nf_tables), or use another machine"
}

start_dockerd() {
	rm -f "$pid_file" # stale: may_start_one found no such process
	setsid nohup dockerd >"$log" 2>&1 </dev/null &
	pid=$!
	deadline=$(($(date +%s) + start_timeout))
	# Polled: without systemd dockerd tells nobody that it is ready.
	until ping; do
		if ! kill -0 "$pid" 2>/dev/null; then
			tail -n 15 "$log" >&2
			fail "dockerd ended while starting: see the end of $log above"
		fi
		if [ "$(date +%s)" -ge "$deadline" ]; then
			kill "$pid"
			tail -n 15 "$log" >&2
			fail "dockerd did not answer within $start_timeout s and was stopped: see the end of $log above ($(reason))"
		fi
		sleep 0.2
	done
	say "started dockerd (process $pid, log $log); it stays until you end it"
}

build_ping
if ping; then exit 0; fi
may_start_one
need_packages
if ping; then exit 0; fi # installing may have started it
need_nat
start_dockerd
