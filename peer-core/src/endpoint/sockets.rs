//! Sockets and look-ups of an endpoint: which are shared, and whose the others are.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use proto_machine::{LookupId, SocketError, SocketEvent, SocketId, SocketRequest};

use super::PeerId;

/// How peers come to their sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SocketPolicy {
    /// All peers share one UDP socket for each local address, on this port; 0 leaves the choice to the system. What a server wants: one port to open in the
    /// firewall, and as many peers as memory allows.
    Shared {
        /// The port, or 0.
        port: u16,
    },
    /// Every peer has sockets of its own, as in a browser.
    #[default]
    PerPeer,
}

/// Who receives what arrives at a local address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Owner {
    /// Routes decide.
    Shared,
    /// This peer alone.
    Peer(PeerId),
}

#[derive(Debug)]
enum Shared {
    Opening { waiting: Vec<(PeerId, SocketId)> },
    Open(SocketAddr),
}

/// A socket of one peer.
#[derive(Debug)]
struct Owned {
    peer: PeerId,
    /// The peer's own name for it.
    socket: SocketId,
    /// Once it is open.
    local: Option<SocketAddr>,
}

#[derive(Debug, Default)]
pub(super) struct Sockets {
    policy: SocketPolicy,
    /// By the address that was asked for.
    shared: BTreeMap<SocketAddr, (SocketId, Shared)>,
    /// By the endpoint's name.
    owned: BTreeMap<SocketId, Owned>,
    /// By the address that the socket has.
    owners: BTreeMap<SocketAddr, Owner>,
    lookups: BTreeMap<LookupId, (PeerId, LookupId)>,
    next_id: u64,
    requests: VecDeque<SocketRequest>,
    /// Answers to peers that need no driver.
    answers: VecDeque<(PeerId, SocketEvent)>,
}

impl Sockets {
    pub(super) fn new(policy: SocketPolicy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Takes in what a peer asks for.
    pub(super) fn handle_request(&mut self, peer: PeerId, request: SocketRequest) {
        match (request, self.policy) {
            (SocketRequest::BindUdp { socket, local }, SocketPolicy::PerPeer) => {
                let id = SocketId(self.draw_id());
                self.owned.insert(id, Owned { peer, socket, local: None });
                self.requests.push_back(SocketRequest::BindUdp { socket: id, local });
            }
            (SocketRequest::BindUdp { socket, local }, SocketPolicy::Shared { port }) => {
                self.share(peer, socket, SocketAddr::new(local.ip(), port));
            }
            (SocketRequest::Close { socket }, _) => self.close(peer, socket),
            (SocketRequest::Resolve { lookup, host }, _) => {
                let id = LookupId(self.draw_id());
                self.lookups.insert(id, (peer, lookup));
                self.requests.push_back(SocketRequest::Resolve { lookup: id, host });
            }
            // Requests that a later version of the vocabulary adds belong to the peer that made them; none exists yet.
            _ => {}
        }
    }

    fn share(&mut self, peer: PeerId, socket: SocketId, local: SocketAddr) {
        let next_id = SocketId(self.next_id);
        let (_, shared) = self.shared.entry(local).or_insert_with(|| {
            self.requests.push_back(SocketRequest::BindUdp { socket: next_id, local });
            (next_id, Shared::Opening { waiting: Vec::new() })
        });
        self.next_id += 1;
        match shared {
            Shared::Opening { waiting } => waiting.push((peer, socket)),
            Shared::Open(local) => self.answers.push_back((peer, SocketEvent::Opened { socket, local: *local })),
        }
    }

    /// Only a peer's own sockets close with it.
    fn close(&mut self, peer: PeerId, socket: SocketId) {
        let is_it = |owned: &Owned| owned.peer == peer && owned.socket == socket;
        let found = self.owned.iter().find(|(_, owned)| is_it(owned)).map(|(&id, _)| id);
        if let Some(id) = found {
            self.release(id);
        }
    }

    fn release(&mut self, id: SocketId) {
        if let Some(owned) = self.owned.remove(&id) {
            if let Some(local) = owned.local {
                self.owners.remove(&local);
            }
            self.requests.push_back(SocketRequest::Close { socket: id });
        }
    }

    /// Closes what a peer has left open.
    pub(super) fn remove(&mut self, peer: PeerId) {
        let left: Vec<SocketId> =
            self.owned.iter().filter(|(_, owned)| owned.peer == peer).map(|(&id, _)| id).collect();
        for id in left {
            self.release(id);
        }
        self.lookups.retain(|_, (owner, _)| *owner != peer);
        for (_, shared) in self.shared.values_mut() {
            if let Shared::Opening { waiting } = shared {
                waiting.retain(|(owner, _)| *owner != peer);
            }
        }
    }

    /// Takes in what the driver reports; the answers for peers come out of [`poll_answer`](Self::poll_answer).
    pub(super) fn handle_event(&mut self, event: SocketEvent) {
        match event {
            SocketEvent::Opened { socket, local } => self.opened(socket, local),
            SocketEvent::Failed { socket, error } => self.failed(socket, &error),
            SocketEvent::Resolved { lookup, result } => {
                if let Some((peer, lookup)) = self.lookups.remove(&lookup) {
                    self.answers.push_back((peer, SocketEvent::Resolved { lookup, result }));
                }
            }
            _ => {}
        }
    }

    fn opened(&mut self, id: SocketId, local: SocketAddr) {
        if let Some(owned) = self.owned.get_mut(&id) {
            owned.local = Some(local);
            self.owners.insert(local, Owner::Peer(owned.peer));
            self.answers.push_back((owned.peer, SocketEvent::Opened { socket: owned.socket, local }));
            return;
        }
        let Some((_, shared)) = self.shared.values_mut().find(|(shared, _)| *shared == id) else {
            // Its peer has gone in the meantime: it was asked to be closed before it was open.
            return;
        };
        self.owners.insert(local, Owner::Shared);
        if let Shared::Opening { waiting } = std::mem::replace(shared, Shared::Open(local)) {
            let answer = |(peer, socket)| (peer, SocketEvent::Opened { socket, local });
            self.answers.extend(waiting.into_iter().map(answer));
        }
    }

    fn failed(&mut self, id: SocketId, error: &SocketError) {
        let failed = |socket| SocketEvent::Failed { socket, error: error.clone() };
        if let Some(owned) = self.owned.remove(&id) {
            if let Some(local) = owned.local {
                self.owners.remove(&local);
            }
            self.answers.push_back((owned.peer, failed(owned.socket)));
            return;
        }
        let found = self.shared.iter().find(|(_, (shared, _))| *shared == id).map(|(&local, _)| local);
        // Forgotten, so that the next peer tries again.
        match found.and_then(|local| self.shared.remove(&local)) {
            Some((_, Shared::Opening { waiting })) => {
                self.answers.extend(waiting.into_iter().map(|(peer, socket)| (peer, failed(socket))));
            }
            Some((_, Shared::Open(local))) => {
                self.owners.remove(&local);
            }
            None => {}
        }
    }

    pub(super) fn owner(&self, local: &SocketAddr) -> Option<Owner> {
        self.owners.get(local).copied()
    }

    pub(super) fn poll_request(&mut self) -> Option<SocketRequest> {
        self.requests.pop_front()
    }

    pub(super) fn poll_answer(&mut self) -> Option<(PeerId, SocketEvent)> {
        self.answers.pop_front()
    }

    /// The addresses of the shared sockets that are open.
    pub(super) fn shared_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.shared.values().filter_map(|(_, shared)| match shared {
            Shared::Open(local) => Some(*local),
            Shared::Opening { .. } => None,
        })
    }

    fn draw_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }
}
