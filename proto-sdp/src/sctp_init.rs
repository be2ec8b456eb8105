//! `a=sctp-init`: the SCTP INIT chunk, sent ahead in the description (draft-hancke-tsvwg-snap-00 §4).

use std::fmt;
use std::str::FromStr;

use crate::error::ValueError;
use crate::limits::MAX_SCTP_INIT_BYTES;

/// The bytes of an INIT chunk, 1 to 2048 of them. What they mean is SCTP's business.
#[derive(Clone, PartialEq, Eq)]
pub struct SctpInit(Vec<u8>);

const FIELD: &str = "sctp-init";
const EXPECTED: &str = "base64 of an INIT chunk";

impl SctpInit {
    /// Checks the length.
    ///
    /// # Errors
    ///
    /// There are none or more than 2048 bytes.
    pub fn new(chunk: &[u8]) -> Result<Self, ValueError> {
        if chunk.is_empty() {
            return Err(ValueError::missing(FIELD));
        }
        if chunk.len() > MAX_SCTP_INIT_BYTES {
            let length = chunk.len();
            return Err(ValueError::length(FIELD, length, 1, MAX_SCTP_INIT_BYTES));
        }
        Ok(Self(chunk.to_vec()))
    }

    /// The chunk.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for SctpInit {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let unexpected = || ValueError::unexpected(FIELD, text, EXPECTED);
        Self::new(&decode(text).ok_or_else(unexpected)?)
    }
}

impl fmt::Display for SctpInit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in self.0.chunks(3) {
            let bits = group.iter().zip([16, 8, 0]).fold(0_u32, |bits, (byte, shift)| bits | u32::from(*byte) << shift);
            for (position, shift) in [18, 12, 6, 0].into_iter().enumerate() {
                let digit = if position <= group.len() { digit(bits >> shift) } else { '=' };
                write!(formatter, "{digit}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for SctpInit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SctpInit({self})")
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn digit(bits: u32) -> char {
    ALPHABET.iter().cycle().nth((bits & 63) as usize).map_or('=', |byte| char::from(*byte))
}

/// RFC 8866 §9 (base64): groups of four digits, the last one padded.
fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let digits = text.trim_end_matches('=');
    if text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for character in digits.bytes() {
        let value = ALPHABET.iter().position(|digit| *digit == character)?;
        bits = (bits << 6 | u32::try_from(value).ok()?) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    // The bits beyond the last byte are zero, so that a chunk has one spelling only.
    let rest = bits & ((1 << count) - 1);
    (rest == 0).then_some(bytes)
}
