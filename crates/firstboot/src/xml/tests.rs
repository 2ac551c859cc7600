use super::*;
use crate::Error;

fn parse(text: &str) -> Document {
    Document::parse("test", text.as_bytes()).unwrap()
}

fn refused(text: &[u8]) -> Error {
    Document::parse("test", text).unwrap_err()
}

#[test]
fn everything_survives() {
    let text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- a -->\n<?b c?>\n<r xmlns=\"urn:x\" xmlns:w=\"urn:y\" a=\"1&quot;'&#10;\">\n  \
                t&amp;&lt;&gt;\"'<![CDATA[<&]]><!--d--><?e f?><w:g w:h=\"i\">&#13;ä€😀</w:g><k />\n</r>\n<!--l-->\n";
    let document = parse(text);
    assert_eq!(String::from_utf8(document.to_bytes()).unwrap(), text);
    assert_eq!(parse(text), document);
}

#[test]
fn encodings() {
    let text = "<?xml version=\"1.0\" encoding=\"utf-16\"?><a b=\"ä\">€</a>";
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let plain = parse(&text.replace("utf-16", "utf-8"));
    for bytes in [
        little.clone(),
        big.clone(),
        [&[0xFF, 0xFE][..], &little].concat(),
        [&[0xFE, 0xFF][..], &big].concat(),
    ] {
        assert_eq!(Document::parse("test", &bytes).unwrap(), plain);
    }
    assert_eq!(parse("\u{FEFF}<a b='ä'>€</a>"), plain);
    // Only ASCII, whatever it says.
    parse("<?xml version='1.0' encoding='windows-1252'?><a/>");
    for bytes in [
        &b"<a>\xE4</a>"[..],
        b"<?xml version='1.0' encoding='windows-1252'?><a>\xC3\xA4</a>",
        &little[..little.len() - 1],
    ] {
        assert!(matches!(refused(bytes), Error::Malformed { .. }));
    }
}

#[test]
fn places_are_those_of_the_file() {
    let text = "<a>\n<b>\u{1F600}</c></a>";
    let Error::Malformed { offset, reason, .. } = refused(text.as_bytes()) else { panic!() };
    assert_eq!((offset, reason.split(':').next()), (11, Some("line 2")));
    let wide: Vec<u8> = [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let Error::Malformed { offset, .. } = refused(&wide) else { panic!() };
    assert_eq!(offset, 2 + 2 * 9);
    // Half a character at the end, with a mark and without.
    for bytes in [&b"<\0a\0/\0>"[..], b"\xFF\xFE<\0a\0/\0>"] {
        let Error::Malformed { offset, .. } = refused(bytes) else { panic!() };
        assert_eq!(offset, bytes.len() as u64 - 1);
    }
}

#[test]
fn what_is_not_well_formed_is_refused() {
    let wrong = [
        "",
        " ",
        "a",
        "<a",
        "<a>",
        "</a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>b",
        "b<a/>",
        "<a b/>",
        "<a b=c/>",
        "<a b='1'c='2'/>",
        "<a b='1' b='2'/>",
        "<a b='<'/>",
        "<a b='&x;'/>",
        "<a>&x;</a>",
        "<a>&</a>",
        "<a>&#0;</a>",
        "<a>&#xD800;</a>",
        "<a>&#x110000;</a>",
        "<a>&#;</a>",
        "<a>&#x;</a>",
        "<a>&#+1;</a>",
        "<a>]]></a>",
        "<1/>",
        "<a:b/>",
        "<a:/>",
        "<:a/>",
        "<a x:b='1'/>",
        "<a xmlns:x='urn:1' xmlns:y='urn:1' x:b='1' y:b='1'/>",
        "<a xmlns:x=''/>",
        "<a xmlns:xml='urn:1'/>",
        "<a xmlns:xmlns='urn:1'/>",
        "<xmlns:a xmlns='urn:1'/>",
        "<a><!-- -- --></a>",
        "<a><!-- ---></a>",
        "<a>\u{1}</a>",
        "<a b='\u{FFFE}'/>",
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        "<a><?xml version='1.0'?></a>",
        " <?xml version='1.0'?><a/>",
        "<?xml version='1.1'?><a/>",
        "<?xml?><a/>",
        "<a/><![CDATA[x]]>",
        "<a><?1 2?></a>",
        "<a>\u{0}</a>",
        "<a><!></a>",
        "<a><!b></a>",
    ];
    for text in wrong {
        assert!(matches!(Document::parse("test", text.as_bytes()), Err(Error::Malformed { .. })), "{text:?}");
    }
}

#[test]
fn limits_hold() {
    let deep = |levels: usize| format!("{}{}", "<a>".repeat(levels), "</a>".repeat(levels));
    parse(&deep(MAX_DEPTH));
    let many = |count: usize| format!("<a>{}</a>", "<b/>".repeat(count));
    parse(&many(1000));
    let attributes = |count: usize| {
        let list: String = (0..count).map(|number| format!(" a{number}=''")).collect();
        format!("<a{list}/>")
    };
    parse(&attributes(MAX_ATTRIBUTES));
    for text in [
        deep(MAX_DEPTH + 1),
        deep(500_000),
        many(MAX_NODES),
        attributes(MAX_ATTRIBUTES + 1),
        attributes(100_000),
        " ".repeat(MAX_BYTES + 1),
    ] {
        assert!(matches!(refused(text.as_bytes()), Error::Limit { .. }), "{}", text.len());
    }
}

#[test]
fn added_elements_are_indented_like_their_siblings() {
    let added = |text: &str| {
        let mut document = parse(text);
        let (child, indent) = document.root.push_element(Element::new("c"), "\n");
        child.push_element(Element::new("d"), &indent);
        let written = String::from_utf8(document.to_bytes()).unwrap();
        written.strip_prefix("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n").unwrap().to_owned()
    };
    assert_eq!(added("<a>\n    <b>1</b>\n</a>"), "<a>\n    <b>1</b>\n    <c>\n      <d />\n    </c>\n</a>\n");
    assert_eq!(added("<a/>"), "<a>\n  <c>\n    <d />\n  </c>\n</a>\n");
    assert_eq!(added("<a>  \n </a>"), "<a>\n  <c>\n    <d />\n  </c>\n</a>\n");
    assert_eq!(added("<a><b/></a>"), "<a><b /><c>\n  <d />\n</c></a>\n");
    assert_eq!(added("<a>\n  <!-- x -->\n</a>"), "<a>\n  <!-- x -->\n  <c>\n    <d />\n  </c>\n</a>\n");
    assert_eq!(added("<a>\n\n\n\t<b/>\n</a>"), "<a>\n\n\n\t<b />\n\t<c>\n\t  <d />\n\t</c>\n</a>\n");
}

#[test]
fn elements_are_found_with_their_indentation() {
    let mut document = parse("<a>\n  <b/><c/>x\n <d/></a>");
    let mut indent = |number| {
        document.root.element_mut(number, "!").map(|(element, indent)| (element.name.clone(), indent))
    };
    assert_eq!(indent(0), Some(("b".to_owned(), "\n  ".to_owned())));
    assert_eq!(indent(1), Some(("c".to_owned(), "!".to_owned())));
    assert_eq!(indent(2), Some(("d".to_owned(), "\n ".to_owned())));
    assert_eq!(indent(3), None);
}

/// A password in which somebody forgot to write `&amp;` or `&lt;`.
#[test]
fn errors_do_not_repeat_what_stands_there() {
    for inside in [
        "p&geheim;",
        "p&geheim",
        "p<geheim",
        "p<a:geheim>",
        "</geheim>",
        "<!geheim",
        "<?geheim",
        "<!--geheim",
        "<a geheim=1>",
        "<a b='&geheim;'/>",
        "<a geheim:b=''/>",
        "<a b='1' b='geheim'/>",
    ] {
        let error = refused(format!("<Password><Value>{inside}</Value></Password>").as_bytes());
        assert!(!format!("{error} {error:?}").contains("geheim"), "{inside}: {error}");
    }
    let error = refused("<?xml version='1.0' encoding='geheim'?><a>ä</a>".as_bytes());
    assert!(!error.to_string().contains("geheim"), "{error}");
}
