//! STUN as ICE uses it: with [`turn`](crate::turn), the one place that touches `stun-types`.
//!
//! That crate accepts more than RFC 8489 does, and its writer traces integrity keys. So reading is strict here ([`StunMessage::parse`]), and integrity is added and verified
//! only with the two functions that do not trace the key.

mod attributes;
mod read;
mod write;

#[cfg(test)]
mod tests;

use std::fmt;

pub(crate) use read::{FingerprintPresence, StunDefect, StunMessage};
use stun_types::message::{IntegrityKey, ShortTermCredentials};
pub(crate) use stun_types::message::{MessageClass, TransactionId};
pub(crate) use write::{CheckRequest, Nominate, StunBuffer};

/// The key of short-term credentials (RFC 8489 §9.1). It does not print itself.
pub(crate) struct StunKey(IntegrityKey);

impl StunKey {
    /// RFC 8489 §9.1.1: the key is the password. Ice-chars are ASCII, which OpaqueString leaves alone.
    pub(crate) fn new(password: &str) -> Self {
        Self(ShortTermCredentials::new(password.to_owned()).make_key())
    }
}

impl fmt::Debug for StunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StunKey(..)")
    }
}

/// The username fragment of the agent that a check is meant for: how a socket that many agents share tells whose it is.
///
/// `None` for everything that is not a check: other STUN messages, payload, and what is malformed. It is not authenticated; only the agent can do that.
#[must_use]
pub fn addressed_username_fragment(datagram: &[u8]) -> Option<&str> {
    let message = StunMessage::parse(datagram).ok()?;
    let (local, _) = message.username.filter(|_| message.class == MessageClass::Request)?.split_once(':')?;
    Some(local)
}

/// Error codes that ICE sends or acts on.
pub(crate) mod error_code {
    pub(crate) const BAD_REQUEST: u16 = 400;
    pub(crate) const FORBIDDEN: u16 = 403;
    pub(crate) const UNKNOWN_ATTRIBUTE: u16 = 420;
    pub(crate) const ROLE_CONFLICT: u16 = 487;
}
