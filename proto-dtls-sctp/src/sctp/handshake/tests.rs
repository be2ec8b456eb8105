use proto_machine::Seed;

use super::super::packet::parse;
use super::*;

const TIMEOUT: Duration = Duration::from_millis(200);
const TIME_LIMIT: Duration = Duration::from_secs(600);

fn start(seed: u64) -> Handshake {
    let mut rng = Seed::from_number(seed).into_rng();
    let local = Parameters::draw(100_000, 16, Extensions::default(), &mut rng);
    Handshake::start(Timestamp::ZERO, (5000, 5000), local, TIMEOUT, Some(TIME_LIMIT), rng)
}

/// The chunks that an end wants to send, with the verification tag of their packet.
fn sent(end: &mut Handshake) -> Vec<(u32, u8, Vec<u8>)> {
    std::iter::from_fn(|| end.poll_packet())
        .map(|packet| {
            let (header, chunks) = parse(&packet).unwrap();
            (header.verification_tag, chunks[0].kind, chunks[0].value.to_vec())
        })
        .collect()
}

fn give(end: &mut Handshake, now: Timestamp, (_, kind, value): &(u32, u8, Vec<u8>)) -> Outcome {
    match *kind {
        chunk_type::INIT => end.handle_init(now, value),
        chunk_type::INIT_ACK => end.handle_init_ack(now, value),
        chunk_type::COOKIE_ECHO => end.handle_cookie_echo(now, value),
        chunk_type::ERROR => end.handle_error(now, value),
        _ => end.handle_cookie_ack(),
    }
}

fn is_established(end: &Handshake) -> bool {
    matches!(end.state, State::Established { .. })
}

/// Carries everything both ways until nothing is left.
fn exchange(one: &mut Handshake, other: &mut Handshake, now: Timestamp) {
    loop {
        let (there, back) = (sent(one), sent(other));
        if there.is_empty() && back.is_empty() {
            return;
        }
        for chunk in &there {
            give(other, now, chunk);
        }
        for chunk in &back {
            give(one, now, chunk);
        }
    }
}

fn established_pair() -> (Handshake, Handshake) {
    let (mut one, mut other) = (start(1), start(2));
    exchange(&mut one, &mut other, Timestamp::from_millis(1));
    assert!(is_established(&one) && is_established(&other));
    (one, other)
}

#[test]
fn two_ends_that_both_send_init_agree_on_one_association() {
    let (one, other) = established_pair();
    let State::Established { peer } = &one.state else { panic!() };
    assert_eq!(*peer, other.local);
    let State::Established { peer } = &other.state else { panic!() };
    assert_eq!(*peer, one.local);
    assert_eq!(one.poll_timeout(), None);
}

#[test]
fn one_side_alone_can_set_the_association_up() {
    let (mut one, mut other) = (start(1), start(2));
    sent(&mut other);
    exchange(&mut one, &mut other, Timestamp::from_millis(1));
    assert!(is_established(&one) && is_established(&other));
}

#[test]
fn a_collision_is_answered_with_the_parameters_of_the_own_init() {
    let (mut one, mut other) = (start(1), start(2));
    sent(&mut one);
    let init = sent(&mut other).remove(0);
    assert_eq!(give(&mut one, Timestamp::ZERO, &init), Outcome::Unchanged);
    let (tag, kind, value) = sent(&mut one).remove(0);
    assert_eq!((tag, kind), (other.local.tag, chunk_type::INIT_ACK));
    assert_eq!(read(&value).unwrap().parameters, one.local);
    assert!(matches!(one.state, State::AwaitInitAck(_)));
}

#[test]
fn duplicates_of_every_chunk_disturb_nothing() {
    let (mut one, mut other) = (start(1), start(2));
    let mut log = Vec::new();
    loop {
        let (there, back) = (sent(&mut one), sent(&mut other));
        if there.is_empty() && back.is_empty() {
            break;
        }
        for chunk in there {
            give(&mut other, Timestamp::ZERO, &chunk);
            log.push((false, chunk));
        }
        for chunk in back {
            give(&mut one, Timestamp::ZERO, &chunk);
            log.push((true, chunk));
        }
    }
    let tags = (one.header(), other.header());
    for (to_one, chunk) in &log {
        let late = Timestamp::from_millis(600_000);
        let outcome = give(if *to_one { &mut one } else { &mut other }, late, chunk);
        assert!(matches!(outcome, Outcome::Unchanged | Outcome::UnexpectedInit | Outcome::Dropped), "{outcome:?}");
    }
    assert_eq!((one.header(), other.header()), tags);
    assert!(is_established(&one) && is_established(&other));
}

#[test]
fn a_late_init_is_answered_with_a_new_tag_and_changes_nothing() {
    let (mut one, other) = established_pair();
    let init = (0, chunk_type::INIT, other.local.to_init());
    assert_eq!(give(&mut one, Timestamp::from_millis(2), &init), Outcome::UnexpectedInit);
    let (_, kind, value) = sent(&mut one).remove(0);
    assert_eq!(kind, chunk_type::INIT_ACK);
    assert_ne!(read(&value).unwrap().parameters.tag, one.local.tag);
    assert!(is_established(&one));
}

#[test]
fn a_peer_that_restarts_is_recognised_by_its_tags() {
    let (mut one, _) = established_pair();
    let mut restarted = start(3);
    let now = Timestamp::from_millis(2);
    let init = sent(&mut restarted).remove(0);
    assert_eq!(give(&mut one, now, &init), Outcome::UnexpectedInit);
    give(&mut restarted, now, &sent(&mut one).remove(0));
    let echo = sent(&mut restarted).remove(0);
    assert_eq!(give(&mut one, now, &echo), Outcome::Restarted { peer_tag: restarted.local.tag });
}

#[test]
fn a_duplicate_cookie_echo_is_acknowledged_however_late() {
    let (mut one, mut other) = (start(1), start(2));
    sent(&mut other);
    give(&mut other, Timestamp::ZERO, &sent(&mut one).remove(0));
    give(&mut one, Timestamp::ZERO, &sent(&mut other).remove(0));
    let echo = sent(&mut one).remove(0);
    assert!(matches!(give(&mut other, Timestamp::ZERO, &echo), Outcome::Established(_)));
    sent(&mut other);
    assert_eq!(give(&mut other, Timestamp::from_millis(3_600_000), &echo), Outcome::Unchanged);
    assert_eq!(sent(&mut other).remove(0).1, chunk_type::COOKIE_ACK);
}

#[test]
fn a_forged_or_truncated_cookie_is_dropped() {
    let (mut one, mut other) = (start(1), start(2));
    sent(&mut other);
    give(&mut other, Timestamp::ZERO, &sent(&mut one).remove(0));
    give(&mut one, Timestamp::ZERO, &sent(&mut other).remove(0));
    let echo = sent(&mut one).remove(0);
    for bit in 0..echo.2.len() * 8 {
        let mut forged = echo.clone();
        forged.2[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(give(&mut other, Timestamp::ZERO, &forged), Outcome::Dropped);
    }
    for length in 0..echo.2.len() {
        let truncated = (0, echo.1, echo.2[..length].to_vec());
        assert_eq!(give(&mut other, Timestamp::ZERO, &truncated), Outcome::Dropped);
    }
    assert!(sent(&mut other).is_empty() && !is_established(&other));
}

#[test]
fn whoever_echoes_a_cookie_that_is_stale_is_told_and_asks_for_another() {
    let (mut one, mut other) = (start(1), start(2));
    sent(&mut other);
    give(&mut other, Timestamp::ZERO, &sent(&mut one).remove(0));
    give(&mut one, Timestamp::ZERO, &sent(&mut other).remove(0));
    let echo = sent(&mut one).remove(0);
    let late = Timestamp::ZERO + COOKIE_LIFETIME + Duration::from_millis(3);
    assert_eq!(give(&mut other, late, &echo), Outcome::Dropped);
    assert!(!is_established(&other));
    // RFC 9260 §3.3.10.3: in microseconds.
    let error = sent(&mut other).remove(0);
    assert_eq!(error, (one.local.tag, chunk_type::ERROR, vec![0, 3, 0, 8, 0, 0, 0x0B, 0xB8]));
    assert_eq!(give(&mut one, late, &error), Outcome::Unchanged);
    exchange(&mut one, &mut other, late);
    assert!(is_established(&one) && is_established(&other));
    // RFC 9260 §5.2.6: in any other state it says nothing.
    assert_eq!(give(&mut one, late, &error), Outcome::Dropped);
    assert!(is_established(&one));
}

#[test]
fn both_sides_connect_although_all_they_say_comes_too_late_at_first() {
    let (mut one, mut other) = (start(1), start(2));
    let mut now = Timestamp::ZERO;
    // Each packet waits in a queue for longer than a cookie lives, until the queues are gone.
    for _ in 0..3 {
        let (there, back) = (sent(&mut one), sent(&mut other));
        now = now + COOKIE_LIFETIME + Duration::from_secs(1);
        for chunk in &there {
            give(&mut other, now, chunk);
        }
        for chunk in &back {
            give(&mut one, now, chunk);
        }
    }
    assert!(!is_established(&one) && !is_established(&other));
    for _ in 0..4 {
        now = now + Duration::from_secs(1);
        one.handle_timeout(now);
        other.handle_timeout(now);
        exchange(&mut one, &mut other, now);
    }
    assert!(is_established(&one) && is_established(&other));
}

#[test]
fn a_peer_that_does_not_answer_in_time_is_given_up_whatever_was_answered_before() {
    let (mut silent, mut other) = (start(1), start(2));
    let mut half = start(3);
    give(&mut other, Timestamp::ZERO, &sent(&mut half).remove(0));
    sent(&mut other).iter().filter(|chunk| chunk.1 == chunk_type::INIT_ACK).for_each(|chunk| {
        give(&mut half, Timestamp::ZERO, chunk);
    });
    for end in [&mut silent, &mut half] {
        let mut outcome = Outcome::Unchanged;
        let mut now = Timestamp::ZERO;
        while outcome == Outcome::Unchanged {
            now = end.poll_timeout().unwrap();
            outcome = end.handle_timeout(now);
            sent(end);
        }
        assert_eq!((outcome, now), (Outcome::TimedOut, Timestamp::ZERO + TIME_LIMIT));
    }
}

#[test]
fn an_init_that_comes_again_gets_the_cookie_that_it_got_before_however_often() {
    let (mut one, mut other) = (start(1), start(2));
    sent(&mut other);
    let init = sent(&mut one).remove(0);
    let answers: Vec<_> = (0..3 * MAX_COOKIES)
        .map(|_| {
            give(&mut other, Timestamp::ZERO, &init);
            sent(&mut other).remove(0)
        })
        .collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    // The first answer is as good as the last.
    give(&mut one, Timestamp::ZERO, &answers[0]);
    assert_eq!(give(&mut other, Timestamp::ZERO, &sent(&mut one).remove(0)), Outcome::Established(one.local));
}

#[test]
fn nothing_of_ours_can_be_read_from_a_cookie() {
    let mut one = start(1);
    for seed in [2, 3] {
        one.handle_init(Timestamp::ZERO, &start(seed).local.to_init());
    }
    sent(&mut one);
    let secrets =
        [one.local.tag.to_be_bytes(), one.local.initial_tsn.to_be_bytes(), one.cookies[0].peer.tag.to_be_bytes()];
    for cookie in &one.cookies {
        assert!(cookie.value.windows(4).all(|window| !secrets.contains(&window.try_into().unwrap())));
    }
    assert_ne!(one.cookies[0].value, one.cookies[1].value);
}

#[test]
fn a_flood_of_inits_leaves_a_bounded_number_of_cookies_and_answers() {
    let mut one = start(1);
    for seed in 0..100 {
        one.handle_init(Timestamp::ZERO, &start(seed + 2).local.to_init());
    }
    assert_eq!(one.cookies.len(), MAX_COOKIES);
    assert!(sent(&mut one).len() <= MAX_COOKIES * 2);
}

#[test]
fn init_and_cookie_echo_are_sent_again_with_growing_pauses_up_to_half_a_second() {
    let mut one = start(1);
    let mut pauses = Vec::new();
    let mut now = Timestamp::ZERO;
    for _ in 0..8 {
        assert_eq!(sent(&mut one).len(), 1);
        let due = one.poll_timeout().unwrap();
        pauses.push((due - now).as_millis());
        one.handle_timeout(Timestamp::from_nanos(due.as_nanos() - 1));
        assert!(sent(&mut one).is_empty());
        now = due;
        one.handle_timeout(now);
    }
    assert_eq!(pauses, [200, 400, 500, 500, 500, 500, 500, 500]);
    let mut other = start(2);
    sent(&mut other);
    give(&mut other, now, &sent(&mut one).remove(0));
    give(&mut one, now, &sent(&mut other).remove(0));
    let first = sent(&mut one);
    now = one.poll_timeout().unwrap();
    one.handle_timeout(now);
    assert_eq!(sent(&mut one), first);
}

#[test]
fn a_round_trip_is_measured_only_on_what_was_sent_once() {
    let (mut one, mut other) = (start(1), start(2));
    sent(&mut other);
    give(&mut other, Timestamp::ZERO, &sent(&mut one).remove(0));
    let answer = sent(&mut other).remove(0);
    give(&mut one, Timestamp::from_millis(70), &answer);
    assert_eq!(one.round_trip_time(), Some(Duration::from_millis(70)));
    let mut late = start(1);
    late.handle_timeout(Timestamp::from_millis(200));
    give(&mut late, Timestamp::from_millis(210), &answer);
    assert_eq!(late.round_trip_time(), None);
}

#[test]
fn an_init_with_a_zero_where_none_may_be_or_too_small_a_window_is_refused() {
    let good = start(2).local;
    let bad = [
        (Parameters { tag: 0, ..good }, true),
        (Parameters { outbound_streams: 0, ..good }, true),
        (Parameters { inbound_streams: 0, ..good }, true),
        (Parameters { window: 1499, ..good }, false),
    ];
    for (parameters, ends_set_up) in bad {
        let mut one = start(1);
        sent(&mut one);
        assert_eq!(one.handle_init(Timestamp::ZERO, &parameters.to_init()), Outcome::Dropped);
        let answers: Vec<u8> = sent(&mut one).iter().map(|(_, kind, _)| *kind).collect();
        assert!(answers.iter().all(|&kind| kind == chunk_type::ABORT), "{answers:?}");
        let outcome = one.handle_init_ack(Timestamp::ZERO, &parameters.to_init());
        assert_eq!(matches!(outcome, Outcome::Refused { .. }), ends_set_up, "{outcome:?}");
        assert!(matches!(one.state, State::AwaitInitAck(_)));
    }
    assert_eq!(start(1).handle_init(Timestamp::ZERO, &good.to_init()), Outcome::Unchanged);
}

#[test]
fn what_is_not_said_is_not_read() {
    let all = Extensions { interleaving: true, zero_checksum: true };
    let full = Parameters::draw(4096, 8, all, &mut Seed::from_number(1).into_rng());
    for said in [
        full,
        Parameters { forward_tsn: false, ..full },
        Parameters { reconfiguration: false, ..full },
        Parameters { interleaving: false, interleaved_forward_tsn: false, ..full },
        Parameters { zero_checksum: false, ..full },
    ] {
        assert_eq!(Parameters::from_init(&said.to_init()), Some(said));
    }
}

#[test]
fn an_init_ack_without_cookie_is_refused() {
    let mut one = start(1);
    let outcome = one.handle_init_ack(Timestamp::ZERO, &start(2).local.to_init());
    assert!(matches!(outcome, Outcome::Refused { cause_code: cause::MISSING_MANDATORY_PARAMETER, .. }), "{outcome:?}");
}

#[test]
fn an_init_truncated_anywhere_never_panics() {
    let mut value = start(2).local.to_init();
    packet::put_parameter(&mut value, Parameter { kind: parameter_type::STATE_COOKIE, value: &[7; 32] });
    for length in 0..value.len() {
        start(1).handle_init(Timestamp::ZERO, &value[..length]);
        start(1).handle_init_ack(Timestamp::ZERO, &value[..length]);
    }
}

#[test]
fn unknown_parameters_are_skipped_or_reported_according_to_their_high_bits() {
    let mut value = start(2).local.to_init();
    // Zero checksum (RFC 9653), as libdatachannel sends it: 10, skip. Adaptation layer (RFC 5061): 11, skip and report.
    packet::put_parameter(&mut value, Parameter { kind: 0x8001, value: &[0, 0, 0, 1] });
    packet::put_parameter(&mut value, Parameter { kind: 0xC006, value: &[1, 2, 3, 4] });
    let mut one = start(1);
    sent(&mut one);
    assert_eq!(one.handle_init(Timestamp::ZERO, &value), Outcome::Unchanged);
    let (_, _, answer) = sent(&mut one).remove(0);
    let reported: Vec<_> = packet::parameters(&answer[16..])
        .flatten()
        .filter(|parameter| parameter.kind == parameter_type::UNRECOGNIZED_PARAMETER)
        .map(|parameter| parameter.value.to_vec())
        .collect();
    assert_eq!(reported, [[0xC0, 6, 0, 8, 1, 2, 3, 4]]);
}

#[test]
fn a_flood_of_reportable_parameters_is_reported_up_to_a_bound() {
    let mut value = start(2).local.to_init();
    for _ in 0..100 {
        packet::put_parameter(&mut value, Parameter { kind: 0xC006, value: &[1; 60] });
    }
    let mut report = Vec::new();
    put_unrecognized(&mut report, &read(&value).unwrap().unrecognized);
    assert!(!report.is_empty() && report.len() <= MAX_UNRECOGNIZED, "{} bytes", report.len());
}

#[test]
fn partial_reliability_is_known_from_either_parameter() {
    let without = Parameters { forward_tsn: false, ..start(2).local };
    assert!(!read(&without.to_init()).unwrap().parameters.forward_tsn);
    let mut value = without.to_init();
    packet::put_parameter(&mut value, Parameter { kind: parameter_type::FORWARD_TSN_SUPPORTED, value: &[] });
    assert!(read(&value).unwrap().parameters.forward_tsn);
    let mut value = without.to_init();
    packet::put_parameter(
        &mut value,
        Parameter { kind: parameter_type::SUPPORTED_EXTENSIONS, value: &[chunk_type::FORWARD_TSN] },
    );
    assert!(read(&value).unwrap().parameters.forward_tsn);
}
