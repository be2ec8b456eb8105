//! Associations that the descriptions have set up (draft-hancke-tsvwg-snap-00).

use std::time::Duration;

use proto_dtls_sctp::{DataChannelOptions, DtlsRole, InitChunk, Message, SecureEvent};

use crate::common::{LEFT, Pair, Path, RIGHT};

const ONE_WAY: Duration = Duration::from_millis(60);

/// Two ends that have been told each other's INIT chunk, as a description carries it.
fn start(pair: &mut Pair, left: DtlsRole) {
    let right = if left == DtlsRole::Client { DtlsRole::Server } else { DtlsRole::Client };
    for (index, role) in [left, right].into_iter().enumerate() {
        let chunk = pair.ends[1 - index].transport.init_chunk().to_bytes();
        let mut parameters = pair.parameters(index, role);
        parameters.remote_init = Some(InitChunk::from_bytes(&chunk).unwrap());
        pair.ends[index].transport.set_round_trip_time(pair.path.delay * 2);
        pair.ends[index].transport.start(pair.now, parameters).unwrap();
    }
}

fn is_announced(pair: &Pair) -> bool {
    !pair.ends[RIGHT].announced().is_empty()
}

/// §6: established once DTLS is. From the ClientHello on: its answer, and the OPEN behind the last flight; half a round trip more for the OPEN of the server.
#[test]
fn the_open_follows_the_handshake_of_dtls_at_once() {
    for (left, one_ways) in [(DtlsRole::Client, 3), (DtlsRole::Server, 4)] {
        let mut pair = Pair::new(1, Path { delay: ONE_WAY, ..Path::default() });
        pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("label")).unwrap();
        let started = pair.now;
        start(&mut pair, left);
        assert!(pair.run(Duration::from_secs(10), is_announced));
        assert_eq!(pair.now - started, ONE_WAY * one_ways, "{left:?}");
        let is_open = |event: &SecureEvent| matches!(event, SecureEvent::ChannelOpen { .. });
        assert_eq!(pair.ends[LEFT].events.iter().filter(|event| is_open(event)).count(), 1);
    }
}

/// §5.6
#[test]
fn the_chunk_is_the_same_before_and_after_the_start_and_different_for_every_seed() {
    let mut pair = Pair::new(1, Path::default());
    let before = [LEFT, RIGHT].map(|end| pair.ends[end].transport.init_chunk());
    assert_ne!(before[LEFT], before[RIGHT]);
    start(&mut pair, DtlsRole::Client);
    assert!(pair.run(Duration::from_secs(10), Pair::is_up));
    assert_eq!([LEFT, RIGHT].map(|end| pair.ends[end].transport.init_chunk()), before);
}

#[test]
fn messages_get_through_both_ways_whatever_the_path_does() {
    for seed in 0..30 {
        let path = Path { delay: ONE_WAY, jitter: ONE_WAY, loss: 200, duplication: 100, corruption: 0 };
        let mut pair = Pair::new(seed, path);
        let left = pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("label")).unwrap();
        start(&mut pair, DtlsRole::Client);
        assert!(pair.run(Duration::from_secs(60), is_announced), "seed {seed}");
        let right = pair.ends[RIGHT].announced()[0];
        for number in 0_u8..20 {
            pair.send(LEFT, left, Message::binary(vec![number; 3_000]));
            pair.send(RIGHT, right, Message::binary(vec![number; 3_000]));
        }
        let arrived = |pair: &Pair| pair.ends.iter().all(|end| end.messages().len() == 20);
        assert!(pair.run(Duration::from_secs(120), arrived), "seed {seed}");
        let numbers = |messages: Vec<Message>| messages.iter().map(|message| message.payload[0]).collect::<Vec<_>>();
        for end in [LEFT, RIGHT] {
            assert_eq!(numbers(pair.ends[end].messages()), (0..20).collect::<Vec<_>>(), "seed {seed}");
        }
    }
}
