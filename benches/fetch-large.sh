#!/bin/bash
# Puts more PE files beside those of fetch-wine.sh, for a WIM of 500 MB: Debian's libwine for i386 (LGPL), and Qt for
# Windows as PyPI has it for PySide6 (LGPL; real programs of Microsoft's compiler). Nothing is installed.
set -euo pipefail

cache=${WIMFORGE_CACHE:-${XDG_CACHE_HOME:+$XDG_CACHE_HOME/wimforge-oracles}}
cache=${cache:-${HOME:-/tmp}/.cache/wimforge-oracles}
[ ! -d "$cache/programs" ] || exit 0

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
pool=${DEBIAN_POOL:-http://deb.debian.org/debian/pool/main/w/wine}
curl --retry 3 -sSfLO "$pool/libwine_8.0~repack-4_i386.deb"
dpkg-deb -x ./libwine_*_i386.deb i386
for package in PySide6-Addons PySide6-Essentials; do
    python3 -m pip download -q --platform win_amd64 --only-binary=:all: --no-deps --python-version 3.11 \
        "$package==6.7.2"
done
mkdir -p qt
for wheel in ./*.whl; do
    python3 -m zipfile -e "$wheel" qt
done
mkdir -p "$cache"
rm -rf "$cache/programs.new"
mkdir "$cache/programs.new"
cp -r i386/usr/lib/i386-linux-gnu/wine/i386-windows "$cache/programs.new/x86"
find "$cache/programs.new/x86" -name '*.a' -delete
mkdir "$cache/programs.new/qt"
find qt -type f \( -name '*.dll' -o -name '*.exe' -o -name '*.pyd' \) -exec cp -n {} "$cache/programs.new/qt/" \;
mv "$cache/programs.new" "$cache/programs"
