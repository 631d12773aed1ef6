#!/bin/sh
# npm-up.sh ENGINE... makes sure that the npm client is there when one of the
# engines is a version that still has to be fetched with it. Installs it on
# Debian as root.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}/killpoint/engine

must_be_fetched() {
	case $1 in
	'' | [0-9]* | v[0-9]*) ! [ -x "$cache/${1#v}/rivet-engine" ] ;;
	*) false ;; # an image or a binary
	esac
}

if have npm; then exit 0; fi
for engine in "$@"; do
	if must_be_fetched "$engine"; then
		apt_install npm
		exit 0
	fi
done
