//! Writing STUN.

use std::net::SocketAddr;

use stun_types::attribute::{
    AttributeType, ErrorCode, MessageIntegrity, UnknownAttributes, Username, XorMappedAddress,
};
use stun_types::message::{
    BINDING, Message, MessageClass, MessageType, MessageWrite, MessageWriteExt, MessageWriteMutSlice, StunWriteError,
    TransactionId,
};

use super::StunKey;
use super::attributes::{IceControlled, IceControlling, Priority, UseCandidate};
use crate::IceRole;

/// A message that was written. The longest is a check with a username of 265 bytes: 348 bytes.
#[derive(Debug)]
pub(crate) struct StunBuffer {
    bytes: [u8; Self::CAPACITY],
    length: usize,
}

/// A connectivity check (RFC 8445 §7.2.2, §7.2.4).
#[derive(Debug)]
pub(crate) struct CheckRequest<'a> {
    pub(crate) transaction: TransactionId,
    pub(crate) remote_fragment: &'a str,
    pub(crate) local_fragment: &'a str,
    pub(crate) priority: u32,
    pub(crate) role: IceRole,
    pub(crate) tie_breaker: u64,
    pub(crate) nominate: Nominate,
}

/// Whether a check carries USE-CANDIDATE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Nominate {
    Yes,
    No,
}

type Writer<'a> = MessageWriteMutSlice<'a>;

impl StunBuffer {
    const CAPACITY: usize = 512;

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// A connectivity or consent check, with the password of the other agent.
    pub(crate) fn check(request: &CheckRequest<'_>, key: &StunKey) -> Result<Self, StunWriteError> {
        Self::write(MessageClass::Request, request.transaction, |writer| {
            // RFC 8445 §7.2.2: the other agent's fragment first.
            let username = format!("{}:{}", request.remote_fragment, request.local_fragment);
            writer.add_attribute(&Username::new(&username)?)?;
            writer.add_attribute(&Priority(request.priority))?;
            match request.role {
                IceRole::Controlling => writer.add_attribute(&IceControlling(request.tie_breaker))?,
                IceRole::Controlled => writer.add_attribute(&IceControlled(request.tie_breaker))?,
            }
            if request.nominate == Nominate::Yes {
                writer.add_attribute(&UseCandidate)?;
            }
            add_integrity(writer, key)
        })
    }

    /// A request to a STUN server.
    pub(crate) fn server_request(transaction: TransactionId) -> Result<Self, StunWriteError> {
        Self::write(MessageClass::Request, transaction, |_| Ok(()))
    }

    /// A keepalive: an indication with a fingerprint and nothing else (RFC 8445 §11).
    pub(crate) fn keepalive(transaction: TransactionId) -> Result<Self, StunWriteError> {
        Self::write(MessageClass::Indication, transaction, |_| Ok(()))
    }

    /// A success response, with our own password and without USERNAME (RFC 8445 §7.2.2).
    pub(crate) fn success(
        transaction: TransactionId,
        mapped_address: SocketAddr,
        key: &StunKey,
    ) -> Result<Self, StunWriteError> {
        Self::write(MessageClass::Success, transaction, |writer| {
            writer.add_attribute(&XorMappedAddress::new(mapped_address, transaction))?;
            add_integrity(writer, key)
        })
    }

    /// An error response to a request that was authentic.
    pub(crate) fn error(transaction: TransactionId, code: u16, key: &StunKey) -> Result<Self, StunWriteError> {
        Self::write(MessageClass::Error, transaction, |writer| {
            writer.add_attribute(&ErrorCode::builder(code).build()?)?;
            add_integrity(writer, key)
        })
    }

    /// The error response that lists what was not understood (RFC 8489 §6.3.1).
    pub(crate) fn unknown_attributes(
        transaction: TransactionId,
        unknown: &[AttributeType],
        key: &StunKey,
    ) -> Result<Self, StunWriteError> {
        Self::write(MessageClass::Error, transaction, |writer| {
            writer.add_attribute(&ErrorCode::builder(super::error_code::UNKNOWN_ATTRIBUTE).build()?)?;
            writer.add_attribute(&UnknownAttributes::new(unknown))?;
            add_integrity(writer, key)
        })
    }

    fn write(
        class: MessageClass,
        transaction: TransactionId,
        attributes: impl FnOnce(&mut Writer<'_>) -> Result<(), StunWriteError>,
    ) -> Result<Self, StunWriteError> {
        let mut bytes = [0; Self::CAPACITY];
        let kind = MessageType::from_class_method(class, BINDING);
        let mut writer = Message::builder(kind, transaction, MessageWriteMutSlice::new(&mut bytes));
        attributes(&mut writer)?;
        // RFC 8445 §7.2.4: FINGERPRINT is mandatory.
        writer.add_fingerprint()?;
        let length = writer.finish();
        Ok(Self { bytes, length })
    }
}

/// MESSAGE-INTEGRITY (RFC 8489 §14.5), computed here: the function of `stun-types` prints the key into its trace.
fn add_integrity(writer: &mut Writer<'_>, key: &StunKey) -> Result<(), StunWriteError> {
    let placeholder = MessageIntegrity::new([0; 20]);
    let (start, end) = (writer.len(), writer.len() + INTEGRITY_LENGTH);
    if end + FINGERPRINT_LENGTH > StunBuffer::CAPACITY {
        return Err(StunWriteError::TooSmall { expected: end + FINGERPRINT_LENGTH, actual: StunBuffer::CAPACITY });
    }
    // The placeholder makes the length in the header count the attribute, as the HMAC wants it.
    writer.push_attribute_unchecked(&placeholder);
    let hmac = MessageIntegrity::compute(&[writer.data().get(..start).unwrap_or_default()], &key.0)?;
    if let Some(value) = writer.mut_data().get_mut(start + 4..end) {
        value.copy_from_slice(&hmac);
    }
    Ok(())
}

/// MESSAGE-INTEGRITY with its header.
const INTEGRITY_LENGTH: usize = 24;

/// FINGERPRINT with its header.
const FINGERPRINT_LENGTH: usize = 8;
