//! Two ends in virtual time, without a path between them: the same tests for every backend.

mod own;
#[cfg(feature = "sctp-proto")]
mod wrapped;

use bytes::Bytes;

use super::*;

impl Sctp {
    /// The next packet to send.
    fn poll_packet(&mut self, now: Timestamp, events: &mut Vec<SctpEvent>) -> Option<Bytes> {
        let mut bytes = Vec::new();
        self.write_packet(now, &mut bytes, events).then(|| bytes.into())
    }
}
