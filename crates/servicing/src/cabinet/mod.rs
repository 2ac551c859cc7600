//! Cabinets: archives in which files lie one after another in folders, and a folder is compressed as one piece.
//!
//! So a file costs decoding all before it in its folder. [`Cabinet::extract`] gives any number of files for the price of
//! decoding each folder once, and stops behind the last file that is wanted.
//!
//! What the tables say is checked when a cabinet is opened: every path stays where it belongs, no two are the same to
//! Windows, files of a folder do not overlap, folders have no blocks in common, and no file is longer than its folder's blocks
//! could be. So whatever a cabinet claims, all of its files together are at most what its blocks decode to, and each block
//! is in the file once.

mod folder;
mod layout;
mod lzx;
mod mszip;
mod path;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Cursor;
use std::sync::Arc;

use binrw::BinRead;
use disk::{At, Calendar, FileTime, ReadAt};

pub use self::folder::Compression;
use self::folder::{Folder, FolderReader};
use self::layout::{
    ATTRIBUTE_UTF8, BLOCK_SIZE, FILE_LEN, FLAG_NEXT, FLAG_PREVIOUS, FLAG_RESERVE, FOLDER_CONTINUED,
    FOLDER_LEN, FileEntry, FolderEntry, HEADER_LEN, Header, Reserve, SIGNATURE,
};
pub(crate) use self::path::fold;
use crate::limits::{MAX_FILE_SIZE, MAX_NAME_SIZE};
use crate::{Error, Result};

/// An opened cabinet.
#[derive(Clone)]
pub struct Cabinet {
    source: Arc<dyn ReadAt>,
    size: u64,
    folders: Vec<Folder>,
    data_reserve: u8,
    entries: Vec<Entry>,
    /// Indices of entries by folded path.
    by_path: BTreeMap<String, usize>,
}

/// Takes files as they are decoded: each with what is in it.
pub type Sink<'s, E = Error> = dyn FnMut(&Entry, Vec<u8>) -> Result<(), E> + 's;

/// Takes files piece by piece; `None` ends one.
pub type PieceSink<'s, E = Error> = dyn FnMut(&Entry, Option<&[u8]>) -> Result<(), E> + 's;

/// A file in a cabinet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    path: String,
    size: u32,
    offset: u32,
    folder: u16,
    date: u16,
    time: u16,
    attributes: u16,
}

impl Entry {
    /// Its path, with slashes: never absolute, without `.`, `..`, drives, and characters that Windows does not allow.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        u64::from(self.size)
    }

    /// When it was last written, in local time of wherever that was, to two seconds; `None` when that is no date.
    pub fn modified(&self) -> Option<FileTime> {
        let (date, time) = (self.date, self.time);
        let (month, day) = (date >> 5 & 15, date & 31);
        let (hour, minute, second) = (time >> 11, time >> 5 & 63, (time & 31) * 2);
        if !(1..=12).contains(&month) || day == 0 || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let calendar = Calendar {
            year: i64::from(1980 + (date >> 9)),
            month: month as u8,
            day: day as u8,
            hour: hour as u8,
            minute: minute as u8,
            second: second as u8,
        };
        let time = FileTime::from_calendar(calendar);
        // The 31st of a month that has 30 days is another day then.
        (time.to_calendar().day == calendar.day).then_some(time)
    }

    /// Its DOS attributes: 1 read-only, 2 hidden, 4 system, 0x20 archive.
    pub fn attributes(&self) -> u16 {
        self.attributes & 0x27
    }
}

impl Cabinet {
    /// Whether something that begins with these bytes is a cabinet.
    pub fn is_cabinet(first_bytes: &[u8]) -> bool {
        first_bytes.starts_with(&SIGNATURE)
    }

    /// Reads the tables of a cabinet.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it contradicts itself, or names files as no archive may; [`Error::Unsupported`] for a part
    /// of a set of cabinets.
    pub fn open(source: Arc<dyn ReadAt>) -> Result<Self> {
        let file_size =
            source.size().map_err(|source| Error::Io { at: At::new("cabinet header", 0), source })?;
        let mut tables = Tables { source: &*source, end: file_size, at: 0 };
        let header: Header = tables.read("cabinet header", HEADER_LEN)?;
        let malformed = |reason: String| Error::malformed("cabinet header", 0, reason);
        if header.signature != SIGNATURE {
            return Err(malformed(format!("it begins with {:02x?}, not with MSCF", header.signature)));
        }
        if (header.major, header.minor) != (1, 3) {
            let feature = format!("version {}.{}", header.major, header.minor);
            return Err(Error::unsupported("cabinet header", 0, feature));
        }
        if header.flags & (FLAG_PREVIOUS | FLAG_NEXT) != 0 {
            let feature =
                format!("a set of several cabinets, of which this is number {}", u32::from(header.index) + 1);
            return Err(Error::unsupported("cabinet header", 0, feature));
        }
        let size = u64::from(header.size);
        if size > file_size {
            return Err(malformed(format!("it has {size:#x} bytes, the file ends at {file_size:#x}")));
        }
        tables.end = size;
        let reserve = if header.flags & FLAG_RESERVE != 0 {
            tables.read::<Reserve>("cabinet header", 4)?
        } else {
            Reserve::default()
        };
        tables.at += u64::from(reserve.header);
        let mut folders = Vec::new();
        for _ in 0..header.folders {
            let offset = tables.at;
            let entry: FolderEntry = tables.read("cabinet folder", FOLDER_LEN)?;
            tables.at += u64::from(reserve.folder);
            let Some(compression) = Compression::of(entry.compression) else {
                let feature = format!("compression {:#06x}", entry.compression);
                return Err(Error::unsupported("cabinet folder", offset, feature));
            };
            let data_offset = u64::from(entry.data_offset);
            folders.push(Folder { compression, data_offset, blocks: entry.blocks, end: size });
        }
        end_folders(&mut folders)?;
        tables.at = u64::from(header.files_offset);
        let entries = tables.files(header.files, &folders)?;
        let mut by_path = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            if by_path.insert(fold(&entry.path), index).is_some() {
                let reason = format!("two files are called {}", entry.path);
                return Err(Error::malformed("cabinet file", u64::from(header.files_offset), reason));
            }
        }
        Ok(Self { source, size, folders, data_reserve: reserve.data, entries, by_path })
    }

    /// The files, in the cabinet's order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The cabinet's own size in bytes: without a signature behind it.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How the folder of a file is compressed.
    pub fn compression(&self, entry: &Entry) -> Option<Compression> {
        self.folders.get(usize::from(entry.folder)).map(|folder| folder.compression)
    }

    /// The file at a path, in any case, with slashes or backslashes.
    pub fn find(&self, path: &str) -> Option<&Entry> {
        self.by_path.get(&fold(path)).map(|&index| &self.entries[index])
    }

    /// What is in the file at a path, of at most [`MAX_FILE_SIZE`] bytes. For more than one file,
    /// [`extract`](Self::extract) is quicker.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, and those of decoding.
    pub fn read(&self, path: &str) -> Result<Vec<u8>> {
        let entry =
            self.find(path).ok_or_else(|| Error::NotFound(format!("no file {path} in the cabinet")))?;
        let mut found = None;
        self.extract(&mut |other| std::ptr::eq(entry, other), &mut |_, bytes| {
            found = Some(bytes);
            Ok(())
        })?;
        Ok(found.expect("every file that is wanted is given"))
    }

    /// Decodes the files that are `wanted`, each folder once, and gives them to `sink` in the order in which they lie.
    ///
    /// # Errors
    /// Those of decoding, [`Error::Limit`] for a file of more than [`MAX_FILE_SIZE`] bytes, and those of `sink`.
    pub fn extract<E: From<Error>>(
        &self,
        wanted: &mut dyn FnMut(&Entry) -> bool,
        sink: &mut Sink<'_, E>,
    ) -> Result<(), E> {
        let mut bytes = Vec::new();
        self.stream(wanted, &mut |entry, piece| match piece {
            Some(piece) => {
                let at = At::new("cabinet folder", self.folders[usize::from(entry.folder)].data_offset);
                Error::limit(at, "the size of a file", entry.size(), MAX_FILE_SIZE)?;
                bytes.extend_from_slice(piece);
                Ok(())
            }
            None => sink(entry, std::mem::take(&mut bytes)),
        })
    }

    /// As [`extract`](Self::extract), all files.
    ///
    /// # Errors
    /// As there.
    pub fn extract_all<E: From<Error>>(&self, sink: &mut Sink<'_, E>) -> Result<(), E> {
        self.extract(&mut |_| true, sink)
    }

    /// As [`extract`](Self::extract), in pieces of up to 32 KiB, for files of any size. After the last piece of a file
    /// comes `None`.
    ///
    /// # Errors
    /// Those of decoding, and those of `sink`.
    pub fn stream<E: From<Error>>(
        &self,
        wanted: &mut dyn FnMut(&Entry) -> bool,
        sink: &mut PieceSink<'_, E>,
    ) -> Result<(), E> {
        let mut files: Vec<&Entry> = self.entries.iter().filter(|entry| wanted(entry)).collect();
        files.sort_by_key(|entry| (entry.folder, entry.offset, entry.size));
        for files in files.chunk_by(|a, b| a.folder == b.folder) {
            self.stream_folder(files, sink)?;
        }
        Ok(())
    }

    /// `files` of one folder, by their place.
    fn stream_folder<E: From<Error>>(&self, files: &[&Entry], sink: &mut PieceSink<'_, E>) -> Result<(), E> {
        let folder = &self.folders[usize::from(files[0].folder)];
        let mut reader = FolderReader::new(&*self.source, folder, self.data_reserve)?;
        // The block that was decoded last, and where it begins in the folder.
        let mut block: &[u8] = &[];
        let mut start = 0;
        for entry in files {
            let (mut next, end) = (u64::from(entry.offset), u64::from(entry.offset) + entry.size());
            while next < end {
                let block_end = start + block.len() as u64;
                if next >= block_end {
                    start = block_end;
                    block = reader.next_block()?.ok_or_else(|| {
                        let reason = format!("it ends at {block_end:#x}, before {} does", entry.path);
                        Error::malformed("cabinet folder", folder.data_offset, reason)
                    })?;
                    continue;
                }
                let to = end.min(block_end);
                sink(entry, Some(&block[(next - start) as usize..(to - start) as usize]))?;
                next = to;
            }
            sink(entry, None)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Cabinet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cabinet")
            .field("size", &self.size)
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

/// Says of each folder where its blocks must have ended: where those of another begin.
fn end_folders(folders: &mut [Folder]) -> Result<()> {
    let mut begins: Vec<u64> =
        folders.iter().filter(|folder| folder.blocks > 0).map(|folder| folder.data_offset).collect();
    begins.sort_unstable();
    if let Some(pair) = begins.windows(2).find(|pair| pair[0] == pair[1]) {
        let reason = format!("two folders have their first block at {:#x}", pair[0]);
        return Err(Error::malformed("cabinet folder", pair[0], reason));
    }
    for folder in folders {
        let next = begins.partition_point(|&begin| begin <= folder.data_offset);
        folder.end = begins.get(next).map_or(folder.end, |&begin| begin.min(folder.end));
    }
    Ok(())
}

/// The tables, read one after another.
struct Tables<'a> {
    source: &'a dyn ReadAt,
    end: u64,
    at: u64,
}

impl Tables<'_> {
    fn bytes(&mut self, what: &'static str, buf: &mut [u8]) -> Result<()> {
        let end = self.at + buf.len() as u64;
        if end > self.end {
            let reason = format!("it reaches to {end:#x}, over the cabinet's end at {:#x}", self.end);
            return Err(Error::malformed(what, self.at, reason));
        }
        let at = At::new(what, self.at);
        self.source.read_exact_at(buf, self.at).map_err(|source| Error::Io { at, source })?;
        self.at = end;
        Ok(())
    }

    /// A structure of `len` bytes, at most as many as the largest has.
    fn read<T>(&mut self, what: &'static str, len: u64) -> Result<T>
    where
        T: for<'a> BinRead<Args<'a> = ()> + binrw::meta::ReadEndian,
    {
        let mut bytes = [0; HEADER_LEN as usize];
        let bytes = &mut bytes[..len as usize];
        self.bytes(what, bytes)?;
        Ok(T::read(&mut Cursor::new(bytes)).expect("any bytes are one"))
    }

    fn files(&mut self, count: u16, folders: &[Folder]) -> Result<Vec<Entry>> {
        // All of the table at once, as far as it can reach.
        let start = self.at;
        let most = u64::from(count) * (FILE_LEN + MAX_NAME_SIZE as u64 + 1);
        let mut table = vec![0; most.min(self.end.saturating_sub(start)) as usize];
        self.bytes("cabinet file", &mut table)?;
        let mut entries = Vec::new();
        let mut rest = table.as_slice();
        for _ in 0..count {
            let offset = start + (table.len() - rest.len()) as u64;
            let malformed = |reason: String| Error::malformed("cabinet file", offset, reason);
            let Some((head, behind)) = rest.split_at_checked(FILE_LEN as usize) else {
                return Err(malformed(format!("it reaches over the cabinet's end at {:#x}", self.end)));
            };
            let file = FileEntry::read(&mut Cursor::new(head)).expect("it is long enough");
            let name = &behind[..behind.len().min(MAX_NAME_SIZE + 1)];
            let Some(len) = name.iter().position(|&byte| byte == 0) else {
                return Err(malformed(format!("its name does not end within {MAX_NAME_SIZE} bytes")));
            };
            rest = &behind[len + 1..];
            let name = if file.attributes & ATTRIBUTE_UTF8 != 0 {
                String::from_utf8(name[..len].to_vec())
                    .map_err(|_| malformed("its name is not UTF-8".to_owned()))?
            } else {
                // In the code page of whoever made it, which is not noted. Latin-1 keeps all names apart.
                name[..len].iter().map(|&byte| char::from(byte)).collect()
            };
            if file.folder >= FOLDER_CONTINUED {
                let feature = format!("{name}, which is partly in another cabinet of a set");
                return Err(Error::unsupported("cabinet file", offset, feature));
            }
            let Some(folder) = folders.get(usize::from(file.folder)) else {
                let reason = format!("{name} is in folder {}, there are {}", file.folder, folders.len());
                return Err(malformed(reason));
            };
            let end = u64::from(file.offset) + u64::from(file.size);
            let most = u64::from(folder.blocks) * BLOCK_SIZE as u64;
            if end > most {
                return Err(malformed(format!(
                    "{name} ends at {end:#x} of a folder of at most {most:#x} bytes"
                )));
            }
            let path = path::confine(&name).map_err(malformed)?;
            entries.push(Entry {
                path,
                size: file.size,
                offset: file.offset,
                folder: file.folder,
                date: file.date,
                time: file.time,
                attributes: file.attributes,
            });
        }
        let mut by_place: Vec<&Entry> = entries.iter().filter(|entry| entry.size > 0).collect();
        by_place.sort_by_key(|entry| (entry.folder, entry.offset));
        for pair in by_place.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            if first.folder == second.folder
                && u64::from(first.offset) + first.size() > u64::from(second.offset)
            {
                let reason = format!("{} and {} share bytes", first.path, second.path);
                return Err(Error::malformed("cabinet file", start, reason));
            }
        }
        Ok(entries)
    }
}
