//! The packet that opens a channel, sent again until something tells that it has arrived.
//!
//! The association does that too, but never before 400 ms, since a SACK may be held back for 200 ms (RFC 9260 §6.2), and after each loss it waits twice as long. The peer answers
//! an OPEN at once (RFC 8832 §4), so a round trip is all there is to wait for. To the receiver a copy is a duplicate, which it answers with a SACK and drops (RFC 9260 §6.2).

use std::time::Duration;

use bytes::Bytes;
use proto_machine::Timestamp;

use crate::dcep;
use crate::sctp::packet::{self, Chunk, chunk_type};
use crate::sctp::retransmission::Retransmission;

/// How often a packet is sent again at most, which takes about ten seconds. Then it is left to the association.
const MAX_COPIES: u8 = 20;
/// Bytes of a DATA chunk in front of its payload, without the chunk header (RFC 9260 §3.3.1).
const DATA_HEADER_SIZE: usize = 12;
/// The payload protocol identifier of DCEP (RFC 8832 §8.1).
const DCEP: u32 = 50;

/// The oldest packet with an OPEN that may not have arrived.
#[derive(Debug)]
pub(super) struct Opening {
    /// The first pause.
    pause: Duration,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    packet: Bytes,
    tsn: u32,
    stream: u16,
    retransmission: Retransmission,
    copies_left: u8,
}

impl Opening {
    pub(super) fn new(pause: Duration) -> Self {
        Self { pause, waiting: None }
    }

    /// Looks at a packet that the association sends. Of several with OPEN, one is watched at a time.
    pub(super) fn sent(&mut self, now: Timestamp, packet: &Bytes) {
        if self.waiting.is_none()
            && let Some((tsn, stream)) = read_open(packet)
        {
            let retransmission = Retransmission::start(now, self.pause);
            let packet = packet.clone();
            self.waiting = Some(Waiting { packet, tsn, stream, retransmission, copies_left: MAX_COPIES });
        }
    }

    /// Looks at a packet of the peer: a SACK tells what has arrived, and so does the answer to the OPEN.
    pub(super) fn received(&mut self, chunks: &[Chunk<'_>]) {
        if let Some(waiting) = &self.waiting
            && chunks.iter().any(|chunk| waiting.is_answered_by(chunk))
        {
            self.waiting = None;
        }
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        self.waiting.as_ref().map(|waiting| waiting.retransmission.due())
    }

    /// A copy that is to be sent now.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<Bytes> {
        let waiting = self.waiting.as_mut().filter(|waiting| waiting.retransmission.due() <= now)?;
        waiting.retransmission.take_due(now);
        waiting.copies_left -= 1;
        let copy = waiting.packet.clone();
        if waiting.copies_left == 0 {
            self.waiting = None;
        }
        Some(copy)
    }
}

impl Waiting {
    fn is_answered_by(&self, chunk: &Chunk<'_>) -> bool {
        match chunk.kind {
            // RFC 9260 §3.3.4: the first field is the cumulative TSN, in the arithmetic of §1.6.
            chunk_type::SACK => {
                packet::u32_at(chunk.value, 0).is_some_and(|cumulative| cumulative.wrapping_sub(self.tsn) < 1 << 31)
            }
            chunk_type::DATA => {
                payload_of_dcep(chunk).is_some_and(dcep::is_ack) && packet::u16_at(chunk.value, 4) == Some(self.stream)
            }
            _ => false,
        }
    }
}

/// TSN and stream of a packet whose first chunk is DATA with an OPEN. The association puts nothing in front of DATA.
fn read_open(packet: &[u8]) -> Option<(u32, u16)> {
    let chunk = packet.get(packet::HEADER_SIZE..)?;
    let [kind, flags, _, _, ..] = *chunk else { return None };
    let value = chunk.get(packet::CHUNK_HEADER_SIZE..)?;
    let chunk = Chunk { kind, flags, value };
    (kind == chunk_type::DATA && payload_of_dcep(&chunk).is_some_and(dcep::is_open)).then_some(())?;
    Some((packet::u32_at(value, 0)?, packet::u16_at(value, 4)?))
}

fn payload_of_dcep<'a>(chunk: &Chunk<'a>) -> Option<&'a [u8]> {
    (packet::u32_at(chunk.value, 8)? == DCEP).then_some(())?;
    chunk.value.get(DATA_HEADER_SIZE..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sctp::packet::{Header, single};

    const HEADER: Header = Header { source_port: 5000, destination_port: 5000, verification_tag: 1 };
    const PAUSE: Duration = Duration::from_millis(200);

    fn data(tsn: u32, protocol: u32, payload: &[u8]) -> Vec<u8> {
        data_on(9, tsn, protocol, payload)
    }

    fn data_on(stream: u16, tsn: u32, protocol: u32, payload: &[u8]) -> Vec<u8> {
        let mut value = tsn.to_be_bytes().to_vec();
        value.extend_from_slice(&stream.to_be_bytes());
        value.extend_from_slice(&[0; 2]);
        value.extend_from_slice(&protocol.to_be_bytes());
        value.extend_from_slice(payload);
        value
    }

    fn open(tsn: u32) -> Bytes {
        single(HEADER, chunk_type::DATA, 3, &data(tsn, DCEP, &[3, 0]))
    }

    fn waiting_for(tsn: u32) -> Opening {
        let mut opening = Opening::new(PAUSE);
        opening.sent(Timestamp::ZERO, &open(tsn));
        opening
    }

    fn receive(opening: &mut Opening, kind: u8, value: &[u8]) -> bool {
        opening.received(&[Chunk { kind, flags: 3, value }]);
        opening.due().is_none()
    }

    #[test]
    fn an_open_is_sent_again_with_pauses_that_grow_to_half_a_second_and_then_left_to_the_association() {
        let mut opening = waiting_for(7);
        let mut pauses = Vec::new();
        let mut now = Timestamp::ZERO;
        while let Some(due) = opening.due() {
            assert_eq!(opening.take_due(Timestamp::from_nanos(due.as_nanos() - 1)), None);
            assert_eq!(opening.take_due(due), Some(open(7)));
            pauses.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(pauses[..4], [200, 400, 500, 500]);
        assert_eq!(pauses.len(), usize::from(MAX_COPIES));
    }

    #[test]
    fn a_sack_that_covers_it_or_its_answer_ends_that() {
        let sack = |cumulative: u32| [&cumulative.to_be_bytes()[..], &[0; 8]].concat();
        assert!(!receive(&mut waiting_for(7), chunk_type::SACK, &sack(6)));
        assert!(receive(&mut waiting_for(7), chunk_type::SACK, &sack(7)));
        assert!(receive(&mut waiting_for(u32::MAX), chunk_type::SACK, &sack(0)));
        assert!(receive(&mut waiting_for(7), chunk_type::DATA, &data(1, DCEP, &[2])));
        assert!(!receive(&mut waiting_for(7), chunk_type::DATA, &data_on(8, 1, DCEP, &[2])));
        assert!(!receive(&mut waiting_for(7), chunk_type::DATA, &data(1, DCEP, &[3])));
        assert!(!receive(&mut waiting_for(7), chunk_type::DATA, &data(1, 51, &[2])));
        for kind in [chunk_type::SACK, chunk_type::DATA] {
            assert!(!receive(&mut waiting_for(7), kind, &[0, 0]));
        }
    }

    #[test]
    fn nothing_but_an_open_is_sent_again() {
        let mut opening = Opening::new(PAUSE);
        for packet in [
            single(HEADER, chunk_type::DATA, 3, &data(1, 51, &[3])),
            single(HEADER, chunk_type::DATA, 3, &data(1, DCEP, &[2])),
            single(HEADER, chunk_type::DATA, 3, &data(1, DCEP, &[])),
            single(HEADER, chunk_type::SACK, 0, &[0; 12]),
            Bytes::from_static(&[0; 5]),
        ] {
            opening.sent(Timestamp::ZERO, &packet);
            assert_eq!(opening.due(), None);
        }
    }
}
