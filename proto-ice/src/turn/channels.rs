//! Channels: two bytes in place of an address (RFC 8656 §12).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto_machine::Timestamp;

use super::framing::CHANNEL_NUMBERS;
use super::transactions::TRANSACTION_TIMEOUT;

/// RFC 8656 §12: "A channel binding lasts for 10 minutes unless refreshed."
pub(crate) const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// When a binding is renewed: a little before the permission of the peer would be, which it renews too (RFC 8656 §12.1). So one request serves both.
pub(crate) const CHANNEL_REFRESH: Duration = Duration::from_secs(225);

/// RFC 8656 §12: how long after its end neither the number nor the peer is bound to another.
pub(crate) const CHANNEL_REST: Duration = Duration::from_secs(300);

/// The most channels, resting ones included.
pub(crate) const MAXIMUM_CHANNELS: usize = 64;

/// The channels of an allocation.
#[derive(Debug)]
pub(crate) struct Channels {
    entries: BTreeMap<u16, Channel>,
    next_number: u16,
}

#[derive(Debug)]
struct Channel {
    peer: SocketAddr,
    /// Until when the server is known to have it bound.
    bound_until: Option<Timestamp>,
    state: ChannelState,
}

#[derive(Clone, Copy, Debug)]
enum ChannelState {
    Wanted,
    Requested,
    Bound {
        refresh_at: Timestamp,
    },
    /// Not used. Number and peer are free again at `until`; before that they may only find each other.
    Resting {
        until: Timestamp,
        may_return: bool,
    },
}

impl Channels {
    pub(crate) fn new() -> Self {
        Self { entries: BTreeMap::new(), next_number: *CHANNEL_NUMBERS.start() }
    }

    /// Asks for a channel to a peer. `false` if there is none to be had.
    pub(crate) fn want(&mut self, now: Timestamp, peer: SocketAddr) -> bool {
        self.forget_rested(now);
        if let Some(known) = self.entries.values_mut().find(|channel| channel.peer == peer) {
            if let ChannelState::Resting { may_return, .. } = known.state {
                if !may_return {
                    return false;
                }
                known.state = ChannelState::Wanted;
            }
            return true;
        }
        if self.entries.len() >= MAXIMUM_CHANNELS {
            return false;
        }
        let Some(number) = self.free_number() else {
            return false;
        };
        self.entries.insert(number, Channel { peer, bound_until: None, state: ChannelState::Wanted });
        true
    }

    /// Lets a binding run out. There is no way to end one earlier.
    pub(crate) fn release(&mut self, now: Timestamp, peer: SocketAddr) {
        let Some((&number, channel)) = self.entries.iter_mut().find(|(_, channel)| channel.peer == peer) else {
            return;
        };
        let end = match (channel.state, channel.bound_until) {
            // The request that is under way may be sent once more, and still bind it.
            (ChannelState::Requested, _) => now + TRANSACTION_TIMEOUT + CHANNEL_LIFETIME,
            (ChannelState::Resting { .. }, _) => return,
            (_, Some(until)) => until,
            (_, None) => {
                self.entries.remove(&number);
                return;
            }
        };
        channel.state = ChannelState::Resting { until: end + CHANNEL_REST, may_return: true };
    }

    /// The same for every channel to an address.
    pub(crate) fn release_address(&mut self, now: Timestamp, address: IpAddr) {
        let is_there = |channel: &&Channel| channel.peer.ip() == address;
        let peers: Vec<SocketAddr> = self.entries.values().filter(is_there).map(|channel| channel.peer).collect();
        for peer in peers {
            self.release(now, peer);
        }
    }

    /// The channel over which data goes to a peer: one that the server has confirmed (RFC 8656 §12).
    pub(crate) fn bound_to(&self, now: Timestamp, peer: SocketAddr) -> Option<u16> {
        let is_usable = |channel: &Channel| {
            channel.peer == peer
                && channel.bound_until.is_some_and(|until| now < until)
                && !matches!(channel.state, ChannelState::Resting { .. })
        };
        self.entries.iter().find(|(_, channel)| is_usable(channel)).map(|(&number, _)| number)
    }

    /// The peer of a channel that the server may have bound: "the client SHOULD be prepared to receive ChannelData messages on the channel from the server as soon as
    /// it has sent the ChannelBind request".
    pub(crate) fn peer_of(&self, number: u16) -> Option<SocketAddr> {
        let channel = self.entries.get(&number)?;
        (!matches!(channel.state, ChannelState::Wanted) || channel.bound_until.is_some()).then_some(channel.peer)
    }

    /// The number and the peer of the next request.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<(u16, SocketAddr)> {
        let (&number, channel) =
            self.entries.iter_mut().find(|(_, channel)| channel.deadline().is_some_and(|at| at <= now))?;
        channel.state = ChannelState::Requested;
        Some((number, channel.peer))
    }

    /// The server has bound what was sent at `sent_at`. Returned is the peer if it is bound for the first time.
    pub(crate) fn bound(&mut self, number: u16, sent_at: Timestamp) -> Option<SocketAddr> {
        let channel = self.entries.get_mut(&number)?;
        let was_bound = channel.bound_until.replace(sent_at + CHANNEL_LIFETIME).is_some();
        if matches!(channel.state, ChannelState::Requested) {
            channel.state = ChannelState::Bound { refresh_at: sent_at + CHANNEL_REFRESH };
        }
        (!was_bound).then_some(channel.peer)
    }

    /// The server does not bind it, or has not said so. Data goes in Send indications instead.
    pub(crate) fn refused(&mut self, now: Timestamp, number: u16) -> Option<SocketAddr> {
        let channel = self.entries.get_mut(&number)?;
        // The server may have bound it all the same, and its response been lost.
        let until = now + CHANNEL_LIFETIME + CHANNEL_REST;
        channel.state = ChannelState::Resting { until, may_return: false };
        Some(channel.peer)
    }

    /// When a request is due; [`Timestamp::ZERO`] if at once.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.entries.values().filter_map(Channel::deadline).min()
    }

    fn forget_rested(&mut self, now: Timestamp) {
        self.entries.retain(|_, channel| !matches!(channel.state, ChannelState::Resting { until, .. } if until <= now));
    }

    /// Numbers take turns, so that one rests as long as others are free.
    fn free_number(&mut self) -> Option<u16> {
        for _ in CHANNEL_NUMBERS {
            let number = self.next_number;
            self.next_number = if number == *CHANNEL_NUMBERS.end() { *CHANNEL_NUMBERS.start() } else { number + 1 };
            if !self.entries.contains_key(&number) {
                return Some(number);
            }
        }
        None
    }
}

impl Channel {
    fn deadline(&self) -> Option<Timestamp> {
        match self.state {
            ChannelState::Wanted => Some(Timestamp::ZERO),
            ChannelState::Bound { refresh_at } => Some(refresh_at),
            ChannelState::Requested | ChannelState::Resting { .. } => None,
        }
    }
}
