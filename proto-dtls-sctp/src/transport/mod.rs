//! The machine: DTLS underneath, SCTP behind the gate, channels on top.

mod session;
mod settle;

use std::time::Duration;

use proto_machine::{Deadline, Machine, Seed, Segments, Timestamp, TransmitBuffer};

use crate::channel::{ChannelLimits, DataChannels};
use crate::dtls::{Dtls, DtlsEvent, DtlsSettings, MAX_RECORD_OVERHEAD, round_trip_bucket};
use crate::sctp::SctpEvent;
use crate::{
    ChannelKey, ChannelView, CipherSuite, CreateDataChannelError, DataChannelOptions, DtlsRole, DtlsTransportState,
    DtlsVersion, InitChunk, Message, SctpFailure, SctpTransportState, SecureError, SecureEvent, SecureStatistics,
    SecureTransportConfig, SendError, StartError, StartParameters, UnknownChannel,
};
use session::Session;

/// Bytes of a packet with a request to reset streams, without the streams (RFC 6525 §4.1).
const RESET_OVERHEAD: usize = 32;
/// Streams to reset in one go, at most.
const MAX_RESET_BATCH: usize = 256;

/// DTLS, SCTP and data channels over one datagram path.
///
/// Bounds: see [`SecureTransportConfig`]. Beside those, 4 datagrams wait for the first flight of a handshake, 4 state cookies are valid at a time, and 64 KiB on at most
/// 16 streams wait for a negotiated channel; labels and protocols of the channels that the peer has opened take at most 1 MiB, and of the packets
/// that it sends, those behind 2048 gaps are kept.
pub struct SecureTransport {
    config: SecureTransportConfig,
    seed: Seed,
    phase: Phase,
    channels: DataChannels,
    latest: Timestamp,
    round_trip_time: Option<Duration>,
    dtls_state: DtlsTransportState,
    sctp_state: SctpTransportState,
    failure: Option<SecureError>,
    sctp_failure: Option<SctpFailure>,
    statistics: SecureStatistics,
    /// Scratch, kept for its memory.
    dtls_events: Vec<DtlsEvent>,
    sctp_events: Vec<SctpEvent>,
    packet: Vec<u8>,
}

enum Phase {
    /// Waiting for [`SecureTransport::start`].
    New,
    /// Started. What is over still has to be sent.
    Started(Box<Session>),
    /// Closed before it was started.
    NeverStarted,
}

impl SecureTransport {
    /// A transport that waits for [`start`](Self::start). The seed must not be given to any other.
    #[must_use]
    pub fn new(config: SecureTransportConfig, seed: Seed) -> Self {
        let datagram_size = config.datagram_size.max(SecureTransportConfig::MIN_DATAGRAM_SIZE);
        let limits = ChannelLimits {
            max_channels: config.max_channels.max(1),
            max_receive_message_size: config.max_receive_message_size,
            receive_window: config.receive_window(),
            send_buffer: config.send_buffer,
            total_send_buffer: config.total_send_buffer,
            send_window: config.send_window,
            undeclared_stream_lifetime: config.undeclared_stream_lifetime,
            reset_batch: ((datagram_size - MAX_RECORD_OVERHEAD - RESET_OVERHEAD) / 4).min(MAX_RESET_BATCH),
        };
        Self {
            config: SecureTransportConfig { datagram_size, ..config },
            seed,
            phase: Phase::New,
            channels: DataChannels::new(limits),
            latest: Timestamp::ZERO,
            round_trip_time: None,
            dtls_state: DtlsTransportState::New,
            sctp_state: SctpTransportState::Connecting,
            failure: None,
            sctp_failure: None,
            statistics: SecureStatistics::default(),
            dtls_events: Vec::new(),
            sctp_events: Vec::new(),
            packet: Vec::new(),
        }
    }

    /// Tells the round-trip time of the path, for the first retransmissions of DTLS and SCTP. Of use before [`start`](Self::start).
    pub fn set_round_trip_time(&mut self, round_trip_time: Duration) {
        self.round_trip_time = Some(round_trip_time);
    }

    /// Starts DTLS, and behind it SCTP, for which both sides send INIT unless they know each other's already. Channels that were created before get their ids.
    ///
    /// # Errors
    /// If it was started or closed before, or the parameters cannot be used. Nothing has changed then.
    pub fn start(&mut self, now: Timestamp, parameters: StartParameters) -> Result<(), StartError> {
        let now = self.advance(now);
        match self.phase {
            Phase::New => {}
            Phase::Started(_) if self.dtls_state == DtlsTransportState::Closed => return Err(StartError::Closed),
            Phase::Started(_) => return Err(StartError::AlreadyStarted),
            Phase::NeverStarted => return Err(StartError::Closed),
        }
        if parameters.remote_fingerprints.is_empty() {
            return Err(StartError::NoFingerprint);
        }
        if parameters.local_sctp_port == 0 || parameters.remote_sctp_port == 0 {
            return Err(StartError::InvalidPort);
        }
        let settings = DtlsSettings {
            retransmission_timeout: round_trip_bucket(self.round_trip_time),
            datagram_size: self.config.datagram_size,
            handshake_timeout: self.config.handshake_time_limit(),
            entropy: self.config.entropy,
            library_seed: self.seed.child("dtls library").into_rng().next_u64(),
        };
        let rng = self.seed.child("dtls keys").into_rng();
        let dtls = Dtls::start(now, parameters.role, &self.config.certificate, settings, rng)
            .map_err(|_| StartError::Unusable)?;
        self.channels.set_role(parameters.role);
        let session = Session::new(dtls, parameters, &self.config, self.sctp_seed());
        self.phase = Phase::Started(Box::new(session));
        self.set_dtls_state(DtlsTransportState::Connecting);
        Ok(())
    }

    /// What this side says about its end of the association, for the description (draft-hancke-tsvwg-snap-00 §5). Always the same.
    #[must_use]
    pub fn init_chunk(&self) -> InitChunk {
        session::init_chunk(&self.config, &self.sctp_seed())
    }

    /// Takes in a datagram, which must come from a path that ICE has validated.
    pub fn handle_datagram(&mut self, now: Timestamp, datagram: &mut [u8]) {
        let now = self.advance(now);
        self.statistics.datagrams_received += 1;
        self.statistics.bytes_received += datagram.len() as u64;
        let mut events = std::mem::take(&mut self.dtls_events);
        if let Phase::Started(session) = &mut self.phase {
            session.dtls.handle_datagram(now, datagram, &mut events);
        }
        if !events.iter().any(|event| matches!(event, DtlsEvent::Data(_))) {
            self.statistics.datagrams_without_data += 1;
        }
        self.settle(now, events);
    }

    /// Creates a channel, before or after the start. It opens once the association is established, or at once.
    ///
    /// # Errors
    /// See [`CreateDataChannelError`].
    pub fn create_channel(
        &mut self,
        now: Timestamp,
        options: DataChannelOptions,
    ) -> Result<ChannelKey, CreateDataChannelError> {
        let now = self.advance(now);
        let sctp = match &mut self.phase {
            Phase::Started(session) => session.sctp(),
            Phase::New | Phase::NeverStarted => None,
        };
        self.channels.create(now, options, sctp)
    }

    /// Takes a message to be sent on a channel that is open, or still connecting after the start: then it waits.
    ///
    /// # Errors
    /// See [`SendError`]. Nothing has been taken then.
    pub fn send(&mut self, now: Timestamp, channel: ChannelKey, message: Message) -> Result<(), SendError> {
        let now = self.advance(now);
        let limit = match self.max_message_size() {
            Some(limit) => limit,
            None if self.channels.view(channel).is_none() => return Err(SendError::UnknownChannel),
            None => return Err(SendError::NotOpen),
        };
        self.channels.send(now, channel, message, limit)
    }

    /// Sets the amount at which [`SecureEvent::BufferedAmountLow`] comes, in bytes; 0 at first.
    ///
    /// # Errors
    /// If there is no such channel.
    pub fn set_buffered_amount_low_threshold(
        &mut self,
        channel: ChannelKey,
        threshold: usize,
    ) -> Result<(), UnknownChannel> {
        self.channels.set_threshold(channel, threshold)
    }

    /// Closes a channel: what was sent on it is still delivered, then its stream is reset. [`SecureEvent::ChannelClosed`] comes when both sides have. On a channel that is
    /// closing or closed it changes nothing.
    ///
    /// # Errors
    /// If there is no such channel.
    pub fn close_channel(&mut self, now: Timestamp, channel: ChannelKey) -> Result<(), UnknownChannel> {
        self.advance(now);
        self.channels.close(channel)
    }

    /// Closes everything at once: an ABORT, then a close_notify, which [`poll_transmit`](Machine::poll_transmit) still hands out. No event comes any more; channels are
    /// closed, and what was not delivered is lost.
    pub fn close(&mut self, now: Timestamp) {
        let now = self.advance(now);
        if self.dtls_state == DtlsTransportState::Closed {
            return;
        }
        match &mut self.phase {
            Phase::New | Phase::NeverStarted => self.phase = Phase::NeverStarted,
            Phase::Started(session) => session.end(now),
        }
        if self.dtls_state != DtlsTransportState::Failed {
            self.dtls_state = DtlsTransportState::Closed;
        }
        self.sctp_state = SctpTransportState::Closed;
        self.channels.close_all();
    }

    /// A look at a channel; `None` once its [`SecureEvent::ChannelClosed`] was handed over.
    #[must_use]
    pub fn channel(&self, channel: ChannelKey) -> Option<ChannelView<'_>> {
        self.channels.view(channel)
    }

    /// All channels, oldest first.
    pub fn channels(&self) -> impl Iterator<Item = (ChannelKey, ChannelView<'_>)> {
        self.channels.views()
    }

    /// The DTLS role, once started.
    #[must_use]
    pub fn role(&self) -> Option<DtlsRole> {
        self.session().map(Session::role)
    }

    /// The DTLS state.
    #[must_use]
    pub fn dtls_state(&self) -> DtlsTransportState {
        self.dtls_state
    }

    /// The SCTP state.
    #[must_use]
    pub fn sctp_state(&self) -> SctpTransportState {
        self.sctp_state
    }

    /// The largest message that can be sent, in bytes; `None` before the start.
    #[must_use]
    pub fn max_message_size(&self) -> Option<usize> {
        self.session().map(Session::max_message_size)
    }

    /// The most channels at a time, while the association is established.
    #[must_use]
    pub fn max_channels(&self) -> Option<u16> {
        self.channels.streams()
    }

    /// The peer's certificate in DER, once it has been found to match.
    #[must_use]
    pub fn remote_certificate(&self) -> Option<&[u8]> {
        self.session()?.certificate()
    }

    /// The negotiated version of DTLS, once connected.
    #[must_use]
    pub fn dtls_version(&self) -> Option<DtlsVersion> {
        self.session()?.version()
    }

    /// The negotiated cipher suite, once connected.
    #[must_use]
    pub fn cipher_suite(&self) -> Option<CipherSuite> {
        self.session()?.cipher_suite()
    }

    /// Why the transport has failed.
    #[must_use]
    pub fn failure(&self) -> Option<&SecureError> {
        self.failure.as_ref()
    }

    /// Why the association has ended, if not by [`close`](Self::close).
    #[must_use]
    pub fn sctp_failure(&self) -> Option<SctpFailure> {
        self.sctp_failure
    }

    /// Counters.
    #[must_use]
    pub fn statistics(&self) -> SecureStatistics {
        let (dtls, sctp) = self.session().map(Session::counters).unwrap_or_default();
        let measured = self.session().and_then(Session::round_trip_time);
        let channels = self.channels.counters();
        SecureStatistics {
            plaintext_alerts_dropped: dtls.plaintext_alerts_dropped,
            early_datagrams: dtls.early_datagrams,
            dtls_errors_ignored: dtls.errors_ignored,
            sctp_packets_dropped: sctp.packets_dropped,
            sctp_chunks_skipped: sctp.chunks_skipped,
            unexpected_inits: sctp.unexpected_inits,
            unknown_protocol_messages: channels.unknown_protocol_messages,
            dcep_violations: channels.dcep_violations,
            undeclared_messages_dropped: channels.undeclared_messages_dropped,
            expired_messages: channels.expired_messages,
            channels_opened: channels.channels_opened,
            channels_closed: channels.channels_closed,
            round_trip_time: measured.or(self.round_trip_time),
            sctp_agreement: self.session().and_then(Session::agreement),
            send_buffer_used: self.channels.bytes_waiting(),
            send_window_used: self.channels.bytes_unacknowledged(),
            ..self.statistics
        }
    }

    fn sctp_seed(&self) -> Seed {
        self.seed.child("sctp")
    }

    fn session(&self) -> Option<&Session> {
        match &self.phase {
            Phase::Started(session) => Some(session),
            Phase::New | Phase::NeverStarted => None,
        }
    }

    /// A clock that runs backwards is taken to stand still.
    fn advance(&mut self, now: Timestamp) -> Timestamp {
        self.latest = self.latest.max(now);
        self.latest
    }
}

impl Machine for SecureTransport {
    type Input<'a> = &'a mut [u8];
    type Event = SecureEvent;
    type Transmit = Segments;

    fn handle_input(&mut self, now: Timestamp, input: Self::Input<'_>) {
        self.handle_datagram(now, input);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        let now = self.advance(now);
        let mut dtls_events = std::mem::take(&mut self.dtls_events);
        if let Phase::Started(session) = &mut self.phase {
            session.dtls.handle_timeout(now, &mut dtls_events);
            if let Some(sctp) = session.sctp() {
                sctp.handle_timeout(now, &mut self.sctp_events);
            }
        }
        self.channels.handle_timeout(now);
        self.settle(now, dtls_events);
    }

    fn poll_transmit(&mut self, now: Timestamp, max_segments: usize, buffer: &mut TransmitBuffer) -> Option<Segments> {
        let now = self.advance(now);
        let mut count = 0;
        self.prepare(now);
        while count < max_segments.max(1) {
            let Phase::Started(session) = &mut self.phase else { break };
            let Some(datagram) = session.dtls.peek_datagram() else { if self.produce(now) { continue } else { break } };
            let length = datagram.len();
            let Some(mut segment) = buffer.segment() else { break };
            if segment.put(datagram) {
                segment.finish();
                count += 1;
                self.statistics.datagrams_sent += 1;
                self.statistics.bytes_sent += length as u64;
            } else {
                drop(segment);
                if !buffer.is_empty() {
                    // It is longer than the first of the batch: it begins the next one.
                    break;
                }
                self.statistics.oversized_datagrams += 1;
            }
            session.dtls.pop_datagram();
        }
        buffer.segments()
    }

    fn poll_event(&mut self) -> Option<SecureEvent> {
        let event = self.channels.poll_event()?;
        // There is room for the next one now.
        let no_dtls_events = std::mem::take(&mut self.dtls_events);
        self.settle(self.latest, no_dtls_events);
        Some(event)
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        Deadline::earliest(self.channels.poll_timeout(), self.session().and_then(Session::poll_timeout))
    }
}

impl std::fmt::Debug for SecureTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecureTransport")
            .field("dtls_state", &self.dtls_state)
            .field("sctp_state", &self.sctp_state)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}
