//! What a transport takes from the heap while an authenticated peer does its worst, beside what [`SecureTransportConfig::receive_memory_bound`] and [`send_memory_bound`] say.
//!
//! The peer holds a DTLS session and writes its SCTP by hand. Everything that the transport allocates is counted from its creation on; what the DTLS library asks of the C library
//! for its cryptography, some kilobytes for a session, is not.
//!
//! [`SecureTransportConfig::receive_memory_bound`]: proto_dtls_sctp::SecureTransportConfig::receive_memory_bound
//! [`send_memory_bound`]: proto_dtls_sctp::SecureTransportConfig::send_memory_bound

#[cfg(test)]
#[expect(dead_code, reason = "most of it is for the tests of the transport")]
#[path = "../transport/common.rs"]
mod common;
#[cfg(test)]
mod duo;
#[cfg(test)]
mod floods;
#[cfg(test)]
mod meter;
#[cfg(test)]
#[expect(dead_code, reason = "most of it is for the tests of the transport")]
#[path = "../transport/raw.rs"]
mod raw;
#[cfg(test)]
mod receiving;
#[cfg(test)]
mod sending;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod wire;
