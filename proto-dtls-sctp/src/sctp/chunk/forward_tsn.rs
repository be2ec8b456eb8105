//! FORWARD TSN (RFC 3758 §3.2) and I-FORWARD-TSN (RFC 8260 §2.3.1).

use super::data::Framing;
use crate::sctp::packet::{self, Builder, CHUNK_HEADER_SIZE, Chunk, chunk_type};

/// A stream on which messages were given up, up to this one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Skipped {
    pub(crate) stream: u16,
    /// Only I-FORWARD-TSN names unordered messages.
    pub(crate) unordered: bool,
    pub(crate) sequence: u32,
}

/// A chunk as it was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ForwardTsn<'a> {
    pub(crate) cumulative_tsn: u32,
    framing: Framing,
    entries: &'a [u8],
}

const fn entry_size(framing: Framing) -> usize {
    match framing {
        Framing::Plain => 4,
        Framing::Interleaved => 8,
    }
}

const fn kind(framing: Framing) -> u8 {
    match framing {
        Framing::Plain => chunk_type::FORWARD_TSN,
        Framing::Interleaved => chunk_type::I_FORWARD_TSN,
    }
}

impl ForwardTsn<'_> {
    pub(crate) fn skipped(&self) -> impl Iterator<Item = Skipped> {
        let framing = self.framing;
        self.entries.chunks_exact(entry_size(framing)).filter_map(move |entry| {
            let stream = packet::u16_at(entry, 0)?;
            Some(match framing {
                Framing::Plain => Skipped { stream, unordered: false, sequence: packet::u16_at(entry, 2)?.into() },
                Framing::Interleaved => Skipped {
                    stream,
                    unordered: packet::u16_at(entry, 2)? & 1 != 0,
                    sequence: packet::u32_at(entry, 4)?,
                },
            })
        })
    }
}

/// Reads a chunk. `None` if it is malformed or not the one that belongs to the framing.
pub(crate) fn read<'a>(framing: Framing, chunk: &Chunk<'a>) -> Option<ForwardTsn<'a>> {
    let entries = chunk.value.get(4..)?;
    (chunk.kind == kind(framing) && entries.len().is_multiple_of(entry_size(framing))).then_some(())?;
    Some(ForwardTsn { cumulative_tsn: packet::u32_at(chunk.value, 0)?, framing, entries })
}

/// How many entries fit into so much room.
pub(crate) fn capacity(framing: Framing, room: usize) -> usize {
    room.saturating_sub(CHUNK_HEADER_SIZE + 4) / entry_size(framing)
}

/// Appends a chunk, if it fits.
pub(crate) fn put(
    builder: &mut Builder<'_>,
    framing: Framing,
    cumulative_tsn: u32,
    skipped: impl ExactSizeIterator<Item = Skipped>,
) -> bool {
    builder.chunk(kind(framing), 0, 4 + skipped.len() * entry_size(framing), |bytes| {
        bytes.extend_from_slice(&cumulative_tsn.to_be_bytes());
        for entry in skipped {
            bytes.extend_from_slice(&entry.stream.to_be_bytes());
            let [first, second, third, fourth] = entry.sequence.to_be_bytes();
            match framing {
                Framing::Plain => bytes.extend_from_slice(&[third, fourth]),
                Framing::Interleaved => {
                    bytes.extend_from_slice(&[0, entry.unordered.into(), first, second, third, fourth]);
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sctp::packet::{Header, Packet};

    #[test]
    fn what_is_written_is_read_back_in_either_framing() {
        let header = Header { source_port: 1, destination_port: 2, verification_tag: 3 };
        let ordered = Skipped { stream: 1, unordered: false, sequence: 65_535 };
        let unordered = Skipped { stream: 2, unordered: true, sequence: 70_000 };
        for (framing, skipped) in
            [(Framing::Plain, vec![ordered, ordered]), (Framing::Interleaved, vec![ordered, unordered])]
        {
            let mut bytes = Vec::new();
            let mut builder = Builder::new(&mut bytes, header, 100);
            assert!(put(&mut builder, framing, 77, skipped.iter().copied()));
            builder.finish(true);
            let chunk = Packet::parse(&bytes).unwrap().chunks().next().unwrap();
            let read_back = read(framing, &chunk).unwrap();
            assert_eq!(read_back.cumulative_tsn, 77);
            assert_eq!(read_back.skipped().collect::<Vec<_>>(), skipped);
            assert!(read(framing, &Chunk { value: &chunk.value[..7], ..chunk }).is_none());
        }
    }

    #[test]
    fn as_many_entries_fit_as_there_is_room_for() {
        assert_eq!(
            (capacity(Framing::Plain, 16), capacity(Framing::Interleaved, 16), capacity(Framing::Plain, 3)),
            (2, 1, 0)
        );
    }
}
