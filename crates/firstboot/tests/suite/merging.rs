//! Answer files that are in use, merged with everything, seen by another reader.

use std::fs;

use firstboot::{About, Account, AnswerFile, Architecture, Error, InstallationType, Locale, Secret, Wishes};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{file, planned, python_sees};

const PATH: &str = "Windows\\Panther\\unattend.xml";

fn account(name: &str) -> Account {
    Account {
        name: name.to_owned(),
        password: Some(Secret::new("hunter2")),
        groups: vec!["Administrators".to_owned(), "Remote Desktop Users".to_owned()],
        full_name: Some("Some <One>".to_owned()),
        ..Account::default()
    }
}

/// Wishes that contradict none of the samples.
fn wishes() -> Wishes {
    Wishes {
        accounts: vec![account("one"), account("zwei ä")],
        time_zone: Some("UTC".to_owned()),
        product_key: Some(Secret::new("WC2BQ-8NRM3-FDDYY-2BFGV-KHKQY")),
        ..Wishes::default()
    }
}

fn with(name: &str, bytes: &[u8], wishes: Wishes) -> Wishes {
    Wishes { unattend: Some(AnswerFile { name: name.to_owned(), bytes: bytes.to_vec() }), ..wishes }
}

/// Whether `part` is what remains of `whole` when lines are taken out.
fn is_within(part: &[String], whole: &[String]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|line| whole.any(|other| other == line))
}

#[test]
fn the_check_for_losses_finds_losses() {
    let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert!(is_within(&lines("a b"), &lines("x a y b z")));
    assert!(!is_within(&lines("a b"), &lines("b a")));
    assert!(!is_within(&lines("a a"), &lines("a b")));
}

#[test]
fn samples_lose_nothing() {
    let Some(samples) = testkit::samples() else { return };
    let mut seen = 0;
    for entry in fs::read_dir(samples.join("unattend")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("a file");
        let name = path.file_name().expect("a name").to_string_lossy();
        let about = About {
            installation: if name.contains("win2") {
                InstallationType::Server
            } else {
                InstallationType::Client
            },
            build: 14393,
            ..About::default()
        };
        let plan = planned(&with(&name, &bytes, wishes()), &about);
        let merged = &file(&plan, PATH).content;
        let (Some(before), Some(after)) = (python_sees(&bytes), python_sees(merged)) else { return };
        assert!(is_within(&before, &after), "{name} lost something");
        assert!(after.len() > before.len() + 40, "{name}: {} and {}", before.len(), after.len());
        // Comments, which that reader does not show.
        let comments = |bytes: &[u8]| String::from_utf8_lossy(bytes).matches("<!--").count();
        assert_eq!(comments(&bytes), comments(merged), "{name}");
        // Their own command of the first logon runs what would have been deleted.
        assert!(plan.secrets.iter().any(|secret| secret.path == PATH && secret.until.contains("by hand")));

        // Once more changes nothing.
        let again = planned(&with(&name, merged, wishes()), &about);
        assert!(file(&again, PATH).content == *merged, "{name}");

        // What they say themselves is no conflict, and anything else is one.
        let password = |password: &str| Wishes {
            administrator_password: Some(Secret::new(password)),
            ..Wishes::default()
        };
        let same = planned(&with(&name, &bytes, password("admin")), &about);
        assert!(file(&same, PATH).content == bytes, "{name}");
        let other = firstboot::plan(
            &with(&name, &bytes, password("secret1")),
            &about,
            crate::support::bare_system().root(),
            None,
        );
        let error = other.expect_err("it says admin");
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains("AdministratorPassword") && said.contains(&*name), "{said}");
        assert!(!said.contains("secret1") && !said.contains("YQBk"), "{said}");
        seen += 1;
    }
    assert_eq!(seen, 5);
}

/// XML as people and programs write it: any names, attributes, texts, comments, namespaces.
fn element(depth: u32) -> BoxedStrategy<String> {
    let text = || "[ a-z<&>\"'äß€\\n\\t]{0,12}".prop_map(|text| escape(&text));
    let attributes = || {
        vec(("[a-z]{1,4}", "[ a-z<&\"äß€]{0,8}"), 0..3).prop_map(|list| {
            let mut seen = std::collections::BTreeSet::new();
            let list = list.into_iter().filter(|(name, _)| name != "xmlns" && seen.insert(name.clone()));
            list.map(|(name, value)| format!(" {name}=\"{}\"", escape(&value))).collect::<String>()
        })
    };
    let name = || {
        prop_oneof![
            Just("UserAccounts".to_owned()),
            Just("LocalAccounts".to_owned()),
            Just("component".to_owned()),
            "[A-Z][a-z]{0,5}".prop_map(|name| name)
        ]
    };
    let leaf = (name(), attributes(), text())
        .prop_map(|(name, attributes, text)| format!("<{name}{attributes}>{text}</{name}>"));
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = (
        name(),
        attributes(),
        vec(
            prop_oneof![3 => element(depth - 1), 1 => text(), 1 => Just("<!-- c -->".to_owned()), 1 => Just("<![CDATA[<&]]>".to_owned())],
            0..4,
        ),
    );
    let branch = inner.prop_map(|(name, attributes, children)| {
        format!("<{name}{attributes}>{}</{name}>", children.concat())
    });
    prop_oneof![leaf, branch].boxed()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn answer_file() -> impl Strategy<Value = String> {
    let component = (
        prop_oneof![
            Just("Microsoft-Windows-Shell-Setup"),
            Just("Microsoft-Windows-International-Core"),
            Just("Other")
        ],
        prop_oneof![Just("amd64"), Just("wow64"), Just("x86")],
        vec(element(3), 0..4),
    )
        .prop_map(|(name, architecture, children)| {
            format!(
                "<component name=\"{name}\" processorArchitecture=\"{architecture}\">{}</component>",
                children.concat()
            )
        });
    let settings =
        (prop_oneof![Just("specialize"), Just("oobeSystem"), Just("windowsPE")], vec(component, 0..3))
            .prop_map(|(pass, components)| {
                format!("<settings pass=\"{pass}\">\n  {}\n</settings>", components.join("\n"))
            });
    vec(settings, 0..4).prop_map(|settings| {
        format!("<unattend xmlns=\"urn:schemas-microsoft-com:unattend\">{}</unattend>", settings.concat())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is merged stays, in its order, for a reader that is not ours; and merging again changes nothing.
    #[test]
    fn nothing_is_lost(xml in answer_file()) {
        let about = About { architecture: Architecture::Amd64, ..About::default() };
        let wishes = Wishes { locale: Locale::all("de-DE"), ..wishes() };
        let plan = planned(&with("x", xml.as_bytes(), wishes.clone()), &about);
        let merged = &file(&plan, PATH).content;
        let (Some(before), Some(after)) = (python_sees(xml.as_bytes()), python_sees(merged)) else { return Ok(()) };
        // White space between elements may change, and so may where a text is cut by what was added.
        prop_assert!(is_within(&before, &after), "{xml}\n{}", String::from_utf8_lossy(merged));
        let again = planned(&with("x", merged, wishes), &about);
        prop_assert_eq!(&file(&again, PATH).content, merged);
    }
}
