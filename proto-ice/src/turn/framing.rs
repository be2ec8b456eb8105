//! How messages lie on the transport between client and server: one a datagram, or one behind the other in a byte stream (RFC 8656 §12.5).

use std::fmt;
use std::ops::Range;

use proto_machine::TransportProtocol;
use stun_types::message::MAGIC_COOKIE;

/// The lowest and the highest channel number (RFC 8656 §12).
pub(crate) const CHANNEL_NUMBERS: std::ops::RangeInclusive<u16> = 0x4000..=0x4FFF;

/// Channel number and length (RFC 8656 §12.4).
pub(crate) const CHANNEL_HEADER: usize = 4;

/// How messages are told apart on the transport.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// UDP: each datagram is one message.
    Datagrams,
    /// TCP and TLS: a byte stream. ChannelData is padded to a multiple of 4.
    Stream,
}

impl Framing {
    /// The framing of a transport.
    #[must_use]
    pub const fn of(protocol: TransportProtocol) -> Self {
        match protocol {
            TransportProtocol::Udp => Self::Datagrams,
            TransportProtocol::Tcp => Self::Stream,
        }
    }

    /// Bytes of padding behind ChannelData with a payload of `length` bytes. Over UDP there is none: it is allowed, and of no use.
    #[must_use]
    pub const fn padding(self, length: usize) -> usize {
        match self {
            Self::Datagrams => 0,
            Self::Stream => length.next_multiple_of(4) - length,
        }
    }
}

/// A ChannelData message: its channel, and where its payload lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ChannelData {
    pub(crate) channel: u16,
    pub(crate) payload: Range<usize>,
}

impl ChannelData {
    /// Reads a message. `None` for a reserved channel number, and if the message is shorter than it says (RFC 8656 §12.6).
    pub(crate) fn parse(message: &[u8]) -> Option<Self> {
        let (header, rest) = message.split_first_chunk::<CHANNEL_HEADER>()?;
        let (channel, length) = channel_header(*header);
        let is_whole = length <= rest.len();
        (is_whole && CHANNEL_NUMBERS.contains(&channel))
            .then_some(Self { channel, payload: CHANNEL_HEADER..CHANNEL_HEADER + length })
    }
}

fn channel_header([channel_high, channel_low, length_high, length_low]: [u8; 4]) -> (u16, usize) {
    (u16::from_be_bytes([channel_high, channel_low]), usize::from(u16::from_be_bytes([length_high, length_low])))
}

/// Cuts a byte stream into STUN and ChannelData messages.
///
/// It holds no more than one incomplete message, at most 64 KiB, and the bytes of the last [`push`](Self::push).
///
/// ```
/// use proto_ice::turn::FrameReader;
///
/// let mut reader = FrameReader::default();
/// reader.push(&[0x40, 0x00, 0x00, 0x05, b'h', b'e', b'l']);
/// assert_eq!(reader.next_frame(), Ok(None));
/// reader.push(&[b'l', b'o', 0, 0, 0]);
/// assert_eq!(reader.next_frame(), Ok(Some(&[0x40, 0x00, 0x00, 0x05, b'h', b'e', b'l', b'l', b'o'][..])));
/// ```
#[derive(Debug, Default)]
pub struct FrameReader {
    bytes: Vec<u8>,
    /// How many bytes at the front have been handed over.
    consumed: usize,
    is_broken: bool,
}

/// What came is neither STUN nor ChannelData: the stream is out of step, and must be closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FramingError;

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the byte stream is neither STUN nor ChannelData")
    }
}

impl std::error::Error for FramingError {}

impl FrameReader {
    /// Takes in bytes of the stream. Whoever pushes reads [`next_frame`](Self::next_frame) until it is dry before pushing more.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.is_broken {
            return;
        }
        self.bytes.drain(..self.consumed.min(self.bytes.len()));
        self.consumed = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, without padding; `None` if it is not complete yet.
    ///
    /// # Errors
    ///
    /// [`FramingError`] once the stream is out of step; it stays so.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FramingError> {
        if self.is_broken {
            return Err(FramingError);
        }
        let pending = self.bytes.get(self.consumed..).unwrap_or_default();
        let Some(header) = pending.first_chunk::<4>() else {
            return Ok(None);
        };
        let Some((length, padded)) = frame_length(*header).filter(|_| !lacks_cookie(pending)) else {
            self.is_broken = true;
            self.bytes = Vec::new();
            return Err(FramingError);
        };
        if pending.len() < padded {
            return Ok(None);
        }
        let start = self.consumed;
        self.consumed += padded;
        Ok(self.bytes.get(start..start + length))
    }

    /// How many bytes wait for the rest of their message.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.bytes.len() - self.consumed
    }
}

/// Whether it begins like STUN and has another magic cookie (RFC 8489 §5).
fn lacks_cookie(pending: &[u8]) -> bool {
    let is_stun = pending.first().is_some_and(|first| *first < 0x40);
    is_stun && pending.get(4..8).is_some_and(|cookie| cookie != MAGIC_COOKIE.to_be_bytes())
}

/// The length of a message by its first four bytes, without and with padding.
fn frame_length(header: [u8; 4]) -> Option<(usize, usize)> {
    let (channel, length) = channel_header(header);
    match channel {
        // RFC 8489 §5: the two topmost bits are zero, the length is a multiple of 4 and counts what follows the header.
        0..0x4000 if length.is_multiple_of(4) => Some((20 + length, 20 + length)),
        channel if CHANNEL_NUMBERS.contains(&channel) => {
            Some((CHANNEL_HEADER + length, (CHANNEL_HEADER + length).next_multiple_of(4)))
        }
        _ => None,
    }
}
