//! The SCTP wire format, as far as this crate reads and writes it itself (RFC 9260 §3).

use bytes::Bytes;

use super::crc32c::packet_checksum;

/// Chunk types (RFC 9260 §3.2, RFC 3758, RFC 6525).
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
    pub(crate) const RE_CONFIG: u8 = 130;
    pub(crate) const FORWARD_TSN: u8 = 192;
}

/// Causes of ERROR and ABORT (RFC 9260 §3.3.10).
pub(crate) mod cause {
    pub(crate) const INVALID_STREAM_IDENTIFIER: u16 = 1;
    pub(crate) const UNRECOGNIZED_CHUNK_TYPE: u16 = 6;
    pub(crate) const NO_USER_DATA: u16 = 9;
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

/// Reads the common header and the chunks. `None` if the packet is malformed anywhere: then none of it is to be trusted.
pub(crate) fn parse(packet: &[u8]) -> Option<(Header, Vec<Chunk<'_>>)> {
    let header = Header {
        source_port: u16_at(packet, 0)?,
        destination_port: u16_at(packet, 2)?,
        verification_tag: u32_at(packet, 4)?,
    };
    let mut rest = packet.get(HEADER_SIZE..)?;
    let mut chunks = Vec::with_capacity(2);
    while !rest.is_empty() {
        let length = usize::from(u16_at(rest, 2)?);
        let value = rest.get(CHUNK_HEADER_SIZE..length)?;
        chunks.push(Chunk { kind: *rest.first()?, flags: *rest.get(1)?, value });
        // RFC 9260 §3.2: padding is not counted in the length. A sender that leaves it away at the very end is forgiven.
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    (!chunks.is_empty()).then_some((header, chunks))
}

/// Whether the checksum of a packet is right (RFC 9260 §6.8).
pub(crate) fn checksum_is_valid(packet: &[u8]) -> bool {
    packet.get(8..12).is_some_and(|checksum| checksum == packet_checksum(packet).to_le_bytes())
}

/// Writes a packet.
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
    pub(crate) fn length_with(&self, value: usize) -> usize {
        self.bytes.len() + (CHUNK_HEADER_SIZE + value).next_multiple_of(4)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER_SIZE
    }

    /// Fills in the checksum.
    pub(crate) fn finish(mut self) -> Bytes {
        let checksum = packet_checksum(&self.bytes).to_le_bytes();
        if let Some(field) = self.bytes.get_mut(8..12) {
            field.copy_from_slice(&checksum);
        }
        self.bytes.into()
    }
}

/// A packet with a single chunk.
pub(crate) fn single(header: Header, kind: u8, flags: u8, value: &[u8]) -> Bytes {
    let mut writer = Writer::new(header);
    writer.chunk(Chunk { kind, flags, value });
    writer.finish()
}

/// Whether the first chunk of a packet is of this kind.
pub(crate) fn begins_with(packet: &[u8], kind: u8) -> bool {
    packet.get(HEADER_SIZE) == Some(&kind)
}

/// The length of [`bundle`].
pub(crate) fn bundled_length(first: &[u8], second: &[u8]) -> usize {
    first.len() + second.len().saturating_sub(HEADER_SIZE)
}

/// The chunks of two packets with the same header in one.
pub(crate) fn bundle(first: &[u8], second: &[u8]) -> Bytes {
    let mut bytes = first.to_vec();
    bytes.extend_from_slice(second.get(HEADER_SIZE..).unwrap_or_default());
    if let Some(field) = bytes.get_mut(8..12) {
        // RFC 9260 §6.8: the checksum is computed over a packet whose field is zero.
        field.fill(0);
    }
    Writer { bytes }.finish()
}

/// An ABORT with one cause (RFC 9260 §3.3.7).
pub(crate) fn abort(header: Header, cause_code: u16) -> Bytes {
    let [high, low] = cause_code.to_be_bytes();
    single(header, chunk_type::ABORT, 0, &[high, low, 0, 4])
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

/// Appends a parameter, padded.
pub(crate) fn put_parameter(bytes: &mut Vec<u8>, parameter: Parameter<'_>) {
    let length = u16::try_from(4 + parameter.value.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&parameter.kind.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(parameter.value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
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
        bytes.extend_from_slice(&[0, 8, 0, 200]);
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
