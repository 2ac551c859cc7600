//! Which blobs are read late: when file records are rendered, behind all file data.

use disk::{Content, ExtentMap};

use crate::tree::{self, Tree};

/// Larger blobs are never read to render a record: reparse points end at 16 KiB, resident data before.
const LARGEST: u16 = 16 << 10;
/// Blobs up to this size may be resident in one file and not in another.
const LARGEST_RESIDENT: u16 = 1024;

/// The blobs of trees that may lie in file records.
#[derive(Debug, Default)]
pub(crate) struct SmallBlobs {
    /// The length of each blob, by number; 0 for those that are not small. Nearly all numbers of a source are in use,
    /// so this is smaller than any map, and filled in without looking around.
    lens: Vec<u16>,
}

impl SmallBlobs {
    /// Adds those of a tree.
    pub(crate) fn add(&mut self, tree: &Tree) {
        let contents = tree.nodes.iter().flat_map(|node| {
            let named = node.named.iter().map(|stream| &stream.content);
            node.data.iter().chain(node.reparse.iter().map(|reparse| &reparse.data)).chain(named)
        });
        for content in contents {
            if let tree::Content::Blob { blob, len } = *content
                && let Ok(len @ 1..=LARGEST) = u16::try_from(len)
            {
                let blob = blob as usize;
                if blob >= self.lens.len() {
                    self.lens.resize((blob + 1).next_power_of_two(), 0);
                }
                self.lens[blob] = len;
            }
        }
    }

    /// The numbers, ascending, of those that some record holds in the end.
    pub(crate) fn late(mut self, map: &ExtentMap) -> Vec<u32> {
        for extent in map.extents() {
            if let Content::Blob { blob, .. } = extent.content
                && let Some(len) = self.lens.get_mut(blob as usize)
                && *len > LARGEST_RESIDENT
            {
                *len = 0;
            }
        }
        (0..).zip(self.lens).filter_map(|(blob, len)| (len > 0).then_some(blob)).collect()
    }
}

#[cfg(test)]
mod tests {
    use disk::Label;

    use super::*;
    use crate::tree::{ATTRIBUTE_DIRECTORY, Node, Times};

    #[test]
    fn small_blobs_are_late_unless_they_lie_in_clusters() {
        let mut tree = Tree::empty(Times::default());
        for (blob, len) in [(7, 700), (2, 2_000), (3, 3_000), (9, 16 << 10), (1, (16 << 10) + 1), (40, 1)] {
            let mut node = Node::directory(Times::default(), None);
            node.attributes &= !ATTRIBUTE_DIRECTORY;
            node.data = Some(tree::Content::Blob { blob, len });
            tree.nodes.push(node);
        }
        let mut small = SmallBlobs::default();
        small.add(&tree);
        let mut map = ExtentMap::new();
        for (blob, len) in [(7, 700), (3, 3_000), (1, (16 << 10) + 1), (1_000, 5)] {
            map.push(len, Content::Blob { blob, offset: 0 }, Label::new("file data"));
        }
        assert_eq!(small.late(&map), [2, 7, 9, 40]);
    }
}
