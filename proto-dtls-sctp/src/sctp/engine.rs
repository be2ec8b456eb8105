//! What carries data once the association is established.

use std::time::Duration;

use bytes::Bytes;
use proto_machine::{Deadline, Timestamp};

use super::packet::Packet;
use super::{OutgoingMessage, PayloadProtocol, SctpEvent};

/// Why an association has come to its end by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    /// The peer has shut it down, or has begun to and fallen silent.
    ShutDown,
    /// The peer broke a rule for which the association must end, with this cause.
    Violation(u16),
    /// The chunk with this TSN carries nothing, for which the association must end.
    NoUserData(u32),
    /// Both sides have acknowledged that it is shut down (RFC 9260 §9.2).
    ShutDownByBoth,
    /// Nothing that was sent is acknowledged.
    Unreachable,
}

/// An association, from the moment at which both sides have described it. Its set-up and its end are not its business.
pub(super) trait Engine: Send {
    /// Streams in each direction: the smaller number.
    fn streams(&self) -> u16;

    /// Takes in a packet whose ports, tag, framing and checksum are right; chunks of the set-up are not for it. Returns how many others were skipped.
    fn handle_packet(&mut self, now: Timestamp, packet: &Packet<'_>) -> u64;

    /// Moves what has happened to `events`.
    fn collect(&mut self, events: &mut Vec<SctpEvent>);

    fn ended(&self) -> Option<Ended>;

    /// Whether the peer has begun to end the association in order: no message is taken any more.
    fn is_shut_down(&self) -> bool;

    /// SHUTDOWN-ACK-SENT: whether SHUTDOWN COMPLETE is all that is missing.
    fn awaits_shutdown_complete(&self) -> bool {
        self.is_shut_down()
    }

    /// Sends SHUTDOWN ACK once more, if SHUTDOWN COMPLETE is all that is missing. Whether it is.
    fn repeat_shutdown_ack(&mut self) -> bool {
        false
    }

    fn round_trip_time(&self) -> Option<Duration>;

    fn handle_timeout(&mut self, now: Timestamp);

    fn poll_timeout(&self) -> Option<Deadline>;

    /// Writes the next packet in place of what is in the buffer, if there is one.
    fn write_packet(&mut self, now: Timestamp, bytes: &mut Vec<u8>) -> bool;

    /// Puts the first data behind the COOKIE ECHO in the buffer, as far as it fits (RFC 9260 §5.1 C). It goes along with every COOKIE ECHO, of which this may be another one. Until the
    /// association is established, nothing else of it is sent, and its timers rest.
    fn write_behind_cookie_echo(&mut self, now: Timestamp, bytes: &mut Vec<u8>);

    /// Makes a stream known on this side. Its share in what is sent goes by its weight.
    fn open_stream(&mut self, stream: u16, weight: u16);

    /// Hands over a message, and says whether it was taken.
    fn write(&mut self, now: Timestamp, message: OutgoingMessage) -> bool;

    /// Bytes handed over for a stream and not yet acknowledged or abandoned.
    fn buffered(&mut self, stream: u16) -> usize;

    /// Appends the streams on which they may have become fewer since this was asked last.
    fn take_settled(&mut self, streams: &mut Vec<u16>);

    /// The next complete message of a stream.
    fn read(&mut self, stream: u16) -> Option<(PayloadProtocol, Bytes)>;

    /// Resets this side of a stream, after what was handed over for it. What the peer still sends on it is not read any more.
    fn reset_stream(&mut self, stream: u16);
}
