//! Challenges, and whether they are met (RFC 8489 §9.2.4).

use std::collections::BTreeMap;

use proto_machine::Path;
use stun_types::message::MessageClass;

use super::{PasswordAlgorithm, TurnServer, error_value};
use crate::turn::TurnCredentials;
use crate::turn::credentials::{IntegrityKind, KeyDerivation, LongTermKey, SecurityFeatures};
use crate::turn::message::{MessageWriter, TurnMessage, attribute};

/// The nonces that were given out, one for each client.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    entries: BTreeMap<Path, Nonce>,
}

#[derive(Clone, Debug)]
struct Nonce {
    text: String,
    uses: u32,
}

/// No more clients are remembered.
const MAXIMUM_NONCES: usize = 4_096;

/// Who has sent a request.
#[derive(Debug)]
pub(super) struct Authenticated {
    pub(super) key: LongTermKey,
    /// What a response is protected with that is to be found wrong.
    pub(super) wrong_key: LongTermKey,
}

impl TurnServer {
    /// Whether a request may be carried out; if not, the response to it.
    pub(super) fn authenticate(
        &mut self,
        path: Path,
        message: &TurnMessage<'_>,
    ) -> Result<Authenticated, Option<Vec<u8>>> {
        if !message.has_integrity() {
            return Err(self.challenge(path, message, self.faults.refuse_strangers.unwrap_or(401)));
        }
        let Some(user) = self.user_of(message) else {
            return Err(self.challenge(path, message, 401));
        };
        let chosen = message.value(attribute::PASSWORD_ALGORITHM);
        let listed = message.value(attribute::PASSWORD_ALGORITHMS);
        if listed.is_some() != chosen.is_some() || listed.is_some_and(|list| list != self.algorithm_list()) {
            return Err(self.challenge(path, message, 400));
        }
        let (derivation, integrity) = match chosen {
            Some([0, 2, ..]) => (KeyDerivation::Sha256, IntegrityKind::Sha256),
            Some(_) => (KeyDerivation::Md5, IntegrityKind::Sha256),
            None => (KeyDerivation::Md5, IntegrityKind::Sha1),
        };
        let key = user.key(&self.config.realm, derivation, integrity);
        if message.text(attribute::REALM) != Some(self.config.realm.as_str()) || !message.is_authentic(&key) {
            return Err(self.challenge(path, message, 401));
        }
        if !self.nonces.is_fresh(path, message.text(attribute::NONCE), self.faults.nonce_uses) {
            return Err(self.challenge(path, message, 438));
        }
        let wrong_key = TurnCredentials::new(user.username(), "wrong").key(&self.config.realm, derivation, integrity);
        Ok(Authenticated { key, wrong_key })
    }

    fn user_of(&self, message: &TurnMessage<'_>) -> Option<TurnCredentials> {
        let name = message.text(attribute::USERNAME).filter(|_| !self.config.anonymous_usernames);
        let hash = message.value(attribute::USERHASH).filter(|_| self.config.anonymous_usernames);
        let is_meant = |user: &&TurnCredentials| {
            name == Some(user.username()) || hash == Some(&user.userhash(&self.config.realm)[..])
        };
        self.config.users.iter().find(is_meant).cloned()
    }

    /// The error response to a request that is not carried out. It cannot be protected.
    fn challenge(&mut self, path: Path, message: &TurnMessage<'_>, code: u16) -> Option<Vec<u8>> {
        let mut writer = MessageWriter::new(MessageClass::Error, message.method, message.transaction);
        writer.attribute(attribute::ERROR_CODE, &error_value(code));
        if code == 300
            && let Some(alternate) = self.faults.redirect_to
        {
            writer.address(attribute::ALTERNATE_SERVER, alternate);
        }
        if matches!(code, 401 | 438) {
            let is_other_realm = self.faults.changes_realm && code == 438;
            let realm = if is_other_realm { "elsewhere.example.org" } else { self.config.realm.as_str() };
            writer.attribute(attribute::REALM, realm.as_bytes());
            let nonce = if self.faults.repeats_nonce && code == 438 {
                message.text(attribute::NONCE).unwrap_or_default().to_owned()
            } else {
                self.new_nonce(path)
            };
            writer.attribute(attribute::NONCE, nonce.as_bytes());
            if !self.config.algorithms.is_empty() && !self.faults.hides_algorithms {
                writer.attribute(attribute::PASSWORD_ALGORITHMS, &self.algorithm_list());
            }
        }
        writer.attribute(attribute::SOFTWARE, self.config.software.as_bytes());
        writer.finish()
    }

    fn algorithm_list(&self) -> Vec<u8> {
        let code = |algorithm: &PasswordAlgorithm| match algorithm {
            PasswordAlgorithm::Md5 => KeyDerivation::Md5.code(),
            PasswordAlgorithm::Sha256 => KeyDerivation::Sha256.code(),
        };
        let entry = |algorithm| {
            let [high, low] = code(algorithm).to_be_bytes();
            [high, low, 0, 0]
        };
        self.config.algorithms.iter().flat_map(entry).collect()
    }

    fn new_nonce(&mut self, path: Path) -> String {
        let password_algorithms = !self.config.algorithms.is_empty();
        let username_anonymity = self.config.anonymous_usernames;
        let cookie = if password_algorithms || username_anonymity {
            SecurityFeatures { password_algorithms, username_anonymity }.cookie()
        } else {
            String::new()
        };
        let text = format!("{cookie}{:016x}", self.rng.next_u64());
        if self.nonces.entries.len() < MAXIMUM_NONCES || self.nonces.entries.contains_key(&path) {
            self.nonces.entries.insert(path, Nonce { text: text.clone(), uses: 0 });
        }
        text
    }
}

impl Nonces {
    /// Counts a use of the current nonce of a client. `false` if it is another one, or used up.
    fn is_fresh(&mut self, path: Path, nonce: Option<&str>, limit: Option<u32>) -> bool {
        let Some(current) = self.entries.get_mut(&path).filter(|current| nonce == Some(current.text.as_str())) else {
            return false;
        };
        current.uses += 1;
        limit.is_none_or(|limit| current.uses <= limit)
    }
}
