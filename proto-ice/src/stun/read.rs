//! Reading STUN, strictly.

use std::net::SocketAddr;

use stun_types::attribute::{
    Attribute, AttributeExt, AttributeFromRaw, AttributeStaticType, AttributeType, ErrorCode, Fingerprint,
    MessageIntegrity, MessageIntegritySha256, Nonce, PasswordAlgorithm, RawAttribute, Realm, UnknownAttributes,
    Userhash, Username, XorMappedAddress,
};
use stun_types::message::{BINDING, MessageClass, MessageHeader, StunParseError, TransactionId};

use super::StunKey;
use super::attributes::{IceControlled, IceControlling, Priority, UseCandidate};

/// A well-formed Binding message, its fingerprint checked and its integrity not yet.
#[derive(Debug)]
pub(crate) struct StunMessage<'a> {
    pub(crate) class: MessageClass,
    pub(crate) transaction: TransactionId,
    pub(crate) username: Option<&'a str>,
    pub(crate) priority: Option<u32>,
    pub(crate) use_candidate: bool,
    /// The tie-breaker of a controlled agent.
    pub(crate) controlled: Option<u64>,
    /// The tie-breaker of a controlling agent.
    pub(crate) controlling: Option<u64>,
    pub(crate) mapped_address: Option<SocketAddr>,
    pub(crate) error: Option<ErrorCode>,
    /// Attributes that must be understood and are not (RFC 8489 §6.3), at most [`MAXIMUM_UNKNOWN`].
    pub(crate) unknown: Vec<AttributeType>,
    pub(crate) fingerprint: FingerprintPresence,
    integrity: Option<Integrity>,
    datagram: &'a [u8],
}

/// Whether a message had a fingerprint. A wrong one never gets this far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FingerprintPresence {
    Present,
    Absent,
}

/// Where the MESSAGE-INTEGRITY attribute lies, and what it says.
#[derive(Debug)]
struct Integrity {
    offset: usize,
    hmac: [u8; 20],
}

/// What is wrong with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StunDefect {
    Malformed,
    WrongFingerprint,
    UnknownMethod,
}

impl From<StunParseError> for StunDefect {
    fn from(_: StunParseError) -> Self {
        Self::Malformed
    }
}

/// An error response lists no more than this many attributes, which keeps it small.
const MAXIMUM_UNKNOWN: usize = 8;

/// The longest username of a check in bytes: two fragments of 256 characters (RFC 8839 §5.4) and a colon. What is longer cannot be meant for ICE, though RFC 8489 §14.3
/// has general STUN readers go up to 763.
const MAXIMUM_USERNAME: usize = 256 + 1 + 256;

/// MAPPED-ADDRESS: known and of no use where XOR-MAPPED-ADDRESS is mandatory.
const MAPPED_ADDRESS: AttributeType = AttributeType::new(0x0001);

/// Attributes that are understood, in that they may stand in a Binding message without a meaning for ICE.
const WITHOUT_MEANING: [AttributeType; 7] = [
    MAPPED_ADDRESS,
    UnknownAttributes::TYPE,
    Realm::TYPE,
    Nonce::TYPE,
    MessageIntegritySha256::TYPE,
    PasswordAlgorithm::TYPE,
    Userhash::TYPE,
];

impl<'a> StunMessage<'a> {
    /// Reads a datagram that holds exactly one message.
    pub(crate) fn parse(datagram: &'a [u8]) -> Result<Self, StunDefect> {
        let header = MessageHeader::from_bytes(datagram)?;
        let length = usize::from(header.data_length());
        // RFC 8489 §5: the length counts what follows the header, which is padded to multiples of 4. One datagram is one message.
        if MessageHeader::LENGTH + length != datagram.len() || !length.is_multiple_of(4) {
            return Err(StunDefect::Malformed);
        }
        let kind = header.get_type();
        if !kind.has_method(BINDING) {
            return Err(StunDefect::UnknownMethod);
        }
        let mut message = Self {
            class: kind.class(),
            transaction: header.transaction_id(),
            username: None,
            priority: None,
            use_candidate: false,
            controlled: None,
            controlling: None,
            mapped_address: None,
            error: None,
            unknown: Vec::new(),
            fingerprint: FingerprintPresence::Absent,
            integrity: None,
            datagram,
        };
        message.read_attributes()?;
        Ok(message)
    }

    /// Whether the message was made with this key. RFC 8489 §9.1: of the two integrity attributes only the one that ICE agents send counts.
    pub(crate) fn is_authentic(&self, key: &StunKey) -> bool {
        let Some(Integrity { offset, hmac }) = &self.integrity else {
            return false;
        };
        // RFC 8489 §14.5: the HMAC covers all that precedes the attribute, with a length up to the attribute's end.
        let length = offset + INTEGRITY_LENGTH - MessageHeader::LENGTH;
        let (Some(kind), Some(rest), Ok(length)) =
            (self.datagram.get(..2), self.datagram.get(4..*offset), u16::try_from(length))
        else {
            return false;
        };
        MessageIntegrity::verify(&[kind, &length.to_be_bytes(), rest], &key.0, hmac)
    }

    fn read_attributes(&mut self) -> Result<(), StunDefect> {
        let mut offset = MessageHeader::LENGTH;
        while let Some(rest) = self.datagram.get(offset..).filter(|rest| !rest.is_empty()) {
            if self.fingerprint == FingerprintPresence::Present {
                // RFC 8489 §14.7: FINGERPRINT is the last attribute.
                return Err(StunDefect::Malformed);
            }
            let attribute = RawAttribute::from_bytes(rest)?;
            if attribute.padded_len() > rest.len() {
                return Err(StunDefect::Malformed);
            }
            self.read_attribute(offset, &attribute)?;
            offset += attribute.padded_len();
        }
        Ok(())
    }

    /// Takes in one attribute. RFC 8489 §14: of several of one type the first counts.
    fn read_attribute(&mut self, offset: usize, raw: &RawAttribute<'_>) -> Result<(), StunDefect> {
        if raw.get_type() == Fingerprint::TYPE {
            return self.check_fingerprint(offset, raw);
        }
        if self.integrity.is_some() {
            // RFC 8489 §14.5: whatever else follows MESSAGE-INTEGRITY is ignored, for nothing protects it.
            return Ok(());
        }
        match raw.get_type() {
            MessageIntegrity::TYPE => {
                let hmac = *MessageIntegrity::from_raw_ref(raw)?.hmac();
                self.integrity = Some(Integrity { offset, hmac });
            }
            Username::TYPE => {
                if raw.value.len() > MAXIMUM_USERNAME {
                    return Err(StunDefect::Malformed);
                }
                let start = offset + ATTRIBUTE_HEADER_LENGTH;
                let value = self.datagram.get(start..start + raw.value.len()).unwrap_or_default();
                let text = std::str::from_utf8(value).map_err(|_| StunDefect::Malformed)?;
                self.username.get_or_insert(text);
            }
            Priority::TYPE => {
                self.priority.get_or_insert(Priority::from_raw_ref(raw)?.0);
            }
            UseCandidate::TYPE => {
                UseCandidate::from_raw_ref(raw)?;
                self.use_candidate = true;
            }
            IceControlled::TYPE => {
                self.controlled.get_or_insert(IceControlled::from_raw_ref(raw)?.0);
            }
            IceControlling::TYPE => {
                self.controlling.get_or_insert(IceControlling::from_raw_ref(raw)?.0);
            }
            XorMappedAddress::TYPE => {
                let mapped = XorMappedAddress::from_raw_ref(raw)?.addr(self.transaction);
                self.mapped_address.get_or_insert(mapped);
            }
            ErrorCode::TYPE => {
                let error = ErrorCode::from_raw_ref(raw)?;
                self.error.get_or_insert(error);
            }
            kind if kind.comprehension_required()
                && !WITHOUT_MEANING.contains(&kind)
                && self.unknown.len() < MAXIMUM_UNKNOWN =>
            {
                self.unknown.push(kind);
            }
            _ => {}
        }
        Ok(())
    }

    /// RFC 8489 §14.7: the CRC covers all that precedes the attribute, with the length of the whole message.
    fn check_fingerprint(&mut self, offset: usize, raw: &RawAttribute<'_>) -> Result<(), StunDefect> {
        let fingerprint = Fingerprint::from_raw_ref(raw)?;
        let covered = self.datagram.get(..offset).unwrap_or_default();
        if *fingerprint.fingerprint() != Fingerprint::compute(&[covered]) {
            return Err(StunDefect::WrongFingerprint);
        }
        self.fingerprint = FingerprintPresence::Present;
        Ok(())
    }
}

/// Type and length.
const ATTRIBUTE_HEADER_LENGTH: usize = 4;

/// MESSAGE-INTEGRITY with its header.
const INTEGRITY_LENGTH: usize = ATTRIBUTE_HEADER_LENGTH + 20;
