//! The types of description and the signaling states, with the W3C's names.

use std::fmt;
use std::str::FromStr;

use crate::error::{SdpError, ValueError};
use crate::session::SessionDescription;

/// `RTCSdpType` of the W3C.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SdpType {
    /// A proposal that asks for an answer.
    Offer,
    /// A provisional answer: it may be replaced by another one.
    Pranswer,
    /// The final answer.
    Answer,
    /// Not a description: cancels the proposal that is pending.
    Rollback,
}

impl SdpType {
    /// The W3C's name: `offer`, `pranswer`, `answer` or `rollback`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Pranswer => "pranswer",
            Self::Answer => "answer",
            Self::Rollback => "rollback",
        }
    }
}

impl fmt::Display for SdpType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for SdpType {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "offer" => Ok(Self::Offer),
            "pranswer" => Ok(Self::Pranswer),
            "answer" => Ok(Self::Answer),
            "rollback" => Ok(Self::Rollback),
            _ => Err(ValueError::unexpected("type", text, "offer, pranswer, answer or rollback")),
        }
    }
}

/// `RTCSignalingState` of the W3C, without `closed`, which is the connection's and not the negotiation's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignalingState {
    /// Nothing is being negotiated.
    Stable,
    /// A local offer waits for its answer.
    HaveLocalOffer,
    /// A remote offer waits for our answer.
    HaveRemoteOffer,
    /// A remote offer was answered provisionally by us.
    HaveLocalPranswer,
    /// A local offer was answered provisionally.
    HaveRemotePranswer,
}

impl SignalingState {
    /// The W3C's name, such as `have-local-offer`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::HaveLocalOffer => "have-local-offer",
            Self::HaveRemoteOffer => "have-remote-offer",
            Self::HaveLocalPranswer => "have-local-pranswer",
            Self::HaveRemotePranswer => "have-remote-pranswer",
        }
    }
}

impl fmt::Display for SignalingState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A description together with its type (`RTCSessionDescriptionInit`), or the wish to roll back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypedDescription {
    /// An offer.
    Offer(SessionDescription),
    /// A provisional answer.
    Pranswer(SessionDescription),
    /// The final answer.
    Answer(SessionDescription),
    /// No description: cancels the pending proposal.
    Rollback,
}

impl TypedDescription {
    /// Parses what signalling delivers, a type and a text. The text of a rollback is not looked at.
    ///
    /// # Errors
    ///
    /// The line that is not well-formed.
    pub fn parse(sdp_type: SdpType, text: &str) -> Result<Self, SdpError> {
        Ok(match sdp_type {
            SdpType::Offer => Self::Offer(SessionDescription::parse(text)?),
            SdpType::Pranswer => Self::Pranswer(SessionDescription::parse(text)?),
            SdpType::Answer => Self::Answer(SessionDescription::parse(text)?),
            SdpType::Rollback => Self::Rollback,
        })
    }

    /// Its type.
    #[must_use]
    pub fn sdp_type(&self) -> SdpType {
        match self {
            Self::Offer(_) => SdpType::Offer,
            Self::Pranswer(_) => SdpType::Pranswer,
            Self::Answer(_) => SdpType::Answer,
            Self::Rollback => SdpType::Rollback,
        }
    }

    /// The description, none for a rollback.
    #[must_use]
    pub fn description(&self) -> Option<&SessionDescription> {
        match self {
            Self::Offer(description) | Self::Pranswer(description) | Self::Answer(description) => Some(description),
            Self::Rollback => None,
        }
    }
}
