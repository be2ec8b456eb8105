//! Nodes that use a relay without being peers: a TURN client, and somebody on the other side.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use driver_sim::{Node, NodeAction, StreamEvent, StreamRequest, StreamSecurity};
use proto_ice::turn::{FrameReader, TurnClient, TurnConfig, TurnCredentials, TurnEvent};
use proto_machine::{
    Machine, Path, Received, Seed, SocketEvent, SocketId, SocketRequest, Timestamp, Transmit, TransmitBuffer,
    TransportProtocol,
};

/// A TURN client at port 5000 of its host.
pub(crate) struct Client {
    pub(crate) turn: TurnClient,
    pub(crate) events: Vec<TurnEvent>,
    /// Who has sent it through the relay, and how many bytes.
    pub(crate) received: Vec<(SocketAddr, usize)>,
    /// How the stream to the server has ended.
    pub(crate) ended: Option<StreamEvent>,
    outbox: VecDeque<(SocketAddr, usize)>,
    first: Option<NodeAction<()>>,
    is_open: bool,
    reader: FrameReader,
}

impl Client {
    pub(crate) fn new(local: SocketAddr, server: SocketAddr, (user, password): (&str, &str)) -> Self {
        let bind = SocketRequest::BindUdp { socket: SocketId(0), local };
        Self::with(Path::udp(local, server), (user, password), NodeAction::Socket(bind))
    }

    /// A client over a byte stream.
    pub(crate) fn over_stream(path: Path, security: StreamSecurity, credentials: (&str, &str)) -> Self {
        Self::with(path, credentials, NodeAction::Stream(StreamRequest::Connect { path, security }))
    }

    fn with(path: Path, (user, password): (&str, &str), first: NodeAction<()>) -> Self {
        let config = TurnConfig::new(TurnCredentials::new(user, password));
        let seed = Seed::from_number(path.local.ip().to_string().len() as u64);
        Self {
            turn: TurnClient::new(path, config, &seed),
            events: Vec::new(),
            received: Vec::new(),
            ended: None,
            outbox: VecDeque::new(),
            first: Some(first),
            is_open: false,
            reader: FrameReader::default(),
        }
    }

    fn take(&mut self, now: Timestamp, message: &[u8]) {
        if let Some(data) = self.turn.handle_message(now, message) {
            self.received.push((data.peer, data.payload.len()));
        }
    }

    pub(crate) fn bind_channel(&mut self, now: Timestamp, peer: SocketAddr) {
        assert!(self.turn.bind_channel(now, peer));
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
        self.take(now, received.datagram);
    }

    fn handle_stream(&mut self, now: Timestamp, _: Path, event: StreamEvent) {
        match event {
            StreamEvent::Opened => self.is_open = true,
            StreamEvent::Received(bytes) => {
                self.reader.push(&bytes);
                while let Some(frame) = self.reader.next_frame().unwrap().map(<[u8]>::to_vec) {
                    self.take(now, &frame);
                }
            }
            StreamEvent::Closed | StreamEvent::Failed(_) => {
                self.is_open = false;
                self.ended = Some(event);
            }
        }
    }

    fn handle_socket_event(&mut self, _: Timestamp, event: SocketEvent) {
        self.is_open |= matches!(event, SocketEvent::Opened { .. });
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.turn.handle_timeout(now);
    }

    fn poll(&mut self, now: Timestamp, buffer: &mut TransmitBuffer) -> NodeAction<()> {
        if let Some(first) = self.first.take() {
            return first;
        }
        if !self.is_open {
            return NodeAction::Wait(None);
        }
        while let Some(event) = self.turn.poll_event() {
            self.events.push(event);
        }
        if let Some(transmit) = self.turn.poll_transmit(now, 1, buffer) {
            return sent(transmit, buffer);
        }
        if let Some((peer, length)) = self.outbox.pop_front() {
            let write =
                |buffer: &mut TransmitBuffer| buffer.push(&vec![7; length]).then(|| buffer.segments()).flatten();
            let transmit = self.turn.wrap(now, peer, buffer, write);
            return sent(transmit.expect("there is a permission, and room"), buffer);
        }
        NodeAction::Wait(self.turn.poll_timeout())
    }
}

fn sent(transmit: Transmit, buffer: &TransmitBuffer) -> NodeAction<()> {
    if transmit.path.protocol == TransportProtocol::Udp {
        return NodeAction::Transmit(transmit);
    }
    let bytes = buffer.datagrams().flatten().copied().collect();
    NodeAction::Stream(StreamRequest::Send { path: transmit.path, bytes })
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
