//! What a driver can be told.

use std::ops::RangeInclusive;

use crate::Clock;

/// The bounds and sizes of a [`Driver`](crate::Driver).
///
/// ```
/// use driver_mio::DriverConfig;
///
/// let config = DriverConfig { datagram_capacity: 1_400, ..DriverConfig::default() };
/// assert_eq!(config.socket_buffer_size, 4 * 1024 * 1024);
/// ```
#[derive(Clone, Debug)]
pub struct DriverConfig {
    /// The time base; by default one that starts when the configuration is made.
    pub clock: Clock,
    /// The largest datagram to send, in bytes of UDP payload, at most 65,507. By default 1,200, which every path takes.
    pub datagram_capacity: usize,
    /// The most datagrams in one segmented send, 1 to 64. By default 64; 1 switches segmentation offload off. It takes effect as far as system and socket support it.
    pub max_segments: usize,
    /// What to ask of the system for each direction of each socket, in bytes. By default 4 MiB; the system may grant less (`net.core.rmem_max`, `net.core.wmem_max`).
    pub socket_buffer_size: usize,
    /// Ports for sockets that may have any, which a firewall has been opened for, say: they are used in turn. One beyond is an error that names the range. By default `None`: the system chooses.
    pub port_range: Option<RangeInclusive<u16>>,
    /// The most sockets open at a time. By default 4,096. A further bind request fails.
    pub max_sockets: usize,
    /// How many datagrams to read from one socket before the others have their turn. By default 1,024; exceeded by at most one system call's worth (32 times 64 datagrams).
    pub receive_budget: usize,
    /// How many batches to pull from the machine before sockets are looked at again, and likewise events. By default 64.
    pub drain_budget: usize,
    /// How many unsent batches, of at most `max_segments` datagrams each, wait for one blocked socket while others can send. By default 32. A further batch is dropped and counted.
    pub max_pending_batches: usize,
    /// How many name look-ups may wait for an answer. By default 64. A further look-up fails.
    pub max_lookups: usize,
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            clock: Clock::start(),
            datagram_capacity: 1_200,
            max_segments: 64,
            socket_buffer_size: 4 * 1024 * 1024,
            port_range: None,
            max_sockets: 4_096,
            receive_budget: 1_024,
            drain_budget: 64,
            max_pending_batches: 32,
            max_lookups: 64,
        }
    }
}
