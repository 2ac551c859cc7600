#!/bin/bash
# Puts the PE files of Debian's libwine (LGPL, freely redistributable) where the corpus is made from. Nothing is
# installed; the package is only unpacked.
set -euo pipefail

cache=${WIMFORGE_CACHE:-${XDG_CACHE_HOME:+$XDG_CACHE_HOME/wimforge-oracles}}
cache=${cache:-${HOME:-/tmp}/.cache/wimforge-oracles}
[ ! -d "$cache/wine" ] || exit 0

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
cd "$scratch"
for attempt in 1 2 3; do
    apt-get download -q libwine && break
    sleep $((attempt * 5))
done
dpkg-deb -x ./libwine_*.deb root
mkdir -p "$cache"
rm -rf "$cache/wine.new"
cp -r root/usr/lib/x86_64-linux-gnu/wine/x86_64-windows "$cache/wine.new"
ls ./libwine_*.deb > "$cache/wine.new/.version"
mv "$cache/wine.new" "$cache/wine"
