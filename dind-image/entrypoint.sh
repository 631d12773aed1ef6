#!/bin/sh
# Turns a container into a machine for a Docker daemon, and becomes it.
set -eu

cgroups=/sys/fs/cgroup

# Of the mount alone: the file systems behind it are shared with the machine.
mount -o remount,bind,rw /sys
mount -o remount,bind,rw "$cgroups"
if [ -e "$cgroups/cgroup.controllers" ]; then
	# Version 2: a group that hands controllers on must hold no process itself.
	mkdir -p "$cgroups/init"
	while read -r pid; do
		echo "$pid" >"$cgroups/init/cgroup.procs" 2>/dev/null || : # it has ended
	done <"$cgroups/cgroup.procs"
	sed 's/ / +/g; s/^/+/' "$cgroups/cgroup.controllers" >"$cgroups/cgroup.subtree_control"
else
	for controller in "$cgroups"/*/; do
		mount -o remount,bind,rw "$controller"
	done
fi

# No container in here has business off the machine, nor has the daemon.
for family in -4 -6; do
	ip "$family" route flush default
	if ip "$family" route show default | grep -q .; then
		echo "entrypoint: there is still a route off the machine" >&2
		exit 1
	fi
done

# The port is published on the outer machine's loopback only.
exec dockerd --host=unix:///var/run/docker.sock --host=tcp://0.0.0.0:2375 --tls=false
