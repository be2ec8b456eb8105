//! A TURN client as a pure state machine (RFC 8656), with the long-term credentials of RFC 8489 §9.2.
//!
//! One [`TurnClient`] is one allocation on one server from one socket. It asks for the allocation at once, answers the server's challenge, and keeps allocation, permissions and
//! channels alive until it is closed. Datagrams of the server go to [`handle_message`](TurnClient::handle_message), which returns data of peers; data for peers goes through
//! [`wrap`](TurnClient::wrap). The transport between client and server may be a byte stream as well: a [`FrameReader`] cuts it into messages, the rest is the same.
//!
//! | what happens | call |
//! | --- | --- |
//! | there is an allocation | [`TurnEvent::Allocated`]: relayed addresses, and where the server sees us |
//! | a remote candidate is known | [`permit`](TurnClient::permit) |
//! | packets can go there | [`TurnEvent::PermissionGranted`], or [`is_permitted`](TurnClient::is_permitted) |
//! | much data will go to a peer | [`bind_channel`](TurnClient::bind_channel) |
//! | the end | [`close`](TurnClient::close), then [`TurnEvent::Released`] |
//!
//! ```
//! use proto_ice::turn::{TurnClient, TurnConfig, TurnCredentials};
//! use proto_machine::{Machine, Path, Seed, Timestamp, TransmitBuffer};
//!
//! let path = Path::udp("192.0.2.1:5000".parse()?, "203.0.113.5:3478".parse()?);
//! let config = TurnConfig::new(TurnCredentials::new("user", "secret"));
//! let mut client = TurnClient::new(path, config, &Seed::from_number(1));
//! let mut buffer = TransmitBuffer::new(1_200);
//! let transmit = client.poll_transmit(Timestamp::ZERO, 1, &mut buffer).expect("the Allocate request");
//! assert_eq!(transmit.path, path);
//! # Ok::<(), std::net::AddrParseError>(())
//! ```
//!
//! # Bounds
//!
//! 16 requests under way, 128 addresses with a permission, 64 channels (resting ones included), 12 addresses in one request, three stale nonces in a row, one redirection, 1,200
//! bytes a request. A lifetime counts for no more than an hour, and refreshes are at least 5 s apart.
//!
//! # What a stranger can do
//!
//! Whoever does not see the packets between client and server cannot guess a transaction id, so no response of theirs counts. Whoever does see them can end the allocation by
//! dropping packets, and can do little beyond that:
//!
//! - A success response, and an error response to a request with credentials, changes nothing without valid integrity; the transaction lives on, and what it said is reported if
//!   nothing better comes. 401 and 438 come without integrity by design (RFC 8489 §9.2.5). A 401 is answered once, before there are credentials, and ends the attempt if
//!   the server has not yet proved that it knows the password; later it changes nothing. A 438 brings a new nonce and nothing else: another realm, another algorithm, or the
//!   nonce that was just used, and it is discarded. Three in a row are answered, so forging them quickly enough makes a request fail, as dropping it would.
//! - A nonce that announces password algorithms without listing them is an attempt to bid down, and is not answered (RFC 8489 §9.2.1). Without the announcement, a
//!   list that somebody removed cannot be missed: that is why TURN over UDP depends on good passwords.
//! - The first answer may be a forged error or redirection; RFC 8489 §10 allows the latter without integrity. One redirection is followed, never to this host from elsewhere, and the
//!   other server has to know the password as well.
//! - Data indications and ChannelData are not authenticated (RFC 8656 §3.4). What is taken from them is data of an address that was asked for, and no more trustworthy than a
//!   datagram of that address.
//!
//! The password and what is derived from it do not print themselves. The password is wiped when dropped; `stun-types` does not wipe the key that it keeps.
//!
//! # Left out
//!
//! EVEN-PORT, RESERVATION-TOKEN and DONT-FRAGMENT, which nobody here has a use for; TCP towards peers (RFC 6062); mobility (RFC 8016); OpaqueString for passwords beyond ASCII. RFC 8656
//! §12.3 recommends a new allocation if a channel is refused with 400; here data then goes in Send indications.

mod channels;
mod client;
mod credentials;
mod data;
mod event;
mod framing;
mod message;
mod permissions;
mod responses;
#[cfg(feature = "test-server")]
pub mod server;
mod transactions;

#[cfg(test)]
mod tests;

pub use client::{RelayedData, RelayedFamilies, TurnClient, TurnConfig};
pub use credentials::TurnCredentials;
pub use data::MAXIMUM_OVERHEAD;
pub use event::{TurnAllocation, TurnDropCounters, TurnDropReason, TurnError, TurnEvent, TurnFailure, TurnReport};
pub use framing::{FrameReader, Framing, FramingError};
pub(crate) use message::is_for_client;
