//! Logs that are made for the purpose: what Windows would have left when it stopped in the middle.

use wimforge_hive::{Error, FileTime, Hive, Kind, check, replay};

use crate::fixture;
use crate::raw::Raw;

/// Three states of a hive, with sequence numbers 7, 8 and 9; each has more bins than the one before.
fn states() -> [Vec<u8>; 3] {
    let mut hive = fixture::hive(5, false);
    hive.set_sequence(7);
    let first = hive.to_bytes().unwrap();
    hive.root_mut().open_mut("Beta").unwrap().set("v", Kind::BINARY, vec![1; 9000]).unwrap();
    hive.root_mut().create(r"Beta\new").unwrap().set_written(FileTime(1));
    hive.set_sequence(8);
    let second = hive.to_bytes().unwrap();
    hive.root_mut().remove("alpha").unwrap();
    hive.root_mut().open_mut(r"Beta\new").unwrap().set("w", Kind::BINARY, vec![2; 30_000]).unwrap();
    hive.set_sequence(9);
    [first, second, hive.to_bytes().unwrap()]
}

/// The file when its writer has only begun: its first sequence number is ahead.
fn begun(hive: &[u8]) -> Vec<u8> {
    let mut raw = Raw(hive.to_vec());
    raw.add(4, 1);
    raw.sum();
    raw.0
}

/// The base block of a log.
fn base(hive: &[u8], kind: u32, sequence: u32) -> Vec<u8> {
    let mut raw = Raw(hive[..512].to_vec());
    raw.put(4, sequence);
    raw.put(8, sequence);
    raw.put(0x1C, kind);
    raw.sum();
    raw.0
}

/// Marvin32, as .NET's documentation has it, with the registry's key.
fn marvin(bytes: &[u8]) -> u64 {
    let (mut low, mut high) = (0x7A4E_55C5u32, 0x82EF_4D88u32);
    let mut padded = bytes.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(4) + 4, 0);
    for word in padded.chunks_exact(4) {
        low = low.wrapping_add(u32::from_le_bytes(word.try_into().unwrap()));
        high ^= low;
        low = low.rotate_left(20).wrapping_add(high);
        high = high.rotate_left(9) ^ low;
        low = low.rotate_left(27).wrapping_add(high);
        high = high.rotate_left(19);
    }
    u64::from(high) << 32 | u64::from(low)
}

/// The entry of a log that makes `after` of `before`.
fn entry(sequence: u32, before: &[u8], after: &[u8]) -> Vec<u8> {
    let (mut references, mut pages, mut count) = (Vec::new(), Vec::<u8>::new(), 0u32);
    for at in (4096..after.len()).step_by(4096) {
        let page = &after[at..at + 4096];
        if before.get(at..at + 4096) != Some(page) {
            references.extend((at as u32 - 4096).to_le_bytes());
            references.extend(4096u32.to_le_bytes());
            pages.extend(page);
            count += 1;
        }
    }
    let size = (40 + references.len() + pages.len()).next_multiple_of(512);
    let mut entry = b"HvLE".to_vec();
    for word in [size as u32, 1, sequence, after.len() as u32 - 4096, count] {
        entry.extend(word.to_le_bytes());
    }
    entry.extend([0; 16]);
    entry.extend(references);
    entry.extend(pages);
    entry.resize(size, 0);
    seal(&mut entry);
    entry
}

/// Makes the checksums right.
fn seal(entry: &mut [u8]) {
    let body = marvin(&entry[40..]);
    entry[24..32].copy_from_slice(&body.to_le_bytes());
    let head = marvin(&entry[..32]);
    entry[32..40].copy_from_slice(&head.to_le_bytes());
}

fn told(hive: &[u8], logs: &[&[u8]]) -> String {
    match replay(hive, logs) {
        Ok((bytes, recovery)) => {
            Hive::parse(&bytes).unwrap();
            recovery.to_string()
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn entries_in_one_log_and_in_two() {
    let [first, second, third] = states();
    let hive = begun(&first);
    let wanted = Hive::parse(&third).unwrap();
    let (one, two) = (entry(8, &first, &second), entry(9, &second, &third));
    let both = [base(&first, 6, 8), one.clone(), two.clone()].concat();
    let (left, right) = ([base(&first, 6, 8), one].concat(), [base(&second, 6, 9), two].concat());
    for logs in [&[&both[..]][..], &[&both, &[]], &[&[], &both], &[&left, &right], &[&right, &left]] {
        let (hive, recovery) = Hive::recover(&hive, logs).unwrap();
        assert!(hive.root() == wanted.root(), "{recovery}");
        assert_eq!(hive.sequence(), 9);
        assert!(recovery.dirty && !recovery.base_restored);
    }
    let (bytes, _) = replay(&hive, &[&left, &right]).unwrap();
    let report = check(&bytes);
    assert!(report.findings.is_empty(), "{report}");
    // One of them alone: as far as it goes, if it comes next.
    let (recovered, _) = Hive::recover(&hive, &[&left]).unwrap();
    assert!(recovered.root() == Hive::parse(&second).unwrap().root());
    // The flag of an open transaction comes from the entries.
    assert_eq!(Raw(bytes.into_owned()).u32(0x90) & 1, 1);
}

#[test]
fn a_hive_that_shrinks() {
    let [first, second, third] = states();
    let log = [base(&third, 6, 8), entry(8, &third, &first)].concat();
    let mut large = Raw(third);
    large.put(4, 8);
    large.put(8, 7);
    large.sum();
    let (bytes, _) = replay(&large.0, &[&log]).unwrap();
    assert_eq!((bytes.len(), first.len() < second.len()), (first.len(), true));
    assert!(Hive::parse(&bytes).unwrap().root() == Hive::parse(&first).unwrap().root());
}

#[test]
fn what_is_not_applied() {
    let [first, second, third] = states();
    let hive = begun(&first);
    let head = base(&first, 6, 8);
    let (one, two) = (entry(8, &first, &second), entry(9, &second, &third));
    let dirty =
        "hive is dirty (sequence numbers 8 and 7): its logs do not apply (dirty; log 1: not applied, 0 bytes";
    // Older than the hive.
    let old = [base(&first, 6, 6), entry(6, &first, &second)].concat();
    assert_eq!(told(&hive, &[&old]), format!("{dirty} (begins with 6, and the hive has 7 already))"));
    // Torn base block, torn entries.
    let mut torn = [head.clone(), one.clone()].concat();
    torn[20] ^= 1;
    assert!(told(&hive, &[&torn]).contains("malformed base block of the log at 0x1fc: checksum"));
    let unfinished = {
        let mut raw = Raw([head.clone(), one.clone()].concat());
        raw.put(8, 7);
        raw.sum();
        raw.0
    };
    assert!(told(&hive, &[&unfinished]).contains("sequence numbers 8 and 7, expected equal ones"));
    for at in [4, 8, 16, 20, 30, 35, 41, 600, one.len() - 1] {
        let mut torn = [head.clone(), one.clone()].concat();
        torn[512 + at] ^= 1;
        let told = told(&hive, &[&torn]);
        assert!(told.starts_with(dirty) && told.contains("at 0x200: "), "{at}: {told}");
    }
    let cut = [head.clone(), one[..one.len() - 512].to_vec()].concat();
    assert!(told(&hive, &[&cut]).contains(" are left"));
    // The second entry is left from an earlier round.
    let log = [head.clone(), one.clone(), entry(5, &second, &third)].concat();
    assert_eq!(told(&hive, &[&log]), format!("dirty; log 1: applied 8, {} bytes", changed(&one)));
    // A gap between the logs.
    let (left, right) = ([head.clone(), one.clone()].concat(), [base(&second, 6, 10), two].concat());
    assert!(
        told(&hive, &[&left, &right]).ends_with("log 2: not applied, 0 bytes (begins with 10, expected 9)")
    );
    // Entries whose checksums are right, and which make no sense.
    for (at, word, reason) in [
        (16, 0x7FFF_E000, "bytes of bins, but hive and logs have"),
        (16, 0x9_0001, "bytes of bins, expected 0x1000 to 0x7fffe000 in steps of 0x1000"),
        (16, 0x1000, "bytes in 0x1000 bytes of bins"),
        (20, 0x4000_0000, "1073741824 pages in an entry"),
        (44, 0x3000, "is not all in the entry"),
    ] {
        let mut wrong = Raw(one.clone());
        wrong.put(at, word);
        if at == 44 {
            // All pages as large as that.
            for reference in 0..wrong.u32(20) as usize {
                wrong.put(40 + 8 * reference, 0);
                wrong.put(44 + 8 * reference, 0x3000);
            }
        }
        seal(&mut wrong.0);
        let told = told(&hive, &[&[head.clone(), wrong.0].concat()]);
        assert!(told.contains(reason), "{told}");
    }
    // A clean hive has no use for logs.
    let (bytes, recovery) = replay(&first, &[&left]).unwrap();
    assert_eq!((bytes.as_ref(), recovery.to_string().as_str()), (&first[..], "clean"));
}

/// Bytes of pages in an entry.
fn changed(entry: &[u8]) -> u32 {
    Raw(entry.to_vec()).u32(20) * 4096
}

#[test]
fn the_base_block_is_restored() {
    let [first, second, _] = states();
    let log = [base(&first, 6, 8), entry(8, &first, &second)].concat();
    let older = [base(&first, 6, 3), entry(3, &first, &first)].concat();
    let mut hive = begun(&first);
    hive[0x30..0x60].fill(0xAA);
    assert!(matches!(Hive::parse(&hive), Err(Error::Malformed { .. })));
    let (recovered, recovery) = Hive::recover(&hive, &[&older, &log]).unwrap();
    assert!(recovered.root() == Hive::parse(&second).unwrap().root() && recovery.base_restored);
    assert_eq!(recovered.file_name(), Hive::parse(&first).unwrap().file_name());
    let error = Hive::recover(&hive, &[]).unwrap_err();
    assert!(
        error.to_string().ends_with("its base block is damaged, and its logs are missing or empty"),
        "{error}"
    );
}

/// A log of the old format that makes `after` of `before`.
fn bitmap(before: &[u8], after: &[u8], sequence: u32) -> Vec<u8> {
    let sectors = (after.len() - 4096) / 512;
    let (mut map, mut pages) = (vec![0u8; sectors / 8], Vec::new());
    for sector in 0..sectors {
        let at = 4096 + 512 * sector;
        if before.get(at..at + 512) != Some(&after[at..at + 512]) {
            map[sector / 8] |= 1 << (sector % 8);
            pages.extend(&after[at..at + 512]);
        }
    }
    let mut log = base(after, 1, sequence);
    log.extend(b"DIRT");
    log.extend(map);
    log.resize(log.len().next_multiple_of(512), 0);
    [log, pages].concat()
}

#[test]
fn logs_of_the_old_format() {
    let [first, second, third] = states();
    let hive = begun(&first);
    let log = bitmap(&first, &third, 8);
    let (recovered, recovery) = Hive::recover(&hive, &[&log, &[]]).unwrap();
    assert!(recovered.root() == Hive::parse(&third).unwrap().root());
    assert_eq!((recovered.sequence(), recovery.logs.len()), (8, 1));
    let (bytes, _) = replay(&hive, &[&log]).unwrap();
    assert!(check(&bytes).findings.is_empty());
    // Windows 2000 gave it another number.
    let mut alternate = Raw(log.clone());
    alternate.put(0x1C, 2);
    alternate.sum();
    assert!(Hive::recover(&hive, &[&alternate.0]).is_ok());
    // The base block comes from it, too; then the time in the first bin says that they belong together.
    let mut torn = hive.clone();
    torn[0x20] ^= 1;
    let (recovered, recovery) = Hive::recover(&torn, &[&log]).unwrap();
    assert!(recovered.root() == Hive::parse(&third).unwrap().root() && recovery.base_restored);
    // Written at another time: it belongs to another state. A later one holds all changes since.
    let at = |time: u32| {
        let mut raw = Raw(bitmap(&first, &second, 8));
        raw.put(0xC, time);
        raw.sum();
        raw.0
    };
    let time = Raw(first.clone()).u32(0xC);
    assert!(told(&hive, &[&at(time - 1)]).contains("written at another time than the hive"));
    assert!(told(&hive, &[&at(time + 1)]).starts_with("dirty; log 1: applied 8"));
    assert!(told(&hive, &[&at(time + 1), &log]).contains("log 2: applied 8"));
    // Cut short, it is not applied at all.
    for len in [511, 512, 515, 516, 600, 1024, log.len() - 1] {
        assert!(replay(&hive, &[&log[..len]]).is_err(), "{len}");
    }
    // Next to one of the new format it is left over.
    let new = [base(&first, 6, 8), entry(8, &first, &second)].concat();
    let told = told(&hive, &[&log, &new]);
    assert!(
        told.contains("log 1: not applied, 0 bytes (of the old format, next to one of the new)"),
        "{told}"
    );
}
