//! What a user asks of a boot configuration beyond that it starts: EMS, a debugger, test signing, the menu.
//!
//! The elements each wish needs are those that bcdedit's `/ems`, `/bootems`, `/emssettings`, `/debug`, `/bootdebug` and
//! `/dbgsettings` set, and that New-NanoServerImage sets for the same wishes.

use std::net::Ipv4Addr;
use std::str::FromStr;

use disk::Guid;

use crate::{Element, ElementType, Error, Object, ObjectType, Result, Store, names};

/// Wishes that apply to a store or to a BCD-Template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Emergency Management Services on a serial port: a console without a screen.
    pub ems: Option<Ems>,
    /// A kernel debugger, also for the boot applications.
    pub debug: Option<Debug>,
    /// Drivers with test signatures load.
    pub test_signing: bool,
    /// Drivers load unsigned (Windows 7 and 8 do not listen).
    pub no_integrity_checks: bool,
    /// The kind of menu, if not the one that the edition has.
    pub boot_menu: Option<BootMenuPolicy>,
}

/// A serial port for Emergency Management Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ems {
    /// 1 is COM1.
    pub port: u8,
    /// Bits per second.
    pub baud: u32,
}

/// How a kernel debugger reaches the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Debug {
    /// Over a serial port.
    Serial {
        /// 1 is COM1.
        port: u8,
        /// Bits per second.
        baud: u32,
    },
    /// Over IEEE 1394.
    Ieee1394 {
        /// 1 to 62.
        channel: u8,
    },
    /// Over USB.
    Usb {
        /// The name that the debugger uses, too.
        target: String,
    },
    /// Over the network (Windows 8 and later).
    Net {
        /// Where the debugger runs.
        host: Ipv4Addr,
        /// 49152 to 65535.
        port: u16,
        /// Four groups of letters and digits with dots between them.
        key: String,
        /// Whether the machine asks for an address.
        dhcp: bool,
        /// Bus, device and function of the adapter, such as `0.25.0`.
        bus_parameters: Option<String>,
    },
    /// On the machine itself (Windows 8 and later).
    Local,
}

/// The kind of boot menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootMenuPolicy {
    /// Text, before the system is loaded: the one that can be used over a serial port.
    Legacy,
    /// Graphics, after the system is loaded.
    Standard,
}

impl BootMenuPolicy {
    pub(crate) const fn number(self) -> u64 {
        match self {
            Self::Legacy => 0,
            Self::Standard => 1,
        }
    }
}

impl Options {
    /// Sets the elements that these wishes need, and leaves all others as they are.
    ///
    /// Settings of ports go to `{emssettings}` and `{dbgsettings}`, which are made if they are missing; switches to
    /// every object of `loaders` and, if there is one, to `{bootmgr}`.
    ///
    /// # Errors
    /// [`Error::Impossible`] for numbers and keys that Windows would not take.
    pub fn apply(&self, store: &mut Store, loaders: &[Guid]) -> Result<()> {
        use ElementType as E;
        if let Some(ems) = self.ems {
            ems.check()?;
            let settings = settings(store, names::EMS_SETTINGS);
            settings.set(E::EMS_PORT, Element::Integer(ems.port.into()));
            settings.set(E::EMS_BAUD_RATE, Element::Integer(ems.baud.into()));
            switch(store, loaders, &[E::EMS, E::BOOT_EMS]);
            switch(store, &[names::BOOTMGR], &[E::BOOT_EMS]);
        }
        if let Some(debug) = &self.debug {
            debug.check()?;
            let settings = settings(store, names::DBG_SETTINGS);
            for element in DEBUG_ELEMENTS {
                settings.elements.remove(element);
            }
            for (element, value) in debug.elements() {
                settings.set(element, value);
            }
            switch(store, loaders, &[E::DEBUG, E::BOOT_DEBUG]);
            switch(store, &[names::BOOTMGR], &[E::BOOT_DEBUG]);
        }
        if self.test_signing {
            switch(store, loaders, &[E::TEST_SIGNING]);
        }
        if self.no_integrity_checks {
            switch(store, loaders, &[E::NO_INTEGRITY_CHECKS]);
        }
        if let Some(policy) = self.boot_menu {
            for loader in loaders {
                if let Some(loader) = store.object_mut(*loader) {
                    loader.set(E::BOOT_MENU_POLICY, Element::Integer(policy.number()));
                }
            }
        }
        Ok(())
    }
}

/// `legacy` or `standard`.
impl FromStr for BootMenuPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "legacy" => Ok(Self::Legacy),
            "standard" => Ok(Self::Standard),
            _ => Err(Error::text(text, "a boot menu (known: legacy, standard)")),
        }
    }
}

/// Bits per second of a serial port when nobody says.
const USUAL_BAUD: u32 = 115_200;

/// `1`, `COM1` or `1,115200`.
impl FromStr for Ems {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (port, baud) = text.split_once(',').map_or((text, None), |(port, baud)| (port, Some(baud)));
        let port = port.trim();
        let is_com = port.get(..3).is_some_and(|name| name.eq_ignore_ascii_case("com"));
        let digits = if is_com { &port[3..] } else { port };
        let ems = digits.parse().ok().and_then(|port| {
            let baud = baud.map_or(Ok(USUAL_BAUD), |baud| baud.trim().parse());
            Some(Self { port, baud: baud.ok()? })
        });
        let ems = ems.filter(|ems| ems.check().is_ok());
        ems.ok_or_else(|| Error::text(text, "a serial port, such as 1 (COM1) or 1,115200"))
    }
}

/// `serial[:PORT[,BAUD]]`, `net:IPV4:PORT:KEY`, `usb:TARGET`, `1394:CHANNEL` or `local`.
impl FromStr for Debug {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (kind, rest) = text.split_once(':').map_or((text, None), |(kind, rest)| (kind, Some(rest)));
        let debug = match (kind, rest) {
            ("serial", rest) => {
                let Ems { port, baud } = rest.unwrap_or("1").parse()?;
                Some(Self::Serial { port, baud })
            }
            ("net", Some(rest)) => {
                let mut parts = rest.splitn(3, ':');
                let mut next = || parts.next().unwrap_or_default();
                let (host, port, key) = (next().parse().ok(), next().parse().ok(), next().to_owned());
                host.zip(port).map(|(host, port)| Self::Net {
                    host,
                    port,
                    key,
                    dhcp: true,
                    bus_parameters: None,
                })
            }
            ("usb", Some(target)) => Some(Self::Usb { target: target.to_owned() }),
            ("1394", Some(channel)) => channel.parse().ok().map(|channel| Self::Ieee1394 { channel }),
            ("local", None) => Some(Self::Local),
            _ => None,
        };
        let debug = debug.ok_or_else(|| {
            let known = "serial[:PORT[,BAUD]], net:IPV4:PORT:KEY, usb:TARGET, 1394:CHANNEL, local";
            Error::text(text, format!("a way to debug (known: {known})"))
        })?;
        debug.check()?;
        Ok(debug)
    }
}

/// What says how a debugger is reached: one way excludes the others.
const DEBUG_ELEMENTS: &[ElementType] = &[
    ElementType::DEBUG_TYPE,
    ElementType::DEBUG_PORT,
    ElementType::BAUD_RATE,
    ElementType::CHANNEL,
    ElementType::TARGET_NAME,
    ElementType::BUS_PARAMETERS,
    ElementType::HOST_IP,
    ElementType::HOST_PORT,
    ElementType::DHCP,
    ElementType::KEY,
];

/// The object with settings that others inherit.
fn settings(store: &mut Store, id: Guid) -> &mut Object {
    if store.object(id).is_none() {
        store.insert(Object::new(id, names::type_of_named(id).unwrap_or(ObjectType::INHERIT_LIBRARY)));
    }
    store.object_mut(id).expect("it was made if it was missing")
}

/// Turns elements on in the objects that exist.
fn switch(store: &mut Store, objects: &[Guid], elements: &[ElementType]) {
    for id in objects {
        if let Some(object) = store.object_mut(*id) {
            for element in elements {
                object.set(*element, Element::Boolean(true));
            }
        }
    }
}

fn impossible<T>(what: String) -> Result<T> {
    Err(Error::Impossible(what))
}

fn check_port(port: u8, baud: u32) -> Result<()> {
    match (port, baud) {
        (0, _) => impossible("COM ports count from 1".to_owned()),
        (_, 0) => impossible("a serial port of 0 baud".to_owned()),
        _ => Ok(()),
    }
}

impl Ems {
    fn check(self) -> Result<()> {
        check_port(self.port, self.baud)
    }
}

impl Debug {
    fn check(&self) -> Result<()> {
        match self {
            Self::Serial { port, baud } => check_port(*port, *baud),
            Self::Ieee1394 { channel } if !(1..=62).contains(channel) => {
                impossible(format!("channel {channel} of IEEE 1394, expected 1 to 62"))
            }
            Self::Usb { target } if target.is_empty() || target.contains('\0') => {
                impossible("a debugger over USB needs a target name".to_owned())
            }
            Self::Net { port, .. } if *port < 49152 => {
                impossible(format!("port {port} of a network debugger, expected 49152 to 65535"))
            }
            Self::Net { key, .. } => {
                let groups: Vec<&str> = key.split('.').collect();
                // Numbers of 64 bits in base 36.
                let good = |group: &&str| {
                    (1..=13).contains(&group.len()) && group.bytes().all(|c| c.is_ascii_alphanumeric())
                };
                if groups.len() != 4 || !groups.iter().all(good) {
                    let form = "expected four groups of letters and digits, such as 1.2.3.4";
                    return impossible(format!("key {key:?} of a network debugger, {form}"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn elements(&self) -> Vec<(ElementType, Element)> {
        use ElementType as E;
        let kind = |number: u64| (E::DEBUG_TYPE, Element::Integer(number));
        let mut elements = Vec::new();
        match self {
            Self::Serial { port, baud } => elements.extend([
                kind(0),
                (E::DEBUG_PORT, Element::Integer((*port).into())),
                (E::BAUD_RATE, Element::Integer((*baud).into())),
            ]),
            Self::Ieee1394 { channel } => {
                elements.extend([kind(1), (E::CHANNEL, Element::Integer((*channel).into()))]);
            }
            Self::Usb { target } => {
                elements.extend([kind(2), (E::TARGET_NAME, Element::String(target.clone()))])
            }
            Self::Net { host, port, key, dhcp, bus_parameters } => {
                elements.extend([
                    kind(3),
                    (E::HOST_IP, Element::Integer(u32::from(*host).into())),
                    (E::HOST_PORT, Element::Integer((*port).into())),
                    (E::DHCP, Element::Boolean(*dhcp)),
                    (E::KEY, Element::String(key.clone())),
                ]);
                let bus = bus_parameters.clone().map(|bus| (E::BUS_PARAMETERS, Element::String(bus)));
                elements.extend(bus);
            }
            Self::Local => elements.push(kind(4)),
        }
        elements
    }
}
