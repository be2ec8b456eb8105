//! STUN messages as tests forge and read them, made with `stun-types` alone.

use std::net::SocketAddr;

use stun_types::attribute::{
    AttributeStaticType, AttributeType, ErrorCode, MessageIntegrity, RawAttribute, Username, XorMappedAddress,
};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, Message, MessageClass, MessageType, MessageWrite, MessageWriteExt, MessageWriteVec,
    ShortTermCredentials, TransactionId,
};

use crate::world::ServerBehaviour;

pub(crate) const PRIORITY: u16 = 0x0024;
pub(crate) const USE_CANDIDATE: u16 = 0x0025;
pub(crate) const ICE_CONTROLLED: u16 = 0x8029;
pub(crate) const ICE_CONTROLLING: u16 = 0x802A;

/// A message to be built.
#[derive(Clone)]
pub(crate) struct Forge {
    class: MessageClass,
    transaction: TransactionId,
    attributes: Vec<(u16, Vec<u8>)>,
    mapped: Option<SocketAddr>,
    error: Option<u16>,
    password: Option<String>,
    fingerprint: bool,
}

impl Forge {
    pub(crate) fn new(class: MessageClass, transaction: u128) -> Self {
        Self {
            class,
            transaction: transaction.into(),
            attributes: Vec::new(),
            mapped: None,
            error: None,
            password: None,
            fingerprint: true,
        }
    }

    /// A check as a peer would send it, without integrity yet.
    pub(crate) fn check(transaction: u128, username: &str, priority: u32) -> Self {
        Self::new(MessageClass::Request, transaction)
            .with(u16::from(Username::TYPE), username.as_bytes())
            .with(PRIORITY, &priority.to_be_bytes())
    }

    pub(crate) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.attributes.push((kind, value.to_vec()));
        self
    }

    pub(crate) fn without(mut self, kind: u16) -> Self {
        self.attributes.retain(|(known, _)| *known != kind);
        self
    }

    pub(crate) fn mapped(mut self, address: SocketAddr) -> Self {
        self.mapped = Some(address);
        self
    }

    pub(crate) fn error(mut self, code: u16) -> Self {
        self.error = Some(code);
        self
    }

    pub(crate) fn signed(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    pub(crate) fn without_fingerprint(mut self) -> Self {
        self.fingerprint = false;
        self
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let kind = MessageType::from_class_method(self.class, BINDING);
        let mut writer = Message::builder(kind, self.transaction, MessageWriteVec::new());
        for (kind, value) in &self.attributes {
            writer.add_attribute(&RawAttribute::new((*kind).into(), value)).unwrap();
        }
        if let Some(mapped) = self.mapped {
            writer.add_attribute(&XorMappedAddress::new(mapped, self.transaction)).unwrap();
        }
        if let Some(code) = self.error {
            writer.add_attribute(&ErrorCode::builder(code).build().unwrap()).unwrap();
        }
        if let Some(password) = &self.password {
            let credentials = ShortTermCredentials::new(password.clone()).into();
            writer.add_message_integrity(&credentials, IntegrityAlgorithm::Sha1).unwrap();
        }
        if self.fingerprint {
            writer.add_fingerprint().unwrap();
        }
        writer.finish()
    }
}

/// What a test wants to know of a message.
pub(crate) struct Read<'a>(Message<'a>);

impl<'a> Read<'a> {
    /// `None` if it is not STUN.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        (bytes.first().copied()? < 4).then(|| Self(Message::from_bytes(bytes).unwrap()))
    }

    pub(crate) fn class(&self) -> MessageClass {
        self.0.class()
    }

    pub(crate) fn is_check(&self) -> bool {
        self.class() == MessageClass::Request && self.has(u16::from(Username::TYPE))
    }

    pub(crate) fn is_server_request(&self) -> bool {
        self.class() == MessageClass::Request && !self.has(u16::from(Username::TYPE))
    }

    pub(crate) fn transaction(&self) -> u128 {
        self.0.transaction_id().into()
    }

    pub(crate) fn has(&self, kind: u16) -> bool {
        self.0.has_attribute(AttributeType::new(kind))
    }

    pub(crate) fn value(&self, kind: u16) -> Option<Vec<u8>> {
        self.0.raw_attribute(AttributeType::new(kind)).map(|raw| raw.value.to_vec())
    }

    pub(crate) fn priority(&self) -> u32 {
        u32::from_be_bytes(self.value(PRIORITY).unwrap().try_into().unwrap())
    }

    pub(crate) fn username(&self) -> Option<String> {
        Some(self.0.attribute::<Username>().ok()?.username().to_owned())
    }

    pub(crate) fn error_code(&self) -> Option<u16> {
        Some(self.0.attribute::<ErrorCode>().ok()?.code())
    }

    pub(crate) fn mapped(&self) -> Option<SocketAddr> {
        Some(self.0.attribute::<XorMappedAddress>().ok()?.addr(self.0.transaction_id()))
    }

    pub(crate) fn has_integrity(&self) -> bool {
        self.0.has_attribute(MessageIntegrity::TYPE)
    }

    pub(crate) fn is_signed_with(&self, password: &str) -> bool {
        let credentials = ShortTermCredentials::new(password.to_owned()).into();
        self.0.validate_integrity(&credentials).is_ok()
    }

    pub(crate) fn attribute_types(&self) -> Vec<u16> {
        self.0.iter_attributes().map(|(_, raw)| raw.header.get_type().value()).collect()
    }
}

/// What a STUN server says.
pub(crate) fn server_answer(request: &[u8], source: SocketAddr, behaviour: ServerBehaviour) -> Option<Vec<u8>> {
    let request = Read::new(request).filter(|request| request.class() == MessageClass::Request)?;
    let answer = |class| Forge::new(class, request.transaction());
    match behaviour {
        ServerBehaviour::Answers => Some(answer(MessageClass::Success).mapped(source).build()),
        ServerBehaviour::Refuses(code) => Some(answer(MessageClass::Error).error(code).build()),
        ServerBehaviour::Silent => None,
    }
}
