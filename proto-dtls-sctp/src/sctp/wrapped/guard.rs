//! What the wrapped association is given, and what it is not.
//!
//! It closes itself without a word on an ERROR, on an unknown parameter of RE-CONFIG and on a late INIT, and it throws a whole packet away for one unknown chunk. It also
//! cannot tell some payload protocol identifiers apart. This module passes only what it bears.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::received::Received;
use super::resets::{OUTGOING_RESET, RESPONSE, Request, Resets};
use crate::sctp::PayloadProtocol;
use crate::sctp::packet::{self, Chunk, Header, Writer, cause, chunk_type};

/// Bytes of a DATA chunk in front of the payload (RFC 9260 §3.3.1), without the chunk header.
const DATA_HEADER_SIZE: usize = 12;
/// Bytes of an unrecognized chunk that are reported back.
const MAX_REPORT: usize = 64;
/// The flag of a DATA chunk that begins a message.
const BEGINNING: u8 = 2;

/// RFC 6525 §4.2, §4.3, §4.5, §4.6
mod reconfiguration_parameter {
    pub(super) const INCOMING_RESET: u16 = 14;
    pub(super) const TSN_RESET: u16 = 15;
    pub(super) const ADD_OUTGOING_STREAMS: u16 = 17;
    pub(super) const ADD_INCOMING_STREAMS: u16 = 18;
    /// The result "Denied" of a response.
    pub(super) const DENIED: u32 = 2;
}

/// How identifiers travel through the wrapped association, which only knows 50, 51, 53, 56, 57, and takes all others for one. The payload of 56 and 57 is of no meaning,
/// and so is that of unknown ones, which are dropped: their first byte is free to tell them apart.
///
/// | on the wire | passed on as | first byte |
/// | --- | --- | --- |
/// | 50 | 50 | as it is, but 0 becomes 255, an equally unknown message |
/// | 51, 53 | 51, 53 | as it is |
/// | 52 | 57 | as it is |
/// | 54 | 54, one of "all others" | as it is |
/// | 56 | 56 | 0 |
/// | 57 | 56 | 1 |
/// | others | 50 | 0 |
fn relabel(identifier: u32, first_byte: u8) -> (u32, u8) {
    match identifier {
        50 => (50, if first_byte == 0 { 255 } else { first_byte }),
        51 | 53 | 54 => (identifier, first_byte),
        52 => (57, first_byte),
        56 => (56, 0),
        57 => (56, 1),
        _ => (50, 0),
    }
}

/// The way back, for a message that the association has handed over.
pub(crate) fn protocol_of(label: sctp_proto::PayloadProtocolIdentifier, payload: &[u8]) -> PayloadProtocol {
    use sctp_proto::PayloadProtocolIdentifier as Label;
    match (label, payload.first()) {
        (Label::Dcep, Some(0) | None) => PayloadProtocol::Unknown,
        (Label::Dcep, Some(_)) => PayloadProtocol::Dcep,
        (Label::String, _) => PayloadProtocol::Text,
        (Label::Binary, _) => PayloadProtocol::Binary,
        (Label::StringEmpty, Some(1)) => PayloadProtocol::BinaryEmpty,
        (Label::StringEmpty, _) => PayloadProtocol::TextEmpty,
        (Label::BinaryEmpty, _) => PayloadProtocol::BinaryPartial,
        (Label::Unknown, _) => PayloadProtocol::TextPartial,
    }
}

/// What is to be done with a packet.
#[derive(Default, Debug)]
pub(crate) struct Admitted {
    /// What the association is to be given.
    pub(crate) packet: Option<Bytes>,
    /// What the peer is to be answered at once.
    pub(crate) reply: Option<Bytes>,
    /// Chunks that were left out.
    pub(crate) skipped: u64,
    /// Chunks that the association answers at once.
    pub(crate) answered: usize,
    /// The association is given SHUTDOWN.
    pub(crate) shutdown: bool,
    /// A new request of the peer to reset streams that the association is given.
    pub(super) request: Option<Request>,
    /// The peer broke a rule for which the association must end, with this cause.
    pub(crate) violation: Option<u16>,
}

/// What the guard must know of the association.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The header of replies.
    pub(crate) reply: Header,
    /// Streams that the peer may send on.
    pub(crate) inbound_streams: u16,
    /// Streams whose data nobody will read any more.
    pub(crate) discarded: &'a BTreeSet<u16>,
    /// Requests to reset streams.
    pub(crate) resets: &'a Resets,
    /// Streams that the association knows, if the packet has a RE-CONFIG chunk.
    pub(super) known: &'a [u16],
    /// What has come.
    pub(crate) received: &'a Received,
    /// How many chunks may be answered at once.
    pub(crate) answers: usize,
}

/// Goes through a packet whose ports, verification tag and framing are right. Chunks of the set-up and ABORT are not for here: they are skipped.
pub(super) fn admit(packet: &Bytes, header: Header, chunks: &[Chunk<'_>], context: Context<'_>) -> Admitted {
    let mut admitted = Admitted::default();
    let mut reply = Writer::new(context.reply);
    let mut kept = Vec::with_capacity(chunks.len());
    let mut changed = !ends_in_order(packet, chunks);
    for chunk in chunks {
        let answered = matches!(chunk.kind, chunk_type::HEARTBEAT | chunk_type::RE_CONFIG);
        if answered && admitted.answered >= context.answers {
            admitted.skipped += 1;
            continue;
        }
        admitted.answered += usize::from(answered);
        match inspect(chunk, context, &mut admitted.request) {
            Verdict::Pass => kept.push((*chunk, None)),
            Verdict::Change(value) => {
                changed = true;
                kept.push((*chunk, Some(value)));
            }
            Verdict::Skip => admitted.skipped += 1,
            Verdict::Deny(sequence_number) => {
                admitted.skipped += 1;
                deny(&mut reply, sequence_number);
            }
            Verdict::Violation(cause) => {
                admitted.violation = Some(cause);
                return admitted;
            }
            Verdict::Unknown => {
                admitted.skipped += 1;
                // RFC 9260 §3.2: the two highest bits of the type say whether to report it, and whether to go on.
                if chunk.kind & 0x40 != 0 {
                    report(&mut reply, chunk);
                }
                if chunk.kind & 0x80 == 0 {
                    break;
                }
            }
        }
    }
    changed |= kept.len() != chunks.len();
    admitted.reply = (!reply.is_empty()).then(|| reply.finish());
    if !changed {
        admitted.packet = Some(packet.clone());
    } else if !kept.is_empty() && packet::checksum_is_valid(packet) {
        let mut writer = Writer::new(header);
        for (chunk, value) in &kept {
            writer.chunk(Chunk { value: value.as_deref().unwrap_or(chunk.value), ..*chunk });
        }
        admitted.packet = Some(writer.finish());
    }
    let shutdown = kept.iter().any(|(chunk, _)| chunk.kind == chunk_type::SHUTDOWN);
    if shutdown || admitted.request.is_some() {
        let valid = admitted.packet.as_deref().is_some_and(packet::checksum_is_valid);
        admitted.shutdown = shutdown && valid;
        admitted.request = admitted.request.filter(|_| valid);
    }
    admitted
}

/// What is to be done with a chunk.
enum Verdict {
    Pass,
    Change(Vec<u8>),
    Skip,
    /// Answer a request to reconfigure with "Denied".
    Deny(u32),
    Violation(u16),
    Unknown,
}

fn inspect(chunk: &Chunk<'_>, context: Context<'_>, request: &mut Option<Request>) -> Verdict {
    let length = chunk.value.len();
    let pass_if = |permitted| if permitted { Verdict::Pass } else { Verdict::Skip };
    match chunk.kind {
        chunk_type::DATA => inspect_data(chunk, context),
        // RFC 9260 §3.3.4: as many blocks and duplicates as announced.
        chunk_type::SACK => pass_if(sack_length(chunk.value) == Some(length)),
        // RFC 9260 §3.3.5: one parameter, of type 1.
        chunk_type::HEARTBEAT => {
            pass_if(packet::parameters(chunk.value).next().flatten().is_some_and(|parameter| parameter.kind == 1))
        }
        chunk_type::SHUTDOWN => pass_if(length == 4),
        chunk_type::SHUTDOWN_ACK | chunk_type::SHUTDOWN_COMPLETE => pass_if(length == 0),
        chunk_type::FORWARD_TSN => pass_if(length >= 4 && length.is_multiple_of(4)),
        chunk_type::RE_CONFIG => inspect_reconfiguration(chunk.value, context, request),
        chunk_type::INIT
        | chunk_type::INIT_ACK
        | chunk_type::HEARTBEAT_ACK
        | chunk_type::ABORT
        | chunk_type::ERROR
        | chunk_type::COOKIE_ECHO
        | chunk_type::COOKIE_ACK => Verdict::Skip,
        _ => Verdict::Unknown,
    }
}

fn inspect_data(chunk: &Chunk<'_>, context: Context<'_>) -> Verdict {
    let (Some(stream), Some(identifier)) = (packet::u16_at(chunk.value, 4), packet::u32_at(chunk.value, 8)) else {
        return Verdict::Violation(cause::PROTOCOL_VIOLATION);
    };
    // RFC 9260 §3.3.10.9: a DATA chunk without data.
    let Some(&first_byte) = chunk.value.get(DATA_HEADER_SIZE) else {
        return Verdict::Violation(cause::NO_USER_DATA);
    };
    // RFC 9260 §6.5
    if stream >= context.inbound_streams {
        return Verdict::Violation(cause::INVALID_STREAM_IDENTIFIER);
    }
    // RFC 9260 §6.2 lets a receiver drop what it has no room for: the peer sends it again.
    if !packet::u32_at(chunk.value, 0).is_some_and(|tsn| context.received.is_near(tsn)) {
        return Verdict::Skip;
    }
    let first_byte = if chunk.flags & BEGINNING == 0 { None } else { Some(first_byte) };
    let (label, marker) = relabel(identifier, first_byte.unwrap_or_default());
    let discarded = context.discarded.contains(&stream) && chunk.value.len() > DATA_HEADER_SIZE + 1;
    if label == identifier && first_byte.is_none_or(|byte| byte == marker) && !discarded {
        return Verdict::Pass;
    }
    let mut value = chunk.value.to_vec();
    if discarded {
        // Nobody reads the stream any more: one byte holds its place, and the receive window stays open for others.
        value.truncate(DATA_HEADER_SIZE + 1);
    }
    if let Some(field) = value.get_mut(8..DATA_HEADER_SIZE) {
        field.copy_from_slice(&label.to_be_bytes());
    }
    if let (Some(byte), Some(_)) = (value.get_mut(DATA_HEADER_SIZE), first_byte) {
        *byte = marker;
    }
    Verdict::Change(value)
}

fn inspect_reconfiguration(value: &[u8], context: Context<'_>, request: &mut Option<Request>) -> Verdict {
    use reconfiguration_parameter as kind;
    let mut count = 0;
    let mut requests = 0;
    for parameter in packet::parameters(value) {
        count += 1;
        let Some(parameter) = parameter else { return Verdict::Skip };
        let length = parameter.value.len();
        match parameter.kind {
            OUTGOING_RESET if length >= 12 && length.is_multiple_of(2) => requests += 1,
            RESPONSE if length == 8 || length == 16 => {}
            kind::INCOMING_RESET | kind::TSN_RESET | kind::ADD_OUTGOING_STREAMS | kind::ADD_INCOMING_STREAMS => {
                return packet::u32_at(parameter.value, 0).map_or(Verdict::Skip, Verdict::Deny);
            }
            _ => return Verdict::Skip,
        }
    }
    // RFC 6525 §3.1: one or two parameters, and not twice the same request.
    if !matches!(count, 1 | 2) || requests > 1 {
        return Verdict::Skip;
    }
    // RFC 6525 §5.1.1: one request at a time. A response may stand beside it in a chunk of its own, and does not come again.
    if requests > 0 && request.is_some() {
        return Verdict::Skip;
    }
    let incoming = context.resets.incoming(value, context.known);
    *request = request.take().or(incoming.request);
    incoming.changed.map_or(Verdict::Pass, Verdict::Change)
}

fn sack_length(value: &[u8]) -> Option<usize> {
    Some(12 + 4 * (usize::from(packet::u16_at(value, 8)?) + usize::from(packet::u16_at(value, 10)?)))
}

/// Whether the padding of the last chunk is there and zero: the association wants it so, though RFC 9260 §3.2 tells receivers to ignore it.
fn ends_in_order(packet: &[u8], chunks: &[Chunk<'_>]) -> bool {
    let length = chunks.last().map_or(0, |chunk| chunk.value.len());
    let padding = length.next_multiple_of(4) - length;
    packet.len().is_multiple_of(4) && packet.iter().rev().take(padding).all(|&byte| byte == 0)
}

/// RFC 6525 §4.4: a response with the result "Denied".
fn deny(reply: &mut Writer, sequence_number: u32) {
    let mut result = sequence_number.to_be_bytes().to_vec();
    result.extend_from_slice(&reconfiguration_parameter::DENIED.to_be_bytes());
    let mut value = Vec::new();
    packet::put_parameter(&mut value, packet::Parameter { kind: RESPONSE, value: &result });
    reply.chunk(Chunk { kind: chunk_type::RE_CONFIG, flags: 0, value: &value });
}

/// RFC 9260 §3.3.10.6: an ERROR that returns the chunk, or its beginning.
fn report(reply: &mut Writer, chunk: &Chunk<'_>) {
    let mut returned = vec![chunk.kind, chunk.flags];
    let length = u16::try_from(chunk.value.len() + packet::CHUNK_HEADER_SIZE).unwrap_or(u16::MAX);
    returned.extend_from_slice(&length.to_be_bytes());
    returned.extend(chunk.value.iter().take(MAX_REPORT));
    let mut value = Vec::new();
    packet::put_parameter(&mut value, packet::Parameter { kind: cause::UNRECOGNIZED_CHUNK_TYPE, value: &returned });
    reply.chunk(Chunk { kind: chunk_type::ERROR, flags: 0, value: &value });
}

#[cfg(test)]
mod tests;
