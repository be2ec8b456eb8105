//! The SCTP wire format, as far as this crate reads and writes it itself (RFC 9260 §3).

use std::time::Duration;

use bytes::Bytes;

use super::checksum::packet_checksum;

/// Chunk types (RFC 9260 §3.2, RFC 3758, RFC 6525, RFC 8260).
pub(crate) mod chunk_type {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const INIT: u8 = 1;
    pub(crate) const INIT_ACK: u8 = 2;
    pub(crate) const SACK: u8 = 3;
    pub(crate) const HEARTBEAT: u8 = 4;
    pub(crate) const HEARTBEAT_ACK: u8 = 5;
    pub(crate) const ABORT: u8 = 6;
    pub(crate) const SHUTDOWN: u8 = 7;
    pub(crate) const SHUTDOWN_ACK: u8 = 8;
    pub(crate) const ERROR: u8 = 9;
    pub(crate) const COOKIE_ECHO: u8 = 10;
    pub(crate) const COOKIE_ACK: u8 = 11;
    pub(crate) const SHUTDOWN_COMPLETE: u8 = 14;
    pub(crate) const I_DATA: u8 = 64;
    pub(crate) const RE_CONFIG: u8 = 130;
    pub(crate) const FORWARD_TSN: u8 = 192;
    pub(crate) const I_FORWARD_TSN: u8 = 194;
}

/// Causes of ERROR and ABORT (RFC 9260 §3.3.10).
pub(crate) mod cause {
    pub(crate) const INVALID_STREAM_IDENTIFIER: u16 = 1;
    pub(crate) const MISSING_MANDATORY_PARAMETER: u16 = 2;
    pub(crate) const STALE_COOKIE: u16 = 3;
    pub(crate) const UNRESOLVABLE_ADDRESS: u16 = 5;
    pub(crate) const UNRECOGNIZED_CHUNK_TYPE: u16 = 6;
    pub(crate) const INVALID_MANDATORY_PARAMETER: u16 = 7;
    pub(crate) const UNRECOGNIZED_PARAMETERS: u16 = 8;
    pub(crate) const NO_USER_DATA: u16 = 9;
    pub(crate) const COOKIE_RECEIVED_WHILE_SHUTTING_DOWN: u16 = 10;
    pub(crate) const RESTART_WITH_NEW_ADDRESSES: u16 = 11;
    pub(crate) const USER_INITIATED_ABORT: u16 = 12;
    pub(crate) const PROTOCOL_VIOLATION: u16 = 13;
}

/// Bytes of the common header.
pub(crate) const HEADER_SIZE: usize = 12;
/// Bytes of the header of a chunk.
pub(crate) const CHUNK_HEADER_SIZE: usize = 4;

/// The common header (RFC 9260 §3.1), without its checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) verification_tag: u32,
}

/// A chunk inside a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Chunk<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    /// Without header and padding.
    pub(crate) value: &'a [u8],
}

/// A packet whose framing is right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) header: Header,
    checksum: [u8; 4],
    bytes: &'a [u8],
    count: usize,
    /// One bit for each chunk type below 64 that occurs.
    kinds: u64,
}

impl<'a> Packet<'a> {
    /// Reads the common header and goes through the chunks. `None` if the packet is malformed anywhere: then none of it is to be trusted.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = Header {
            source_port: u16_at(bytes, 0)?,
            destination_port: u16_at(bytes, 2)?,
            verification_tag: u32_at(bytes, 4)?,
        };
        let checksum = *bytes.get(8..)?.first_chunk()?;
        let mut rest = bytes.get(HEADER_SIZE..)?;
        let (mut count, mut kinds) = (0, 0);
        while !rest.is_empty() {
            let (chunk, behind) = split_chunk(rest)?;
            count += 1;
            kinds |= 1_u64.checked_shl(chunk.kind.into()).unwrap_or(0);
            rest = behind;
        }
        (count > 0).then_some(Self { header, checksum, bytes, count, kinds })
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = Chunk<'a>> + use<'a> {
        let mut rest = self.bytes.get(HEADER_SIZE..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (chunk, behind) = split_chunk(rest)?;
            rest = behind;
            Some(chunk)
        })
    }

    #[cfg(feature = "sctp-proto")]
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn chunk_count(&self) -> usize {
        self.count
    }

    /// Whether a chunk of a type below 64 occurs.
    pub(crate) fn has(&self, kind: u8) -> bool {
        self.kinds & 1_u64.checked_shl(kind.into()).unwrap_or(0) != 0
    }

    /// Whether the checksum is right (RFC 9260 §6.8).
    pub(crate) fn checksum_is_valid(&self) -> bool {
        self.checksum == packet_checksum(self.bytes).to_le_bytes()
    }

    /// Whether the checksum was left out (RFC 9653 §4).
    pub(crate) fn checksum_is_zero(&self) -> bool {
        self.checksum == [0; 4]
    }
}

fn split_chunk(rest: &[u8]) -> Option<(Chunk<'_>, &[u8])> {
    let &[kind, flags, high, low] = rest.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let value = rest.get(CHUNK_HEADER_SIZE..length)?;
    // RFC 9260 §3.2: padding is not counted in the length. A sender that leaves it away at the very end is forgiven.
    let behind = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((Chunk { kind, flags, value }, behind))
}

/// The common header and the chunks.
#[cfg(any(test, feature = "sctp-proto"))]
pub(crate) fn parse(packet: &[u8]) -> Option<(Header, Vec<Chunk<'_>>)> {
    let packet = Packet::parse(packet)?;
    Some((packet.header, packet.chunks().collect()))
}

/// Whether the checksum of a packet is right (RFC 9260 §6.8).
#[cfg(any(test, feature = "sctp-proto"))]
pub(crate) fn checksum_is_valid(packet: &[u8]) -> bool {
    packet.get(8..12).is_some_and(|checksum| checksum == packet_checksum(packet).to_le_bytes())
}

/// Writes a packet into a buffer of the caller, within a limit. Everything in it is padded to four bytes.
#[derive(Debug)]
pub(crate) struct Builder<'a> {
    bytes: &'a mut Vec<u8>,
    limit: usize,
}

impl<'a> Builder<'a> {
    /// Begins a packet of at most `limit` bytes.
    pub(crate) fn new(bytes: &'a mut Vec<u8>, header: Header, limit: usize) -> Self {
        bytes.clear();
        bytes.extend_from_slice(&header.source_port.to_be_bytes());
        bytes.extend_from_slice(&header.destination_port.to_be_bytes());
        bytes.extend_from_slice(&header.verification_tag.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        Self { bytes, limit: limit / 4 * 4 }
    }

    /// Goes on with a packet that is finished, which [`finish`](Self::finish) finishes anew.
    pub(crate) fn resume(bytes: &'a mut Vec<u8>, limit: usize) -> Self {
        if let Some(field) = bytes.get_mut(8..12) {
            field.fill(0);
        }
        Self { bytes, limit: limit / 4 * 4 }
    }

    /// Bytes that still fit, header and padding of a chunk counted.
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.bytes.len())
    }

    /// Bytes that an empty packet takes.
    pub(crate) fn capacity(&self) -> usize {
        self.limit.saturating_sub(HEADER_SIZE)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER_SIZE
    }

    /// Where the packet ends, for [`truncate`](Self::truncate).
    pub(crate) fn position(&self) -> usize {
        self.bytes.len()
    }

    /// Takes back what was written behind a position.
    pub(crate) fn truncate(&mut self, position: usize) {
        self.bytes.truncate(position);
    }

    /// Appends a chunk of `length` bytes behind its header, if it fits.
    pub(crate) fn chunk(&mut self, kind: u8, flags: u8, length: usize, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let total = CHUNK_HEADER_SIZE + length;
        let Some(field) = u16::try_from(total).ok().filter(|_| total.next_multiple_of(4) <= self.room()) else {
            return false;
        };
        let [high, low] = field.to_be_bytes();
        self.bytes.extend_from_slice(&[kind, flags, high, low]);
        write(self.bytes);
        let padding = total.next_multiple_of(4) - total;
        self.bytes.extend_from_slice([0; 3].get(..padding).unwrap_or_default());
        true
    }

    /// Fills in the checksum, unless it is left out. Whether there is a packet at all.
    pub(crate) fn finish(self, with_checksum: bool) -> bool {
        if self.is_empty() {
            self.bytes.clear();
            return false;
        }
        if with_checksum {
            put_checksum(self.bytes);
        }
        true
    }
}

/// Writes a packet of its own.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(header: Header) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&header.source_port.to_be_bytes());
        bytes.extend_from_slice(&header.destination_port.to_be_bytes());
        bytes.extend_from_slice(&header.verification_tag.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        Self { bytes }
    }

    /// Appends a chunk and pads it.
    pub(crate) fn chunk(&mut self, chunk: Chunk<'_>) {
        let length = u16::try_from(CHUNK_HEADER_SIZE + chunk.value.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&[chunk.kind, chunk.flags]);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(chunk.value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// The length of the packet with one more chunk of `value` bytes.
    #[cfg(feature = "sctp-proto")]
    pub(crate) fn length_with(&self, value: usize) -> usize {
        self.bytes.len() + (CHUNK_HEADER_SIZE + value).next_multiple_of(4)
    }

    #[cfg(feature = "sctp-proto")]
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER_SIZE
    }

    /// Fills in the checksum.
    pub(crate) fn finish(mut self) -> Bytes {
        put_checksum(&mut self.bytes);
        self.bytes.into()
    }
}

/// A packet with a single chunk.
pub(crate) fn single(header: Header, kind: u8, flags: u8, value: &[u8]) -> Bytes {
    let mut writer = Writer::new(header);
    writer.chunk(Chunk { kind, flags, value });
    writer.finish()
}

/// Fills in the checksum of a packet (RFC 9260 §6.8).
pub(crate) fn put_checksum(packet: &mut [u8]) {
    let checksum = packet_checksum(packet).to_le_bytes();
    if let Some(field) = packet.get_mut(8..12) {
        field.copy_from_slice(&checksum);
    }
}

/// Whether the first chunk of a packet is of this kind.
pub(crate) fn begins_with(packet: &[u8], kind: u8) -> bool {
    packet.get(HEADER_SIZE) == Some(&kind)
}

/// The T bit of ABORT and SHUTDOWN COMPLETE: the verification tag is the sender's own (RFC 9260 §8.5.1).
pub(crate) const TAG_REFLECTED: u8 = 1;

/// An ABORT with one cause (RFC 9260 §3.3.7).
pub(crate) fn abort(header: Header, cause_code: u16) -> Bytes {
    abort_with(header, 0, Parameter { kind: cause_code, value: &[] })
}

/// An ABORT with one cause and what belongs to it. Causes are encoded as parameters are.
pub(crate) fn abort_with(header: Header, flags: u8, cause: Parameter<'_>) -> Bytes {
    let mut value = Vec::new();
    put_parameter(&mut value, cause);
    single(header, chunk_type::ABORT, flags, &value)
}

/// Whether a chunk of this type, which has no meaning here, ends the reading of its packet (RFC 9260 §3.2).
pub(crate) fn ends_packet(kind: u8) -> bool {
    kind & 0x80 == 0 && !matches!(kind, 0..=chunk_type::COOKIE_ACK | chunk_type::SHUTDOWN_COMPLETE | chunk_type::I_DATA)
}

/// The value of an ERROR about a cookie that came too late by so much (RFC 9260 §3.3.10.3).
pub(crate) fn stale_cookie(staleness: Duration) -> [u8; 8] {
    let [high, low] = cause::STALE_COOKIE.to_be_bytes();
    let [a, b, c, d] = u32::try_from(staleness.as_micros()).unwrap_or(u32::MAX).to_be_bytes();
    [high, low, 0, 8, a, b, c, d]
}

/// The code of the first cause in an ABORT or ERROR.
pub(crate) fn first_cause(value: &[u8]) -> Option<u16> {
    u16_at(value, 0)
}

/// A type-length-value parameter (RFC 9260 §3.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Parameter<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
}

/// Reads parameters. Ends early at one that is malformed, which is the last item then.
pub(crate) fn parameters(mut bytes: &[u8]) -> impl Iterator<Item = Option<Parameter<'_>>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let parameter = (|| {
            let length = usize::from(u16_at(bytes, 2)?);
            Some((Parameter { kind: u16_at(bytes, 0)?, value: bytes.get(4..length)? }, length))
        })();
        bytes = parameter.and_then(|(_, length)| bytes.get(length.next_multiple_of(4)..)).unwrap_or_default();
        Some(parameter.map(|(parameter, _)| parameter))
    })
}

/// Appends a parameter, and pads what stands before it. The padding of the last one is that of the chunk, which does not count it (RFC 9260 §3.2).
pub(crate) fn put_parameter(bytes: &mut Vec<u8>, parameter: Parameter<'_>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let length = u16::try_from(4 + parameter.value.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&parameter.kind.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(parameter.value);
}

pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(offset..)?.first_chunk()?))
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(offset..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { source_port: 5000, destination_port: 5001, verification_tag: 7 };

    #[test]
    fn what_is_written_is_read_back() {
        let mut writer = Writer::new(HEADER);
        let chunks = [
            Chunk { kind: chunk_type::COOKIE_ECHO, flags: 0, value: b"cookie!" },
            Chunk { kind: chunk_type::DATA, flags: 3, value: b"data" },
        ];
        chunks.iter().for_each(|&chunk| writer.chunk(chunk));
        let packet = writer.finish();
        assert_eq!(packet.len() % 4, 0);
        assert!(checksum_is_valid(&packet));
        assert_eq!(parse(&packet), Some((HEADER, chunks.to_vec())));
    }

    #[test]
    fn a_packet_truncated_anywhere_is_malformed_but_for_its_last_padding() {
        let packet = single(HEADER, chunk_type::COOKIE_ECHO, 0, b"cookie!");
        for length in 0..packet.len() {
            let padding_only = length == packet.len() - 1;
            assert_eq!(parse(&packet[..length]).is_some(), padding_only, "{length} bytes");
        }
    }

    #[test]
    fn a_chunk_shorter_than_its_header_is_malformed() {
        let mut packet = single(HEADER, chunk_type::DATA, 0, b"data").to_vec();
        for length in 0..4 {
            packet[15] = length;
            assert_eq!(parse(&packet), None);
        }
    }

    #[test]
    fn parameters_end_at_the_first_malformed_one() {
        let mut bytes = Vec::new();
        let first = Parameter { kind: 7, value: b"abc" };
        put_parameter(&mut bytes, first);
        bytes.extend_from_slice(&[0, 0, 8, 0, 200]);
        assert_eq!(parameters(&bytes).collect::<Vec<_>>(), [Some(first), None]);
    }

    #[test]
    fn an_abort_tells_its_cause() {
        let packet = abort(HEADER, cause::USER_INITIATED_ABORT);
        let (_, chunks) = parse(&packet).unwrap();
        assert_eq!(chunks[0].kind, chunk_type::ABORT);
        assert_eq!(first_cause(chunks[0].value), Some(cause::USER_INITIATED_ABORT));
    }
}
