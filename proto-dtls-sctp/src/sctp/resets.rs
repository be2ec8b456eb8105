//! Requests to reset streams, each stream once.
//!
//! When the peer answers a reset with the reset of its own side, the wrapped association resets ours a second time. By the time that request arrives, the peer may have given
//! the stream to a new channel, which it would close. So it is not sent: the association is told that it was performed, and the numbers of later requests close the gap.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::packet::{self, Chunk, Header, Parameter, chunk_type};

/// RFC 6525 §4.1: Outgoing SSN Reset Request Parameter.
pub(super) const OUTGOING_RESET: u16 = 13;
/// RFC 6525 §4.4: Re-configuration Response Parameter.
pub(super) const RESPONSE: u16 = 16;
/// The result "Success - Performed" of a response.
const PERFORMED: u32 = 1;
/// Bytes of a request in front of its streams: three numbers.
const REQUEST_HEADER_SIZE: usize = 12;

/// Which streams are being reset.
#[derive(Debug, Default)]
pub(super) struct Resets {
    /// The number of the request, as the association counts, that covers a stream.
    covering: BTreeMap<u16, u32>,
    /// Requests that were not sent.
    withheld: u32,
}

/// What becomes of a packet with a RE-CONFIG chunk.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Outgoing {
    /// It is sent.
    Send(Bytes),
    /// It is not sent; the association is to be given this value of a RE-CONFIG chunk in answer.
    Answer(Vec<u8>),
}

impl Resets {
    /// The stream is free, or lost: a later request for it is another matter.
    pub(super) fn forget(&mut self, stream: u16) {
        self.covering.remove(&stream);
    }

    /// Looks at a packet that the association wants to send.
    pub(super) fn outgoing(&mut self, packet: Bytes) -> Outgoing {
        let rewritten = packet::parse(&packet).and_then(|(header, chunks)| self.inspect(header, &chunks));
        rewritten.unwrap_or(Outgoing::Send(packet))
    }

    /// `None` if the packet is fine as it is.
    fn inspect(&mut self, header: Header, chunks: &[Chunk<'_>]) -> Option<Outgoing> {
        let [Chunk { kind: chunk_type::RE_CONFIG, value, .. }] = chunks else { return None };
        let request = packet::parameters(value).next()?.filter(|parameter| parameter.kind == OUTGOING_RESET)?;
        let number = packet::u32_at(request.value, 0)?;
        let streams: Vec<u16> = (REQUEST_HEADER_SIZE..request.value.len())
            .step_by(2)
            .filter_map(|offset| packet::u16_at(request.value, offset))
            .collect();
        let fresh: Vec<u16> = streams
            .iter()
            .copied()
            .filter(|&stream| *self.covering.entry(stream).or_insert(number) == number)
            .collect();
        if fresh.is_empty() && !streams.is_empty() {
            self.withheld = self.withheld.wrapping_add(1);
            let result = [number.to_be_bytes(), PERFORMED.to_be_bytes()].concat();
            let mut answer = Vec::new();
            packet::put_parameter(&mut answer, Parameter { kind: RESPONSE, value: &result });
            return Some(Outgoing::Answer(answer));
        }
        if fresh.len() == streams.len() && self.withheld == 0 {
            return None;
        }
        let mut changed = number.wrapping_sub(self.withheld).to_be_bytes().to_vec();
        changed.extend_from_slice(request.value.get(4..REQUEST_HEADER_SIZE)?);
        changed.extend(fresh.iter().flat_map(|stream| stream.to_be_bytes()));
        let mut value = Vec::new();
        packet::put_parameter(&mut value, Parameter { kind: OUTGOING_RESET, value: &changed });
        // The padding of the last parameter is that of the chunk (RFC 9260 §3.2.1).
        value.truncate(packet::CHUNK_HEADER_SIZE + changed.len());
        Some(Outgoing::Send(packet::single(header, chunk_type::RE_CONFIG, 0, &value)))
    }

    /// Translates the numbers of own requests in a RE-CONFIG chunk of the peer. `None` if it is fine as it is.
    pub(super) fn incoming(&self, value: &[u8]) -> Option<Vec<u8>> {
        if self.withheld == 0 {
            return None;
        }
        let mut translated = value.to_vec();
        let mut offset = 0;
        for parameter in packet::parameters(value).flatten() {
            // A response begins with the number; a request has it behind its own (RFC 6525 §4.1).
            let at = offset + if parameter.kind == RESPONSE { 4 } else { 8 };
            if let Some(field) = translated.get_mut(at..at + 4)
                && let Some(number) = packet::u32_at(value, at)
            {
                field.copy_from_slice(&number.wrapping_add(self.withheld).to_be_bytes());
            }
            offset += (4 + parameter.value.len()).next_multiple_of(4);
        }
        Some(translated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { source_port: 5000, destination_port: 5000, verification_tag: 7 };

    fn request(number: u32, streams: &[u16]) -> Bytes {
        let mut value = [number, 500, 600].iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>();
        value.extend(streams.iter().flat_map(|stream| stream.to_be_bytes()));
        let mut chunk = Vec::new();
        packet::put_parameter(&mut chunk, Parameter { kind: OUTGOING_RESET, value: &value });
        chunk.truncate(4 + value.len());
        packet::single(HEADER, chunk_type::RE_CONFIG, 0, &chunk)
    }

    #[test]
    fn a_request_and_its_retransmission_are_sent_as_they_are() {
        let mut resets = Resets::default();
        for _ in 0..3 {
            assert_eq!(resets.outgoing(request(10, &[1, 2])), Outgoing::Send(request(10, &[1, 2])));
        }
        assert_eq!(resets.outgoing(request(11, &[3])), Outgoing::Send(request(11, &[3])));
    }

    #[test]
    fn a_second_request_for_the_same_streams_is_answered_here_and_leaves_no_gap() {
        let mut resets = Resets::default();
        resets.outgoing(request(10, &[1]));
        let answer = [0, 16, 0, 12, 0, 0, 0, 11, 0, 0, 0, 1];
        assert_eq!(resets.outgoing(request(11, &[1])), Outgoing::Answer(answer.to_vec()));
        assert_eq!(resets.outgoing(request(12, &[2])), Outgoing::Send(request(11, &[2])));
        assert_eq!(resets.outgoing(request(12, &[2])), Outgoing::Send(request(11, &[2])));
    }

    #[test]
    fn of_a_request_only_the_streams_that_are_not_covered_are_sent() {
        let mut resets = Resets::default();
        resets.outgoing(request(10, &[1]));
        assert_eq!(resets.outgoing(request(11, &[1, 2, 3])), Outgoing::Send(request(11, &[2, 3])));
    }

    #[test]
    fn a_stream_that_is_free_again_is_reset_again() {
        let mut resets = Resets::default();
        resets.outgoing(request(10, &[1]));
        resets.forget(1);
        assert_eq!(resets.outgoing(request(11, &[1])), Outgoing::Send(request(11, &[1])));
    }

    #[test]
    fn a_request_for_all_streams_and_a_response_are_sent_as_they_are() {
        let mut resets = Resets::default();
        assert_eq!(resets.outgoing(request(10, &[])), Outgoing::Send(request(10, &[])));
        let response = packet::single(HEADER, chunk_type::RE_CONFIG, 0, &[0, 16, 0, 12, 0, 0, 0, 9, 0, 0, 0, 1]);
        assert_eq!(resets.outgoing(response.clone()), Outgoing::Send(response));
    }

    #[test]
    fn the_numbers_of_the_peer_are_translated_back() {
        let mut resets = Resets::default();
        let response = [0, 16, 0, 12, 0, 0, 0, 11, 0, 0, 0, 1];
        assert_eq!(resets.incoming(&response), None);
        resets.outgoing(request(10, &[1]));
        resets.outgoing(request(11, &[1]));
        assert_eq!(resets.incoming(&response), Some(vec![0, 16, 0, 12, 0, 0, 0, 12, 0, 0, 0, 1]));
        let both = [&response[..], &[0, 13, 0, 18, 0, 0, 0, 99, 0, 0, 0, 11, 0, 0, 0, 5, 0, 1]].concat();
        let translated = resets.incoming(&both).unwrap();
        assert_eq!(packet::u32_at(&translated, 4), Some(12));
        assert_eq!(packet::u32_at(&translated, 16), Some(99));
        assert_eq!(packet::u32_at(&translated, 20), Some(12));
    }
}
