//! An established association: the wrapped crate.

use std::collections::{BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_machine::{Deadline, Timestamp};
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Error, Event, Payload,
    PayloadProtocolIdentifier, ReliabilityType, StreamEvent, TransportConfig,
};

use super::first_data::FirstData;
use super::guard::{self, Context};
use super::opening::Opening;
use super::outgoing::{self, Acknowledgement};
use super::received::Received;
use super::resets::{Outgoing, Resets};
use crate::Reliability;
use crate::clock::Clock;
use crate::sctp::engine::{Ended, Engine};
use crate::sctp::handshake::Parameters;
use crate::sctp::packet::{self, Chunk, Header, Packet, cause, chunk_type};
use crate::sctp::{OutgoingMessage, PayloadProtocol, SctpEvent, SctpSettings, is_control};

/// The wrapped crate wants an address; there is none under DTLS.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
/// Bytes of the common header and of the header of a DATA chunk.
const DATA_OVERHEAD: usize = packet::HEADER_SIZE + packet::CHUNK_HEADER_SIZE + 12;
/// The least retransmission timeout. Above the 200 ms for which a receiver may hold back a SACK (RFC 9260 §6.2).
const MIN_RETRANSMISSION_TIMEOUT: Duration = Duration::from_millis(400);
/// The longest pause between retransmissions. RFC 9260 §16 has 60 s, which no user waits for; ICE ends a path that is dead.
const MAX_RETRANSMISSION_TIMEOUT: Duration = Duration::from_secs(3);
/// The range of the first slow start threshold, in bytes. The wrapped crate adds to its congestion window in 32 bits.
const MIN_THRESHOLD: u32 = 64 * 1024;
const MAX_THRESHOLD: u32 = 64 * 1024 * 1024;
/// The rate at which slow start ends, in bytes per second: what a path that nothing is known about may carry without loss.
const THRESHOLD_RATE: f64 = 12_500_000.0;
/// The round-trip time while none has been measured.
const DEFAULT_ROUND_TRIP_TIME: Duration = Duration::from_millis(100);
/// Packets that go out at once even if the congestion window is smaller, as many as RFC 6928 §2 lets out of an untried one. The wrapped crate lets its window grow only
/// while there is new data: with retransmissions alone, one packet at a time would take a round trip and a delayed SACK each.
const MIN_BURST: usize = 10;
/// Answers to the peer that wait to be sent, those given here and those of the association each.
const MAX_ANSWERS: usize = 8;
/// How long the peer may take to end the association in order: the T5-shutdown-guard timer (RFC 9260 §9.2), five times the longest retransmission timeout.
const SHUTDOWN_GUARD: Duration = Duration::from_secs(15);
/// A window below this takes no full packet, in bytes.
const MIN_USEFUL_WINDOW: u32 = 1500;

pub(in crate::sctp) struct Established {
    clock: Clock,
    endpoint: Endpoint,
    handle: AssociationHandle,
    association: Association,
    packet_size: usize,
    header: Header,
    local_header: Header,
    streams: u16,
    inbound_streams: u16,
    /// Streams that are reset on this side, whose data nobody reads.
    discarded: BTreeSet<u16>,
    /// Streams with bytes that were handed over and not acknowledged when this was looked at last.
    outstanding: BTreeSet<u16>,
    /// Streams whose resets are done but for a second one that the association has queued.
    nearly_free: BTreeSet<u16>,
    resets: Resets,
    received: Received,
    packets: VecDeque<Bytes>,
    /// What goes out beside the association: answers to the peer, and copies of an OPEN.
    replies: VecDeque<Bytes>,
    /// Chunks that the association answers, since there was nothing left to send.
    answered: usize,
    /// Something has happened since the association was asked for packets.
    woken: bool,
    /// Packets that the association has put out since then.
    burst: usize,
    violation: Option<u16>,
    shutdown: Shutdown,
    window: WindowUpdate,
    first_data: FirstData,
    opening: Opening,
}

/// Whether the peer ends the association in order (RFC 9260 §9.2).
enum Shutdown {
    /// It does not.
    NotBegun,
    /// It has sent SHUTDOWN.
    Begun { deadline: Timestamp },
    /// It has not come to the end in time.
    Overdue,
}

/// The window of the peer until it has told it in a SACK, which the wrapped crate also takes for its slow start threshold: what the path carries in a round trip.
fn first_window(peer: u32, round_trip_time: Option<Duration>) -> u32 {
    let bytes = round_trip_time.unwrap_or(DEFAULT_ROUND_TRIP_TIME).as_secs_f64() * THRESHOLD_RATE;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast to an integer saturates")]
    let threshold = bytes as u32;
    peer.min(threshold.clamp(MIN_THRESHOLD, MAX_THRESHOLD))
}

/// When to tell the peer that there is room again: the wrapped crate would leave it to the peer's probes.
struct WindowUpdate {
    size: u32,
    peer_understands: bool,
    last: Acknowledgement,
    read_since: u32,
    /// The last packet with data that came while the window was closed: a probe, which the association has dropped.
    probe: Option<Bytes>,
}

impl WindowUpdate {
    /// Whether no packet fits what the peer was told last.
    fn is_closed(&self) -> bool {
        self.last.window < MIN_USEFUL_WINDOW
    }

    /// Whether the window was nearly closed and is a good deal open now.
    fn is_due(&self) -> bool {
        self.peer_understands && self.last.window < self.size / 4 && self.read_since > self.size / 4
    }
}

impl Established {
    /// `None` if the wrapped crate refuses what the peer says about itself.
    pub(in crate::sctp) fn new(
        now: Timestamp,
        settings: SctpSettings,
        local: Parameters,
        peer: Parameters,
    ) -> Option<Self> {
        let payload = u32::try_from(settings.packet_size.saturating_sub(DATA_OVERHEAD) / 4 * 4).ok()?;
        let mut config = EndpointConfig::new();
        config.max_payload_size(payload);
        let mut endpoint = Endpoint::new(Arc::new(config), None);
        // An association that is born established, from two INITs (draft-hancke-tsvwg-snap).
        let init = |parameters: Parameters| {
            let value = parameters.to_init();
            let mut chunk = vec![chunk_type::INIT, 0];
            chunk.extend_from_slice(
                &u16::try_from(value.len() + packet::CHUNK_HEADER_SIZE).unwrap_or(u16::MAX).to_be_bytes(),
            );
            chunk.extend_from_slice(&value);
            Bytes::from(chunk)
        };
        let peer = Parameters { window: first_window(peer.window, settings.round_trip_time), ..peer };
        let mut client = ClientConfig::new().with_snap(init(local), init(peer));
        client.transport = Arc::new(transport_config(settings, local));
        let (handle, association) = endpoint.connect(client, NOWHERE).ok()?;
        let header = Header {
            source_port: settings.local_port,
            destination_port: settings.remote_port,
            verification_tag: peer.tag,
        };
        let local_header = Header {
            source_port: settings.remote_port,
            destination_port: settings.local_port,
            verification_tag: local.tag,
        };
        let inbound_streams = local.inbound_streams.min(peer.outbound_streams);
        Some(Self {
            clock: Clock::anchored_at(now),
            endpoint,
            handle,
            association,
            packet_size: settings.packet_size,
            header,
            local_header,
            streams: inbound_streams.min(local.outbound_streams).min(peer.inbound_streams),
            inbound_streams,
            discarded: BTreeSet::new(),
            outstanding: BTreeSet::new(),
            nearly_free: BTreeSet::new(),
            resets: Resets::new(peer.initial_tsn),
            received: Received::new(peer.initial_tsn.wrapping_sub(1), settings.max_receive_message_size),
            packets: VecDeque::new(),
            replies: VecDeque::new(),
            answered: 0,
            woken: true,
            burst: 0,
            violation: None,
            shutdown: Shutdown::NotBegun,
            first_data: FirstData::Awaited,
            opening: Opening::new(settings.retransmission_timeout),
            window: WindowUpdate {
                size: settings.receive_window,
                peer_understands: peer.forward_tsn,
                last: Acknowledgement {
                    cumulative_tsn: peer.initial_tsn.wrapping_sub(1),
                    window: settings.receive_window,
                },
                read_since: 0,
                probe: None,
            },
        })
    }

    fn note_data(&mut self, chunks: &[Chunk<'_>]) {
        for chunk in chunks {
            match (chunk.kind, packet::u32_at(chunk.value, 0)) {
                (chunk_type::DATA, Some(tsn)) => self.received.insert(tsn, chunk.flags),
                (chunk_type::FORWARD_TSN, Some(_)) => self.received.forward(),
                _ => {}
            }
        }
    }

    fn give(&mut self, now: Timestamp, packet: Bytes) {
        self.wake();
        let event = self.endpoint.handle(self.clock.instant(now), NOWHERE, None, None, packet);
        if let Some((handle, DatagramEvent::AssociationEvent(event))) = event
            && handle == self.handle
        {
            self.association.handle_event(event);
        }
    }

    fn wake(&mut self) {
        self.woken = true;
        self.burst = 0;
    }

    /// A stream is free when nothing keeps it from being written to.
    fn collect_free_streams(&mut self, events: &mut Vec<SctpEvent>) {
        for stream in std::mem::take(&mut self.nearly_free) {
            let free = match self.association.open_stream(stream, PayloadProtocolIdentifier::Binary) {
                Ok(_) => true,
                Err(Error::ErrStreamAlreadyExist) => {
                    self.association.stream(stream).is_ok_and(|stream| stream.is_writable())
                }
                Err(_) => false,
            };
            if free {
                self.resets.forget(stream);
                events.push(SctpEvent::ResetComplete(stream));
            } else {
                self.nearly_free.insert(stream);
            }
        }
    }

    fn poll_packet(&mut self, now: Timestamp) -> Option<Bytes> {
        if self.packets.is_empty() && self.window.is_due() {
            self.window.read_since = 0;
            self.provoke_acknowledgement(now);
            // Otherwise the peer would wait for the timeout of its probe before it sends more.
            if let Some(probe) = self.window.probe.take() {
                self.give(now, probe);
            }
        }
        if let Some(reply) = self.replies.pop_front() {
            return Some(reply);
        }
        if let Some(request) = self.resets.release() {
            self.queue(now, request);
        }
        // Every call may put out a whole congestion window of retransmissions, so that there is one for each thing that happens.
        while self.packets.is_empty() && (std::mem::take(&mut self.woken) || self.burst < MIN_BURST) {
            let Some(transmit) = self.association.poll_transmit(self.clock.instant(now)) else {
                self.burst = MIN_BURST;
                // What is not sent may set free what waits behind it.
                continue;
            };
            let Payload::RawEncode(packets) = transmit.payload else { return None };
            self.burst += packets.len();
            for packet in packets {
                self.queue(now, packet);
            }
        }
        let packet = self.packets.pop_front();
        match &packet {
            Some(packet) => self.opening.sent(now, packet),
            None => self.answered = 0,
        }
        packet
    }

    /// Queues a packet of the association, if it is to be sent.
    fn queue(&mut self, now: Timestamp, packet: Bytes) {
        match packet.get(packet::HEADER_SIZE) {
            Some(&chunk_type::SACK) => {
                if let Some(acknowledgement) = outgoing::acknowledgement(&packet) {
                    self.window.last = acknowledgement;
                    self.window.read_since = 0;
                    self.received.acknowledge(acknowledgement.cumulative_tsn);
                    if self.received.is_excessive() {
                        self.violation = self.violation.or(Some(cause::PROTOCOL_VIOLATION));
                    }
                }
                outgoing::queue(packet, self.packet_size, &mut self.packets);
            }
            Some(&chunk_type::RE_CONFIG) => match self.resets.outgoing(packet) {
                Outgoing::Send(packet) => self.packets.push_back(packet),
                Outgoing::Hold => {}
                Outgoing::Answer(answer) => {
                    self.give(now, packet::single(self.local_header, chunk_type::RE_CONFIG, 0, &answer));
                }
            },
            _ => outgoing::queue(packet, self.packet_size, &mut self.packets),
        }
    }

    /// Has the association send a SACK: RFC 3758 §3.6 asks for one in answer to a FORWARD TSN that brings nothing new.
    fn provoke_acknowledgement(&mut self, now: Timestamp) {
        let value = self.window.last.cumulative_tsn.to_be_bytes();
        let packet = packet::single(self.local_header, chunk_type::FORWARD_TSN, 0, &value);
        self.give(now, packet);
    }
}

impl Engine for Established {
    fn streams(&self) -> u16 {
        self.streams
    }

    fn ended(&self) -> Option<Ended> {
        if let Some(cause_code) = self.violation {
            return Some(Ended::Violation(cause_code));
        }
        let is_closed = self.association.is_closed() || matches!(self.shutdown, Shutdown::Overdue);
        let reason = if self.is_shut_down() { Ended::ShutDown } else { Ended::Violation(cause::PROTOCOL_VIOLATION) };
        is_closed.then_some(reason)
    }

    fn is_shut_down(&self) -> bool {
        !matches!(self.shutdown, Shutdown::NotBegun)
    }

    fn round_trip_time(&self) -> Option<Duration> {
        None
    }

    fn handle_packet(&mut self, now: Timestamp, packet: &Packet<'_>) -> u64 {
        let header = packet.header;
        let chunks: Vec<Chunk<'_>> = packet.chunks().collect();
        let control = chunks.iter().filter(|chunk| is_control(chunk.kind)).count() as u64;
        let (packet, chunks) = (&Bytes::copy_from_slice(packet.bytes()), &chunks);
        self.opening.received(chunks);
        let reconfigures = chunks.iter().any(|chunk| chunk.kind == chunk_type::RE_CONFIG);
        let known = if reconfigures { self.association.stream_ids() } else { Vec::new() };
        let context = Context {
            reply: self.header,
            inbound_streams: self.inbound_streams,
            discarded: &self.discarded,
            resets: &self.resets,
            known: &known,
            received: &self.received,
            answers: MAX_ANSWERS.saturating_sub(self.answered),
        };
        let mut admitted = guard::admit(packet, header, chunks, context);
        self.violation = self.violation.or(admitted.violation);
        if let Some(reply) = admitted.reply.take()
            && self.replies.len() < MAX_ANSWERS
        {
            self.replies.push_back(reply);
        }
        self.answered += admitted.answered;
        if admitted.shutdown && matches!(self.shutdown, Shutdown::NotBegun) {
            self.shutdown = Shutdown::Begun { deadline: now + SHUTDOWN_GUARD };
        }
        if let Some(packet) = admitted.packet.take() {
            self.note_data(chunks);
            if let Some(request) = admitted.request.take() {
                self.resets.accept(&request, &known);
            }
            if self.window.is_closed() && chunks.iter().any(|chunk| chunk.kind == chunk_type::DATA) {
                self.window.probe = Some(packet.clone());
            }
            self.give(now, packet);
        }
        admitted.skipped.saturating_sub(control)
    }

    fn collect(&mut self, events: &mut Vec<SctpEvent>) {
        while let Some(event) = self.association.poll() {
            match event {
                Event::Stream(StreamEvent::Opened { id } | StreamEvent::Readable { id }) => {
                    let event = SctpEvent::Readable(id);
                    if !events.contains(&event) {
                        events.push(event);
                    }
                }
                Event::Stream(StreamEvent::Finished { id }) => {
                    // What comes now is of the next owner.
                    self.discarded.remove(&id);
                    self.resets.finish(id);
                    events.push(SctpEvent::IncomingReset(id));
                }
                Event::Stream(StreamEvent::ResetComplete { id }) => {
                    self.nearly_free.insert(id);
                }
                Event::Stream(StreamEvent::ResetFailed { id, .. }) => {
                    self.resets.forget(id);
                    events.push(SctpEvent::ResetFailed(id));
                }
                _ => {}
            }
        }
        self.collect_free_streams(events);
        while self.association.poll_endpoint_event().is_some() {}
        // Streams are known by their events; the second list of new ones would only grow.
        while self.association.accept_stream().is_some() {}
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        if let Shutdown::Begun { deadline } = self.shutdown
            && deadline <= now
        {
            self.shutdown = Shutdown::Overdue;
        }
        if let Some(copy) = self.opening.take_due(now)
            && self.replies.len() < MAX_ANSWERS
        {
            self.replies.push_back(copy);
        }
        let instant = self.clock.instant(now);
        if self.association.poll_timeout().is_some_and(|due| due <= instant) {
            self.wake();
            self.association.handle_timeout(instant);
        }
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        let guard = if let Shutdown::Begun { deadline } = self.shutdown { Some(deadline) } else { None };
        self.association
            .poll_timeout()
            .map(|due| self.clock.timestamp(due))
            .into_iter()
            .chain(guard)
            .chain(self.opening.due())
            .min()
            .map(|at| Deadline { at, reason: "sctp" })
    }

    fn write_packet(&mut self, now: Timestamp, bytes: &mut Vec<u8>) -> bool {
        let Some(packet) = self.poll_packet(now) else { return false };
        bytes.clear();
        bytes.extend_from_slice(&packet);
        true
    }

    fn write_behind_cookie_echo(&mut self, now: Timestamp, bytes: &mut Vec<u8>) {
        if matches!(self.first_data, FirstData::Awaited)
            && let Some(data) = self.poll_packet(now)
            && let Some(data) = self.first_data.settle(data, bytes, self.packet_size)
        {
            self.packets.push_front(data);
        }
        self.first_data.append(bytes);
    }

    fn open_stream(&mut self, stream: u16, _weight: u16) {
        // It exists already if the peer was first, which is as good.
        let _ = self.association.open_stream(stream, PayloadProtocolIdentifier::Binary);
    }

    fn write(&mut self, _now: Timestamp, message: OutgoingMessage) -> bool {
        let identifier = match message.protocol {
            PayloadProtocol::Dcep => PayloadProtocolIdentifier::Dcep,
            PayloadProtocol::Text => PayloadProtocolIdentifier::String,
            PayloadProtocol::TextEmpty => PayloadProtocolIdentifier::StringEmpty,
            PayloadProtocol::BinaryEmpty => PayloadProtocolIdentifier::BinaryEmpty,
            PayloadProtocol::Binary => PayloadProtocolIdentifier::Binary,
            // Deprecated and unknown ones are never sent (RFC 8831 §6.6).
            PayloadProtocol::TextPartial | PayloadProtocol::BinaryPartial | PayloadProtocol::Unknown => return false,
        };
        // An empty write would consume a sequence number and stall the stream.
        if message.payload.is_empty() {
            return false;
        }
        let (reliability, value) = match message.reliability {
            Reliability::Reliable => (ReliabilityType::Reliable, 0),
            Reliability::MaxRetransmits(count) => (ReliabilityType::Rexmit, count.into()),
            // A lifetime of 0 would expire before the first attempt.
            Reliability::MaxPacketLifetime(lifetime) => {
                (ReliabilityType::Timed, u32::try_from(lifetime.as_millis()).unwrap_or(u32::MAX).max(1))
            }
        };
        self.wake();
        let Ok(mut stream) = self.association.stream(message.stream) else {
            return false;
        };
        self.outstanding.insert(message.stream);
        stream.set_reliability_params(!message.ordered, reliability, value).is_ok()
            && stream.set_default_payload_type(identifier).is_ok()
            && stream.write_chunks(&mut [message.payload]).is_ok()
    }

    fn buffered(&mut self, stream: u16) -> usize {
        self.association.stream(stream).and_then(|stream| stream.buffered_amount()).unwrap_or(0)
    }

    fn take_settled(&mut self, streams: &mut Vec<u16>) {
        streams.extend(&self.outstanding);
        let association = &mut self.association;
        self.outstanding.retain(|&stream| {
            association.stream(stream).and_then(|stream| stream.buffered_amount()).is_ok_and(|bytes| bytes > 0)
        });
    }

    fn read(&mut self, stream: u16) -> Option<(PayloadProtocol, Bytes)> {
        let mut chunks = self.association.stream(stream).ok()?.read_sctp().ok()??;
        let length = chunks.len();
        let payload = chunks.next(length)?.bytes;
        // What was read may have stood before a reset.
        self.wake();
        self.window.read_since = self.window.read_since.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
        Some((guard::protocol_of(chunks.ppi, &payload), payload))
    }

    fn reset_stream(&mut self, stream: u16) {
        self.wake();
        if let Ok(mut open) = self.association.stream(stream) {
            // It fails only when the association is not established, and then all streams are gone.
            let _ = open.close();
            self.discarded.insert(stream);
            self.resets.want(stream);
        }
    }
}

fn transport_config(settings: SctpSettings, local: Parameters) -> TransportConfig {
    let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    TransportConfig::default()
        .with_local_port(settings.local_port)
        .with_remote_port(settings.remote_port)
        .with_max_receive_buffer_size(settings.receive_window)
        // The limit is watched above, where 0 means that there is none.
        .with_max_send_message_size(u32::MAX)
        .with_max_receive_message_size(settings.max_receive_message_size)
        .with_max_num_inbound_streams(local.inbound_streams)
        .with_max_num_outbound_streams(local.outbound_streams)
        .with_max_init_retransmits(None)
        .with_max_data_retransmits(None)
        .with_rto_initial_ms(milliseconds(settings.retransmission_timeout.max(MIN_RETRANSMISSION_TIMEOUT)))
        .with_rto_min_ms(milliseconds(MIN_RETRANSMISSION_TIMEOUT))
        .with_rto_max_ms(milliseconds(MAX_RETRANSMISSION_TIMEOUT))
}
