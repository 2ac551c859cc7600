#!/bin/bash
# Makes nano-small.wim and nano-small-two.wim, the small Windows-shaped images of this directory.
#
# The tree is described in crates/testkit/src/fixture.rs. wimlib applies it to a volume made by mkntfs and captures
# that volume with LZX: the result is wimlib's work from end to end and holds what NTFS can hold. Its bytes differ
# from run to run (wimlib draws a GUID and stores the time), its content does not; the script proves that by
# comparing every path of the result with the description.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
oracle() { cargo run --quiet -p wimforge-testkit --bin oracle -- "$@"; }

# through_volume SOURCE INDEX NAME VERB OUT [OPTION...]
through_volume() {
    rm -f "$scratch/volume.img"
    truncate -s 64M "$scratch/volume.img"
    mkntfs -q -F -T -s 512 -p 2048 -H 255 -S 63 "$scratch/volume.img" > "$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
    wimlib-imagex apply --quiet "$1" "$2" "$scratch/volume.img" --strict-acls
    wimlib-imagex "$4" --quiet "$scratch/volume.img" "$5" "$3" --strict-acls "${@:6}"
}

for hive in SYSTEM SOFTWARE SECURITY SAM DEFAULT; do
    cargo run --quiet -p wimforge-hive --example from_reg "testdata/hives/$hive.reg" "testdata/hives/$hive"
done
oracle make small "$scratch/one.wim"
oracle make two-images "$scratch/two.wim"
through_volume "$scratch/one.wim" 1 "Nano-shaped test image" capture "$scratch/nano-small.wim" --compress=LZX --check
through_volume "$scratch/two.wim" 1 "First edition" capture "$scratch/nano-small-two.wim" --compress=LZX
through_volume "$scratch/two.wim" 2 "Second edition" append "$scratch/nano-small-two.wim"
oracle compare "$scratch/one.wim" "$scratch/nano-small.wim"
oracle compare "$scratch/two.wim" "$scratch/nano-small-two.wim" 1
mv "$scratch/nano-small.wim" "$scratch/nano-small-two.wim" testdata/
ls -l testdata/nano-small*.wim
