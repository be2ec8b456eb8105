//! Peers to be fuzzed.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use peer_core::{
    Certificate, ChannelKey, Configuration, DataChannelOptions, DataChannelState, Entropy, IceConnectionState,
    IceGatheringState, InterfaceAddress, Peer, PeerConnectionState, PeerStatistics, SessionDescriptionInit,
    SignalingState,
};
use proto_machine::{Machine, Path, Seed, SocketEvent, SocketRequest, Timestamp, TransmitBuffer};

use crate::bounded::{Wish, drain};

/// The label of the channel that [`offering_peer`] creates.
pub(crate) const MAIN_LABEL: &str = "fuzz";

/// The address of the socket of a peer: 192.0.2.number.
pub(crate) fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number], 5_000))
}

/// One of two certificates, made once a process: always the same.
pub(crate) fn certificate(number: u8) -> Arc<Certificate> {
    static CERTIFICATES: OnceLock<[Arc<Certificate>; 2]> = OnceLock::new();
    let generate = |number| {
        let wall_time = Duration::from_secs(1_800_000_000);
        let seed = Seed::from_number(number).child("certificate");
        Arc::new(Certificate::generate(seed, wall_time, Entropy::Simulated).unwrap())
    };
    let certificates = CERTIFICATES.get_or_init(|| [generate(0), generate(1)]);
    certificates[usize::from(number % 2)].clone()
}

/// A peer that has done nothing yet. The same number gives the same peer.
pub(crate) fn new_peer(number: u8) -> Peer {
    let mut configuration = Configuration::new(certificate(number));
    configuration.secure_transport.entropy = Entropy::Simulated;
    let mut peer = Peer::new(configuration, Seed::from_number(number.into())).unwrap();
    peer.set_interfaces(Timestamp::ZERO, &[InterfaceAddress::new(address(number).ip())]);
    peer
}

/// A peer with a channel, whose offer waits for an answer.
pub(crate) fn offering_peer(number: u8) -> Peer {
    let mut peer = new_peer(number);
    peer.create_data_channel(Timestamp::ZERO, DataChannelOptions::new(MAIN_LABEL)).unwrap();
    peer.set_local_description(Timestamp::ZERO, None).unwrap();
    peer
}

/// Two peers that have exchanged offer and answer, and their candidates if the sockets are to be open.
pub(crate) fn negotiated_peers() -> [Peer; 2] {
    let now = Timestamp::ZERO;
    let (mut left, mut right) = (offering_peer(1), new_peer(2));
    right.set_remote_description(now, left.local_description().unwrap()).unwrap();
    right.set_local_description(now, None).unwrap();
    left.set_remote_description(now, right.local_description().unwrap()).unwrap();
    [left, right]
}

/// Opens the sockets that a peer asks for, and returns what else it wants.
pub(crate) fn open_sockets(
    peer: &mut Peer,
    number: u8,
    buffer: &mut TransmitBuffer,
) -> Vec<Wish<proto_machine::Transmit, peer_core::PeerEvent>> {
    let now = Timestamp::ZERO;
    let mut others = Vec::new();
    let mut wishes = drain(peer, now, buffer);
    while !wishes.is_empty() {
        for wish in wishes {
            match wish {
                Wish::Socket(request) => answer_socket_request(peer, now, number, &request),
                other => others.push(other),
            }
        }
        wishes = drain(peer, now, buffer);
    }
    others
}

/// Opens a socket at the one address that the peer has.
pub(crate) fn answer_socket_request(peer: &mut Peer, now: Timestamp, number: u8, request: &SocketRequest) {
    if let SocketRequest::BindUdp { socket, .. } = request {
        peer.handle_socket_event(now, SocketEvent::Opened { socket: *socket, local: address(number) });
    }
}

/// Everything of a peer that its application can see.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Standing {
    signaling: SignalingState,
    gathering: IceGatheringState,
    ice_connection: IceConnectionState,
    connection: PeerConnectionState,
    descriptions: [Option<SessionDescriptionInit>; 4],
    can_trickle: Option<bool>,
    channels: Vec<(ChannelKey, DataChannelState, usize)>,
    max_message_size: Option<usize>,
    statistics: Option<PeerStatistics>,
    selected: Option<Path>,
    deadline: Option<Timestamp>,
}

impl Standing {
    pub(crate) fn of(peer: &Peer) -> Self {
        let mut statistics = peer.statistics();
        // What is refused as stale is counted.
        statistics.ice.stale_signalling = 0;
        Self {
            signaling: peer.signaling_state(),
            gathering: peer.ice_gathering_state(),
            ice_connection: peer.ice_connection_state(),
            connection: peer.connection_state(),
            descriptions: [
                peer.current_local_description(),
                peer.pending_local_description(),
                peer.current_remote_description(),
                peer.pending_remote_description(),
            ],
            can_trickle: peer.can_trickle_ice_candidates(),
            channels: peer.channels().map(|(key, view)| (key, view.ready_state, view.buffered_amount)).collect(),
            max_message_size: peer.max_message_size(),
            statistics: Some(statistics),
            selected: peer.selected_candidate_pair().map(|pair| pair.path),
            deadline: peer.poll_timeout().map(|deadline| deadline.at),
        }
    }

    /// What is left is not for anybody without keys to change.
    pub(crate) fn without_counters(self) -> Self {
        Self { statistics: None, ..self }
    }
}
