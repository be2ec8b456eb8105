//! DATA (RFC 9260 §3.3.1) and I-DATA (RFC 8260 §2.1).

use crate::sctp::packet::{self, Builder, CHUNK_HEADER_SIZE, Chunk, chunk_type};

const IMMEDIATE: u8 = 8;
const UNORDERED: u8 = 4;
const BEGINNING: u8 = 2;
const ENDING: u8 = 1;

/// Which of the two chunks an association uses: all its data travels in one of them (RFC 8260 §2.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    /// DATA: the fragments of a message have consecutive TSNs.
    Plain,
    /// I-DATA: fragments of messages may alternate.
    Interleaved,
}

impl Framing {
    /// Bytes of the chunk in front of the payload.
    pub(crate) const fn overhead(self) -> usize {
        CHUNK_HEADER_SIZE
            + match self {
                Self::Plain => 12,
                Self::Interleaved => 16,
            }
    }

    pub(crate) const fn chunk_type(self) -> u8 {
        match self {
            Self::Plain => chunk_type::DATA,
            Self::Interleaved => chunk_type::I_DATA,
        }
    }
}

/// Where a fragment stands in its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) beginning: bool,
    pub(crate) ending: bool,
}

/// All of a chunk but its TSN and payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Label {
    pub(crate) stream: u16,
    pub(crate) unordered: bool,
    pub(crate) place: Place,
    /// The stream sequence number, or the message identifier of I-DATA.
    pub(crate) sequence: u32,
    /// The payload protocol identifier. Interleaved, only the first fragment carries it.
    pub(crate) protocol: u32,
    /// The number of the fragment in its message. Only I-DATA carries it.
    pub(crate) fragment: u32,
}

/// A fragment as it was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Data<'a> {
    pub(crate) tsn: u32,
    pub(crate) label: Label,
    /// The sender wants it acknowledged at once (the I bit).
    pub(crate) immediate: bool,
    pub(crate) payload: &'a [u8],
}

/// Reads a chunk. `None` if it is too short.
pub(crate) fn read<'a>(framing: Framing, chunk: &Chunk<'a>) -> Option<Data<'a>> {
    let value = chunk.value;
    let place = Place { beginning: chunk.flags & BEGINNING != 0, ending: chunk.flags & ENDING != 0 };
    let (sequence, protocol, fragment) = match framing {
        Framing::Plain => (packet::u16_at(value, 6)?.into(), packet::u32_at(value, 8)?, 0),
        Framing::Interleaved => {
            let either = packet::u32_at(value, 12)?;
            let (protocol, fragment) = if place.beginning { (either, 0) } else { (0, either) };
            (packet::u32_at(value, 8)?, protocol, fragment)
        }
    };
    Some(Data {
        tsn: packet::u32_at(value, 0)?,
        label: Label {
            stream: packet::u16_at(value, 4)?,
            unordered: chunk.flags & UNORDERED != 0,
            place,
            sequence,
            protocol,
            fragment,
        },
        immediate: chunk.flags & IMMEDIATE != 0,
        payload: value.get(framing.overhead() - CHUNK_HEADER_SIZE..)?,
    })
}

/// Appends a chunk, if it fits.
pub(crate) fn put(builder: &mut Builder<'_>, framing: Framing, data: Data<'_>) -> bool {
    let Data { tsn, label, immediate, payload } = data;
    let flags = [
        (immediate, IMMEDIATE),
        (label.unordered, UNORDERED),
        (label.place.beginning, BEGINNING),
        (label.place.ending, ENDING),
    ];
    let flags = flags.iter().filter(|(set, _)| *set).fold(0, |flags, (_, bit)| flags | bit);
    let length = framing.overhead() - CHUNK_HEADER_SIZE + payload.len();
    builder.chunk(framing.chunk_type(), flags, length, |bytes| {
        bytes.extend_from_slice(&tsn.to_be_bytes());
        bytes.extend_from_slice(&label.stream.to_be_bytes());
        let [first, second, third, fourth] = label.sequence.to_be_bytes();
        match framing {
            Framing::Plain => {
                bytes.extend_from_slice(&[third, fourth]);
                bytes.extend_from_slice(&label.protocol.to_be_bytes());
            }
            Framing::Interleaved => {
                bytes.extend_from_slice(&[0, 0, first, second, third, fourth]);
                let either = if label.place.beginning { label.protocol } else { label.fragment };
                bytes.extend_from_slice(&either.to_be_bytes());
            }
        }
        bytes.extend_from_slice(payload);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sctp::packet::{Header, Packet};

    const HEADER: Header = Header { source_port: 1, destination_port: 2, verification_tag: 3 };

    fn label(place: Place) -> Label {
        Label { stream: 7, unordered: true, place, sequence: 9, protocol: 53, fragment: 0 }
    }

    #[test]
    fn what_is_written_is_read_back_in_either_framing() {
        let whole = Place { beginning: true, ending: true };
        let middle = Place { beginning: false, ending: false };
        for (framing, label) in [
            (Framing::Plain, label(whole)),
            (Framing::Plain, label(middle)),
            (Framing::Interleaved, label(whole)),
            (Framing::Interleaved, Label { protocol: 0, fragment: 3, sequence: 70_000, ..label(middle) }),
        ] {
            let data = Data { tsn: u32::MAX, label, immediate: true, payload: b"hello" };
            let mut bytes = Vec::new();
            let mut builder = Builder::new(&mut bytes, HEADER, 100);
            assert!(put(&mut builder, framing, data));
            assert!(builder.finish(true));
            let chunk = Packet::parse(&bytes).unwrap().chunks().next().unwrap();
            assert_eq!(chunk.kind, framing.chunk_type());
            assert_eq!(read(framing, &chunk), Some(data));
            for length in 0..framing.overhead() - CHUNK_HEADER_SIZE {
                assert_eq!(read(framing, &Chunk { value: &chunk.value[..length], ..chunk }), None);
            }
        }
    }

    #[test]
    fn a_chunk_that_does_not_fit_leaves_the_packet_as_it_was() {
        let mut bytes = Vec::new();
        let mut builder = Builder::new(&mut bytes, HEADER, 12 + 16 + 8);
        let data =
            |payload| Data { tsn: 1, label: label(Place { beginning: true, ending: true }), immediate: false, payload };
        assert!(!put(&mut builder, Framing::Plain, data(&[0; 9])));
        assert!(builder.is_empty());
        assert!(put(&mut builder, Framing::Plain, data(&[0; 8])));
        assert_eq!(builder.room(), 0);
    }
}
