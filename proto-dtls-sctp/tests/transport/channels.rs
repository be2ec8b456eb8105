//! Data channels (RFC 8831, RFC 8832, W3C webrtc-pc §6).

use std::time::Duration;

use proto_dtls_sctp::{
    CreateDataChannelError, DataChannelOptions, DataChannelState, DtlsRole, ErrorKind, MaxMessageSize, Message,
    Priority, Reliability, SctpTransportState, SecureEvent, SendError, StartParameters,
};

use crate::common::{LEFT, Pair, Path, RIGHT};

fn negotiated(id: u16) -> DataChannelOptions {
    DataChannelOptions { negotiated: Some(id), ..DataChannelOptions::new("negotiated") }
}

#[test]
fn messages_travel_both_ways_on_a_channel_that_the_peer_announces() {
    let mut pair = Pair::connected(1);
    let [left, right] = pair.open(DataChannelOptions::new("label"));
    pair.send(LEFT, left, Message::text("to the right"));
    pair.send(RIGHT, right, Message::binary(&b"to the left"[..]));
    pair.rest(Duration::from_secs(1));
    assert_eq!(pair.ends[RIGHT].messages(), [Message::text("to the right")]);
    assert_eq!(pair.ends[LEFT].messages(), [Message::binary(&b"to the left"[..])]);
}

#[test]
fn the_peer_learns_everything_about_a_channel_and_it_is_open_before_its_event() {
    let mut pair = Pair::connected(2);
    for (ordered, reliability) in [
        (true, Reliability::Reliable),
        (false, Reliability::MaxRetransmits(3)),
        (true, Reliability::MaxPacketLifetime(Duration::from_millis(500))),
    ] {
        let options = DataChannelOptions {
            label: "Ωlabel".into(),
            protocol: "protocol".into(),
            ordered,
            reliability,
            negotiated: None,
            priority: Priority::High,
        };
        let [left, right] = pair.open(options);
        for (end, key) in [(LEFT, left), (RIGHT, right)] {
            let view = pair.ends[end].transport.channel(key).unwrap();
            assert_eq!(
                (view.label, view.protocol, view.ordered, view.reliability),
                ("Ωlabel", "protocol", ordered, reliability)
            );
            assert_eq!(
                (view.negotiated, view.priority, view.ready_state),
                (false, Priority::High, DataChannelState::Open)
            );
        }
        assert!(!pair.ends[RIGHT].has(&SecureEvent::ChannelOpen { channel: right }));
    }
}

#[test]
fn the_client_gives_even_ids_and_the_server_odd_ones_and_none_before_the_role_is_known() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let mut pair = Pair::new(3, Path::default());
        let keys: Vec<_> = (0..3)
            .map(|_| pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("label")).unwrap())
            .collect();
        assert!(keys.iter().all(|&key| pair.ends[LEFT].transport.channel(key).unwrap().id.is_none()));
        pair.start(role);
        let ids: Vec<_> = keys.iter().map(|&key| pair.ends[LEFT].transport.channel(key).unwrap().id.unwrap()).collect();
        assert_eq!(ids, if role == DtlsRole::Client { [0, 2, 4] } else { [1, 3, 5] });
        let after = pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("label")).unwrap();
        assert_eq!(
            pair.ends[LEFT].transport.channel(after).unwrap().id,
            Some(if role == DtlsRole::Client { 6 } else { 7 })
        );
        assert!(pair.run(Duration::from_secs(5), |pair| pair.ends[RIGHT].announced().len() == 4));
    }
}

#[test]
fn both_ends_may_open_channels_at_once() {
    let mut pair = Pair::new(4, Path::default());
    for end in &mut pair.ends {
        for label in ["one", "two"] {
            end.transport.create_channel(pair.now, DataChannelOptions::new(label)).unwrap();
        }
    }
    pair.connect();
    pair.rest(Duration::from_secs(1));
    for end in &pair.ends {
        let labels: Vec<_> =
            end.announced().iter().map(|&key| end.transport.channel(key).unwrap().label.to_owned()).collect();
        assert_eq!(labels, ["one", "two"]);
    }
}

#[test]
fn the_state_of_the_association_changes_before_a_channel_opens() {
    let mut pair = Pair::new(5, Path::default());
    let channel = pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("label")).unwrap();
    pair.connect();
    let position = |wanted: &SecureEvent| pair.ends[LEFT].events.iter().position(|event| event == wanted);
    let connected = position(&SecureEvent::SctpStateChange(SctpTransportState::Connected));
    let open = position(&SecureEvent::ChannelOpen { channel });
    assert!(connected.is_some() && connected < open);
    assert_eq!(pair.ends[LEFT].transport.max_channels(), Some(1024));
}

#[test]
fn a_negotiated_channel_opens_without_the_establishment_protocol() {
    let mut pair = Pair::new(6, Path::default());
    let keys = [LEFT, RIGHT].map(|end| pair.ends[end].transport.create_channel(pair.now, negotiated(7)).unwrap());
    pair.connect();
    for end in [LEFT, RIGHT] {
        assert!(pair.ends[end].has(&SecureEvent::ChannelOpen { channel: keys[end] }));
        assert!(pair.ends[end].announced().is_empty());
        assert_eq!(pair.ends[end].transport.channel(keys[end]).unwrap().id, Some(7));
    }
    pair.send(RIGHT, keys[RIGHT], Message::text("hello"));
    pair.rest(Duration::from_secs(1));
    assert_eq!(pair.ends[LEFT].messages_on(keys[LEFT]), [Message::text("hello")]);
}

#[test]
fn data_for_a_negotiated_channel_that_does_not_exist_yet_waits_for_it() {
    let mut pair = Pair::connected(7);
    let left = pair.ends[LEFT].transport.create_channel(pair.now, negotiated(5)).unwrap();
    pair.send(LEFT, left, Message::text("early"));
    pair.send(LEFT, left, Message::text("bird"));
    pair.rest(Duration::from_secs(3));
    assert!(pair.ends[RIGHT].messages().is_empty());
    let right = pair.ends[RIGHT].transport.create_channel(pair.now, negotiated(5)).unwrap();
    pair.rest(Duration::from_secs(1));
    assert_eq!(pair.ends[RIGHT].messages_on(right), [Message::text("early"), Message::text("bird")]);
}

#[test]
fn data_for_a_negotiated_channel_that_never_comes_closes_the_stream() {
    let mut pair = Pair::connected(8);
    let left = pair.ends[LEFT].transport.create_channel(pair.now, negotiated(5)).unwrap();
    pair.send(LEFT, left, Message::text("nobody"));
    assert!(pair.run(Duration::from_secs(15), |pair| pair.state(LEFT, left) == DataChannelState::Closed));
    assert_eq!(pair.ends[RIGHT].transport.statistics().undeclared_messages_dropped, 1);
    // The stream is free again on both sides.
    pair.rest(Duration::from_secs(1));
    let keys = [LEFT, RIGHT].map(|end| pair.ends[end].transport.create_channel(pair.now, negotiated(5)).unwrap());
    pair.send(LEFT, keys[LEFT], Message::text("somebody"));
    pair.rest(Duration::from_secs(1));
    assert_eq!(pair.ends[RIGHT].messages(), [Message::text("somebody")]);
}

#[test]
fn text_and_binary_and_empty_messages_of_both_kinds_arrive_as_they_were() {
    let mut pair = Pair::connected(9);
    let messages = [
        Message::text(""),
        Message::binary(&b""[..]),
        Message::text("text"),
        Message::binary(&[0][..]),
        Message::text("\0"),
        Message::binary(vec![7; 200 * 1024]),
        Message::text("Ω".repeat(50_000)),
        Message::text(""),
    ];
    for ordered in [true, false] {
        let [left, _] = pair.open(DataChannelOptions { ordered, ..DataChannelOptions::new("label") });
        pair.ends[RIGHT].events.clear();
        for message in &messages {
            pair.send(LEFT, left, message.clone());
            if !ordered {
                pair.rest(Duration::from_secs(1));
            }
        }
        pair.rest(Duration::from_secs(2));
        assert_eq!(pair.ends[RIGHT].messages(), messages);
    }
}

#[test]
fn an_empty_message_does_not_count_in_the_buffered_amount() {
    let mut pair = Pair::connected(10);
    let [left, _] = pair.open(DataChannelOptions::new("label"));
    pair.send(LEFT, left, Message::text(""));
    assert_eq!(pair.ends[LEFT].transport.channel(left).unwrap().buffered_amount, 0);
}

#[test]
fn an_ordered_channel_keeps_its_order_and_an_unordered_one_loses_nothing_on_a_bad_path() {
    for ordered in [true, false] {
        let path = Path { loss: 50, duplication: 50, jitter: Duration::from_millis(50), ..Path::default() };
        let mut pair = Pair::new(11, path);
        pair.connect();
        let [left, _] = pair.open(DataChannelOptions { ordered, ..DataChannelOptions::new("label") });
        // Until the acknowledgement is there, even an unordered channel is ordered.
        pair.rest(Duration::from_secs(2));
        let sent: Vec<_> = (0..200_u16).map(|number| Message::binary(number.to_be_bytes().repeat(100))).collect();
        for message in &sent {
            pair.send(LEFT, left, message.clone());
        }
        assert!(pair.run(Duration::from_secs(60), |pair| pair.ends[RIGHT].messages().len() >= sent.len()));
        let mut received = pair.ends[RIGHT].messages();
        if !ordered {
            assert!(received != sent, "an unordered channel waits for nothing");
            received.sort_by(|one, other| one.payload.cmp(&other.payload));
        }
        assert_eq!(received, sent);
    }
}

#[test]
fn a_channel_with_limits_delivers_a_subset_of_whole_messages_and_does_not_stall() {
    for reliability in [
        Reliability::MaxRetransmits(0),
        Reliability::MaxRetransmits(1),
        Reliability::MaxPacketLifetime(Duration::from_millis(100)),
    ] {
        for ordered in [true, false] {
            let mut pair = Pair::connected(12);
            let [left, _] = pair.open(DataChannelOptions { ordered, reliability, ..DataChannelOptions::new("label") });
            pair.path.loss = 200;
            let mut sent = Vec::new();
            for number in 0..300_u16 {
                let message = Message::binary(number.to_be_bytes().repeat(1000));
                pair.send(LEFT, left, message.clone());
                sent.push(message);
                pair.rest(Duration::from_millis(10));
            }
            pair.path.loss = 0;
            pair.rest(Duration::from_secs(10));
            let received = pair.ends[RIGHT].messages();
            let case = format!("{reliability:?}, ordered: {ordered}, {} of {}", received.len(), sent.len());
            assert!((10..sent.len()).contains(&received.len()), "{case}");
            assert!(received.iter().all(|message| sent.contains(message)), "{case}");
            if ordered {
                assert!(received.is_sorted_by(|one, other| one.payload < other.payload), "{case}");
            }
            pair.ends[RIGHT].events.clear();
            pair.send(LEFT, left, Message::text("after"));
            pair.rest(Duration::from_secs(5));
            assert_eq!(pair.ends[RIGHT].messages(), [Message::text("after")], "{case}");
            assert_eq!(pair.ends[LEFT].transport.channel(left).unwrap().buffered_amount, 0);
        }
    }
}

#[test]
fn a_message_whose_lifetime_ends_while_it_waits_is_not_sent_and_its_bytes_are_released() {
    let mut pair = Pair::with_configs(13, Path::default(), |_, config| config.send_window = 10_000);
    pair.connect();
    let reliability = Reliability::MaxPacketLifetime(Duration::from_millis(100));
    let [left, _] = pair.open(DataChannelOptions { reliability, ..DataChannelOptions::new("label") });
    pair.path.loss = 1000;
    for _ in 0..50 {
        pair.send(LEFT, left, Message::binary(vec![7; 1000]));
    }
    pair.rest(Duration::from_secs(2));
    assert_eq!(pair.ends[LEFT].transport.channel(left).unwrap().buffered_amount, 0);
    assert!(pair.ends[LEFT].transport.statistics().expired_messages > 0);
}

#[test]
fn an_unordered_channel_is_ordered_until_the_peer_is_known_to_have_it() {
    // With the OPEN reordered behind the data, unordered data would be data on a stream that nobody opened.
    for seed in 0..30 {
        let mut pair = Pair::connected(1000 + seed);
        pair.path = Path { jitter: Duration::from_millis(100), ..Path::default() };
        let left = pair.ends[LEFT]
            .transport
            .create_channel(pair.now, DataChannelOptions { ordered: false, ..DataChannelOptions::new("label") })
            .unwrap();
        pair.drain(LEFT);
        for number in 0..10_u8 {
            pair.send(LEFT, left, Message::binary(vec![number; 500]));
            pair.drain(LEFT);
        }
        pair.rest(Duration::from_secs(2));
        let expected: Vec<_> = (0..10_u8).map(|number| Message::binary(vec![number; 500])).collect();
        assert_eq!(pair.ends[RIGHT].messages(), expected);
        assert_eq!(pair.ends[RIGHT].transport.statistics().undeclared_messages_dropped, 0);
    }
}

#[test]
fn the_largest_message_is_what_both_ends_permit() {
    let unlimited = 16 * 1024 * 1024;
    for (attribute, expected) in [
        (None, 65_536),
        (Some(0), unlimited),
        (Some(1_000), 1_000),
        (Some(262_144), 262_144),
        (Some(1_073_741_823), unlimited),
        (Some(u64::MAX), unlimited),
    ] {
        let mut pair = Pair::new(14, Path::default());
        assert_eq!(pair.ends[LEFT].transport.max_message_size(), None);
        let remote_max_message_size = MaxMessageSize::from_attribute(attribute);
        let parameters = StartParameters { remote_max_message_size, ..pair.parameters(LEFT, DtlsRole::Client) };
        pair.ends[LEFT].transport.start(pair.now, parameters).unwrap();
        assert_eq!(pair.ends[LEFT].transport.max_message_size(), Some(expected), "{attribute:?}");
    }
}

#[test]
fn a_message_above_the_limit_is_refused_and_nothing_is_sent() {
    let mut pair = Pair::with_configs(15, Path::default(), |_, config| config.max_receive_message_size = 256 * 1024);
    pair.connect();
    let [left, _] = pair.open(DataChannelOptions::new("label"));
    let limit = pair.ends[LEFT].transport.max_message_size().unwrap();
    assert_eq!(limit, 256 * 1024);
    let error = pair.ends[LEFT].transport.send(pair.now, left, Message::binary(vec![7; limit + 1])).unwrap_err();
    assert_eq!((error, error.kind()), (SendError::TooLarge { limit }, ErrorKind::TypeError));
    assert_eq!(pair.ends[LEFT].transport.channel(left).unwrap().statistics.messages_sent, 0);
    for length in [limit - 1, limit] {
        pair.send(LEFT, left, Message::binary(vec![7; length]));
    }
    assert!(pair.run(Duration::from_secs(5), |pair| pair.ends[RIGHT].messages().len() == 2));
    let lengths: Vec<_> = pair.ends[RIGHT].messages().iter().map(|message| message.payload.len()).collect();
    assert_eq!(lengths, [limit - 1, limit]);
}

#[test]
fn without_limit_a_message_of_megabytes_is_sent() {
    let mut pair = Pair::with_configs(16, Path::default(), |_, config| {
        config.max_receive_message_size = 4 * 1024 * 1024;
        config.max_send_message_size = 4 * 1024 * 1024;
    });
    for (end, role) in [(LEFT, DtlsRole::Client), (RIGHT, DtlsRole::Server)] {
        let parameters =
            StartParameters { remote_max_message_size: MaxMessageSize::Unlimited, ..pair.parameters(end, role) };
        pair.ends[end].transport.start(pair.now, parameters).unwrap();
    }
    assert!(pair.run(Duration::from_secs(5), Pair::is_up));
    let [left, _] = pair.open(DataChannelOptions::new("label"));
    pair.send(LEFT, left, Message::binary(vec![7; 4 * 1024 * 1024]));
    assert!(pair.run(Duration::from_secs(10), |pair| pair.ends[RIGHT].messages().len() == 1));
}

#[test]
fn what_is_sent_while_the_association_is_being_set_up_is_delivered() {
    let mut pair = Pair::new(17, Path::default());
    let left = pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("label")).unwrap();
    let early = pair.ends[LEFT].transport.send(pair.now, left, Message::text("too early"));
    assert_eq!(early, Err(SendError::NotOpen));
    pair.start(DtlsRole::Client);
    pair.send(LEFT, left, Message::text("first"));
    assert_eq!(pair.ends[LEFT].transport.channel(left).unwrap().buffered_amount, 5);
    pair.rest(Duration::from_secs(2));
    assert_eq!(pair.ends[RIGHT].messages(), [Message::text("first")]);
}

#[test]
fn wrong_options_are_refused_with_the_errors_of_the_standard() {
    let mut pair = Pair::with_configs(18, Path::default(), |_, config| config.max_channels = 16);
    pair.connect();
    let now = pair.now;
    let transport = &mut pair.ends[LEFT].transport;
    let long = "x".repeat(65_536);
    let cases = [
        (DataChannelOptions::new(long.clone()), CreateDataChannelError::LabelTooLong, ErrorKind::TypeError),
        (
            DataChannelOptions { protocol: long, ..DataChannelOptions::new("") },
            CreateDataChannelError::ProtocolTooLong,
            ErrorKind::TypeError,
        ),
        (negotiated(65_535), CreateDataChannelError::InvalidId, ErrorKind::TypeError),
        (
            DataChannelOptions {
                reliability: Reliability::MaxPacketLifetime(Duration::MAX),
                ..DataChannelOptions::new("")
            },
            CreateDataChannelError::LifetimeTooLong,
            ErrorKind::TypeError,
        ),
        (negotiated(16), CreateDataChannelError::TooManyChannels, ErrorKind::OperationError),
    ];
    for (options, error, kind) in cases {
        assert_eq!(transport.create_channel(now, options), Err(error));
        assert_eq!(error.kind(), kind);
    }
    assert_eq!(transport.channels().count(), 0);
    transport.create_channel(now, negotiated(15)).unwrap();
    assert_eq!(transport.create_channel(now, negotiated(15)), Err(CreateDataChannelError::IdInUse));
    let longest = DataChannelOptions { protocol: "p".repeat(65_535), ..DataChannelOptions::new("l".repeat(65_535)) };
    transport.create_channel(now, longest).unwrap();
    assert!(pair.run(Duration::from_secs(5), |pair| pair.ends[RIGHT].announced().len() == 1));
}

#[test]
fn the_number_of_channels_is_bounded_and_ids_end_at_the_negotiated_streams() {
    let mut pair = Pair::with_configs(19, Path::default(), |end, config| config.max_channels = [16, 10][end]);
    // Before the association is there, nobody knows how many the peer permits.
    let beyond = pair.ends[LEFT].transport.create_channel(pair.now, negotiated(12)).unwrap();
    pair.connect();
    assert_eq!(pair.ends.each_ref().map(|end| end.transport.max_channels()), [Some(10), Some(10)]);
    assert!(pair.ends[LEFT].has(&SecureEvent::ChannelClosed { channel: beyond }));
    let transport = &mut pair.ends[LEFT].transport;
    let ids: Vec<_> = (0..5)
        .map(|_| {
            let key = transport.create_channel(pair.now, DataChannelOptions::new("")).unwrap();
            transport.channel(key).unwrap().id.unwrap()
        })
        .collect();
    assert_eq!(ids, [0, 2, 4, 6, 8]);
    let one_more = pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new(""));
    assert_eq!(one_more, Err(CreateDataChannelError::TooManyChannels));
    pair.rest(Duration::from_secs(1));
    assert_eq!(pair.ends[RIGHT].announced().len(), 5);
}

#[test]
fn channels_are_counted_and_their_messages_too() {
    let mut pair = Pair::connected(20);
    let [left, right] = pair.open(DataChannelOptions::new("label"));
    pair.send(LEFT, left, Message::text("hello"));
    pair.rest(Duration::from_secs(1));
    let sent = pair.ends[LEFT].transport.channel(left).unwrap().statistics;
    let received = pair.ends[RIGHT].transport.channel(right).unwrap().statistics;
    assert_eq!((sent.messages_sent, sent.bytes_sent), (1, 5));
    assert_eq!((received.messages_received, received.bytes_received), (1, 5));
    pair.ends[LEFT].transport.close_channel(pair.now, left).unwrap();
    pair.rest(Duration::from_secs(5));
    for end in &pair.ends {
        let statistics = end.transport.statistics();
        assert_eq!((statistics.channels_opened, statistics.channels_closed), (1, 1));
        assert!(statistics.datagrams_sent > 0 && statistics.bytes_received > 0);
        assert!(statistics.round_trip_time.is_some_and(|time| time >= Duration::from_millis(40)));
    }
}

/// The size of a message that waits for the window, in bytes: more than a channel may hand over whatever others have.
const BEYOND_OWN_SHARE: usize = 3000;

#[test]
fn messages_on_many_channels_are_dropped_each_when_its_own_lifetime_ends() {
    let mut pair = Pair::with_configs(14, Path::default(), |_, config| config.send_window = 1);
    pair.connect();
    let lifetimes = [900, 300, 600, 100].map(Duration::from_millis);
    let channels = lifetimes.map(|lifetime| {
        let reliability = Reliability::MaxPacketLifetime(lifetime);
        pair.open(DataChannelOptions { reliability, ..DataChannelOptions::new("label") })[LEFT]
    });
    let [blocker, _] = pair.open(DataChannelOptions::new("reliable"));
    pair.path.loss = 1000;
    pair.send(LEFT, blocker, Message::text("in flight"));
    pair.rest(Duration::from_millis(1));
    let sent = pair.now;
    for round in 0..2 {
        for channel in channels {
            pair.send(LEFT, channel, Message::binary(vec![7; BEYOND_OWN_SHARE]));
        }
        pair.rest(Duration::from_millis(50 * (1 - round)));
    }
    // Between two lifetimes each: those of a channel are 50 ms apart.
    for (at, dropped) in [(90, 0), (130, 1), (200, 2), (330, 3), (400, 4), (630, 5), (700, 6), (930, 7), (1_000, 8)] {
        pair.rest(sent + Duration::from_millis(at) - pair.now);
        // Looked at whenever packets are made.
        pair.drain(LEFT);
        let transport = &pair.ends[LEFT].transport;
        let statistics = transport.statistics();
        assert_eq!(statistics.expired_messages, dropped, "after {at} ms");
        let waiting: usize = transport.channels().map(|(_, channel)| channel.buffered_amount).sum();
        let expected = (8 - usize::try_from(dropped).unwrap()) * BEYOND_OWN_SHARE;
        assert_eq!([waiting, statistics.send_buffer_used], [expected; 2], "after {at} ms");
    }
}

#[test]
fn closing_a_channel_forgets_when_its_messages_would_have_been_dropped() {
    let mut pair = Pair::with_configs(15, Path::default(), |_, config| config.send_window = 1);
    pair.connect();
    let [blocker, _] = pair.open(DataChannelOptions::new("reliable"));
    let reliability = Reliability::MaxPacketLifetime(Duration::from_millis(100));
    let [left, right] = pair.open(DataChannelOptions { reliability, ..DataChannelOptions::new("label") });
    pair.send(LEFT, blocker, Message::text("in flight"));
    pair.send(LEFT, left, Message::binary(vec![7; BEYOND_OWN_SHARE]));
    pair.ends[RIGHT].transport.close_channel(pair.now, right).unwrap();
    pair.rest(Duration::from_secs(5));
    assert_eq!(pair.state(LEFT, left), DataChannelState::Closed);
    let statistics = pair.ends[LEFT].transport.statistics();
    assert_eq!([statistics.send_buffer_used, statistics.send_window_used], [0, 0]);
}
