//! A game server and a player, each stepped once a frame: no threads, no waiting, no driver.
//!
//! The server keeps all its players in one `Endpoint` behind one socket. Inputs and states go over an unordered channel without retransmissions: what is late is worthless.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use peer_core::{
    Certificate, Channel, ChannelKey, Configuration, DataChannelOptions, Endpoint, EndpointConfig, EndpointEvent,
    Entropy, InterfaceAddress, Message, Peer, PeerEvent, PeerId, Reliability, SendError, SocketPolicy,
};
use proto_machine::{
    Action, Machine, Path, Received, Seed, SocketEvent, SocketRequest, Timestamp, Transmit, TransmitBuffer,
};

const FRAME: Duration = Duration::from_millis(16);
/// The game is over when the player has seen so many states.
const STATES: u32 = 30;

fn main() -> Result<(), Box<dyn Error>> {
    play(std::thread::sleep)
}

/// Plays until the player has seen enough. `rest` fills up what is left of a frame.
fn play(rest: impl Fn(Duration)) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let wall_time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let mut configuration = Configuration::new(Arc::new(Certificate::generate(seed()?, wall_time, Entropy::System)?));
    configuration.gather_loopback = true;
    let (server_socket, player_socket) = (Socket::bind()?, Socket::bind()?);

    // The server's peer answers the player's offer. Both are in one program here, so signalling is a function call.
    let now = Timestamp::ZERO;
    let sockets = SocketPolicy::Shared { port: server_socket.local.port() };
    let mut server = Endpoint::new(EndpointConfig { sockets, ..EndpointConfig::default() }, seed()?);
    server.set_interfaces(&[InterfaceAddress::new(server_socket.local.ip())]);
    let mut player = Peer::new(configuration.clone(), seed()?)?;
    player.set_interfaces(now, &[InterfaceAddress::new(player_socket.local.ip())]);
    let unreliable = DataChannelOptions {
        ordered: false,
        reliability: Reliability::MaxRetransmits(0),
        ..DataChannelOptions::new("game")
    };
    let input = player.create_data_channel(now, unreliable)?;
    player.set_local_description(now, None)?;
    let id = server.add_peer(now, configuration)?;
    let peer = server.peer_mut(id).ok_or("the peer was just added")?;
    peer.set_remote_description(now, player.local_description().ok_or("no offer")?)?;
    peer.set_local_description(now, None)?;
    player.set_remote_description(now, peer.local_description().ok_or("no answer")?)?;

    let mut players: Vec<(PeerId, ChannelKey)> = Vec::new();
    let (mut tick, mut inputs, mut states) = (0_u32, 0_u32, 0_u32);
    while states < STATES {
        let now = Timestamp::ZERO + start.elapsed();
        // The game moves on: the player presses a key, the server tells everybody the state.
        tick += 1;
        if let Some(channel) = player.channel(input) {
            send(channel, now, "jump")?;
        }
        for (id, channel) in &players {
            if let Some(channel) = server.peer_mut(*id).and_then(|peer| peer.channel(*channel)) {
                send(channel, now, &format!("tick {tick}"))?;
            }
        }
        // What has arrived since the last frame, what is due, and what follows.
        let mut candidates = Vec::new();
        server_socket.step(&mut server, now, |_, event| match event {
            EndpointEvent::Peer { peer, event: PeerEvent::DataChannel { channel } } => players.push((peer, channel)),
            EndpointEvent::Peer { event: PeerEvent::Message { .. }, .. } => inputs += 1,
            EndpointEvent::Peer { event: PeerEvent::IceCandidate(Some(candidate)), .. } => candidates.push(candidate),
            _ => {}
        })?;
        for candidate in candidates {
            player.add_ice_candidate(now, candidate.to_init())?;
        }
        player_socket.step(&mut player, now, |_, event| {
            states += u32::from(matches!(event, PeerEvent::Message { .. }));
        })?;
        rest(FRAME.saturating_sub(start.elapsed() - now.since_epoch()));
    }
    println!("{tick} frames: the server saw {inputs} inputs, the player {states} states");
    Ok(())
}

/// A channel that is not open yet, or has no room, does without this one.
fn send(mut channel: Channel<'_>, now: Timestamp, text: &str) -> Result<(), SendError> {
    match channel.send(now, Message::text(text)) {
        Err(SendError::NotOpen | SendError::BufferFull) => Ok(()),
        result => result,
    }
}

struct Socket {
    socket: UdpSocket,
    local: SocketAddr,
}

impl Socket {
    fn bind() -> Result<Self, std::io::Error> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        Ok(Self { local: socket.local_addr()?, socket })
    }

    /// One frame of a machine: input, time, output. Never waits.
    fn step<M>(
        &self,
        machine: &mut M,
        now: Timestamp,
        mut on_event: impl FnMut(&mut M, M::Event),
    ) -> std::io::Result<()>
    where
        M: for<'a> Machine<Input<'a> = Received<'a>, Transmit = Transmit>,
    {
        let mut datagram = [0; 2_048];
        loop {
            match self.socket.recv_from(&mut datagram) {
                Ok((length, remote)) => {
                    let path = Path::udp(self.local, remote);
                    machine.handle_input(now, Received { path, datagram: &mut datagram[..length] });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        machine.handle_timeout(now);
        let mut buffer = TransmitBuffer::new(1_200);
        loop {
            match machine.poll_action(now, 1, &mut buffer) {
                // A datagram that the system does not take is one that the network lost.
                Action::Transmit(transmit) => drop(self.socket.send_to(buffer.bytes(), transmit.path.remote)),
                Action::Socket(SocketRequest::BindUdp { socket, .. }) => {
                    machine.handle_socket_event(now, SocketEvent::Opened { socket, local: self.local });
                }
                Action::Socket(_) => {}
                Action::Event(event) => on_event(machine, event),
                Action::Wait(_) => return Ok(()),
            }
        }
    }
}

/// 32 bytes of the operating system.
fn seed() -> Result<Seed, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(Seed::from_bytes(bytes))
}

#[test]
fn the_player_sees_the_game() -> Result<(), Box<dyn Error>> {
    play(|_| std::thread::yield_now())
}
