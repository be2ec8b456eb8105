//! How much goes out at once, and what a peer can make this side keep or do.

use super::*;

const ROOMY: SctpSettings = SctpSettings { receive_window: 8 * 1024 * 1024, ..SETTINGS };

fn write_bulk(ends: &mut Ends, messages: usize) {
    static PAYLOAD: [u8; 16_384] = [7; 16_384];
    for _ in 0..messages {
        assert!(ends.write(0, 3, &PAYLOAD));
    }
}

/// Everything that an end sends at once.
fn flight(ends: &mut Ends, from: usize) -> Vec<Bytes> {
    std::iter::from_fn(|| ends.ends[from].poll_packet(ends.now, &mut ends.events[from])).collect()
}

fn size(flight: &[Bytes]) -> usize {
    flight.iter().map(Bytes::len).sum()
}

#[test]
fn slow_start_ends_at_what_the_path_carries_in_a_round_trip() {
    for (milliseconds, threshold) in [(0, 64 * 1024), (50, 625_000)] {
        let round_trip_time = Duration::from_millis(milliseconds);
        let mut ends = Ends::new(SctpSettings { round_trip_time: Some(round_trip_time), ..ROOMY });
        let inits = [flight(&mut ends, 0), flight(&mut ends, 1)];
        ends.now = ends.now + round_trip_time;
        for (from, packet) in [(1, &inits[1][0]), (0, &inits[0][0])] {
            ends.give(1 - from, packet);
        }
        ends.exchange();
        write_bulk(&mut ends, 400);
        let mut largest = 0;
        for _ in 0..12 {
            let data = flight(&mut ends, 0);
            largest = largest.max(size(&data));
            data.iter().for_each(|packet| ends.give(1, packet));
            while ends.read(1, 3).is_some() {}
            let acknowledgements = flight(&mut ends, 1);
            acknowledgements.iter().for_each(|packet| ends.give(0, packet));
        }
        // The last doubling may begin just below it, and headers come on top.
        assert!((threshold..threshold * 5 / 2).contains(&largest), "{largest} bytes at once after {milliseconds} ms");
    }
}

#[test]
fn the_window_of_a_small_peer_stays_below_the_threshold() {
    let mut ends = Ends::established(SctpSettings { receive_window: 8192, ..SETTINGS });
    write_bulk(&mut ends, 4);
    assert!(size(&flight(&mut ends, 0)) < 9000);
}

/// A flight that was lost whole, and what goes out when its timer expires.
fn after_a_lost_flight(messages: usize) -> (Ends, Vec<Bytes>, Vec<Bytes>) {
    let mut ends = Ends::established(ROOMY);
    write_bulk(&mut ends, 20);
    // Opens the congestion window.
    ends.run(Duration::from_secs(2));
    while ends.read(1, 3).is_some() {}
    ends.exchange();
    write_bulk(&mut ends, messages);
    let lost = flight(&mut ends, 0);
    ends.now = ends.ends[0].poll_timeout().unwrap().at;
    ends.ends[0].handle_timeout(ends.now, &mut ends.events[0]);
    let again = flight(&mut ends, 0);
    (ends, lost, again)
}

#[test]
fn a_retransmission_timeout_lets_out_a_few_packets_and_not_the_whole_flight() {
    for messages in [2, 40] {
        let (mut ends, lost, again) = after_a_lost_flight(messages);
        assert!(lost.len() > 20, "{} packets", lost.len());
        assert!((1..=10).contains(&again.len()), "{} packets of {}", again.len(), lost.len());
        assert_eq!(flight(&mut ends, 0), Vec::<Bytes>::new());
    }
}

#[test]
fn a_flight_that_was_lost_is_sent_again_as_it_is_acknowledged() {
    for messages in [2, 40] {
        let (mut ends, lost, again) = after_a_lost_flight(messages);
        again.iter().for_each(|packet| ends.give(1, packet));
        let mut rounds = 0;
        let mut read = 0;
        while read < messages {
            while ends.read(1, 3).is_some() {
                read += 1;
            }
            let acknowledgements = flight(&mut ends, 1);
            assert!(!acknowledgements.is_empty() || read == messages, "the peer waits after {rounds} rounds");
            acknowledgements.iter().for_each(|packet| ends.give(0, packet));
            let data = flight(&mut ends, 0);
            data.iter().for_each(|packet| ends.give(1, packet));
            rounds += 1;
        }
        assert!(rounds < lost.len(), "{rounds} round trips for {} packets", lost.len());
    }
}

/// A packet of DATA chunks of one byte to the left end, on stream 3.
fn crumbs(ends: &Ends, chunks: impl IntoIterator<Item = (u32, u8, u16)>) -> Bytes {
    let mut writer = packet::Writer::new(ends.header_to(0));
    let first = ends.ends[1].handshake.local().initial_tsn;
    for (offset, flags, sequence_number) in chunks {
        let mut value = first.wrapping_add(offset).to_be_bytes().to_vec();
        value.extend_from_slice(&[0, 3]);
        value.extend_from_slice(&sequence_number.to_be_bytes());
        value.extend_from_slice(&[0, 0, 0, 53, 9]);
        writer.chunk(Chunk { kind: chunk_type::DATA, flags, value: &value });
    }
    writer.finish()
}

#[test]
fn chunks_with_a_gap_before_each_are_taken_in_up_to_a_bound() {
    let mut ends = Ends::established(ROOMY);
    let before = ends.ends[0].counters().chunks_skipped;
    for batch in 0..200 {
        // Unordered beginnings at every other TSN.
        let packet = crumbs(&ends, (0..50).map(|index| (1 + 2 * (batch * 50 + index), 6, 0)));
        ends.give(0, &packet);
        flight(&mut ends, 0);
    }
    let bound = 2048;
    assert_eq!(ends.ends[0].counters().chunks_skipped - before, 200 * 50 - bound);
    assert_eq!(ends.lost(0), None);
}

#[test]
fn a_message_in_crumbs_ends_the_association() {
    let messages: [fn(u32) -> u8; 4] =
        [|offset| if offset == 0 { 2 } else { 0 }, |offset| if offset == 0 { 6 } else { 4 }, |_| 6, |_| 5];
    for flags in messages {
        let mut ends = Ends::established(ROOMY);
        let mut taken = 0;
        while ends.lost(0).is_none() && taken < 10_000 {
            let packet = crumbs(&ends, (taken..taken + 50).map(|offset| (offset, flags(offset), 0)));
            ends.give(0, &packet);
            flight(&mut ends, 0);
            taken += 50;
        }
        assert_eq!(ends.lost(0).map(|failure| failure.reason), Some(SctpFailureReason::PeerMisbehaved), "{}", flags(1));
        assert!(taken < 1000, "{taken} fragments of a message of at most {} bytes", ROOMY.max_receive_message_size);
    }
}

/// An ordered message to the left end, on stream 3.
fn ordered(ends: &Ends, offset: u32, sequence_number: u16, payload: &[u8]) -> Bytes {
    let mut value = ends.ends[1].handshake.local().initial_tsn.wrapping_add(offset).to_be_bytes().to_vec();
    value.extend_from_slice(&[0, 3]);
    value.extend_from_slice(&sequence_number.to_be_bytes());
    value.extend_from_slice(&[0, 0, 0, 53]);
    value.extend_from_slice(payload);
    packet::single(ends.header_to(0), chunk_type::DATA, 3, &value)
}

/// The window that the left end tells last, in bytes.
fn window(ends: &mut Ends) -> u32 {
    let packets = flight(ends, 0);
    let chunks = packets.iter().flat_map(|packet| packet::parse(packet).unwrap().1);
    let sacks = chunks.filter(|chunk| chunk.kind == chunk_type::SACK);
    sacks.filter_map(|chunk| chunk::sack::read(&chunk)).last().unwrap().window
}

#[test]
fn messages_behind_one_that_never_comes_take_the_window_and_not_more() {
    let mut ends = Ends::established(SETTINGS);
    let mut taken = 0;
    while ends.lost(0).is_none() {
        assert!(taken < SETTINGS.receive_window + 1000, "{taken} bytes wait");
        let number = taken / 1000;
        let message = ordered(&ends, number, u16::try_from(number + 1).unwrap(), &[7; 1000]);
        ends.give(0, &message);
        flight(&mut ends, 0);
        taken += 1000;
    }
    assert_eq!(ends.lost(0).map(|failure| failure.reason), Some(SctpFailureReason::PeerMisbehaved));
    assert!(taken >= SETTINGS.receive_window, "{taken} bytes do not fill the window");
}

#[test]
fn messages_wait_for_one_before_them_up_to_half_the_sequence_numbers_ahead() {
    let mut ends = Ends::established(SETTINGS);
    let waiting = [1, 100, 32_767, 32_768];
    let old = [32_769, 50_000, u16::MAX];
    for (offset, &sequence_number) in (0..).zip(waiting.iter().chain(&old)) {
        let message = ordered(&ends, offset, sequence_number, &[7; 1000]);
        ends.give(0, &message);
    }
    assert_eq!(window(&mut ends), SETTINGS.receive_window - 1000 * 4);
    assert_eq!(ends.read(0, 3), None);
}

#[test]
fn answers_wait_up_to_a_bound_while_nothing_can_be_sent() {
    let mut ends = Ends::established(SETTINGS);
    let header = ends.header_to(0);
    let heartbeat = packet::single(header, chunk_type::HEARTBEAT, 0, &[0, 1, 0, 8, 1, 2, 3, 4]);
    let unknown = packet::single(header, 0xFF, 0, b"unknown");
    for round in 0..3 {
        for _ in 0..100 {
            ends.give(0, &heartbeat);
            ends.give(0, &unknown);
        }
        let answers = flight(&mut ends, 0);
        let kinds: Vec<u8> =
            answers.iter().flat_map(|packet| packet::parse(packet).unwrap().1).map(|chunk| chunk.kind).collect();
        let count = |kind| kinds.iter().filter(|&&seen| seen == kind).count();
        assert_eq!((count(chunk_type::HEARTBEAT_ACK), count(chunk_type::ERROR)), (8, 8), "round {round}");
    }
}

fn shutting_down() -> Ends {
    let mut ends = Ends::established(SETTINGS);
    let shutdown = packet::single(ends.header_to(0), chunk_type::SHUTDOWN, 0, &[0; 4]);
    ends.give(0, &shutdown);
    assert!(ends.ends[0].is_shutting_down());
    assert_eq!(flight(&mut ends, 0).len(), 1);
    ends
}

#[test]
fn a_shutdown_that_does_not_come_to_its_end_is_ended() {
    let mut ends = shutting_down();
    for _ in 0..100 {
        let Some(deadline) = ends.ends[0].poll_timeout() else { break };
        ends.now = deadline.at;
        ends.ends[0].handle_timeout(ends.now, &mut ends.events[0]);
        flight(&mut ends, 0);
    }
    assert_eq!(ends.lost(0).map(|failure| failure.reason), Some(SctpFailureReason::ShutDownByPeer));
    assert_eq!(ends.now.since_epoch(), Duration::from_millis(15_001));
}

#[test]
fn a_shutdown_is_complete_with_either_tag() {
    for reflected in [false, true] {
        let mut ends = shutting_down();
        let (header, flags) =
            if reflected { (ends.ends[0].handshake.header().unwrap(), TAG_REFLECTED) } else { (ends.header_to(0), 0) };
        ends.give(0, &packet::single(header, chunk_type::SHUTDOWN_COMPLETE, flags, &[]));
        assert_eq!(ends.lost(0).map(|failure| failure.reason), Some(SctpFailureReason::ShutDownByPeer), "{reflected}");
    }
}

#[test]
fn a_shutdown_complete_without_shutdown_is_ignored() {
    let mut ends = Ends::established(SETTINGS);
    let before = ends.ends[0].counters().chunks_skipped;
    let complete = packet::single(ends.header_to(0), chunk_type::SHUTDOWN_COMPLETE, 0, &[]);
    ends.give(0, &complete);
    assert_eq!(ends.lost(0), None);
    assert_eq!(ends.ends[0].counters().chunks_skipped - before, 1);
}
