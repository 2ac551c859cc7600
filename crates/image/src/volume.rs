//! From a tree to an NTFS volume's plan. The one place that knows both.

use ntfs_writer as ntfs;

use crate::tree::{Content, Name, Node, Tree};
use crate::{Error, Result};

/// Plans the tree as an NTFS volume. `name` is for error messages.
pub(crate) fn plan(tree: Tree, options: ntfs::Options, name: &'static str) -> Result<ntfs::Plan> {
    let wrap = |source| Error::Volume { volume: name, source };
    let mut builder = ntfs::Builder::new(options).map_err(wrap)?;
    let descriptors = tree
        .descriptors
        .iter()
        .map(|descriptor| builder.add_descriptor(descriptor))
        .collect::<Result<Vec<_>, _>>()
        .map_err(wrap)?;
    drop(tree.descriptors);
    let len = |name: &Name| name.long.len() + name.short.as_ref().map_or(0, |short| short.len());
    builder.reserve(tree.nodes.len(), tree.names.len(), tree.names.iter().map(len).sum());
    // Nodes and names are consumed as they are handed over, so that the tree and the plan are never both whole.
    let mut ids = Vec::with_capacity(tree.nodes.len());
    for (index, node) in tree.nodes.into_iter().enumerate() {
        let security = node.security.map(|id| descriptors[id.0 as usize]);
        let node = adapt(node, security);
        if index == 0 {
            builder.set_root(node).map_err(wrap)?;
            ids.push(ntfs::NodeId::ROOT);
        } else {
            ids.push(builder.add_node(node).map_err(wrap)?);
        }
    }
    for name in tree.names {
        let (parent, node) = (ids[name.parent.0 as usize], ids[name.node.0 as usize]);
        builder.link(parent, ntfs::Name { long: name.long, short: name.short }, node).map_err(wrap)?;
    }
    builder.plan().map_err(wrap)
}

fn adapt(node: Node, security: Option<ntfs::DescriptorId>) -> ntfs::Node {
    ntfs::Node {
        attributes: node.attributes,
        times: ntfs::Times {
            created: node.times.created,
            modified: node.times.written,
            // A WIM does not carry the time of the last metadata change; the last write is the latest it is sure of.
            changed: node.times.written,
            accessed: node.times.accessed,
        },
        security,
        data: node.data.map(source),
        named: node
            .named
            .into_iter()
            .map(|stream| ntfs::NamedStream { name: stream.name, source: source(stream.content) })
            .collect(),
        reparse: node.reparse.map(|reparse| ntfs::Reparse {
            tag: reparse.tag,
            reserved: reparse.reserved,
            data: source(reparse.data),
        }),
        object_id: node.object_id.map(|object| ntfs::ObjectId { id: object.id, birth: object.birth }),
        eas: node
            .extended
            .into_iter()
            .map(|ea| ntfs::Ea { need: ea.need, name: ea.name, value: ea.value })
            .collect(),
    }
}

fn source(content: Content) -> ntfs::Source {
    match content {
        Content::Empty => ntfs::Source::Empty,
        Content::Bytes(bytes) => ntfs::Source::Bytes(bytes),
        Content::Blob { blob, len } => ntfs::Source::Blob { blob, len },
        Content::Hole { len } => ntfs::Source::Hole { len },
        Content::Missing { .. } => unreachable!("a tree with gaps is not built from"),
    }
}
