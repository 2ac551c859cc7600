//! What cannot be planned, and what the planner decides when two wishes exclude each other.

#![allow(clippy::unwrap_used)]

mod common;

use common::{DIRECTORY, REPARSE, SYMLINK, Tree, check, noise, units};
use disk::SectorSize;
use wimforge_ntfs_writer::{
    Builder, Ea, Error, Name, NamedStream, Node, NodeId, Note, Options, Plan, Reparse, Result, Source,
};

fn plan(tree: &Tree) -> Result<Plan> {
    tree.plan(Options::default()).map(|(plan, _)| plan)
}

#[track_caller]
fn malformed<T: std::fmt::Debug>(result: Result<T>, path: &str, part: &str) {
    match result {
        Err(Error::Malformed { path: found, reason }) => {
            assert_eq!(found, path);
            assert!(reason.contains(part), "{reason:?} does not say {part:?}");
        }
        other => panic!("{other:?}"),
    }
}

fn name(text: &str) -> Name {
    Name { long: units(text), short: None }
}

fn file() -> Node {
    Node { data: Some(Source::Empty), ..Node::default() }
}

fn dir() -> Node {
    Node { attributes: DIRECTORY, ..Node::default() }
}

#[test]
fn options_out_of_range() {
    let good = Options::default();
    for (bad, part) in [
        (Options { cluster_size: 3000, ..good.clone() }, "3000"),
        (Options { cluster_size: 256, ..good.clone() }, "256"),
        (Options { cluster_size: 4 << 20, ..good.clone() }, "4194304"),
        (Options { cluster_size: 2 << 20, hidden_sectors: 2048, ..good.clone() }, "begins at 0x100000"),
        (Options { record_size: 2048, ..good.clone() }, "2048"),
        (Options { sector_size: SectorSize::B4096, ..good.clone() }, "sector"),
        (Options { sector_size: SectorSize::B4096, cluster_size: 512, ..good.clone() }, "sector"),
        (Options { label: "x".repeat(33), ..good.clone() }, "33"),
        (Options { alignment: 3, ..good.clone() }, "3"),
        (Options { reserve_records: u32::MAX, ..good.clone() }, "limit"),
    ] {
        match Builder::new(bad).map(|_| ()) {
            Err(Error::Option { reason, .. }) => assert!(reason.contains(part), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn volume_lengths() {
    let plan = plan(&Tree::default()).unwrap();
    assert!(matches!(plan.lay_out(plan.min_size() + 1), Err(Error::Option { .. })));
    assert!(matches!(plan.lay_out(0), Err(Error::TooSmall { .. })));
    assert!(matches!(plan.lay_out(u64::MAX / 512 * 512), Err(Error::Option { .. })));
}

#[test]
fn names() {
    for bad in ["", ".", "..", "a/b", "a\\b", "a:b", "nul\0", &"x".repeat(256)] {
        let mut builder = Builder::new(Options::default()).unwrap();
        let node = builder.add_node(file()).unwrap();
        let outcome = builder.link(NodeId::ROOT, name(bad), node);
        assert!(matches!(outcome, Err(Error::Malformed { .. })), "{bad:?}");
    }
    let mut tree = Tree::default();
    let parent = tree.dir(0, "parent");
    tree.file(parent, "twice", &b""[..]);
    tree.file(parent, "twice", &b""[..]);
    malformed(plan(&tree), "\\parent\\twice", "twice");
    let mut tree = Tree::default();
    tree.file(0, "$mft", &b""[..]);
    malformed(plan(&tree), "\\$mft", "system file");
}

#[test]
fn what_is_no_tree() {
    let mut builder = Builder::new(Options::default()).unwrap();
    builder.add_node(file()).unwrap();
    malformed(builder.plan(), "(nameless file 1)", "no name");

    let mut builder = Builder::new(Options::default()).unwrap();
    let (a, b) = (builder.add_node(dir()).unwrap(), builder.add_node(dir()).unwrap());
    builder.link(a, name("b"), b).unwrap();
    builder.link(b, name("a"), a).unwrap();
    match builder.plan() {
        Err(Error::Malformed { reason, .. }) => assert!(reason.contains("loop")),
        other => panic!("{other:?}"),
    }

    let mut builder = Builder::new(Options::default()).unwrap();
    let a = builder.add_node(dir()).unwrap();
    builder.link(NodeId::ROOT, name("a"), a).unwrap();
    builder.link(NodeId::ROOT, name("again"), a).unwrap();
    malformed(builder.plan(), "\\again", "second name");

    let mut builder = Builder::new(Options::default()).unwrap();
    let a = builder.add_node(file()).unwrap();
    builder.link(NodeId::ROOT, name("a"), a).unwrap();
    malformed(builder.link(a, name("b"), a), "\\a\\b", "not a directory");
    malformed(builder.link(NodeId::ROOT, name("b"), NodeId::ROOT), "\\b", "root");
    malformed(builder.link(NodeId::ROOT, name("b"), NodeId(7)), "\\b", "never added");
    malformed(builder.link(NodeId(7), name("b"), a), "?\\b", "never added");
    malformed(builder.set_root(file()), "\\", "directory");
}

#[test]
fn nodes_that_ntfs_cannot_hold() {
    let with = |node: Node| {
        let mut builder = Builder::new(Options::default()).unwrap();
        let node = builder.add_node(node).unwrap();
        builder.link(NodeId::ROOT, name("x"), node).unwrap();
        builder.plan()
    };
    let stream = |name: &str| NamedStream { name: units(name), source: Source::Empty };
    let ea = |name: &[u8], len: usize| Ea { need: false, name: name.into(), value: vec![0; len].into() };
    let reparse =
        |tag, len: usize| Some(Reparse { tag, data: Source::Bytes(vec![0; len].into()), reserved: 0 });
    let data = Some(Source::Bytes([1].as_slice().into()));

    malformed(with(Node { data, ..dir() }), "\\x", "unnamed stream");
    malformed(with(Node { named: vec![stream("")], ..file() }), "\\x", "empty stream name");
    malformed(with(Node { named: vec![stream("a:b")], ..file() }), "\\x", ":");
    malformed(with(Node { named: vec![stream("a"), stream("A")], ..file() }), "\\x", "two streams");
    malformed(with(Node { eas: vec![ea(b"", 0)], ..file() }), "\\x", "name");
    malformed(with(Node { eas: vec![ea(b"A", 0), ea(b"a", 0)], ..file() }), "\\x", "two extended");
    malformed(with(Node { reparse: reparse(0x1234, 8), ..file() }), "\\x", "GUID");
    let limit = |node| match with(node) {
        Err(Error::Limit { path, found, limit, .. }) => {
            assert_eq!(path, "\\x");
            assert!(found > limit);
        }
        other => panic!("{other:?}"),
    };
    limit(Node { reparse: reparse(SYMLINK, 16_384), ..file() });
    limit(Node { eas: vec![ea(b"A", 65_535)], ..file() });
    limit(Node { named: (0..5000).map(|i| stream(&format!("{i}"))).collect(), ..file() });
    let huge = Node { data: Some(Source::Blob { blob: 0, len: u64::MAX }), ..file() };
    limit(huge);
    match with(Node { attributes: 0x4000, ..file() }) {
        Err(Error::Unsupported { path, .. }) => assert_eq!(path, "\\x"),
        other => panic!("{other:?}"),
    }
    // 4096 streams with the longest names do not fit the longest attribute list.
    let long = |i: usize| stream(&format!("{i}{}", "s".repeat(250)));
    limit(Node { named: (0..1000).map(long).collect(), ..file() });
    let large = Node { data: Some(Source::Blob { blob: 0, len: 1 << 44 }), ..file() };
    match with(large) {
        Err(Error::Limit { found, limit, .. }) => assert!(found > limit),
        other => panic!("{other:?}"),
    }
}

#[test]
fn more_names_than_windows_allows() {
    let mut tree = Tree::default();
    let node = tree.file(0, "first", &b""[..]);
    for i in 0..1024 {
        tree.link(0, &format!("{i}"), None, node);
    }
    assert!(matches!(plan(&tree), Err(Error::Limit { found: 1025, limit: 1024, .. })));
    tree.links.pop();
    plan(&tree).unwrap();
}

fn notes(tree: &Tree) -> Vec<Note> {
    let (plan, blobs) = tree.plan(Options::default()).unwrap();
    let volume = plan.lay_out(plan.min_size()).unwrap();
    check::compare(tree, &common::render(&volume, &blobs));
    let quiet = |note: &Note| !matches!(note, Note::DefaultSecurity { .. });
    volume.notes().iter().filter(|note| quiet(note)).cloned().collect()
}

#[test]
fn short_names_that_exclude_each_other() {
    type Files = [(&'static str, Option<&'static str>)];
    let cases: [(&Files, &[&str]); 9] = [
        (&[("long name 1", Some("LONGNA~1")), ("long name 2", Some("LONGNA~2"))], &[]),
        (&[("long name 1", Some("LONGNA~1")), ("long name 2", Some("longna~1"))], &["\\long name 2"]),
        (&[("long name 1", Some("OTHER")), ("other", None)], &["\\long name 1"]),
        (&[("same", Some("SAME"))], &[]),
        (&[("\u{E4}rger.txt", Some("\u{C4}RGER.TXT"))], &[]),
        (&[("same", Some("SAME")), ("long name", Some("same"))], &["\\long name"]),
        (&[("long name", Some("NOT SHORT"))], &["\\long name"]),
        (&[("ends in a dot.", Some("ENDSIN~1"))], &["\\ends in a dot."]),
        (
            &[("Case of it", Some("CASEOF~1")), ("case of it", Some("CASEOF~2"))],
            &["\\Case of it", "\\case of it"],
        ),
    ];
    for (files, lost) in cases {
        let mut tree = Tree::default();
        for &(long, short) in files {
            let node = tree.file(0, long, noise(1, 5));
            tree.links.last_mut().unwrap().short = short.map(Into::into);
            assert!(node > 0);
        }
        let found: Vec<_> = notes(&tree)
            .into_iter()
            .map(|note| match note {
                Note::ShortNameDropped { path, .. } => path,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(found, lost, "{files:?}");
    }
}

#[test]
fn attributes_that_contradict_the_file() {
    let mut tree = Tree::default();
    let file = tree.file(0, "not a link", &b""[..]);
    tree.files[file].attributes = REPARSE | 0x20;
    let file = tree.file(0, "a link", &b""[..]);
    tree.files[file].attributes = 0x20;
    tree.files[file].reparse = Some((SYMLINK, common::symlink("x")));
    let found = notes(&tree);
    assert!(
        matches!(&found[..], [
            Note::AttributesChanged { path: a, given: 0x420, written: 0x20, .. },
            Note::AttributesChanged { path: b, given: 0x20, written: 0x420, .. },
        ] if a == "\\not a link" && b == "\\a link"),
        "{found:?}"
    );
}

#[test]
fn object_ids_are_unique() {
    let mut tree = Tree::default();
    for name in ["first", "second"] {
        let file = tree.file(0, name, &b""[..]);
        tree.files[file].object_id = Some([7; 16]);
    }
    assert_eq!(notes(&tree), [Note::ObjectIdDropped { path: "\\second".into() }]);
}

#[test]
fn a_source_that_fails_says_where() {
    struct Fails;
    impl wimforge_ntfs_writer::ReadBlob for Fails {
        fn read_blob(&self, _: u32, _: u64, _: &mut [u8]) -> std::io::Result<()> {
            Err(std::io::Error::other("no"))
        }
    }
    let mut tree = Tree::default();
    tree.file(0, "resident", noise(1, 10));
    let (plan, _) = tree.plan(Options::default()).unwrap();
    let volume = plan.lay_out(plan.min_size()).unwrap();
    let mut buf = vec![0; volume.map().len() as usize];
    let error = volume.render(0, &mut buf, &Fails).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("reading the content for file record at 0x"), "{text}");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no");
}
