//! A stateful firewall, which translates nothing.

use std::net::SocketAddr;
use std::time::Duration;

use proto_machine::Timestamp;

use super::behaviour::{Dependence, DropReason, Remote};
use super::expiring::Expiring;

/// Whether a firewall lets UDP pass at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UdpPolicy {
    /// Out, and the answers in.
    #[default]
    Allowed,
    /// Neither out nor in: TCP to port 443 is all that leaves, as behind strict corporate firewalls.
    Blocked,
}

/// The behaviour of a [`Firewall`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FirewallConfig {
    /// What of a remote endpoint the filter looks at.
    pub filtering: Dependence,
    /// Whether UDP passes at all.
    pub udp: UdpPolicy,
    /// How long answers pass after the last datagram from inside. Datagrams from outside prolong nothing.
    pub lifetime: Duration,
    /// The most pairs of an internal and a remote endpoint that are known at a time.
    pub sessions_limit: usize,
}

impl Default for FirewallConfig {
    /// Answers pass from exactly the endpoint that was written to, for five minutes.
    fn default() -> Self {
        Self {
            filtering: Dependence::AddressAndPortDependent,
            udp: UdpPolicy::Allowed,
            lifetime: Duration::from_secs(300),
            sessions_limit: 65_536,
        }
    }
}

/// A stateful firewall: addresses stay what they are, and what comes in must answer what went out. IPv6 homes have one in place of a NAT (RFC 6092 §3.2).
#[derive(Debug)]
pub struct Firewall {
    config: FirewallConfig,
    traffic: Traffic,
    /// Whose datagrams pass to which internal endpoint, and until when.
    sessions: Expiring<(SocketAddr, Remote), ()>,
}

/// What a firewall is asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Traffic {
    Datagrams,
    Streams,
}

/// HTTPS.
const OPEN_PORT: u16 = 443;

impl Firewall {
    /// The half of a firewall that sees TCP.
    pub(crate) const fn for_streams(config: FirewallConfig) -> Self {
        Self { config, traffic: Traffic::Streams, sessions: Expiring::new() }
    }

    fn check_policy(&self, remote: SocketAddr) -> Result<(), DropReason> {
        match (self.config.udp, self.traffic) {
            (UdpPolicy::Allowed, _) => Ok(()),
            (UdpPolicy::Blocked, Traffic::Datagrams) => Err(DropReason::UdpBlocked),
            (UdpPolicy::Blocked, Traffic::Streams) if remote.port() == OPEN_PORT => Ok(()),
            (UdpPolicy::Blocked, Traffic::Streams) => Err(DropReason::PortBlocked),
        }
    }

    /// A firewall that has seen nothing yet.
    #[must_use]
    pub const fn new(config: FirewallConfig) -> Self {
        Self { config, traffic: Traffic::Datagrams, sessions: Expiring::new() }
    }

    /// A datagram from inside: its source, which stays what it is. Answers pass from now on.
    ///
    /// # Errors
    ///
    /// Why it is dropped: the policy, or a full table.
    pub fn outbound(
        &mut self,
        now: Timestamp,
        internal: SocketAddr,
        destination: SocketAddr,
    ) -> Result<SocketAddr, DropReason> {
        self.check_policy(destination)?;
        let session = (internal, self.config.filtering.of(destination));
        while self.sessions.pop_expired(now).is_some() {}
        if self.sessions.get(now, &session).is_none() && self.sessions.len() >= self.config.sessions_limit {
            return Err(DropReason::TableFull);
        }
        self.sessions.insert(session, (), now + self.config.lifetime);
        Ok(internal)
    }

    /// A datagram from outside: its destination, which stays what it is.
    ///
    /// # Errors
    ///
    /// Why it is dropped: the policy, or nothing was sent that it could answer.
    pub fn inbound(
        &self,
        now: Timestamp,
        destination: SocketAddr,
        source: SocketAddr,
    ) -> Result<SocketAddr, DropReason> {
        self.check_policy(source)?;
        let session = (destination, self.config.filtering.of(source));
        self.sessions.get(now, &session).map(|()| destination).ok_or(DropReason::Filtered)
    }

    /// Forgets what was sent, as a reboot does.
    pub fn reboot(&mut self) {
        self.sessions.clear();
    }
}
