//! `a=fingerprint`: the hash of a certificate (RFC 8122 §5).

use std::fmt;
use std::str::FromStr;

use crate::error::ValueError;
use crate::tokens::check_token;

/// The hash functions that are understood. MD2 and MD5 must not be used (RFC 8122 §5) and count as unknown.
///
/// The order is that of strength, the strongest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashFunction {
    /// `sha-1`, 20 bytes.
    Sha1,
    /// `sha-224`, 28 bytes.
    Sha224,
    /// `sha-256`, 32 bytes.
    Sha256,
    /// `sha-384`, 48 bytes.
    Sha384,
    /// `sha-512`, 64 bytes.
    Sha512,
}

impl HashFunction {
    /// The name in SDP, in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha224 => "sha-224",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// Length of the hash in bytes.
    #[must_use]
    pub fn output_length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512]
            .into_iter()
            .find(|function| function.as_str().eq_ignore_ascii_case(name))
    }
}

/// The hash of a certificate in DER, with the function that made it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint {
    algorithm: HashFunction,
    bytes: Vec<u8>,
}

impl Fingerprint {
    /// Checks that the length is that of the hash function.
    ///
    /// # Errors
    ///
    /// The number of bytes is not the hash function's.
    pub fn new(algorithm: HashFunction, bytes: &[u8]) -> Result<Self, ValueError> {
        let length = algorithm.output_length();
        if bytes.len() != length {
            return Err(ValueError::length("fingerprint in bytes", bytes.len(), length, length));
        }
        Ok(Self { algorithm, bytes: bytes.to_vec() })
    }

    /// The hash function.
    #[must_use]
    pub fn algorithm(&self) -> HashFunction {
        self.algorithm
    }

    /// The hash.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Parses an attribute's value; an unknown hash function is not an error but `Unknown`,
    /// because beside a known one it is skipped (RFC 8122 §5.1).
    pub(crate) fn parse_value(text: &str) -> Result<ParsedFingerprint, ValueError> {
        let (name, hexadecimal) = text
            .trim_end_matches(' ')
            .split_once(' ')
            .ok_or_else(|| ValueError::unexpected("fingerprint", text, EXPECTED))?;
        check_token("fingerprint algorithm", name)?;
        let bytes = hexadecimal
            .trim_start_matches(' ')
            .split(':')
            .map(hexadecimal_byte)
            .collect::<Option<Vec<u8>>>()
            .ok_or_else(|| ValueError::unexpected("fingerprint", text, EXPECTED))?;
        match HashFunction::from_name(name) {
            Some(algorithm) => Self::new(algorithm, &bytes).map(ParsedFingerprint::Known),
            None => Ok(ParsedFingerprint::UnknownAlgorithm(unknown_algorithm(name))),
        }
    }
}

const EXPECTED: &str = "a hash function and bytes in hexadecimal separated by colons";

fn unknown_algorithm(name: &str) -> ValueError {
    ValueError::unexpected("fingerprint algorithm", name, "sha-1, sha-224, sha-256, sha-384 or sha-512")
}

pub(crate) enum ParsedFingerprint {
    Known(Fingerprint),
    UnknownAlgorithm(ValueError),
}

impl FromStr for Fingerprint {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match Self::parse_value(text)? {
            ParsedFingerprint::Known(fingerprint) => Ok(fingerprint),
            ParsedFingerprint::UnknownAlgorithm(error) => Err(error),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ", self.algorithm.as_str())?;
        for (position, byte) in self.bytes.iter().enumerate() {
            let separator = if position == 0 { "" } else { ":" };
            // RFC 8122 §5: upper-case hexadecimal.
            write!(formatter, "{separator}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fingerprint({self})")
    }
}

/// Two digits; lower case is accepted although RFC 8122 §5 writes upper case.
fn hexadecimal_byte(text: &str) -> Option<u8> {
    let valid = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid.then(|| u8::from_str_radix(text, 16).ok()).flatten()
}
