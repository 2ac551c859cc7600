//! To come.
#![allow(missing_docs)]

mod error;
mod node;
mod options;

use disk::ExtentMap;

pub use error::{Error, Result};
pub use node::{
    DescriptorId, Ea, Name, NamedStream, Node, NodeId, Note, ObjectId, ReadBlob, Reparse, Source, Times,
};
pub use options::{Geometry, Options};

#[derive(Debug)]
pub struct Builder {}
#[derive(Debug)]
pub struct Plan {}
#[derive(Debug)]
pub struct Volume {}

impl Builder {
    pub fn new(options: Options) -> Result<Self> {
        options.check()?;
        Ok(Self {})
    }
    pub fn add_descriptor(&mut self, _descriptor: &[u8]) -> Result<DescriptorId> {
        Ok(DescriptorId(0))
    }
    pub fn set_root(&mut self, _node: Node) -> Result<()> {
        Ok(())
    }
    pub fn add_node(&mut self, _node: Node) -> Result<NodeId> {
        Ok(NodeId(0))
    }
    pub fn link(&mut self, _parent: NodeId, _name: Name, _node: NodeId) -> Result<()> {
        Ok(())
    }
    pub fn plan(self) -> Result<Plan> {
        Ok(Plan {})
    }
}

impl Plan {
    pub fn min_size(&self) -> u64 {
        0
    }
    pub fn content_size(&self) -> u64 {
        0
    }
    pub fn lay_out(&self, _volume_len: u64) -> Result<Volume> {
        Ok(Volume {})
    }
    /// What was decided so far.
    pub fn notes(&self) -> &[Note] {
        &[]
    }
}

impl Volume {
    pub fn map(&self) -> &ExtentMap {
        unreachable!()
    }
    pub fn render(&self, _offset: u64, _buf: &mut [u8], _blobs: &dyn ReadBlob) -> Result<()> {
        Ok(())
    }
    pub fn notes(&self) -> &[Note] {
        &[]
    }
}
