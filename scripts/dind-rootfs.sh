#!/bin/sh
# dind-rootfs.sh FILE writes the root file system of a small machine that can run
# a Docker daemon, as a tar archive. It is made from the package sources that this
# machine's own apt uses; needs Debian, or what is made of it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

[ $# -eq 1 ] || fail "want one argument, the file to write"
os_release=${KILLPOINT_OS_RELEASE:-/etc/os-release}
keyrings=/usr/share/keyrings
packages=docker.io,iptables,iproute2,mount,ca-certificates

read_release() {
	ID='' VERSION_CODENAME=''
	[ ! -r "$os_release" ] || . "$os_release"
	case $ID in
	debian) origin=Debian ;;
	ubuntu) origin=Ubuntu ;;
	*) fail "this machine is ${ID:-unknown}: the image of a Docker daemon can be made on Debian and Ubuntu only" ;;
	esac
}

# sources prints the distribution's own entries: others may need keys or
# settings that only this machine has.
sources() {
	signed=
	[ ! -r "$keyrings/$ID-archive-keyring.gpg" ] || signed="[signed-by=$keyrings/$ID-archive-keyring.gpg] "
	apt-get indextargets --format "deb $signed\$(REPO_URI) \$(RELEASE) \$(COMPONENT)" \
		'Created-By: Packages' "Origin: $origin" | sort -u
}

read_release
have mmdebstrap || apt_install mmdebstrap
lines=$(sources)
[ -n "$lines" ] || fail "apt knows no package of $origin: run apt-get update"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A proxy that apt is told of here is told to the new machine's apt as well.
proxy=$(apt-config dump Acquire::http::Proxy)
say "making the root file system of a Docker daemon, once: about half a minute"
if ! printf '%s\n' "$lines" | mmdebstrap --format=tar --variant=essential --include="$packages" \
	--aptopt='Apt::Install-Recommends "false"' ${proxy:+--aptopt="$proxy"} \
	--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' \
	"$VERSION_CODENAME" "$1" - >"$log" 2>&1; then
	tail -n 15 "$log" >&2
	fail "mmdebstrap failed: see above"
fi
