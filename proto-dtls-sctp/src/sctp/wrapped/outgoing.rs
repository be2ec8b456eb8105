//! What the wrapped association wants to send, made to fit.
//!
//! It leaves padding and chunk headers out of its sums, so that a bundle of small messages exceeds the size it was told, and puts every gap into one SACK.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::sctp::packet::{self, Chunk, Writer, chunk_type};

/// Bytes of a SACK in front of its gap blocks (RFC 9260 §3.3.4), without the chunk header.
const SACK_HEADER_SIZE: usize = 12;

/// What a SACK tells the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Acknowledgement {
    pub(crate) cumulative_tsn: u32,
    /// Bytes of the receive window that are free.
    pub(crate) window: u32,
}

/// Reads the SACK that a packet of the association begins with.
pub(crate) fn acknowledgement(packet: &[u8]) -> Option<Acknowledgement> {
    let chunk = packet.get(packet::HEADER_SIZE..)?;
    (*chunk.first()? == chunk_type::SACK).then_some(())?;
    Some(Acknowledgement { cumulative_tsn: packet::u32_at(chunk, 4)?, window: packet::u32_at(chunk, 8)? })
}

/// Queues a packet, divided if it is longer than `limit`. A chunk that cannot be divided goes alone.
pub(crate) fn queue(packet: Bytes, limit: usize, packets: &mut VecDeque<Bytes>) {
    if packet.len() <= limit {
        packets.push_back(packet);
        return;
    }
    let Some((header, chunks)) = packet::parse(&packet) else {
        return;
    };
    let mut writer = Writer::new(header);
    for chunk in chunks {
        if writer.length_with(chunk.value.len()) > limit && !writer.is_empty() {
            packets.push_back(std::mem::replace(&mut writer, Writer::new(header)).finish());
        }
        if chunk.kind == chunk_type::SACK && writer.length_with(chunk.value.len()) > limit {
            let room = limit.saturating_sub(packet::HEADER_SIZE + packet::CHUNK_HEADER_SIZE);
            writer.chunk(Chunk { value: &shortened_sack(chunk.value, room), ..chunk });
        } else {
            writer.chunk(chunk);
        }
    }
    if !writer.is_empty() {
        packets.push_back(writer.finish());
    }
}

/// RFC 9260 §6.2.1: as many gap blocks as fit, the first ones; duplicates are only a hint.
fn shortened_sack(value: &[u8], room: usize) -> Vec<u8> {
    let blocks = packet::u16_at(value, 8).unwrap_or_default();
    let fitting = u16::try_from(room.saturating_sub(SACK_HEADER_SIZE) / 4).unwrap_or(u16::MAX).min(blocks);
    let mut shortened: Vec<u8> = value.iter().copied().take(SACK_HEADER_SIZE + 4 * usize::from(fitting)).collect();
    if let Some(counts) = shortened.get_mut(8..SACK_HEADER_SIZE) {
        counts.copy_from_slice(&(u32::from(fitting) << 16).to_be_bytes());
    }
    shortened
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sctp::packet::Header;

    const HEADER: Header = Header { source_port: 5000, destination_port: 5000, verification_tag: 7 };

    fn divide(packet: Bytes, limit: usize) -> Vec<Bytes> {
        let mut packets = VecDeque::new();
        queue(packet, limit, &mut packets);
        packets.into()
    }

    #[test]
    fn a_bundle_that_is_too_long_is_divided_between_chunks() {
        let mut writer = Writer::new(HEADER);
        let value = [9; 13];
        for _ in 0..10 {
            writer.chunk(Chunk { kind: chunk_type::DATA, flags: 3, value: &value });
        }
        let packets = divide(writer.finish(), 100);
        let chunks: usize = packets.iter().map(|packet| packet::parse(packet).unwrap().1.len()).sum();
        assert!(packets.iter().all(|packet| packet.len() <= 100 && packet::checksum_is_valid(packet)));
        assert_eq!(chunks, 10);
    }

    #[test]
    fn a_sack_that_is_too_long_keeps_its_first_gaps() {
        let mut value = vec![0, 0, 0, 1, 0, 0, 0, 2];
        value.extend_from_slice(&[0, 100, 0, 2]);
        value.extend((0..102_u32).flat_map(u32::to_be_bytes));
        let packets = divide(packet::single(HEADER, chunk_type::SACK, 0, &value), 100);
        assert_eq!(packets.len(), 1);
        assert!(packets[0].len() <= 100);
        let (_, chunks) = packet::parse(&packets[0]).unwrap();
        let count = packet::u16_at(chunks[0].value, 8).unwrap();
        assert_eq!(chunks[0].value.len(), SACK_HEADER_SIZE + 4 * usize::from(count));
        assert_eq!(acknowledgement(&packets[0]), Some(Acknowledgement { cumulative_tsn: 1, window: 2 }));
        assert_eq!(&chunks[0].value[SACK_HEADER_SIZE..][..8], [0, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn a_packet_that_fits_is_left_alone() {
        let packet = packet::single(HEADER, chunk_type::DATA, 3, &[1; 20]);
        assert_eq!(divide(packet.clone(), packet.len()), [packet]);
    }
}
