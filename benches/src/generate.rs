//! What the generated corpora are made of. Every function is a pure one of its seed.

use std::sync::LazyLock;

use testkit::content::Random;

/// Words that nobody speaks, as long and as unevenly used as those of a language: the nth is used 1/n as often as the
/// first (Zipf).
struct Words {
    list: Vec<String>,
    /// An even number below 65,536 picks a word through this.
    picks: Vec<u16>,
}

const WORDS: usize = 16_000;

static VOCABULARY: LazyLock<Words> = LazyLock::new(|| {
    const ONSETS: &[&str] = &[
        "", "b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "pl",
        "qu", "r", "s", "sh", "st", "t", "th", "tr", "v", "w", "x", "z",
    ];
    const VOWELS: &[&str] = &["a", "e", "i", "o", "u", "ea", "ou", "io", "ai", "ee"];
    const CODAS: &[&str] = &["", "", "n", "r", "s", "t", "l", "d", "m", "ng", "ck", "st", "nt", "p"];
    let mut random = Random::new(0x57);
    let list = (0..WORDS)
        .map(|rank| {
            // Frequent words are short.
            let syllables = 1 + random.below(1 + rank.ilog2_or_zero() / 3);
            (0..syllables).fold(String::new(), |mut word, _| {
                for part in [ONSETS, VOWELS, CODAS] {
                    word.push_str(part[random.below(part.len())]);
                }
                word
            })
        })
        .collect();
    let total: f64 = (1..=WORDS).map(|rank| 1.0 / rank as f64).sum();
    let (mut picks, mut sum) = (Vec::with_capacity(1 << 16), 0.0);
    for rank in 0..WORDS {
        sum += 1.0 / (rank + 1) as f64 / total;
        picks.resize(((sum * 65_536.0) as usize).min(1 << 16), rank as u16);
    }
    picks.resize(1 << 16, 0);
    Words { list, picks }
});

trait Log {
    fn ilog2_or_zero(self) -> usize;
}

impl Log for usize {
    fn ilog2_or_zero(self) -> usize {
        self.checked_ilog2().unwrap_or(0) as usize
    }
}

fn word(random: &mut Random) -> &'static str {
    let words = &*VOCABULARY;
    &words.list[words.picks[(random.next_u64() >> 48) as usize] as usize]
}

fn hex(out: &mut Vec<u8>, random: &mut Random, digits: usize) {
    for _ in 0..digits.div_ceil(16) {
        out.extend(format!("{:016x}", random.next_u64()).bytes());
    }
    out.truncate(out.len() - (16 - digits % 16) % 16);
}

fn sentence(out: &mut Vec<u8>, random: &mut Random) {
    let start = out.len();
    for index in 0..5 + random.below(14) {
        if index > 0 {
            out.extend(if random.below(12) == 0 { &b", "[..] } else { b" " });
        }
        out.extend(word(random).bytes());
    }
    out[start] = out[start].to_ascii_uppercase();
    out.extend(b". ");
}

/// Text of `length` bytes of one of six kinds: prose in ASCII and in UTF-16, an event log, an XML manifest, an INF, a
/// table of numbers.
pub(crate) fn text(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(seed ^ 0x7E87);
    let mut out = Vec::with_capacity(length + 4_096);
    let kind = random.below(6);
    let mut clock = 1_468_600_000 + random.below(10_000_000);
    while out.len() < length {
        match kind {
            0 | 1 => {
                for _ in 0..3 + random.below(6) {
                    sentence(&mut out, &mut random);
                }
                out.extend(b"\r\n\r\n");
            }
            2 => {
                clock += random.below(40);
                let (hour, minute, second) = (clock / 3_600 % 24, clock / 60 % 60, clock % 60);
                let level = ["Info   ", "Info   ", "Info   ", "Warning", "Error  "][random.below(5)];
                let line = format!(
                    "2016-07-{:02} {hour:02}:{minute:02}:{second:02}, {level}  {:<8} ",
                    1 + clock / 86_400 % 28,
                    word(&mut random)
                );
                out.extend(line.bytes());
                sentence(&mut out, &mut random);
                out.extend(
                    format!(
                        "[HRESULT = 0x{:08x}, session {}]\r\n",
                        random.below(9) * 0x8007,
                        random.below(99_999)
                    )
                    .bytes(),
                );
            }
            3 => {
                let (name, version) = (word(&mut random), random.below(20_000));
                out.extend(format!("  <assemblyIdentity name=\"Package-{name}-{}\" version=\"10.0.{version}.0\" processorArchitecture=\"amd64\" ", word(&mut random)).bytes());
                out.extend(
                    b"publicKeyToken=\"31bf3856ad364e35\" versionScope=\"nonSxS\" />\r\n  <file name=\"",
                );
                out.extend(format!("{}.dll\" destinationPath=\"$(runtime.system32)\\\" sourceName=\"{name}.dll\"><hash algorithm=\"sha256\">", word(&mut random)).bytes());
                hex(&mut out, &mut random, 64);
                out.extend(b"</hash></file>\r\n");
            }
            4 => {
                let section = word(&mut random);
                out.extend(format!("\r\n[{section}.{}]\r\n", word(&mut random)).bytes());
                for _ in 0..2 + random.below(12) {
                    out.extend(
                        format!(
                            "HKR,\"{}\\{}\",%{}%,0x{:08x},{}\r\n",
                            word(&mut random),
                            word(&mut random),
                            word(&mut random),
                            1 << random.below(20),
                            random.below(4_096)
                        )
                        .bytes(),
                    );
                }
            }
            _ => {
                for _ in 0..8 {
                    out.extend(
                        format!("{};", random.next_u64() % 1_000_000 / (1 + random.below(99) as u64)).bytes(),
                    );
                }
                out.extend(b"\r\n");
            }
        }
    }
    if kind == 1 {
        out.truncate(length.div_ceil(2));
        out = out.into_iter().flat_map(|byte| [byte, 0]).collect();
    }
    out.truncate(length);
    out
}

/// A program that a real one becomes when its parts change places, so that the copies are not each other's duplicates:
/// blocks of 16 KiB of every section are permuted, and every relative call or jump (E8, E9) between them is given the
/// distance to where its target now lies, as a linker would. What lies within 16 KiB keeps its neighbours, so that a
/// chunk of 32 KiB compresses as in the original. The last, partial, block of a section stays.
pub(crate) fn relinked(original: &[u8], seed: u64) -> Vec<u8> {
    const BLOCK: usize = 16 << 10;
    let mut random = Random::new(seed);
    let mut out = original.to_vec();
    let sections = sections(original).unwrap_or_else(|| {
        let start = original.len().min(4_096);
        vec![Section { start, end: original.len(), code: false }]
    });
    for section in sections {
        let body = &original[section.start..section.end];
        let blocks = body.len() / BLOCK;
        // `from[n]`: which block of the original comes nth.
        let mut from: Vec<usize> = (0..blocks).collect();
        for index in (1..blocks).rev() {
            from.swap(index, random.below(index + 1));
        }
        let mut to = vec![0; blocks];
        for (new, &old) in from.iter().enumerate() {
            to[old] = new;
        }
        let moved = |at: usize| match to.get(at / BLOCK) {
            Some(block) => block * BLOCK + at % BLOCK,
            None => at,
        };
        for (new, &old) in from.iter().enumerate() {
            out[section.start + new * BLOCK..][..BLOCK].copy_from_slice(&body[old * BLOCK..][..BLOCK]);
        }
        if !section.code {
            continue;
        }
        let mut at = 0;
        while at + 5 <= body.len() {
            // An operand that crosses blocks would be torn; few do.
            if matches!(body[at], 0xE8 | 0xE9) && at % BLOCK <= BLOCK - 5 {
                let operand = i32::from_le_bytes([body[at + 1], body[at + 2], body[at + 3], body[at + 4]]);
                let target =
                    (at + 5).checked_add_signed(operand as isize).filter(|&target| target < body.len());
                if let Some(target) = target {
                    let here = section.start + moved(at);
                    let distance = moved(target) as i64 - (moved(at) + 5) as i64;
                    out[here + 1..here + 5].copy_from_slice(&(distance as i32).to_le_bytes());
                    at += 5;
                    continue;
                }
            }
            at += 1;
        }
    }
    out
}

struct Section {
    start: usize,
    end: usize,
    code: bool,
}

/// The sections of a PE file as they lie in it (PE format, "COFF File Header", "Section Table").
fn sections(file: &[u8]) -> Option<Vec<Section>> {
    let half = |at: usize| Some(usize::from(u16::from_le_bytes(file.get(at..at + 2)?.try_into().ok()?)));
    let word = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?));
    let head = word(0x3C)? as usize;
    if file.get(..2)? != b"MZ" || file.get(head..head + 4)? != b"PE\0\0" {
        return None;
    }
    let (count, optional) = (half(head + 6)?, half(head + 20)?);
    (0..count)
        .map(|index| {
            let entry = head + 24 + optional + 40 * index;
            let (size, start) = (word(entry + 16)? as usize, word(entry + 20)? as usize);
            let end = start.checked_add(size)?.min(file.len());
            Some(Section { start: start.min(end), end, code: word(entry + 36)? & 0x2000_0000 != 0 })
        })
        .collect()
}

/// Part of a huge file, of one kind or another: text, records of a database, zeros, noise, and `programs` relinked.
pub(crate) fn mixed(seed: u64, length: usize, programs: &[Vec<u8>]) -> Vec<u8> {
    let mut random = Random::new(seed ^ 0x1413);
    let mut out = Vec::with_capacity(length + (4 << 20));
    while out.len() < length {
        let size = (64 << 10) + random.below(2 << 20);
        match random.below(8) {
            0 => out.extend(text(random.next_u64(), size)),
            1 | 2 => {
                for index in 0..size / 64 {
                    out.extend((index as u64).to_le_bytes());
                    out.extend((random.next_u64() >> 40).to_le_bytes());
                    out.extend(random.below(200).to_le_bytes());
                    let name = word(&mut random).as_bytes();
                    out.extend(name);
                    out.resize(out.len() + 40_usize.saturating_sub(name.len()), 0);
                }
            }
            3 => out.resize(out.len() + size, 0),
            4 => out.extend(random.bytes(size)),
            _ => out.extend(relinked(&programs[random.below(programs.len())], random.next_u64())),
        }
    }
    out.truncate(length);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_decide_and_lengths_are_exact() {
        for seed in 0..12 {
            for length in [0, 1, 2, 777, 50_001] {
                assert_eq!(text(seed, length).len(), length);
            }
            assert_eq!(text(seed, 5_000), text(seed, 5_000));
            assert_ne!(text(seed, 5_000), text(seed + 1, 5_000));
        }
        let programs = [testkit::content::program(1, 100_000)];
        assert_eq!(mixed(1, 3_000_000, &programs), mixed(1, 3_000_000, &programs));
        assert_eq!(mixed(2, 3_000_001, &programs).len(), 3_000_001);
    }

    #[test]
    fn text_compresses_like_text() {
        let all: Vec<u8> = (0..60).flat_map(|seed| text(seed, 32 << 10)).collect();
        let used = all.iter().fold([false; 256], |mut used, &byte| {
            used[usize::from(byte)] = true;
            used
        });
        assert!((60..128).contains(&used.iter().filter(|&&used| used).count()));
    }

    /// A file of one section of code of 4 blocks, with a call from each block to the start of the next.
    fn caller() -> Vec<u8> {
        let mut file = vec![0; 0x400 + 4 * (16 << 10) + 100];
        let end = file.len();
        let put =
            |file: &mut Vec<u8>, at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(&mut file, 0, b"MZ");
        put(&mut file, 0x3C, &0x80_u32.to_le_bytes());
        put(&mut file, 0x80, b"PE\0\0\x64\x86\x01\0");
        let entry = 0x80 + 24;
        put(&mut file, entry + 16, &((end - 0x400) as u32).to_le_bytes());
        put(&mut file, entry + 20, &0x400_u32.to_le_bytes());
        put(&mut file, entry + 36, &0x6000_0020_u32.to_le_bytes());
        for block in 0..4 {
            let at = 0x400 + block * (16 << 10);
            file[at] = 0xA0 + block as u8;
            put(&mut file, at + 0x100, &[0xE8]);
            put(&mut file, at + 0x101, &((16 << 10) - 0x105_i32).to_le_bytes());
        }
        put(&mut file, 0x400 + 4 * (16 << 10), &[0xA4]);
        file
    }

    #[test]
    fn relinked_calls_reach_what_they_reached() {
        let file = caller();
        let out = relinked(&file, 5);
        assert_eq!(out.len(), file.len());
        assert_ne!(out, file);
        assert_eq!(out[..0x400], file[..0x400], "headers stay");
        for new in 0..4 {
            let at = 0x400 + new * (16 << 10);
            let label = out[at];
            let operand = i32::from_le_bytes(out[at + 0x101..at + 0x105].try_into().expect("four bytes"));
            let target = (at + 0x105).checked_add_signed(operand as isize).expect("inside");
            assert_eq!(out[target], label + 1);
        }
        // What is no program keeps its head, and the multiset of its bytes.
        let noise = Random::new(1).bytes(100_000);
        let mut both = [relinked(&noise, 9), noise];
        assert_ne!(both[0], both[1]);
        assert_eq!(both[0][..4_096], both[1][..4_096]);
        both.iter_mut().for_each(|bytes| bytes.sort_unstable());
        assert_eq!(both[0], both[1]);
    }
}
