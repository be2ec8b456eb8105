//! Requests to reset streams, each stream once, and one owner of a stream after the other.
//!
//! When the peer answers a reset with the reset of its own side, the wrapped association resets ours a second time. By the time that request arrives, the peer may have given
//! the stream to a new channel, which it would close. So it is not sent: the association is told that it was performed, and the numbers of later requests close the gap.
//!
//! The association also answers the reset of a stream of which not everything has been read. The peer could then use the stream again, and end it again, while this side still
//! reads for the first owner; the association would keep what comes for each of them apart without a bound, and say nothing in between. So the answer is held back until
//! everything has been read, and a request for a stream that is in use again before it was free here is not passed on: the peer repeats it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::sctp::packet::{self, Chunk, Header, Parameter, chunk_type};

/// RFC 6525 §4.1: Outgoing SSN Reset Request Parameter.
pub(super) const OUTGOING_RESET: u16 = 13;
/// RFC 6525 §4.4: Re-configuration Response Parameter.
pub(super) const RESPONSE: u16 = 16;
/// The result "Success - Performed" of a response.
const PERFORMED: u32 = 1;
/// The result "In progress" of a response.
const IN_PROGRESS: u32 = 6;
/// Bytes of a request in front of its streams: three numbers.
const REQUEST_HEADER_SIZE: usize = 12;

/// Which streams are being reset.
#[derive(Debug)]
pub(super) struct Resets {
    /// The number of the request, as the association counts, that covers a stream.
    covering: BTreeMap<u16, u32>,
    /// Requests that were not sent.
    withheld: u32,
    /// Streams that this side may reset: it wants to, or everything before the reset of the peer has been read.
    over: BTreeSet<u16>,
    /// A request that waits until all of its streams may be reset. There is only one at a time (RFC 6525 §5.1.1).
    held: Option<Bytes>,
    /// Streams that the peer has reset and that are not free again.
    of_peer: BTreeSet<u16>,
    /// The number of the next request of the peer.
    next_of_peer: u32,
    /// Whether the last one has no final answer.
    awaits_answer: bool,
}

/// What becomes of a packet with a RE-CONFIG chunk.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Outgoing {
    /// It is sent.
    Send(Bytes),
    /// It is not sent yet.
    Hold,
    /// It is not sent; the association is to be given this value of a RE-CONFIG chunk in answer.
    Answer(Vec<u8>),
}

/// What becomes of a RE-CONFIG chunk of the peer.
#[derive(PartialEq, Eq, Debug, Default)]
pub(super) struct Incoming {
    /// What is passed on in place of its value; `None` if it is fine as it is.
    pub(super) changed: Option<Vec<u8>>,
    /// The request in it that the association has not seen before.
    pub(super) request: Option<Request>,
}

/// A request to reset the outgoing streams of its sender.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Request {
    number: u32,
    /// The request of the other side that it acknowledges.
    acknowledged: u32,
    /// None means all.
    streams: Vec<u16>,
}

impl Request {
    fn read(value: &[u8]) -> Option<Self> {
        let streams = value.get(REQUEST_HEADER_SIZE..)?.chunks_exact(2);
        Some(Self {
            number: packet::u32_at(value, 0)?,
            acknowledged: packet::u32_at(value, 4)?,
            streams: streams.filter_map(|stream| packet::u16_at(stream, 0)).collect(),
        })
    }

    /// The streams that it names, of these.
    fn among<'a>(&self, known: &'a [u16]) -> impl Iterator<Item = u16> + use<'a> {
        // A request names up to thousands of streams, the same ones again and again if it pleases.
        let named: BTreeSet<u16> = self.streams.iter().copied().collect();
        known.iter().copied().filter(move |stream| named.is_empty() || named.contains(stream))
    }
}

impl Resets {
    /// The first request of the peer has the number of its first TSN (RFC 6525 §4.1).
    pub(super) fn new(initial_tsn_of_peer: u32) -> Self {
        Self {
            covering: BTreeMap::new(),
            withheld: 0,
            over: BTreeSet::new(),
            held: None,
            of_peer: BTreeSet::new(),
            next_of_peer: initial_tsn_of_peer,
            awaits_answer: false,
        }
    }

    /// The application is done with the stream.
    pub(super) fn want(&mut self, stream: u16) {
        self.over.insert(stream);
    }

    /// The peer has reset the stream, and all that came before has been read.
    pub(super) fn finish(&mut self, stream: u16) {
        self.over.insert(stream);
        self.of_peer.insert(stream);
    }

    /// The stream is free, or lost: a later request for it is another matter.
    pub(super) fn forget(&mut self, stream: u16) {
        self.covering.remove(&stream);
        self.over.remove(&stream);
        self.of_peer.remove(&stream);
    }

    /// The packet that was held, to be looked at again.
    pub(super) fn release(&mut self) -> Option<Bytes> {
        self.held.take()
    }

    /// Looks at a packet that the association wants to send.
    pub(super) fn outgoing(&mut self, packet: Bytes) -> Outgoing {
        let verdict = packet::parse(&packet).and_then(|(header, chunks)| self.inspect(header, &chunks));
        if verdict == Some(Outgoing::Hold) {
            self.held = Some(packet);
            return Outgoing::Hold;
        }
        verdict.unwrap_or(Outgoing::Send(packet))
    }

    /// `None` if the packet is fine as it is.
    fn inspect(&mut self, header: Header, chunks: &[Chunk<'_>]) -> Option<Outgoing> {
        let [Chunk { kind: chunk_type::RE_CONFIG, value, .. }] = chunks else { return None };
        let parameter = packet::parameters(value).next()??;
        if parameter.kind == RESPONSE {
            self.note_answer(parameter.value);
        }
        let value = (parameter.kind == OUTGOING_RESET).then_some(parameter.value)?;
        let Request { number, streams, .. } = Request::read(value)?;
        if !streams.iter().all(|stream| self.over.contains(stream)) {
            return Some(Outgoing::Hold);
        }
        let fresh: Vec<u16> = streams
            .iter()
            .copied()
            .filter(|&stream| *self.covering.entry(stream).or_insert(number) == number)
            .collect();
        if fresh.is_empty() && !streams.is_empty() {
            self.withheld = self.withheld.wrapping_add(1);
            let mut answer = Vec::new();
            put_performed(&mut answer, number);
            return Some(Outgoing::Answer(answer));
        }
        if fresh.len() == streams.len() && self.withheld == 0 {
            return None;
        }
        let mut changed = number.wrapping_sub(self.withheld).to_be_bytes().to_vec();
        changed.extend_from_slice(value.get(4..REQUEST_HEADER_SIZE)?);
        changed.extend(fresh.iter().flat_map(|stream| stream.to_be_bytes()));
        let mut value = Vec::new();
        packet::put_parameter(&mut value, Parameter { kind: OUTGOING_RESET, value: &changed });
        // The padding of the last parameter is that of the chunk (RFC 9260 §3.2.1).
        value.truncate(packet::CHUNK_HEADER_SIZE + changed.len());
        Some(Outgoing::Send(packet::single(header, chunk_type::RE_CONFIG, 0, &value)))
    }

    fn note_answer(&mut self, response: &[u8]) {
        let last = self.next_of_peer.wrapping_sub(1);
        if packet::u32_at(response, 0) == Some(last) && packet::u32_at(response, 4) != Some(IN_PROGRESS) {
            self.awaits_answer = false;
        }
    }

    /// Looks at the value of a RE-CONFIG chunk of the peer. `known` are the streams that the association knows.
    pub(super) fn incoming(&self, value: &[u8], known: &[u16]) -> Incoming {
        let parameters = packet::parameters(value).flatten();
        let request = parameters
            .filter(|parameter| parameter.kind == OUTGOING_RESET)
            .find_map(|parameter| Request::read(parameter.value))
            .filter(|request| request.number == self.next_of_peer);
        match request {
            Some(request) if !self.is_timely(&request, known) => {
                let rest = without_request(value, &request);
                Incoming { changed: Some(self.translate(&rest).unwrap_or(rest)), request: None }
            }
            request => Incoming { changed: self.translate(value), request },
        }
    }

    /// Whether a new request is one that the association bears: the last is answered, and it ends no stream that is used again before it is free.
    fn is_timely(&self, request: &Request, known: &[u16]) -> bool {
        !self.awaits_answer && !request.among(known).any(|stream| self.of_peer.contains(&stream))
    }

    /// The association is given a new request of the peer.
    pub(super) fn accept(&mut self, request: &Request, known: &[u16]) {
        self.next_of_peer = request.number.wrapping_add(1);
        self.awaits_answer = true;
        self.of_peer.extend(request.among(known));
    }

    /// Translates the numbers of own requests in a RE-CONFIG chunk of the peer. `None` if it is fine as it is.
    fn translate(&self, value: &[u8]) -> Option<Vec<u8>> {
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

/// What is left of a RE-CONFIG chunk without the request: the response beside it, and the one that it implies (RFC 6525 §5.2.2 E1).
fn without_request(value: &[u8], request: &Request) -> Vec<u8> {
    let mut rest = Vec::new();
    for parameter in packet::parameters(value).flatten().filter(|parameter| parameter.kind == RESPONSE) {
        packet::put_parameter(&mut rest, parameter);
    }
    put_performed(&mut rest, request.acknowledged);
    rest
}

fn put_performed(bytes: &mut Vec<u8>, number: u32) {
    let result = [number.to_be_bytes(), PERFORMED.to_be_bytes()].concat();
    packet::put_parameter(bytes, Parameter { kind: RESPONSE, value: &result });
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

    /// With so many streams that this side may reset.
    fn resets(streams: u16) -> Resets {
        let mut resets = Resets::new(500);
        (0..streams).for_each(|stream| resets.want(stream));
        resets
    }

    /// The value of the chunk in a packet.
    fn value_of(packet: &[u8]) -> Vec<u8> {
        packet::parse(packet).unwrap().1[0].value.to_vec()
    }

    #[test]
    fn a_request_and_its_retransmission_are_sent_as_they_are() {
        let mut resets = resets(8);
        for _ in 0..3 {
            assert_eq!(resets.outgoing(request(10, &[1, 2])), Outgoing::Send(request(10, &[1, 2])));
        }
        assert_eq!(resets.outgoing(request(11, &[3])), Outgoing::Send(request(11, &[3])));
    }

    #[test]
    fn a_second_request_for_the_same_streams_is_answered_here_and_leaves_no_gap() {
        let mut resets = resets(8);
        resets.outgoing(request(10, &[1]));
        let answer = [0, 16, 0, 12, 0, 0, 0, 11, 0, 0, 0, 1];
        assert_eq!(resets.outgoing(request(11, &[1])), Outgoing::Answer(answer.to_vec()));
        assert_eq!(resets.outgoing(request(12, &[2])), Outgoing::Send(request(11, &[2])));
        assert_eq!(resets.outgoing(request(12, &[2])), Outgoing::Send(request(11, &[2])));
    }

    #[test]
    fn of_a_request_only_the_streams_that_are_not_covered_are_sent() {
        let mut resets = resets(8);
        resets.outgoing(request(10, &[1]));
        assert_eq!(resets.outgoing(request(11, &[1, 2, 3])), Outgoing::Send(request(11, &[2, 3])));
    }

    #[test]
    fn a_stream_that_is_free_again_is_reset_again() {
        let mut resets = resets(8);
        resets.outgoing(request(10, &[1]));
        resets.forget(1);
        resets.want(1);
        assert_eq!(resets.outgoing(request(11, &[1])), Outgoing::Send(request(11, &[1])));
    }

    #[test]
    fn a_request_for_all_streams_and_a_response_are_sent_as_they_are() {
        let mut resets = resets(8);
        assert_eq!(resets.outgoing(request(10, &[])), Outgoing::Send(request(10, &[])));
        let response = packet::single(HEADER, chunk_type::RE_CONFIG, 0, &[0, 16, 0, 12, 0, 0, 0, 9, 0, 0, 0, 1]);
        assert_eq!(resets.outgoing(response.clone()), Outgoing::Send(response));
    }

    #[test]
    fn the_numbers_of_the_peer_are_translated_back() {
        let mut resets = resets(8);
        let response = [0, 16, 0, 12, 0, 0, 0, 11, 0, 0, 0, 1];
        assert_eq!(resets.incoming(&response, &[]).changed, None);
        resets.outgoing(request(10, &[1]));
        resets.outgoing(request(11, &[1]));
        assert_eq!(resets.incoming(&response, &[]).changed, Some(vec![0, 16, 0, 12, 0, 0, 0, 12, 0, 0, 0, 1]));
        let both = [&response[..], &[0, 13, 0, 18, 0, 0, 0, 99, 0, 0, 0, 11, 0, 0, 0, 5, 0, 1]].concat();
        let translated = resets.incoming(&both, &[1, 5]).changed.unwrap();
        assert_eq!(packet::u32_at(&translated, 4), Some(12));
        assert_eq!(packet::u32_at(&translated, 16), Some(99));
        assert_eq!(packet::u32_at(&translated, 20), Some(12));
    }

    #[test]
    fn a_request_is_held_until_all_of_its_streams_are_over() {
        let mut resets = Resets::new(500);
        resets.want(1);
        assert_eq!(resets.outgoing(request(10, &[1, 2])), Outgoing::Hold);
        let held = resets.release().unwrap();
        assert_eq!(resets.outgoing(held), Outgoing::Hold);
        resets.finish(2);
        let held = resets.release().unwrap();
        assert_eq!(resets.outgoing(held), Outgoing::Send(request(10, &[1, 2])));
        assert_eq!(resets.release(), None);
    }

    #[test]
    fn a_stream_that_is_in_use_again_before_it_was_free_is_not_reset_and_the_acknowledgement_in_the_request_counts() {
        let mut resets = resets(8);
        let first = value_of(&request(500, &[1, 2]));
        let taken = resets.incoming(&first, &[1, 3]).request.unwrap();
        resets.accept(&taken, &[1, 3]);
        assert_eq!(resets.incoming(&first, &[1, 3]), Incoming::default(), "a retransmission is for the association");
        let answer = packet::single(HEADER, chunk_type::RE_CONFIG, 0, &[0, 16, 0, 12, 0, 0, 1, 244, 0, 0, 0, 1]);
        resets.outgoing(answer);
        for (streams, known, passes) in [
            (&[1][..], &[1, 2, 3][..], false),
            (&[], &[1, 2, 3], false),
            (&[1], &[2, 3], true),
            (&[2, 3], &[1, 2, 3], true),
        ] {
            let incoming = resets.incoming(&value_of(&request(501, streams)), known);
            let implied = vec![0, 16, 0, 12, 0, 0, 1, 244, 0, 0, 0, 1];
            assert_eq!(incoming.changed, (!passes).then_some(implied), "streams {streams:?} of {known:?}");
            assert_eq!(incoming.request.is_some(), passes, "streams {streams:?} of {known:?}");
        }
        resets.forget(1);
        assert!(resets.incoming(&value_of(&request(501, &[1])), &[1]).request.is_some());
    }

    #[test]
    fn a_second_request_of_the_peer_waits_for_the_final_answer_to_the_first() {
        let mut resets = Resets::new(500);
        let first = resets.incoming(&value_of(&request(500, &[1])), &[]).request.unwrap();
        resets.accept(&first, &[]);
        for (result, passes) in [(IN_PROGRESS, false), (PERFORMED, true)] {
            let mut answer = Vec::new();
            let value = [500, result].map(u32::to_be_bytes).concat();
            packet::put_parameter(&mut answer, Parameter { kind: RESPONSE, value: &value });
            resets.outgoing(packet::single(HEADER, chunk_type::RE_CONFIG, 0, &answer));
            assert_eq!(
                resets.incoming(&value_of(&request(501, &[2])), &[]).request.is_some(),
                passes,
                "result {result}"
            );
        }
    }

    #[test]
    fn a_response_beside_a_request_that_is_not_passed_on_is_passed_on() {
        let mut resets = resets(8);
        resets.finish(1);
        let response = [0, 16, 0, 12, 0, 0, 0, 11, 0, 0, 0, 1];
        let both = [&response[..], &value_of(&request(500, &[1]))].concat();
        let implied = [0, 16, 0, 12, 0, 0, 1, 244, 0, 0, 0, 1];
        assert_eq!(resets.incoming(&both, &[1, 5]).changed, Some([response, implied].concat()));
        resets.outgoing(request(10, &[1]));
        resets.outgoing(request(11, &[1]));
        let translated = resets.incoming(&both, &[1, 5]).changed.unwrap();
        assert_eq!((packet::u32_at(&translated, 4), packet::u32_at(&translated, 16)), (Some(12), Some(501)));
    }
}
