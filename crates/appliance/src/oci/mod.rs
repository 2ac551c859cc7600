//! OCI images of one layer: a Windows base image as containers take it. Experimental: no Windows has started one of these.
//!
//! The image is an OCI layout in a tar (what skopeo calls `oci-archive`), written in one pass like a box: the layer comes
//! last, and the documents before it, which name it by its hash and length, are as long before as after. What is in the
//! layer: [`layer`].

pub mod layer;

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use disk::{FileTime, WriteAt};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::gzip::{Level, ParallelGzip};
use crate::tar::{self, Header, Kind};
use crate::{Architecture, Error, Result};

/// What an image says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// What it is compiled for.
    pub architecture: Architecture,
    /// The Windows version in four numbers, `10.0.14393.2273`: hosts compare it with their own.
    pub os_version: String,
    /// The name by which it is found in the layout: a tag, such as `latest`.
    pub tag: String,
    /// What a container runs when nobody says.
    pub command: Vec<String>,
    /// When it was made.
    pub created: FileTime,
}

/// What a layer turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerFacts {
    /// The hash of the tar.
    pub diff_id: [u8; 32],
    /// The hash of what is stored: the tar through gzip.
    pub digest: [u8; 32],
    /// Bytes of what is stored.
    pub size: u64,
}

/// Sizes are signed where these documents are read (Go's int64).
const LARGEST: LayerFacts = LayerFacts { diff_id: [0; 32], digest: [0; 32], size: i64::MAX as u64 };

fn digest(hash: &[u8; 32]) -> String {
    format!("sha256:{}", disk::hex(hash))
}

/// A document, with spaces behind it up to `len`.
fn document(value: &Value, len: usize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("keys are strings");
    bytes.resize(len.max(bytes.len()), b' ');
    bytes
}

/// A blob that is a document.
struct Blob {
    bytes: Vec<u8>,
    digest: [u8; 32],
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        let digest = Sha256::digest(&bytes).into();
        Self { bytes, digest }
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": digest(&self.digest), "size": self.bytes.len() })
    }
}

impl Image {
    fn check(&self) -> Result<()> {
        let numbers = self.os_version.split('.').filter(|part| part.parse::<u32>().is_ok()).count();
        if numbers != 4 || self.os_version.split('.').count() != 4 {
            let problem = format!("{:?} is no version of Windows (expected four numbers)", self.os_version);
            return Err(Error::impossible(problem));
        }
        // What references allow.
        let allowed = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
        if self.tag.is_empty() || self.tag.len() > 128 || !self.tag.bytes().all(allowed) {
            return Err(Error::impossible(format!("{:?} is no tag", self.tag)));
        }
        Ok(())
    }

    /// Seconds, as RFC 3339 has them.
    fn created(&self) -> String {
        let time = self.created.to_calendar();
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            time.year, time.month, time.day, time.hour, time.minute, time.second
        )
    }

    fn config(&self, facts: &LayerFacts) -> Value {
        json!({
            "created": self.created(),
            "architecture": self.architecture.go_name(),
            "os": "windows",
            "os.version": self.os_version,
            "config": { "Cmd": self.command },
            "rootfs": { "type": "layers", "diff_ids": [digest(&facts.diff_id)] },
            "history": [{ "created": self.created(), "created_by": "wimforge" }],
        })
    }

    /// The documents and their place in the layout, for a layer with these facts.
    fn documents(&self, facts: &LayerFacts) -> Vec<(String, Vec<u8>)> {
        let config = Blob::new(document(&self.config(facts), 0));
        let manifest = |facts: &LayerFacts| {
            json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": config.descriptor("application/vnd.oci.image.config.v1+json"),
                "layers": [{
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": digest(&facts.digest),
                    "size": facts.size,
                }],
            })
        };
        let longest = document(&manifest(&LARGEST), 0).len();
        let manifest = Blob::new(document(&manifest(facts), longest));
        let mut entry = manifest.descriptor("application/vnd.oci.image.manifest.v1+json");
        entry["platform"] = json!({
            "architecture": self.architecture.go_name(),
            "os": "windows",
            "os.version": self.os_version,
        });
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": self.tag });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry],
        });
        let blob = |blob: Blob| (format!("blobs/sha256/{}", disk::hex(&blob.digest)), blob.bytes);
        vec![
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), document(&index, 0)),
            blob(config),
            blob(manifest),
        ]
    }

    fn head(&self, facts: &LayerFacts, mtime: u64) -> Result<Vec<u8>> {
        let mut head = Vec::new();
        for name in ["blobs/", "blobs/sha256/"] {
            let header = Header { name, link: "", size: 0, mtime, kind: Kind::Directory };
            head.extend_from_slice(&header.to_block()?);
        }
        for (name, bytes) in self.documents(facts) {
            let size = bytes.len() as u64;
            head.extend_from_slice(&Header::file(&name, size, mtime).to_block()?);
            head.extend_from_slice(&bytes);
            head.resize(head.len() + tar::padding(size) as usize, 0);
        }
        let name = format!("blobs/sha256/{}", disk::hex(&facts.digest));
        head.extend_from_slice(&Header::file(&name, facts.size, mtime).to_block()?);
        Ok(head)
    }

    /// Begins the image in an empty file. The layer's tar is written next, through [`Archive::layer`]; then
    /// [`Archive::finish`]. The bytes do not depend on `threads`.
    ///
    /// # Errors
    /// [`Error::Impossible`] for a version or tag that is none; [`Error::Io`].
    pub fn archive<F: WriteAt>(self, file: F, level: Level, threads: usize) -> Result<Archive<F>> {
        self.check()?;
        let mtime = u64::try_from(self.created.to_unix().0).unwrap_or(0);
        let start = self.head(&LARGEST, mtime)?.len() as u64;
        let file = Arc::new(file);
        let stored = StoredLayer { file: Arc::clone(&file), at: start, hasher: Sha256::new() };
        let gzip = ParallelGzip::new(stored, level, threads).map_err(Error::writing("layer", start))?;
        let layer = Layer { gzip: Some(gzip), diff_id: Sha256::new() };
        Ok(Archive { image: self, file, start, mtime, layer: Arc::new(Mutex::new(layer)) })
    }
}

/// An image in the making; see [`Image::archive`].
#[derive(Debug)]
pub struct Archive<F> {
    image: Image,
    file: Arc<F>,
    start: u64,
    mtime: u64,
    layer: Arc<Mutex<Layer<F>>>,
}

struct Layer<F> {
    /// Until it is finished.
    gzip: Option<ParallelGzip<StoredLayer<F>>>,
    diff_id: Sha256,
}

impl<F> std::fmt::Debug for Layer<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layer").finish_non_exhaustive()
    }
}

/// What gzip makes goes to the file, and is hashed.
struct StoredLayer<F> {
    file: Arc<F>,
    at: u64,
    hasher: Sha256,
}

impl<F: WriteAt> Write for StoredLayer<F> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(data, self.at)?;
        self.hasher.update(data);
        self.at += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the layer's tar goes.
#[derive(Debug)]
pub struct LayerWriter<F> {
    layer: Arc<Mutex<Layer<F>>>,
}

impl<F: WriteAt> Write for LayerWriter<F> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut layer = lock(&self.layer);
        let layer = &mut *layer;
        let gzip = layer.gzip.as_mut().ok_or_else(|| io::Error::other("the layer is finished"))?;
        gzip.write_all(data)?;
        layer.diff_id.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: WriteAt> Archive<F> {
    /// Where the layer's tar goes, its end included ([`tar::END`]).
    pub fn layer(&self) -> LayerWriter<F> {
        LayerWriter { layer: Arc::clone(&self.layer) }
    }

    /// Writes what follows the layer, and what had to wait for it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(self) -> Result<LayerFacts> {
        let Self { image, file, start, mtime, layer } = self;
        let (gzip, diff_id) = {
            let mut layer = lock(&layer);
            (layer.gzip.take(), std::mem::take(&mut layer.diff_id))
        };
        let gzip = gzip.ok_or_else(|| Error::impossible("the layer was finished before"))?;
        let stored = gzip.finish().map_err(Error::writing("layer", start))?;
        let facts = LayerFacts {
            diff_id: diff_id.finalize().into(),
            digest: stored.hasher.finalize().into(),
            size: stored.at - start,
        };
        let mut tail = vec![0; tar::padding(facts.size) as usize];
        tail.extend_from_slice(&tar::END);
        file.write_all_at(&tail, stored.at).map_err(Error::writing("end of the archive", stored.at))?;
        let head = image.head(&facts, mtime)?;
        assert_eq!(head.len() as u64, start, "what names a layer has one length");
        file.write_all_at(&head, 0).map_err(Error::writing("archive", 0))?;
        Ok(facts)
    }
}
