//! Checks that arrive before the parameters of the other agent: they are answered at once and acted on later (RFC 8445 §7.3).

use proto_machine::Path;

/// What is left to do for checks of one path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct EarlyCheck {
    pub(crate) path: Path,
    pub(crate) remote_fragment: String,
    pub(crate) priority: u32,
    pub(crate) use_candidate: bool,
    /// How many of them came.
    pub(crate) count: u64,
}

/// At most one entry a path.
#[derive(Debug)]
pub(crate) struct EarlyChecks {
    entries: Vec<EarlyCheck>,
    limit: usize,
}

impl EarlyChecks {
    pub(crate) fn new(limit: usize) -> Self {
        Self { entries: Vec::new(), limit }
    }

    /// Remembers a check; says whether there was room.
    #[must_use]
    pub(crate) fn remember(&mut self, check: EarlyCheck) -> bool {
        let alike =
            |entry: &&mut EarlyCheck| entry.path == check.path && entry.remote_fragment == check.remote_fragment;
        if let Some(entry) = self.entries.iter_mut().find(alike) {
            entry.use_candidate |= check.use_candidate;
            entry.count += 1;
            return true;
        }
        let has_room = self.entries.len() < self.limit;
        if has_room {
            self.entries.push(check);
        }
        has_room
    }

    pub(crate) fn contains(&self, path: Path) -> bool {
        self.entries.iter().any(|entry| entry.path == path)
    }

    pub(crate) fn take(&mut self) -> Vec<EarlyCheck> {
        std::mem::take(&mut self.entries)
    }
}
