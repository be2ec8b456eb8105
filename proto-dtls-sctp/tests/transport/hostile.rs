//! A peer that is authenticated and hostile, old, or odd; and datagrams of nobody.

use std::time::Duration;

use proto_dtls_sctp::{
    ChannelFailure, ChannelKey, DataChannelOptions, DataChannelState, DtlsRole, DtlsTransportState, Message,
    SctpBackend, SctpFailure, SctpFailureReason, SctpTransportState, SecureEvent,
};
use proto_machine::Machine;

use crate::common::{LEFT, Pair, Path, RIGHT, backend};
use crate::raw::{Duo, Version, cookie, open};

/// A raw DTLS client whose association with 64 streams is established. Its channels have even ids.
fn associated() -> Duo {
    let mut duo = Duo::new(Version::Only13, DtlsRole::Client);
    duo.associate(64);
    duo
}

fn announced(duo: &Duo) -> Vec<ChannelKey> {
    duo.events
        .iter()
        .filter_map(|event| if let SecureEvent::DataChannel { channel } = event { Some(*channel) } else { None })
        .collect()
}

/// The streams that the transport has asked to reset (RFC 6525 §4.1).
fn resets(duo: &Duo) -> Vec<u16> {
    let requests = duo.received(130);
    let streams = requests.iter().filter(|value| value[..2] == [0, 13]).flat_map(|value| {
        let length = usize::from(u16::from_be_bytes([value[2], value[3]]));
        value[16..length].chunks(2).map(|stream| u16::from_be_bytes([stream[0], stream[1]])).collect::<Vec<_>>()
    });
    streams.collect()
}

#[test]
fn an_open_with_the_wrong_parity_or_on_a_used_id_or_malformed_is_answered_with_a_reset() {
    let mut truncated = open("label");
    truncated.pop();
    let mut unknown_type = open("label");
    unknown_type[1] = 0x7F;
    for (stream, message) in [(1, open("parity")), (0, truncated), (0, unknown_type), (0, vec![9, 9, 9]), (0, vec![0])]
    {
        let mut duo = associated();
        duo.send_data(stream, 0, 50, &message);
        duo.rest(Duration::from_secs(2));
        assert!(announced(&duo).is_empty(), "{message:?}");
        assert_eq!(resets(&duo), [stream], "{message:?}");
        assert_eq!(duo.transport.statistics().dcep_violations, 1);
        assert_eq!(duo.transport.sctp_state(), SctpTransportState::Connected);
    }
}

#[test]
fn a_second_open_on_a_channel_closes_it_with_an_error() {
    let mut duo = associated();
    duo.send_data(0, 0, 50, &open("first"));
    let channel = announced(&duo)[0];
    duo.send_data(0, 1, 50, &open("second"));
    duo.rest(Duration::from_secs(2));
    assert!(duo.has(&SecureEvent::ChannelError { channel, error: ChannelFailure::StreamReused }));
    assert_eq!(duo.transport.channel(channel).unwrap().ready_state, DataChannelState::Closing);
    assert_eq!(resets(&duo), [0]);
    assert_eq!(announced(&duo).len(), 1);
}

#[test]
fn an_open_on_the_id_of_an_own_channel_closes_that_with_an_error() {
    let mut duo = associated();
    let own = duo.transport.create_channel(duo.now, DataChannelOptions::new("own")).unwrap();
    duo.exchange();
    assert_eq!(duo.transport.channel(own).unwrap().id, Some(1));
    duo.send_data(1, 0, 50, &open("stolen"));
    assert!(duo.has(&SecureEvent::ChannelError { channel: own, error: ChannelFailure::StreamReused }));
}

#[test]
fn an_acknowledgement_for_nothing_resets_the_stream_and_one_for_a_channel_is_taken() {
    let mut duo = associated();
    duo.send_data(4, 0, 50, &[2]);
    duo.rest(Duration::from_secs(1));
    assert_eq!(resets(&duo), [4]);
    let mut duo = associated();
    let own = duo.transport.create_channel(duo.now, DataChannelOptions::new("own")).unwrap();
    duo.exchange();
    duo.send_data(1, 0, 50, &[2]);
    assert_eq!(duo.transport.channel(own).unwrap().ready_state, DataChannelState::Open);
    assert_eq!(duo.transport.statistics().dcep_violations, 0);
}

#[test]
fn channels_of_the_peer_are_bounded_by_the_negotiated_streams() {
    let mut duo = Duo::with(
        Version::Only13,
        DtlsRole::Client,
        |builder| builder,
        |config| config.max_channels = 4,
        |parameters| parameters,
    );
    duo.associate(64);
    for stream in [0, 2] {
        duo.send_data(stream, 0, 50, &open("label"));
    }
    assert_eq!(announced(&duo).len(), 2);
    duo.send_data(4, 0, 50, &open("one too many"));
    assert_eq!(announced(&duo).len(), 2);
    if backend() == SctpBackend::Own {
        // RFC 9260 §6.5: it is reported, and the association goes on.
        assert_eq!(duo.received(9), [vec![0, 1, 0, 8, 0, 4, 0, 0]], "an ERROR that names the stream");
        assert_eq!(duo.transport.sctp_failure(), None);
    } else {
        let failure = duo.transport.sctp_failure().unwrap();
        assert_eq!((failure.cause_code, failure.reason), (Some(1), SctpFailureReason::PeerMisbehaved));
        assert_eq!(duo.received(6), [vec![0, 1, 0, 4]], "an ABORT that names the cause");
    }
}

#[test]
fn data_on_streams_that_nobody_opened_waits_in_bounded_memory_and_then_the_streams_are_reset() {
    let mut duo = associated();
    for stream in 0..40 {
        duo.send_data(stream, 0, 51, b"lost");
    }
    duo.rest(Duration::from_secs(1));
    // 16 streams wait, the others are reset at once.
    let mut first = resets(&duo);
    first.sort_unstable();
    assert_eq!(first, (16..40).collect::<Vec<_>>());
    duo.rest(Duration::from_secs(11));
    assert_eq!(duo.transport.statistics().undeclared_messages_dropped, 40);
}

#[test]
fn a_flood_on_one_stream_that_nobody_opened_is_cut_off() {
    let mut duo = associated();
    for number in 0..80 {
        duo.send_data(5, number, 53, &[7; 1000]);
    }
    duo.rest(Duration::from_secs(1));
    assert_eq!(resets(&duo), [5]);
    assert_eq!(duo.transport.sctp_state(), SctpTransportState::Connected);
}

#[test]
fn pieces_in_the_deprecated_way_are_put_together() {
    let mut duo = associated();
    duo.send_data(0, 0, 50, &open("label"));
    let channel = announced(&duo)[0];
    for (number, (identifier, payload)) in
        (1..).zip([(54, "to"), (54, "geth"), (51, "er"), (52, "by"), (53, "tes"), (54, "x"), (56, "\0")])
    {
        duo.send_data(0, number, identifier, payload.as_bytes());
    }
    for message in [Message::text("together"), Message::binary(&b"bytes"[..]), Message::text("x")] {
        assert!(duo.has(&SecureEvent::Message { channel, message: message.clone() }), "{message:?}");
    }
}

#[test]
fn pieces_without_end_close_the_channel() {
    let mut duo = Duo::with(
        Version::Only13,
        DtlsRole::Client,
        |builder| builder,
        |config| config.max_receive_message_size = 10_000,
        |parameters| parameters,
    );
    duo.associate(64);
    duo.send_data(0, 0, 50, &open("label"));
    let channel = announced(&duo)[0];
    for number in 1..=11 {
        duo.send_data(0, number, 52, &[7; 1000]);
    }
    assert!(duo.has(&SecureEvent::ChannelError { channel, error: ChannelFailure::MessageTooLarge }));
}

#[test]
fn empty_messages_and_unknown_identifiers_are_told_apart() {
    let mut duo = associated();
    duo.send_data(0, 0, 50, &open("label"));
    let channel = announced(&duo)[0];
    for (number, identifier) in (1..).zip([56, 57, 0, 99, 51]) {
        duo.send_data(0, number, identifier, b"?");
    }
    let messages: Vec<_> = duo
        .events
        .iter()
        .filter_map(|event| if let SecureEvent::Message { message, .. } = event { Some(message.clone()) } else { None })
        .collect();
    assert_eq!(messages, [Message::text(""), Message::binary(&b""[..]), Message::text("?")]);
    assert_eq!(duo.transport.statistics().unknown_protocol_messages, 2);
    assert_eq!(duo.transport.channel(channel).unwrap().statistics.messages_received, 3);
}

#[test]
fn a_message_that_is_not_utf_8_arrives_repaired() {
    let mut duo = associated();
    duo.send_data(0, 0, 50, &open("label"));
    duo.send_data(0, 1, 51, &[b'a', 0xFF]);
    let text = duo
        .events
        .iter()
        .find_map(|event| if let SecureEvent::Message { message, .. } = event { message.as_text() } else { None });
    assert_eq!(text.as_deref(), Some("a\u{FFFD}"));
}

#[test]
fn an_error_chunk_and_an_unknown_chunk_end_nothing() {
    let mut duo = associated();
    let data = duo.data_chunk(0, 0, 50, &open("label"));
    duo.send_chunks(&[(9, 0, &[0, 1, 0, 4]), (0x84, 0, &[0; 40]), (0, 3, &data)]);
    assert_eq!(announced(&duo).len(), 1);
    assert_eq!(duo.transport.statistics().sctp_chunks_skipped, 2);
}

#[test]
fn a_duplicate_init_or_cookie_echo_disturbs_nothing() {
    let mut duo = associated();
    duo.send_data(0, 0, 50, &open("label"));
    let cookie = cookie(&duo.received(2)[0]);
    let init = duo.init(duo.sctp.own_tag, 64);
    for _ in 0..3 {
        let packet = duo.packet_with_tag(0, &[(1, 0, &init)]);
        duo.raw.send(&packet);
        duo.send_chunks(&[(10, 0, &cookie)]);
        duo.send_chunks(&[(11, 0, &[])]);
    }
    duo.send_data(0, 1, 51, b"alive");
    assert!(duo.has(&SecureEvent::Message { channel: announced(&duo)[0], message: Message::text("alive") }));
    assert_eq!(duo.transport.statistics().unexpected_inits, 3);
}

#[test]
fn a_peer_that_speaks_dtls_and_no_sctp_is_given_up_with_a_reason() {
    let mut duo = Duo::with(
        Version::Only13,
        DtlsRole::Client,
        |builder| builder,
        |config| config.handshake_timeout = Duration::from_secs(20),
        |parameters| parameters,
    );
    let channel = duo.transport.create_channel(duo.now, DataChannelOptions::new("label")).unwrap();
    duo.rest(Duration::from_secs(19));
    assert_eq!(duo.transport.sctp_failure(), None);
    duo.rest(Duration::from_secs(2));
    let failure = SctpFailure { cause_code: None, reason: SctpFailureReason::SetUpTimedOut };
    assert_eq!(duo.transport.sctp_failure(), Some(failure));
    assert!(duo.has(&SecureEvent::ChannelError { channel, error: ChannelFailure::Sctp(failure) }));
    assert!(duo.has(&SecureEvent::ChannelClosed { channel }));
    assert_eq!(duo.transport.dtls_state(), DtlsTransportState::Connected);
}

#[test]
fn partial_messages_and_headers_without_end_exhaust_nothing() {
    let mut duo = associated();
    // The first fragments of ever new messages: never one that is complete.
    for stream in 0..64 {
        for number in 0..100 {
            let value = duo.data_chunk(stream, number, 53, &[7; 1000]);
            let packet = duo.packet(&[(0, 2, &value)]);
            duo.raw.send(&packet);
        }
        duo.exchange();
    }
    duo.rest(Duration::from_secs(5));
    let failure = duo.transport.sctp_failure().expect("6.4 MB do not fit the window of 2 MiB");
    assert_eq!(failure.reason, SctpFailureReason::PeerMisbehaved);
    // One that names the cause; and one for each packet that comes still (RFC 9260 §8.4 8), should that have been lost.
    let aborts = duo.received(6);
    assert_eq!(aborts.iter().filter(|value| !value.is_empty()).count(), 1, "{aborts:?}");
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_ends_the_association_with_an_abort() {
    let mut duo = associated();
    duo.send_chunks(&[(3, 0, &[0xFF, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])]);
    let mut other = associated();
    other.send_chunks(&[(3, 0, &[0x0F, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])]);
    // One of the two lies ahead of what was sent, the other behind.
    let lost = [&duo, &other].map(|duo| duo.transport.sctp_failure().is_some());
    assert!(lost[0] || lost[1]);
    for duo in [&duo, &other] {
        assert_eq!(duo.received(6).len(), usize::from(duo.transport.sctp_failure().is_some()));
    }
}

#[test]
fn a_window_that_the_peer_closes_for_good_stops_data_and_nothing_else() {
    let mut duo = associated();
    duo.send_data(0, 0, 50, &open("label"));
    let channel = announced(&duo)[0];
    duo.answers = false;
    for _ in 0..100 {
        duo.transport.send(duo.now, channel, Message::binary(vec![7; 10_000])).unwrap();
    }
    duo.rest(Duration::from_secs(60));
    assert_eq!(duo.transport.sctp_state(), SctpTransportState::Connected);
    // Retransmissions only: the work of an idle minute is bounded.
    assert!(duo.raw.data.len() < 400, "{}", duo.raw.data.len());
}

#[test]
fn garbage_and_forgeries_before_and_after_the_handshake_change_nothing() {
    let mut pair = Pair::new(800, Path::default());
    pair.start(DtlsRole::Client);
    for round in 0..200 {
        for end in &mut pair.ends {
            for first in [0, 20, 22, 23, 25, 26, 32, 44, 47, 63, 64, 255] {
                let mut garbage: Vec<u8> =
                    (0..pair.rng.below(100)).map(|_| pair.rng.next_u32().to_be_bytes()[0]).collect();
                garbage.insert(0, first);
                end.transport.handle_datagram(pair.now, &mut garbage);
            }
        }
        if round > 20 {
            pair.rest(Duration::from_millis(10));
        }
    }
    assert!(pair.is_up(), "{:?} {:?}", pair.ends[LEFT].transport, pair.ends[RIGHT].transport);
}

#[test]
fn no_change_of_a_datagram_ends_an_established_session() {
    for raw in [None, Some(Version::Only12)] {
        match raw {
            None => changes_between_two_transports(),
            Some(version) => changes_from_a_raw_peer(version),
        }
    }
}

/// Every bit flipped, every truncation, and bytes appended.
fn changed(datagram: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let flipped = (0..datagram.len() * 8).map(move |bit| {
        let mut changed = datagram.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    });
    let truncated = (0..datagram.len()).map(move |length| datagram[..length].to_vec());
    let extended = [1, 13, 100].into_iter().map(move |length| [datagram, &vec![0x17; length]].concat());
    flipped.chain(truncated).chain(extended)
}

fn changes_between_two_transports() {
    let mut pair = Pair::connected(801);
    let [left, _] = pair.open(DataChannelOptions::new("label"));
    pair.rest(Duration::from_secs(1));
    for number in 0..4_u8 {
        pair.send(LEFT, left, Message::binary(vec![number; 300 * usize::from(number) + 1]));
        for index in [LEFT, RIGHT] {
            pair.drain(index);
        }
        for (index, datagram) in pair.wire.values().cloned().collect::<Vec<_>>() {
            for mut datagram in changed(&datagram) {
                pair.ends[index].transport.handle_datagram(pair.now, &mut datagram);
            }
        }
        pair.rest(Duration::from_secs(1));
    }
    assert_eq!(pair.ends[RIGHT].messages().len(), 4);
    for end in &pair.ends {
        assert_eq!(end.transport.dtls_state(), DtlsTransportState::Connected);
        assert_eq!(end.transport.sctp_failure(), None);
    }
}

fn changes_from_a_raw_peer(version: Version) {
    let mut duo = Duo::new(version, DtlsRole::Client);
    duo.associate(16);
    duo.send_data(0, 0, 50, &open("label"));
    for number in 1..4 {
        let value = duo.data_chunk(0, number, 51, &[b'x'; 200]);
        let packet = duo.packet(&[(0, 3, &value)]);
        duo.raw.send(&packet);
        for datagram in duo.raw.outgoing.clone() {
            for mut datagram in changed(&datagram) {
                duo.transport.handle_datagram(duo.now, &mut datagram);
            }
        }
        duo.exchange();
    }
    let messages = duo.events.iter().filter(|event| matches!(event, SecureEvent::Message { .. })).count();
    assert_eq!(messages, 3);
    assert_eq!(duo.transport.dtls_state(), DtlsTransportState::Connected);
}

#[test]
fn no_change_of_a_datagram_of_the_handshake_panics() {
    // Each datagram of a handshake in turn is changed in one place; what becomes of the session does not matter here.
    let flights = {
        let mut pair = Pair::new(802, Path::default());
        pair.records = true;
        pair.connect();
        pair.ends.iter().map(|end| end.sent.len()).sum::<usize>()
    };
    for target in 0..flights.min(12) {
        for place in 0..40 {
            let mut pair = Pair::new(802, Path::default());
            pair.start(DtlsRole::Client);
            for seen in 0..60 {
                for index in [LEFT, RIGHT] {
                    pair.drain(index);
                }
                let Some(mut entry) = pair.wire.first_entry() else { break };
                let datagram = &mut entry.get_mut().1;
                if seen == target {
                    let at = (place * 31) % datagram.len();
                    if place % 3 == 0 { datagram.truncate(at) } else { datagram[at] ^= 1 << (place % 8) }
                }
                let ((at, _), (index, mut datagram)) = pair.wire.pop_first().unwrap();
                pair.now = pair.now.max(at);
                pair.ends[index].transport.handle_datagram(pair.now, &mut datagram);
            }
        }
    }
}

#[test]
fn sessions_survive_five_percent_corruption_once_they_are_up() {
    for seed in 0..60 {
        let mut pair = Pair::connected(900 + seed);
        let [left, _] = pair.open(DataChannelOptions::new("label"));
        pair.path = Path { corruption: 50, delay: Duration::from_millis(50), ..Path::default() };
        for number in 0..100_u8 {
            pair.send(LEFT, left, Message::binary(vec![number; 1000]));
        }
        assert!(pair.run(Duration::from_secs(60), |pair| pair.ends[RIGHT].messages().len() == 100), "seed {seed}");
    }
}

#[test]
fn a_replay_minutes_later_disturbs_nothing() {
    let mut pair = Pair::new(803, Path::default());
    pair.records = true;
    pair.connect();
    let [left, right] = pair.open(DataChannelOptions::new("label"));
    pair.send(LEFT, left, Message::text("once"));
    pair.rest(Duration::from_secs(300));
    for index in [LEFT, RIGHT] {
        for (_, mut datagram) in pair.ends[index].sent.clone() {
            pair.ends[1 - index].transport.handle_datagram(pair.now, &mut datagram);
        }
    }
    pair.rest(Duration::from_secs(2));
    pair.send(LEFT, left, Message::text("twice"));
    pair.rest(Duration::from_secs(2));
    assert_eq!(pair.ends[RIGHT].messages_on(right), [Message::text("once"), Message::text("twice")]);
}

#[test]
fn an_idle_session_sends_nothing() {
    let mut pair = Pair::connected(804);
    pair.open(DataChannelOptions::new("label"));
    pair.rest(Duration::from_secs(5));
    let sent = pair.ends.each_ref().map(|end| end.transport.statistics().datagrams_sent);
    pair.rest(Duration::from_secs(3600));
    assert_eq!(pair.ends.each_ref().map(|end| end.transport.statistics().datagrams_sent), sent);
    assert!(pair.ends.iter().all(|end| end.transport.poll_timeout().is_none()));
}

#[test]
fn pieces_that_wait_for_their_channel_are_put_together() {
    let mut duo = associated();
    for (sequence_number, identifier, text) in [(0, 54, "one "), (1, 54, "two "), (2, 51, "three")] {
        duo.send_data(7, sequence_number, identifier, text.as_bytes());
    }
    let options = DataChannelOptions { negotiated: Some(7), ..DataChannelOptions::new("negotiated") };
    let channel = duo.transport.create_channel(duo.now, options).unwrap();
    duo.exchange();
    let messages: Vec<_> = duo.events.iter().filter(|event| matches!(event, SecureEvent::Message { .. })).collect();
    assert_eq!(messages, [&SecureEvent::Message { channel, message: Message::text("one two three") }]);
}

#[test]
fn a_peer_that_shuts_down_and_falls_silent_loses_the_association_and_no_message_vanishes_before() {
    let mut duo = associated();
    duo.send_data(0, 0, 50, &open("label"));
    let channel = announced(&duo)[0];
    duo.answers = false;
    duo.transport.send(duo.now, channel, Message::text("on its way")).unwrap();
    duo.exchange();
    duo.send_chunks(&[(7, 0, &[0; 4])]);
    duo.transport.send(duo.now, channel, Message::text("late")).unwrap();
    duo.exchange();
    assert_eq!(duo.transport.channel(channel).unwrap().buffered_amount, 4);
    duo.rest(Duration::from_secs(14));
    assert_eq!(duo.transport.sctp_state(), SctpTransportState::Connected);
    duo.rest(Duration::from_secs(2));
    assert_eq!(duo.transport.sctp_state(), SctpTransportState::Closed);
    assert_eq!(duo.transport.sctp_failure().map(|failure| failure.reason), Some(SctpFailureReason::ShutDownByPeer));
    assert!(duo.has(&SecureEvent::ChannelClosed { channel }));
}
