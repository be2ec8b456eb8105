//! How fast a channel opens on a bad path.

use std::time::Duration;

use proto_dtls_sctp::{ChannelKey, DataChannelOptions, DataChannelState, DtlsRole, Message, SctpBackend, SecureEvent};

use crate::common::{LEFT, Pair, Path, RIGHT, backend};

const ONE_WAY: Duration = Duration::from_millis(60);

fn connected() -> Pair {
    let mut pair = Pair::new(1, Path { delay: ONE_WAY, ..Path::default() });
    pair.ends.iter_mut().for_each(|end| end.transport.set_round_trip_time(ONE_WAY * 2));
    pair.connect();
    pair.rest(Duration::from_secs(1));
    pair
}

#[test]
fn an_open_that_is_lost_is_sent_again_after_two_round_trips() {
    let mut pair = connected();
    let created = pair.now;
    pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("label")).unwrap();
    pair.drain(LEFT);
    assert_eq!(pair.wire.len(), 1);
    pair.wire.clear();
    assert!(pair.run(Duration::from_secs(10), |pair| !pair.ends[RIGHT].announced().is_empty()));
    assert_eq!(pair.now - created, ONE_WAY * 5);
}

#[test]
fn an_open_that_arrives_is_sent_once() {
    let mut pair = connected();
    pair.records = true;
    pair.open(DataChannelOptions::new("label"));
    pair.rest(Duration::from_secs(5));
    assert_eq!(pair.ends[LEFT].sent.len(), 2, "the OPEN, and a SACK for its answer");
    // The own engine puts both into one packet.
    let packets = if backend() == SctpBackend::Own { 1 } else { 2 };
    assert_eq!(pair.ends[RIGHT].sent.len(), packets, "the answer, and a SACK for the OPEN");
}

/// Two ends of which the left one creates a channel before anything has begun.
fn starting(label: &str, left: DtlsRole) -> (Pair, ChannelKey) {
    let mut pair = Pair::new(1, Path { delay: ONE_WAY, ..Path::default() });
    pair.ends.iter_mut().for_each(|end| end.transport.set_round_trip_time(ONE_WAY * 2));
    let channel = pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new(label)).unwrap();
    pair.start(left);
    (pair, channel)
}

/// RFC 9260 §5.1 C. From the ClientHello on: a round trip and a half of DTLS, the INIT with its end; INIT ACK; COOKIE ECHO.
#[test]
fn the_open_of_the_dtls_client_arrives_with_its_cookie_echo() {
    let (mut pair, _) = starting("label", DtlsRole::Client);
    let started = pair.now;
    assert!(pair.run(Duration::from_secs(10), |pair| !pair.ends[RIGHT].announced().is_empty()));
    assert_eq!(pair.now - started, ONE_WAY * 5);
}

#[test]
fn the_open_of_the_dtls_server_follows_the_cookie_echo_of_the_client() {
    let (mut pair, _) = starting("label", DtlsRole::Server);
    let started = pair.now;
    assert!(pair.run(Duration::from_secs(10), |pair| !pair.ends[RIGHT].announced().is_empty()));
    assert_eq!(pair.now - started, ONE_WAY * 6);
}

/// RFC 9260 §5.1 C: no other packet may be sent before the COOKIE ACK.
#[test]
fn an_open_that_does_not_fit_behind_the_cookie_echo_follows_the_cookie_ack() {
    let (mut pair, _) = starting(&"x".repeat(1_100), DtlsRole::Client);
    let started = pair.now;
    assert!(pair.run(Duration::from_secs(10), |pair| !pair.ends[RIGHT].announced().is_empty()));
    assert_eq!(pair.now - started, ONE_WAY * 7);
    let channel = pair.ends[RIGHT].announced()[0];
    assert_eq!(pair.ends[RIGHT].transport.channel(channel).unwrap().label.len(), 1_100);
}

#[test]
fn a_cookie_echo_that_is_lost_is_sent_again_with_its_open() {
    let (mut pair, _) = starting("label", DtlsRole::Client);
    pair.rest(ONE_WAY * 4);
    assert!(pair.wire.len() >= 2, "COOKIE ECHOs of both sides are on their way");
    pair.wire.clear();
    let lost = pair.now;
    assert!(pair.run(Duration::from_secs(10), |pair| !pair.ends[RIGHT].announced().is_empty()));
    assert_eq!(pair.now - lost, ONE_WAY * 5, "two round trips of patience, and the way");
}

#[test]
fn a_channel_that_is_closed_while_its_open_is_on_its_way_closes_on_both_sides() {
    let (mut pair, left) = starting("label", DtlsRole::Client);
    pair.rest(ONE_WAY * 4 + Duration::from_millis(1));
    assert_eq!(pair.state(LEFT, left), DataChannelState::Connecting);
    pair.ends[LEFT].transport.close_channel(pair.now, left).unwrap();
    assert_eq!(pair.state(LEFT, left), DataChannelState::Closing);
    pair.rest(Duration::from_secs(5));
    let right = pair.ends[RIGHT].announced()[0];
    assert_eq!([pair.state(LEFT, left), pair.state(RIGHT, right)], [DataChannelState::Closed; 2]);
    assert!(!pair.ends[LEFT].has(&SecureEvent::ChannelOpen { channel: left }));
    pair.open(DataChannelOptions::new("another"));
}

#[test]
fn a_channel_that_is_created_while_the_cookie_echo_is_on_its_way_opens() {
    let (mut pair, _) = starting("first", DtlsRole::Client);
    pair.rest(ONE_WAY * 4 + Duration::from_millis(1));
    let second = pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("second")).unwrap();
    pair.rest(Duration::from_secs(5));
    assert_eq!(pair.ends[RIGHT].announced().len(), 2);
    pair.send(LEFT, second, Message::text("to the right"));
    pair.rest(Duration::from_secs(1));
    assert_eq!(pair.ends[RIGHT].messages(), [Message::text("to the right")]);
}
