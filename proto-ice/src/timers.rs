//! The timers that concern an agent as a whole. Those of a pair or a transaction live with it.

use std::time::Duration;

use proto_machine::TimerKey;

/// RFC 8445 §8.3.1: how long after nomination unselected candidates are kept.
pub(crate) const RELEASE_DELAY: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timer {
    /// RFC 8863 §4: the PAC timer. While it runs, nothing has failed.
    PatientlyAwaitingConnectivity,
    /// RFC 8863 §5: when it fires, a missing end-of-candidates indication is taken as given.
    EndOfCandidates,
    /// When no better pair is worth waiting for.
    Nomination,
    /// RFC 8445 §8.3.1: when it fires, unselected candidates are given up.
    Release,
}

impl TimerKey for Timer {
    const ALL: &'static [Self] =
        &[Self::PatientlyAwaitingConnectivity, Self::EndOfCandidates, Self::Nomination, Self::Release];

    fn reason(self) -> &'static str {
        match self {
            Self::PatientlyAwaitingConnectivity => "patiently awaiting connectivity",
            Self::EndOfCandidates => "end of remote candidates",
            Self::Nomination => "nomination",
            Self::Release => "release of candidates",
        }
    }
}
