//! Streams that have one owner after the other.

use super::*;

/// Everything that an end sends at once.
fn flight(ends: &mut Ends, from: usize) -> Vec<Bytes> {
    std::iter::from_fn(|| ends.ends[from].poll_packet(ends.now, &mut ends.events[from])).collect()
}

/// Carries what one end sends at once to the other.
fn carry(ends: &mut Ends, from: usize) {
    flight(ends, from).iter().for_each(|packet| ends.give(1 - from, packet));
}

fn reset(ends: &mut Ends, end: usize, stream: u16) {
    ends.ends[end].reset_stream(stream, &mut ends.events[end]);
}

fn count(ends: &Ends, event: SctpEvent) -> [usize; 2] {
    ends.events.each_ref().map(|events| events.iter().filter(|&&seen| seen == event).count())
}

#[test]
fn a_stream_is_free_for_the_next_owner_only_when_all_of_the_last_was_read() {
    let mut ends = Ends::established(SETTINGS);
    for generation in 0..5 {
        assert!(ends.write(0, 3, b"unread"));
        ends.exchange();
        reset(&mut ends, 0, 3);
        ends.run(Duration::from_secs(10));
        assert_eq!(count(&ends, SctpEvent::IncomingReset(3)), [generation; 2]);
        assert_eq!(ends.read(1, 3).as_deref(), Some(&b"unread"[..]), "generation {generation}");
        ends.exchange();
        assert_eq!(count(&ends, SctpEvent::IncomingReset(3)), [generation + 1; 2]);
        assert_eq!(count(&ends, SctpEvent::ResetComplete(3)), [generation + 1; 2]);
    }
}

#[test]
fn the_reset_of_a_stream_that_was_not_read_is_answered_when_it_is_and_others_at_once() {
    let mut ends = Ends::established(SETTINGS);
    for stream in [3, 4] {
        assert!(ends.write(0, stream, b"data"));
        reset(&mut ends, 0, stream);
        ends.run(Duration::from_secs(1));
    }
    assert_eq!(ends.read(1, 4).as_deref(), Some(&b"data"[..]));
    ends.run(Duration::from_secs(10));
    // sctp-proto asks for both streams in one request, which waits for the slower one.
    let answered = usize::from(BACKEND == SctpBackend::Own);
    assert_eq!(count(&ends, SctpEvent::IncomingReset(4)), [answered, 1]);
    assert_eq!(ends.read(1, 3).as_deref(), Some(&b"data"[..]));
    ends.run(Duration::from_secs(1));
    for stream in [3, 4] {
        assert_eq!(count(&ends, SctpEvent::ResetComplete(stream)), [1; 2], "stream {stream}");
    }
}

#[test]
fn a_stream_with_unread_data_that_both_sides_close_is_free_at_once() {
    let mut ends = Ends::established(SETTINGS);
    assert!(ends.write(0, 3, b"unread"));
    ends.run(Duration::from_secs(1));
    reset(&mut ends, 0, 3);
    ends.exchange();
    assert_eq!(count(&ends, SctpEvent::IncomingReset(3)), [0; 2]);
    reset(&mut ends, 1, 3);
    ends.exchange();
    assert_eq!(count(&ends, SctpEvent::ResetComplete(3)), [1; 2]);
    assert!(ends.write(0, 3, b"next"));
    ends.exchange();
    assert_eq!(ends.read(1, 3).as_deref(), Some(&b"next"[..]));
}

#[test]
fn a_stream_that_is_used_and_closed_again_before_the_response_arrives_is_free_in_the_end() {
    let mut ends = Ends::established(SETTINGS);
    assert!(ends.write(0, 3, b"first"));
    ends.run(Duration::from_secs(1));
    assert_eq!(ends.read(1, 3).as_deref(), Some(&b"first"[..]));
    reset(&mut ends, 0, 3);
    carry(&mut ends, 0);
    carry(&mut ends, 1);
    let response = flight(&mut ends, 0);
    assert!(!response.is_empty(), "it is lost");
    assert_eq!(count(&ends, SctpEvent::ResetComplete(3)), [1, 0]);

    assert!(ends.write(0, 3, b"second"));
    carry(&mut ends, 0);
    // The second message is acknowledged before the right end repeats its request.
    ends.now = ends.ends[1].poll_timeout().unwrap().at;
    ends.ends[1].handle_timeout(ends.now, &mut ends.events[1]);
    carry(&mut ends, 1);
    reset(&mut ends, 0, 3);
    carry(&mut ends, 0);
    assert_eq!(count(&ends, SctpEvent::ResetComplete(3)), [1, 1], "the second request acknowledges the first answer");
    assert_eq!(ends.read(1, 3).as_deref(), Some(&b"second"[..]));
    ends.run(Duration::from_secs(5));
    assert_eq!(count(&ends, SctpEvent::IncomingReset(3)), [2, 2]);
    assert_eq!(count(&ends, SctpEvent::ResetComplete(3)), [2, 2]);
}

/// A packet of the right end with a message on stream 3, and one with a request to reset it.
fn message_and_reset(ends: &Ends, tsn: u32, number: u32) -> [Bytes; 2] {
    let header = ends.header_to(0);
    let mut data = tsn.to_be_bytes().to_vec();
    data.extend_from_slice(&[0, 3, 0, 0, 0, 0, 0, 53, 9]);
    let mut request = vec![0, 13, 0, 18];
    for field in [number, 0, tsn] {
        request.extend_from_slice(&field.to_be_bytes());
    }
    request.extend_from_slice(&[0, 3]);
    [packet::single(header, chunk_type::DATA, 3, &data), packet::single(header, chunk_type::RE_CONFIG, 0, &request)]
}

#[test]
fn a_peer_that_resets_a_stream_again_and_again_and_answers_nothing_is_answered_once() {
    for reads in [false, true] {
        let mut ends = Ends::established(SETTINGS);
        let first = ends.ends[1].handshake.local().initial_tsn;
        for round in 0..200 {
            let tsn = first.wrapping_add(round);
            // The next number after those that were taken, and the one that would be next had all been.
            for number in [first.wrapping_add(1), first.wrapping_add(round)] {
                let [message, request] = message_and_reset(&ends, tsn, number);
                ends.give(0, &message);
                if reads {
                    ends.read(0, 3);
                }
                ends.give(0, &request);
                flight(&mut ends, 0);
            }
        }
        assert_eq!(count(&ends, SctpEvent::IncomingReset(3))[0], usize::from(reads));
        assert_eq!(ends.lost(0), None);
    }
}
