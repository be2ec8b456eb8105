//! How long things take, where that can be seen.

use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;
use proto_dtls_sctp::Reliability;

use crate::end::{Make, Outgoing};
use crate::link::{Faults, Opening, Pair};

fn message(stream: u16, payload: impl Into<Bytes>) -> Outgoing {
    Outgoing { stream, payload: payload.into(), ordered: true, reliability: Reliability::Reliable }
}

/// How long five bytes take that are sent while 16 MB in one stream are on their way, as messages of this size.
fn small_behind_large(makes: [Make; 2], size: usize) -> Duration {
    let faults = Faults { rate: NonZeroU64::new(12_500_000), ..Faults::NONE };
    let mut pair = Pair::new(makes, 1, faults, Opening::Both);
    assert!(pair.connect());
    for _ in 0..16_000_000 / size {
        assert!(pair.ends[0].send(pair.now, message(1, vec![7; size])));
    }
    let drain = |pair: &mut Pair| std::iter::from_fn(|| pair.ends[1].receive()).any(|(stream, _)| stream == 2);
    pair.run(Duration::from_millis(500), |pair| drain(pair));
    let sent = pair.now;
    assert!(pair.ends[0].send(pair.now, message(2, "small")));
    assert!(pair.run(Duration::from_secs(60), drain));
    pair.now - sent
}

#[test]
fn a_small_message_overtakes_a_large_one_on_another_stream_within_two_round_trips() {
    for size in [64 * 1024, 256 * 1024] {
        let took = small_behind_large([Make::OWN; 2], size);
        println!("interleaved, {size}: {took:?}; plain: {:?}", small_behind_large([Make::PLAIN; 2], size));
        // What stands in the queue of the path in front of it counts as well: a quarter of a second at most.
        assert!(took <= Duration::from_millis(80 + 250), "{took:?} behind messages of {size} bytes");
    }
}

#[test]
fn a_lost_tail_is_repaired_within_a_retransmission_timeout() {
    let mut pair = Pair::new([Make::OWN; 2], 2, Faults::NONE, Opening::Both);
    assert!(pair.connect());
    pair.faults.loss = 1000;
    assert!(pair.ends[0].send(pair.now, message(1, "lost")));
    pair.rest(Duration::from_millis(1));
    pair.faults.loss = 0;
    let start = pair.now;
    assert!(pair.run(Duration::from_secs(10), |pair| pair.ends[1].receive().is_some()));
    assert!(pair.now - start <= Duration::from_millis(300), "{:?}", pair.now - start);
}

#[test]
fn a_loss_amid_data_is_repaired_within_two_round_trips_without_the_timer() {
    let mut pair = Pair::new([Make::OWN; 2], 3, Faults::NONE, Opening::Both);
    assert!(pair.connect());
    pair.faults.loss = 1000;
    assert!(pair.ends[0].send(pair.now, message(1, vec![7; 1000])));
    pair.run(Duration::ZERO, |_| false);
    pair.faults.loss = 0;
    for _ in 0..8 {
        assert!(pair.ends[0].send(pair.now, message(1, vec![7; 1000])));
    }
    let start = pair.now;
    let mut come = 0;
    assert!(pair.run(Duration::from_secs(10), |pair| {
        come += std::iter::from_fn(|| pair.ends[1].receive()).count();
        come == 9
    }));
    assert!(pair.now - start <= Duration::from_millis(80), "{:?}", pair.now - start);
}

#[test]
fn an_idle_association_falls_silent() {
    for makes in [[Make::OWN; 2], [Make::PLAIN; 2], [Make::OWN, Make::SctpProto]] {
        let mut pair = Pair::new(makes, 4, Faults::LOSSY, Opening::Both);
        assert!(pair.connect());
        assert!(pair.ends[0].send(pair.now, message(1, vec![7; 10_000])));
        pair.rest(Duration::from_secs(60));
        let before = pair.packets;
        pair.rest(Duration::from_secs(3600));
        assert_eq!(pair.packets, before, "{makes:?}");
    }
}

#[test]
fn equal_seeds_put_equal_bytes_on_the_wire() {
    let transcript = || {
        let mut pair = Pair::new([Make::OWN; 2], 5, Faults::WILD, Opening::Both);
        assert!(pair.connect());
        for number in 0..50_u8 {
            let stream = u16::from(number % 8);
            let reliability = Reliability::MaxRetransmits(u16::from(number % 3));
            let outgoing = Outgoing { reliability, ordered: number % 2 == 0, ..message(stream, vec![number; 3000]) };
            assert!(pair.ends[0].send(pair.now, outgoing));
        }
        let mut received = Vec::new();
        pair.run(Duration::from_secs(20), |pair| {
            received.extend(std::iter::from_fn(|| pair.ends[1].receive()));
            false
        });
        (pair.packets, received)
    };
    assert_eq!(transcript(), transcript());
}
