//! How a channel is to behave.

use std::time::Duration;

/// How hard it is tried to deliver a message (RFC 8831 §6.6, RFC 3758).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reliability {
    /// Until it arrives.
    #[default]
    Reliable,
    /// At most so many retransmissions.
    MaxRetransmits(u16),
    /// For so long, in whole milliseconds, at most 2^32 - 1.
    MaxPacketLifetime(Duration),
}

/// `RTCPriorityType` of the W3C specification, with its value in the establishment protocol (RFC 8831 §6.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Priority {
    /// `very-low`: 128, below normal
    VeryLow,
    /// `low`: 256, normal
    #[default]
    Low,
    /// `medium`: 512, high
    Medium,
    /// `high`: 1024, extra high
    High,
}

impl Priority {
    /// The value in the establishment protocol.
    #[must_use]
    pub fn value(self) -> u16 {
        match self {
            Self::VeryLow => 128,
            Self::Low => 256,
            Self::Medium => 512,
            Self::High => 1024,
        }
    }

    /// The priority that a value of the establishment protocol falls under.
    #[must_use]
    pub fn from_value(value: u16) -> Self {
        match value {
            0..=128 => Self::VeryLow,
            129..=256 => Self::Low,
            257..=512 => Self::Medium,
            513.. => Self::High,
        }
    }
}

/// `RTCDataChannelInit` of the W3C specification, with the label.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataChannelOptions {
    /// The label, at most 65535 bytes in UTF-8.
    pub label: String,
    /// The protocol spoken on the channel, at most 65535 bytes in UTF-8.
    pub protocol: String,
    /// Whether messages arrive in the order in which they were sent.
    pub ordered: bool,
    /// How hard it is tried to deliver.
    pub reliability: Reliability,
    /// The id, if both applications create the channel without the establishment protocol. Not 65535.
    pub negotiated: Option<u16>,
    /// The share of the channel in what is sent, relative to others.
    pub priority: Priority,
}

impl DataChannelOptions {
    /// Ordered and reliable, announced to the peer, of the default priority.
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            protocol: String::new(),
            ordered: true,
            reliability: Reliability::Reliable,
            negotiated: None,
            priority: Priority::default(),
        }
    }

    /// Bytes in the label and the protocol.
    pub(crate) fn name_length(&self) -> usize {
        self.label.len() + self.protocol.len()
    }
}
