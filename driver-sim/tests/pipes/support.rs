//! A node that talks over byte streams.

use std::collections::VecDeque;

use driver_sim::{Handle, Node, NodeAction, Places, StreamEvent, StreamRequest, Topology, World};
use proto_machine::{Path, Received, Seed, Timestamp, TransmitBuffer, TransportProtocol};

/// Does what it is told, and notes what happens.
#[derive(Default)]
pub(crate) struct Talker {
    requests: VecDeque<StreamRequest>,
    /// What has happened, but for bytes.
    pub(crate) events: Vec<(Timestamp, Path, StreamEvent)>,
    pub(crate) received: Vec<u8>,
    pub(crate) last_received_at: Option<Timestamp>,
}

impl Talker {
    pub(crate) fn request(&mut self, request: StreamRequest) {
        self.requests.push_back(request);
    }

    /// When something happened first.
    pub(crate) fn when(&self, wanted: &StreamEvent) -> Option<Timestamp> {
        self.events.iter().find(|(_, _, event)| event == wanted).map(|(at, _, _)| *at)
    }
}

impl Node<()> for Talker {
    fn handle_start(&mut self, _: Timestamp) {}

    fn handle_packet(&mut self, _: Timestamp, _: Received<'_>) {}

    fn handle_stream(&mut self, now: Timestamp, path: Path, event: StreamEvent) {
        match event {
            StreamEvent::Received(bytes) => {
                self.received.extend(bytes);
                self.last_received_at = Some(now);
            }
            event => self.events.push((now, path, event)),
        }
    }

    fn handle_timeout(&mut self, _: Timestamp) {}

    fn poll(&mut self, _: Timestamp, _: &mut TransmitBuffer) -> NodeAction<()> {
        self.requests.pop_front().map_or(NodeAction::Wait(None), NodeAction::Stream)
    }
}

/// A world of this text, with talkers on the hosts `client` and `server`.
pub(crate) fn world(text: &str) -> (World<()>, Places, [Handle<Talker>; 2]) {
    let topology: Topology = text.parse().unwrap_or_else(|error| panic!("{error}"));
    let mut world = World::new(Seed::from_number(1));
    let places = topology.build(&mut world).unwrap();
    let talkers = ["client", "server"].map(|name| places.add_host(&mut world, name, Talker::default()).unwrap());
    (world, places, talkers)
}

pub(crate) fn path(local: &str, remote: &str) -> Path {
    Path { protocol: TransportProtocol::Tcp, local: local.parse().unwrap(), remote: remote.parse().unwrap() }
}
