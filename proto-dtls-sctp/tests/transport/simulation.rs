//! Two runs with equal seeds.

use std::time::Duration;

use proto_dtls_sctp::{DataChannelOptions, Message, SecureEvent};

use crate::common::{LEFT, Pair, Path, RIGHT};

/// What a session on a bad path puts on the wire, and when, and what its applications see.
fn transcript(seed: u64) -> Vec<(u128, usize, Vec<u8>)> {
    let path = Path { loss: 100, duplication: 50, jitter: Duration::from_millis(30), ..Path::default() };
    let mut pair = Pair::new(seed, path);
    pair.records = true;
    let ordered = pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("ordered")).unwrap();
    pair.ends[RIGHT].transport.create_channel(pair.now, DataChannelOptions::new("other")).unwrap();
    pair.connect();
    for number in 0..50_u8 {
        pair.send(LEFT, ordered, Message::binary(vec![number; 2_000]));
        pair.rest(Duration::from_millis(7));
    }
    pair.rest(Duration::from_secs(10));
    pair.ends[LEFT].transport.close_channel(pair.now, ordered).unwrap();
    pair.rest(Duration::from_secs(10));
    assert!(pair.ends[LEFT].has(&SecureEvent::ChannelClosed { channel: ordered }));
    pair.ends[LEFT].transport.close(pair.now);
    pair.rest(Duration::from_secs(1));
    let [left, right] = pair.ends;
    let sent = |end: usize, sent: Vec<(proto_machine::Timestamp, Vec<u8>)>| {
        sent.into_iter().map(move |(at, datagram)| (at.since_epoch().as_nanos(), end, datagram))
    };
    sent(LEFT, left.sent).chain(sent(RIGHT, right.sent)).collect()
}

#[test]
fn equal_seeds_put_datagrams_of_equal_lengths_on_the_wire_at_equal_times() {
    let lengths =
        |seed| transcript(seed).into_iter().map(|(at, end, datagram)| (at, end, datagram.len())).collect::<Vec<_>>();
    for seed in 0..10 {
        assert_eq!(lengths(seed), lengths(seed), "seed {seed}");
    }
    assert_ne!(lengths(1), lengths(2));
}

#[test]
fn equal_seeds_put_equal_bytes_on_the_wire_under_dtls_13() {
    for seed in 0..10 {
        assert!(transcript(seed) == transcript(seed), "seed {seed}");
    }
}

#[test]
fn a_simulated_certificate_follows_from_its_seed() {
    let [one, again, other] = [1, 1, 2].map(|seed| {
        proto_dtls_sctp::Certificate::generate(
            proto_machine::Seed::from_number(seed),
            crate::common::WALL_TIME,
            crate::common::entropy(),
        )
        .unwrap()
    });
    assert_eq!(one.fingerprint(), again.fingerprint());
    assert_ne!(one.fingerprint(), other.fingerprint());
}
