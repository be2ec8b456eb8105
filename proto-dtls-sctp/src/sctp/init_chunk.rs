//! The INIT chunk outside of a packet, as descriptions carry it (draft-hancke-tsvwg-snap-00).

use std::fmt;

use super::handshake::Parameters;
use super::packet::{self, chunk_type};

/// Bytes of type, flags and length (RFC 9260 §3.2).
const HEADER: usize = 4;

/// What one side says about its end of an association: an INIT chunk (RFC 9260 §3.3.2), which `a=sctp-init` carries in base64.
///
/// If each side has that of the other before DTLS is up, the association needs no set-up of its own: two round trips fewer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InitChunk(pub(super) Parameters);

impl InitChunk {
    /// Reads a chunk, with or without the padding behind it.
    ///
    /// # Errors
    ///
    /// [`InvalidInitChunk`] if it is no INIT chunk, is cut short or longer than it says, or says what an INIT must not (RFC 9260 §3.3.2).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidInitChunk> {
        let length = usize::from(packet::u16_at(bytes, 2).ok_or(InvalidInitChunk)?);
        let fits = length <= bytes.len() && bytes.len() <= length.next_multiple_of(4);
        if bytes.first() != Some(&chunk_type::INIT) || !fits {
            return Err(InvalidInitChunk);
        }
        let value = bytes.get(HEADER..length).ok_or(InvalidInitChunk)?;
        Parameters::from_init(value).map(Self).ok_or(InvalidInitChunk)
    }

    /// The chunk, without padding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let value = self.0.to_init();
        let length = u16::try_from(HEADER + value.len()).unwrap_or(u16::MAX);
        [&[chunk_type::INIT, 0], length.to_be_bytes().as_slice(), value.as_slice()].concat()
    }
}

/// The bytes are no INIT chunk that could be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidInitChunk;

impl fmt::Display for InvalidInitChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an INIT chunk that can be answered")
    }
}

impl std::error::Error for InvalidInitChunk {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of draft-hancke-tsvwg-snap-00 §4.1.
    const EXAMPLE: [u8; 30] = [
        0x01, 0x00, 0x00, 0x1e, 0x89, 0x6c, 0xdd, 0x1d, 0x00, 0x50, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xe0, 0x79,
        0x65, 0x1d, 0xc0, 0x00, 0x00, 0x04, 0x80, 0x08, 0x00, 0x06, 0x82, 0xc0,
    ];

    #[test]
    fn the_example_of_the_draft_is_read_and_written_again() {
        let chunk = InitChunk::from_bytes(&EXAMPLE).unwrap();
        assert_eq!(chunk.0.tag, 0x896c_dd1d);
        assert_eq!(chunk.0.window, 0x0050_0000);
        assert_eq!((chunk.0.outbound_streams, chunk.0.inbound_streams), (65_535, 65_535));
        assert_eq!(chunk.0.initial_tsn, 0xe079_651d);
        assert!(chunk.0.forward_tsn && !chunk.0.interleaving && !chunk.0.zero_checksum);
        assert_eq!(InitChunk::from_bytes(&chunk.to_bytes()), Ok(chunk));
        let padded = [EXAMPLE.as_slice(), &[0, 0]].concat();
        assert_eq!(InitChunk::from_bytes(&padded), Ok(chunk));
    }

    #[test]
    fn what_is_no_chunk_of_its_length_or_says_what_init_must_not_is_refused() {
        for length in 0..EXAMPLE.len() {
            assert_eq!(InitChunk::from_bytes(&EXAMPLE[..length]), Err(InvalidInitChunk), "{length} bytes");
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = EXAMPLE;
            bytes[at] = byte;
            InitChunk::from_bytes(&bytes)
        };
        assert_eq!(with(0, 2), Err(InvalidInitChunk), "INIT ACK");
        assert_eq!(with(3, 3), Err(InvalidInitChunk), "a length below that of the header");
        assert_eq!(with(3, 26), Err(InvalidInitChunk), "more bytes than the length says");
        for field in [4..8, 8..12, 12..14, 14..16] {
            let mut bytes = EXAMPLE;
            bytes[field.clone()].fill(0);
            assert_eq!(InitChunk::from_bytes(&bytes), Err(InvalidInitChunk), "zero in {field:?}");
        }
        let too_long = [EXAMPLE.as_slice(), &[0; 4]].concat();
        assert_eq!(InitChunk::from_bytes(&too_long), Err(InvalidInitChunk));
    }
}
