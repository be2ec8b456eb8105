//! Associations that the descriptions have set up (draft-hancke-tsvwg-snap-00): the INIT of each side has come with them.

use proto_dtls_sctp::bare::{BareAssociation, BareConfig, BareEvent};
use proto_dtls_sctp::{InitChunk, SctpFailureReason};
use proto_machine::{Seed, Timestamp};

use crate::tester::{COOKIE, PLAIN, TAG, TSN, Tester, message, offer};
use crate::wire::{
    ABORT, COOKIE_ACK, COOKIE_ECHO, Chunk, DATA, FORWARD_TSN, I_DATA, I_FORWARD_TSN, INIT, INIT_ACK, Init, RE_CONFIG,
    SACK, cause, chunk, parameter,
};

fn seed() -> Seed {
    Seed::from_number(9)
}

/// The chunk as a description carries it: without padding behind its last parameter.
fn described(init: &Init) -> Vec<u8> {
    let value = init.chunk(INIT).value;
    [&[INIT, 0], u16::try_from(4 + value.len()).unwrap().to_be_bytes().as_slice(), &value].concat()
}

fn read(bytes: &[u8]) -> Init {
    assert_eq!((bytes[0], bytes[1]), (INIT, 0));
    assert_eq!(usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), bytes.len(), "no padding");
    Chunk { kind: INIT, flags: 0, value: bytes[4..].to_vec() }.init()
}

/// Established from the start.
fn start(config: BareConfig, theirs: &Init) -> Tester {
    let now = Timestamp::from_millis(1_000);
    let own = read(&config.init_chunk(seed()).to_bytes());
    let theirs = InitChunk::from_bytes(&described(theirs)).unwrap();
    let end = BareAssociation::described(now, config, seed(), theirs);
    Tester::described(now, end, own, config.packet_size)
}

#[test]
fn it_is_established_from_the_start_and_sends_nothing_to_set_it_up() {
    let mut peer = start(PLAIN, &offer());
    assert!(peer.events().contains(&BareEvent::Established { streams: 16 }));
    peer.expect_nothing();
    assert_eq!(peer.end.poll_timeout(), None);
    peer.writes(1, b"at once");
    let data = peer.expect_only(DATA).data();
    assert_eq!((data.tsn, data.payload.as_slice()), (peer.init.tsn, &b"at once"[..]));
}

#[test]
fn data_of_the_peer_is_taken_at_once() {
    let mut peer = start(PLAIN, &offer());
    peer.sends(&[message(0, 1, 0, b"at once").chunk()]);
    assert_eq!(peer.expect_sack().cumulative, TSN);
    assert_eq!(peer.reads(1).as_deref(), Some(&b"at once"[..]));
}

#[test]
fn tags_windows_and_streams_are_those_of_the_descriptions() {
    let mut peer = start(PLAIN, &Init { window: 1500, inbound_streams: 3, ..offer() });
    assert!(peer.events().contains(&BareEvent::Established { streams: 3 }));
    peer.writes(1, &[7; 4000]);
    let packets = peer.flight();
    assert!(packets.iter().all(|packet| packet.tag == TAG));
    assert_eq!(packets.len(), 1, "the window of the peer");
    peer.sends_with_tag(peer.init.tag ^ 1, &[chunk(ABORT, &[])]);
    assert_eq!(peer.lost(), None);
}

#[test]
fn extensions_are_agreed_on_as_by_init_and_init_ack() {
    let config = BareConfig { interleaving: true, ..PLAIN };
    let extensions = [RE_CONFIG, FORWARD_TSN, I_DATA, I_FORWARD_TSN];
    let mut peer = start(config, &offer().with(parameter::SUPPORTED_EXTENSIONS, &extensions));
    peer.writes(1, b"interleaved");
    peer.expect_only(I_DATA);
    let mut peer = start(config, &offer());
    peer.writes(1, b"plain");
    peer.expect_only(DATA);
}

#[test]
fn late_chunks_of_a_set_up_disturb_nothing() {
    let mut peer = start(PLAIN, &offer());
    peer.sends(&[offer().with(parameter::STATE_COOKIE, COOKIE).chunk(INIT_ACK)]);
    peer.sends(&[chunk(COOKIE_ACK, &[])]);
    peer.sends(&[chunk(COOKIE_ECHO, COOKIE)]);
    peer.expect_alive();
    peer.sends_with_tag(0, &[offer().chunk(INIT)]);
    assert_ne!(peer.expect_only(INIT_ACK).init().tag, peer.init.tag);
    peer.expect_alive();
    peer.sends(&[message(0, 1, 0, b"goes on").chunk()]);
    peer.expect_chunks(&[SACK]);
}

#[test]
fn a_peer_that_sets_another_association_up_has_restarted() {
    let mut peer = start(PLAIN, &offer());
    let other = Init { tag: TAG + 1, ..offer() };
    peer.expect_tag(other.tag);
    peer.sends_with_tag(0, &[other.chunk(INIT)]);
    let answer = peer.expect_only(INIT_ACK).init();
    peer.sends_with_tag(answer.tag, &[chunk(COOKIE_ECHO, answer.find(parameter::STATE_COOKIE).unwrap())]);
    assert_eq!(peer.expect_only(ABORT).cause(), cause::RESTART);
    peer.expect_lost(SctpFailureReason::PeerRestarted, None);
}

#[test]
fn a_chunk_that_could_not_be_answered_is_no_description() {
    let bad = [
        Init { tag: 0, ..offer() },
        Init { window: 1499, ..offer() },
        Init { outbound_streams: 0, ..offer() },
        Init { inbound_streams: 0, ..offer() },
        offer().with(parameter::HOST_NAME, b"example.org\0"),
    ];
    for init in bad {
        assert!(InitChunk::from_bytes(&described(&init)).is_err(), "{init:?}");
    }
    let good = described(&offer());
    assert!(InitChunk::from_bytes(&good).is_ok());
    for length in 0..good.len() {
        assert!(InitChunk::from_bytes(&good[..length]).is_err());
    }
}
