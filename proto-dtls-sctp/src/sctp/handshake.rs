//! How an association is set up (RFC 9260 §5).
//!
//! Both sides send INIT as soon as DTLS is up, as browsers do, so a collision is the normal case. The set-up is the same
//! for every engine behind it.
//!
//! ```text
//!            INIT ACK / COOKIE ECHO             COOKIE ACK, or data
//! AwaitInitAck ────────────────▶ AwaitCookieAck ──────────────────▶ Established
//!   │  │    ▲                       │    │  ▲                          ▲   ▲
//!   └──┘    └── ERROR, stale / INIT ┘    └──┘                          │   │
//!   timeout / INIT                   timeout / COOKIE ECHO             │   │
//!   │                                  │                               │   │
//!   └──────────────────────────────────┴─ COOKIE ECHO / COOKIE ACK ────┘   │
//!                                                 both INITs known from SDP
//!
//! in every state:  INIT / INIT ACK with a cookie
//! Established:     COOKIE ECHO with the tags in use / COOKIE ACK;  with other tags: the peer has restarted
//! ```
//!
//! Until then the time may be limited: a peer that speaks DTLS may have no SCTP to speak.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use proto_machine::{Rng, Timestamp};

use super::packet::{self, Chunk, Header, Parameter, cause, chunk_type};
use super::retransmission::Retransmission;

/// State cookies that are valid at a time; the oldest is forgotten for a new one.
const MAX_COOKIES: usize = 4;
/// How long a cookie is valid (RFC 9260 §16, Valid.Cookie.Life).
const COOKIE_LIFETIME: Duration = Duration::from_secs(60);
/// Bytes of unrecognized parameters that are reported back.
const MAX_UNRECOGNIZED: usize = 256;
/// Bytes of a cookie behind which there is room for such a report.
const MAX_REPORTED_COOKIE: usize = 512;
/// RFC 9260 §3.3.2: a receiver window below this is an error.
const MIN_WINDOW: u32 = 1500;

/// The error detection method of SCTP over DTLS (RFC 9653 §6.1).
const ERROR_DETECTION_BY_DTLS: u32 = 1;

/// Parameter types (RFC 9260 §3.3.2, RFC 3758 §3.1, RFC 5061 §4.2.7, RFC 9653 §4).
mod parameter_type {
    pub(super) const IPV4_ADDRESS: u16 = 5;
    pub(super) const IPV6_ADDRESS: u16 = 6;
    pub(super) const STATE_COOKIE: u16 = 7;
    pub(super) const UNRECOGNIZED_PARAMETER: u16 = 8;
    pub(super) const COOKIE_PRESERVATIVE: u16 = 9;
    pub(super) const HOST_NAME_ADDRESS: u16 = 11;
    pub(super) const SUPPORTED_ADDRESS_TYPES: u16 = 12;
    pub(super) const ZERO_CHECKSUM_ACCEPTABLE: u16 = 0x8001;
    pub(super) const SUPPORTED_EXTENSIONS: u16 = 0x8008;
    pub(super) const FORWARD_TSN_SUPPORTED: u16 = 0xC000;
}

/// What this side offers on top.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Extensions {
    /// I-DATA (RFC 8260).
    pub(crate) interleaving: bool,
    /// Packets without checksum (RFC 9653).
    pub(crate) zero_checksum: bool,
}

/// What one side says about itself in INIT or INIT ACK.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Parameters {
    pub(crate) tag: u32,
    pub(crate) window: u32,
    pub(crate) outbound_streams: u16,
    pub(crate) inbound_streams: u16,
    pub(crate) initial_tsn: u32,
    /// Partial reliability (RFC 3758).
    pub(crate) forward_tsn: bool,
    /// Stream reset (RFC 6525).
    pub(crate) reconfiguration: bool,
    /// I-DATA (RFC 8260).
    pub(crate) interleaving: bool,
    /// Partial reliability of what is interleaved (RFC 8260 §2.3.1).
    pub(crate) interleaved_forward_tsn: bool,
    /// It takes packets whose checksum was left out, since DTLS protects them (RFC 9653).
    pub(crate) zero_checksum: bool,
}

impl Parameters {
    /// What this side says, with a tag and an initial TSN that nobody can guess.
    pub(crate) fn draw(window: u32, streams: u16, extensions: Extensions, rng: &mut Rng) -> Self {
        Self {
            tag: nonzero(rng),
            window,
            outbound_streams: streams,
            inbound_streams: streams,
            initial_tsn: nonzero(rng),
            forward_tsn: true,
            reconfiguration: true,
            interleaving: extensions.interleaving,
            interleaved_forward_tsn: extensions.interleaving,
            zero_checksum: extensions.zero_checksum,
        }
    }

    /// Reads the value of an INIT chunk. `None` if it cannot lead to an association.
    pub(crate) fn from_init(value: &[u8]) -> Option<Self> {
        read(value).ok().map(|received| received.parameters)
    }

    /// The value of an INIT chunk that says this.
    pub(crate) fn to_init(self) -> Vec<u8> {
        let mut value = Vec::with_capacity(64);
        value.extend_from_slice(&self.tag.to_be_bytes());
        value.extend_from_slice(&self.window.to_be_bytes());
        value.extend_from_slice(&self.outbound_streams.to_be_bytes());
        value.extend_from_slice(&self.inbound_streams.to_be_bytes());
        value.extend_from_slice(&self.initial_tsn.to_be_bytes());
        let mut extensions = Vec::new();
        if self.reconfiguration {
            extensions.push(chunk_type::RE_CONFIG);
        }
        if self.forward_tsn {
            packet::put_parameter(&mut value, Parameter { kind: parameter_type::FORWARD_TSN_SUPPORTED, value: &[] });
            extensions.push(chunk_type::FORWARD_TSN);
        }
        if self.interleaving {
            extensions.push(chunk_type::I_DATA);
        }
        if self.interleaved_forward_tsn {
            extensions.push(chunk_type::I_FORWARD_TSN);
        }
        if self.zero_checksum {
            let method = ERROR_DETECTION_BY_DTLS.to_be_bytes();
            packet::put_parameter(
                &mut value,
                Parameter { kind: parameter_type::ZERO_CHECKSUM_ACCEPTABLE, value: &method },
            );
        }
        packet::put_parameter(&mut value, Parameter { kind: parameter_type::SUPPORTED_EXTENSIONS, value: &extensions });
        value
    }
}

/// An INIT or INIT ACK as it was received.
struct Received<'a> {
    parameters: Parameters,
    cookie: Option<&'a [u8]>,
    /// Parameters to report back as unrecognized.
    unrecognized: Vec<Parameter<'a>>,
}

/// Why an INIT or INIT ACK cannot lead to an association.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    /// It cannot be read.
    Malformed,
    /// Its tag is 0.
    NoTag,
    /// It has this tag, and a window below 1500 bytes.
    TinyWindow(u32),
    /// It has this tag, and no streams in a direction.
    NoStreams(u32),
    /// It has this tag, and the name of a host, which RFC 9260 has abolished.
    HostName(u32),
}

impl Fault {
    /// The code of the cause that names it in an ABORT.
    fn cause_code(self) -> u16 {
        match self {
            Self::HostName(_) => cause::UNRESOLVABLE_ADDRESS,
            Self::Malformed | Self::NoTag | Self::TinyWindow(_) | Self::NoStreams(_) => {
                cause::INVALID_MANDATORY_PARAMETER
            }
        }
    }
}

/// Reads an INIT or INIT ACK (RFC 9260 §3.3.2, §3.3.3).
fn read(value: &[u8]) -> Result<Received<'_>, Fault> {
    let mut parameters = read_fields(value)?;
    let tag = parameters.tag;
    let mut cookie = None;
    let mut unrecognized: Vec<Parameter<'_>> = Vec::new();
    let mut reported = 0;
    for parameter in packet::parameters(value.get(16..).unwrap_or_default()) {
        let parameter = parameter.ok_or(Fault::Malformed)?;
        match parameter.kind {
            parameter_type::STATE_COOKIE => cookie = Some(parameter.value),
            parameter_type::FORWARD_TSN_SUPPORTED => parameters.forward_tsn = true,
            parameter_type::SUPPORTED_EXTENSIONS => {
                parameters.forward_tsn |= parameter.value.contains(&chunk_type::FORWARD_TSN);
                parameters.reconfiguration |= parameter.value.contains(&chunk_type::RE_CONFIG);
                parameters.interleaving |= parameter.value.contains(&chunk_type::I_DATA);
                parameters.interleaved_forward_tsn |= parameter.value.contains(&chunk_type::I_FORWARD_TSN);
            }
            parameter_type::ZERO_CHECKSUM_ACCEPTABLE => {
                parameters.zero_checksum = packet::u32_at(parameter.value, 0) == Some(ERROR_DETECTION_BY_DTLS);
            }
            parameter_type::HOST_NAME_ADDRESS => return Err(Fault::HostName(tag)),
            // Known, and of no use: there are no addresses (RFC 8261 §6.1), and nobody asks for a longer life of cookies or reads what the other side has not understood.
            parameter_type::IPV4_ADDRESS
            | parameter_type::IPV6_ADDRESS
            | parameter_type::UNRECOGNIZED_PARAMETER
            | parameter_type::COOKIE_PRESERVATIVE
            | parameter_type::SUPPORTED_ADDRESS_TYPES => {}
            kind => {
                // RFC 9260 §3.2.1: the second highest bit asks for a report, the highest to go on behind it.
                if kind & 0x4000 != 0 && reported + parameter.value.len() + 8 <= MAX_UNRECOGNIZED {
                    reported += parameter.value.len() + 8;
                    unrecognized.push(parameter);
                }
                if kind & 0x8000 == 0 {
                    break;
                }
            }
        }
    }
    Ok(Received { parameters, cookie, unrecognized })
}

/// What every INIT and INIT ACK has.
fn read_fields(value: &[u8]) -> Result<Parameters, Fault> {
    let u16_at = |offset| packet::u16_at(value, offset).ok_or(Fault::Malformed);
    let u32_at = |offset| packet::u32_at(value, offset).ok_or(Fault::Malformed);
    let parameters = Parameters {
        tag: u32_at(0)?,
        window: u32_at(4)?,
        outbound_streams: u16_at(8)?,
        inbound_streams: u16_at(10)?,
        initial_tsn: u32_at(12)?,
        forward_tsn: false,
        reconfiguration: false,
        interleaving: false,
        interleaved_forward_tsn: false,
        zero_checksum: false,
    };
    // RFC 9260 §3.3.2: none of these may be zero.
    if parameters.tag == 0 {
        return Err(Fault::NoTag);
    }
    if parameters.outbound_streams == 0 || parameters.inbound_streams == 0 {
        return Err(Fault::NoStreams(parameters.tag));
    }
    if parameters.window < MIN_WINDOW {
        return Err(Fault::TinyWindow(parameters.tag));
    }
    Ok(parameters)
}

/// The parameters of INIT ACK that return those of INIT (RFC 9260 §3.2.2).
fn put_unrecognized(bytes: &mut Vec<u8>, unrecognized: &[Parameter<'_>]) {
    for &parameter in unrecognized {
        let mut value = Vec::new();
        packet::put_parameter(&mut value, parameter);
        packet::put_parameter(bytes, Parameter { kind: parameter_type::UNRECOGNIZED_PARAMETER, value: &value });
    }
}

/// The value of an ERROR that returns those of INIT ACK (RFC 9260 §3.3.10.8). Empty if there are none.
fn unrecognized_report(unrecognized: &[Parameter<'_>]) -> Vec<u8> {
    let (mut returned, mut report) = (Vec::new(), Vec::new());
    for &parameter in unrecognized {
        packet::put_parameter(&mut returned, parameter);
    }
    if !returned.is_empty() {
        packet::put_parameter(&mut report, Parameter { kind: cause::UNRECOGNIZED_PARAMETERS, value: &returned });
    }
    report
}

/// A state cookie that was given out.
///
/// The peer behind DTLS is one, so there is no need for a stateless cookie that carries its contents: this one is random, and says nothing to anyone.
#[derive(Clone, Copy)]
struct Cookie {
    value: [u8; 32],
    issued: Timestamp,
    /// The tag that the INIT ACK gave: that of the association, or another if one existed already.
    local_tag: u32,
    peer: Parameters,
}

enum State {
    /// COOKIE-WAIT
    AwaitInitAck(Retransmission),
    /// COOKIE-ECHOED
    AwaitCookieAck {
        peer: Parameters,
        cookie: Vec<u8>,
        /// What to report behind it of the INIT ACK; may be empty.
        report: Vec<u8>,
        retransmission: Retransmission,
    },
    /// ESTABLISHED and everything after it
    Established { peer: Parameters },
}

/// What a chunk has led to.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Nothing that concerns anybody else.
    Unchanged,
    /// The COOKIE ECHO is on its way: data may ride on it (RFC 9260 §5.1 C).
    CookieEchoed(Parameters),
    /// The association is established.
    Established(Parameters),
    /// The peer has proved that it lost the association and set up a new one, to which it gave this tag.
    Restarted {
        /// The peer's new tag.
        peer_tag: u32,
    },
    /// The peer did not answer in time.
    TimedOut,
    /// The peer has answered INIT with what cannot lead to an association, and is told so.
    Refused {
        /// The code of the cause.
        cause_code: u16,
        /// What is left to be sent.
        abort: Bytes,
    },
    /// An INIT came although the association is established. It was answered, nothing else (RFC 9260 §5.2.2).
    UnexpectedInit,
    /// The chunk was dropped: malformed, stale, forged, or not expected.
    Dropped,
}

/// One end of the set-up.
pub(crate) struct Handshake {
    source_port: u16,
    destination_port: u16,
    local: Parameters,
    rng: Rng,
    state: State,
    cookies: VecDeque<Cookie>,
    outgoing: VecDeque<Bytes>,
    round_trip_time: Option<Duration>,
    initial_timeout: Duration,
    /// When the set-up is given up (RFC 9260 §4 2, 3: after Max.Init.Retransmits, which says less than a time here, where pauses are short).
    gives_up: Option<Timestamp>,
}

impl Handshake {
    /// Sends INIT.
    pub(crate) fn start(
        now: Timestamp,
        ports: (u16, u16),
        local: Parameters,
        initial_timeout: Duration,
        time_limit: Option<Duration>,
        rng: Rng,
    ) -> Self {
        let state = State::AwaitInitAck(Retransmission::start(now, initial_timeout));
        let gives_up = time_limit.map(|limit| now + limit);
        let mut this = Self { gives_up, ..Self::new(ports, local, state, initial_timeout, rng) };
        this.send_init();
        this
    }

    /// Both sides have said in their descriptions what INIT says: nothing is left to set up (draft-hancke-tsvwg-snap-00 §6).
    pub(crate) fn agreed(
        ports: (u16, u16),
        local: Parameters,
        peer: Parameters,
        initial_timeout: Duration,
        rng: Rng,
    ) -> Self {
        Self::new(ports, local, State::Established { peer }, initial_timeout, rng)
    }

    fn new(ports: (u16, u16), local: Parameters, state: State, initial_timeout: Duration, rng: Rng) -> Self {
        Self {
            source_port: ports.0,
            destination_port: ports.1,
            local,
            rng,
            state,
            cookies: VecDeque::new(),
            outgoing: VecDeque::new(),
            round_trip_time: None,
            initial_timeout,
            gives_up: None,
        }
    }

    pub(crate) fn local(&self) -> Parameters {
        self.local
    }

    /// What the peer says about itself, once the association is established.
    pub(crate) fn peer(&self) -> Option<Parameters> {
        match &self.state {
            State::AwaitInitAck(_) | State::AwaitCookieAck { .. } => None,
            State::Established { peer } => Some(*peer),
        }
    }

    /// Whether a tag was offered in an INIT ACK whose cookie may still come.
    pub(crate) fn has_offered(&self, tag: u32) -> bool {
        self.cookies.iter().any(|cookie| cookie.local_tag == tag)
    }

    /// The round-trip time, if it could be measured.
    pub(crate) fn round_trip_time(&self) -> Option<Duration> {
        self.round_trip_time
    }

    /// The header of packets to the peer, once its tag is known.
    pub(crate) fn header(&self) -> Option<Header> {
        match &self.state {
            State::AwaitInitAck(_) => None,
            State::AwaitCookieAck { peer, .. } | State::Established { peer } => Some(self.header_to(peer.tag)),
        }
    }

    pub(crate) fn header_to(&self, verification_tag: u32) -> Header {
        Header { source_port: self.source_port, destination_port: self.destination_port, verification_tag }
    }

    pub(crate) fn poll_packet(&mut self) -> Option<Bytes> {
        self.outgoing.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        match &self.state {
            State::AwaitInitAck(retransmission) | State::AwaitCookieAck { retransmission, .. } => {
                Some(self.gives_up.map_or(retransmission.due(), |limit| limit.min(retransmission.due())))
            }
            State::Established { .. } => None,
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) -> Outcome {
        let is_over = self.gives_up.is_some_and(|limit| limit <= now);
        match &mut self.state {
            State::AwaitInitAck(_) | State::AwaitCookieAck { .. } if is_over => return Outcome::TimedOut,
            State::AwaitInitAck(retransmission) => {
                if retransmission.take_due(now) {
                    self.send_init();
                }
            }
            State::AwaitCookieAck { retransmission, .. } => {
                if retransmission.take_due(now) {
                    self.send_cookie_echo();
                }
            }
            State::Established { .. } => {}
        }
        Outcome::Unchanged
    }

    /// Takes in INIT. The caller has checked that it stands alone in a packet with verification tag 0.
    pub(crate) fn handle_init(&mut self, now: Timestamp, value: &[u8]) -> Outcome {
        let Received { parameters: peer, unrecognized, .. } = match read(value) {
            Ok(received) => received,
            Err(Fault::Malformed | Fault::NoTag) => return Outcome::Dropped,
            Err(fault @ (Fault::TinyWindow(tag) | Fault::NoStreams(tag) | Fault::HostName(tag))) => {
                self.queue(packet::abort(self.header_to(tag), fault.cause_code()));
                return Outcome::Dropped;
            }
        };
        let established = matches!(self.state, State::Established { .. });
        let cookie = self.issue_cookie(now, peer, established);
        let mut init_ack = Parameters { tag: cookie.local_tag, ..self.local }.to_init();
        packet::put_parameter(&mut init_ack, Parameter { kind: parameter_type::STATE_COOKIE, value: &cookie.value });
        put_unrecognized(&mut init_ack, &unrecognized);
        self.send(peer.tag, chunk_type::INIT_ACK, &init_ack);
        if established { Outcome::UnexpectedInit } else { Outcome::Unchanged }
    }

    /// A cookie for an INIT: that of the same INIT before, made fresh, or a new one.
    fn issue_cookie(&mut self, now: Timestamp, peer: Parameters, established: bool) -> Cookie {
        let ours = self.local.tag;
        let is_same = |cookie: &Cookie| cookie.peer == peer && established == (cookie.local_tag != ours);
        let known = self.cookies.iter().position(is_same).and_then(|index| self.cookies.remove(index));
        let cookie = known.unwrap_or_else(|| Cookie {
            value: self.rng.bytes(),
            issued: now,
            // RFC 9260 §5.2.1: before, with the parameters of our own INIT; §5.2.2: after, with a new tag.
            local_tag: if established { nonzero(&mut self.rng) } else { ours },
            peer,
        });
        if self.cookies.len() == MAX_COOKIES {
            self.cookies.pop_front();
        }
        let cookie = Cookie { issued: now, ..cookie };
        self.cookies.push_back(cookie);
        cookie
    }

    /// Takes in INIT ACK.
    pub(crate) fn handle_init_ack(&mut self, now: Timestamp, value: &[u8]) -> Outcome {
        // RFC 9260 §5.2.3: unexpected in any other state.
        let State::AwaitInitAck(retransmission) = &self.state else {
            return Outcome::Dropped;
        };
        let (peer, cookie, unrecognized) = match read(value) {
            Ok(Received { parameters, cookie: Some(cookie), unrecognized }) => (parameters, cookie, unrecognized),
            Ok(Received { parameters, cookie: None, .. }) => return self.refuse_without_cookie(parameters.tag),
            Err(fault) => return self.refuse_init_ack(fault),
        };
        let report = if cookie.len() <= MAX_REPORTED_COOKIE { unrecognized_report(&unrecognized) } else { Vec::new() };
        self.round_trip_time = retransmission.answered(now);
        let timeout = self.round_trip_time.map_or(self.initial_timeout, |time| (time * 2).max(self.initial_timeout));
        self.state = State::AwaitCookieAck {
            peer,
            cookie: cookie.to_vec(),
            report,
            retransmission: Retransmission::start(now, timeout),
        };
        self.send_cookie_echo();
        Outcome::CookieEchoed(peer)
    }

    fn refuse_init_ack(&mut self, fault: Fault) -> Outcome {
        let cause_code = fault.cause_code();
        let abort =
            |tag, flags| packet::abort_with(self.header_to(tag), flags, Parameter { kind: cause_code, value: &[] });
        match fault {
            Fault::Malformed => Outcome::Dropped,
            Fault::NoTag => Outcome::Refused { cause_code, abort: abort(self.local.tag, packet::TAG_REFLECTED) },
            Fault::NoStreams(tag) | Fault::HostName(tag) => Outcome::Refused { cause_code, abort: abort(tag, 0) },
            // RFC 9260 §3.3.3: the state must not change.
            Fault::TinyWindow(tag) => {
                let abort = abort(tag, 0);
                self.queue(abort);
                Outcome::Dropped
            }
        }
    }

    /// RFC 9260 §5.1, §3.3.10.2: one parameter is missing, and which.
    fn refuse_without_cookie(&self, tag: u32) -> Outcome {
        let cause_code = cause::MISSING_MANDATORY_PARAMETER;
        let [high, low] = parameter_type::STATE_COOKIE.to_be_bytes();
        let missing = Parameter { kind: cause_code, value: &[0, 0, 0, 1, high, low] };
        Outcome::Refused { cause_code, abort: packet::abort_with(self.header_to(tag), 0, missing) }
    }

    /// Takes in COOKIE ECHO (RFC 9260 §5.2.4 and its table 12).
    pub(crate) fn handle_cookie_echo(&mut self, now: Timestamp, value: &[u8]) -> Outcome {
        let Some(cookie) = self.cookies.iter().find(|cookie| equal(&cookie.value, value)) else {
            return Outcome::Dropped;
        };
        let Cookie { issued, local_tag, peer, .. } = *cookie;
        let staleness = (now - issued).saturating_sub(COOKIE_LIFETIME);
        match &self.state {
            // (D): a duplicate, valid however old. Its answer may have been lost.
            State::Established { peer: current } if local_tag == self.local.tag && current.tag == peer.tag => {
                self.send(peer.tag, chunk_type::COOKIE_ACK, &[]);
                Outcome::Unchanged
            }
            _ if !staleness.is_zero() => {
                // RFC 9260 §5.1.5 4 and §5.2.4 3: the peer has to ask for another one, or it would echo this one for ever.
                self.send(peer.tag, chunk_type::ERROR, &packet::stale_cookie(staleness));
                Outcome::Dropped
            }
            State::AwaitInitAck(_) | State::AwaitCookieAck { .. } => {
                self.state = State::Established { peer };
                self.send(peer.tag, chunk_type::COOKIE_ACK, &[]);
                Outcome::Established(peer)
            }
            // (A): it knows neither of the tags in use. (B) is the same to us: the association that we have is not the one that the peer has.
            State::Established { peer: current } if current.tag != peer.tag => {
                Outcome::Restarted { peer_tag: peer.tag }
            }
            // (C)
            State::Established { .. } => Outcome::Dropped,
        }
    }

    /// Takes in COOKIE ACK, or what tells the same: anything that only an established association sends. Our tag is in it, and the COOKIE ECHO is all that can have established the
    /// other side as long as it has not established ours.
    pub(crate) fn handle_cookie_ack(&mut self) -> Outcome {
        // RFC 9260 §5.2.5: unexpected in any other state.
        let &State::AwaitCookieAck { peer, .. } = &self.state else {
            return Outcome::Dropped;
        };
        self.state = State::Established { peer };
        Outcome::Established(peer)
    }

    /// Sends an ERROR with one cause.
    pub(crate) fn report(&mut self, tag: u32, cause: Parameter<'_>) {
        let mut value = Vec::new();
        packet::put_parameter(&mut value, cause);
        self.send(tag, chunk_type::ERROR, &value);
    }

    /// Takes in ERROR. RFC 9260 §5.2.6: one that says that our cookie came too late has us ask for another.
    pub(crate) fn handle_error(&mut self, now: Timestamp, value: &[u8]) -> Outcome {
        let is_stale = packet::first_cause(value) == Some(cause::STALE_COOKIE);
        if !is_stale || !matches!(self.state, State::AwaitCookieAck { .. }) {
            return Outcome::Dropped;
        }
        self.state = State::AwaitInitAck(Retransmission::start(now, self.initial_timeout));
        self.send_init();
        Outcome::Unchanged
    }

    /// Sends what answers a packet of no association.
    pub(crate) fn send_answer(&mut self, answer: Bytes) {
        self.queue(answer);
    }

    fn send_init(&mut self) {
        // RFC 9260 §8.5.1: the verification tag of a packet with INIT is 0.
        self.send(0, chunk_type::INIT, &self.local.to_init());
    }

    fn send_cookie_echo(&mut self) {
        if let State::AwaitCookieAck { peer, cookie, report, .. } = &self.state {
            let mut writer = packet::Writer::new(self.header_to(peer.tag));
            writer.chunk(Chunk { kind: chunk_type::COOKIE_ECHO, flags: 0, value: cookie });
            if !report.is_empty() {
                writer.chunk(Chunk { kind: chunk_type::ERROR, flags: 0, value: report });
            }
            self.queue(writer.finish());
        }
    }

    fn send(&mut self, verification_tag: u32, kind: u8, value: &[u8]) {
        let mut writer = packet::Writer::new(self.header_to(verification_tag));
        writer.chunk(Chunk { kind, flags: 0, value });
        self.queue(writer.finish());
    }

    fn queue(&mut self, packet: Bytes) {
        // Answers to a flood are dropped, as the network might.
        if self.outgoing.len() < MAX_COOKIES * 2 {
            self.outgoing.push_back(packet);
        }
    }
}

fn nonzero(rng: &mut Rng) -> u32 {
    loop {
        let value = rng.next_u32();
        if value != 0 {
            return value;
        }
    }
}

/// Compares without telling by the time it takes where the difference lies.
fn equal(cookie: &[u8; 32], value: &[u8]) -> bool {
    cookie.len() == value.len()
        && cookie.iter().zip(value).fold(0, |difference, (one, other)| difference | (one ^ other)) == 0
}

#[cfg(test)]
mod tests;
