//! Fingerprints of certificates (RFC 8122 §5).

use sha2::{Digest, Sha256, Sha384, Sha512};

/// A hash function of `a=fingerprint` that is strong enough to rely on (RFC 8122 §5). MD5 and SHA-1 are left out on purpose.
///
/// The order is the order of preference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HashFunction {
    /// `sha-256`
    Sha256,
    /// `sha-384`
    Sha384,
    /// `sha-512`
    Sha512,
}

impl HashFunction {
    /// Finds the function by its name in SDP, in any case; `None` for one that is unknown or too weak.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha384, Self::Sha512]
            .into_iter()
            .find(|function| function.name().eq_ignore_ascii_case(name))
    }

    /// The name in SDP.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// The hash of `bytes`.
    #[must_use]
    pub fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

/// One `a=fingerprint` of the remote description.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteFingerprint {
    /// The hash function.
    pub algorithm: HashFunction,
    /// The hash of the peer's certificate in DER.
    pub value: Vec<u8>,
}

impl From<[u8; 32]> for RemoteFingerprint {
    /// A SHA-256 fingerprint.
    fn from(value: [u8; 32]) -> Self {
        Self { algorithm: HashFunction::Sha256, value: value.to_vec() }
    }
}

/// Whether a certificate is the one that the fingerprints describe.
///
/// RFC 8122 §5: the fingerprints with the preferred hash function decide, and one of them must match. Weaker ones are not looked at, so that nobody can add one.
pub(crate) fn matches(certificate: &[u8], fingerprints: &[RemoteFingerprint]) -> bool {
    let Some(preferred) = fingerprints.iter().map(|fingerprint| fingerprint.algorithm).max() else {
        return false;
    };
    let hash = preferred.hash(certificate);
    fingerprints.iter().any(|fingerprint| fingerprint.algorithm == preferred && fingerprint.value == hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(algorithm: HashFunction, certificate: &[u8]) -> RemoteFingerprint {
        RemoteFingerprint { algorithm, value: algorithm.hash(certificate) }
    }

    #[test]
    fn every_hash_function_accepts_its_certificate_and_no_other() {
        for algorithm in [HashFunction::Sha256, HashFunction::Sha384, HashFunction::Sha512] {
            let fingerprints = [fingerprint(algorithm, b"certificate")];
            assert!(matches(b"certificate", &fingerprints));
            assert!(!matches(b"another", &fingerprints));
        }
    }

    #[test]
    fn the_strongest_hash_function_decides() {
        let weak_match = fingerprint(HashFunction::Sha256, b"certificate");
        let strong_mismatch = fingerprint(HashFunction::Sha512, b"another");
        assert!(!matches(b"certificate", &[weak_match.clone(), strong_mismatch]));
        assert!(matches(b"certificate", &[weak_match, fingerprint(HashFunction::Sha512, b"certificate")]));
    }

    #[test]
    fn one_of_several_fingerprints_of_the_same_function_suffices() {
        let fingerprints =
            [fingerprint(HashFunction::Sha256, b"another"), fingerprint(HashFunction::Sha256, b"certificate")];
        assert!(matches(b"certificate", &fingerprints));
    }

    #[test]
    fn no_fingerprint_or_a_truncated_one_matches_nothing() {
        assert!(!matches(b"certificate", &[]));
        let mut truncated = fingerprint(HashFunction::Sha256, b"certificate");
        truncated.value.pop();
        assert!(!matches(b"certificate", &[truncated.clone()]));
        truncated.value.clear();
        assert!(!matches(b"certificate", &[truncated]));
    }

    #[test]
    fn names_are_found_in_any_case_and_weak_functions_are_not() {
        assert_eq!(HashFunction::from_name("SHA-384"), Some(HashFunction::Sha384));
        assert_eq!(HashFunction::from_name("sha-1"), None);
        assert_eq!(HashFunction::from_name("md5"), None);
    }
}
