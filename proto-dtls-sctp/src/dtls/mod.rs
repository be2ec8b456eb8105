//! DTLS, behind an interface of our own.

mod guard;
mod patience;
mod record_number;
mod records;
mod settings;
#[cfg(feature = "simulation")]
pub(crate) mod simulated;

use std::collections::VecDeque;

use dimpl::{CryptoError, DtlsCertificate, Error, Output, SecurityError, TimeoutError};
use proto_machine::{Rng, Timestamp};

use crate::clock::Clock;
use crate::{Certificate, CipherSuite, DtlsFailure, DtlsRole, DtlsVersion};
use guard::{Guard, Verdict};
use patience::Patience;
use settings::Suites;
pub(crate) use settings::{DtlsSettings, round_trip_bucket};

/// What the library may put out while it hands over a certificate, which must fit whole: its receive queue times the largest datagram that it is given before.
const HANDSHAKE_OUTPUT: usize = settings::RECEIVE_QUEUE * guard::MAX_HANDSHAKE_DATAGRAM;
/// What it may put out at a time on an established session, at least.
const MIN_OUTPUT: usize = 2048;
/// Bytes that a record adds to its payload, at most: header 13, explicit nonce 8, tag 16 (RFC 6347, RFC 5288).
pub(crate) const MAX_RECORD_OVERHEAD: usize = 37;

/// What has happened to the session.
#[derive(Debug)]
pub(crate) enum DtlsEvent {
    /// The certificate of the peer, in DER.
    Certificate(Vec<u8>),
    /// The handshake is complete.
    Connected,
    /// Application data.
    Data(Written),
    /// The peer has closed the session.
    CloseNotify,
    /// The session has failed. Nothing will come any more.
    Failed(DtlsFailure),
}

/// What the library has put out, in the buffer into which it wrote it: what a record held, or a datagram.
#[derive(Debug)]
pub(crate) struct Written {
    buffer: Vec<u8>,
    length: usize,
}

impl Written {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

/// What was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct DtlsCounters {
    pub(crate) plaintext_alerts_dropped: u64,
    pub(crate) early_datagrams: u64,
    pub(crate) errors_ignored: u64,
}

/// One end of a session.
pub(crate) struct Dtls {
    clock: Clock,
    settings: DtlsSettings,
    state: State,
    guard: Guard,
    outgoing: VecDeque<Written>,
    /// What the library writes into. On an established session it goes on to whoever reads it, and comes back.
    output: Vec<u8>,
    deadline: Option<Timestamp>,
    patience: Patience,
    /// When the handshake has taken too long.
    handshake_deadline: Timestamp,
    cipher_suite: Option<CipherSuite>,
    /// Whether it is sure that the suite is that of the session, and not of a datagram that the library has ignored.
    suite_is_certain: bool,
    counters: DtlsCounters,
    #[cfg(feature = "simulation")]
    generator: Option<Rng>,
}

enum State {
    /// A server that has not seen a ClientHello.
    AwaitClientHello(DtlsCertificate),
    Handshake(dimpl::Dtls),
    Connected(dimpl::Dtls),
    Over,
}

impl Dtls {
    /// Begins: a client with its ClientHello.
    ///
    /// # Errors
    /// If the library refuses the settings or the private key.
    pub(crate) fn start(
        now: Timestamp,
        role: DtlsRole,
        certificate: &Certificate,
        settings: DtlsSettings,
        rng: Rng,
    ) -> Result<Self, Error> {
        if !settings::can_sign(settings.entropy, certificate.private_key_der()) {
            return Err(Error::CryptoError(CryptoError::InvalidPrivateKey));
        }
        let library_certificate = DtlsCertificate {
            certificate: certificate.der().to_vec(),
            private_key: certificate.private_key_der().to_vec(),
        };
        let mut this = Self {
            clock: Clock::anchored_at(now),
            settings,
            state: State::AwaitClientHello(library_certificate),
            guard: Guard::new(role),
            outgoing: VecDeque::new(),
            output: Vec::new(),
            deadline: None,
            patience: Patience::new(settings.retransmission_timeout),
            handshake_deadline: now,
            cipher_suite: None,
            suite_is_certain: false,
            counters: DtlsCounters::default(),
            #[cfg(feature = "simulation")]
            generator: None,
        };
        this.take_generator(rng);
        if role == DtlsRole::Client {
            let config = this.with_generator(|this| settings::config(&this.settings, Suites::All))?;
            this.begin(now, config, true);
            this.advance(now, &mut Vec::new());
        }
        Ok(this)
    }

    #[cfg(feature = "simulation")]
    fn take_generator(&mut self, rng: Rng) {
        self.generator = Some(rng);
    }

    /// The library draws from the operating system.
    #[cfg(not(feature = "simulation"))]
    fn take_generator(&mut self, rng: Rng) {
        drop(rng);
    }

    /// Runs something that may draw keys, from the generator of this session if it is simulated.
    #[cfg(feature = "simulation")]
    fn with_generator<R>(&mut self, run: impl FnOnce(&mut Self) -> R) -> R {
        let outer = simulated::exchange_generator(self.generator.take());
        let result = run(self);
        self.generator = simulated::exchange_generator(outer);
        result
    }

    #[cfg(not(feature = "simulation"))]
    fn with_generator<R>(&mut self, run: impl FnOnce(&mut Self) -> R) -> R {
        run(self)
    }

    fn begin(&mut self, now: Timestamp, config: std::sync::Arc<dimpl::Config>, client: bool) {
        let State::AwaitClientHello(certificate) = std::mem::replace(&mut self.state, State::Over) else {
            return;
        };
        let instant = self.clock.instant(now);
        self.handshake_deadline = now + self.settings.handshake_timeout;
        self.state = State::Handshake(self.with_generator(|_| {
            let mut engine = dimpl::Dtls::new_auto(config, certificate, instant);
            engine.set_active(client);
            engine
        }));
    }

    pub(crate) fn counters(&self) -> DtlsCounters {
        self.counters
    }

    /// The negotiated suite, once known.
    pub(crate) fn cipher_suite(&self) -> Option<CipherSuite> {
        self.cipher_suite
    }

    /// Whether the library draws the nonces of this session at random, as far as it is certain.
    pub(crate) fn may_have_random_nonces(&self) -> bool {
        match self.version() {
            Some(DtlsVersion::Dtls12) if self.suite_is_certain => {
                self.cipher_suite.is_none_or(CipherSuite::has_random_nonces)
            }
            Some(DtlsVersion::Dtls12) => true,
            Some(DtlsVersion::Dtls13) | None => false,
        }
    }

    /// The negotiated version, once known.
    pub(crate) fn version(&self) -> Option<DtlsVersion> {
        let (State::Handshake(engine) | State::Connected(engine)) = &self.state else {
            return None;
        };
        match engine.protocol_version()? {
            dimpl::ProtocolVersion::DTLS1_3 => Some(DtlsVersion::Dtls13),
            _ => Some(DtlsVersion::Dtls12),
        }
    }

    /// Takes in a datagram.
    pub(crate) fn handle_datagram(&mut self, now: Timestamp, datagram: &[u8], events: &mut Vec<DtlsEvent>) {
        let version_known = self.version().is_some();
        let connected = matches!(self.state, State::Connected(_));
        let verdict = self.guard.inspect(datagram, version_known, connected);
        self.counters.plaintext_alerts_dropped += verdict.alerts_dropped;
        match verdict.verdict {
            Verdict::Pass(bytes) => self.give(now, &bytes, events),
            Verdict::Hold => self.counters.early_datagrams += 1,
            Verdict::Drop => {}
        }
    }

    fn give(&mut self, now: Timestamp, datagram: &[u8], events: &mut Vec<DtlsEvent>) {
        if matches!(self.state, State::AwaitClientHello(_)) {
            self.answer_client_hello(now, datagram, events);
        }
        let version_known = self.version().is_some();
        let handshake = matches!(self.state, State::Handshake(_));
        self.give_engine(now, datagram, events);
        if handshake && !self.guard.is_server() && self.version().is_some() {
            self.note_suite(datagram, version_known);
        }
        if self.guard.is_server() || self.version().is_some() {
            for held in self.guard.release() {
                self.give_engine(now, &held, events);
            }
        }
    }

    /// A client learns the suite from the ServerHello with which it learns the version: anyone can send others before the session is established, which the library
    /// ignores. Behind a HelloVerifyRequest (RFC 6347 §4.2.1) it cannot tell them apart.
    fn note_suite(&mut self, datagram: &[u8], version_known: bool) {
        if !self.suite_is_certain
            && let Some(suite) = records::server_hello_suite(datagram)
        {
            self.cipher_suite = Some(suite);
            self.suite_is_certain = !version_known;
        }
    }

    /// Makes the server when the first ClientHello shows what the client offers: ChaCha20-Poly1305 is preferred under DTLS 1.2, where the library takes the client's order.
    fn answer_client_hello(&mut self, now: Timestamp, datagram: &[u8], events: &mut Vec<DtlsEvent>) {
        let offers_chacha = records::client_hello_offers(datagram, settings::CHACHA20_POLY1305_12);
        let suites = if offers_chacha { Suites::WithoutRandomNonces } else { Suites::All };
        match self.with_generator(|this| settings::config(&this.settings, suites)) {
            Ok(config) => self.begin(now, config, false),
            Err(error) => self.fail(&error, events),
        }
    }

    fn give_engine(&mut self, now: Timestamp, datagram: &[u8], events: &mut Vec<DtlsEvent>) {
        let instant = self.clock.instant(now);
        let (State::Handshake(_) | State::Connected(_)) = &self.state else {
            return;
        };
        let result = self.with_generator(|this| {
            // The library's clock is only set by a timeout, even if none is due.
            this.engine()
                .map_or(Ok(()), |engine| engine.handle_timeout(instant).and_then(|()| engine.handle_packet(datagram)))
        });
        self.conclude(now, result, events);
    }

    fn engine(&mut self) -> Option<&mut dimpl::Dtls> {
        match &mut self.state {
            State::Handshake(engine) | State::Connected(engine) => Some(engine),
            State::AwaitClientHello(_) | State::Over => None,
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp, events: &mut Vec<DtlsEvent>) {
        if matches!(self.state, State::Handshake(_)) && self.handshake_deadline <= now {
            return self.fail(&Error::Timeout(TimeoutError::Connect), events);
        }
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return;
        }
        if let Some(instant) = self.patience.run_out(now, self.clock.instant(now)) {
            self.clock.put_forward(instant.saturating_duration_since(self.clock.instant(now)));
        }
        let instant = self.clock.instant(now);
        let result = self.with_generator(|this| this.engine().map_or(Ok(()), |engine| engine.handle_timeout(instant)));
        self.conclude(now, result, events);
        // What is due again as soon as it was done is the next acknowledgement of the same gap in the handshake, without end. It waits for a quarter of the retransmission timer
        // (RFC 9147 §7.1).
        let pause = self.settings.retransmission_timeout / 4;
        self.deadline = self.deadline.map(|deadline| if deadline > now { deadline } else { now + pause });
    }

    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        match self.state {
            State::Handshake(_) => self.deadline.into_iter().chain([self.handshake_deadline]).min(),
            State::AwaitClientHello(_) | State::Connected(_) | State::Over => self.deadline,
        }
    }

    /// Seals application data into the queue of datagrams. Only when connected.
    pub(crate) fn send(&mut self, now: Timestamp, data: &[u8], events: &mut Vec<DtlsEvent>) {
        let State::Connected(engine) = &mut self.state else {
            return;
        };
        let result = engine.send_application_data(data).map(|_| ());
        self.conclude(now, result, events);
    }

    /// Ends the session: with a close_notify if it is connected.
    pub(crate) fn close(&mut self, now: Timestamp) {
        if let State::Connected(engine) = &mut self.state {
            let result = engine.close();
            self.conclude(now, result, &mut Vec::new());
        }
        self.state = State::Over;
        self.deadline = None;
    }

    /// The next datagram to send, which stays.
    pub(crate) fn peek_datagram(&self) -> Option<&[u8]> {
        self.outgoing.front().map(Written::bytes)
    }

    /// Forgets the datagram that was peeked at.
    pub(crate) fn pop_datagram(&mut self) {
        if let Some(datagram) = self.outgoing.pop_front() {
            self.take_back(datagram);
        }
    }

    /// Takes back the buffer of what was read, so that the next record needs no other.
    pub(crate) fn take_back(&mut self, written: Written) {
        if self.output.len() < written.buffer.len() && matches!(self.state, State::Connected(_)) {
            self.output = written.buffer;
        }
    }

    /// After every call into the library: judges its result, and polls its output to the end.
    fn conclude(&mut self, now: Timestamp, result: Result<(), Error>, events: &mut Vec<DtlsEvent>) {
        self.advance(now, events);
        let Err(error) = result else { return };
        match &self.state {
            // What can surface on an established session is a fatal alert, which is authenticated by then; or something that concerns one datagram: a renegotiation, a
            // full queue. The session outlives the latter.
            State::Connected(_) if received_alert(&error).is_none() => self.counters.errors_ignored += 1,
            // Nothing was taken in, and the datagram may come again.
            State::Handshake(_) if matches!(error, Error::ReceiveQueueFull) => self.counters.errors_ignored += 1,
            State::Handshake(_) | State::Connected(_) | State::AwaitClientHello(_) => self.fail(&error, events),
            State::Over => {}
        }
    }

    fn fail(&mut self, error: &Error, events: &mut Vec<DtlsEvent>) {
        self.state = State::Over;
        self.deadline = None;
        events
            .push(DtlsEvent::Failed(DtlsFailure { received_alert: received_alert(error), reason: error.to_string() }));
    }

    fn advance(&mut self, now: Timestamp, events: &mut Vec<DtlsEvent>) {
        let (needed, handshake) = match &self.state {
            State::Handshake(_) => (HANDSHAKE_OUTPUT, true),
            State::Connected(_) => (self.settings.datagram_size.max(MIN_OUTPUT), false),
            State::AwaitClientHello(_) | State::Over => return,
        };
        if self.output.len() < needed {
            self.output.resize(needed, 0);
        }
        self.with_generator(|this| this.drain(now, !handshake, events));
        if handshake && matches!(self.state, State::Connected(_)) {
            self.output = Vec::new();
        }
    }

    /// `lends` says whether what was written may go on in the buffer in which it is. In a handshake the library needs that for certificates, and there is no second one.
    fn drain(&mut self, now: Timestamp, lends: bool, events: &mut Vec<DtlsEvent>) {
        loop {
            let (State::Handshake(engine) | State::Connected(engine)) = &mut self.state else {
                return;
            };
            match engine.poll_output(&mut self.output) {
                Output::Packet(packet) => {
                    if self.guard.is_server()
                        && let Some(suite) = records::server_hello_suite(packet)
                    {
                        self.cipher_suite = Some(suite);
                        self.suite_is_certain = true;
                    }
                    let length = packet.len();
                    let buffer = if lends { std::mem::take(&mut self.output) } else { packet.to_vec() };
                    self.outgoing.push_back(Written { buffer, length });
                }
                Output::BufferTooSmall { needed } => self.output.resize(needed.max(MIN_OUTPUT), 0),
                Output::Connected => {
                    if let State::Handshake(engine) = std::mem::replace(&mut self.state, State::Over) {
                        self.state = State::Connected(engine);
                    }
                    events.push(DtlsEvent::Connected);
                }
                Output::PeerCert(certificate) => events.push(DtlsEvent::Certificate(certificate.to_vec())),
                Output::ApplicationData(data) => {
                    // The library has put it at the beginning.
                    let length = data.len();
                    let buffer = if lends { std::mem::take(&mut self.output) } else { data.to_vec() };
                    events.push(DtlsEvent::Data(Written { buffer, length }));
                }
                Output::CloseNotify => events.push(DtlsEvent::CloseNotify),
                Output::Timeout(instant) => {
                    let wanted = self.clock.deadline(now, instant);
                    self.deadline = wanted.map(|wanted| self.patience.until(now, instant, wanted));
                    return;
                }
                _ => {}
            }
        }
    }
}

fn received_alert(error: &Error) -> Option<u8> {
    match error {
        Error::SecurityError(SecurityError::FatalAlert { description }) => Some(*description),
        _ => None,
    }
}
