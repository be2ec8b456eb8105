//! Long-term credentials (RFC 8489 §9.2): what a server asks for, and the key that answers it.

use std::fmt;

use stun_types::attribute::{MessageIntegrity, MessageIntegritySha256, Userhash};
use stun_types::message::{IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, MessageHeader};
use zeroize::Zeroizing;

use super::message::{MessageWriter, TurnMessage, attribute};

/// Username and password of a TURN server. They do not print themselves, and the password is wiped from memory when dropped.
///
/// Both are used as they are: ASCII needs no preparation. Whoever has other characters applies OpaqueString (RFC 8265) first.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnCredentials {
    username: String,
    password: Zeroizing<String>,
}

impl TurnCredentials {
    /// Credentials as they were handed out.
    #[must_use]
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self { username: username.into(), password: Zeroizing::new(password.into()) }
    }

    /// The username.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The key for a realm (RFC 8489 §9.2.2, §18.5.1).
    pub(crate) fn key(&self, realm: &str, derivation: KeyDerivation, integrity: IntegrityKind) -> LongTermKey {
        // "with any quotes and trailing nulls removed".
        let realm = realm.trim_end_matches('\0').trim_matches('"');
        // stun-types keeps a copy of the password only until the key is made, but does not wipe it.
        let credentials =
            LongTermKeyCredentials::new(self.username.clone(), self.password.as_str().to_owned(), realm.to_owned());
        let algorithm = match derivation {
            KeyDerivation::Md5 => IntegrityAlgorithm::Sha1,
            KeyDerivation::Sha256 => IntegrityAlgorithm::Sha256,
        };
        LongTermKey { key: credentials.make_key(algorithm), integrity }
    }

    /// USERHASH (RFC 8489 §14.4).
    pub(crate) fn userhash(&self, realm: &str) -> [u8; 32] {
        Userhash::compute(&self.username, realm)
    }
}

impl fmt::Debug for TurnCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurnCredentials(..)")
    }
}

/// How the key follows from the password (RFC 8489 §18.5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum KeyDerivation {
    Md5,
    Sha256,
}

impl KeyDerivation {
    /// RFC 8489 §18.5.
    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::Md5 => 1,
            Self::Sha256 => 2,
        }
    }
}

/// Which of the two integrity attributes protects a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IntegrityKind {
    Sha1,
    Sha256,
}

/// A key that protects messages. It does not print itself.
pub(crate) struct LongTermKey {
    key: IntegrityKey,
    integrity: IntegrityKind,
}

impl LongTermKey {
    pub(crate) fn uses_sha256(&self) -> bool {
        self.integrity == IntegrityKind::Sha256
    }

    pub(crate) fn hmac_length(&self) -> usize {
        match self.integrity {
            IntegrityKind::Sha1 => 20,
            IntegrityKind::Sha256 => 32,
        }
    }

    /// The HMAC over a message up to the integrity attribute, with the length that counts the attribute (RFC 8489 §14.5, §14.6).
    pub(crate) fn hmac(&self, covered: &[u8]) -> Option<Vec<u8>> {
        let length = covered.len().checked_sub(MessageHeader::LENGTH)? + 4 + self.hmac_length();
        let length = u16::try_from(length).ok()?.to_be_bytes();
        let parts = [covered.get(..2)?, &length[..], covered.get(4..)?];
        match self.integrity {
            IntegrityKind::Sha1 => MessageIntegrity::compute(&parts, &self.key).ok().map(|hmac| hmac.to_vec()),
            IntegrityKind::Sha256 => MessageIntegritySha256::compute(&parts, &self.key).ok().map(|hmac| hmac.to_vec()),
        }
    }
}

impl fmt::Debug for LongTermKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LongTermKey(..)")
    }
}

/// What a nonce begins with if the server implements RFC 8489 (§9.2).
pub(crate) const NONCE_COOKIE: &str = "obMatJos2";

/// The STUN security features that a nonce announces (RFC 8489 §18.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct SecurityFeatures {
    pub(crate) password_algorithms: bool,
    pub(crate) username_anonymity: bool,
}

impl SecurityFeatures {
    /// Reads the nonce cookie; a nonce without one announces nothing.
    pub(crate) fn of_nonce(nonce: &str) -> Self {
        let encoded = nonce.strip_prefix(NONCE_COOKIE).and_then(|rest| rest.as_bytes().first_chunk::<4>());
        // Four characters of base64 carry 24 bits; features 0 and 1 are the topmost bits of the first.
        let Some(first) = encoded
            .filter(|encoded| encoded.iter().all(|&character| base64_value(character).is_some()))
            .and_then(|encoded| base64_value(encoded[0]))
        else {
            return Self::default();
        };
        Self { password_algorithms: first & 0b10_0000 != 0, username_anonymity: first & 0b01_0000 != 0 }
    }

    /// The nonce cookie that announces these features.
    #[cfg(any(test, feature = "test-server"))]
    pub(crate) fn cookie(self) -> String {
        let first = match (self.password_algorithms, self.username_anonymity) {
            (false, false) => 'A',
            (false, true) => 'Q',
            (true, false) => 'g',
            (true, true) => 'w',
        };
        format!("{NONCE_COOKIE}{first}AAA")
    }
}

fn base64_value(character: u8) -> Option<u8> {
    match character {
        b'A'..=b'Z' => Some(character - b'A'),
        b'a'..=b'z' => Some(character - b'a' + 26),
        b'0'..=b'9' => Some(character - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// A session with a server that has challenged us: all that goes into a request.
#[derive(Debug)]
pub(crate) struct Session {
    realm: String,
    nonce: String,
    user: User,
    /// The list of the server, to be sent back as it came (RFC 8489 §9.2.5), and what was chosen from it.
    algorithms: Option<(Vec<u8>, KeyDerivation)>,
    key: LongTermKey,
}

/// How the user is named.
#[derive(Debug)]
enum User {
    Name(String),
    Hash([u8; 32]),
}

/// Why a challenge is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ChallengeDefect {
    /// It has no realm or nonce, or they are too long, or not text.
    Malformed,
    /// The nonce announces algorithms, and the list is missing (RFC 8489 §9.2.5): somebody has removed it.
    BidDown,
    /// None of the algorithms is known.
    NoKnownAlgorithm,
    /// The realm is another than before.
    RealmChanged,
    /// The nonce is not a new one.
    NotNew,
}

impl ChallengeDefect {
    /// In words.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Malformed => "the server's challenge has no usable realm and nonce",
            Self::BidDown => "the server's challenge is weaker than its nonce promises",
            Self::NoKnownAlgorithm => "the server offers no password algorithm that is known",
            Self::RealmChanged => "the server's realm is another than before",
            Self::NotNew => "the server's nonce is not a new one",
        }
    }
}

/// The most bytes of a list of algorithms that are sent back.
const MAXIMUM_ALGORITHMS: usize = 64;

impl Session {
    /// The answer to a 401 (RFC 8489 §9.2.5).
    pub(crate) fn begin(credentials: &TurnCredentials, response: &TurnMessage<'_>) -> Result<Self, ChallengeDefect> {
        let realm = response.text(attribute::REALM).filter(|realm| !realm.is_empty());
        let nonce = response.text(attribute::NONCE).filter(|nonce| !nonce.is_empty());
        let (Some(realm), Some(nonce)) = (realm, nonce) else {
            return Err(ChallengeDefect::Malformed);
        };
        let features = SecurityFeatures::of_nonce(nonce);
        let algorithms = choose_algorithm(features, response)?;
        let (derivation, integrity) = match &algorithms {
            // "all the subsequent requests MUST be authenticated using MESSAGE-INTEGRITY-SHA256 only."
            Some((_, derivation)) => (*derivation, IntegrityKind::Sha256),
            None => (KeyDerivation::Md5, IntegrityKind::Sha1),
        };
        let user = if features.username_anonymity {
            User::Hash(credentials.userhash(realm))
        } else {
            User::Name(credentials.username.clone())
        };
        let key = credentials.key(realm, derivation, integrity);
        Ok(Self { realm: realm.to_owned(), nonce: nonce.to_owned(), user, algorithms, key })
    }

    /// Takes the nonce of a 438. Realm and algorithms stay what they are: nothing that is not authenticated changes them.
    pub(crate) fn renew(&mut self, response: &TurnMessage<'_>, stale: &str) -> Result<(), ChallengeDefect> {
        let Some(nonce) = response.text(attribute::NONCE).filter(|nonce| !nonce.is_empty()) else {
            return Err(ChallengeDefect::Malformed);
        };
        if response.text(attribute::REALM).is_some_and(|realm| realm != self.realm) {
            return Err(ChallengeDefect::RealmChanged);
        }
        let chosen = choose_algorithm(SecurityFeatures::of_nonce(nonce), response)?;
        if chosen.map(|(_, derivation)| derivation) != self.algorithms.as_ref().map(|(_, derivation)| *derivation) {
            return Err(ChallengeDefect::BidDown);
        }
        if nonce == stale {
            return Err(ChallengeDefect::NotNew);
        }
        nonce.clone_into(&mut self.nonce);
        Ok(())
    }

    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }

    pub(crate) fn realm(&self) -> &str {
        &self.realm
    }

    pub(crate) fn key(&self) -> &LongTermKey {
        &self.key
    }

    /// What the report says of it.
    pub(crate) fn algorithm_name(&self) -> &'static str {
        match &self.algorithms {
            None => "MD5",
            Some((_, KeyDerivation::Md5)) => "MD5 with SHA-256 integrity",
            Some((_, KeyDerivation::Sha256)) => "SHA-256",
        }
    }

    /// Adds everything that RFC 8489 §9.2.3.2 asks for, integrity last.
    pub(crate) fn authenticate(&self, writer: &mut MessageWriter) {
        match &self.user {
            User::Name(name) => writer.attribute(attribute::USERNAME, name.as_bytes()),
            User::Hash(hash) => writer.attribute(attribute::USERHASH, hash),
        }
        writer.attribute(attribute::REALM, self.realm.as_bytes());
        writer.attribute(attribute::NONCE, self.nonce.as_bytes());
        if let Some((list, chosen)) = &self.algorithms {
            writer.attribute(attribute::PASSWORD_ALGORITHMS, list);
            let [high, low] = chosen.code().to_be_bytes();
            writer.attribute(attribute::PASSWORD_ALGORITHM, &[high, low, 0, 0]);
        }
        writer.integrity(&self.key);
    }
}

/// The first algorithm of the list that is known, and the list; `None` without a list.
fn choose_algorithm(
    features: SecurityFeatures,
    response: &TurnMessage<'_>,
) -> Result<Option<(Vec<u8>, KeyDerivation)>, ChallengeDefect> {
    let list = response.value(attribute::PASSWORD_ALGORITHMS);
    let Some(list) = list else {
        return if features.password_algorithms { Err(ChallengeDefect::BidDown) } else { Ok(None) };
    };
    if list.len() > MAXIMUM_ALGORITHMS {
        return Err(ChallengeDefect::Malformed);
    }
    let mut rest = list;
    while let Some((&[high, low, length_high, length_low], parameters)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        rest = parameters.get(length.next_multiple_of(4)..).ok_or(ChallengeDefect::Malformed)?;
        // RFC 8489 §18.5.1: neither of the two has parameters.
        let known = [KeyDerivation::Md5, KeyDerivation::Sha256];
        let code = u16::from_be_bytes([high, low]);
        if let Some(found) = known.into_iter().find(|known| known.code() == code && length == 0) {
            return Ok(Some((list.to_vec(), found)));
        }
    }
    Err(ChallengeDefect::NoKnownAlgorithm)
}

/// Whether a response is to be ignored for a nonce that announces algorithms without listing them (RFC 8489 §9.2.5).
pub(crate) fn is_bid_down(response: &TurnMessage<'_>) -> bool {
    let nonce = response.text(attribute::NONCE).unwrap_or_default();
    SecurityFeatures::of_nonce(nonce).password_algorithms && response.value(attribute::PASSWORD_ALGORITHMS).is_none()
}
