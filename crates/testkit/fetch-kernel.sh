#!/bin/bash
# Puts a Linux kernel with the ntfs3 driver where the tests look for it: Debian's 6.12 cloud kernel for bookworm and
# later (6.1 has ntfs3 switched off). Nothing is installed; the package is only unpacked.
set -euo pipefail

cache=${WIMFORGE_CACHE:-${XDG_CACHE_HOME:+$XDG_CACHE_HOME/wimforge-oracles}}
cache=${cache:-${HOME:-/tmp}/.cache/wimforge-oracles}/ntfs3
if [ -e "$cache/vmlinuz" ] && [ -e "$cache/ntfs3.ko" ] && [ -e "$cache/virtio_blk.ko" ]; then
    exit 0
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
cd "$scratch"
# The meta-package depends on the newest kernel; bookworm has it in its security archive.
package=$(apt-cache depends linux-image-6.12-cloud-amd64 linux-image-cloud-amd64 2> /dev/null \
    | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ && $2 !~ /^linux-image-6\.1\./ && !found { print $2; found = 1 }')
[ -n "$package" ] || { echo "fetch-kernel: no cloud kernel of 6.12 or later in the package lists (apt-get update?)" >&2; exit 1; }
for attempt in 1 2 3; do
    apt-get download -q "$package" && break
    sleep $((attempt * 5))
done
dpkg-deb -x ./*.deb root
mkdir -p "$cache"
for module in virtio_blk ntfs3; do
    find root -name "$module.ko*" -exec cp {} "$scratch" \;
    [ ! -e "$module.ko.xz" ] || xz -d "$module.ko.xz"
    mv "$module.ko" "$cache/"
done
echo "$package" > "$cache/version"
mv root/boot/vmlinuz-* "$cache/vmlinuz"
