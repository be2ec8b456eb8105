//! Two transports on a path with a bottleneck.

use std::collections::VecDeque;
use std::time::Duration;

use proto_dtls_sctp::{
    ChannelKey, DataChannelOptions, DtlsRole, MaxMessageSize, Message, SecureEvent, SecureTransport,
    SecureTransportConfig, SendError, StartParameters,
};
use proto_machine::{Machine, Seed, Timestamp, TransmitBuffer};

use crate::common;

/// The one way, without what waits in the queue.
pub(crate) const DELAY: Duration = Duration::from_millis(20);
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(40);
/// UDP and IPv4 around a datagram, in bytes.
const OVERHEAD: usize = 28;
const LEFT: usize = 0;
const RIGHT: usize = 1;

/// What the path carries, in each direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bottleneck {
    /// Bytes per second.
    pub(crate) rate: u64,
    /// Bytes that may wait; what comes on top is dropped.
    pub(crate) queue: u64,
}

/// Time that so many bytes take.
fn time(bytes: u64, rate: u64) -> Duration {
    Duration::from_nanos(bytes * 1_000_000_000 / rate)
}

/// Datagrams on their way in one direction, in order.
#[derive(Default)]
struct Wire {
    datagrams: VecDeque<(Timestamp, Vec<u8>)>,
    /// When the bottleneck has carried all that it was given.
    busy: Timestamp,
}

/// Two transports; the left one sends.
pub(crate) struct Path {
    pub(crate) now: Timestamp,
    bottleneck: Option<Bottleneck>,
    ends: [SecureTransport; 2],
    wires: [Wire; 2],
    buffer: TransmitBuffer,
    /// Datagrams of the left end that are still to be lost.
    pub(crate) to_lose: u32,
    /// What has come at the right end since this was looked at last.
    pub(crate) arrived: Vec<(ChannelKey, usize)>,
    announced: Vec<ChannelKey>,
}

impl Path {
    /// Two ends whose association is established.
    pub(crate) fn new(bottleneck: Option<Bottleneck>, change: fn(&mut SecureTransportConfig)) -> Self {
        let now = Timestamp::from_millis(1);
        let configs = [20, 21].map(|seed| {
            let mut config = common::config(seed);
            change(&mut config);
            config
        });
        let fingerprints = configs.each_ref().map(|config| config.certificate.fingerprint());
        let ends = [LEFT, RIGHT].map(|index| {
            let mut transport = SecureTransport::new(configs[index].clone(), Seed::from_number(index as u64));
            let role = [DtlsRole::Client, DtlsRole::Server][index];
            let mut parameters = StartParameters::new(role, vec![fingerprints[1 - index].into()]);
            parameters.remote_max_message_size = MaxMessageSize::Limited(configs[1 - index].max_receive_message_size);
            // The checks of ICE have measured it.
            transport.set_round_trip_time(ROUND_TRIP);
            transport.start(now, parameters).unwrap();
            transport
        });
        let mut this = Self {
            now,
            bottleneck,
            ends,
            wires: Default::default(),
            buffer: TransmitBuffer::new(1200),
            to_lose: 0,
            arrived: Vec::new(),
            announced: Vec::new(),
        };
        assert!(this.run(Duration::from_secs(30), |path| path.ends.iter().all(|end| end.max_channels().is_some())));
        this
    }

    /// A channel of the left end, by its keys at both.
    pub(crate) fn open(&mut self, options: DataChannelOptions) -> [ChannelKey; 2] {
        let left = self.ends[LEFT].create_channel(self.now, options).unwrap();
        let count = self.announced.len();
        assert!(self.run(Duration::from_secs(10), |path| path.announced.len() > count));
        [left, self.announced[count]]
    }

    /// Whether there was room for it.
    pub(crate) fn send(&mut self, channel: ChannelKey, length: usize) -> bool {
        match self.ends[LEFT].send(self.now, channel, Message::binary(vec![7; length])) {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error, SendError::BufferFull);
                false
            }
        }
    }

    /// Bytes that wait in front of SCTP on a channel.
    pub(crate) fn waiting(&self, channel: ChannelKey) -> usize {
        self.ends[LEFT].channel(channel).unwrap().buffered_amount
    }

    /// Lets time pass until the condition holds, which it says, or for so long.
    pub(crate) fn run(&mut self, limit: Duration, mut until: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            (0..2).for_each(|index| self.drain(index));
            if until(self) {
                return true;
            }
            (0..2).for_each(|index| self.drain(index));
            let arrivals = self.wires.iter().filter_map(|wire| wire.datagrams.front().map(|(at, _)| *at));
            let deadlines = self.ends.iter().filter_map(|end| end.poll_timeout().map(|deadline| deadline.at));
            let Some(next) = arrivals.chain(deadlines).min().filter(|&next| next <= end) else {
                self.now = end;
                return false;
            };
            self.now = self.now.max(next);
            for from in 0..2 {
                while self.wires[from].datagrams.front().is_some_and(|(at, _)| *at <= self.now) {
                    let (_, mut datagram) = self.wires[from].datagrams.pop_front().unwrap();
                    self.ends[1 - from].handle_datagram(self.now, &mut datagram);
                }
            }
            for end in &mut self.ends {
                if end.poll_timeout().is_some_and(|deadline| deadline.at <= self.now) {
                    end.handle_timeout(self.now);
                }
            }
        }
    }

    fn drain(&mut self, index: usize) {
        loop {
            self.buffer.clear();
            if self.ends[index].poll_transmit(self.now, usize::MAX, &mut self.buffer).is_some() {
                let datagrams: Vec<Vec<u8>> = self.buffer.datagrams().map(<[u8]>::to_vec).collect();
                datagrams.into_iter().for_each(|datagram| self.put(index, datagram));
                continue;
            }
            match self.ends[index].poll_event() {
                Some(SecureEvent::DataChannel { channel }) => self.announced.push(channel),
                Some(SecureEvent::Message { channel, message }) => self.arrived.push((channel, message.payload.len())),
                Some(_) => {}
                None => return,
            }
        }
    }

    fn put(&mut self, from: usize, datagram: Vec<u8>) {
        if from == LEFT && self.to_lose > 0 {
            self.to_lose -= 1;
            return;
        }
        let wire = &mut self.wires[from];
        let mut leaves = self.now;
        if let Some(Bottleneck { rate, queue }) = self.bottleneck {
            let start = wire.busy.max(self.now);
            let size = (datagram.len() + OVERHEAD) as u64;
            if start - self.now + time(size, rate) > time(queue, rate) {
                return;
            }
            leaves = start + time(size, rate);
            wire.busy = leaves;
        }
        wire.datagrams.push_back((leaves + DELAY, datagram));
    }

    /// How long what is given to the bottleneck now waits in its queue.
    pub(crate) fn queueing(&self) -> Duration {
        self.wires[LEFT].busy.max(self.now) - self.now
    }
}
