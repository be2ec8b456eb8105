//! Nodes that use a relay without being peers: a TURN client, and somebody on the other side.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use driver_sim::{Node, NodeAction};
use proto_ice::turn::{TurnClient, TurnConfig, TurnCredentials, TurnEvent};
use proto_machine::{
    Machine, Path, Received, Seed, SocketEvent, SocketId, SocketRequest, Timestamp, Transmit, TransmitBuffer,
};

/// A TURN client at port 5000 of its host.
pub(crate) struct Client {
    pub(crate) turn: TurnClient,
    pub(crate) events: Vec<TurnEvent>,
    /// Who has sent it through the relay, and how many bytes.
    pub(crate) received: Vec<(SocketAddr, usize)>,
    outbox: VecDeque<(SocketAddr, usize)>,
    bind: Option<SocketRequest>,
    is_open: bool,
}

impl Client {
    pub(crate) fn new(local: SocketAddr, server: SocketAddr, (user, password): (&str, &str)) -> Self {
        let config = TurnConfig::new(TurnCredentials::new(user, password));
        Self {
            turn: TurnClient::new(
                Path::udp(local, server),
                config,
                &Seed::from_number(local.ip().to_string().len() as u64),
            ),
            events: Vec::new(),
            received: Vec::new(),
            outbox: VecDeque::new(),
            bind: Some(SocketRequest::BindUdp { socket: SocketId(0), local }),
            is_open: false,
        }
    }

    pub(crate) fn send(&mut self, peer: SocketAddr, length: usize) {
        self.outbox.push_back((peer, length));
    }

    pub(crate) fn permit(&mut self, address: IpAddr) {
        self.turn.permit([address]);
    }

    pub(crate) fn relayed(&self) -> SocketAddr {
        self.turn.relayed_addresses()[0]
    }
}

impl Node<()> for Client {
    fn handle_start(&mut self, _: Timestamp) {}

    fn handle_packet(&mut self, now: Timestamp, received: Received<'_>) {
        if let Some(data) = self.turn.handle_message(now, received.datagram) {
            self.received.push((data.peer, data.payload.len()));
        }
    }

    fn handle_socket_event(&mut self, _: Timestamp, event: SocketEvent) {
        self.is_open |= matches!(event, SocketEvent::Opened { .. });
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.turn.handle_timeout(now);
    }

    fn poll(&mut self, now: Timestamp, buffer: &mut TransmitBuffer) -> NodeAction<()> {
        if let Some(request) = self.bind.take() {
            return NodeAction::Socket(request);
        }
        if !self.is_open {
            return NodeAction::Wait(None);
        }
        while let Some(event) = self.turn.poll_event() {
            self.events.push(event);
        }
        if let Some(transmit) = self.turn.poll_transmit(now, 1, buffer) {
            return NodeAction::Transmit(transmit);
        }
        if let Some((peer, length)) = self.outbox.pop_front() {
            let write =
                |buffer: &mut TransmitBuffer| buffer.push(&vec![7; length]).then(|| buffer.segments()).flatten();
            let transmit = self.turn.wrap(now, peer, buffer, write);
            return NodeAction::Transmit(transmit.expect("there is a permission, and room"));
        }
        NodeAction::Wait(self.turn.poll_timeout())
    }
}

/// Somebody without a relay, with sockets at ports 6000 and 6001.
pub(crate) struct Stranger {
    requests: Vec<SocketRequest>,
    outbox: VecDeque<(Path, usize)>,
    /// By whom it was sent, to which socket, and how many bytes.
    pub(crate) received: Vec<(Path, usize)>,
}

impl Stranger {
    pub(crate) fn new(address: IpAddr) -> Self {
        let bind = |number: u16| {
            let local = SocketAddr::new(address, 6_000 + number);
            SocketRequest::BindUdp { socket: SocketId(number.into()), local }
        };
        Self { requests: [0, 1].map(bind).to_vec(), outbox: VecDeque::new(), received: Vec::new() }
    }

    pub(crate) fn send(&mut self, local: SocketAddr, remote: SocketAddr, length: usize) {
        self.outbox.push_back((Path::udp(local, remote), length));
    }
}

impl Node<()> for Stranger {
    fn handle_start(&mut self, _: Timestamp) {}

    fn handle_packet(&mut self, _: Timestamp, received: Received<'_>) {
        self.received.push((received.path, received.datagram.len()));
    }

    fn handle_timeout(&mut self, _: Timestamp) {}

    fn poll(&mut self, _: Timestamp, buffer: &mut TransmitBuffer) -> NodeAction<()> {
        if let Some(request) = self.requests.pop() {
            return NodeAction::Socket(request);
        }
        match self.outbox.pop_front() {
            Some((path, length)) => {
                assert!(buffer.push(&vec![9; length]), "it fits");
                NodeAction::Transmit(Transmit { path, segments: buffer.segments().unwrap() })
            }
            None => NodeAction::Wait(None),
        }
    }
}
