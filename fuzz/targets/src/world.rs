//! Two peers, their applications, and a network that does what it is told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use peer_core::{
    ChannelKey, ChannelView, DataChannelOptions, DataChannelState, Message, Peer, PeerConnectionState, PeerEvent,
    Reliability,
};
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
    promises: BTreeMap<ChannelKey, Promise>,
    /// How many messages were sent on a channel; their numbers count from 0.
    sent: BTreeMap<ChannelKey, u32>,
    /// The numbers of those that have come.
    received: BTreeMap<ChannelKey, BTreeSet<u32>>,
}

/// What a channel owes of what is sent on it. On any channel, each message comes at most once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Promise {
    /// Each message, in order; the last ones may be missing once it is closed.
    Everything,
    /// What comes, comes in order.
    Order,
    #[default]
    Nothing,
}

impl Promise {
    fn new(ordered: bool, reliability: Reliability) -> Self {
        match (ordered, reliability) {
            (true, Reliability::Reliable) => Self::Everything,
            (true, _) => Self::Order,
            (false, _) => Self::Nothing,
        }
    }
}

impl World {
    /// Two peers that have exchanged offer and answer, of which the first has created a channel.
    pub(crate) fn new() -> Self {
        let peers = negotiated_peers();
        let mut applications = [Application::default(), Application::default()];
        applications[0].channels.extend(peers[0].channels().map(|(key, _)| key));
        applications[0].main = applications[0].channels.first().copied();
        applications[0].promises.extend(applications[0].main.map(|main| (main, Promise::Everything)));
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

    /// Whether everything has arrived that was sent on reliable channels which are open on both sides.
    pub(crate) fn has_delivered_all(&self) -> bool {
        [(0, 1), (1, 0)].into_iter().all(|(sender, receiver)| {
            let received = self.open_channels(receiver);
            self.open_channels(sender).into_iter().all(|(id, key)| {
                let sent = self.applications[sender].sent.get(&key).copied().unwrap_or_default();
                received.get(&id).is_none_or(|other| self.applications[receiver].count_of(*other) == sent)
            })
        })
    }

    /// The reliable channels that are open, by their ids.
    fn open_channels(&self, index: usize) -> BTreeMap<u16, ChannelKey> {
        let is_open = |view: &ChannelView<'_>| view.ready_state == DataChannelState::Open;
        let channels = self.peers[index].channels();
        let open = channels.filter(|(_, view)| is_open(view) && view.reliability == Reliability::Reliable);
        open.filter_map(|(key, view)| Some((view.id?, key))).collect()
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
                    self.recognize(index, &event);
                    self.applications[index].observe(&event);
                }
            }
        }
    }

    /// Notes what a new channel promises, and whether it is the main one.
    fn recognize(&mut self, index: usize, event: &PeerEvent) {
        let PeerEvent::DataChannel { channel: key } = *event else { return };
        let channel = self.peers[index].channel(key);
        // It may be gone again: then its messages are still not to be repeated.
        let Some(view) = channel.as_ref().and_then(|channel| channel.view()) else { return };
        let application = &mut self.applications[index];
        application.promises.insert(key, Promise::new(view.ordered, view.reliability));
        if view.label == MAIN_LABEL {
            application.main = Some(key);
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
        let next = self.applications[index].sent.entry(key).or_default();
        if let Some(mut channel) = self.peers[index].channel(key)
            && channel.send(self.now, numbered_message(*next, length)).is_ok()
        {
            *next += 1;
        }
        self.settle();
    }

    /// Creates a channel beside the main one, if the peer can have more.
    pub(crate) fn create_channel(&mut self, index: usize, options: DataChannelOptions) {
        let promise = Promise::new(options.ordered, options.reliability);
        if let Ok(key) = self.peers[index].create_data_channel(self.now, options) {
            let application = &mut self.applications[index];
            application.channels.push(key);
            application.promises.insert(key, promise);
        }
        self.settle();
    }
}

impl Application {
    /// Messages sent on the main channel.
    pub(crate) fn sent_on_main(&self) -> u32 {
        self.main.and_then(|main| self.sent.get(&main)).copied().unwrap_or_default()
    }

    /// Messages that have come on the main channel.
    pub(crate) fn received_on_main(&self) -> u32 {
        self.main.map_or(0, |main| self.count_of(main))
    }

    fn count_of(&self, channel: ChannelKey) -> u32 {
        self.received.get(&channel).map_or(0, |numbers| u32::try_from(numbers.len()).unwrap())
    }

    /// Messages that have come on other channels.
    #[cfg(test)]
    pub(crate) fn received_elsewhere(&self) -> usize {
        self.received.iter().filter(|(key, _)| self.main != Some(**key)).map(|(_, numbers)| numbers.len()).sum()
    }

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
                self.take_in(*channel, number_of(message));
            }
            PeerEvent::ChannelClosed { channel } => {
                self.open.remove(channel);
                self.closed.insert(*channel);
            }
            _ => {}
        }
    }

    fn take_in(&mut self, channel: ChannelKey, number: u32) {
        let received = self.received.entry(channel).or_default();
        let is_in_order = received.last().is_none_or(|&last| number > last);
        match self.promises.get(&channel).copied().unwrap_or_default() {
            Promise::Everything => {
                let expected = u32::try_from(received.len()).unwrap();
                assert_eq!(number, expected, "a message on {channel:?} was lost, repeated or overtaken");
            }
            Promise::Order => assert!(is_in_order, "message {number} on {channel:?} was repeated or overtaken"),
            Promise::Nothing => {}
        }
        assert!(received.insert(number), "message {number} on {channel:?} was repeated");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn take_in(promise: Promise, numbers: &[u32]) {
        let mut application = Application::default();
        let key = World::new().applications[0].main.unwrap();
        application.promises.insert(key, promise);
        numbers.iter().for_each(|&number| application.take_in(key, number));
    }

    #[test]
    fn what_is_still_on_its_way_on_any_reliable_channel_is_not_delivered() {
        let mut world = World::new();
        assert!(world.run(Duration::from_secs(10), World::is_connected));
        world.create_channel(1, DataChannelOptions { ordered: false, ..DataChannelOptions::new("more") });
        world.run(Duration::from_secs(1), |_| false);
        let key = *world.applications[1].channels.last().unwrap();
        world.send_message(1, key, 10);
        assert!(!world.has_delivered_all());
        assert!(world.run(Duration::from_secs(1), World::has_delivered_all));
        assert_eq!(world.applications[0].received_elsewhere(), 1);
    }

    #[test]
    fn what_a_channel_does_not_promise_it_need_not_keep() {
        take_in(Promise::Everything, &[0, 1, 2]);
        take_in(Promise::Order, &[1, 4, 6]);
        take_in(Promise::Nothing, &[2, 0, 7]);
    }

    #[test]
    #[should_panic(expected = "was lost")]
    fn a_gap_on_a_reliable_ordered_channel_is_found() {
        take_in(Promise::Everything, &[0, 2]);
    }

    #[test]
    #[should_panic(expected = "overtaken")]
    fn a_message_that_was_overtaken_on_an_ordered_channel_is_found() {
        take_in(Promise::Order, &[3, 2]);
    }

    #[test]
    #[should_panic(expected = "repeated")]
    fn a_repeated_message_is_found_on_any_channel() {
        take_in(Promise::Nothing, &[3, 2, 3]);
    }
}
