//! The steps of the script.

use std::net::IpAddr;

use super::quote::{powershell, quoted};
use super::{DOMAIN_BLOB, Extra, PFX, PFX_PASSWORD};
use crate::wishes::{Https, Interface, StagedKind, StagedPackage, Wishes};
use crate::{About, Error, Result, checks};

/// The program id under which WinRM binds certificates to ports.
const WINRM_APP_ID: &str = "{afebb9ad-9b97-4a91-9ab5-daf4d59122f6}";
/// Who may listen at WinRM's addresses: the services WinRM and Wecsvc, as Windows grants it for port 5985.
const WINRM_SDDL: &str = "D:(A;;GX;;;S-1-5-80-569256582-2953403351-2909559716-1301513147-412116970)\
                          (A;;GX;;;S-1-5-80-4059739203-877974739-1245631912-527174227-2996563517)";
/// Where WinRM keeps its listener for HTTPS on all addresses.
const HTTPS_LISTENER: &str = "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\WSMAN\\Listener\\*+HTTPS";
/// Modules of Windows PowerShell, in a command.
const MODULES: &str = "$env:SystemRoot\\System32\\WindowsPowerShell\\v1.0\\Modules";
/// How often a package or feature is tried. Servicing is often busy right after Setup.
const TRIES: u32 = 3;

/// What the script does, a section a step.
#[derive(Default)]
pub(super) struct Steps {
    pub(super) sections: Vec<(&'static str, Vec<String>)>,
    /// Labels with their lines, called by the sections.
    pub(super) subroutines: Vec<Vec<String>>,
    pub(super) report: Vec<String>,
    pub(super) notes: Vec<String>,
}

pub(super) fn steps(wishes: &Wishes, about: &About, extra: &Extra<'_>) -> Result<Steps> {
    let mut steps = Steps::default();
    let mut lines = Vec::new();
    for (position, network) in wishes.networks.iter().enumerate() {
        lines.extend(interface(network, position, about, &mut steps)?);
    }
    steps.section("network", lines);
    steps.section("firewall", extra.firewall.to_vec());
    if wishes.domain_blob.is_some() && about.is_nano() {
        steps.section("domain", domain());
    }
    if let Some(https) = &wishes.https {
        steps.section("HTTPS listener", https_listener(https, about)?);
    }
    let mut lines = Vec::new();
    for account in wishes.accounts.iter().filter(|account| account.password_never_expires) {
        lines.push(never_expires(&account.name));
    }
    steps.section("accounts", lines);
    let mut lines = Vec::new();
    for package in &wishes.packages {
        lines.push(staged(package, about)?);
        steps.report.push(format!("package {}: installed by the first boot", package.name));
    }
    for feature in &wishes.features {
        checks::feature(feature)?;
        // Capabilities have the form of a package's identity.
        let kind = if feature.contains("~~~~") { "capability" } else { "feature" };
        lines.push(format!("CALL :wf_{kind} \"{feature}\""));
        steps.report.push(format!("{kind} {feature}: enabled by the first boot"));
        if kind == "capability" {
            steps.notes.push(format!(
                "{feature}: Windows downloads capabilities, so the first boot needs a network"
            ));
        }
    }
    if !lines.is_empty() {
        steps.subroutines.extend(servicing(&lines));
    }
    steps.section("packages and features", lines);
    let services = extra.services.iter().flat_map(|service| {
        [format!("sc.exe config {service} start= auto"), format!("sc.exe start {service}")]
    });
    steps.section("services", services.collect());
    if wishes.grow {
        steps.section("disk", vec![grow()]);
        steps
            .report
            .push("disk: the Windows partition takes the room behind it at the first boot".to_owned());
    }
    Ok(steps)
}

impl Steps {
    fn section(&mut self, title: &'static str, lines: Vec<String>) {
        if !lines.is_empty() {
            self.sections.push((title, lines));
        }
    }
}

/// A command of PowerShell on one line. It must not contain double quotes. The program is named with its folder, as scripts
/// for Nano Server do, and without quotes, of which the shell would take the first and the last away in `FOR`.
fn powershell_line(command: &str) -> String {
    let program = "%SystemRoot%\\System32\\WindowsPowerShell\\v1.0\\powershell.exe";
    format!("{program} -NoProfile -NonInteractive -Command \"{command}\"")
}

/// The lines for one interface, in the form that New-NanoServerImage writes them.
fn interface(network: &Interface, position: usize, about: &About, steps: &mut Steps) -> Result<Vec<String>> {
    let option = format!("[[network]] {}", position + 1);
    let wrong = |reason: String| Err(Error::wish(option.as_str(), reason));
    let mut lines = Vec::new();
    let (shown, name) = match (&network.interface, &network.mac) {
        (Some(_), Some(_)) => return wrong("it has both interface and mac, expected one of them".to_owned()),
        (_, Some(mac)) => {
            let mac = checks::mac(&option, mac)?;
            // Windows 7 has no module for network adapters.
            let find = if about.build != 0 && about.build < 9200 {
                let colons = mac.replace('-', ":");
                format!(
                    "(Get-WmiObject Win32_NetworkAdapter | Where-Object {{ $_.MACAddress -eq '{colons}' }}).InterfaceIndex"
                )
            } else {
                format!(
                    "Import-Module {MODULES}\\NetAdapter; (Get-NetAdapter | Where-Object {{ $_.MacAddress -eq '{mac}' }}).ifIndex"
                )
            };
            lines.push("SET \"WF_IF=\"".to_owned());
            lines.push(format!(
                "FOR /F \"usebackq delims=\" %%I IN (`{}`) DO SET \"WF_IF=%%I\"",
                powershell_line(&find)
            ));
            lines.push(format!("IF NOT DEFINED WF_IF ECHO no interface has the address {mac}"));
            (mac, "\"%WF_IF%\"".to_owned())
        }
        (interface, None) => {
            let interface = interface.as_deref().unwrap_or("Ethernet");
            if interface.is_empty() {
                return wrong("the name of the interface is empty".to_owned());
            }
            let name = quoted(&option, interface).map_err(|_| {
                let reason = format!("the name {interface:?} is not ASCII: use its index, or mac");
                Error::wish(option.as_str(), reason)
            })?;
            (interface.to_owned(), name)
        }
    };
    let guard = if network.mac.is_some() { "IF DEFINED WF_IF " } else { "" };
    let mut netsh = |command: String| lines.push(format!("{guard}netsh {command}"));
    let mut gateways = [None, None];
    for gateway in &network.gateways {
        let family = &mut gateways[usize::from(gateway.is_ipv6())];
        if family.replace(gateway).is_some() {
            return wrong("it has two gateways of one family".to_owned());
        }
    }
    let [gateway4, gateway6] = gateways;
    let mut first = true;
    for address in network.addresses.iter().filter(|address| address.address().is_ipv4()) {
        let (ip, mask) = (address.address(), address.mask().expect("it is an IPv4 address"));
        if !usable(ip) || address.prefix() == 0 {
            return wrong(format!("{address} is no address of a machine"));
        }
        if first {
            let gateway = gateway4.map_or_else(String::new, |gateway| format!(" {gateway}"));
            netsh(format!("interface ipv4 set address {name} static {ip} {mask}{gateway}"));
        } else {
            netsh(format!("interface ipv4 add address {name} {ip} {mask}"));
        }
        first = false;
    }
    if first && gateway4.is_some() {
        return wrong("it has an IPv4 gateway and no IPv4 address".to_owned());
    }
    let mut first = true;
    for address in network.addresses.iter().filter(|address| address.address().is_ipv6()) {
        if !usable(address.address()) || address.prefix() == 0 {
            return wrong(format!("{address} is no address of a machine"));
        }
        // netsh takes 64 when nothing is said, and the module never says it.
        let prefix = if address.prefix() == 64 { String::new() } else { format!("/{}", address.prefix()) };
        let verb = if first { "set" } else { "add" };
        netsh(format!("interface ipv6 {verb} address {name} {}{prefix}", address.address()));
        first = false;
    }
    if let Some(gateway) = gateway6 {
        if first {
            return wrong("it has an IPv6 gateway and no IPv6 address".to_owned());
        }
        netsh(format!("interface ipv6 add route ::/0 {name} {gateway}"));
    }
    for gateway in network.gateways.iter() {
        let link_local = matches!(gateway, IpAddr::V6(address) if address.segments()[0] & 0xFFC0 == 0xFE80);
        if !usable(*gateway) && !link_local {
            return wrong(format!("{gateway} is no address of a machine"));
        }
        if !link_local && !network.addresses.iter().any(|address| address.contains(*gateway)) {
            return wrong(format!("the gateway {gateway} lies in the network of none of the addresses"));
        }
    }
    for (family, ipv6) in [("ipv4", false), ("ipv6", true)] {
        let servers = network.dns.iter().filter(|server| server.is_ipv6() == ipv6);
        for (index, server) in servers.enumerate() {
            if index == 0 {
                netsh(format!("interface {family} set dnsservers {name} static {server}"));
            } else {
                netsh(format!("interface {family} add dnsservers {name} {server} index={}", index + 1));
            }
        }
    }
    if network.addresses.is_empty() && network.dns.is_empty() {
        return wrong("it has neither addresses nor dns".to_owned());
    }
    let what: Vec<String> = network.addresses.iter().map(ToString::to_string).collect();
    let what = if what.is_empty() { "DNS servers".to_owned() } else { what.join(", ") };
    steps.report.push(format!("network {shown}: {what}"));
    Ok(lines)
}

fn usable(address: IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && !address.is_loopback()
}

/// The domain, where no answer file can say it.
fn domain() -> Vec<String> {
    let blob = format!("%SystemDrive%\\{DOMAIN_BLOB}");
    vec![
        format!("djoin.exe /requestodj /loadfile \"{blob}\" /windowspath \"%SystemRoot%\" /localos"),
        "IF %ERRORLEVEL% EQU 0 (SET \"WF_REBOOT=1\") ELSE ECHO djoin failed with %ERRORLEVEL%".to_owned(),
        format!("DEL /F /Q \"{blob}\""),
    ]
}

/// Imports the certificate, binds it to the port, and tells WinRM. The files go whatever happened.
fn https_listener(https: &Https, about: &About) -> Result<Vec<String>> {
    let thumbprint = checks::thumbprint(&https.thumbprint)?;
    checks::host_name(&https.host_name)?;
    let password = https.password.expose();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if password.is_empty() || password.len() > 127 || !password.bytes().all(plain) {
        let reason = "the password of the PKCS #12 file has to have 1 to 127 characters, of ASCII letters, digits, . _ and -";
        return Err(Error::wish("winrm-https", reason));
    }
    let (pfx, word) = (format!("%SystemDrive%\\{PFX}"), format!("%SystemDrive%\\{PFX_PASSWORD}"));
    let import = if about.is_nano() {
        format!("certoc.exe -ImportPFX -p \"%WF_PFX%\" My \"{pfx}\"")
    } else {
        format!("certutil.exe -f -p \"%WF_PFX%\" -importpfx My \"{pfx}\" NoExport")
    };
    let value = |name: &str, kind: &str, data: &str| {
        format!("reg.exe add \"{HTTPS_LISTENER}\" /f /v {name} /t {kind} /d {data}")
    };
    Ok(vec![
        "SET \"WF_PFX=\"".to_owned(),
        format!("SET /P WF_PFX=<\"{word}\""),
        import,
        "IF NOT %ERRORLEVEL% EQU 0 ECHO the certificate was not imported: %ERRORLEVEL%".to_owned(),
        "SET \"WF_PFX=\"".to_owned(),
        format!("DEL /F /Q \"{pfx}\" \"{word}\""),
        value("Port", "REG_DWORD", "5986"),
        value("enabled", "REG_DWORD", "1"),
        value("uriprefix", "REG_SZ", "wsman"),
        value("hostname", "REG_SZ", &https.host_name),
        value("certThumbprint", "REG_SZ", &thumbprint),
        format!("netsh http add urlacl url=https://+:5986/wsman/ \"sddl={WINRM_SDDL}\""),
        format!(
            "netsh http add sslcert ipport=0.0.0.0:5986 certhash={thumbprint} appid={WINRM_APP_ID} certstorename=MY"
        ),
        format!(
            "netsh http add sslcert ipport=[::]:5986 certhash={thumbprint} appid={WINRM_APP_ID} certstorename=MY"
        ),
        powershell_line(&format!(
            "Import-Module {MODULES}\\Microsoft.PowerShell.Management; Restart-Service -Name WinRM -Force"
        )),
    ])
}

/// Accounts are made by the answer file, which cannot say this. The module is of Windows 10 and Server 2016; wmic is of
/// everything before.
fn never_expires(name: &str) -> String {
    let set = powershell_line(&format!(
        "$ErrorActionPreference='Stop'; Import-Module {MODULES}\\Microsoft.PowerShell.LocalAccounts; \
         Set-LocalUser -Name {} -PasswordNeverExpires $true",
        powershell(name)
    ));
    if name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') && !name.contains('\'') {
        format!("{set} || wmic.exe useraccount where \"name='{name}'\" set PasswordExpires=FALSE")
    } else {
        set
    }
}

fn staged(package: &StagedPackage, about: &About) -> Result<String> {
    let what = || format!("package {}", package.name);
    let kind = match package.kind {
        StagedKind::Cab => "cab",
        StagedKind::Msu if about.is_nano() => {
            let reason = "Nano Server cannot install an .msu file: its cabinet has to be staged instead";
            return Err(Error::unsupported(what(), reason));
        }
        StagedKind::Msu => "msu",
    };
    let path = package.path.replace('/', "\\");
    let path = path.trim_start_matches('\\');
    // CALL reads its line twice: it would double carets and look for variables again.
    if path.is_empty()
        || path.contains([':', '*', '?', '%', '^'])
        || path.split('\\').any(|part| part == "..")
    {
        return Err(Error::wish(what(), format!("{:?} is no path in the image", package.path)));
    }
    let path = quoted(&what(), path)?;
    Ok(format!("CALL :wf_{kind} \"%SystemDrive%\\{}", &path[1..]))
}

/// Servicing by DISM or wusa, tried a few times, with the log beside the script. 3010 asks for a restart; 0x800F081E says
/// that it does not apply, 0x80240017 of wusa, too; its 0x240006 that it is there already.
fn servicing(calls: &[String]) -> Vec<Vec<String>> {
    let used = |label: &str| calls.iter().any(|call| call.starts_with(&format!("CALL :{label} ")));
    let log = "/logpath:\"%WF_DIR%\\dism.log\"";
    let mut subroutines = Vec::new();
    let kinds = [
        ("wf_cab", format!("dism.exe /online /quiet /norestart {log} /add-package /packagepath:\"%~1\"")),
        ("wf_msu", "wusa.exe \"%~1\" /quiet /norestart".to_owned()),
        (
            "wf_feature",
            format!("dism.exe /online /quiet /norestart {log} /enable-feature /all /featurename:\"%~1\""),
        ),
        (
            "wf_capability",
            format!("dism.exe /online /quiet /norestart {log} /add-capability /capabilityname:\"%~1\""),
        ),
    ];
    for (label, command) in kinds.iter().filter(|(label, _)| used(label)) {
        let mut lines = vec![
            format!(":{label}"),
            "SET \"WF_TRY=0\"".to_owned(),
            format!(":{label}_again"),
            "SET /A WF_TRY+=1 > NUL".to_owned(),
            "ECHO \"%~1\", attempt %WF_TRY%".to_owned(),
            command.clone(),
            "SET \"WF_CODE=%ERRORLEVEL%\"".to_owned(),
            "IF \"%WF_CODE%\"==\"3010\" SET \"WF_REBOOT=1\"".to_owned(),
        ];
        let done = ["0", "3010", "-2146498530", "2359302", "-2145124329"];
        let leave = if *label == "wf_cab" || *label == "wf_msu" { "GOTO wf_installed" } else { "EXIT /B 0" };
        lines.extend(done.iter().map(|code| format!("IF \"%WF_CODE%\"==\"{code}\" {leave}")));
        lines.extend([
            "ECHO \"%~1\" failed with %WF_CODE%".to_owned(),
            format!("IF %WF_TRY% GEQ {TRIES} EXIT /B 1"),
            // There is no console for timeout to wait at.
            "ping.exe -n 21 127.0.0.1 > NUL".to_owned(),
            format!("GOTO {label}_again"),
        ]);
        subroutines.push(lines);
    }
    if used("wf_cab") || used("wf_msu") {
        let lines = [":wf_installed", "ECHO \"%~1\" done with %WF_CODE%", "DEL /F /Q \"%~1\"", "EXIT /B 0"];
        subroutines.push(lines.map(str::to_owned).to_vec());
    }
    subroutines
}

/// Lets the Windows partition take the room behind it. What is in its way is removed only if it is a recovery partition
/// (type 0x27, or its GUID) that is the only one behind and has no files on it: then it is a place that was kept for a
/// recovery environment that the image has not.
fn grow() -> String {
    let statements = [
        "$ErrorActionPreference='Stop'".to_owned(),
        format!("Import-Module {MODULES}\\Storage"),
        "$c=Get-Partition -DriveLetter $env:SystemDrive.Substring(0,1)".to_owned(),
        "$b=@(Get-Partition -DiskNumber $c.DiskNumber | Where-Object { $_.Offset -gt $c.Offset })".to_owned(),
        "try { if ($b.Count -eq 1) { $r=$b[0]; \
         if ($r.MbrType -eq 39 -or $r.GptType -eq '{de94bba4-06d1-4d40-a16a-bfd50179d6ac}') { \
         $v=$r | Get-Volume; \
         if ($v -and $v.FileSystem -eq 'NTFS') { \
         $f=@(Get-ChildItem -LiteralPath $v.Path -Force | \
         Where-Object { $_.Name -ne 'System Volume Information' -and $_.Name -ne '$RECYCLE.BIN' }); \
         if ($f.Count -eq 0) { $r | Remove-Partition -Confirm:$false; Write-Output 'removed an empty recovery partition' } } } } } catch { Write-Output $_ }"
            .to_owned(),
        "$m=($c | Get-PartitionSupportedSize).SizeMax".to_owned(),
        "if ($m -gt $c.Size + 1MB) { $c | Resize-Partition -Size $m; Write-Output ('grown to ' + $m) }".to_owned(),
    ];
    powershell_line(&statements.join("; "))
}
