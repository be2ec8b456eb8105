//! Sockets and look-ups of an endpoint: which are shared, and whose the others are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use proto_machine::{LookupId, SocketError, SocketEvent, SocketId, SocketRequest};

use super::PeerId;

/// How peers come to their sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SocketPolicy {
    /// All peers share one UDP socket for each local address, on this port; 0 leaves the choice to the system. What a server wants: one port to open in the
    /// firewall, and as many peers as memory allows. Sockets that lead to TURN servers are not shared.
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

/// A socket as the driver knows it.
#[derive(Debug)]
struct Socket {
    usage: Usage,
    /// Once it is open.
    local: Option<SocketAddr>,
}

#[derive(Debug)]
enum Usage {
    Own {
        peer: PeerId,
        /// The peer's own name for it.
        name: SocketId,
    },
    Shared {
        /// The address that was asked for.
        asked: SocketAddr,
        /// The peers that have been told of it, or wait to be, by their own names for it.
        users: BTreeSet<(PeerId, SocketId)>,
    },
}

#[derive(Debug, Default)]
pub(super) struct Sockets {
    policy: SocketPolicy,
    /// By the endpoint's name.
    sockets: BTreeMap<SocketId, Socket>,
    /// The endpoint's name for what a peer calls by its own.
    names: BTreeMap<(PeerId, SocketId), SocketId>,
    /// The shared sockets, by the address that was asked for.
    shared: BTreeMap<SocketAddr, SocketId>,
    /// By the address that the socket has.
    owners: BTreeMap<SocketAddr, Owner>,
    lookups: BTreeMap<LookupId, (PeerId, LookupId)>,
    next_id: u64,
    requests: VecDeque<SocketRequest>,
    /// Answers to peers.
    answers: VecDeque<(PeerId, SocketEvent)>,
}

impl Sockets {
    pub(super) fn new(policy: SocketPolicy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Takes in what a peer asks for. A socket for a relay is not shared: the server would take all peers for one.
    pub(super) fn handle_request(
        &mut self,
        peer: PeerId,
        request: SocketRequest,
        is_for_relay: impl Fn(SocketId) -> bool,
    ) {
        match request {
            SocketRequest::BindUdp { socket: name, mut local } => match self.policy {
                SocketPolicy::Shared { port } if !is_for_relay(name) => {
                    local.set_port(port);
                    self.share(peer, name, local);
                }
                SocketPolicy::Shared { .. } | SocketPolicy::PerPeer => {
                    let id = self.bind(local, Usage::Own { peer, name });
                    self.names.insert((peer, name), id);
                }
            },
            SocketRequest::Close { socket } => self.close(peer, socket),
            SocketRequest::Resolve { lookup, host } => {
                let id = LookupId(self.draw_id());
                self.lookups.insert(id, (peer, lookup));
                self.requests.push_back(SocketRequest::Resolve { lookup: id, host });
            }
            // Requests that a later version of the vocabulary adds belong to the peer that made them; none exists yet.
            _ => {}
        }
    }

    fn bind(&mut self, local: SocketAddr, usage: Usage) -> SocketId {
        let id = SocketId(self.draw_id());
        self.sockets.insert(id, Socket { usage, local: None });
        self.requests.push_back(SocketRequest::BindUdp { socket: id, local });
        id
    }

    fn share(&mut self, peer: PeerId, name: SocketId, asked: SocketAddr) {
        let id = match self.shared.get(&asked) {
            Some(&id) => id,
            None => {
                let id = self.bind(asked, Usage::Shared { asked, users: BTreeSet::new() });
                self.shared.insert(asked, id);
                id
            }
        };
        self.names.insert((peer, name), id);
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if let Usage::Shared { users, .. } = &mut socket.usage {
            users.insert((peer, name));
        }
        if let Some(local) = socket.local {
            self.answers.push_back((peer, SocketEvent::Opened { socket: name, local }));
        }
    }

    /// A peer's own socket closes with it; a shared one stays for the others and those to come.
    fn close(&mut self, peer: PeerId, name: SocketId) {
        let Some(id) = self.names.remove(&(peer, name)) else { return };
        match self.sockets.get_mut(&id).map(|socket| &mut socket.usage) {
            Some(Usage::Shared { users, .. }) => {
                users.remove(&(peer, name));
            }
            Some(Usage::Own { .. }) => {
                self.forget(id);
                self.requests.push_back(SocketRequest::Close { socket: id });
            }
            None => {}
        }
    }

    /// Closes what a peer has left open.
    pub(super) fn remove(&mut self, peer: PeerId) {
        let all = (peer, SocketId(0))..=(peer, SocketId(u64::MAX));
        let left: Vec<SocketId> = self.names.range(all).map(|(&(_, name), _)| name).collect();
        for name in left {
            self.close(peer, name);
        }
        self.lookups.retain(|_, (owner, _)| *owner != peer);
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
        // One that is unknown was asked to be closed before it was open.
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.local = Some(local);
        match &socket.usage {
            Usage::Own { peer, name } => {
                self.owners.insert(local, Owner::Peer(*peer));
                self.answers.push_back((*peer, SocketEvent::Opened { socket: *name, local }));
            }
            Usage::Shared { users, .. } => {
                self.owners.insert(local, Owner::Shared);
                let answer = |&(peer, socket)| (peer, SocketEvent::Opened { socket, local });
                self.answers.extend(users.iter().map(answer));
            }
        }
    }

    /// Every peer that uses the socket is told; a shared one is opened anew for the next.
    fn failed(&mut self, id: SocketId, error: &SocketError) {
        let Some(socket) = self.forget(id) else { return };
        let failed = |socket| SocketEvent::Failed { socket, error: error.clone() };
        let users = match socket.usage {
            Usage::Own { peer, name } => BTreeSet::from([(peer, name)]),
            Usage::Shared { users, .. } => users,
        };
        for (peer, name) in users {
            self.names.remove(&(peer, name));
            self.answers.push_back((peer, failed(name)));
        }
    }

    fn forget(&mut self, id: SocketId) -> Option<Socket> {
        let socket = self.sockets.remove(&id)?;
        if let Some(local) = socket.local {
            self.owners.remove(&local);
        }
        if let Usage::Shared { asked, .. } = &socket.usage {
            self.shared.remove(asked);
        }
        Some(socket)
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
        self.shared.values().filter_map(|id| self.sockets.get(id)?.local)
    }

    fn draw_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }
}
