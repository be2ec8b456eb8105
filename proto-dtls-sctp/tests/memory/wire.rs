//! Chunks by hand.

/// A chunk: its type, its flags, and its value.
pub(crate) type Chunk = (u8, u8, Vec<u8>);

/// Bytes of a packet that one DTLS record takes, with room to spare.
pub(crate) const RECORD: usize = 16_000;

/// The flags of DATA and I-DATA (RFC 9260 §3.3.1).
pub(crate) const ENDING: u8 = 1;
pub(crate) const BEGINNING: u8 = 2;
pub(crate) const UNORDERED: u8 = 4;
pub(crate) const WHOLE: u8 = BEGINNING | ENDING;

/// Payload protocol identifiers (RFC 8831 §8, RFC 8832 §8).
pub(crate) const DCEP: u32 = 50;
pub(crate) const TEXT_PARTIAL: u32 = 54;
pub(crate) const BINARY: u32 = 53;

/// A fragment, without its TSN.
#[derive(Clone, Copy)]
pub(crate) struct Fragment<'a> {
    pub(crate) stream: u16,
    /// SSN or MID.
    pub(crate) message: u32,
    /// FSN, of I-DATA alone.
    pub(crate) number: u32,
    pub(crate) flags: u8,
    pub(crate) identifier: u32,
    pub(crate) payload: &'a [u8],
}

impl Default for Fragment<'_> {
    fn default() -> Self {
        Self { stream: 0, message: 0, number: 0, flags: WHOLE, identifier: BINARY, payload: b"x" }
    }
}

pub(crate) fn data(tsn: u32, fragment: Fragment<'_>) -> Chunk {
    let mut value = tsn.to_be_bytes().to_vec();
    value.extend_from_slice(&fragment.stream.to_be_bytes());
    value.extend_from_slice(&fragment.message.to_be_bytes()[2..]);
    value.extend_from_slice(&fragment.identifier.to_be_bytes());
    value.extend_from_slice(fragment.payload);
    (0, fragment.flags, value)
}

pub(crate) fn interleaved(tsn: u32, fragment: Fragment<'_>) -> Chunk {
    let mut value = tsn.to_be_bytes().to_vec();
    value.extend_from_slice(&fragment.stream.to_be_bytes());
    value.extend_from_slice(&[0; 2]);
    value.extend_from_slice(&fragment.message.to_be_bytes());
    let begins = fragment.flags & BEGINNING != 0;
    let number = if begins { fragment.identifier } else { fragment.number };
    value.extend_from_slice(&number.to_be_bytes());
    value.extend_from_slice(fragment.payload);
    (64, fragment.flags, value)
}

/// FORWARD TSN, or I-FORWARD-TSN, that names streams with the last message that is given up on each.
pub(crate) fn forward(interleaves: bool, tsn: u32, skipped: impl Iterator<Item = (u16, u32)>) -> Chunk {
    let mut value = tsn.to_be_bytes().to_vec();
    for (stream, message) in skipped {
        value.extend_from_slice(&stream.to_be_bytes());
        if interleaves {
            value.extend_from_slice(&[0; 2]);
            value.extend_from_slice(&message.to_be_bytes());
        } else {
            value.extend_from_slice(&message.to_be_bytes()[2..]);
        }
    }
    (if interleaves { 194 } else { 192 }, 0, value)
}

/// A request to reset outgoing streams of the sender (RFC 6525 §4.1).
pub(crate) fn reset_request(number: u32, last_tsn: u32, streams: &[u16]) -> Chunk {
    let length = u16::try_from(16 + 2 * streams.len()).unwrap();
    let mut value = [13_u16.to_be_bytes(), length.to_be_bytes()].concat();
    for number in [number, 0, last_tsn] {
        value.extend_from_slice(&number.to_be_bytes());
    }
    streams.iter().for_each(|stream| value.extend_from_slice(&stream.to_be_bytes()));
    (130, 0, value)
}

/// An acknowledgement with gap blocks.
pub(crate) fn sack(cumulative: u32, window: u32, gaps: &[(u16, u16)]) -> Chunk {
    let mut value = cumulative.to_be_bytes().to_vec();
    value.extend_from_slice(&window.to_be_bytes());
    value.extend_from_slice(&u16::try_from(gaps.len()).unwrap().to_be_bytes());
    value.extend_from_slice(&[0; 2]);
    for (start, end) in gaps {
        value.extend_from_slice(&start.to_be_bytes());
        value.extend_from_slice(&end.to_be_bytes());
    }
    (3, 0, value)
}

/// A packet without checksum, which RFC 9653 permits once both sides have agreed to it.
pub(crate) fn packet(tag: u32, chunks: &[Chunk]) -> Vec<u8> {
    let mut packet = [5000_u16.to_be_bytes(), 5000_u16.to_be_bytes()].concat();
    packet.extend_from_slice(&tag.to_be_bytes());
    packet.extend_from_slice(&[0; 4]);
    for (kind, flags, value) in chunks {
        packet.extend_from_slice(&[*kind, *flags]);
        packet.extend_from_slice(&u16::try_from(value.len() + 4).unwrap().to_be_bytes());
        packet.extend_from_slice(value);
        packet.resize(packet.len().next_multiple_of(4), 0);
    }
    packet
}

/// The same with its checksum.
pub(crate) fn with_checksum(mut packet: Vec<u8>) -> Vec<u8> {
    let checksum = crc32c::crc32c(&packet).to_le_bytes();
    packet[8..12].copy_from_slice(&checksum);
    packet
}
