//! What is said on stdin and stdout: one JSON object a line.

use std::time::Duration;

use peer_core::{DataChannelOptions, Message, MessageKind, Priority, Reliability};
use proto_machine::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::options::DEFAULT_FLOOD_MESSAGE;
use crate::report::{IceReport, PairStats, SctpStats, TransportStats};
use crate::signal::Signal;

/// A line of stdin.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Request {
    Command(Command),
    Signal(Signal),
}

/// What is wrong with a line of stdin, and where an `error` event says that it happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct BadLine {
    pub(crate) place: &'static str,
    pub(crate) message: String,
}

impl Request {
    /// Reads a line.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, BadLine> {
        let bad = |place| move |error: serde_json::Error| BadLine { place, message: error.to_string() };
        let value: Value = serde_json::from_slice(line).map_err(bad("stdin"))?;
        if value.get("cmd").is_some() {
            serde_json::from_value(value).map(Self::Command).map_err(bad("command"))
        } else if value.get("type").is_some() {
            serde_json::from_value(value).map(Self::Signal).map_err(bad("signalling"))
        } else {
            let message = "expected an object with \"cmd\" or \"type\"".to_owned();
            Err(BadLine { place: "stdin", message })
        }
    }
}

/// What the script wants.
#[derive(Deserialize, Clone, PartialEq, Debug)]
#[serde(tag = "cmd", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(crate) enum Command {
    Start,
    Create(ChannelInit),
    Send(SendCommand),
    EchoTest(EchoTestCommand),
    Flood(FloodCommand),
    Stats { id: Option<Value> },
    RestartIce,
    IceReport,
    CloseChannel { label: String },
    Close,
    Exit,
}

/// A channel to create: `RTCDataChannelInit`, with the label.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ChannelInit {
    /// The label.
    pub label: String,
    /// Whether messages arrive in the order in which they were sent; by default, they do.
    pub ordered: Option<bool>,
    /// At most so many retransmissions; not together with the next.
    pub max_retransmits: Option<u16>,
    /// At most so many milliseconds.
    pub max_packet_life_time: Option<u32>,
    /// The protocol; by default empty.
    pub protocol: Option<String>,
    /// Whether both sides create it, with the same id.
    #[serde(default)]
    pub negotiated: bool,
    /// The id; without `negotiated` it means nothing.
    pub id: Option<u16>,
    /// The priority; by default low.
    pub priority: Option<PriorityInit>,
}

/// `RTCPriorityType`.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum PriorityInit {
    /// Below normal.
    VeryLow,
    /// Normal.
    Low,
    /// High.
    Medium,
    /// Extra high.
    High,
}

impl ChannelInit {
    /// A channel of the usual kind.
    pub(crate) fn new(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            ordered: None,
            max_retransmits: None,
            max_packet_life_time: None,
            protocol: None,
            negotiated: false,
            id: None,
            priority: None,
        }
    }

    /// W3C webrtc-pc §6.1, `createDataChannel`.
    pub(crate) fn to_options(&self) -> Result<DataChannelOptions, &'static str> {
        let reliability = match (self.max_retransmits, self.max_packet_life_time) {
            (None, None) => Reliability::Reliable,
            (Some(retransmits), None) => Reliability::MaxRetransmits(retransmits),
            (None, Some(milliseconds)) => {
                Reliability::MaxPacketLifetime(Duration::from_millis(u64::from(milliseconds)))
            }
            (Some(_), Some(_)) => return Err("TypeError: maxRetransmits and maxPacketLifeTime exclude each other"),
        };
        let negotiated = match (self.negotiated, self.id) {
            (true, None) => return Err("TypeError: a negotiated channel needs an id"),
            (true, id) => id,
            (false, _) => None,
        };
        Ok(DataChannelOptions {
            protocol: self.protocol.clone().unwrap_or_default(),
            ordered: self.ordered.unwrap_or(true),
            reliability,
            negotiated,
            priority: self.priority.map_or(Priority::default(), |priority| match priority {
                PriorityInit::VeryLow => Priority::VeryLow,
                PriorityInit::Low => Priority::Low,
                PriorityInit::Medium => Priority::Medium,
                PriorityInit::High => Priority::High,
            }),
            ..DataChannelOptions::new(&self.label)
        })
    }
}

/// `send`
#[derive(Deserialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SendCommand {
    pub(crate) label: String,
    text: Option<String>,
    hex: Option<String>,
    kind: Option<Kind>,
    size: Option<usize>,
    #[serde(default)]
    pub(crate) no_echo: bool,
}

impl SendCommand {
    /// The message to send.
    pub(crate) fn message(&self, max_size: usize) -> Result<Message, String> {
        match (&self.text, &self.hex, self.size) {
            (Some(text), None, None) => Ok(Message::text(text.as_str())),
            (None, Some(hex), None) => {
                from_hex(hex).map(Message::binary).ok_or_else(|| "not hexadecimal digits in pairs".to_owned())
            }
            (None, None, Some(size)) if size > max_size => Err(too_large(size, max_size)),
            (None, None, Some(size)) => Ok(pattern(self.kind.unwrap_or(Kind::Binary), size, 0)),
            _ => Err("expected one of text, hex, and kind with size".to_owned()),
        }
    }
}

/// What is wrong with a message of this size.
pub(crate) fn too_large(size: usize, max_size: usize) -> String {
    format!("a message of {size} bytes is larger than {max_size} bytes, what the other side accepts")
}

/// `echo-test`
#[derive(Deserialize, Clone, PartialEq, Debug)]
pub(crate) struct EchoTestCommand {
    pub(crate) id: Option<Value>,
    pub(crate) label: String,
    pub(crate) kind: Kind,
    pub(crate) size: usize,
    /// Milliseconds.
    #[serde(default = "default_echo_timeout")]
    pub(crate) timeout: u64,
}

fn default_echo_timeout() -> u64 {
    10_000
}

/// `flood`
#[derive(Deserialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FloodCommand {
    pub(crate) id: Option<Value>,
    pub(crate) label: String,
    pub(crate) bytes: u64,
    #[serde(default = "default_flood_message")]
    pub(crate) msg_size: usize,
    /// Milliseconds.
    pub(crate) ack_timeout: Option<u64>,
}

fn default_flood_message() -> usize {
    DEFAULT_FLOOD_MESSAGE
}

/// What a message holds.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Text,
    Binary,
}

impl From<MessageKind> for Kind {
    fn from(kind: MessageKind) -> Self {
        match kind {
            MessageKind::Text => Self::Text,
            MessageKind::Binary => Self::Binary,
        }
    }
}

/// A message whose every byte depends on its place and on `variant`.
pub(crate) fn pattern(kind: Kind, size: usize, variant: u64) -> Message {
    let byte =
        |place: u64| (place.wrapping_mul(31) ^ (place >> 8)).wrapping_add(variant.wrapping_mul(7)).to_le_bytes()[0];
    let bytes = (0_u64..).map(byte).take(size);
    match kind {
        Kind::Binary => Message::binary(bytes.collect::<Vec<u8>>()),
        Kind::Text => Message::text(bytes.map(|byte| char::from(b'a' + byte % 26)).collect::<String>()),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits = text.as_bytes().iter().map(digit).collect::<Option<Vec<u8>>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// A line of stdout.
#[derive(Serialize, Clone, PartialEq, Debug)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(crate) enum Event {
    Ready {
        #[serde(rename = "impl")]
        implementation: &'static str,
        version: &'static str,
    },
    State {
        connection: &'static str,
        ice: &'static str,
        ms: f64,
    },
    Open {
        label: String,
        id: Option<u16>,
        by_remote: bool,
        protocol: String,
        ordered: bool,
        ms: f64,
    },
    Message {
        label: String,
        kind: Kind,
        size: usize,
    },
    EchoResult {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<Value>,
        label: String,
        kind: Kind,
        size: usize,
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        ms: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    FloodResult(FloodResult),
    Stats(Stats),
    IceReport(IceReport),
    Closed {
        label: String,
        ms: f64,
    },
    ChannelError {
        label: String,
        message: String,
    },
    Error {
        #[serde(rename = "where")]
        place: &'static str,
        message: String,
    },
    Done {
        ok: bool,
        reason: &'static str,
        ms: f64,
    },
    #[serde(untagged)]
    Signal(Signal),
}

/// `flood-result`
#[derive(Serialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FloodResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<Value>,
    pub(crate) label: String,
    pub(crate) ok: bool,
    pub(crate) msg_size: usize,
    #[serde(flatten)]
    pub(crate) outcome: FloodReport,
}

/// How a flood went.
#[derive(Serialize, Clone, PartialEq, Debug)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(crate) enum FloodReport {
    Acknowledged {
        bytes: u64,
        received: u64,
        in_order: bool,
        crc32c: String,
        #[serde(flatten)]
        speed: Speed,
    },
    /// Sent and not to be acknowledged, or not acknowledged in time.
    Sent {
        bytes: u64,
        #[serde(flatten)]
        speed: Speed,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'static str>,
    },
    Failed {
        error: String,
    },
}

/// How long it took, and the rate that follows.
#[derive(Serialize, Clone, Copy, PartialEq, Debug)]
pub(crate) struct Speed {
    seconds: f64,
    #[serde(rename = "MBps")]
    megabytes_per_second: Option<f64>,
}

impl Speed {
    pub(crate) fn of(bytes: u64, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64();
        let rate = (seconds > 0.0).then(|| rounded(bytes as f64 / 1e6 / seconds));
        Self { seconds: (seconds * 1e6).round() / 1e6, megabytes_per_second: rate }
    }
}

/// `stats`
#[derive(Serialize, Clone, PartialEq, Debug)]
#[serde(tag = "what", rename_all_fields = "camelCase")]
pub(crate) enum Stats {
    #[serde(rename = "flood-received")]
    FloodReceived {
        label: String,
        bytes: u64,
        messages: u64,
        in_order: bool,
        crc32c: String,
        #[serde(flatten)]
        speed: Speed,
    },
    #[serde(rename = "getStats")]
    GetStats {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<Value>,
        connection: &'static str,
        max_message_size: Option<usize>,
        pair: Option<Box<PairStats>>,
        transport: TransportStats,
        sctp: Option<SctpStats>,
    },
}

/// Milliseconds since the process began, to the microsecond.
pub(crate) fn milliseconds(now: Timestamp) -> f64 {
    rounded(now.since_epoch().as_secs_f64() * 1e3)
}

/// A check sum, in eight digits.
pub(crate) fn hexadecimal(crc32c: u32) -> String {
    format!("{crc32c:08x}")
}

/// To three decimals.
pub(crate) fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests;
