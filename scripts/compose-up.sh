#!/bin/sh
# Makes sure that a Compose is there: the docker command's plugin, or else
# docker-compose, which it installs on Debian as root.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

if have docker && docker compose version >/dev/null 2>&1; then exit 0; fi
have docker-compose || apt_install docker-compose
