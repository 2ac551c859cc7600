//! Every container in and out, judged by other people's readers and writers.
//!
//! `forward` converts raw disks of all sizes to each format, and has everybody else read the file; `reverse` converts what
//! qemu-img and real products write to raw, and compares with what others read; `kill` stops conversions at any moment.
//! Disks are sparse and mostly empty, however large, and no more than some MiB of one are ever in memory.

mod forward;
mod kill;
mod oracle;
mod reverse;
mod source;

/// A format that is written, and what others call it.
#[derive(Clone, Copy, Debug)]
struct Format {
    /// `wimforge convert --format`.
    name: &'static str,
    /// The extension, which is also the kind for libyal and dissect; none for what they do not read.
    extension: &'static str,
    /// `qemu-img -f`.
    qemu: &'static str,
    /// Whether `qemu-img check` knows it.
    checked: bool,
    /// Largest disk of the matrix that is legal and that a file system here can hold.
    most: u64,
}

const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Fixed files of more than this do not fit an ext4 file system (16 TiB).
const FIXED: u64 = 2040 * GIB;

const FORMATS: [Format; 13] = [
    Format { name: "raw", extension: "raw", qemu: "raw", checked: false, most: 64 * TIB },
    Format { name: "vhd", extension: "vhd", qemu: "vpc", checked: false, most: 2040 * GIB },
    Format { name: "vhd-fixed", extension: "vhd", qemu: "vpc", checked: false, most: 2040 * GIB },
    Format { name: "vhdx", extension: "vhdx", qemu: "vhdx", checked: true, most: 64 * TIB },
    Format { name: "vhdx-fixed", extension: "vhdx", qemu: "vhdx", checked: true, most: FIXED },
    Format { name: "vmdk", extension: "vmdk", qemu: "vmdk", checked: true, most: 2040 * GIB },
    Format { name: "vmdk-sparse", extension: "vmdk", qemu: "vmdk", checked: true, most: 2040 * GIB },
    Format { name: "vmdk-flat", extension: "vmdk", qemu: "vmdk", checked: false, most: FIXED },
    Format { name: "vmdk-split", extension: "vmdk", qemu: "vmdk", checked: true, most: 2040 * GIB },
    Format { name: "vdi", extension: "vdi", qemu: "vdi", checked: true, most: 64 * TIB },
    Format { name: "vdi-fixed", extension: "vdi", qemu: "vdi", checked: true, most: FIXED },
    Format { name: "qcow2", extension: "qcow2", qemu: "qcow2", checked: true, most: 64 * TIB },
    Format { name: "qcow2-compressed", extension: "qcow2", qemu: "qcow2", checked: true, most: 64 * TIB },
];

impl Format {
    /// The format of this name.
    fn named(name: &str) -> Self {
        *FORMATS.iter().find(|format| format.name == name).expect("a format of the matrix")
    }

    /// Sizes that a reader may show for a disk of `size` bytes: those that go by the header of a sparse VMDK extent see its
    /// last grain whole.
    fn shown_as(self, size: u64) -> [u64; 2] {
        let grains = matches!(self.name, "vmdk" | "vmdk-sparse" | "vmdk-split");
        [size, if grains { size.next_multiple_of(64 << 10) } else { size }]
    }
}
