//! The chunks of an established association as typed values. What cannot be written is not permitted; what is read is borrowed from the packet.

pub(super) mod data;
pub(super) mod forward_tsn;
pub(super) mod reconfiguration;
pub(super) mod sack;
pub(super) mod tsn;

use super::packet::{self, Chunk};
use super::packet::{Builder, chunk_type};

/// Bytes of an unrecognized chunk that are reported back.
const MAX_REPORT: usize = 64;
/// The parameter of HEARTBEAT and HEARTBEAT ACK (RFC 9260 §3.3.5).
const HEARTBEAT_INFO: u16 = 1;

/// What the sender of a HEARTBEAT is to be given back, if it is well-formed (RFC 9260 §3.3.5).
pub(super) fn heartbeat_info(value: &[u8]) -> Option<&[u8]> {
    let parameter = packet::parameters(value).next()??;
    (parameter.kind == HEARTBEAT_INFO).then_some(parameter.value)
}

/// A HEARTBEAT of this side, which carries the moment of sending.
pub(super) fn put_heartbeat(builder: &mut Builder<'_>, nanoseconds: u64) -> bool {
    builder.chunk(chunk_type::HEARTBEAT, 0, 12, |bytes| {
        bytes.extend_from_slice(&HEARTBEAT_INFO.to_be_bytes());
        bytes.extend_from_slice(&12_u16.to_be_bytes());
        bytes.extend_from_slice(&nanoseconds.to_be_bytes());
    })
}

/// The moment at which a HEARTBEAT of this side was sent, from the HEARTBEAT ACK.
pub(super) fn heartbeat_moment(value: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*heartbeat_info(value)?.first_chunk()?))
}

/// The value of an ERROR that names a stream which does not exist (RFC 9260 §3.3.10.1).
pub(super) fn invalid_stream_report(stream: u16) -> Vec<u8> {
    let [high, low] = stream.to_be_bytes();
    let mut value = Vec::new();
    packet::put_parameter(
        &mut value,
        packet::Parameter { kind: packet::cause::INVALID_STREAM_IDENTIFIER, value: &[high, low, 0, 0] },
    );
    value
}

/// The value of an ERROR that returns an unrecognized chunk, or its beginning (RFC 9260 §3.3.10.6).
pub(super) fn unrecognized_chunk_report(chunk: &Chunk<'_>) -> Vec<u8> {
    let mut returned = vec![chunk.kind, chunk.flags];
    let length = u16::try_from(chunk.value.len() + packet::CHUNK_HEADER_SIZE).unwrap_or(u16::MAX);
    returned.extend_from_slice(&length.to_be_bytes());
    returned.extend(chunk.value.iter().take(MAX_REPORT));
    let mut value = Vec::new();
    packet::put_parameter(
        &mut value,
        packet::Parameter { kind: packet::cause::UNRECOGNIZED_CHUNK_TYPE, value: &returned },
    );
    value
}
