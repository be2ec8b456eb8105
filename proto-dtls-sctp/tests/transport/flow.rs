//! Bounds and backpressure, both ways.

use std::time::Duration;

use proto_dtls_sctp::{DataChannelOptions, ErrorKind, Message, Priority, SecureEvent, SendError};

use crate::common::{LEFT, Pair, Path, RIGHT};

#[test]
fn twenty_megabytes_arrive_in_order() {
    let mut pair = Pair::connected(700);
    let [left, _] = pair.open(DataChannelOptions::new("file"));
    let total = 20 * 1024 * 1024 / (64 * 1024);
    let (mut sent, mut received) = (0_u64, 0_u64);
    while received < total {
        while sent < total && pair.ends[LEFT].transport.channel(left).unwrap().buffered_amount < 1024 * 1024 {
            let mut payload = vec![0; 64 * 1024];
            payload[..8].copy_from_slice(&sent.to_be_bytes());
            pair.send(LEFT, left, Message::binary(payload));
            sent += 1;
        }
        assert!(
            pair.run(Duration::from_secs(5), |pair| !pair.ends[RIGHT].messages().is_empty()),
            "{received} of {total}"
        );
        for message in pair.ends[RIGHT].messages() {
            assert_eq!(message.payload[..8], received.to_be_bytes());
            received += 1;
        }
        pair.ends[RIGHT].events.clear();
    }
    assert!(pair.now.since_epoch() < Duration::from_secs(10));
}

#[test]
fn the_buffered_amount_grows_at_once_and_falls_as_bytes_are_handed_over() {
    let mut pair = Pair::connected(701);
    let [left, _] = pair.open(DataChannelOptions::new("label"));
    let amount = |pair: &Pair| pair.ends[LEFT].transport.channel(left).unwrap().buffered_amount;
    pair.send(LEFT, left, Message::binary(vec![7; 1000]));
    pair.send(LEFT, left, Message::text("Ω"));
    assert_eq!(amount(&pair), 1002);
    pair.drain(LEFT);
    assert_eq!(amount(&pair), 0);
}

#[test]
fn the_low_event_comes_when_the_threshold_is_crossed_and_only_then() {
    let mut pair = Pair::with_configs(702, Path::default(), |_, config| config.send_window = 10_000);
    pair.connect();
    let [left, _] = pair.open(DataChannelOptions::new("label"));
    let low = SecureEvent::BufferedAmountLow { channel: left };
    pair.ends[LEFT].transport.set_buffered_amount_low_threshold(left, 20_000).unwrap();
    pair.send(LEFT, left, Message::binary(vec![7; 20_000]));
    pair.rest(Duration::from_secs(1));
    assert_eq!(pair.ends[LEFT].count(&low), 0, "it was never above the threshold");
    for _ in 0..10 {
        pair.send(LEFT, left, Message::binary(vec![7; 10_000]));
    }
    pair.rest(Duration::from_secs(3));
    assert_eq!(pair.ends[LEFT].count(&low), 1);
    pair.ends[LEFT].transport.set_buffered_amount_low_threshold(left, 0).unwrap();
    pair.send(LEFT, left, Message::binary(vec![7; 1]));
    pair.rest(Duration::from_secs(1));
    assert_eq!(pair.ends[LEFT].count(&low), 2);
}

#[test]
fn a_full_buffer_takes_nothing_and_tells_when_there_is_room() {
    let mut pair = Pair::with_configs(703, Path::default(), |_, config| {
        config.send_buffer = 100_000;
        config.send_window = 20_000;
    });
    pair.connect();
    let [left, _] = pair.open(DataChannelOptions::new("label"));
    let writable = SecureEvent::Writable { channel: left };
    let mut taken = 0;
    let error = loop {
        match pair.ends[LEFT].transport.send(pair.now, left, Message::binary(vec![7; 10_000])) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((taken, error, error.kind()), (9, SendError::BufferFull, ErrorKind::OperationError));
    assert_eq!(pair.ends[LEFT].transport.channel(left).unwrap().buffered_amount, 90_000);
    assert!(!pair.ends[LEFT].has(&writable));
    assert!(pair.run(Duration::from_secs(5), |pair| pair.ends[LEFT].has(&writable)));
    pair.send(LEFT, left, Message::binary(vec![7; 10_000]));
    pair.rest(Duration::from_secs(5));
    assert_eq!(pair.ends[RIGHT].messages().len(), 10);
    assert_eq!(pair.ends[LEFT].count(&writable), 1);
}

#[test]
fn a_flood_of_empty_messages_reaches_the_bound_too() {
    let mut pair = Pair::with_configs(704, Path { loss: 0, ..Path::default() }, |_, config| config.send_buffer = 6_400);
    pair.connect();
    let [left, _] = pair.open(DataChannelOptions::new("label"));
    let taken =
        (0..1000).take_while(|_| pair.ends[LEFT].transport.send(pair.now, left, Message::text("")).is_ok()).count();
    assert_eq!(taken, 100);
}

#[test]
fn tiny_messages_fill_the_window_of_sctp_by_their_number() {
    let mut pair = Pair::with_configs(712, Path::default(), |_, config| config.send_window = 65_000);
    pair.connect();
    let [left, _] = pair.open(DataChannelOptions::new("label"));
    // The announcement of the channel has been acknowledged.
    pair.rest(Duration::from_secs(1));
    for _ in 0..10_000 {
        pair.send(LEFT, left, Message::binary(vec![7]));
    }
    pair.drain(LEFT);
    assert_eq!(pair.ends[LEFT].transport.channel(left).unwrap().buffered_amount, 9_000);
    assert_eq!(pair.ends[LEFT].transport.statistics().send_window_used, 1_000);
    assert!(pair.run(Duration::from_secs(10), |pair| pair.ends[RIGHT].messages().len() == 10_000));
    pair.rest(Duration::from_secs(1));
    assert_eq!(pair.ends[LEFT].transport.statistics().send_window_used, 0);
}

#[test]
fn channels_that_come_and_go_unseen_are_bounded() {
    let mut pair = Pair::connected(713);
    pair.ends[RIGHT].polls_events = false;
    let label = "x".repeat(500);
    let mut most = 0;
    for _ in 0..500 {
        let Ok(left) = pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new(&label)) else {
            break;
        };
        pair.rest(Duration::from_millis(100));
        pair.ends[LEFT].transport.close_channel(pair.now, left).unwrap();
        pair.rest(Duration::from_millis(400));
        most = most.max(pair.ends[RIGHT].transport.channels().count());
    }
    // A channel that was opened and closed leaves three events and its label.
    let bound = 64 * 1024 / (3 * 64 + 500) + 2;
    assert!((bound / 2..=bound).contains(&most), "{most} channels wait for their events to be polled");
    // Nothing is stuck once they are.
    pair.ends[RIGHT].polls_events = true;
    pair.rest(Duration::from_secs(60));
    let left_over = pair.ends.each_ref().map(|end| end.transport.channels().count());
    assert_eq!(left_over, [0, 0]);
    assert!(pair.ends[RIGHT].announced().len() >= most);
}

#[test]
fn labels_of_the_peer_take_a_bounded_amount_of_memory() {
    let mut pair = Pair::connected(714);
    let create = |pair: &mut Pair, length: usize| {
        let options = DataChannelOptions::new("x".repeat(length));
        pair.ends[LEFT].transport.create_channel(pair.now, options).unwrap()
    };
    let channels: Vec<_> = (0..20).map(|_| create(&mut pair, 60_000)).collect();
    pair.rest(Duration::from_secs(10));
    assert_eq!(pair.ends[RIGHT].announced().len(), 1024 * 1024 / 60_000);
    assert_eq!(pair.ends[RIGHT].transport.statistics().dcep_violations, 3);
    let refused = channels.iter().filter(|&&left| pair.ends[LEFT].has(&SecureEvent::ChannelClosed { channel: left }));
    assert_eq!(refused.count(), 3);
    // What is closed makes room.
    pair.ends[LEFT].transport.close_channel(pair.now, channels[0]).unwrap();
    pair.rest(Duration::from_secs(5));
    create(&mut pair, 60_000);
    pair.rest(Duration::from_secs(5));
    assert_eq!(pair.ends[RIGHT].announced().len(), 18);
}

#[test]
fn all_channels_together_have_a_bound() {
    let mut pair = Pair::with_configs(705, Path::default(), |_, config| config.total_send_buffer = 50_000);
    pair.connect();
    let channels: Vec<_> = (0..5).map(|_| pair.open(DataChannelOptions::new("label"))[LEFT]).collect();
    let mut taken = 0;
    for &channel in channels.iter().cycle().take(20) {
        taken +=
            usize::from(pair.ends[LEFT].transport.send(pair.now, channel, Message::binary(vec![7; 10_000])).is_ok());
    }
    assert_eq!(taken, 4);
    assert!(pair.run(Duration::from_secs(2), |pair| {
        channels.iter().all(|&channel| pair.ends[LEFT].has(&SecureEvent::Writable { channel }))
    }));
}

#[test]
fn an_application_that_does_not_read_closes_the_window_and_memory_stays_bounded() {
    let mut pair = Pair::with_configs(706, Path::default(), |_, config| {
        config.max_receive_message_size = 64 * 1024;
        config.receive_buffer = 256 * 1024;
        config.send_window = 128 * 1024;
    });
    pair.connect();
    let [left, _] = pair.open(DataChannelOptions::new("label"));
    pair.ends[RIGHT].polls_events = false;
    for _ in 0..100 {
        pair.send(LEFT, left, Message::binary(vec![7; 10_000]));
    }
    pair.rest(Duration::from_secs(30));
    // 64 KiB and one message in front of the application, 256 KiB in the window, 128 KiB and one message with the sender's SCTP.
    let waiting = pair.ends[LEFT].transport.statistics().send_buffer_used;
    let elsewhere = 1_000_000 - waiting;
    let bound = 64 * 1024 + 10_000 + 256 * 1024 + 128 * 1024 + 10_000;
    assert!((200_000..=bound).contains(&elsewhere), "{elsewhere} bytes have left the queue");
    pair.ends[RIGHT].polls_events = true;
    assert!(pair.run(Duration::from_secs(20), |pair| pair.ends[RIGHT].messages().len() == 100));
}

#[test]
fn events_wait_for_an_application_that_looks_late() {
    let mut pair = Pair::new(707, Path::default());
    pair.ends.iter_mut().for_each(|end| end.polls_events = false);
    let left = pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("label")).unwrap();
    pair.start(proto_dtls_sctp::DtlsRole::Client);
    pair.send(LEFT, left, Message::text("first"));
    pair.rest(Duration::from_secs(5));
    pair.ends.iter_mut().for_each(|end| end.polls_events = true);
    pair.rest(Duration::from_millis(1));
    let right = pair.ends[RIGHT].announced()[0];
    let announced =
        pair.ends[RIGHT].events.iter().position(|event| *event == SecureEvent::DataChannel { channel: right });
    let message = pair.ends[RIGHT].events.iter().position(|event| matches!(event, SecureEvent::Message { .. }));
    assert!(announced < message && message.is_some());
}

#[test]
fn a_channel_of_high_priority_gets_the_larger_share() {
    let mut pair = Pair::with_configs(708, Path::default(), |_, config| config.send_window = 20_000);
    pair.connect();
    let channels = [Priority::VeryLow, Priority::High]
        .map(|priority| pair.open(DataChannelOptions { priority, ..DataChannelOptions::new("label") }));
    for _ in 0..200 {
        for [left, _] in channels {
            pair.send(LEFT, left, Message::binary(vec![7; 1_000]));
        }
    }
    let total = |pair: &Pair| pair.ends[RIGHT].messages().len();
    assert!(pair.run(Duration::from_secs(20), |pair| total(pair) >= 150));
    let [low, high] = channels.map(|[_, right]| pair.ends[RIGHT].messages_on(right).len());
    assert!(high > 4 * low && low > 0, "{low} and {high}");
    assert!(pair.run(Duration::from_secs(20), |pair| total(pair) == 400), "none is starved");
}

#[test]
fn a_datagram_that_the_buffer_does_not_hold_is_dropped_and_counted() {
    let mut pair = Pair::with_configs(709, Path::default(), |_, config| config.datagram_size = 1200);
    pair.start(proto_dtls_sctp::DtlsRole::Client);
    let mut small = proto_machine::TransmitBuffer::new(600);
    let transmit =
        proto_machine::Machine::poll_transmit(&mut pair.ends[LEFT].transport, pair.now, usize::MAX, &mut small);
    assert_eq!(transmit, None);
    assert_eq!(pair.ends[LEFT].transport.statistics().oversized_datagrams, 1);
}

#[test]
fn small_datagrams_are_respected_from_the_first_to_the_last() {
    for size in [256, 576, 1164] {
        let mut pair = Pair::with_configs(710, Path::default(), |_, config| config.datagram_size = size);
        pair.records = true;
        pair.connect();
        let [left, _] = pair.open(DataChannelOptions::new("label"));
        for length in [1, 100, 10_000] {
            for _ in 0..20 {
                pair.send(LEFT, left, Message::binary(vec![7; length]));
            }
        }
        assert!(pair.run(Duration::from_secs(20), |pair| pair.ends[RIGHT].messages().len() == 60));
        let longest = pair.ends.iter().flat_map(|end| &end.sent).map(|(_, datagram)| datagram.len()).max();
        assert!(longest.is_some_and(|longest| longest <= size), "{longest:?} of {size}");
    }
}

#[test]
fn a_batch_holds_as_many_segments_as_asked_for() {
    let mut pair = Pair::connected(711);
    let [left, _] = pair.open(DataChannelOptions::new("label"));
    pair.send(LEFT, left, Message::binary(vec![7; 4_000]));
    let mut buffer = proto_machine::TransmitBuffer::new(1200);
    let transport = &mut pair.ends[LEFT].transport;
    let first = proto_machine::Machine::poll_transmit(transport, pair.now, 1, &mut buffer).unwrap();
    assert_eq!(first.count.get(), 1);
    buffer.clear();
    let second = proto_machine::Machine::poll_transmit(transport, pair.now, 64, &mut buffer).unwrap();
    assert_eq!(second.count.get(), buffer.datagrams().count());
    assert!(second.count.get() > 1);
}
