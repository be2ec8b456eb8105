//! What happened in a world, and its hash.

use std::fmt;

use proto_machine::{Path, Timestamp};
use sha2::{Digest, Sha256};

use crate::NodeId;
use crate::network::{DropReason, MiddleboxId};

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A node sent a datagram.
    Sent {
        /// When.
        at: Timestamp,
        /// On which path, as the sender sees it.
        path: Path,
        /// How many bytes of UDP payload.
        length: usize,
    },
    /// A node wanted to send a datagram from where it has no socket. Nothing left.
    NotSent {
        /// When.
        at: Timestamp,
        /// Which node.
        node: NodeId,
        /// On which path, as the sender sees it.
        path: Path,
    },
    /// A datagram arrived.
    Arrived {
        /// When.
        at: Timestamp,
        /// On which path, as the receiver sees it.
        path: Path,
        /// How many bytes of UDP payload.
        length: usize,
    },
    /// A datagram went to an address where no socket is.
    Unreachable {
        /// When.
        at: Timestamp,
        /// On which path, as the sender sees it.
        path: Path,
    },
    /// A middlebox dropped a datagram.
    Dropped {
        /// When.
        at: Timestamp,
        /// Which middlebox.
        by: MiddleboxId,
        /// On which path, as the network sees it that the datagram came from.
        path: Path,
        /// Why.
        reason: DropReason,
    },
    /// A node reported something.
    Event {
        /// When.
        at: Timestamp,
        /// Which node.
        node: NodeId,
        /// What, in its own words.
        text: String,
    },
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent { at, path, length } => write!(f, "{at:?} {} -> {} {length} bytes", path.local, path.remote),
            Self::NotSent { at, node, path } => {
                write!(f, "{at:?} {node} {} -> {} not sent: no socket is there", path.local, path.remote)
            }
            Self::Arrived { at, path, length } => write!(f, "{at:?} {} <- {} {length} bytes", path.local, path.remote),
            Self::Unreachable { at, path } => write!(f, "{at:?} {} -> {} unreachable", path.local, path.remote),
            Self::Dropped { at, by, path, reason } => {
                write!(f, "{at:?} {} -> {} dropped by {by}: {reason}", path.local, path.remote)
            }
            Self::Event { at, node, text } => write!(f, "{at:?} {node} {text}"),
        }
    }
}

/// Everything that happened in a world, in order.
///
/// Two runs of the same world from the same seed have the same transcript and so the same [`hash`](Self::hash); the crate's front page lists what a transcript leaves out.
#[derive(Debug, Default)]
pub struct Transcript {
    entries: Vec<Entry>,
}

impl Transcript {
    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// What happened, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// SHA-256 of the printed transcript.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for entry in &self.entries {
            hash.update(format!("{entry}\n"));
        }
        hash.finalize().into()
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}
