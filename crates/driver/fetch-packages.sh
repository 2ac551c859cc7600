#!/bin/bash
# Puts files that the tests of this crate read into the cache of large test things, once: Wine's INF file (Debian's
# libwine, LGPL), and ViGEmBus, a signed driver package (BSD, in PyPI's vgamepad). Nothing is installed, nothing ships.
set -euo pipefail
cache=${WIMFORGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wimforge-oracles}
packages=$cache/driver-packages
if [ -s "$packages/wine.inf" ] && [ -s "$packages/vigembus/ViGEmBus.sys" ]; then
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
apt-get download -q libwine
dpkg-deb --fsys-tarfile ./libwine_*.deb | tar -x --wildcards -f - './usr/share/wine/wine.inf'
python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: 'vgamepad==0.2.0'
tar -xzf vgamepad-0.2.0.tar.gz
7zz x -y -ovigembus vgamepad-0.2.0/vgamepad/win/vigem/install/x64/ViGEmBusSetup_x64.msi > unpacked.txt
rm -rf "$packages"
mkdir -p "$packages/vigembus"
cp usr/share/wine/wine.inf "$packages/"
cp vigembus/ViGEmBus.{inf,sys,cat} "$packages/vigembus/"
echo "the driver packages are in $packages"
