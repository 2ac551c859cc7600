//! `wimforge build`: each option is a key of a recipe.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use image::recipe::{CompactOs, RecipeFile, Size, Spelled};
use image::registry::HiveChoice;
use image::{
    Algorithm, BcdDevice, BootCode, BootMenu, CopyChoice, Format, ImageChoice, Layout, Level, Platform,
};

use super::{InIso, Resources, words};

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge build nano.wim -o nano.vmdk                  a compressed VMDK, for import anywhere
  wimforge build server.iso -i 2 -o core.vhd            from the install.wim of an ISO, in its place
  wimforge build server.iso --nano -i 1 -o nano.vmdk    from its NanoServer/NanoServer.wim
  wimforge build nano.wim -o nano.box --preset vagrant  a Vagrant box for VirtualBox
  wimforge build --recipe nano.toml                     all of it from a file; options go on top
  wimforge build install.wim -i \"Windows Server 2019 SERVERSTANDARD\" -o core.raw --layout mbr1
  wimforge build nano.wim -o - --format raw | ssh host 'cat > /dev/vg0/nano'
  wimforge build nano.wim -o small.vhd --compact-os     files stay compressed on the disk
  wimforge build nano.wim -o nano.vhd --dry-run         the recipe, the plan, the size
  wimforge build nano.wim -o nano.vhd --ems=1,115200 --test-signing --boot-menu legacy
  wimforge build core.wim -o core.vhd --computer-name web1 --preset winrm-https \\
      --admin-password-file pw.txt
  wimforge build server.iso -i 1 -o kvm.vhd --driver virtio-win.iso

Every option is a key of a recipe by the same name: `computer-name = \"web1\"`. Of what a recipe
and the command line both say, the command line is taken; what can be given several times is
joined. The boot files are the image's own (\\Windows\\Boot); the boot code is ours.
`wimforge check` follows the boot chain of a disk.")]
pub(crate) struct Build {
    /// The WIM file, or an ISO with one
    #[arg(value_name = "SOURCE", required_unless_present = "recipe")]
    source: Option<PathBuf>,
    #[command(flatten)]
    in_iso: InIso,
    /// The disk image to write; `-` is standard output, a block device is overwritten in place
    #[arg(short, long, value_name = "OUT", required_unless_present_any = ["recipe", "out"])]
    output: Option<PathBuf>,
    /// The same, as `convert` takes it
    #[arg(value_name = "OUT", conflicts_with = "output", hide = true)]
    out: Option<PathBuf>,
    /// Which image of the WIM, by number or name [needed when there are several]
    #[arg(short, long, value_name = "INDEX|NAME")]
    image: Option<Spelled<ImageChoice>>,
    /// A recipe: a TOML file with options of this command by their names
    #[arg(short, long, value_name = "FILE")]
    pub(crate) recipe: Option<PathBuf>,
    /// What several options together do, by name: winrm, winrm-https, vagrant, rdp, ems, quiet; or a TOML file of your own
    #[arg(long, value_name = "NAME|FILE", value_delimiter = ',', value_parser = words::presets(), hide_possible_values = true)]
    preset: Vec<String>,

    /// Container: raw, vhd, vhd-fixed, vhdx, vhdx-fixed, vmdk (compressed, for import), vmdk-sparse, vmdk-flat, vmdk-split,
    /// vdi, vdi-fixed, qcow2 or qcow2-compressed; a Vagrant box: box-virtualbox, box-hyperv, box-libvirt or box-vmware;
    /// ova; or oci, an image for containers in a tar, which is experimental [default: by OUT's extension; .box is for
    /// VirtualBox]
    #[arg(short, long, value_name = "FORMAT", help_heading = DISK, value_parser = words::spelled(Format::ALL, Format::name), hide_possible_values = true)]
    format: Option<Spelled<Format>>,
    /// Where the disk is to start: azure, hyperv, hyperv-gen1, virtualbox, vmware, esxi or kvm. Chooses container and layout,
    /// and refuses what is not taken there
    #[arg(long = "for", value_name = "PLATFORM", help_heading = DISK, value_parser = words::spelled(Platform::ALL, Platform::name), hide_possible_values = true)]
    platform: Option<Spelled<Platform>>,
    /// Partitions: mbr3 (System, Windows, Recovery), mbr1 (one), or for UEFI gpt (EFI system, Microsoft reserved,
    /// Windows, Recovery) [default: mbr3]
    #[arg(short, long, value_name = "LAYOUT", help_heading = DISK, value_parser = words::spelled(Layout::ALL, Layout::name), hide_possible_values = true)]
    layout: Option<Spelled<Layout>>,
    /// Size of the disk, whole MiB [default: what content and growth need, at least 4GiB]
    #[arg(short, long, value_name = "SIZE", help_heading = DISK)]
    size: Option<Spelled<Size>>,
    /// Size of the System partition [default: 350MiB; with gpt 260MiB]
    #[arg(long, value_name = "SIZE", help_heading = DISK)]
    system_size: Option<Spelled<Size>>,
    /// Size of the Recovery partition [default: 500MiB, or what the image's recovery environment needs]
    #[arg(long, value_name = "SIZE", help_heading = DISK)]
    recovery_size: Option<Spelled<Size>>,
    /// Cluster size of the Windows volume: 512 to 2MiB (above 64KiB: Windows 10 1709 or later) [default: 4KiB]
    #[arg(long, value_name = "SIZE", help_heading = DISK)]
    cluster_size: Option<Spelled<Size>>,
    /// Make 8.3 names for files that have none in the image [default: only those of the image]
    #[arg(long, help_heading = DISK)]
    short_names: bool,
    /// Keep files compressed on the disk, as `compact /CompactOS` does: lzx (copied from a source in LZX), xpress4k,
    /// xpress8k or xpress16k [default: what the source has, else xpress8k]
    #[arg(long, value_name = "ALGORITHM", num_args = 0..=1, require_equals = true, help_heading = DISK, value_parser = words::spelled(Algorithm::ALL, Algorithm::name), hide_possible_values = true)]
    compact_os: Option<Option<Spelled<Algorithm>>>,
    /// With --compact-os: do not decode what is copied compressed, to check its SHA-1
    #[arg(long, help_heading = DISK)]
    no_verify_source: bool,
    /// With --compact-os: go on though the image has no wof.sys
    #[arg(long, help_heading = DISK)]
    assume_wof: bool,
    /// Compression of a VMDK: fast, default or best [default: default]
    #[arg(long, value_name = "LEVEL", help_heading = DISK, value_parser = words::spelled(Level::ALL, Level::name), hide_possible_values = true)]
    level: Option<Spelled<Level>>,
    /// Text from which disk signature, serial numbers and ids derive [default: the WIM's own hashes]
    #[arg(long, value_name = "TEXT", help_heading = DISK)]
    seed: Option<String>,

    /// Name of the machine in a box or an OVA [default: OUT's name]
    #[arg(long, value_name = "NAME", help_heading = PACKAGE)]
    machine_name: Option<String>,
    /// Its memory, a multiple of 4MiB [default: 2GiB]
    #[arg(long, value_name = "SIZE", help_heading = PACKAGE)]
    machine_memory: Option<Spelled<Size>>,
    /// Its processors [default: 2]
    #[arg(long, value_name = "NUMBER", help_heading = PACKAGE)]
    machine_cpus: Option<u32>,
    /// Where the box is going to be found: writes a catalog beside it (OUT with .catalog.json) that `vagrant box add` takes
    #[arg(long, value_name = "URL", help_heading = PACKAGE)]
    catalog: Option<String>,
    /// The box's version in that catalog [default: 1.0.0]
    #[arg(long, value_name = "VERSION", help_heading = PACKAGE)]
    box_version: Option<String>,

    /// Copy no boot files, write no BCD, leave the recovery environment where it is
    #[arg(long, help_heading = BOOT)]
    no_boot_files: bool,
    /// Code that a BIOS runs: own, from-image (Microsoft's, where a file of the image carries it) or none [default: own]
    #[arg(long, value_name = "WHOSE", help_heading = BOOT, value_parser = words::spelled(BootCode::ALL, BootCode::name), hide_possible_values = true)]
    boot_code: Option<Spelled<BootCode>>,
    /// How the BCD names partitions: partition (exactly), or locate (the first that has the file: for clones and
    /// differencing disks) [default: partition]
    #[arg(long, value_name = "HOW", help_heading = BOOT, value_parser = words::spelled(BcdDevice::ALL, BcdDevice::name), hide_possible_values = true)]
    bcd_device: Option<Spelled<BcdDevice>>,
    /// Take boot files signed by "Windows UEFI CA 2023", where the image has them (bcdboot /bootex)
    #[arg(long, help_heading = BOOT)]
    bootex: bool,
    /// Seconds that the boot menu waits when there is a choice [default: 30]
    #[arg(long, value_name = "SECONDS", help_heading = BOOT)]
    boot_timeout: Option<u32>,
    /// Boot menu: legacy (text, works on a serial console) or standard [default: what suits the edition]
    #[arg(long, value_name = "KIND", help_heading = BOOT, value_parser = words::spelled(BootMenu::ALL, BootMenu::name), hide_possible_values = true)]
    boot_menu: Option<Spelled<BootMenu>>,
    /// Emergency management services: Windows talks on a serial port [default with --ems: 1,115200]
    #[arg(long, value_name = "PORT[,BAUD]", num_args = 0..=1, require_equals = true, default_missing_value = "1",
          help_heading = BOOT)]
    ems: Option<Spelled<bcd::Ems>>,
    /// Kernel debugging: serial[:PORT[,BAUD]], net:IPV4:PORT:KEY, usb:TARGET, 1394:CHANNEL or local
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "serial",
          help_heading = BOOT)]
    debug: Option<Spelled<bcd::Debug>>,
    /// Load drivers that are signed with a test certificate
    #[arg(long, help_heading = BOOT)]
    test_signing: bool,

    /// Name of the computer, up to 15 letters, digits and hyphens; `*` lets Windows choose
    #[arg(long, value_name = "NAME", help_heading = IDENTITY)]
    computer_name: Option<String>,
    /// File with the Administrator's password, one line; `-` asks on the terminal, or reads standard input
    #[arg(long, value_name = "FILE", help_heading = IDENTITY)]
    admin_password_file: Option<PathBuf>,
    /// A local account: name=NAME,password-file=FILE[,groups=GROUP][,full-name=…][,description=…]
    /// [,password-never-expires=true]; may be repeated
    #[arg(long, value_name = "KEY=VALUE,…", help_heading = IDENTITY)]
    account: Vec<Account>,
    /// Time zone, by the name that Windows has for it: \"W. Europe Standard Time\"
    #[arg(long, value_name = "NAME", help_heading = IDENTITY)]
    time_zone: Option<String>,
    /// Formats, keyboard and language of programs without Unicode: de-DE
    #[arg(long, value_name = "NAME", help_heading = IDENTITY)]
    locale: Option<String>,
    /// Language of menus, one that the image has
    #[arg(long, value_name = "NAME", help_heading = IDENTITY)]
    ui_language: Option<String>,
    /// Keyboard: de-DE, or 0407:00000407 [default: --locale]
    #[arg(long, value_name = "NAME", help_heading = IDENTITY)]
    input_locale: Option<String>,
    /// Language of programs without Unicode [default: --locale]
    #[arg(long, value_name = "NAME", help_heading = IDENTITY)]
    system_locale: Option<String>,
    /// Formats of dates and numbers [default: --locale]
    #[arg(long, value_name = "NAME", help_heading = IDENTITY)]
    user_locale: Option<String>,
    /// Whom Windows is registered to
    #[arg(long, value_name = "NAME", help_heading = IDENTITY)]
    owner: Option<String>,
    /// The organisation that it is registered to
    #[arg(long, value_name = "NAME", help_heading = IDENTITY)]
    organization: Option<String>,
    /// Product key, five groups of five
    #[arg(long, value_name = "KEY", help_heading = IDENTITY)]
    product_key: Option<String>,
    /// Join a domain with what `djoin /provision /savefile` wrote
    #[arg(long, value_name = "FILE", help_heading = IDENTITY)]
    domain_blob: Option<PathBuf>,

    /// Static addresses: interface=NAME,addresses=IP/PREFIX[,gateways=IP][,dns=IP][,mac=…]; may be repeated
    #[arg(long, value_name = "KEY=VALUE,…", help_heading = NETWORK)]
    network: Vec<Network>,
    /// Firewall: name=…,ports=N[,protocol=tcp][,profiles=private]…, or enable=RULE|GROUP; may be repeated
    #[arg(long, value_name = "KEY=VALUE,…", help_heading = NETWORK)]
    firewall: Vec<Firewall>,
    /// The firewall lets remote management (WinRM, port 5985) in from every network
    #[arg(long, help_heading = NETWORK)]
    remote_management: bool,
    /// Administrators are administrators over the network, too, not only the built-in one
    #[arg(long, help_heading = NETWORK)]
    remote_administrators: bool,
    /// WinRM starts with the machine and listens (Nano Server and Server do by themselves)
    #[arg(long, help_heading = NETWORK)]
    winrm: bool,
    /// WinRM takes passwords in the clear (basic authentication)
    #[arg(long, help_heading = NETWORK)]
    winrm_basic: bool,
    /// WinRM takes messages that are not encrypted: with --winrm-basic, whoever sees the network sees the password
    #[arg(long, help_heading = NETWORK)]
    winrm_unencrypted: bool,
    /// The firewall lets WinRM in from public networks and all addresses
    #[arg(long, help_heading = NETWORK)]
    winrm_public: bool,
    /// WinRM over HTTPS, with a certificate that is made here
    #[arg(long, help_heading = NETWORK)]
    winrm_https: bool,
    /// Private key of that certificate; made if it is not there [default: OUT with .winrm.key]
    #[arg(long, value_name = "FILE", help_heading = NETWORK)]
    winrm_key: Option<PathBuf>,
    /// Another name or address in that certificate; may be repeated
    #[arg(long, value_name = "NAME", help_heading = NETWORK)]
    winrm_name: Vec<String>,
    /// Remote Desktop
    #[arg(long, help_heading = NETWORK)]
    rdp: bool,
    /// The first network counts as a private one
    #[arg(long, help_heading = NETWORK)]
    private_network: bool,
    /// SSH keys that may log in as administrators: an authorized_keys file; may be repeated
    #[arg(long, value_name = "FILE", help_heading = NETWORK)]
    ssh_key: Vec<PathBuf>,

    /// An answer file; what options ask for is put into it
    #[arg(long, value_name = "FILE", help_heading = FIRST_BOOT)]
    unattend: Option<PathBuf>,
    /// Commands for the end of setup, one a line
    #[arg(long, value_name = "FILE", help_heading = FIRST_BOOT)]
    setup_complete: Option<PathBuf>,
    /// A command for the end of setup; may be repeated
    #[arg(long, value_name = "COMMAND", help_heading = FIRST_BOOT)]
    first_boot: Vec<String>,
    /// No questions between the first boot and the first logon
    #[arg(long, help_heading = FIRST_BOOT)]
    quiet_setup: bool,
    /// Enable an optional feature at the first boot; may be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = FIRST_BOOT)]
    feature: Vec<String>,
    /// At the first boot Windows takes the room behind it; an empty Recovery partition goes
    #[arg(long, help_heading = FIRST_BOOT)]
    grow: bool,

    /// Drivers: a folder, an INF file, a cabinet, a ZIP archive or an ISO such as virtio-win; may be repeated
    #[arg(long, value_name = "PATH", help_heading = CONTENT)]
    driver: Vec<PathBuf>,
    /// Take drivers without a signature that holds
    #[arg(long, help_heading = CONTENT)]
    allow_unsigned: bool,
    /// A package: a cabinet or a .msu file; may be repeated
    #[arg(long, value_name = "FILE", help_heading = CONTENT)]
    package: Vec<PathBuf>,
    /// Packages of Nano Server's medium: Compute, Containers, Storage, …
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = CONTENT)]
    packages: Vec<String>,
    /// The medium's package for machines of metal
    #[arg(long, help_heading = CONTENT)]
    host: bool,
    /// The medium's package for guests of Hyper-V
    #[arg(long, help_heading = CONTENT)]
    guest: bool,
    /// The medium's drivers
    #[arg(long, help_heading = CONTENT)]
    oem_drivers: bool,
    /// Copy a file or folder into the image; may be repeated
    #[arg(long, value_name = "SRC=DST", help_heading = CONTENT)]
    copy: Vec<Spelled<CopyChoice>>,
    /// Put a hive into the image's registry: a whole one (SOFTWARE=file), or in the place of a key
    /// (HKLM\\SYSTEM\\Vendor=file); before all else; may be repeated
    #[arg(long, value_name = "KEY=FILE", help_heading = CONTENT)]
    hive: Vec<Spelled<HiveChoice>>,
    /// Import a .reg file into the image's registry; after all else; may be repeated
    #[arg(long, value_name = "FILE", help_heading = CONTENT)]
    reg: Vec<PathBuf>,
    /// A value of the registry: key=KEY,name=NAME,value=DATA[,type=dword]; may be repeated
    #[arg(long, value_name = "KEY=VALUE,…", help_heading = CONTENT)]
    registry: Vec<Registry>,

    /// Replace OUT if it exists, or overwrite a block device
    #[arg(long, help_heading = RUN)]
    pub(crate) force: bool,
    /// Print the resolved recipe and the plan, write nothing
    #[arg(long, help_heading = RUN)]
    pub(crate) dry_run: bool,
    /// Write a description of what was built to OUT.json: inputs with their hashes, the recipe, what was done
    #[arg(long, help_heading = RUN)]
    pub(crate) manifest: bool,
    /// Write notes and the report to a file, too
    #[arg(long, value_name = "FILE", help_heading = RUN)]
    pub(crate) log: Option<PathBuf>,
    /// Write what the disk has otherwise than the image, on purpose, for `verify --against --record`
    #[arg(long, value_name = "FILE", help_heading = RUN)]
    pub(crate) record: Option<PathBuf>,
    /// Say where the time went, by stage and thread (on standard error; with --json in the result)
    #[arg(long, help_heading = RUN)]
    pub(crate) profile: bool,
    #[command(flatten, next_help_heading = RUN)]
    pub(crate) resources: Resources,
}

const DISK: &str = "Disk";
const PACKAGE: &str = "Boxes and OVA";
const BOOT: &str = "Boot";
const IDENTITY: &str = "Identity";
const NETWORK: &str = "Network";
const FIRST_BOOT: &str = "First boot";
const CONTENT: &str = "Drivers, packages, files, registry";
const RUN: &str = "This run";

/// Options that say how a build runs, and so are no keys of a recipe.
#[cfg(test)]
const NOT_IN_RECIPES: &[&str] =
    &["recipe", "force", "dry-run", "manifest", "log", "record", "profile", "threads", "memory"];

impl Build {
    /// The same as a recipe.
    pub(crate) fn to_recipe(&self) -> image::Result<RecipeFile> {
        Ok(RecipeFile {
            source: self.source.clone(),
            wim: self.in_iso.wim.clone(),
            nano: self.in_iso.nano,
            image: self.image.clone(),
            output: self.output.clone().or_else(|| self.out.clone()),
            format: self.format.clone(),
            r#for: self.platform.clone(),
            preset: self.preset.clone(),
            layout: self.layout.clone(),
            size: self.size.clone(),
            system_size: self.system_size.clone(),
            recovery_size: self.recovery_size.clone(),
            cluster_size: self.cluster_size.clone(),
            short_names: self.short_names,
            compact_os: self
                .compact_os
                .clone()
                .map(|how| how.map_or(CompactOs::Whether(true), CompactOs::How)),
            assume_wof: self.assume_wof,
            no_verify_source: self.no_verify_source,
            level: self.level.clone(),
            seed: self.seed.clone(),
            machine_name: self.machine_name.clone(),
            machine_memory: self.machine_memory.clone(),
            machine_cpus: self.machine_cpus,
            catalog: self.catalog.clone(),
            box_version: self.box_version.clone(),
            no_boot_files: self.no_boot_files,
            boot_code: self.boot_code.clone(),
            bcd_device: self.bcd_device.clone(),
            bootex: self.bootex,
            boot_timeout: self.boot_timeout,
            boot_menu: self.boot_menu.clone(),
            ems: self.ems.clone(),
            debug: self.debug.clone(),
            test_signing: self.test_signing,
            computer_name: self.computer_name.clone(),
            admin_password_file: self.admin_password_file.clone(),
            time_zone: self.time_zone.clone(),
            locale: self.locale.clone(),
            ui_language: self.ui_language.clone(),
            input_locale: self.input_locale.clone(),
            system_locale: self.system_locale.clone(),
            user_locale: self.user_locale.clone(),
            owner: self.owner.clone(),
            organization: self.organization.clone(),
            product_key: self.product_key.clone(),
            domain_blob: self.domain_blob.clone(),
            quiet_setup: self.quiet_setup,
            unattend: self.unattend.clone(),
            setup_complete: self.setup_complete.clone(),
            first_boot: self.first_boot.clone(),
            feature: self.feature.clone(),
            grow: self.grow,
            remote_management: self.remote_management,
            remote_administrators: self.remote_administrators,
            winrm: self.winrm,
            winrm_basic: self.winrm_basic,
            winrm_unencrypted: self.winrm_unencrypted,
            winrm_public: self.winrm_public,
            winrm_https: self.winrm_https,
            winrm_key: self.winrm_key.clone(),
            winrm_name: self.winrm_name.clone(),
            rdp: self.rdp,
            private_network: self.private_network,
            ssh_key: self.ssh_key.clone(),
            driver: self.driver.clone(),
            allow_unsigned: self.allow_unsigned,
            package: self.package.clone(),
            packages: self.packages.clone(),
            host: self.host,
            guest: self.guest,
            oem_drivers: self.oem_drivers,
            copy: self.copy.clone(),
            hive: self.hive.clone(),
            reg: self.reg.clone(),
            account: self.account.iter().map(Account::table).collect::<Result<_, _>>()?,
            network: self.network.iter().map(Network::table).collect::<Result<_, _>>()?,
            firewall: self.firewall.iter().map(Firewall::table).collect::<Result<_, _>>()?,
            registry: self.registry.iter().map(Registry::table).collect::<Result<_, _>>()?,
        })
    }
}

/// Tables of a recipe, on the command line: `key=value,key=value`. What a table has lists of is given several times.
macro_rules! tables {
    ($($name:ident = $table:ident, $of:path, [$($list:literal),*], [$($flag:literal),*];)*) => {$(
        /// As it was typed: what is wrong with it is said later, without repeating it, since it may hold what it should
        /// not.
        #[derive(Clone)]
        struct $name(String);

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl $name {
            fn table(&self) -> image::Result<$of> {
                RecipeFile::table(&self.0, &[$($list),*], &[$($flag),*])
                    .map_err(|problem| image::Error::Recipe(format!("--{}: {problem}", stringify!($table))))
            }
        }
    )*};
}

tables! {
    Account = account, image::recipe::Account, ["groups"], ["password-never-expires"];
    Network = network, image::recipe::Interface, ["addresses", "gateways", "dns"], [];
    Firewall = firewall, image::recipe::FirewallRule,
        ["ports", "remote-ports", "remote-addresses", "profiles"], ["public"];
    Registry = registry, image::recipe::RegistryValue, [], ["delete"];
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Args;

    #[test]
    fn every_option_is_a_key_and_every_key_an_option() {
        let command = Args::command();
        let build = command.find_subcommand("build").unwrap();
        let mut options: Vec<&str> = build.get_arguments().filter_map(|arg| arg.get_long()).collect();
        options
            .retain(|option| !NOT_IN_RECIPES.contains(option) && !["json", "quiet", "help"].contains(option));
        options.push("source");
        options.sort_unstable();
        let mut keys = RecipeFile::keys().to_vec();
        keys.sort_unstable();
        assert_eq!(options, keys);
    }

    #[test]
    fn tables_on_the_command_line() {
        let network =
            Network::from("interface=Ethernet 2,addresses=10.0.0.2/24,dns=1.1.1.1,dns=8.8.8.8").table();
        let network = network.unwrap();
        assert_eq!(network.interface.as_deref(), Some("Ethernet 2"));
        assert_eq!(network.dns.len(), 2);
        let account = Account::from("name=a,password-file=p,password-never-expires=true").table().unwrap();
        assert!(account.password_never_expires);
        assert_eq!(account.groups, ["Administrators"]);
        let value = Registry::from(r"key=HKLM\SOFTWARE\X,name=a,type=dword,value=5").table().unwrap();
        assert!(value.operation().is_ok());
        for (wrong, says) in [
            ("name", "key=value"),
            ("nam=a", "did you mean \"name\"?"),
            ("name=a,name=b", "twice"),
            // A password on a command line is one that everybody on the machine sees.
            ("name=a,password=b", "password-file"),
        ] {
            let error = Account::from(wrong).table().unwrap_err().to_string();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }
}
