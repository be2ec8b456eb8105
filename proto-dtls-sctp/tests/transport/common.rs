//! Two transports on a virtual path.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto_dtls_sctp::{
    Certificate, ChannelKey, DataChannelOptions, DataChannelState, DtlsRole, Entropy, MaxMessageSize, Message,
    SctpBackend, SctpTransportState, SecureEvent, SecureTransport, SecureTransportConfig, StartParameters,
};
use proto_machine::{Machine, Rng, Seed, Timestamp, TransmitBuffer};

pub(crate) const WALL_TIME: Duration = Duration::from_secs(1_800_000_000);
/// The end that creates what a test needs one creator for.
pub(crate) const LEFT: usize = 0;
pub(crate) const RIGHT: usize = 1;

pub(crate) fn entropy() -> Entropy {
    #[cfg(feature = "simulation")]
    return Entropy::Simulated;
    #[cfg(not(feature = "simulation"))]
    return Entropy::System;
}

/// The same certificate for the same seed, even where its key comes from the system.
pub(crate) fn certificate(seed: u64) -> Arc<Certificate> {
    static CERTIFICATES: Mutex<BTreeMap<u64, Arc<Certificate>>> = Mutex::new(BTreeMap::new());
    let mut certificates = CERTIFICATES.lock().unwrap();
    let generate = || Arc::new(Certificate::generate(Seed::from_number(seed), WALL_TIME, entropy()).unwrap());
    certificates.entry(seed).or_insert_with(generate).clone()
}

/// The backend that the program with these tests is for.
pub(crate) fn backend() -> SctpBackend {
    #[cfg(feature = "sctp-proto")]
    if env!("CARGO_CRATE_NAME") == "transport_sctp_proto" {
        return SctpBackend::SctpProto;
    }
    SctpBackend::Own
}

pub(crate) fn config(seed: u64) -> SecureTransportConfig {
    let config = SecureTransportConfig::new(certificate(seed));
    SecureTransportConfig { entropy: entropy(), sctp_backend: backend(), ..config }
}

/// What happens to datagrams on the way. Rates are in thousandths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    pub(crate) corruption: u64,
}

impl Default for Path {
    fn default() -> Self {
        Self { delay: Duration::from_millis(20), jitter: Duration::ZERO, loss: 0, duplication: 0, corruption: 0 }
    }
}

pub(crate) struct End {
    pub(crate) transport: SecureTransport,
    pub(crate) events: Vec<SecureEvent>,
    /// Whether events are polled as they come.
    pub(crate) polls_events: bool,
    pub(crate) sent: Vec<(Timestamp, Vec<u8>)>,
}

impl End {
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.events
            .iter()
            .filter_map(
                |event| if let SecureEvent::Message { message, .. } = event { Some(message.clone()) } else { None },
            )
            .collect()
    }

    pub(crate) fn messages_on(&self, key: ChannelKey) -> Vec<Message> {
        self.events
            .iter()
            .filter_map(|event| match event {
                SecureEvent::Message { message, channel } if *channel == key => Some(message.clone()),
                _ => None,
            })
            .collect()
    }

    /// Channels that the other end has opened.
    pub(crate) fn announced(&self) -> Vec<ChannelKey> {
        self.events
            .iter()
            .filter_map(|event| if let SecureEvent::DataChannel { channel } = event { Some(*channel) } else { None })
            .collect()
    }

    pub(crate) fn has(&self, event: &SecureEvent) -> bool {
        self.events.contains(event)
    }

    pub(crate) fn count(&self, event: &SecureEvent) -> usize {
        self.events.iter().filter(|seen| *seen == event).count()
    }
}

pub(crate) struct Pair {
    pub(crate) now: Timestamp,
    pub(crate) ends: [End; 2],
    pub(crate) fingerprints: [[u8; 32]; 2],
    pub(crate) path: Path,
    /// On its way: when it arrives, a running number, at which end, and the datagram.
    pub(crate) wire: BTreeMap<(Timestamp, u64), (usize, Vec<u8>)>,
    pub(crate) rng: Rng,
    /// Keep a copy of what is sent.
    pub(crate) records: bool,
    order: u64,
    buffer: TransmitBuffer,
}

impl Pair {
    /// Two ends that are not started.
    pub(crate) fn new(seed: u64, path: Path) -> Self {
        Self::with_configs(seed, path, |_, _| {})
    }

    pub(crate) fn with_configs(seed: u64, path: Path, change: impl Fn(usize, &mut SecureTransportConfig)) -> Self {
        let mut fingerprints = [[0; 32]; 2];
        let ends = [LEFT, RIGHT].map(|index| {
            let mut config = config(seed * 2 + index as u64);
            change(index, &mut config);
            fingerprints[index] = config.certificate.fingerprint();
            let transport = SecureTransport::new(config, Seed::from_number(seed).child(["left", "right"][index]));
            End { transport, events: Vec::new(), polls_events: true, sent: Vec::new() }
        });
        Self {
            now: Timestamp::from_millis(1),
            ends,
            fingerprints,
            path,
            wire: BTreeMap::new(),
            rng: Seed::from_number(seed).child("path").into_rng(),
            records: false,
            order: 0,
            buffer: TransmitBuffer::new(1200),
        }
    }

    /// The certificate of an end of the pair with this seed.
    pub(crate) fn certificate_of(seed: u64, index: usize) -> Arc<Certificate> {
        certificate(seed * 2 + index as u64)
    }

    pub(crate) fn parameters(&self, index: usize, role: DtlsRole) -> StartParameters {
        let mut parameters = StartParameters::new(role, vec![self.fingerprints[1 - index].into()]);
        parameters.remote_max_message_size = MaxMessageSize::Limited(256 * 1024);
        parameters
    }

    /// Starts both ends.
    pub(crate) fn start(&mut self, left: DtlsRole) {
        let right = if left == DtlsRole::Client { DtlsRole::Server } else { DtlsRole::Client };
        for (index, role) in [left, right].into_iter().enumerate() {
            let parameters = self.parameters(index, role);
            self.ends[index].transport.start(self.now, parameters).unwrap();
        }
    }

    /// Two ends whose association is established; the left one is the DTLS client.
    pub(crate) fn connected(seed: u64) -> Self {
        let mut pair = Self::new(seed, Path::default());
        pair.connect();
        pair
    }

    pub(crate) fn connect(&mut self) {
        self.start(DtlsRole::Client);
        assert!(self.run(Duration::from_secs(60), Self::is_up), "not connected: {:?}", self.ends[LEFT].transport);
    }

    pub(crate) fn is_up(&self) -> bool {
        self.ends.iter().all(|end| end.transport.sctp_state() == SctpTransportState::Connected)
    }

    /// A channel of the left end that is open on both, by its keys there.
    pub(crate) fn open(&mut self, options: DataChannelOptions) -> [ChannelKey; 2] {
        let announced = self.ends[RIGHT].announced().len();
        let left = self.ends[LEFT].transport.create_channel(self.now, options).unwrap();
        assert!(
            self.run(Duration::from_secs(10), |pair| pair.ends[RIGHT].announced().len() > announced),
            "not announced"
        );
        [left, self.ends[RIGHT].announced()[announced]]
    }

    pub(crate) fn send(&mut self, end: usize, channel: ChannelKey, message: Message) {
        self.ends[end].transport.send(self.now, channel, message).unwrap();
    }

    pub(crate) fn state(&self, end: usize, channel: ChannelKey) -> DataChannelState {
        // W3C: the object outlives the transport's record of it.
        self.ends[end].transport.channel(channel).map_or(DataChannelState::Closed, |view| view.ready_state)
    }

    /// Lets time pass until the condition holds, which it says, or for so long.
    pub(crate) fn run(&mut self, limit: Duration, mut until: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            let deadline = [LEFT, RIGHT].map(|index| self.drain(index)).into_iter().flatten().min();
            if until(self) {
                return true;
            }
            let arrival = self.wire.first_key_value().map(|((at, _), _)| *at);
            let Some(next) = deadline.into_iter().chain(arrival).min().filter(|&next| next <= end) else {
                self.now = end;
                return false;
            };
            self.now = self.now.max(next);
            while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (index, mut datagram) = entry.remove();
                self.ends[index].transport.handle_datagram(self.now, &mut datagram);
            }
            for end in &mut self.ends {
                if end.transport.poll_timeout().is_some_and(|deadline| deadline.at <= self.now) {
                    end.transport.handle_timeout(self.now);
                }
            }
        }
    }

    /// Lets time pass.
    pub(crate) fn rest(&mut self, duration: Duration) {
        self.run(duration, |_| false);
    }

    /// Takes out of an end what it has, and puts its datagrams on the wire.
    pub(crate) fn drain(&mut self, index: usize) -> Option<Timestamp> {
        loop {
            let end = &mut self.ends[index];
            self.buffer.clear();
            if end.transport.poll_transmit(self.now, usize::MAX, &mut self.buffer).is_some() {
                let datagrams: Vec<Vec<u8>> = self.buffer.datagrams().map(<[u8]>::to_vec).collect();
                for datagram in datagrams {
                    self.put(index, datagram);
                }
            } else if let Some(event) = end.polls_events.then(|| end.transport.poll_event()).flatten() {
                end.events.push(event);
            } else {
                return end.transport.poll_timeout().map(|deadline| deadline.at);
            }
        }
    }

    fn put(&mut self, from: usize, datagram: Vec<u8>) {
        assert!(datagram.len() <= 1200);
        if self.records {
            self.ends[from].sent.push((self.now, datagram.clone()));
        }
        let copies = 1 + u64::from(self.rng.below(1000) < self.path.duplication);
        for _ in 0..copies {
            if self.rng.below(1000) < self.path.loss {
                continue;
            }
            let mut datagram = datagram.clone();
            if self.rng.below(1000) < self.path.corruption {
                let bit = usize::try_from(self.rng.below(datagram.len() as u64 * 8)).unwrap();
                datagram[bit / 8] ^= 1 << (bit % 8);
            }
            let jitter = Duration::from_nanos(self.rng.below(u64::try_from(self.path.jitter.as_nanos()).unwrap() + 1));
            self.order += 1;
            self.wire.insert((self.now + self.path.delay + jitter, self.order), (1 - from, datagram));
        }
    }
}
