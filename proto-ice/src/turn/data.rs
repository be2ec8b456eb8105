//! Data of the application on its way to a peer: ChannelData, or a Send indication.

use std::net::SocketAddr;

use proto_machine::{Room, Segments, Timestamp, Transmit, TransmitBuffer};

use super::client::{State, TurnClient};
use super::framing::{CHANNEL_HEADER, Framing};
use super::message::{TurnMethod, indication_head};

/// The most bytes in front of the data of a Send indication: header, XOR-PEER-ADDRESS with IPv6, header of DATA. No datagram that is this much shorter than the path
/// takes, and whose length is a multiple of 4, is too long for a relay.
pub const MAXIMUM_OVERHEAD: usize = 20 + 24 + 4;

/// The most bytes of padding.
const MAXIMUM_PADDING: usize = 3;

/// What is put around the data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Envelope {
    Channel(u16),
    Indication,
}

impl TurnClient {
    /// Whether [`wrap`](Self::wrap) would send: there is an allocation, and a permission of the server for this peer that has not run out.
    #[must_use]
    pub fn can_send(&self, now: Timestamp, peer: SocketAddr) -> bool {
        self.is_permitted(now, peer.ip())
    }

    /// The most bytes of overhead that data to this peer has at the moment.
    #[must_use]
    pub fn overhead(&self, now: Timestamp, peer: SocketAddr) -> usize {
        match (self.envelope(now, peer), self.framing) {
            (Some(Envelope::Channel(_)), Framing::Datagrams) => CHANNEL_HEADER,
            (Some(Envelope::Channel(_)), Framing::Stream) => CHANNEL_HEADER + MAXIMUM_PADDING,
            (Some(Envelope::Indication) | None, _) => MAXIMUM_OVERHEAD + MAXIMUM_PADDING,
        }
    }

    /// Lets `write` fill the cleared buffer with datagrams for `peer`, and puts around each what the relay needs. `None`, and `write` is not called, unless
    /// [`can_send`](Self::can_send). `None` as well if `write` returns `None`.
    ///
    /// ChannelData over UDP is written in place, behind the room for its header. A Send indication, and ChannelData over a stream, are padded by the length of the data,
    /// which is not known before: there it is written elsewhere and copied once.
    pub fn wrap(
        &mut self,
        now: Timestamp,
        peer: SocketAddr,
        buffer: &mut TransmitBuffer,
        write: impl FnOnce(&mut TransmitBuffer) -> Option<Segments>,
    ) -> Option<Transmit> {
        let envelope = self.envelope(now, peer)?;
        let segments = match (envelope, self.framing) {
            (Envelope::Channel(channel), Framing::Datagrams) => wrap_in_place(channel, buffer, write),
            _ => self.wrap_by_copy(envelope, peer, buffer, write),
        }?;
        self.packets_sent += segments.count.get() as u64;
        self.last_sent_at = now;
        Some(Transmit { path: self.path, segments })
    }

    fn envelope(&self, now: Timestamp, peer: SocketAddr) -> Option<Envelope> {
        let State::Allocated(allocation) = &self.state else {
            return None;
        };
        if !allocation.permissions.is_granted(now, peer.ip()) {
            return None;
        }
        Some(allocation.channels.bound_to(now, peer).map_or(Envelope::Indication, Envelope::Channel))
    }

    fn wrap_by_copy(
        &mut self,
        envelope: Envelope,
        peer: SocketAddr,
        buffer: &mut TransmitBuffer,
        write: impl FnOnce(&mut TransmitBuffer) -> Option<Segments>,
    ) -> Option<Segments> {
        let head = match envelope {
            Envelope::Channel(_) => CHANNEL_HEADER,
            Envelope::Indication => MAXIMUM_OVERHEAD,
        };
        // What is padded to a multiple of 4 still fits.
        let capacity = buffer.payload_capacity().saturating_sub(head) / 4 * 4;
        if self.scratch.datagram_capacity() != capacity {
            self.scratch = TransmitBuffer::new(capacity);
        }
        let mut scratch = std::mem::replace(&mut self.scratch, TransmitBuffer::new(capacity));
        scratch.clear();
        if write(&mut scratch).is_some() {
            for data in scratch.datagrams() {
                let head = match envelope {
                    Envelope::Channel(channel) => channel_head(channel, data.len()).to_vec(),
                    Envelope::Indication => {
                        let id = self.transaction_id();
                        indication_head(TurnMethod::Send, id, peer, data.len()).unwrap_or_default()
                    }
                };
                let padding = match envelope {
                    Envelope::Channel(_) => self.framing.padding(data.len()),
                    // RFC 8489 §14.
                    Envelope::Indication => data.len().next_multiple_of(4) - data.len(),
                };
                if !put(buffer, &head, data, padding) {
                    break;
                }
            }
        }
        self.scratch = scratch;
        buffer.segments()
    }
}

fn wrap_in_place(
    channel: u16,
    buffer: &mut TransmitBuffer,
    write: impl FnOnce(&mut TransmitBuffer) -> Option<Segments>,
) -> Option<Segments> {
    buffer.with_room(Room { head: CHANNEL_HEADER, tail: 0 }, write)?;
    for segment in buffer.segments_mut() {
        let length = segment.len().saturating_sub(CHANNEL_HEADER);
        if let Some(head) = segment.get_mut(..CHANNEL_HEADER) {
            head.copy_from_slice(&channel_head(channel, length));
        }
    }
    buffer.segments()
}

/// RFC 8656 §12.4. No datagram is longer than its length field can say.
fn channel_head(channel: u16, length: usize) -> [u8; CHANNEL_HEADER] {
    let [channel_high, channel_low] = channel.to_be_bytes();
    let [length_high, length_low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    [channel_high, channel_low, length_high, length_low]
}

fn put(buffer: &mut TransmitBuffer, head: &[u8], data: &[u8], padding: usize) -> bool {
    let Some(mut segment) = buffer.segment() else {
        return false;
    };
    let zeros = [0; MAXIMUM_PADDING];
    let fits = segment.put(head) && segment.put(data) && segment.put(zeros.get(..padding).unwrap_or_default());
    if fits {
        segment.finish();
    }
    fits
}
