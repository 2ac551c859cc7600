#!/bin/bash
# Puts libfsntfs with its Python binding (PyPI: libfsntfs-python) into the cache of large test things, once. It is an
# oracle of the tests and never ships.
set -euo pipefail
cache=${WIMFORGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wimforge-oracles}
python=$cache/libfsntfs/bin/python
if "$python" -c 'import pyfsntfs' > /dev/null 2>&1; then
    exit 0
fi
rm -rf "$cache/libfsntfs"
mkdir -p "$cache"
python3 -m venv "$cache/libfsntfs"
"$python" -m pip install --quiet --disable-pip-version-check 'libfsntfs-python==20260827'
"$python" -c 'import pyfsntfs; print("libfsntfs", pyfsntfs.get_version())'
