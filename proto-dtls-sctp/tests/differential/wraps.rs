//! Associations whose numbers wrap: the TSNs, and those of the messages on a stream.

use std::time::Duration;

use bytes::Bytes;
use proto_dtls_sctp::Reliability;
use proto_dtls_sctp::bare::{BareAssociation, BareConfig};
use proto_machine::{Seed, Timestamp};

use crate::end::{Make, Outgoing};
use crate::link::{Faults, Opening, Pair};

/// So many ordered messages have every SSN, and more.
const MESSAGES: u32 = 67_000;
/// How far in front of the wrap the first TSN is at most. Every message takes one.
const BEFORE_WRAP: u32 = 60_000;
const WINDOW: u32 = 1024 * 1024;

/// A seed whose initial TSN lies in front of the wrap: it stands in the INIT (RFC 9260 §3.3.2).
fn seed_before_the_wrap() -> u64 {
    let now = Timestamp::from_millis(1);
    let mut packet = Vec::new();
    let is_near = |seed: &u64| {
        let mut association = BareAssociation::new(now, BareConfig::default(), Seed::from_number(*seed));
        assert!(association.write_packet(now, &mut packet));
        let tsn = u32::from_be_bytes(*packet[28..].first_chunk().unwrap());
        tsn > u32::MAX - BEFORE_WRAP
    };
    (0..10_000_000).find(is_near).unwrap()
}

fn payload(number: u32) -> Bytes {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(if number.is_multiple_of(500) { 3_000 } else { 4 }, 7);
    payload.into()
}

/// From ours to the other one: everything on the first stream, and what comes of the second, in order.
fn carry(makes: [Make; 2], reliability: Reliability) {
    let mut pair = Pair::with_window(makes, 1, Faults { loss: 20, ..Faults::NONE }, Opening::Both, WINDOW);
    pair.ends[0] = makes[0].start(pair.now, seed_before_the_wrap(), WINDOW);
    assert!(pair.connect(), "{makes:?}");
    for number in 0..MESSAGES {
        for (stream, reliability) in [(1, Reliability::Reliable), (2, reliability)] {
            assert!(
                pair.ends[0].send(pair.now, Outgoing { stream, payload: payload(number), ordered: true, reliability })
            );
        }
    }
    let (mut next, mut last, mut count) = (0, None, 0);
    let done = pair.run(Duration::from_secs(3600), |pair| {
        while let Some((stream, message)) = pair.ends[1].receive() {
            let number = u32::from_be_bytes(*message.first_chunk().unwrap());
            assert_eq!(message, payload(number), "{makes:?}");
            if stream == 1 {
                assert_eq!(number, next, "{makes:?}");
                next += 1;
            } else {
                assert!(last < Some(number), "{makes:?}: {number} behind {last:?}");
                last = Some(number);
                count += 1;
            }
        }
        assert!(!pair.ends.iter().any(|end| end.is_lost()), "{makes:?}");
        next == MESSAGES && (1..=2).all(|stream| pair.ends[0].buffered(stream) == 0)
    });
    assert!(done, "{makes:?}: {next} and {count} of {MESSAGES} messages have come");
    assert!(count > MESSAGES / 2, "{makes:?}: {count}");
    if reliability == Reliability::Reliable {
        assert_eq!(count, MESSAGES, "{makes:?}");
    }
}

#[test]
fn messages_between_ours_and_ours_go_on_where_numbers_wrap() {
    for make in [Make::OWN, Make::PLAIN] {
        carry([make; 2], Reliability::Reliable);
        carry([make; 2], Reliability::MaxRetransmits(0));
    }
}

#[test]
fn messages_from_ours_to_sctp_proto_go_on_where_numbers_wrap() {
    carry([Make::PLAIN, Make::SctpProto], Reliability::Reliable);
}

#[test]
fn messages_from_ours_to_dcsctp_go_on_where_numbers_wrap() {
    carry([Make::PLAIN, Make::DCSCTP], Reliability::Reliable);
    carry([Make::PLAIN, Make::DCSCTP], Reliability::MaxRetransmits(0));
}
