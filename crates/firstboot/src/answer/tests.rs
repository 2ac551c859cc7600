use super::*;
use crate::{AnswerFile, Architecture, DomainBlob, InstallationType, Locale};

fn nano() -> About {
    About { installation: InstallationType::Nano, build: 14393, ..About::default() }
}

fn wishes() -> Wishes {
    Wishes {
        computer_name: Some("NANO1".to_owned()),
        administrator_password: Some(Secret::new("pä&ss")),
        accounts: vec![Account {
            name: "vagrant".to_owned(),
            password: Some(Secret::new("vagrant")),
            groups: vec!["Administrators".to_owned()],
            ..Account::default()
        }],
        time_zone: Some("UTC".to_owned()),
        owner: Some("A & B".to_owned()),
        ..Wishes::default()
    }
}

fn with(xml: &str, wishes: Wishes) -> Wishes {
    Wishes {
        unattend: Some(AnswerFile { name: "my.xml".to_owned(), bytes: xml.as_bytes().to_vec() }),
        ..wishes
    }
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.content.clone().unwrap()).unwrap()
}

#[test]
fn a_new_answer_file() {
    let answer = answer(&wishes(), &nano()).unwrap();
    assert!(answer.holds_secret && answer.our_secret && !answer.logon_commands);
    let expected = r#"<?xml version="1.0" encoding="utf-8"?>
<!-- Written by wimforge. Windows reads this file at its first boot. -->
<unattend xmlns="urn:schemas-microsoft-com:unattend" xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State">
  <settings pass="specialize">
    <component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">
      <ComputerName>NANO1</ComputerName>
      <RegisteredOwner>A &amp; B</RegisteredOwner>
    </component>
  </settings>
  <settings pass="oobeSystem">
    <component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">
      <TimeZone>UTC</TimeZone>
      <UserAccounts>
        <AdministratorPassword>
          <Value>cADkACYAcwBzAEEAZABtAGkAbgBpAHMAdAByAGEAdABvAHIAUABhAHMAcwB3AG8AcgBkAA==</Value>
          <PlainText>false</PlainText>
        </AdministratorPassword>
        <LocalAccounts>
          <LocalAccount wcm:action="add">
            <Name>vagrant</Name>
            <Group>Administrators</Group>
            <Password>
              <Value>dgBhAGcAcgBhAG4AdABQAGEAcwBzAHcAbwByAGQA</Value>
              <PlainText>false</PlainText>
            </Password>
          </LocalAccount>
        </LocalAccounts>
      </UserAccounts>
    </component>
  </settings>
</unattend>
"#;
    assert_eq!(text(&answer), expected);
}

#[test]
fn nothing_wished_is_nothing_written() {
    assert!(answer(&Wishes::default(), &nano()).unwrap().content.is_none());
    // The bytes stay when nothing is added, whatever their form.
    let xml = "<u:unattend xmlns:u='urn:schemas-microsoft-com:unattend'\r\n/>";
    let answer = answer(&with(xml, Wishes::default()), &nano()).unwrap();
    assert_eq!(answer.content.as_deref(), Some(xml.as_bytes()));
}

/// Merging what is there already changes nothing.
#[test]
fn merging_twice_is_merging_once() {
    let first = text(&answer(&wishes(), &nano()).unwrap());
    let again = answer(&with(&first, wishes()), &nano()).unwrap();
    assert_eq!(text(&again), first);
    assert!(!again.our_secret && again.holds_secret);
}

const THEIRS: &str = r#"<?xml version="1.0"?>
<unattend xmlns="urn:schemas-microsoft-com:unattend">
    <settings pass="oobeSystem">
        <component name="Microsoft-Windows-Shell-Setup" processorArchitecture="x86" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS"><TimeZone>other</TimeZone></component>
        <component name="Microsoft-Windows-Shell-Setup" processorArchitecture="AMD64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS" xmlns:q="http://schemas.microsoft.com/WMIConfig/2002/State">
            <!-- mine -->
            <UserAccounts>
                <LocalAccounts>
                    <LocalAccount q:action="add">
                        <Name>Vagrant</Name>
                        <Password><Value>vagrant</Value><PlainText>true</PlainText></Password>
                        <Group>administrators</Group>
                    </LocalAccount>
                </LocalAccounts>
            </UserAccounts>
            <Unknown a="b"><![CDATA[ <x> ]]></Unknown>
        </component>
    </settings>
    <cpi:offlineImage cpi:source="wim:x" xmlns:cpi="urn:schemas-microsoft-com:cpi" />
</unattend>
"#;

#[test]
fn theirs_stays_and_ours_is_added_where_it_belongs() {
    let mut wishes = wishes();
    wishes.accounts.push(Account { name: "second".to_owned(), ..Account::default() });
    let merged = text(&answer(&with(THEIRS, wishes), &nano()).unwrap());
    for kept in [
        "<!-- mine -->",
        "<![CDATA[ <x> ]]>",
        "<TimeZone>other</TimeZone>",
        "cpi:source=\"wim:x\"",
        "<Name>Vagrant</Name>",
    ] {
        assert_eq!(merged.matches(kept).count(), 1, "{kept}");
    }
    assert!(!merged.contains("<Name>vagrant</Name>"));
    assert!(
        merged.contains(
            "                    <LocalAccount q:action=\"add\">\n                      <Name>second</Name>"
        ),
        "{merged}"
    );
    assert!(
        merged.contains("</Unknown>\n            <TimeZone>UTC</TimeZone>\n        </component>"),
        "{merged}"
    );
    assert!(merged.contains("    <settings pass=\"specialize\">"));
}

#[test]
fn conflicts_are_named_and_secrets_are_not_shown() {
    let conflict = |wishes: Wishes| match answer(&with(THEIRS, wishes), &nano()) {
        Err(error @ Error::Conflict { .. }) => error.to_string(),
        other => panic!("{:?}", other.map(|answer| answer.content)),
    };
    let mut other = wishes();
    other.accounts[0].password = Some(Secret::new("hunter2"));
    let said = conflict(other);
    assert!(
        !said.contains("hunter2")
            && said.contains("LocalAccount \"Vagrant\"/Password")
            && said.contains("my.xml")
    );
    let mut other = wishes();
    other.accounts[0].groups.clear();
    assert!(conflict(other).contains("/Group says \"administrators\""));
    let mut other = wishes();
    other.accounts[0].full_name = Some("V".to_owned());
    assert!(conflict(other).contains("/DisplayName says nothing"));

    // The other pass counts, too, and so does a second element.
    let xml = |inside: &str| {
        format!(
            "<unattend xmlns=\"{UNATTEND}\"><settings pass=\"specialize\"><component name=\"{SHELL_SETUP}\" \
         processorArchitecture=\"amd64\">{inside}</component></settings></unattend>"
        )
    };
    let zone = || Wishes { time_zone: Some("UTC".to_owned()), ..Wishes::default() };
    let merged = |inside: &str| answer(&with(&xml(inside), zone()), &nano());
    assert!(matches!(merged("<TimeZone>GMT Standard Time</TimeZone>"), Err(Error::Conflict { .. })));
    assert!(matches!(merged("<TimeZone>UTC</TimeZone><TimeZone>x</TimeZone>"), Err(Error::Conflict { .. })));
    assert_eq!(text(&merged("<TimeZone> utc </TimeZone>").unwrap()), xml("<TimeZone> utc </TimeZone>"));
    let key =
        || Wishes { product_key: Some(Secret::new("WC2BQ-8NRM3-FDDYY-2BFGV-KHKQY")), ..Wishes::default() };
    let error =
        answer(&with(&xml("<ProductKey>AAAAA</ProductKey>"), key()), &nano()).err().unwrap().to_string();
    assert!(!error.contains("AAAAA") && !error.contains("KHKQY") && error.contains("product-key"), "{error}");
}

#[test]
fn prefixes_and_namespaces_are_minded() {
    let xml = format!(
        "<u:unattend xmlns:u=\"{UNATTEND}\"><u:settings pass=\"oobeSystem\"><component xmlns=\"urn:foreign\" \
         name=\"{SHELL_SETUP}\" processorArchitecture=\"amd64\"><TimeZone>x</TimeZone></component></u:settings></u:unattend>"
    );
    let merged = text(&answer(&with(&xml, wishes()), &nano()).unwrap());
    assert!(merged.contains("<u:TimeZone>UTC</u:TimeZone>") && merged.contains("<TimeZone>x</TimeZone>"));
    let document = Document::parse("", merged.as_bytes()).unwrap();
    assert!(any(&document.root, &|element| element.attribute("xmlns:wcm") == Some(WCM)));
    for wrong in
        ["<unattend/>", "<x xmlns='urn:schemas-microsoft-com:unattend'/>", "<unattend xmlns='urn:x'/>"]
    {
        assert!(matches!(answer(&with(wrong, wishes()), &nano()), Err(Error::Malformed { .. })), "{wrong}");
    }
}

#[test]
fn every_wish_has_its_setting() {
    let wishes = Wishes {
        product_key: Some(Secret::new("wc2bq-8nrm3-fddyy-2bfgv-khkqy")),
        organization: Some("O".to_owned()),
        domain_blob: Some(DomainBlob::from_file_bytes("blob", b"QUJD").unwrap()),
        rdp: true,
        quiet: true,
        locale: Locale::all("de-DE"),
        ..wishes()
    };
    let about = |installation| About {
        installation,
        architecture: Architecture::Arm64,
        build: 26100,
        ..About::default()
    };
    let server = text(&answer(&wishes, &about(InstallationType::Server)).unwrap());
    for part in [
        "<ProductKey>WC2BQ-8NRM3-FDDYY-2BFGV-KHKQY</ProductKey>",
        "<AccountData>QUJD</AccountData>",
        "<fDenyTSConnections>false</fDenyTSConnections>",
        "<HideLocalAccountScreen>true",
        "<UILanguage>de-DE<",
        "<InputLocale>de-DE<",
        "<SystemLocale>de-DE<",
        "<UserLocale>de-DE<",
        "<RegisteredOrganization>O<",
        "processorArchitecture=\"arm64\"",
    ] {
        assert!(server.contains(part), "{part}");
    }
    let client = text(&answer(&wishes, &about(InstallationType::Client)).unwrap());
    assert!(client.contains("<HideOnlineAccountScreens>true") && !client.contains("HideLocalAccountScreen"));
    let nano = text(&answer(&wishes, &about(InstallationType::Nano)).unwrap());
    for part in ["AccountData", "OOBE", "fDenyTSConnections"] {
        assert!(!nano.contains(part), "{part}");
    }
}
