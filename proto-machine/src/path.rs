//! Where packets come from and go to.

use std::net::SocketAddr;
use std::num::NonZeroUsize;

/// The transport protocol under a path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TransportProtocol {
    /// Datagrams.
    Udp,
    /// A byte stream.
    Tcp,
}

/// The two ends of a path, as this host sees them: a 5-tuple (RFC 8445 §4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Path {
    /// The transport protocol.
    pub protocol: TransportProtocol,
    /// The address of our own socket, as reported by [`SocketEvent::Opened`](crate::SocketEvent::Opened).
    pub local: SocketAddr,
    /// The address of the other end.
    pub remote: SocketAddr,
}

impl Path {
    /// A UDP path.
    #[must_use]
    pub const fn udp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { protocol: TransportProtocol::Udp, local, remote }
    }

    /// The same path as the other end sees it.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { protocol: self.protocol, local: self.remote, remote: self.local }
    }
}

/// A datagram that has arrived.
#[derive(PartialEq, Eq, Debug)]
pub struct Received<'a> {
    /// The path it came on.
    pub path: Path,
    /// Its bytes. The machine may change them in place, as decryption does.
    pub datagram: &'a mut [u8],
}

/// How the bytes in a [`TransmitBuffer`](crate::TransmitBuffer) divide into datagrams.
///
/// All datagrams are `size` bytes long but the last, which may be shorter: what generic segmentation offload asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segments {
    /// Bytes in each datagram but the last.
    pub size: NonZeroUsize,
    /// How many datagrams there are, at least one.
    pub count: NonZeroUsize,
}

/// Datagrams that lie in the [`TransmitBuffer`](crate::TransmitBuffer), and where to send them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the datagrams in the buffer are lost if they are not sent"]
pub struct Transmit {
    /// The path to send them on.
    pub path: Path,
    /// How the buffer divides into datagrams.
    pub segments: Segments,
}
