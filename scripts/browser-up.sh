#!/bin/sh
# Makes sure that a browser is there for the tests of the report's page. Installs
# chromium on Debian as root. Elsewhere it says what is missing and succeeds, unless
# CI is set: those tests are then skipped, and say so.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

for browser in ${KILLPOINT_BROWSER:+"$KILLPOINT_BROWSER"} chromium chromium-browser google-chrome; do
	if have "$browser"; then exit 0; fi
done
if [ -z "${CI:-}" ] && ! { have apt-get && is_root; }; then
	say "no browser here, and none is installed without root and apt-get: the tests of the report's page are skipped (install chromium, or name a browser by KILLPOINT_BROWSER)"
	exit 0
fi
apt_install chromium
