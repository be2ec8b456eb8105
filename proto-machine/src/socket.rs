//! What a machine asks of its driver beside sending packets, and what it is told in return.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// A socket as a machine names it, unique within that machine and never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SocketId(pub u64);

/// A name look-up as a machine names it, unique within that machine and never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LookupId(pub u64);

/// What a machine wants its driver to do. The driver does it and reports with a [`SocketEvent`]; one that it does not know it answers with
/// [`SocketError::Unsupported`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SocketRequest {
    /// Open a UDP socket. Answered by [`SocketEvent::Opened`] or [`SocketEvent::Failed`].
    BindUdp {
        /// The name of the socket from here on.
        socket: SocketId,
        /// The local address. Port 0 leaves the choice of the port to the system.
        local: SocketAddr,
    },
    /// Close a socket. Not answered; nothing is received from it any more.
    Close {
        /// The socket.
        socket: SocketId,
    },
    /// Look up the addresses of a host name. Answered by [`SocketEvent::Resolved`].
    Resolve {
        /// The name of the look-up from here on.
        lookup: LookupId,
        /// The host name, without a port.
        host: String,
    },
}

/// What became of a [`SocketRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SocketEvent {
    /// The socket is open.
    Opened {
        /// The socket.
        socket: SocketId,
        /// Its address, with the port that it was given.
        local: SocketAddr,
    },
    /// The socket could not be opened, or is of no use any more. It need not be closed.
    Failed {
        /// The socket.
        socket: SocketId,
        /// Why.
        error: SocketError,
    },
    /// A look-up has ended.
    Resolved {
        /// The look-up.
        lookup: LookupId,
        /// The addresses in the system's order of preference, or why there are none.
        result: Result<Vec<IpAddr>, SocketError>,
    },
}

/// Why a socket or a look-up failed.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SocketError {
    /// The address is in use by another socket.
    AddressInUse,
    /// No interface has this address (any more).
    AddressNotAvailable,
    /// The system does not permit it.
    PermissionDenied,
    /// The host name has no address.
    NameNotFound,
    /// This driver cannot do what was asked.
    Unsupported,
    /// Anything else, in the words of the system.
    Other(String),
}

/// What a machine learns of an error of the system.
impl From<&io::Error> for SocketError {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse,
            io::ErrorKind::AddrNotAvailable => Self::AddressNotAvailable,
            io::ErrorKind::PermissionDenied => Self::PermissionDenied,
            io::ErrorKind::Unsupported => Self::Unsupported,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl std::fmt::Display for SocketError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AddressInUse => f.write_str("the address is in use by another socket"),
            Self::AddressNotAvailable => f.write_str("no interface has this address"),
            Self::PermissionDenied => f.write_str("the system does not permit it"),
            Self::NameNotFound => f.write_str("the host name has no address"),
            Self::Unsupported => f.write_str("this driver cannot do it"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for SocketError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_that_have_a_name_here_get_it_and_others_keep_their_words() {
        for (kind, expected) in [
            (io::ErrorKind::AddrInUse, SocketError::AddressInUse),
            (io::ErrorKind::AddrNotAvailable, SocketError::AddressNotAvailable),
            (io::ErrorKind::PermissionDenied, SocketError::PermissionDenied),
            (io::ErrorKind::Unsupported, SocketError::Unsupported),
            (io::ErrorKind::NetworkDown, SocketError::Other("in these words".to_owned())),
        ] {
            assert_eq!(SocketError::from(&io::Error::new(kind, "in these words")), expected);
        }
    }
}
