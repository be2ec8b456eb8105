//! The host names of a world.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use proto_machine::SocketError;

/// What becomes of the look-ups of a host name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameRecord {
    /// The answer.
    pub answer: NameAnswer,
    /// How long it takes.
    pub delay: Duration,
}

/// The answer to a look-up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NameAnswer {
    /// These addresses, the preferred one first.
    Addresses(Vec<IpAddr>),
    /// There is no such name, or no server that could tell.
    Failure(SocketError),
    /// None ever comes.
    Silence,
}

impl NameRecord {
    /// These addresses, at once.
    #[must_use]
    pub const fn addresses(addresses: Vec<IpAddr>) -> Self {
        Self { answer: NameAnswer::Addresses(addresses), delay: Duration::ZERO }
    }

    /// This failure, at once.
    #[must_use]
    pub const fn failure(error: SocketError) -> Self {
        Self { answer: NameAnswer::Failure(error), delay: Duration::ZERO }
    }

    /// No answer, ever.
    #[must_use]
    pub const fn silence() -> Self {
        Self { answer: NameAnswer::Silence, delay: Duration::ZERO }
    }

    /// The same after this time.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

/// All names. Names that differ in case or in a dot at the end are the same (RFC 4343, RFC 1034 §3.1).
#[derive(Debug, Default)]
pub(crate) struct Names {
    records: BTreeMap<String, NameRecord>,
}

impl Names {
    pub(crate) fn insert(&mut self, host: &str, record: NameRecord) {
        self.records.insert(Self::key(host), record);
    }

    /// The answer and how long it takes; `None` if there never is one. A name without a record is not found, at once.
    pub(crate) fn look_up(&self, host: &str) -> Option<(Duration, Result<Vec<IpAddr>, SocketError>)> {
        let Some(record) = self.records.get(&Self::key(host)) else {
            return Some((Duration::ZERO, Err(SocketError::NameNotFound)));
        };
        let result = match &record.answer {
            NameAnswer::Addresses(addresses) if addresses.is_empty() => Err(SocketError::NameNotFound),
            NameAnswer::Addresses(addresses) => Ok(addresses.clone()),
            NameAnswer::Failure(error) => Err(error.clone()),
            NameAnswer::Silence => return None,
        };
        Some((record.delay, result))
    }

    /// Which spelling stands for a name.
    pub(crate) fn key(host: &str) -> String {
        host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
    }
}
