//! Packets that belong to no association (RFC 9260 §8.4).

use bytes::Bytes;

use super::packet::{self, Header, Packet, TAG_REFLECTED, cause, chunk_type};

/// What answers such a packet, if anything does. It has been found intact, and for our ports.
pub(super) fn answer(packet: &Packet<'_>) -> Option<Bytes> {
    let reflected = Header {
        source_port: packet.header.destination_port,
        destination_port: packet.header.source_port,
        verification_tag: packet.header.verification_tag,
    };
    let first = packet.chunks().next()?;
    // 2)
    if packet.has(chunk_type::ABORT) {
        return None;
    }
    // 3): no association is to be had here.
    if packet.has(chunk_type::INIT) {
        let verification_tag = packet::u32_at(first.value, 0).filter(|&tag| tag != 0)?;
        let permitted = packet.chunk_count() == 1 && packet.header.verification_tag == 0;
        return permitted.then(|| packet::single(Header { verification_tag, ..reflected }, chunk_type::ABORT, 0, &[]));
    }
    // 5)
    if packet.has(chunk_type::SHUTDOWN_ACK) {
        return Some(packet::single(reflected, chunk_type::SHUTDOWN_COMPLETE, TAG_REFLECTED, &[]));
    }
    // 4): no cookie is valid; 6), 7)
    let is_stale = packet
        .chunks()
        .any(|chunk| chunk.kind == chunk_type::ERROR && packet::first_cause(chunk.value) == Some(cause::STALE_COOKIE));
    let ends_something = first.kind == chunk_type::COOKIE_ECHO
        || packet.has(chunk_type::SHUTDOWN_COMPLETE)
        || packet.has(chunk_type::COOKIE_ACK)
        || is_stale;
    // 8)
    (!ends_something).then(|| packet::single(reflected, chunk_type::ABORT, TAG_REFLECTED, &[]))
}
