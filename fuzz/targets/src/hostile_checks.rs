//! STUN messages as an attacker writes them, who may or may not know the passwords.

use proto_machine::Path;
use stun_types::attribute::{Fingerprint, MessageIntegrity};
use stun_types::message::{IntegrityKey, ShortTermCredentials};

use crate::input::Input;

const MAGIC_COOKIE: u32 = 0x2112_A442;
const HEADER_LENGTH: usize = 20;

/// Attributes of RFC 8489, RFC 8445 and, with 0x0000, 0x7FFF and 0xFFFF, of nobody.
const ATTRIBUTES: [u16; 20] = [
    0x0001, 0x0006, 0x0008, 0x0009, 0x000A, 0x0014, 0x0015, 0x001C, 0x001D, 0x001E, 0x0020, 0x0024, 0x0025, 0x8022,
    0x8028, 0x8029, 0x802A, 0x0000, 0x7FFF, 0xFFFF,
];
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802A;

/// Fragment and password of an agent.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) fragment: String,
    pub(crate) password: String,
}

/// What the attacker has found out.
#[derive(Debug)]
pub(crate) struct Knowledge {
    /// Of the agent under attack.
    pub(crate) victim: Identity,
    /// Of the agent that it talks to.
    pub(crate) other: Identity,
    /// Transactions and paths of the latest requests of the victim, as it sees them.
    requests: Vec<([u8; 12], Path)>,
}

/// A message, and whether its sender knew the password.
#[derive(Debug)]
pub(crate) struct Crafted {
    pub(crate) bytes: Vec<u8>,
    pub(crate) class: Class,
    pub(crate) is_keyed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    Request,
    Indication,
    Success,
    Error,
}

impl Class {
    /// The message type of a Binding message of this class (RFC 8489 §5).
    fn binding(self) -> u16 {
        match self {
            Self::Request => 0x0001,
            Self::Indication => 0x0011,
            Self::Success => 0x0101,
            Self::Error => 0x0111,
        }
    }
}

/// How many requests are remembered.
const REMEMBERED: usize = 16;

impl Knowledge {
    pub(crate) fn new(victim: Identity, other: Identity) -> Self {
        Self { victim, other, requests: Vec::new() }
    }

    /// The victim has sent this. Checks that it is well-formed if it is STUN.
    pub(crate) fn overhear(&mut self, path: Path, datagram: &[u8]) {
        if datagram.first().is_none_or(|first| *first > 3) {
            return;
        }
        assert!(is_well_formed(datagram), "{datagram:02x?} is no STUN message");
        if datagram[..2] == Class::Request.binding().to_be_bytes() {
            if self.requests.len() == REMEMBERED {
                self.requests.remove(0);
            }
            self.requests.push((datagram[8..20].try_into().unwrap(), path));
        }
    }

    /// The answer to one of the latest requests, as the other agent would give it, and the path it is on. `None` before there was a request.
    pub(crate) fn answer(&self, input: &mut Input<'_>) -> Option<(Path, Vec<u8>)> {
        let (transaction, path) = *self.requests.get(input.index(self.requests.len().max(1)))?;
        let mut message = Writer::new(Class::Success.binding(), transaction);
        message.xor_mapped_address(input.byte(), path);
        message.integrity(&self.other.password);
        message.fingerprint(0);
        Some((path, message.bytes))
    }

    /// A check that the other agent might send.
    pub(crate) fn check(&self, input: &mut Input<'_>) -> Vec<u8> {
        let mut transaction = [0; 12];
        transaction[11] = input.byte();
        let mut message = Writer::new(Class::Request.binding(), transaction);
        self.add_check(&mut message, input);
        message.integrity(&self.victim.password);
        message.fingerprint(0);
        message.bytes
    }

    /// Any message.
    pub(crate) fn craft(&self, input: &mut Input<'_>) -> Crafted {
        let class = input.choose(&[Class::Request, Class::Success, Class::Error, Class::Indication]);
        let shape = input.byte();
        // RFC 7983 §7: what begins with more than 3 is no STUN.
        let kind = if shape & 0x80 == 0 { class.binding() } else { class.binding() | (input.u16() & 0x02EE) };
        let known = self.requests.get(input.index(self.requests.len().max(1)));
        let transaction = match known {
            Some((transaction, _)) if shape & 0x40 == 0 => *transaction,
            _ => [input.byte(); 12],
        };
        let mut message = Writer::new(kind, transaction);
        match class {
            Class::Request if shape & 0x20 == 0 => self.add_check(&mut message, input),
            Class::Success if shape & 0x20 == 0 => {
                let path =
                    known.map_or(Path::udp(([192, 0, 2, 1], 1).into(), ([192, 0, 2, 2], 2).into()), |known| known.1);
                message.xor_mapped_address(input.byte(), path);
            }
            Class::Error if shape & 0x20 == 0 => message.attribute(ERROR_CODE, &[0, 0, input.byte() % 8, input.byte()]),
            _ => {}
        }
        for _ in 0..shape % 4 {
            let kind = input.choose(&ATTRIBUTES);
            message.attribute(kind, input.bytes());
        }
        let right = if class == Class::Request { &self.victim.password } else { &self.other.password };
        let security = input.byte();
        match security % 4 {
            0 => message.integrity(right),
            1 => message.integrity("a password of nobody here"),
            2 => message.attribute(MESSAGE_INTEGRITY, input.bytes()),
            _ => {}
        }
        if security & 0x10 != 0 {
            let kind = input.choose(&ATTRIBUTES);
            message.attribute(kind, input.bytes());
        }
        if security & 0x20 == 0 {
            message.fingerprint(if security & 0x40 == 0 { 0 } else { input.u32() });
        }
        if security & 0x80 != 0 {
            message.bytes[3] ^= input.byte();
        }
        Crafted { bytes: message.bytes, class, is_keyed: security.is_multiple_of(4) }
    }

    fn add_check(&self, message: &mut Writer, input: &mut Input<'_>) {
        let flags = input.byte();
        message.attribute(USERNAME, format!("{}:{}", self.victim.fragment, self.other.fragment).as_bytes());
        let priority = if flags & 1 == 0 { 0x6e00_01ff } else { input.u32() };
        message.attribute(PRIORITY, &priority.to_be_bytes());
        let role = if flags & 2 == 0 { ICE_CONTROLLED } else { ICE_CONTROLLING };
        message.attribute(role, &[input.byte(); 8]);
        if flags & 4 != 0 {
            message.attribute(USE_CANDIDATE, &[]);
        }
    }
}

/// Whether header, attributes and fingerprint of a message that an agent has written are right.
fn is_well_formed(datagram: &[u8]) -> bool {
    let Some((header, mut rest)) = datagram.split_first_chunk::<HEADER_LENGTH>() else { return false };
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let mut last = 0;
    let mut last_value: &[u8] = &[];
    let whole = rest;
    while let Some((head, tail)) = rest.split_first_chunk::<4>() {
        last = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (Some(value), Some(after)) = (tail.get(..length), tail.get(length.next_multiple_of(4)..)) else {
            return false;
        };
        last_value = value;
        rest = after;
    }
    let covered = &datagram[..datagram.len() - 8.min(datagram.len())];
    rest.is_empty()
        && length == whole.len()
        && header[4..8] == MAGIC_COOKIE.to_be_bytes()
        && last == FINGERPRINT
        && last_value == fingerprint_of(covered, 0)
}

/// RFC 8489 §14.7.
fn fingerprint_of(covered: &[u8], mask: u32) -> [u8; 4] {
    (u32::from_be_bytes(Fingerprint::compute(&[covered])) ^ 0x5354_554E ^ mask).to_be_bytes()
}

struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn new(kind: u16, transaction: [u8; 12]) -> Self {
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
        bytes.extend_from_slice(&transaction);
        Self { bytes }
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.bytes.extend_from_slice(&kind.to_be_bytes());
        self.bytes.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.set_length(0);
    }

    /// The length in the header, with so many bytes that are still to come.
    fn set_length(&mut self, more: usize) {
        let length = u16::try_from(self.bytes.len() - HEADER_LENGTH + more).unwrap_or(u16::MAX);
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
    }

    /// Our address as the other side sees it, or another one.
    fn xor_mapped_address(&mut self, which: u8, path: Path) {
        let port = path.local.port() ^ (MAGIC_COOKIE >> 16) as u16 ^ u16::from(which & 0x0F);
        let mut value = vec![0, 0];
        value.extend_from_slice(&port.to_be_bytes());
        match path.local.ip() {
            std::net::IpAddr::V4(ip) => {
                value[1] = 1;
                value.extend((u32::from(ip) ^ MAGIC_COOKIE ^ u32::from(which >> 4)).to_be_bytes());
            }
            std::net::IpAddr::V6(ip) => {
                value[1] = 2;
                let mask: Vec<u8> = self.bytes[4..20].to_vec();
                value.extend(ip.octets().iter().zip(mask).map(|(byte, mask)| byte ^ mask));
            }
        }
        self.attribute(XOR_MAPPED_ADDRESS, &value);
    }

    /// RFC 8489 §14.5: the length counts the attribute that is computed.
    fn integrity(&mut self, password: &str) {
        self.set_length(24);
        let key: IntegrityKey = ShortTermCredentials::new(password.to_owned()).make_key();
        let hmac = MessageIntegrity::compute(&[&self.bytes], &key).unwrap();
        self.attribute(MESSAGE_INTEGRITY, &hmac);
    }

    /// With a mask that makes it wrong if it is not 0.
    fn fingerprint(&mut self, mask: u32) {
        self.set_length(8);
        let fingerprint = fingerprint_of(&self.bytes, mask);
        self.attribute(FINGERPRINT, &fingerprint);
    }
}
