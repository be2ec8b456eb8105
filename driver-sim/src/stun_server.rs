//! A STUN server as a node.

use std::collections::VecDeque;
use std::net::SocketAddr;

use proto_machine::{Path, Received, SocketId, SocketRequest, Timestamp, Transmit, TransmitBuffer};
use stun_types::attribute::{
    Attribute, AttributeStaticType, AttributeType, ErrorCode, Fingerprint, MessageIntegrity, MessageIntegritySha256,
    Nonce, Realm, UnknownAttributes, Userhash, Username, XorMappedAddress,
};
use stun_types::message::{
    BINDING, Message, MessageClass, MessageWrite, MessageWriteExt, MessageWriteVec, StunWriteError,
};

use crate::{Node, NodeAction};

/// A STUN server (RFC 8489 §12): it answers Binding requests with the address that they came from, asks for no credentials, and knows nothing else.
#[derive(Debug)]
pub struct StunServerNode {
    addresses: Vec<SocketAddr>,
    sockets: VecDeque<SocketRequest>,
    /// What the last datagram has caused.
    response: Option<(Path, Vec<u8>)>,
    answered: u64,
}

/// Attributes that a request may carry and that mean nothing to a server without credentials.
const WITHOUT_MEANING: [AttributeType; 6] =
    [Username::TYPE, MessageIntegrity::TYPE, MessageIntegritySha256::TYPE, Realm::TYPE, Nonce::TYPE, Userhash::TYPE];

impl StunServerNode {
    /// The port of STUN over UDP (RFC 8489 §18.6).
    pub const PORT: u16 = 3478;

    /// A server that listens at these addresses, which its host must have.
    #[must_use]
    pub fn new(addresses: Vec<SocketAddr>) -> Self {
        Self { addresses, sockets: VecDeque::new(), response: None, answered: 0 }
    }

    /// How many requests it has answered, errors included.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered
    }
}

impl<S> Node<S> for StunServerNode {
    fn handle_start(&mut self, _: Timestamp) {
        let bind = |(&local, number)| SocketRequest::BindUdp { socket: SocketId(number), local };
        self.sockets.extend(self.addresses.iter().zip(0..).map(bind));
    }

    fn handle_packet(&mut self, _: Timestamp, received: Received<'_>) {
        if let Some(response) = respond(received.datagram, received.path.remote) {
            self.response = Some((received.path, response));
            self.answered += 1;
        }
    }

    fn handle_timeout(&mut self, _: Timestamp) {}

    fn poll(&mut self, _: Timestamp, buffer: &mut TransmitBuffer) -> NodeAction<S> {
        if let Some(request) = self.sockets.pop_front() {
            return NodeAction::Socket(request);
        }
        if let Some((path, response)) = self.response.take()
            && buffer.push(&response)
            && let Some(segments) = buffer.segments()
        {
            return NodeAction::Transmit(Transmit { path, segments });
        }
        NodeAction::Wait(None)
    }
}

/// The answer to a datagram; `None` if it is no Binding request.
fn respond(datagram: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    let request = Message::from_bytes(datagram).ok()?;
    if !request.has_class(MessageClass::Request) || !request.has_method(BINDING) {
        return None;
    }
    answer(&request, source).ok()
}

fn answer(request: &Message<'_>, source: SocketAddr) -> Result<Vec<u8>, StunWriteError> {
    let is_unknown = |kind: &AttributeType| kind.comprehension_required() && !WITHOUT_MEANING.contains(kind);
    let unknown: Vec<AttributeType> =
        request.iter_attributes().map(|(_, attribute)| attribute.get_type()).filter(is_unknown).collect();
    let mut response = if unknown.is_empty() {
        let mut success = Message::builder_success(request, MessageWriteVec::new());
        success.add_attribute(&XorMappedAddress::new(source, request.transaction_id()))?;
        success
    } else {
        // RFC 8489 §6.3.1: 420, and what was not understood.
        let mut error = Message::builder_error(request, MessageWriteVec::new());
        error.add_attribute(&ErrorCode::builder(420).build()?)?;
        error.add_attribute(&UnknownAttributes::new(&unknown))?;
        error
    };
    if request.has_attribute(Fingerprint::TYPE) {
        response.add_fingerprint()?;
    }
    Ok(response.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5769 §2.1: USERNAME, PRIORITY, ICE-CONTROLLED, MESSAGE-INTEGRITY, FINGERPRINT.
    const CHECK: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff\
                         80290008932ff9b1512 63b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249\
                         c1b571a280280004e57a3bcf";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn a_binding_request_is_answered_with_the_address_it_came_from() {
        let request = bytes("00010000 2112a442 b7e7a701 bc34d686 fa87dfae");
        let response = respond(&request, "192.0.2.1:32853".parse().unwrap()).unwrap();
        // RFC 5769 §2.2 has the same address, transaction and so the same attribute.
        assert_eq!(response, bytes("0101000c 2112a442 b7e7a701 bc34d686 fa87dfae 00200008 0001a147 e112a643"));
    }

    #[test]
    fn an_ipv6_address_is_masked_with_the_transaction_too() {
        let request = bytes("00010000 2112a442 b7e7a701 bc34d686 fa87dfae");
        let source = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap();
        // RFC 5769 §2.3.
        let attribute = "00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9";
        let expected = format!("01010018 2112a442 b7e7a701 bc34d686 fa87dfae {attribute}");
        assert_eq!(respond(&request, source).unwrap(), bytes(&expected));
    }

    #[test]
    fn what_must_be_understood_and_is_not_is_named_in_an_error() {
        let source = "192.0.2.1:32853".parse().unwrap();
        let response = respond(&bytes(CHECK), source).unwrap();
        let response = Message::from_bytes(&response).unwrap();
        assert!(response.has_class(MessageClass::Error));
        assert_eq!(response.attribute::<ErrorCode>().unwrap().code(), 420);
        // PRIORITY; ICE-CONTROLLED may be passed over.
        assert!(response.attribute::<UnknownAttributes>().unwrap().has_attribute(AttributeType::new(0x0024)));
        assert!(response.has_attribute(Fingerprint::TYPE));
    }

    #[test]
    fn responses_indications_other_methods_and_noise_are_not_answered() {
        let source = "192.0.2.1:32853".parse().unwrap();
        for kind in ["0101", "0111", "0011", "0003", "ffff"] {
            let datagram = bytes(&format!("{kind}0000 2112a442 b7e7a701 bc34d686 fa87dfae"));
            assert_eq!(respond(&datagram, source), None, "{kind}");
        }
        let request = bytes("00010000 2112a442 b7e7a701 bc34d686 fa87dfae");
        for length in 0..request.len() {
            assert_eq!(respond(&request[..length], source), None);
        }
        assert_eq!(respond(&bytes(&CHECK.replace("2112a442", "2112a443")), source), None);
    }
}
