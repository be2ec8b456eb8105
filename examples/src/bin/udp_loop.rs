//! Two peers, each in a loop of its own around a plain `std::net::UdpSocket`: what it takes to embed one without a driver.
//!
//! Signalling is a channel between two threads here; in a real program it is whatever carries a few strings to the other side.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use peer_core::{
    Certificate, Configuration, DataChannelOptions, Entropy, IceCandidateInit, InterfaceAddress, Message, Peer,
    PeerEvent, SdpType, SessionDescriptionInit,
};
use proto_machine::{Action, Machine, Path, Received, Seed, SocketEvent, SocketRequest, Timestamp, TransmitBuffer};

enum Signal {
    Description(SessionDescriptionInit),
    Candidate(IceCandidateInit),
}

fn main() {
    let (to_left, from_right) = channel();
    let (to_right, from_left) = channel();
    let left = std::thread::spawn(move || run(true, &to_right, &from_right).map_err(|error| error.to_string()));
    let right = run(false, &to_left, &from_left).map_err(|error| error.to_string());
    let left = left.join().unwrap_or_else(|_| Err("the other peer panicked".to_owned()));
    println!("left heard {left:?}, right heard {right:?}");
    assert_eq!((left, right), (Ok("hello".to_owned()), Ok("hello".to_owned())));
}

/// Runs a peer until it has heard something, and returns that.
fn run(offers: bool, outbox: &Sender<Signal>, inbox: &Receiver<Signal>) -> Result<String, Box<dyn Error>> {
    let start = Instant::now();
    let now = || Timestamp::ZERO + start.elapsed();
    let wall_time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let certificate = Certificate::generate(seed()?, wall_time, Entropy::System)?;
    let mut configuration = Configuration::new(Arc::new(certificate));
    configuration.gather_loopback = true;
    let mut peer = Peer::new(configuration, seed()?)?;

    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let local = socket.local_addr()?;
    peer.set_interfaces(now(), &[InterfaceAddress::new(local.ip())]);
    if offers {
        peer.create_data_channel(now(), DataChannelOptions::new("greetings"))?;
        peer.set_local_description(now(), None)?;
        outbox.send(Signal::Description(peer.local_description().ok_or("no offer")?))?;
    }

    let mut buffer = TransmitBuffer::new(1_200);
    let mut datagram = [0; 2_048];
    let mut heard = None;
    loop {
        // What the peer wants, until it only wants to wait.
        let deadline = loop {
            match peer.poll_action(now(), 1, &mut buffer) {
                Action::Transmit(transmit) => drop(socket.send_to(buffer.bytes(), transmit.path.remote)?),
                Action::Socket(SocketRequest::BindUdp { socket, .. }) => {
                    peer.handle_socket_event(now(), SocketEvent::Opened { socket, local });
                }
                Action::Socket(_) => {}
                Action::Event(PeerEvent::IceCandidate(Some(candidate))) => {
                    outbox.send(Signal::Candidate(candidate.to_init()))?;
                }
                Action::Event(PeerEvent::ChannelOpen { channel } | PeerEvent::DataChannel { channel }) => {
                    peer.channel(channel).ok_or("closed")?.send(now(), Message::text("hello"))?;
                }
                Action::Event(PeerEvent::Message { message, .. }) => heard = message.as_text().map(Into::into),
                Action::Event(_) => {}
                Action::Wait(deadline) => break deadline,
            }
        };
        if let Some(heard) = heard {
            return Ok(heard);
        }
        // What the other side has signalled.
        for signal in inbox.try_iter() {
            match signal {
                Signal::Candidate(candidate) => peer.add_ice_candidate(now(), candidate)?,
                Signal::Description(description) => {
                    let is_offer = description.sdp_type == SdpType::Offer;
                    peer.set_remote_description(now(), description)?;
                    if is_offer {
                        peer.set_local_description(now(), None)?;
                        outbox.send(Signal::Description(peer.local_description().ok_or("no answer")?))?;
                    }
                }
            }
        }
        // A datagram, or the time to act; signals are looked for every 10 ms.
        let wait = deadline.map_or(Duration::MAX, |deadline| deadline.at - now());
        socket.set_read_timeout(Some(wait.clamp(Duration::from_millis(1), Duration::from_millis(10))))?;
        if let Ok((length, remote)) = socket.recv_from(&mut datagram) {
            let path = Path::udp(local, remote);
            peer.handle_input(now(), Received { path, datagram: &mut datagram[..length] });
        }
        peer.handle_timeout(now());
    }
}

/// 32 bytes of the operating system.
fn seed() -> Result<Seed, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(Seed::from_bytes(bytes))
}

#[test]
fn both_sides_hear_a_greeting() {
    main();
}
