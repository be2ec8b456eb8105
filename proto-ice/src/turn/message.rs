//! TURN messages on the wire: reading them strictly, and writing them.
//!
//! Attributes are read where they lie; reading allocates nothing but what a list of addresses needs.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use stun_types::attribute::{ErrorCode, Fingerprint, RawAttribute, XorSocketAddr};
use stun_types::message::{MAGIC_COOKIE, MessageClass, MessageHeader, MessageType, Method, TransactionId};

use super::credentials::LongTermKey;
use crate::words::shown;

/// The methods of RFC 8656 §17, and Binding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum TurnMethod {
    Binding,
    Allocate,
    Refresh,
    Send,
    Data,
    CreatePermission,
    ChannelBind,
}

impl TurnMethod {
    const ALL: [Self; 7] = [
        Self::Binding,
        Self::Allocate,
        Self::Refresh,
        Self::Send,
        Self::Data,
        Self::CreatePermission,
        Self::ChannelBind,
    ];

    const fn code(self) -> u16 {
        match self {
            Self::Binding => 0x001,
            Self::Allocate => 0x003,
            Self::Refresh => 0x004,
            Self::Send => 0x006,
            Self::Data => 0x007,
            Self::CreatePermission => 0x008,
            Self::ChannelBind => 0x009,
        }
    }
}

/// The type of an attribute (RFC 8489 §14, RFC 8656 §18).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AttributeKind(pub(crate) u16);

/// The attributes of TURN and of long-term credentials.
pub(crate) mod attribute {
    use super::AttributeKind;

    pub(crate) const USERNAME: AttributeKind = AttributeKind(0x0006);
    pub(crate) const MESSAGE_INTEGRITY: AttributeKind = AttributeKind(0x0008);
    pub(crate) const ERROR_CODE: AttributeKind = AttributeKind(0x0009);
    pub(crate) const CHANNEL_NUMBER: AttributeKind = AttributeKind(0x000C);
    pub(crate) const LIFETIME: AttributeKind = AttributeKind(0x000D);
    pub(crate) const XOR_PEER_ADDRESS: AttributeKind = AttributeKind(0x0012);
    pub(crate) const DATA: AttributeKind = AttributeKind(0x0013);
    pub(crate) const REALM: AttributeKind = AttributeKind(0x0014);
    pub(crate) const NONCE: AttributeKind = AttributeKind(0x0015);
    pub(crate) const XOR_RELAYED_ADDRESS: AttributeKind = AttributeKind(0x0016);
    pub(crate) const REQUESTED_ADDRESS_FAMILY: AttributeKind = AttributeKind(0x0017);
    pub(crate) const REQUESTED_TRANSPORT: AttributeKind = AttributeKind(0x0019);
    pub(crate) const MESSAGE_INTEGRITY_SHA256: AttributeKind = AttributeKind(0x001C);
    pub(crate) const PASSWORD_ALGORITHM: AttributeKind = AttributeKind(0x001D);
    pub(crate) const USERHASH: AttributeKind = AttributeKind(0x001E);
    pub(crate) const XOR_MAPPED_ADDRESS: AttributeKind = AttributeKind(0x0020);
    pub(crate) const ADDITIONAL_ADDRESS_FAMILY: AttributeKind = AttributeKind(0x8000);
    pub(crate) const PASSWORD_ALGORITHMS: AttributeKind = AttributeKind(0x8002);
    pub(crate) const ICMP: AttributeKind = AttributeKind(0x8004);
    pub(crate) const SOFTWARE: AttributeKind = AttributeKind(0x8022);
    pub(crate) const ALTERNATE_SERVER: AttributeKind = AttributeKind(0x8023);
    pub(crate) const FINGERPRINT: AttributeKind = AttributeKind(0x8028);
}

/// Attributes below 0x8000 that are understood: those above, and the ones that may stand in a message without a meaning here.
const UNDERSTOOD: [u16; 23] = [
    0x0001, 0x0006, 0x0008, 0x0009, 0x000A, 0x000C, 0x000D, 0x0012, 0x0013, 0x0014, 0x0015, 0x0016, 0x0017, 0x0018,
    0x0019, 0x001A, 0x001C, 0x001D, 0x001E, 0x0020, 0x0022, 0x0010, 0x0021,
];

/// A well-formed message of a TURN method, its fingerprint checked if there is one, and its integrity not yet.
#[derive(Debug)]
pub(crate) struct TurnMessage<'a> {
    pub(crate) class: MessageClass,
    pub(crate) method: TurnMethod,
    pub(crate) transaction: TransactionId,
    bytes: &'a [u8],
    /// Where the attributes end that count: at the first integrity attribute, or the fingerprint.
    attributes_end: usize,
    sha1_at: Option<usize>,
    sha256_at: Option<usize>,
}

impl<'a> TurnMessage<'a> {
    /// Reads bytes that hold exactly one message. `None` for whatever is not a well-formed message of a known method.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = MessageHeader::from_bytes(bytes).ok()?;
        let length = usize::from(header.data_length());
        if MessageHeader::LENGTH + length != bytes.len() || !length.is_multiple_of(4) {
            return None;
        }
        let kind = header.get_type();
        let method = TurnMethod::ALL.into_iter().find(|method| kind.method().value() == method.code())?;
        let mut message = Self {
            class: kind.class(),
            method,
            transaction: header.transaction_id(),
            bytes,
            attributes_end: bytes.len(),
            sha1_at: None,
            sha256_at: None,
        };
        message.check_layout()?;
        Some(message)
    }

    /// The value of the first attribute of a type (RFC 8489 §14: the others of the same type are ignored).
    pub(crate) fn value(&self, kind: AttributeKind) -> Option<&'a [u8]> {
        self.values(kind).next()
    }

    /// The values of all attributes of a type that may stand several times, in order.
    pub(crate) fn values(&self, kind: AttributeKind) -> impl Iterator<Item = &'a [u8]> {
        let bytes = self.bytes;
        self.attributes().filter(move |(found, _)| *found == kind).filter_map(move |(_, range)| bytes.get(range))
    }

    /// The value of the first attribute of a type, as text of at most [`MAXIMUM_TEXT`] bytes.
    pub(crate) fn text(&self, kind: AttributeKind) -> Option<&'a str> {
        let value = self.value(kind).filter(|value| value.len() <= MAXIMUM_TEXT)?;
        std::str::from_utf8(value).ok()
    }

    /// A number of four bytes.
    pub(crate) fn number(&self, kind: AttributeKind) -> Option<u32> {
        Some(u32::from_be_bytes(self.value(kind)?.try_into().ok()?))
    }

    /// CHANNEL-NUMBER (RFC 8656 §18.1): the first two bytes; the others are ignored.
    #[cfg(any(test, feature = "test-server"))]
    pub(crate) fn channel_number(&self) -> Option<u16> {
        self.number(attribute::CHANNEL_NUMBER).and_then(|number| u16::try_from(number >> 16).ok())
    }

    /// The first address of a type.
    pub(crate) fn address(&self, kind: AttributeKind) -> Option<SocketAddr> {
        self.addresses(kind).next()
    }

    /// All addresses of a type, XORed but for ALTERNATE-SERVER. Malformed ones are left out.
    pub(crate) fn addresses(&self, kind: AttributeKind) -> impl Iterator<Item = SocketAddr> {
        let transaction = self.transaction;
        self.values(kind).filter_map(move |value| {
            let address = read_address(value)?;
            let is_plain = kind == attribute::ALTERNATE_SERVER;
            Some(if is_plain { address } else { XorSocketAddr::xor_addr(address, transaction) })
        })
    }

    /// Code and reason of an error response (RFC 8489 §14.8).
    pub(crate) fn error(&self) -> Option<(u16, String)> {
        let value = self.value(attribute::ERROR_CODE)?;
        let error = ErrorCode::try_from(&RawAttribute::new(attribute::ERROR_CODE.into(), value)).ok()?;
        Some((error.code(), shown(error.reason())))
    }

    /// Where the bytes of the DATA attribute lie.
    pub(crate) fn data(&self) -> Option<Range<usize>> {
        self.attributes().find(|(kind, _)| *kind == attribute::DATA).map(|(_, range)| range)
    }

    /// Whether it has an attribute that must be understood and is not (RFC 8489 §6.3).
    pub(crate) fn has_unknown_attributes(&self) -> bool {
        self.attributes().any(|(kind, _)| kind.0 < 0x8000 && !UNDERSTOOD.contains(&kind.0))
    }

    /// Whether it claims to be authentic, rightly or not.
    #[cfg(any(test, feature = "test-server"))]
    pub(crate) fn has_integrity(&self) -> bool {
        self.sha1_at.is_some() || self.sha256_at.is_some()
    }

    /// Whether the integrity attribute that the key asks for is there and right (RFC 8489 §14.5, §14.6). The other one does not count.
    pub(crate) fn is_authentic(&self, key: &LongTermKey) -> bool {
        let at = if key.uses_sha256() { self.sha256_at } else { self.sha1_at };
        let Some(offset) = at else {
            return false;
        };
        let (Some(covered), Some(found)) =
            (self.bytes.get(..offset), self.bytes.get(offset + 4..offset + 4 + key.hmac_length()))
        else {
            return false;
        };
        key.hmac(covered).is_some_and(|expected| is_equal(&expected, found))
    }

    fn attributes(&self) -> Attributes<'a> {
        Attributes { bytes: self.bytes.get(..self.attributes_end).unwrap_or_default(), offset: MessageHeader::LENGTH }
    }

    /// Checks that the attributes fill the message, and finds integrity and fingerprint.
    fn check_layout(&mut self) -> Option<()> {
        let mut attributes = Attributes { bytes: self.bytes, offset: MessageHeader::LENGTH };
        while attributes.offset < self.bytes.len() {
            let at = attributes.offset;
            let (kind, value) = attributes.next()?;
            let is_first_protection = self.sha1_at.is_none() && self.sha256_at.is_none();
            match kind {
                attribute::MESSAGE_INTEGRITY if is_first_protection => {
                    (value.len() == 20).then_some(())?;
                    self.sha1_at = Some(at);
                }
                // RFC 8489 §14.6: not truncated, since TURN does not say that it may be.
                attribute::MESSAGE_INTEGRITY_SHA256 if self.sha256_at.is_none() => {
                    (value.len() == 32).then_some(())?;
                    self.sha256_at = Some(at);
                }
                attribute::FINGERPRINT => {
                    // RFC 8489 §14.7: the last attribute.
                    let expected = Fingerprint::compute(&[self.bytes.get(..at)?]);
                    let found: [u8; 4] = self.bytes.get(value)?.try_into().ok()?;
                    let is_right = u32::from_be_bytes(found) ^ FINGERPRINT_XOR == u32::from_be_bytes(expected);
                    (is_right && attributes.offset == self.bytes.len()).then_some(())?;
                }
                _ => continue,
            }
            // RFC 8489 §14.5: whatever else follows is ignored, for nothing protects it.
            self.attributes_end = self.attributes_end.min(at);
        }
        Some(())
    }
}

/// The attributes of a message one by one, with the place of their values.
struct Attributes<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl Iterator for Attributes<'_> {
    type Item = (AttributeKind, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let header: [u8; 4] = self.bytes.get(self.offset..self.offset + 4)?.try_into().ok()?;
        let [kind_high, kind_low, length_high, length_low] = header;
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        let start = self.offset + 4;
        let end = start + length.next_multiple_of(4);
        if end > self.bytes.len() {
            return None;
        }
        self.offset = end;
        Some((AttributeKind(u16::from_be_bytes([kind_high, kind_low])), start..start + length))
    }
}

impl From<AttributeKind> for stun_types::attribute::AttributeType {
    fn from(kind: AttributeKind) -> Self {
        Self::new(kind.0)
    }
}

/// RFC 8489 §14.3, §14.8, §14.9, §14.10: no text of a message is longer when read.
pub(crate) const MAXIMUM_TEXT: usize = 763;

/// RFC 8489 §14.7.
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// No message is longer when written: it is to fit into a datagram of the smallest path with room for other headers.
pub(crate) const MAXIMUM_MESSAGE: usize = 1_200;

/// A message that is being written.
#[derive(Debug)]
pub(crate) struct MessageWriter {
    bytes: Vec<u8>,
    transaction: TransactionId,
}

impl MessageWriter {
    pub(crate) fn new(class: MessageClass, method: TurnMethod, transaction: TransactionId) -> Self {
        let mut bytes = MessageType::from_class_method(class, Method::new(method.code())).to_bytes();
        bytes.extend_from_slice(&[0; 2]);
        let id: u128 = transaction.into();
        bytes.extend_from_slice(&((u128::from(MAGIC_COOKIE) << 96) | id).to_be_bytes());
        Self { bytes, transaction }
    }

    pub(crate) fn attribute(&mut self, kind: AttributeKind, value: &[u8]) {
        let Ok(length) = u16::try_from(value.len()) else {
            return;
        };
        self.bytes.extend_from_slice(&kind.0.to_be_bytes());
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// A number of four bytes.
    pub(crate) fn number(&mut self, kind: AttributeKind, number: u32) {
        self.attribute(kind, &number.to_be_bytes());
    }

    /// An address family (RFC 8656 §18.6).
    pub(crate) fn family(&mut self, kind: AttributeKind, family: u8) {
        self.attribute(kind, &[family, 0, 0, 0]);
    }

    /// An address, XORed but for ALTERNATE-SERVER.
    pub(crate) fn address(&mut self, kind: AttributeKind, address: SocketAddr) {
        let is_plain = kind == attribute::ALTERNATE_SERVER;
        let address = if is_plain { address } else { XorSocketAddr::xor_addr(address, self.transaction) };
        let (value, length) = address_value(address);
        self.attribute(kind, value.get(..length).unwrap_or_default());
    }

    /// The integrity attribute of the key, over all that was written so far.
    pub(crate) fn integrity(&mut self, key: &LongTermKey) {
        let kind = if key.uses_sha256() { attribute::MESSAGE_INTEGRITY_SHA256 } else { attribute::MESSAGE_INTEGRITY };
        if let Some(hmac) = key.hmac(&self.bytes) {
            self.attribute(kind, &hmac);
        }
    }

    /// Adds the fingerprint, and fills in the length. `None` if the message is longer than [`MAXIMUM_MESSAGE`].
    pub(crate) fn finish(mut self) -> Option<Vec<u8>> {
        let length = u16::try_from(self.bytes.len() + 8 - MessageHeader::LENGTH).ok()?;
        self.bytes.get_mut(2..4)?.copy_from_slice(&length.to_be_bytes());
        let crc = u32::from_be_bytes(Fingerprint::compute(&[&self.bytes]));
        self.number(attribute::FINGERPRINT, crc ^ FINGERPRINT_XOR);
        (self.bytes.len() <= MAXIMUM_MESSAGE).then_some(self.bytes)
    }
}

/// The head of a Send or Data indication for `length` bytes of data: everything in front of the data (RFC 8656 §11.1). Nothing protects it, and it carries no fingerprint.
pub(crate) fn indication_head(
    method: TurnMethod,
    transaction: TransactionId,
    peer: SocketAddr,
    length: usize,
) -> Option<Vec<u8>> {
    let mut writer = MessageWriter::new(MessageClass::Indication, method, transaction);
    writer.address(attribute::XOR_PEER_ADDRESS, peer);
    let mut bytes = writer.bytes;
    bytes.extend_from_slice(&attribute::DATA.0.to_be_bytes());
    bytes.extend_from_slice(&u16::try_from(length).ok()?.to_be_bytes());
    let whole = bytes.len() + length.next_multiple_of(4) - MessageHeader::LENGTH;
    bytes.get_mut(2..4)?.copy_from_slice(&u16::try_from(whole).ok()?.to_be_bytes());
    Some(bytes)
}

/// Address families (RFC 8489 §14.1).
pub(crate) const IPV4: u8 = 1;
pub(crate) const IPV6: u8 = 2;

/// The family of an address as it is written.
pub(crate) const fn family_of(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => IPV4,
        IpAddr::V6(_) => IPV6,
    }
}

/// Family, port and address, and how many of the bytes are in use.
fn address_value(address: SocketAddr) -> ([u8; 20], usize) {
    let mut value = [0; 20];
    let [high, low] = address.port().to_be_bytes();
    let mut put = |head: [u8; 4], octets: &[u8]| {
        for (byte, source) in value.iter_mut().zip(head.iter().chain(octets)) {
            *byte = *source;
        }
        head.len() + octets.len()
    };
    let head = [0, family_of(address.ip()), high, low];
    let length = match address.ip() {
        IpAddr::V4(ip) => put(head, &ip.octets()),
        IpAddr::V6(ip) => put(head, &ip.octets()),
    };
    (value, length)
}

fn read_address(value: &[u8]) -> Option<SocketAddr> {
    let (head, octets) = value.split_first_chunk::<4>()?;
    let [_, family, high, low] = *head;
    let ip = match family {
        IPV4 => IpAddr::from(<[u8; 4]>::try_from(octets).ok()?),
        IPV6 => IpAddr::from(<[u8; 16]>::try_from(octets).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes([high, low])))
}

/// Whether a datagram of a server is for a TURN client: ChannelData, or STUN of another method than Binding.
pub(crate) fn is_for_client(datagram: &[u8]) -> bool {
    match datagram {
        [0x40..=0x4f, ..] => true,
        // RFC 8489 §5: the bits of the class lie between those of the method.
        [first @ 0..=3, second, ..] => u16::from_be_bytes([*first, *second]) & 0x3eef != TurnMethod::Binding.code(),
        _ => false,
    }
}

/// Compares without telling by its duration where the first difference is.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}
