//! Damaged and forged datagrams: never a panic, and never the end of an established session.

use std::net::SocketAddr;
use std::time::Duration;

use driver_sim::{Captured, LinkConfig, Probability};
use peer_core::{DataChannelOptions, PeerConnectionState};
use proto_machine::{Machine, Path, Received, Timestamp, TransmitBuffer};

use crate::support::{Pair, peer};

/// Every datagram of a connection from the first check to the last of some messages, as both sides received them.
fn recorded() -> (Pair, Vec<Captured>) {
    let mut pair = Pair::new(vec![DataChannelOptions::new("test")], vec![]);
    pair.world.capture();
    pair.run_until_open();
    pair.exchange("recorded");
    pair.world.run_for(Duration::from_secs(10));
    let captured = pair.world.captured().to_vec();
    assert!(captured.len() > 10);
    (pair, captured)
}

/// The datagram cut off at every byte, and with every bit flipped, one at a time.
fn mutations(datagram: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let cut = (0..datagram.len()).map(|length| datagram[..length].to_vec());
    let flipped = (0..datagram.len() * 8).map(|bit| {
        let mut flipped = datagram.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    });
    cut.chain(flipped)
}

#[test]
fn no_datagram_cut_at_any_byte_or_with_any_bit_flipped_ends_an_established_session() {
    let (mut pair, captured) = recorded();
    let mut count = 0;
    for original in &captured {
        let side = if original.node == pair.left.id() { pair.left } else { pair.right };
        for mut datagram in mutations(&original.bytes) {
            count += 1;
            pair.command(side, |peer, now| {
                peer.handle_input(now, Received { path: original.path, datagram: &mut datagram });
            });
        }
        for side in [pair.left, pair.right] {
            let state = pair.world.node(side).peer().connection_state();
            assert_eq!(state, PeerConnectionState::Connected, "after mutations of {original:?}");
        }
    }
    assert!(count > 10_000);
    pair.exchange("still here");
    pair.world.run_for(Duration::from_secs(60));
    pair.exchange("and a minute later");
}

/// The same datagrams, to peers that wait for an answer, that are checking, and that shake hands.
#[test]
fn no_mutated_datagram_makes_a_peer_panic_before_it_is_connected() {
    let (_, captured) = recorded();
    for milliseconds in [0, 30, 50, 70, 90, 110, 150, 200] {
        let mut pair = Pair::new(vec![DataChannelOptions::new("test")], vec![]);
        pair.world.run_for(Duration::from_millis(milliseconds));
        for original in captured.iter().take(20) {
            let side = if original.node == pair.left.id() { pair.left } else { pair.right };
            for mut datagram in mutations(&original.bytes) {
                pair.command(side, |peer, now| {
                    peer.handle_input(now, Received { path: original.path, datagram: &mut datagram });
                });
            }
        }
        pair.world.run_for(Duration::from_secs(1));
    }
}

#[test]
fn corruption_on_the_path_ends_no_session() {
    for seed in 0..20 {
        let mut pair = Pair::connected();
        let link = LinkConfig {
            delay: Duration::from_millis(20 + seed),
            corruption: Probability::percent(5),
            ..LinkConfig::default()
        };
        pair.world.set_link(pair.left.id(), pair.right.id(), link);
        pair.world.set_link(pair.right.id(), pair.left.id(), link);
        for number in 0..50 {
            pair.exchange(&format!("message {number}"));
        }
        pair.world.run_for(Duration::from_secs(60));
        pair.exchange("a minute later");
    }
}

/// A twin world without the stranger goes on identically (invariant I6).
#[test]
fn what_a_stranger_sends_leaves_no_trace_but_in_counters() {
    let run = |noise: bool| {
        let (_, captured) = recorded();
        let mut pair = Pair::new(vec![DataChannelOptions::new("test")], vec![]);
        let stranger = SocketAddr::from(([203, 0, 113, 66], 6_666));
        for original in captured.iter().cycle().take(200) {
            pair.world.run_for(Duration::from_millis(5));
            let side = if original.node == pair.left.id() { pair.left } else { pair.right };
            let mut datagram = original.bytes.clone();
            // A check that is replayed whole is authentic, whoever sends it: one bit takes that away.
            datagram[original.bytes.len() / 2] ^= 1;
            if noise {
                pair.command(side, |peer, now| {
                    let path = Path::udp(original.path.local, stranger);
                    peer.handle_input(now, Received { path, datagram: &mut datagram });
                });
            }
        }
        pair.world.run_for(Duration::from_secs(30));
        pair.exchange("done");
        pair.world.transcript().to_string()
    };
    let (quiet, noisy) = (run(false), run(true));
    let differs = quiet.lines().zip(noisy.lines()).find(|(one, other)| one != other);
    assert_eq!(differs, None);
}

#[test]
fn bytes_that_no_protocol_begins_with_are_dropped_and_counted() {
    let now = Timestamp::ZERO;
    let mut peer = peer(1);
    let path = Path::udp(([192, 0, 2, 1], 5_000).into(), ([192, 0, 2, 2], 5_000).into());
    for first in [4, 19, 64, 128, 255] {
        peer.handle_input(now, Received { path, datagram: &mut [first; 100] });
    }
    peer.handle_input(now, Received { path, datagram: &mut [] });
    assert_eq!(peer.statistics().ice.drops.total(), 6);
    assert!(peer.poll_transmit(now, 1, &mut TransmitBuffer::new(1200)).is_none());
}
