//! Byte pipes: as much of TCP as makes bytes late, in order, and whole.
//!
//! A [`Pipe`] is one end of a connection, and a state machine: segments in, segments out. It has a handshake, cumulative acknowledgements, retransmission after a timeout that doubles or
//! three duplicate acknowledgements (RFC 9293, RFC 6298, RFC 5681), an orderly end and a reset. There is no congestion control: no more than [`WINDOW`] is under way.
//! TLS is the time that it takes: both sides exchange as many bytes as the handshake of TLS 1.3 has (RFC 8446 §2), and nothing is encrypted.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use proto_machine::{Path, Timestamp};

/// What goes through a byte pipe.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StreamSecurity {
    /// TCP.
    Tcp,
    /// TLS over TCP: another round trip, and some kilobytes, before the first byte.
    Tls,
}

/// What a node wants of byte streams, which are named by their paths ([`TransportProtocol::Tcp`](proto_machine::TransportProtocol::Tcp)).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StreamRequest {
    /// Accept connections here, each of which begins with [`StreamEvent::Opened`].
    Listen {
        /// The address, which the host has.
        local: SocketAddr,
        /// What the clients speak.
        security: StreamSecurity,
    },
    /// Connect to a server. Answered by [`StreamEvent::Opened`] or [`StreamEvent::Failed`].
    Connect {
        /// From an address of the host and a port that is free.
        path: Path,
        /// What the server speaks.
        security: StreamSecurity,
    },
    /// Send bytes, which arrive in order. There is nothing to send to before the stream is open and after its end.
    Send {
        /// The stream.
        path: Path,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Send what is left to send, and then the end. Nothing more is received. A stream that is not open yet is given up.
    Close {
        /// The stream.
        path: Path,
    },
}

/// What has happened to a byte stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StreamEvent {
    /// It is open, after the handshake of TLS if there is one.
    Opened,
    /// Bytes have arrived, in order.
    Received(Vec<u8>),
    /// The other side has closed it.
    Closed,
    /// It could not be opened, or is broken.
    Failed(StreamError),
}

/// Why a byte stream is of no use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamError {
    /// Nobody listens there, or the other side knows nothing of the stream.
    Refused,
    /// Nothing was acknowledged for too long.
    TimedOut,
    /// The host has no such address, or the path is in use.
    AddressNotAvailable,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::TimedOut => "timed out",
            Self::AddressNotAvailable => "address not available",
        })
    }
}

impl std::error::Error for StreamError {}

/// Bytes of data in a segment: with headers no more than the datagrams of peers.
const SEGMENT: usize = 1_200;
/// Bytes under way at a time.
const WINDOW: usize = 65_535;
/// RFC 6298 §2.1.
const INITIAL_TIMEOUT: Duration = Duration::from_secs(1);
/// What systems have in place of the second that RFC 6298 §2.4 recommends.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(200);
/// RFC 6298 §2.5.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);
/// So many transmissions without an acknowledgement, and the other side is gone.
const ATTEMPTS: u32 = 8;
/// RFC 5681 §3.2.
const DUPLICATES: u32 = 3;

/// What a segment says. It has a header of 20 bytes, as in TCP, with wider numbers in place of what is not needed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Segment {
    flags: u8,
    sequence: u64,
    acknowledged: u64,
    data: Vec<u8>,
}

const SYN: u8 = 1;
const ACK: u8 = 2;
const FIN: u8 = 4;
const RST: u8 = 8;

impl Segment {
    pub(crate) const HEADER: usize = 20;

    /// The answer to a segment that nobody expects; none to a reset.
    pub(crate) fn refusal(&self) -> Option<Self> {
        (self.flags & RST == 0).then(|| Self { flags: RST, ..Self::default() })
    }

    pub(crate) fn opens(&self) -> bool {
        self.flags == SYN
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.flags, 0, 0, 0];
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.acknowledged.to_be_bytes());
        bytes.extend(&self.data);
        let checksum = checksum(&bytes);
        bytes.splice(1..4, checksum);
        bytes
    }

    /// `None` if it was damaged on the way.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (header, data) = bytes.split_first_chunk::<{ Self::HEADER }>()?;
        let (&[flags, check @ ..], numbers) = header.split_first_chunk::<4>()?;
        let (sequence, acknowledged) = numbers.split_first_chunk::<8>()?;
        let mut checked = bytes.to_vec();
        checked.splice(1..4, [0; 3]);
        let segment = Self {
            flags,
            sequence: u64::from_be_bytes(*sequence),
            acknowledged: u64::from_be_bytes(acknowledged.try_into().ok()?),
            data: data.to_vec(),
        };
        (checksum(&checked) == check).then_some(segment)
    }
}

/// The low bits of FNV-1a: the damage that links do never goes unnoticed.
fn checksum(bytes: &[u8]) -> [u8; 3] {
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    let [high, rest @ ..] = hash.to_be_bytes();
    rest.map(|byte| byte ^ high)
}

/// How far the connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Awaiting the answer to a SYN.
    SynSent,
    /// Awaiting the acknowledgement of that answer.
    SynReceived,
    /// TCP is connected.
    Established,
    /// Broken or over: nothing is sent any more.
    Ended,
}

/// A step of the handshake of TLS 1.3 (RFC 8446 §2): so many bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Send(usize),
    Await(usize),
}

const CLIENT_HELLO: usize = 512;
/// From ServerHello to Finished, with a chain of two certificates.
const SERVER_FLIGHT: usize = 3_000;
const CLIENT_FINISHED: usize = 80;

/// One end of a byte pipe.
#[derive(Debug)]
pub(crate) struct Pipe {
    state: State,
    /// What is left of the handshake of TLS.
    steps: VecDeque<Step>,
    /// Whether the node has been told that it is open.
    is_open: bool,
    /// What waits for that.
    early: Vec<u8>,
    /// What is not acknowledged, from `acknowledged` on.
    outgoing: VecDeque<u8>,
    acknowledged: u64,
    /// What was sent, up to here.
    sent: u64,
    /// The end comes after what is in `outgoing`.
    is_closing: bool,
    /// How many bytes there were, once the end was sent.
    length: Option<u64>,
    /// What has arrived in order, up to here.
    received: u64,
    /// What has arrived behind a gap.
    ahead: BTreeMap<u64, Vec<u8>>,
    /// Where the other side's bytes end, if it has said so.
    end: Option<u64>,
    /// Bytes of the handshake of TLS.
    inbox: Vec<u8>,
    owes_acknowledgement: bool,
    retransmit_at: Option<Timestamp>,
    /// The timeout where nothing is lost, and the current one.
    shortest_timeout: Duration,
    timeout: Duration,
    attempts: u32,
    duplicates: u32,
    syn_sent_at: Option<Timestamp>,
    events: VecDeque<StreamEvent>,
}

impl Pipe {
    /// The end that connects.
    pub(crate) fn connect(security: StreamSecurity) -> Self {
        Self::new(
            State::SynSent,
            security,
            [Step::Send(CLIENT_HELLO), Step::Await(SERVER_FLIGHT), Step::Send(CLIENT_FINISHED)],
        )
    }

    /// The end that listens, which has received a SYN.
    pub(crate) fn accept(security: StreamSecurity) -> Self {
        Self::new(
            State::SynReceived,
            security,
            [Step::Await(CLIENT_HELLO), Step::Send(SERVER_FLIGHT), Step::Await(CLIENT_FINISHED)],
        )
    }

    fn new(state: State, security: StreamSecurity, handshake: [Step; 3]) -> Self {
        Self {
            state,
            steps: if security == StreamSecurity::Tls { handshake.into() } else { VecDeque::new() },
            is_open: false,
            early: Vec::new(),
            outgoing: VecDeque::new(),
            acknowledged: 0,
            sent: 0,
            is_closing: false,
            length: None,
            received: 0,
            ahead: BTreeMap::new(),
            end: None,
            inbox: Vec::new(),
            owes_acknowledgement: false,
            retransmit_at: None,
            shortest_timeout: INITIAL_TIMEOUT,
            timeout: INITIAL_TIMEOUT,
            attempts: 0,
            duplicates: 0,
            syn_sent_at: None,
            events: VecDeque::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if self.is_closing {
            return;
        }
        if self.is_open {
            self.outgoing.extend(bytes);
        } else {
            self.early.extend(bytes);
        }
    }

    pub(crate) fn close(&mut self) {
        self.is_closing = true;
        self.events.clear();
        if !self.is_open {
            self.state = State::Ended;
        }
    }

    /// Whether nothing of it is left to do, on this side.
    pub(crate) fn has_ended(&self) -> bool {
        self.state == State::Ended && self.events.is_empty()
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.retransmit_at.filter(|_| self.state != State::Ended)
    }

    pub(crate) fn poll_event(&mut self) -> Option<StreamEvent> {
        self.events.pop_front()
    }

    pub(crate) fn handle_segment(&mut self, now: Timestamp, segment: Segment) {
        if segment.flags & RST != 0 {
            return self.fail(StreamError::Refused);
        }
        match self.state {
            State::Ended => return,
            State::SynSent if segment.flags & (SYN | ACK) == SYN | ACK => self.established(now),
            State::SynSent => return,
            // The answer to the SYN was lost.
            State::SynReceived if segment.opens() => {
                self.retransmit_at = None;
                return;
            }
            State::SynReceived => self.established(now),
            State::Established => {}
        }
        // A repeated answer to our SYN wants to be acknowledged again.
        self.owes_acknowledgement |= !segment.data.is_empty() || segment.flags & (FIN | SYN) != 0;
        self.take_acknowledgement(now, &segment);
        self.take_data(segment);
        self.advance();
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        if self.deadline().is_none_or(|at| at > now) {
            return;
        }
        if self.attempts >= ATTEMPTS {
            return self.fail(StreamError::TimedOut);
        }
        // RFC 6298 §5.4 to §5.6: everything again, and twice the time.
        self.sent = self.acknowledged;
        self.retransmit_at = None;
        self.timeout = (2 * self.timeout).min(LONGEST_TIMEOUT);
    }

    /// The next segment that is due.
    pub(crate) fn poll_segment(&mut self, now: Timestamp) -> Option<Segment> {
        let flags = match self.state {
            // The last acknowledgement, unless the stream is broken.
            State::Ended if self.is_end_acknowledged() => return self.next_segment(now),
            State::Ended => return None,
            State::SynSent => SYN,
            State::SynReceived => SYN | ACK,
            State::Established => return self.next_segment(now),
        };
        if self.retransmit_at.is_some() {
            return None;
        }
        self.syn_sent_at = if self.attempts == 0 { Some(now) } else { None };
        self.arm(now);
        Some(Segment { flags, ..Segment::default() })
    }

    fn next_segment(&mut self, now: Timestamp) -> Option<Segment> {
        let under_way = usize::try_from(self.sent - self.acknowledged).unwrap_or(usize::MAX);
        let unsent = self.outgoing.len().saturating_sub(under_way);
        let length = unsent.min(SEGMENT).min(WINDOW.saturating_sub(under_way));
        // Under way is one more than there is if the end was sent.
        let ends = self.is_closing
            && self.is_open
            && unsent == length
            && under_way <= self.outgoing.len()
            && self.length.is_none_or(|length| self.acknowledged <= length);
        if length == 0 && !ends && !std::mem::take(&mut self.owes_acknowledgement) {
            return None;
        }
        let data: Vec<u8> = self.outgoing.iter().skip(under_way).take(length).copied().collect();
        let segment =
            Segment { flags: ACK | if ends { FIN } else { 0 }, sequence: self.sent, acknowledged: self.received, data };
        self.owes_acknowledgement = false;
        if ends {
            self.length = Some(self.sent + length as u64);
        }
        if length > 0 || ends {
            self.sent += length as u64 + u64::from(ends);
            if self.retransmit_at.is_none() {
                self.arm(now);
            }
        }
        Some(segment)
    }

    fn arm(&mut self, now: Timestamp) {
        self.attempts += 1;
        self.retransmit_at = Some(now + self.timeout);
    }

    fn established(&mut self, now: Timestamp) {
        if let Some(at) = self.syn_sent_at {
            self.shortest_timeout = (2 * (now - at)).max(SHORTEST_TIMEOUT);
        }
        self.timeout = self.shortest_timeout;
        self.state = State::Established;
        (self.attempts, self.retransmit_at) = (0, None);
    }

    fn take_acknowledgement(&mut self, now: Timestamp, segment: &Segment) {
        if segment.flags & ACK == 0 || segment.acknowledged > self.acknowledged + self.outgoing.len() as u64 + 1 {
            return;
        }
        if segment.acknowledged > self.acknowledged {
            let count = usize::try_from(segment.acknowledged - self.acknowledged).unwrap_or(usize::MAX);
            self.outgoing.drain(..count.min(self.outgoing.len()));
            self.acknowledged = segment.acknowledged;
            self.sent = self.sent.max(self.acknowledged);
            (self.attempts, self.duplicates, self.retransmit_at) = (0, 0, None);
            self.timeout = self.shortest_timeout;
            if self.sent > self.acknowledged {
                self.arm(now);
            }
        } else if segment.data.is_empty() && self.sent > self.acknowledged {
            self.duplicates += 1;
            if self.duplicates == DUPLICATES {
                self.sent = self.acknowledged;
            }
        }
    }

    fn take_data(&mut self, segment: Segment) {
        if segment.flags & FIN != 0 {
            self.end = Some(segment.sequence + segment.data.len() as u64);
        }
        if !segment.data.is_empty() && segment.sequence <= self.received + WINDOW as u64 {
            self.ahead.entry(segment.sequence).or_insert(segment.data);
        }
        while let Some(entry) = self.ahead.first_entry().filter(|entry| *entry.key() <= self.received) {
            let (sequence, data) = entry.remove_entry();
            let known = usize::try_from(self.received - sequence).unwrap_or(usize::MAX);
            let new = data.get(known..).unwrap_or_default();
            self.received += new.len() as u64;
            self.inbox.extend(new);
        }
        if self.end == Some(self.received) {
            self.received += 1;
        }
    }

    /// Takes the steps of the handshake that are possible, and hands up what has arrived behind it.
    fn advance(&mut self) {
        while let Some(step) = self.steps.front() {
            match *step {
                Step::Send(length) => self.outgoing.extend(std::iter::repeat_n(0, length)),
                Step::Await(length) if self.inbox.len() >= length => drop(self.inbox.drain(..length)),
                Step::Await(_) => break,
            }
            self.steps.pop_front();
        }
        if self.steps.is_empty() && !std::mem::replace(&mut self.is_open, true) {
            self.events.push_back(StreamEvent::Opened);
            self.outgoing.extend(std::mem::take(&mut self.early));
        }
        if self.is_open && !self.inbox.is_empty() {
            let bytes = std::mem::take(&mut self.inbox);
            if !self.is_closing {
                self.events.push_back(StreamEvent::Received(bytes));
            }
        }
        // Both directions end together: what this side has to send goes first.
        if self.has_received_end() && !std::mem::replace(&mut self.is_closing, true) {
            self.events.push_back(StreamEvent::Closed);
        }
        if self.has_received_end() && self.is_end_acknowledged() {
            self.state = State::Ended;
        }
    }

    fn has_received_end(&self) -> bool {
        self.end.is_some_and(|end| self.received > end)
    }

    /// The end counts as one byte.
    fn is_end_acknowledged(&self) -> bool {
        self.is_closing && self.outgoing.is_empty() && self.length.is_some_and(|length| self.acknowledged > length)
    }

    fn fail(&mut self, error: StreamError) {
        self.state = State::Ended;
        if !self.is_closing {
            self.events.push_back(StreamEvent::Failed(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_read_as_it_was_written_and_not_at_all_if_it_was_damaged() {
        let segment = Segment { flags: ACK | FIN, sequence: 7, acknowledged: 1 << 40, data: b"data".to_vec() };
        let bytes = segment.encode();
        assert_eq!(bytes.len(), Segment::HEADER + 4);
        assert_eq!(Segment::decode(&bytes), Some(segment));
        for index in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index / 8] ^= 1 << (index % 8);
            assert_eq!(Segment::decode(&damaged), None, "bit {index}");
        }
        assert!((0..bytes.len()).all(|length| Segment::decode(&bytes[..length]).is_none()));
        assert_eq!(Segment::decode(&[bytes, vec![0]].concat()), None);
    }
}
