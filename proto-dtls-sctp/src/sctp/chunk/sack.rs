//! SACK (RFC 9260 §3.3.4).

use crate::sctp::packet::{self, Builder, CHUNK_HEADER_SIZE, Chunk, chunk_type};

/// Bytes of the value in front of the gap blocks.
const HEADER_SIZE: usize = 12;

/// A block of TSNs that have come, as offsets to the cumulative TSN, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GapBlock {
    pub(crate) start: u16,
    pub(crate) end: u16,
}

/// A SACK as it was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sack<'a> {
    pub(crate) cumulative_tsn: u32,
    pub(crate) window: u32,
    gaps: &'a [u8],
}

impl Sack<'_> {
    /// The blocks, as they stand in the chunk.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = GapBlock> {
        self.gaps
            .chunks_exact(4)
            .filter_map(|block| Some(GapBlock { start: packet::u16_at(block, 0)?, end: packet::u16_at(block, 2)? }))
    }
}

/// Reads a chunk. `None` if it does not have as many blocks and duplicates as it announces.
pub(crate) fn read<'a>(chunk: &Chunk<'a>) -> Option<Sack<'a>> {
    let value = chunk.value;
    let gaps = 4 * usize::from(packet::u16_at(value, 8)?);
    let duplicates = 4 * usize::from(packet::u16_at(value, 10)?);
    (value.len() == HEADER_SIZE + gaps + duplicates).then_some(())?;
    Some(Sack {
        cumulative_tsn: packet::u32_at(value, 0)?,
        window: packet::u32_at(value, 4)?,
        gaps: value.get(HEADER_SIZE..HEADER_SIZE + gaps)?,
    })
}

/// Appends a chunk with as many blocks as fit, the first ones (RFC 9260 §6.2.1), and then as many duplicates.
pub(crate) fn put(
    builder: &mut Builder<'_>,
    cumulative_tsn: u32,
    window: u32,
    gaps: impl Iterator<Item = GapBlock>,
    duplicates: &[u32],
) -> bool {
    let Some(fitting) = builder.room().checked_sub(CHUNK_HEADER_SIZE + HEADER_SIZE).map(|room| room / 4) else {
        return false;
    };
    let gaps: Vec<GapBlock> = gaps.take(fitting.min(usize::from(u16::MAX))).collect();
    let duplicates = duplicates.get(..duplicates.len().min(fitting - gaps.len())).unwrap_or_default();
    let count = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    builder.chunk(chunk_type::SACK, 0, HEADER_SIZE + 4 * (gaps.len() + duplicates.len()), |bytes| {
        bytes.extend_from_slice(&cumulative_tsn.to_be_bytes());
        bytes.extend_from_slice(&window.to_be_bytes());
        bytes.extend_from_slice(&count(gaps.len()));
        bytes.extend_from_slice(&count(duplicates.len()));
        for gap in &gaps {
            bytes.extend_from_slice(&gap.start.to_be_bytes());
            bytes.extend_from_slice(&gap.end.to_be_bytes());
        }
        for duplicate in duplicates {
            bytes.extend_from_slice(&duplicate.to_be_bytes());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sctp::packet::{Header, Packet};

    fn written(limit: usize, gaps: u16, duplicates: &[u32]) -> Vec<u8> {
        let header = Header { source_port: 1, destination_port: 2, verification_tag: 3 };
        let mut bytes = Vec::new();
        let mut builder = Builder::new(&mut bytes, header, limit);
        let gaps = (0..gaps).map(|index| GapBlock { start: 2 + 2 * index, end: 2 + 2 * index });
        assert!(put(&mut builder, 5, 1000, gaps, duplicates));
        builder.finish(true);
        assert!(bytes.len() <= limit);
        bytes
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = written(1000, 3, &[1, 2]);
        let chunk = Packet::parse(&bytes).unwrap().chunks().next().unwrap();
        let sack = read(&chunk).unwrap();
        assert_eq!((sack.cumulative_tsn, sack.window), (5, 1000));
        let starts: Vec<u16> = sack.gaps().map(|gap| gap.start).collect();
        assert_eq!(starts, [2, 4, 6]);
        for length in 0..chunk.value.len() {
            assert!(read(&Chunk { value: &chunk.value[..length], ..chunk }).is_none());
        }
    }

    #[test]
    fn what_does_not_fit_the_packet_is_left_out_from_behind() {
        let bytes = written(100, 200, &[1, 2]);
        let chunk = Packet::parse(&bytes).unwrap().chunks().next().unwrap();
        let sack = read(&chunk).unwrap();
        assert_eq!(sack.gaps().count(), (100 - 12 - 4 - HEADER_SIZE) / 4);
        assert_eq!(sack.gaps().next(), Some(GapBlock { start: 2, end: 2 }));
    }
}
