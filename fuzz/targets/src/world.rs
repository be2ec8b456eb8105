//! Two peers, their applications, and a network that does what it is told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use peer_core::{ChannelKey, Message, Peer, PeerConnectionState, PeerEvent};
use proto_machine::{Machine, Path, Received, Timestamp, Transmit, TransmitBuffer};

use crate::bounded::{Wish, drain, expire};
use crate::peers::{MAIN_LABEL, answer_socket_request, negotiated_peers};

/// The one-way delay.
const DELAY: Duration = Duration::from_millis(10);
/// The most moments at which something happens.
const MAX_MOMENTS: usize = 50_000;
/// How many of the latest datagrams are remembered, to be sent again or damaged.
const REMEMBERED: usize = 64;
/// Datagrams under way beyond this number are lost, as on any network.
const MAX_FLIGHTS: usize = 2_000;

/// What becomes of a datagram.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    Deliver,
    Lose,
    Duplicate,
    Delay(Duration),
    /// The bits of `mask` in the byte at `position`, as far as there is one, are turned over.
    Flip {
        position: u16,
        mask: u8,
    },
    Cut {
        length: u16,
    },
    Extend {
        bytes: Vec<u8>,
    },
}

/// A datagram as its receiver sees it.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) to: usize,
    pub(crate) path: Path,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) peers: [Peer; 2],
    pub(crate) applications: [Application; 2],
    /// What becomes of the next datagrams; those after them are delivered.
    pub(crate) fates: VecDeque<Fate>,
    /// The latest datagrams, oldest first.
    pub(crate) captured: VecDeque<Flight>,
    flights: BTreeMap<(Timestamp, u64), Flight>,
    /// Everything that was delivered, for seeds; `None` if nobody wants it.
    record: Option<Vec<(Timestamp, Flight)>>,
    sent: u64,
    moments: usize,
    buffer: TransmitBuffer,
}

/// What the application of a peer has seen.
#[derive(Debug, Default)]
pub(crate) struct Application {
    /// The channel that is ordered and reliable, created before the offer, once it is known.
    pub(crate) main: Option<ChannelKey>,
    /// All channels in order of their appearance.
    pub(crate) channels: Vec<ChannelKey>,
    pub(crate) open: BTreeSet<ChannelKey>,
    closed: BTreeSet<ChannelKey>,
    /// Messages sent and received on the main channel.
    pub(crate) sent: u32,
    pub(crate) received: u32,
}

impl World {
    /// Two peers that have exchanged offer and answer, of which the first has created a channel.
    pub(crate) fn new() -> Self {
        let peers = negotiated_peers();
        let mut applications = [Application::default(), Application::default()];
        applications[0].channels.extend(peers[0].channels().map(|(key, _)| key));
        applications[0].main = applications[0].channels.first().copied();
        let mut world = Self {
            now: Timestamp::ZERO,
            peers,
            applications,
            fates: VecDeque::new(),
            captured: VecDeque::new(),
            flights: BTreeMap::new(),
            record: None,
            sent: 0,
            moments: 0,
            buffer: TransmitBuffer::new(1_200),
        };
        world.settle();
        world
    }

    /// Keeps what is delivered from now on.
    pub(crate) fn record(&mut self) {
        self.record.get_or_insert_default();
    }

    /// What was delivered to a peer since [`record`](Self::record), in order.
    pub(crate) fn recorded(&self, index: usize) -> impl Iterator<Item = (Timestamp, Flight)> {
        self.record.iter().flatten().filter(move |(_, flight)| flight.to == index).cloned()
    }

    /// Whether both peers are connected and both know the main channel as open.
    pub(crate) fn is_connected(&self) -> bool {
        let state = |peer: &Peer| peer.connection_state() == PeerConnectionState::Connected;
        let open = |application: &Application| application.main.is_some_and(|main| application.open.contains(&main));
        self.peers.iter().all(state) && self.applications.iter().all(open)
    }

    /// Runs until the condition is true or the time is up, and says which.
    pub(crate) fn run(&mut self, duration: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + duration;
        while !condition(self) {
            let arrival = self.flights.keys().next().map(|&(at, _)| at);
            let deadlines = self.peers.iter().filter_map(|peer| peer.poll_timeout().map(|deadline| deadline.at));
            let Some(next) = arrival.into_iter().chain(deadlines).min().filter(|&next| next <= end) else {
                self.now = end;
                return condition(self);
            };
            self.moments += 1;
            assert!(self.moments < MAX_MOMENTS, "the world does not come to rest");
            self.now = self.now.max(next);
            self.step();
        }
        true
    }

    /// Delivers what has arrived, then lets due timers fire.
    fn step(&mut self) {
        let later = self.flights.split_off(&(self.now, u64::MAX));
        for (_, flight) in std::mem::replace(&mut self.flights, later) {
            self.deliver(flight);
        }
        for index in 0..2 {
            if self.peers[index].poll_timeout().is_some_and(|deadline| deadline.at <= self.now) {
                let wishes = expire(&mut self.peers[index], self.now, &mut self.buffer);
                self.carry_out(index, wishes);
                self.settle();
            }
        }
    }

    /// Hands a datagram to its receiver at once.
    pub(crate) fn deliver(&mut self, mut flight: Flight) {
        if let Some(record) = &mut self.record {
            record.push((self.now, flight.clone()));
        }
        let received = Received { path: flight.path, datagram: &mut flight.bytes };
        self.peers[flight.to].handle_input(self.now, received);
        self.settle();
    }

    /// Carries out what both peers want, until neither wants anything.
    pub(crate) fn settle(&mut self) {
        for _ in 0..1_000 {
            let mut is_quiet = true;
            for index in 0..2 {
                let wishes = drain(&mut self.peers[index], self.now, &mut self.buffer);
                is_quiet &= wishes.is_empty();
                self.carry_out(index, wishes);
            }
            if is_quiet {
                return;
            }
        }
        panic!("the peers do not come to rest at {:?}", self.now);
    }

    fn carry_out(&mut self, index: usize, wishes: Vec<Wish<Transmit, PeerEvent>>) {
        for wish in wishes {
            match wish {
                Wish::Send(transmit, bytes) => {
                    assert!(!bytes.is_empty() && bytes.len() <= 1_200, "a datagram of {} bytes", bytes.len());
                    self.send(Flight { to: 1 - index, path: transmit.path.reversed(), bytes });
                }
                Wish::Socket(request) => {
                    let number = u8::try_from(index).unwrap() + 1;
                    answer_socket_request(&mut self.peers[index], self.now, number, &request);
                }
                Wish::Event(PeerEvent::IceCandidate(Some(candidate))) => {
                    // A peer that is closed takes no more candidates.
                    let _closed = self.peers[1 - index].add_ice_candidate(self.now, candidate.to_init());
                }
                Wish::Event(event) => {
                    self.recognize_main(index, &event);
                    self.applications[index].observe(&event);
                }
            }
        }
    }

    fn recognize_main(&mut self, index: usize, event: &PeerEvent) {
        let PeerEvent::DataChannel { channel: key } = *event else { return };
        let channel = self.peers[index].channel(key);
        if channel.is_some_and(|channel| channel.view().is_some_and(|view| view.label == MAIN_LABEL)) {
            self.applications[index].main = Some(key);
        }
    }

    fn send(&mut self, flight: Flight) {
        if self.captured.len() == REMEMBERED {
            self.captured.pop_front();
        }
        self.captured.push_back(flight.clone());
        let mut delay = DELAY;
        let mut flight = flight;
        match self.fates.pop_front().unwrap_or(Fate::Deliver) {
            Fate::Deliver => {}
            Fate::Lose => return,
            Fate::Duplicate => self.launch(DELAY * 2, flight.clone()),
            Fate::Delay(more) => delay += more,
            Fate::Flip { position, mask } => {
                let length = flight.bytes.len();
                flight.bytes[usize::from(position) % length] ^= mask;
            }
            Fate::Cut { length } => flight.bytes.truncate(length.into()),
            Fate::Extend { bytes } => flight.bytes.extend(bytes),
        }
        self.launch(delay, flight);
    }

    fn launch(&mut self, delay: Duration, flight: Flight) {
        if self.flights.len() < MAX_FLIGHTS {
            self.sent += 1;
            self.flights.insert((self.now + delay, self.sent), flight);
        }
    }

    /// Sends the next message of so many bytes, if the channel takes it.
    pub(crate) fn send_message(&mut self, index: usize, key: ChannelKey, length: u16) {
        let application = &mut self.applications[index];
        let number = application.sent;
        if let Some(mut channel) = self.peers[index].channel(key)
            && channel.send(self.now, numbered_message(number, length)).is_ok()
            && application.main == Some(key)
        {
            application.sent += 1;
        }
        self.settle();
    }
}

impl Application {
    fn observe(&mut self, event: &PeerEvent) {
        let (PeerEvent::DataChannel { channel }
        | PeerEvent::ChannelOpen { channel }
        | PeerEvent::Message { channel, .. }
        | PeerEvent::BufferedAmountLow { channel }
        | PeerEvent::Writable { channel }
        | PeerEvent::ChannelClosing { channel }
        | PeerEvent::ChannelError { channel, .. }
        | PeerEvent::ChannelClosed { channel }) = event
        else {
            return;
        };
        assert!(!self.closed.contains(channel), "{event:?} after the channel was closed");
        match event {
            PeerEvent::DataChannel { channel } => {
                assert!(!self.channels.contains(channel), "{channel:?} appears twice");
                self.channels.push(*channel);
                self.open.insert(*channel);
            }
            PeerEvent::ChannelOpen { channel } => assert!(self.open.insert(*channel), "{channel:?} opens twice"),
            PeerEvent::Message { channel, message } => {
                assert!(self.open.contains(channel), "a message before {channel:?} is open");
                let number = number_of(message);
                if self.main == Some(*channel) {
                    assert_eq!(number, self.received, "a message was lost or repeated");
                    self.received += 1;
                }
            }
            PeerEvent::ChannelClosed { channel } => {
                self.open.remove(channel);
                self.closed.insert(*channel);
            }
            _ => {}
        }
    }
}

/// A message that shows when it was changed: its number, its length, and bytes that follow from them.
fn numbered_message(number: u32, length: u16) -> Message {
    let mut payload = number.to_be_bytes().to_vec();
    payload.extend_from_slice(&length.to_be_bytes());
    payload.resize(6 + usize::from(length), number.to_be_bytes()[3] ^ 0x5A);
    Message::binary(payload)
}

/// The number of a message that has come as it was sent.
fn number_of(message: &Message) -> u32 {
    let Some(([a, b, c, d, e, f], _)) = message.payload.split_first_chunk::<6>() else {
        panic!("nobody sent {message:?}");
    };
    let number = u32::from_be_bytes([*a, *b, *c, *d]);
    let sent = numbered_message(number, u16::from_be_bytes([*e, *f]));
    assert!(*message == sent, "a message was changed on its way");
    number
}
