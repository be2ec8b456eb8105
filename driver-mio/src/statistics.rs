//! What a driver counts.

/// Counters of a [`Driver`](crate::Driver) since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DriverStatistics {
    /// Calls of [`Driver::turn`](crate::Driver::turn).
    pub turns: u64,
    /// Datagrams handed to the machine.
    pub datagrams_received: u64,
    /// Bytes of UDP payload handed to the machine.
    pub bytes_received: u64,
    /// System calls that returned datagrams.
    pub receive_calls: u64,
    /// Errors of receiving, other than that there is nothing to receive.
    pub receive_errors: u64,
    /// Datagrams that the system has taken.
    pub datagrams_sent: u64,
    /// Bytes of UDP payload that the system has taken.
    pub bytes_sent: u64,
    /// System calls that took datagrams.
    pub send_calls: u64,
    /// Times that a socket had no room: its batch was kept until it had.
    pub would_block: u64,
    /// Times that a segmented send failed and the same datagrams went out one by one.
    pub segmentation_fallbacks: u64,
    /// Times that the machine's deadline had passed although it had just been told so: the driver then slept for a millisecond rather than spin.
    pub overdue_deadlines: u64,
    /// Requests of a kind that this driver does not know.
    pub unsupported_requests: u64,
    /// Datagrams that the machine handed over and that never left.
    pub dropped: DroppedDatagrams,
}

/// Datagrams that could not be sent, by reason. None of them is fatal: whoever wrote them notices as with any loss.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DroppedDatagrams {
    /// No open socket has the local address of the path.
    pub no_socket: u64,
    /// The remote address has port 0 or is of another family than the local one, or the protocol is not UDP.
    pub bad_path: u64,
    /// The socket was blocked and as many batches as allowed were waiting for it.
    pub queue_full: u64,
    /// The socket was closed while they were waiting for it.
    pub closed: u64,
    /// Larger than what the path takes (EMSGSIZE).
    pub too_long: u64,
    /// No route to the network or the host, or the interface is down.
    pub unreachable: u64,
    /// The other end has refused an earlier datagram.
    pub refused: u64,
    /// The system does not permit it: a firewall, or a broadcast address.
    pub not_permitted: u64,
    /// Any other error of the system.
    pub other: u64,
}

impl DroppedDatagrams {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self { no_socket, bad_path, queue_full, closed, too_long, unreachable, refused, not_permitted, other } =
            *self;
        no_socket + bad_path + queue_full + closed + too_long + unreachable + refused + not_permitted + other
    }
}
