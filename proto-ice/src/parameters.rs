//! Credentials and what else two agents tell each other about themselves.

use std::fmt;
use std::time::Duration;

use proto_machine::Rng;

use crate::IceConfig;

/// The role of an agent (RFC 8445 §3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IceRole {
    /// Nominates the pair that is used.
    Controlling,
    /// Waits for the other agent to nominate.
    Controlled,
}

impl IceRole {
    /// The other role.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Controlling => Self::Controlled,
            Self::Controlled => Self::Controlling,
        }
    }
}

/// What one agent tells the other through signalling, beside its candidates (RFC 8839 §5.3-5.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IceParameters {
    /// The username fragment: 4-256 characters of the ice-char set (RFC 8839 §5.4).
    pub username_fragment: String,
    /// The password: 22-256 characters of the ice-char set.
    pub password: IcePassword,
    /// Whether the agent only answers checks (RFC 8445 §2.5). [`IceAgent`](crate::IceAgent) does not read it: a lite agent is checked like any other. It is for whoever decides
    /// the roles, since a full agent controls a lite one (§6.1.1).
    pub ice_lite: bool,
    /// The pacing that the agent proposes, if any (RFC 8839 §5.5); the default of 50 ms counts if not. A proposal of more than
    /// 1 s counts as 1 s.
    pub pacing: Option<Duration>,
}

/// A password that does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct IcePassword(String);

impl IcePassword {
    /// A password as it was signalled. Whether it is well-formed is checked where it is used.
    #[must_use]
    pub fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }

    /// The characters, for signalling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for IcePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IcePassword(..)")
    }
}

/// RFC 8839 §5.4: ice-char = ALPHA / DIGIT / "+" / "/", six bits a character.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// 48 random bits, twice what RFC 8445 §5.3 asks for: fragments also tell the peers behind one socket apart.
const USERNAME_FRAGMENT_LENGTH: usize = 8;

/// 144 random bits; RFC 8445 §5.3 asks for 128.
const PASSWORD_LENGTH: usize = 24;

impl IceParameters {
    /// Fresh credentials of a full agent.
    pub(crate) fn generate(rng: &mut Rng, pacing: Duration) -> Self {
        Self {
            username_fragment: rng.string(ICE_CHARS, USERNAME_FRAGMENT_LENGTH),
            password: IcePassword(rng.string(ICE_CHARS, PASSWORD_LENGTH)),
            ice_lite: false,
            // RFC 8445 §14.2: another value than the default has to be indicated.
            pacing: (pacing != IceConfig::DEFAULT_PACING).then_some(pacing),
        }
    }

    /// Checks lengths and characters against RFC 8839 §5.4.
    pub(crate) fn validate(&self) -> Result<(), SetRemoteParametersError> {
        if !is_ice_string(&self.username_fragment, 4) {
            return Err(SetRemoteParametersError::InvalidUsernameFragment);
        }
        if !is_ice_string(&self.password.0, 22) {
            return Err(SetRemoteParametersError::InvalidPassword);
        }
        Ok(())
    }
}

/// RFC 8839 §5.4: both are at most 256 characters long.
fn is_ice_string(text: &str, shortest: usize) -> bool {
    (shortest..=256).contains(&text.len()) && text.bytes().all(|byte| ICE_CHARS.contains(&byte))
}

/// Why remote parameters were refused. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetRemoteParametersError {
    /// The username fragment is not 4-256 ice-chars.
    InvalidUsernameFragment,
    /// The password is not 22-256 ice-chars.
    InvalidPassword,
    /// Other parameters are already set: a new generation needs an ICE restart, hence a new agent.
    AlreadySet,
    /// The agent is closed.
    Closed,
}

impl fmt::Display for SetRemoteParametersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidUsernameFragment => "the username fragment is not 4-256 ice-chars",
            Self::InvalidPassword => "the password is not 22-256 ice-chars",
            Self::AlreadySet => "remote parameters of another generation are already set",
            Self::Closed => "the agent is closed",
        })
    }
}

impl std::error::Error for SetRemoteParametersError {}
