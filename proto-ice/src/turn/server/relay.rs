//! Allocations, permissions and channels, and the data that goes through them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto_machine::{Path, Timestamp};
use stun_types::message::TransactionId;

use super::TurnServer;
use crate::turn::channels::CHANNEL_LIFETIME;
use crate::turn::framing::{CHANNEL_NUMBERS, ChannelData, Framing};
use crate::turn::message::{
    AttributeKind, IPV4, IPV6, MessageWriter, TurnMessage, TurnMethod, attribute, family_of, indication_head,
};
use crate::turn::permissions::PERMISSION_LIFETIME;

/// What a client has been given.
#[derive(Debug)]
pub(super) struct Allocation {
    /// The request that it was made for: a retransmission gets the same answer (RFC 8656 §7.2).
    transaction: TransactionId,
    relayed: Vec<SocketAddr>,
    expires_at: Timestamp,
    permissions: BTreeMap<IpAddr, Timestamp>,
    channels: BTreeMap<u16, (SocketAddr, Timestamp)>,
}

/// An attribute of a success response.
#[derive(Debug)]
pub(super) enum ResponseAttribute {
    Address(AttributeKind, SocketAddr),
    Number(AttributeKind, u32),
}

impl ResponseAttribute {
    pub(super) fn write(&self, writer: &mut MessageWriter) {
        match self {
            Self::Address(kind, address) => writer.address(*kind, *address),
            Self::Number(kind, number) => writer.number(*kind, *number),
        }
    }
}

/// The attributes of a success response, or an error code.
type Outcome = Result<Vec<ResponseAttribute>, u16>;

impl Allocation {
    pub(super) fn is_alive(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    pub(super) fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    pub(super) fn relayed(&self) -> impl Iterator<Item = SocketAddr> {
        self.relayed.iter().copied()
    }

    pub(super) fn is_permitted(&self, now: Timestamp, peer: IpAddr) -> bool {
        self.permissions.get(&peer).is_some_and(|until| now < *until)
    }

    pub(super) fn channels(&self, now: Timestamp) -> Vec<(u16, SocketAddr)> {
        let alive = self.channels.iter().filter(|(_, (_, until))| now < *until);
        alive.map(|(&number, &(peer, _))| (number, peer)).collect()
    }

    fn relayed_for(&self, peer: IpAddr) -> Option<SocketAddr> {
        self.relayed.iter().copied().find(|relayed| family_of(relayed.ip()) == family_of(peer))
    }
}

impl TurnServer {
    /// RFC 8656 §7.2.
    pub(super) fn allocate(&mut self, now: Timestamp, path: Path, message: &TurnMessage<'_>) -> Outcome {
        if let Some(existing) = self.allocations.get(&path) {
            return if existing.transaction == message.transaction {
                Ok(self.allocation_attributes(path))
            } else {
                Err(437)
            };
        }
        if self.faults.redirect_to.is_some() {
            return Err(300);
        }
        match message.value(attribute::REQUESTED_TRANSPORT) {
            Some([17, ..]) => {}
            Some(_) => return Err(442),
            None => return Err(400),
        }
        let requested = message.value(attribute::REQUESTED_ADDRESS_FAMILY).and_then(|value| value.first().copied());
        let additional = message.value(attribute::ADDITIONAL_ADDRESS_FAMILY).is_some();
        let families: &[u8] = match (requested, additional) {
            (Some(_), true) => return Err(400),
            (None, true) => &[IPV4, IPV6],
            (None | Some(IPV4), false) => &[IPV4],
            (Some(IPV6), false) => &[IPV6],
            (Some(_), false) => return Err(440),
        };
        if self.allocations.len() >= self.config.allocations {
            return Err(486);
        }
        let has_family = |family: &u8| self.config.relay_addresses.iter().any(|ip| family_of(*ip) == *family);
        let families: Vec<u8> = families.iter().copied().filter(has_family).collect();
        if families.is_empty() {
            return Err(440);
        }
        let port = self.free_port().ok_or(508_u16)?;
        let ips = self.config.relay_addresses.iter().filter(|ip| families.contains(&family_of(**ip)));
        let relayed = ips.map(|ip| SocketAddr::new(*ip, port)).collect();
        let allocation = Allocation {
            transaction: message.transaction,
            relayed,
            expires_at: now + self.config.lifetime,
            permissions: BTreeMap::new(),
            channels: BTreeMap::new(),
        };
        self.allocations.insert(path, allocation);
        Ok(self.allocation_attributes(path))
    }

    /// RFC 8656 §8.2.
    pub(super) fn refresh(&mut self, now: Timestamp, path: Path, message: &TurnMessage<'_>) -> Outcome {
        let allocation = self.allocations.get_mut(&path).ok_or(437_u16)?;
        if message.number(attribute::LIFETIME) == Some(0) {
            self.allocations.remove(&path);
            return Ok(vec![ResponseAttribute::Number(attribute::LIFETIME, 0)]);
        }
        allocation.expires_at = now + self.config.lifetime;
        Ok(vec![ResponseAttribute::Number(attribute::LIFETIME, self.lifetime())])
    }

    /// RFC 8656 §10.2.
    pub(super) fn create_permission(&mut self, now: Timestamp, path: Path, message: &TurnMessage<'_>) -> Outcome {
        let allocation = self.allocations.get_mut(&path).ok_or(437_u16)?;
        let peers: Vec<IpAddr> = message.addresses(attribute::XOR_PEER_ADDRESS).map(|peer| peer.ip()).collect();
        self.statistics.most_addresses = self.statistics.most_addresses.max(peers.len());
        if peers.is_empty() {
            return Err(400);
        }
        if peers.iter().any(|peer| allocation.relayed_for(*peer).is_none()) {
            return Err(443);
        }
        if peers.iter().any(|peer| self.faults.forbidden_peers.contains(peer)) {
            return Err(403);
        }
        allocation.permissions.extend(peers.into_iter().map(|peer| (peer, now + PERMISSION_LIFETIME)));
        Ok(Vec::new())
    }

    /// RFC 8656 §12.2.
    pub(super) fn bind_channel(&mut self, now: Timestamp, path: Path, message: &TurnMessage<'_>) -> Outcome {
        let allocation = self.allocations.get_mut(&path).ok_or(437_u16)?;
        let number = message.channel_number().filter(|number| CHANNEL_NUMBERS.contains(number)).ok_or(400_u16)?;
        let peer = message.address(attribute::XOR_PEER_ADDRESS).ok_or(400_u16)?;
        allocation.channels.retain(|_, (_, until)| now < *until);
        let is_taken = |(known, (bound, _)): (&u16, &(SocketAddr, Timestamp))| (*known == number) != (*bound == peer);
        if allocation.channels.iter().any(is_taken) {
            return Err(400);
        }
        if allocation.relayed_for(peer.ip()).is_none() {
            return Err(443);
        }
        if self.faults.forbidden_peers.contains(&peer.ip()) {
            return Err(403);
        }
        allocation.channels.insert(number, (peer, now + CHANNEL_LIFETIME));
        allocation.permissions.insert(peer.ip(), now + PERMISSION_LIFETIME);
        Ok(Vec::new())
    }

    /// RFC 8656 §11.2.
    pub(super) fn take_indication(&mut self, now: Timestamp, path: Path, message: &TurnMessage<'_>, bytes: &[u8]) {
        let Some((peer, data)) = message.address(attribute::XOR_PEER_ADDRESS).zip(message.data()) else {
            return;
        };
        let data = bytes.get(data).unwrap_or_default();
        if self.send_to_peer(now, path, peer, data) {
            self.statistics.sent_by_indication += 1;
        }
    }

    /// RFC 8656 §12.6.
    pub(super) fn take_channel_data(&mut self, now: Timestamp, path: Path, data: &ChannelData, bytes: &[u8]) {
        let peer = self.allocations.get(&path).and_then(|allocation| allocation.channels.get(&data.channel)).copied();
        let Some((peer, _)) = peer.filter(|(_, until)| now < *until) else {
            self.statistics.blocked += 1;
            return;
        };
        if self.send_to_peer(now, path, peer, bytes.get(data.payload.clone()).unwrap_or_default()) {
            self.statistics.sent_by_channel += 1;
        }
    }

    /// RFC 8656 §11.3, §12.7.
    pub(super) fn take_from_peer(&mut self, now: Timestamp, path: Path, data: &[u8]) {
        let owner = self.allocations.iter().find(|(_, allocation)| allocation.relayed.contains(&path.local));
        let Some((&client, allocation)) = owner else {
            return;
        };
        let peer = path.remote;
        if !allocation.is_permitted(now, peer.ip()) {
            self.statistics.blocked += 1;
            return;
        }
        let channel = allocation.channels.iter().find(|(_, (bound, until))| *bound == peer && now < *until);
        let (head, padding) = match channel {
            Some((number, _)) => {
                let length = u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes();
                let padding = Framing::of(client.protocol).padding(data.len());
                ([number.to_be_bytes(), length].concat(), padding)
            }
            None => {
                let id = u128::from(self.rng.next_u64()).into();
                let head = indication_head(TurnMethod::Data, id, peer, data.len()).unwrap_or_default();
                (head, data.len().next_multiple_of(4) - data.len())
            }
        };
        self.statistics.received += 1;
        let padding: &[u8] = &[0; 3][..padding];
        self.push(client, Some([&head, data, padding].concat()));
    }

    fn send_to_peer(&mut self, now: Timestamp, path: Path, peer: SocketAddr, data: &[u8]) -> bool {
        let allocation = self.allocations.get(&path).filter(|allocation| allocation.is_permitted(now, peer.ip()));
        let Some(relayed) = allocation.and_then(|allocation| allocation.relayed_for(peer.ip())) else {
            self.statistics.blocked += 1;
            return false;
        };
        self.push(Path::udp(relayed, peer), Some(data.to_vec()));
        true
    }

    fn allocation_attributes(&self, path: Path) -> Vec<ResponseAttribute> {
        let relayed = self.allocations.get(&path).map(|allocation| allocation.relayed.clone()).unwrap_or_default();
        let claimed = self.faults.claimed_relayed.map_or(relayed, |claimed| vec![claimed]);
        let addresses = claimed.into_iter();
        addresses
            .map(|address| ResponseAttribute::Address(attribute::XOR_RELAYED_ADDRESS, address))
            .chain([
                ResponseAttribute::Number(attribute::LIFETIME, self.lifetime()),
                ResponseAttribute::Address(attribute::XOR_MAPPED_ADDRESS, path.remote),
            ])
            .collect()
    }

    fn lifetime(&self) -> u32 {
        let seconds = self.config.lifetime.max(Duration::from_secs(1)).as_secs();
        self.faults.claimed_lifetime.unwrap_or(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// A port that is not in use, the next in turn: what an attacker could guess does not matter here.
    fn free_port(&mut self) -> Option<u16> {
        let ports = self.config.ports.clone();
        for _ in ports.clone() {
            let port = self.next_port;
            self.next_port = if port >= *ports.end() { *ports.start() } else { port + 1 };
            if !self.relayed_addresses().any(|relayed| relayed.port() == port) {
                return Some(port);
            }
        }
        None
    }
}
