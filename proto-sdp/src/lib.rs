//! Session descriptions and offer/answer for WebRTC, as typed values and pure functions.
//!
//! No time, no packets, no randomness: text goes in, text comes out, and credentials are arguments.
//!
//! - [`SessionDescription`] is the typed form of SDP (RFC 8866): [`parse`](SessionDescription::parse) reads it, `Display`
//!   writes it. What cannot be right cannot be written; what is wrong in a text is an [`SdpError`] that names the line.
//! - [`Candidate`] is the ICE candidate attribute (RFC 8839).
//! - [`create_offer`] and [`create_answer`] are JSEP (RFC 8829, draft-uberti-rtcweb-rfc8829bis-05) as pure functions. Data
//!   channels are offered and accepted; audio and video are rejected, whatever place they have in a BUNDLE group (RFC 9143).
//! - [`Stable`], [`HaveLocalOffer`], … are the signaling states. A transition consumes its state.
//! - [`Negotiation`] holds any of them, together with the session's version, for a peer connection.
//! - [`Negotiated`] is an offer with its answer, and says what they agree on: [`TransportParameters`].
//!
//! Left out: accepting audio and video, and with it the checks of RTP (codecs, header extensions, `rtcp-mux`); `a=identity`;
//! `a=ice-mismatch` and `a=remote-candidates`, which are kept as other attributes; and moving a section out of a bundle.
//!
//! # Both ends of a negotiation
//!
//! ```
//! use proto_sdp::{
//!     DataSection, DtlsRole, Fingerprint, HashFunction, LocalParameters, Negotiation, Password,
//!     SdpType, Side, TypedDescription, UsernameFragment,
//! };
//!
//! fn parameters(name: &str) -> Result<LocalParameters, proto_sdp::ValueError> {
//!     Ok(LocalParameters::new(
//!         UsernameFragment::new(name)?,
//!         Password::new(&name.repeat(6))?,
//!         vec![Fingerprint::new(HashFunction::Sha256, &[0x5a; 32])?],
//!     ))
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // In production these are random.
//! let (mut alice, alice_parameters) = (Negotiation::new(1), parameters("Alic")?);
//! let (mut bob, bob_parameters) = (Negotiation::new(2), parameters("Robe")?);
//!
//! let offer = alice.create_offer(&alice_parameters, true)?;
//! alice.set_local_description(TypedDescription::Offer(offer.clone()))?;
//!
//! let received = TypedDescription::parse(SdpType::Offer, &offer.to_string())?;
//! bob.set_remote_description(received)?;
//! let answer = bob.create_answer(&bob_parameters)?;
//! bob.set_local_description(TypedDescription::Answer(answer.clone()))?;
//!
//! let received = TypedDescription::parse(SdpType::Answer, &answer.to_string())?;
//! alice.set_remote_description(received)?;
//!
//! let DataSection::Accepted(transport) = alice.data_section() else {
//!     panic!("Bob takes data channels");
//! };
//! assert_eq!(transport.username_fragment.as_str(), "Robe");
//! assert_eq!(transport.dtls_role, DtlsRole::Server);
//! assert_eq!(alice.description(Side::Remote).map(|(kind, _)| kind), Some(SdpType::Answer));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod answer;
mod attribute;
mod candidate;
mod description_type;
mod error;
mod fingerprint;
pub mod limits;
mod local;
mod negotiated;
mod negotiation;
mod offer;
mod parse;
mod scan;
mod sctp_init;
mod section;
mod session;
mod states;
mod tokens;
mod transport;
mod trickle;
mod verify;
mod write;

pub use answer::create_answer;
pub use attribute::{Attribute, Bandwidth, Connection, Group, Origin, TransportAttributes};
pub use candidate::{
    Candidate, CandidateAddress, CandidateExtension, CandidateKind, CandidateProtocol, ComponentId, Priority, TcpType,
};
pub use description_type::{SdpType, SignalingState, TypedDescription};
pub use error::{ContentError, ContentErrorKind, DescriptionError, SdpError, SdpErrorKind, TrickleError, ValueError};
pub use fingerprint::{Fingerprint, HashFunction};
pub use local::LocalParameters;
pub use negotiated::Negotiated;
pub use negotiation::Negotiation;
pub use offer::create_offer;
pub use sctp_init::SctpInit;
pub use section::{Section, SectionId};
pub use session::{Formats, MediaDescription, MediaKind, SessionDescription};
pub use states::{HaveLocalOffer, HaveLocalPranswer, HaveRemoteOffer, HaveRemotePranswer, Refused, Signaling, Stable};
pub use tokens::{
    Direction, Foundation, HostName, IceOptions, IcePacing, MaxMessageSize, Mid, Password, Protocol, SctpPort, Setup,
    Text, TlsId, Token, UsernameFragment,
};
pub use transport::{DataSection, DtlsRole, Side, TransportParameters};
pub use trickle::{CandidateTarget, Trickled};
