//! What lies where on the volume of the new size.

use std::fmt;

/// A part of the new volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First byte on the new volume.
    pub start: u64,
    /// Length in bytes, never 0.
    pub len: u64,
    /// What lies there.
    pub content: Content,
}

/// What a [`Segment`] holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// Bytes of the old volume, from this one on.
    Volume(u64),
    /// These bytes, as many as the segment has.
    Bytes(Box<[u8]>),
    /// Zeros.
    Zero,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Volume(from) => write!(f, "Volume({from:#x})"),
            Self::Bytes(bytes) => write!(f, "Bytes({:#x})", bytes.len()),
            Self::Zero => f.write_str("Zero"),
        }
    }
}

impl Segment {
    /// These bytes from `start` on, of which there is at least one.
    pub fn bytes(start: u64, bytes: Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        let zero = bytes.iter().all(|byte| *byte == 0);
        Self { start, len, content: if zero { Content::Zero } else { Content::Bytes(bytes.into()) } }
    }

    /// The byte after the last.
    pub fn end(&self) -> u64 {
        self.start + self.len
    }

    /// The part of it between `start` and `end`.
    fn part(&self, start: u64, end: u64) -> Option<Self> {
        let (start, end) = (start.max(self.start), end.min(self.end()));
        if start >= end {
            return None;
        }
        let skip = start - self.start;
        let content = match &self.content {
            Content::Volume(from) => Content::Volume(from + skip),
            Content::Zero => Content::Zero,
            Content::Bytes(bytes) => Content::Bytes(bytes[skip as usize..][..(end - start) as usize].into()),
        };
        Some(Self { start, len: end - start, content })
    }
}

/// `top` over `base`. Both are ascending and without overlaps; `base` has no gaps, and all of `top` lies on it.
pub fn over(base: &[Segment], top: &[Segment]) -> Vec<Segment> {
    let mut out: Vec<Segment> = Vec::with_capacity(base.len() + 2 * top.len());
    let mut push = |segment: Segment| match (out.last_mut(), &segment.content) {
        (Some(last), Content::Zero) if last.content == Content::Zero => last.len += segment.len,
        (Some(last), Content::Volume(from))
            if last.content == Content::Volume(from.wrapping_sub(last.len)) =>
        {
            last.len += segment.len;
        }
        _ => out.push(segment),
    };
    let mut tops = top.iter().peekable();
    for below in base {
        let mut at = below.start;
        while at < below.end() {
            while tops.peek().is_some_and(|segment| segment.end() <= at) {
                tops.next();
            }
            let next = tops.peek().filter(|segment| segment.start < below.end());
            let free_to = next.map_or(below.end(), |segment| segment.start.max(at));
            if let Some(part) = below.part(at, free_to) {
                push(part);
            }
            at = free_to;
            if let Some(part) = next.and_then(|segment| segment.part(at, below.end())) {
                at = part.start + part.len;
                push(part);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers() {
        let volume = |start, len, from| Segment { start, len, content: Content::Volume(from) };
        let zero = |start, len| Segment { start, len, content: Content::Zero };
        let bytes = |start, bytes: &[u8]| Segment::bytes(start, bytes.to_vec());
        let base = [volume(0, 100, 0), zero(100, 100)];
        assert_eq!(over(&base, &[]), base);
        let top = [bytes(0, &[1, 2]), volume(50, 10, 500), bytes(98, &[3, 4, 5, 6]), bytes(198, &[0, 0])];
        let expected = [
            bytes(0, &[1, 2]),
            volume(2, 48, 2),
            volume(50, 10, 500),
            volume(60, 38, 60),
            bytes(98, &[3, 4]),
            bytes(100, &[5, 6]),
            zero(102, 98),
        ];
        assert_eq!(over(&base, &top), expected);
        // What follows itself is one.
        assert_eq!(over(&base, &[volume(20, 10, 20)]), base);
    }
}
