//! How channels and the whole transport end (RFC 8831 §6.7, W3C webrtc-pc §6.2).

use std::time::Duration;

use proto_dtls_sctp::{
    ChannelFailure, CreateDataChannelError, DataChannelOptions, DataChannelState, DtlsRole, DtlsTransportState,
    ErrorDetail, Message, SctpFailureReason, SctpTransportState, SecureEvent, SendError, UnknownChannel,
};
use proto_machine::Machine;

use crate::common::{LEFT, Pair, Path, RIGHT};
use crate::raw::{Duo, Version, open};

#[test]
fn what_was_sent_before_the_close_is_delivered_and_then_both_sides_are_closed() {
    let mut pair = Pair::connected(500);
    let [left, right] = pair.open(DataChannelOptions::new("label"));
    let sent: Vec<_> = (0..50_u8).map(|number| Message::binary(vec![number; 50_000])).collect();
    for message in &sent {
        pair.send(LEFT, left, message.clone());
    }
    pair.ends[LEFT].transport.close_channel(pair.now, left).unwrap();
    assert_eq!(pair.state(LEFT, left), DataChannelState::Closing);
    assert_eq!(pair.ends[LEFT].transport.send(pair.now, left, Message::text("late")), Err(SendError::NotOpen));
    let closed = |pair: &Pair| [pair.state(LEFT, left), pair.state(RIGHT, right)] == [DataChannelState::Closed; 2];
    assert!(pair.run(Duration::from_secs(20), closed));
    assert_eq!(pair.ends[RIGHT].messages(), sent);
    // The side that closes sees no closing event; the other does, before the closed one.
    assert!(!pair.ends[LEFT].has(&SecureEvent::ChannelClosing { channel: left }));
    let events = &pair.ends[RIGHT].events;
    let position = |wanted: SecureEvent| events.iter().position(|event| *event == wanted);
    let closing = position(SecureEvent::ChannelClosing { channel: right });
    assert!(closing.is_some() && closing < position(SecureEvent::ChannelClosed { channel: right }));
    for end in &pair.ends {
        assert!(!end.events.iter().any(|event| matches!(event, SecureEvent::ChannelError { .. })));
    }
}

#[test]
fn both_sides_may_close_at_once() {
    let mut pair = Pair::connected(501);
    let [left, right] = pair.open(DataChannelOptions::new("label"));
    pair.send(LEFT, left, Message::text("one"));
    pair.send(RIGHT, right, Message::text("other"));
    pair.ends[LEFT].transport.close_channel(pair.now, left).unwrap();
    pair.ends[RIGHT].transport.close_channel(pair.now, right).unwrap();
    let closed = |pair: &Pair| [pair.state(LEFT, left), pair.state(RIGHT, right)] == [DataChannelState::Closed; 2];
    assert!(pair.run(Duration::from_secs(20), closed));
    pair.rest(Duration::from_secs(5));
    for (end, key) in [(LEFT, left), (RIGHT, right)] {
        assert_eq!(pair.ends[end].count(&SecureEvent::ChannelClosed { channel: key }), 1);
        assert_eq!(pair.ends[end].transport.close_channel(pair.now, key), Err(UnknownChannel));
    }
}

#[test]
fn an_id_is_free_only_when_both_sides_are_closed_and_sequence_numbers_start_again() {
    let mut pair = Pair::connected(502);
    for round in 0..5_u8 {
        let [left, right] = pair.open(DataChannelOptions::new("label"));
        assert_eq!(pair.ends[LEFT].transport.channel(left).unwrap().id, Some(0));
        for number in 0..3 {
            pair.send(LEFT, left, Message::binary(vec![round, number]));
            pair.send(RIGHT, right, Message::binary(vec![round, number]));
        }
        pair.rest(Duration::from_millis(500));
        let expected: Vec<_> = (0..3).map(|number| Message::binary(vec![round, number])).collect();
        assert_eq!(pair.ends[RIGHT].messages_on(right), expected);
        assert_eq!(pair.ends[LEFT].messages_on(left), expected);
        pair.ends[usize::from(round) % 2]
            .transport
            .close_channel(pair.now, [left, right][usize::from(round) % 2])
            .unwrap();
        // While it closes, another channel gets another id.
        let other = pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("other")).unwrap();
        assert_ne!(pair.ends[LEFT].transport.channel(other).unwrap().id, Some(0));
        pair.ends[LEFT].transport.close_channel(pair.now, other).unwrap();
        let idle = |pair: &Pair| pair.ends.iter().all(|end| end.transport.channels().count() == 0);
        assert!(pair.run(Duration::from_secs(10), idle), "round {round}");
    }
}

#[test]
fn a_close_survives_loss_and_reordering() {
    for seed in 0..50 {
        let mut pair = Pair::connected(600 + seed);
        let [left, right] = pair.open(DataChannelOptions::new("label"));
        pair.path = Path { loss: 200, jitter: Duration::from_millis(60), duplication: 100, ..Path::default() };
        let sent: Vec<_> = (0..10_u8).map(|number| Message::binary(vec![number; 3000])).collect();
        for message in &sent {
            pair.send(LEFT, left, message.clone());
        }
        let closer = usize::try_from(seed % 2).unwrap();
        pair.ends[LEFT].transport.close_channel(pair.now, left).unwrap();
        if closer == RIGHT {
            pair.ends[RIGHT].transport.close_channel(pair.now, right).unwrap();
        }
        let closed = |pair: &Pair| [pair.state(LEFT, left), pair.state(RIGHT, right)] == [DataChannelState::Closed; 2];
        assert!(pair.run(Duration::from_secs(60), closed), "seed {seed}");
        if closer == LEFT {
            assert_eq!(pair.ends[RIGHT].messages(), sent, "seed {seed}");
        }
    }
}

#[test]
fn what_the_peer_had_waiting_when_the_other_side_closed_is_discarded() {
    let mut pair = Pair::with_configs(503, Path::default(), |_, config| config.send_window = 50_000);
    pair.connect();
    let [left, right] = pair.open(DataChannelOptions::new("label"));
    for _ in 0..100 {
        pair.send(RIGHT, right, Message::binary(vec![7; 10_000]));
    }
    pair.ends[LEFT].transport.close_channel(pair.now, left).unwrap();
    let closed = |pair: &Pair| [pair.state(LEFT, left), pair.state(RIGHT, right)] == [DataChannelState::Closed; 2];
    assert!(pair.run(Duration::from_secs(20), closed));
    assert_eq!(pair.ends[RIGHT].transport.statistics().send_buffer_used, 0);
    // The association is none the worse for it.
    let [left, _] = pair.open(DataChannelOptions::new("next"));
    pair.send(LEFT, left, Message::text("alive"));
    pair.rest(Duration::from_secs(2));
    assert_eq!(pair.ends[RIGHT].messages(), [Message::text("alive")]);
}

#[test]
fn a_channel_that_never_opened_is_closed_at_once() {
    let mut pair = Pair::new(504, Path::default());
    let left = pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("label")).unwrap();
    pair.ends[LEFT].transport.close_channel(pair.now, left).unwrap();
    assert_eq!(pair.state(LEFT, left), DataChannelState::Closed);
    pair.connect();
    pair.rest(Duration::from_secs(1));
    assert!(pair.ends[LEFT].has(&SecureEvent::ChannelClosed { channel: left }));
    assert!(pair.ends[RIGHT].announced().is_empty());
    assert_eq!(pair.ends[LEFT].transport.statistics().channels_closed, 0);
}

#[test]
fn hundreds_of_channels_close_together() {
    let mut pair = Pair::connected(505);
    let keys: Vec<_> = (0..500)
        .map(|_| pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("")).unwrap())
        .collect();
    assert!(pair.run(Duration::from_secs(10), |pair| pair.ends[RIGHT].announced().len() == keys.len()));
    for &key in &keys {
        pair.ends[LEFT].transport.close_channel(pair.now, key).unwrap();
    }
    let idle = |pair: &Pair| pair.ends.iter().all(|end| end.transport.channels().count() == 0);
    // Every datagram is checked for its length on the way.
    assert!(pair.run(Duration::from_secs(20), idle));
    pair.open(DataChannelOptions::new("next"));
}

#[test]
fn close_sends_an_abort_and_a_close_notify_and_the_peer_sees_an_error_and_then_the_end() {
    let mut pair = Pair::connected(506);
    let [left, right] = pair.open(DataChannelOptions::new("label"));
    pair.ends[LEFT].events.clear();
    pair.ends[RIGHT].events.clear();
    pair.ends[LEFT].transport.close(pair.now);
    assert_eq!(pair.ends[LEFT].transport.dtls_state(), DtlsTransportState::Closed);
    assert_eq!(pair.ends[LEFT].transport.sctp_state(), SctpTransportState::Closed);
    assert_eq!(pair.state(LEFT, left), DataChannelState::Closed);
    pair.rest(Duration::from_secs(1));
    assert!(pair.ends[LEFT].events.is_empty(), "close is silent on its own side");
    let [first, second, third, fourth] = pair.ends[RIGHT].events.as_slice() else {
        panic!("{:?}", pair.ends[RIGHT].events);
    };
    let SecureEvent::ChannelError { channel, error } = first else { panic!("{first:?}") };
    assert_eq!((*channel, error.detail(), error.sctp_cause_code()), (right, ErrorDetail::SctpFailure, Some(12)));
    assert!(matches!(error, ChannelFailure::Sctp(failure) if failure.reason == SctpFailureReason::AbortedByPeer));
    assert_eq!(*second, SecureEvent::ChannelClosed { channel: right });
    assert_eq!(*third, SecureEvent::SctpStateChange(SctpTransportState::Closed));
    assert_eq!(*fourth, SecureEvent::DtlsStateChange(DtlsTransportState::Closed));
    assert_eq!(pair.ends[RIGHT].transport.failure(), None);
}

#[test]
fn messages_that_arrived_before_the_peer_closed_are_still_read() {
    let mut pair = Pair::connected(507);
    let [left, right] = pair.open(DataChannelOptions::new("label"));
    pair.ends[RIGHT].polls_events = false;
    // More than waits in front of the application.
    let sent: Vec<_> = (0..20_u8).map(|number| Message::binary(vec![number; 10_000])).collect();
    for message in &sent {
        pair.send(LEFT, left, message.clone());
    }
    pair.rest(Duration::from_secs(1));
    pair.ends[LEFT].transport.close(pair.now);
    pair.rest(Duration::from_millis(100));
    pair.ends[RIGHT].polls_events = true;
    pair.rest(Duration::from_millis(100));
    assert_eq!(pair.ends[RIGHT].messages_on(right), sent);
}

#[test]
fn a_lost_abort_is_made_up_for_by_the_close_notify() {
    let mut pair = Pair::connected(508);
    pair.rest(Duration::from_secs(1));
    pair.ends[LEFT].transport.close(pair.now);
    pair.drain(LEFT);
    // The ABORT is the first of the two datagrams.
    assert_eq!(pair.wire.len(), 2);
    pair.wire.pop_first();
    pair.rest(Duration::from_secs(1));
    assert_eq!(pair.ends[RIGHT].transport.dtls_state(), DtlsTransportState::Closed);
    assert_eq!(
        pair.ends[RIGHT].transport.sctp_failure().map(|failure| failure.reason),
        Some(SctpFailureReason::TransportClosed)
    );
}

#[test]
fn a_closed_transport_stays_closed_and_says_so() {
    for start in [false, true] {
        let mut pair = Pair::new(509, Path::default());
        let key = pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("label")).unwrap();
        if start {
            pair.connect();
        }
        let now = pair.now;
        let parameters = pair.parameters(LEFT, DtlsRole::Client);
        let transport = &mut pair.ends[LEFT].transport;
        transport.close(now);
        transport.close(now);
        let created = transport.create_channel(now, DataChannelOptions::new("late"));
        assert_eq!(created, Err(CreateDataChannelError::Closed));
        assert!(matches!(transport.send(now, key, Message::text("late")), Err(SendError::NotOpen)));
        assert!(transport.start(now, parameters).is_err());
        assert_eq!(transport.poll_event(), None);
        assert_eq!(transport.poll_timeout(), None);
        pair.rest(Duration::from_secs(100));
        assert_eq!(pair.ends[LEFT].transport.dtls_state(), DtlsTransportState::Closed);
        assert_eq!(pair.ends[LEFT].transport.poll_timeout(), None);
    }
}

#[test]
fn a_transport_that_is_closed_during_the_handshake_is_silent() {
    let mut pair = Pair::new(510, Path::default());
    pair.start(DtlsRole::Client);
    pair.rest(Duration::from_millis(25));
    pair.ends[LEFT].transport.close(pair.now);
    pair.rest(Duration::from_secs(1));
    assert_eq!(pair.ends[LEFT].transport.dtls_state(), DtlsTransportState::Closed);
    assert_eq!(pair.ends[LEFT].transport.poll_timeout(), None);
}

#[test]
fn what_follows_from_a_reset_that_is_not_sent_is_sent_in_the_same_turn() {
    let mut duo = Duo::new(Version::Only13, DtlsRole::Client);
    duo.associate(64);
    let first_request = 1000_u32;
    duo.send_data(0, 0, 50, &open("first"));
    let Some(&SecureEvent::DataChannel { channel }) = duo.events.last() else { panic!("{:?}", duo.events) };
    // The transport resets the stream, the peer does without a word about that, and uses it again.
    duo.answers = false;
    duo.transport.close_channel(duo.now, channel).unwrap();
    duo.exchange();
    let request = [first_request, 0, duo.sctp.tsn - 1].map(u32::to_be_bytes).concat();
    duo.send_chunks(&[(130, 0, &[&[0, 13, 0, 18], &request[..], &[0, 0]].concat())]);
    duo.send_data(0, 0, 50, &open("second"));
    duo.rest(Duration::from_secs(1));
    let acknowledgements = duo.received(0).len();
    // Now it answers. The transport owes it nothing for that but what the second owner of the stream is owed.
    let own_request = duo.received(130).into_iter().find(|value| value[..2] == [0, 13]).unwrap();
    let response = [&[0, 16, 0, 12], &own_request[4..8], &[0, 0, 0, 1]].concat();
    let packet = duo.packet(&[(130, 0, &response)]);
    duo.raw.send(&packet);
    for mut datagram in std::mem::take(&mut duo.raw.outgoing) {
        duo.transport.handle_datagram(duo.now, &mut datagram);
    }
    for datagram in duo.sent() {
        duo.raw.handle(duo.now, &datagram);
    }
    let data = duo.received(0);
    assert_eq!(data.len(), acknowledgements + 1);
    assert!(data.last().is_some_and(|value| value[4..6] == [0, 0] && value[12..] == [2]), "a DATA_CHANNEL_ACK");
    duo.poll_events();
    assert!(duo.has(&SecureEvent::ChannelClosed { channel }));
}
