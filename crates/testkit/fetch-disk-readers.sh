#!/bin/bash
# Puts readers of virtual disks (PyPI: libyal's libvhdi, libvmdk and libqcow, Fox-IT's dissect.hypervisor) into the cache
# of large test things, once. They are oracles of the tests and never ship.
set -euo pipefail
cache=${WIMFORGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wimforge-oracles}
python=$cache/disk-readers/bin/python
if "$python" -c 'import pyvhdi, pyvmdk, pyqcow, dissect.hypervisor' > /dev/null 2>&1; then
    exit 0
fi
rm -rf "$cache/disk-readers"
mkdir -p "$cache"
python3 -m venv "$cache/disk-readers"
"$python" -m pip install --quiet --disable-pip-version-check 'libvhdi-python==20260901' 'libvmdk-python==20260714' \
    'libqcow-python==20260703' 'dissect.hypervisor==3.21'
"$python" -c 'import pyvhdi, pyvmdk, pyqcow, dissect.hypervisor; print("libyal and dissect read disks")'
