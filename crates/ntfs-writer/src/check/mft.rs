//! `$MFT` itself: where its records lie, by the boot sector, its own first record, and the copy of that in `$MFTMirr`.

use disk::ReadAt;

use super::report::{Code, Place};
use super::source::Value;
use super::streams::Held;
use super::{Checker, MAX_RECORDS};
use crate::layout::number::MFT;
use crate::parse::{self, Fault, kind};

/// Reads the record of `$MFT` at a byte of the volume.
fn load(volume: &dyn ReadAt, at: u64, bytes: &mut [u8]) -> parse::Result<()> {
    volume
        .read_exact_at(bytes, at)
        .map_err(|error| Fault::new("file record", "record", 0, error, "that it can be read"))?;
    parse::unprotect(bytes, "file record")?;
    parse::record(bytes).map(|_| ())
}

/// Whether a record has an unnamed attribute in clusters, from its first cluster on.
fn has_clusters(bytes: &[u8], kind: u32) -> bool {
    parse::record(bytes).is_ok_and(|record| {
        record.attributes().map_while(parse::Result::ok).any(|a| {
            a.kind == kind && a.name.is_empty() && a.non_resident().is_some_and(|body| body.lowest_vcn == 0)
        })
    })
}

impl Checker<'_> {
    /// Finds `$MFT`'s runs and bitmap.
    pub(super) fn find_mft(&mut self) -> bool {
        let size = u64::from(self.boot.record_size);
        let cluster = self.cluster();
        let at = self.boot.mft_lcn * cluster;
        let mut bytes = vec![0; size as usize];
        let own = load(self.volume, at, &mut bytes);
        let place = Place::at(MFT, Some(at));
        if let Err(fault) = &own {
            let code = if fault.field.contains("update sequence") { Code::Fixup } else { Code::Record };
            self.error(code, place.plus(fault.offset), format_args!("the record of $MFT: {fault}"));
        }
        let missing = [(kind::DATA, "unnamed stream"), (kind::BITMAP, "bitmap")].map(|(kind, name)| {
            let missing = own.is_ok() && !has_clusters(&bytes, kind);
            if missing {
                self.error(Code::SystemFile, place, format_args!("$MFT has no {name} in clusters"));
            }
            missing
        });
        if own.is_err() || missing.contains(&true) {
            let mut copy = vec![0; size as usize];
            let second = load(self.volume, self.boot.mirror_lcn * cluster, &mut copy);
            if second.is_ok() && has_clusters(&copy, kind::DATA) {
                bytes.clone_from(&copy);
                self.first = Some(copy);
            } else if own.is_err() || missing[0] {
                return false;
            }
        }
        let Ok(record) = parse::record(&bytes) else { return false };
        let attributes: Vec<_> = record.attributes().map_while(parse::Result::ok).collect();
        self.mft.cluster = cluster;
        let body = attributes
            .iter()
            .filter(|a| a.kind == kind::DATA && a.name.is_empty())
            .find_map(|a| a.non_resident().filter(|body| body.lowest_vcn == 0));
        let Some(body) = body else { return false };
        self.mft.runs = parse::runs(body.pairs, 0, self.boot.clusters).map_while(parse::Result::ok).collect();
        (self.mft.size, self.mft.initialized) = (body.size, body.initialized);
        self.count_records();
        let held: Vec<Held<'_>> =
            attributes.iter().map(|&attribute| Held { holder: MFT, attribute }).collect();
        if let Some(list) = self.value(&held, kind::ATTRIBUTE_LIST, "") {
            self.extend_mft(&list);
        }
        if self.records == 0 {
            self.error(Code::SystemFile, Place::at(MFT, Some(at)), format_args!("$MFT has no records"));
            return false;
        }
        if self.mft.runs.first().and_then(|run| run.lcn) != Some(self.boot.mft_lcn) {
            let lcn = self.boot.mft_lcn;
            let text = format_args!("$MFT does not begin at cluster {lcn:#x}, where the boot sector has it");
            self.error(Code::BootPointers, Place::at(MFT, Some(at)), text);
        }
        if let Some(value) = self.value_of(MFT, kind::BITMAP, "") {
            let place = Place::at(MFT, value.place(0));
            // As much as there are records, and what the file has besides.
            let len = value.size().min(self.records.div_ceil(8) + (64 << 10));
            let mut bits = vec![0; len as usize];
            match value.read(self.volume, 0, &mut bits) {
                Ok(()) => self.mft_bits = Some(bits),
                Err(error) => self.unreadable(place, "bitmap of $MFT", &error),
            }
        }
        true
    }

    fn count_records(&mut self) {
        let size = u64::from(self.boot.record_size);
        let mapped = self.mft.clusters().saturating_mul(self.cluster());
        self.records = self.mft.size.min(mapped) / size;
        let limit = MAX_RECORDS.min(self.size / size);
        if self.records > limit {
            self.cut(format!("file records beyond {limit}"));
            self.records = limit;
        }
    }

    /// Adds the runs of `$MFT` that lie in extension records, each found through those before it.
    fn extend_mft(&mut self, list: &Value) {
        let Ok(Some(list)) = list.read_all(self.volume, super::streams::MAX_LIST) else { return };
        let mut parts: Vec<_> = parse::list(&list)
            .map_while(parse::Result::ok)
            .filter(|entry| entry.kind == kind::DATA && entry.name.is_empty() && entry.lowest_vcn > 0)
            .map(|entry| (entry.lowest_vcn, parse::record_of(entry.record)))
            .collect();
        parts.sort_unstable();
        for (vcn, number) in parts {
            if vcn != self.mft.clusters() {
                return;
            }
            let Some(bytes) = self.read_record(number) else { return };
            let Ok(record) = parse::record(&bytes) else { return };
            let body = record
                .attributes()
                .map_while(parse::Result::ok)
                .filter(|a| a.kind == kind::DATA && a.name.is_empty())
                .find(|a| a.non_resident().is_some_and(|body| body.lowest_vcn == vcn));
            let Some(body) = body.as_ref().and_then(parse::Attribute::non_resident) else { return };
            let runs = parse::runs(body.pairs, vcn, self.boot.clusters).map_while(parse::Result::ok);
            self.mft.runs.extend(runs);
            self.count_records();
        }
    }
}
