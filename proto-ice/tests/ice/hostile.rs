//! Whatever comes from somebody without the passwords: it leaves no trace but in counters.

use std::net::SocketAddr;
use std::time::Duration;

use proto_ice::{CandidatePairState, IceConfig, IceRole};
use proto_machine::{Machine, Path, Rng, Seed};
use quickcheck::{Gen, QuickCheck, Testable};
use stun_types::message::MessageClass;

use crate::lone::Lone;
use crate::messages::{Forge, ICE_CONTROLLED, ICE_CONTROLLING, Read, USE_CANDIDATE};
use crate::world::{LEFT, RIGHT, Sent, Setup, World};

const PEER: &str = "198.51.100.2:6000";
const STRANGER: &str = "203.0.113.9:7000";

/// A property, from a fixed seed that a failure prints.
fn check_property<T: Testable>(seed: u64, tests: u64, property: T) {
    let mut quickcheck = QuickCheck::new().rng(Gen::from_size_and_seed(600, seed)).tests(tests);
    if let Err(failure) = quickcheck.quicktest(property) {
        panic!("seed {seed}: {failure:?}");
    }
}

/// What an attacker who sees everything but knows no password sends after each packet: forgeries of it, and things of their own.
fn noise(world: &World, rng: &mut Rng, seen: &[Sent]) -> Vec<(usize, Path, Vec<u8>)> {
    let mut noise = Vec::new();
    let stranger: SocketAddr = STRANGER.parse().unwrap();
    for sent in seen {
        let Some(read) = Read::new(&sent.bytes) else {
            continue;
        };
        let (sender, receiver) = (sent.from, 1 - sent.from);
        // Towards whoever sent a request: answers to it. Towards its receiver: requests that look like it.
        let answer = |class| Forge::new(class, read.transaction());
        let mapped = |forge: Forge| forge.mapped(sent.path.local);
        let username = read.username().unwrap_or_default();
        let request = |role: u16| {
            Forge::check(read.transaction() + 1, &username, 0x7fff_ffff)
                .with(role, &u64::MAX.to_be_bytes())
                .with(USE_CANDIDATE, &[])
        };
        let back = [
            mapped(answer(MessageClass::Success)).build(),
            mapped(answer(MessageClass::Success)).signed("wrong").build(),
            answer(MessageClass::Error).error(487).build(),
            answer(MessageClass::Error).error(487).signed("wrong").build(),
            answer(MessageClass::Error).error(403).signed("wrong").build(),
            answer(MessageClass::Indication).build(),
        ];
        let forth = [
            request(ICE_CONTROLLING).build(),
            request(ICE_CONTROLLED).signed("wrong").build(),
            request(ICE_CONTROLLING).signed("wrong").build(),
            flipped(&sent.bytes, rng),
            truncated(&sent.bytes, rng),
        ];
        let local = world.nodes[receiver].socket();
        for bytes in back {
            noise.push((sender, sent.path, bytes.clone()));
            noise.push((sender, Path::udp(sent.path.local, stranger), bytes));
        }
        for bytes in forth {
            noise.push((receiver, Path::udp(local, sent.path.local), bytes.clone()));
            noise.push((receiver, Path::udp(local, stranger), bytes));
        }
        noise.push((receiver, Path::udp(local, stranger), vec![22; 200]));
        noise.push((receiver, Path::udp(stranger, sent.path.local), sent.bytes.clone()));
    }
    noise
}

fn flipped(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let bit = usize::try_from(rng.below(bytes.len() as u64 * 8)).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

fn truncated(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    bytes[..usize::try_from(rng.below(bytes.len() as u64)).unwrap()].to_vec()
}

/// Everything that can be seen of an agent but its drop counters.
pub(crate) fn visible(world: &World) -> String {
    let agents = world.nodes.iter().map(|node| {
        let pairs = node.agent.statistics().pairs;
        let candidates: Vec<_> = node.agent.local_candidates().collect();
        let remotes: Vec<_> = node.agent.remote_candidates().collect();
        let deadline = node.agent.poll_timeout();
        format!("{:?} {pairs:?} {candidates:?} {remotes:?} {deadline:?} {:?}", node.agent.state(), node.events)
    });
    agents.collect()
}

/// Runs a connection in small steps; `disturb` sees the packets of each step.
fn run(seed: u64, mut disturb: impl FnMut(&mut World, &[Sent])) -> World {
    let mut setup = Setup { seed, ..Setup::default() };
    setup.sides[LEFT].addresses = vec!["192.0.2.1"];
    setup.sides[RIGHT].addresses = vec!["198.51.100.1"];
    setup.link.delay = Duration::from_millis(25);
    setup.link.loss_percent = 10;
    let mut world = World::new(setup);
    let mut seen = 0;
    for step in 0..2_000 {
        let packets = world.sent[seen..].to_vec();
        seen = world.sent.len();
        disturb(&mut world, &packets);
        if step % 10 == 0 {
            world.send_payload(LEFT, b"\x17 from the left");
            world.send_payload(RIGHT, b"\x17 from the right");
        }
        world.run_for(Duration::from_millis(10));
    }
    world
}

#[test]
fn twin_worlds_with_and_without_an_attacker_go_on_identically() {
    for seed in 0..5 {
        let calm = run(seed, |_, _| {});
        let mut rng = Seed::from_number(seed).child("attacker").into_rng();
        let mut injected = 0;
        let attacked = run(seed, |world, packets| {
            for (side, path, bytes) in noise(world, &mut rng, packets) {
                world.inject(side, path, &bytes);
                injected += 1;
            }
        });
        assert!(injected > 300, "only {injected} forgeries");
        assert_eq!(calm.sent, attacked.sent);
        assert_eq!(visible(&calm), visible(&attacked));
        for (calm, attacked) in calm.nodes.iter().zip(&attacked.nodes) {
            assert_eq!(calm.payloads, attacked.payloads);
            assert!(attacked.agent.statistics().drops.total() > calm.agent.statistics().drops.total());
        }
    }
}

#[test]
fn every_message_of_a_handshake_truncated_anywhere_or_with_any_bit_flipped_changes_nothing() {
    let mut world = World::new(Setup::default());
    world.run_for(Duration::from_secs(12));
    let captured = world.sent.clone();
    assert!(captured.len() >= 12);
    let before = visible(&world);
    for sent in &captured {
        let receiver = 1 - sent.from;
        let path = Path::udp(world.nodes[receiver].socket(), sent.path.local);
        for end in 0..sent.bytes.len() {
            world.inject(receiver, path, &sent.bytes[..end]);
        }
        for bit in 0..sent.bytes.len() * 8 {
            let mut bytes = sent.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if bytes[0] < 4 {
                world.inject(receiver, path, &bytes);
            }
        }
    }
    assert_eq!(visible(&world), before);
    let sent_before = world.sent.len();
    world.drain();
    assert_eq!(world.sent.len(), sent_before);
}

#[test]
fn arbitrary_datagrams_never_panic_and_never_get_an_answer() {
    fn property(datagrams: Vec<Vec<u8>>) -> bool {
        let mut lone = Lone::new(IceRole::Controlled);
        lone.add_host(PEER);
        lone.take_sent();
        for bytes in &datagrams {
            lone.receive(PEER, bytes);
            lone.receive(STRANGER, bytes);
        }
        lone.take_sent().is_empty()
    }
    check_property(0x1ce, 100, property as fn(Vec<Vec<u8>>) -> bool);
}

/// Bytes that are STUN by their header and their fingerprint, with arbitrary attributes in between.
#[test]
fn arbitrary_attributes_never_panic_and_never_get_an_answer() {
    fn property(class: u8, attributes: Vec<(u8, Vec<u8>)>) -> bool {
        let mut lone = Lone::new(IceRole::Controlling);
        lone.add_host(PEER);
        let check = lone.take_checks().remove(0);
        let class = [MessageClass::Request, MessageClass::Success, MessageClass::Error, MessageClass::Indication]
            [usize::from(class % 4)];
        let kinds = [6, 8, 9, 10, 0x1c, 0x20, 0x24, 0x25, 0x8022, 0x8029, 0x802a, 0x7fff];
        let mut bytes = Forge::new(class, check.read().transaction()).without_fingerprint().build();
        for (kind, value) in &attributes {
            let value = &value[..value.len().min(64)];
            bytes.extend(u16::to_be_bytes(kinds[usize::from(*kind) % kinds.len()]));
            bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        if bytes.len() > 60_000 {
            return true;
        }
        let length = u16::try_from(bytes.len() + 8 - 20).unwrap();
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        let crc = u32::from_be_bytes(stun_types::attribute::Fingerprint::compute(&[&bytes]));
        bytes.extend([0x80, 0x28, 0, 4]);
        bytes.extend((crc ^ 0x5354_554e).to_be_bytes());
        lone.receive(PEER, &bytes);
        lone.take_sent().is_empty() && !lone.agent.can_send()
    }
    check_property(0x57e7, 300, property as fn(u8, Vec<(u8, Vec<u8>)>) -> bool);
}

/// Item 7, as a ratio: nothing for nothing, and for a peer no more than it sent.
#[test]
fn responses_do_not_amplify() {
    let mut lone = Lone::new(IceRole::Controlled);
    let requests =
        [lone.peer_check(), lone.peer_check().with(0x7fff, &[]), lone.peer_check().with(ICE_CONTROLLED, &[0; 8])];
    for forge in requests {
        let bytes = forge.signed(&lone.password()).build();
        lone.receive(STRANGER, &bytes);
        let answers: usize = lone.take_responses().iter().map(|response| response.bytes.len()).sum();
        assert!(answers > 0 && answers <= bytes.len(), "{answers} bytes for {}", bytes.len());
    }
}

/// The voice hammer: an authenticated peer names a victim by its candidates and by spoofed sources. Nothing but paced checks gets there, and they end.
#[test]
fn a_victim_that_never_answers_gets_a_handful_of_checks() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(STRANGER);
    lone.agent.end_of_remote_candidates(lone.now, None);
    lone.receive_nomination(STRANGER);
    lone.run_for(Duration::from_secs(600));
    let bytes: usize = lone.take_sent().iter().filter(|sent| sent.read().is_check()).map(|sent| sent.bytes.len()).sum();
    assert!(bytes < 2_000, "{bytes} bytes");
}

/// Checks of an authenticated peer, over and over from everywhere: pairs, candidates and transactions stay within their bounds.
#[test]
fn a_flood_of_authentic_checks_stays_within_the_bounds() {
    let config = IceConfig::default();
    let mut lone = Lone::with(IceRole::Controlled, config.clone(), &["192.0.2.1"]);
    for round in 0..4_000_u16 {
        lone.receive_check(&format!("198.51.100.{}:{}", round % 250, 1_000 + round % 97));
        if round % 4 == 0 {
            lone.run_for_millis(11);
        }
    }
    assert!(lone.agent.statistics().pairs.len() <= config.limits.pairs);
    assert!(lone.agent.remote_candidates().count() <= config.limits.remote_peer_reflexive_candidates);
}

/// A peer that knows the passwords and otherwise sends anything: the agent answers, keeps its bounds, and never leaves a deadline behind.
#[test]
fn an_authentic_peer_that_sends_anything_causes_no_panic_and_breaks_no_bound() {
    fn property(seed: u64) -> bool {
        let mut rng = Seed::from_number(seed).into_rng();
        let role = if seed.is_multiple_of(2) { IceRole::Controlling } else { IceRole::Controlled };
        let mut lone = Lone::new(role);
        let mut checks = Vec::new();
        for _ in 0..300 {
            let remote = format!("198.51.100.{}:6000", 1 + rng.below(4));
            match rng.below(10) {
                0 => lone.add_host_if_admitted(&remote),
                1 => lone.run_for_millis(rng.below(7_000)),
                2 => lone.receive_nomination(&remote),
                3 => {
                    let role = if rng.below(2) == 0 { ICE_CONTROLLED } else { ICE_CONTROLLING };
                    let forge = lone.peer_check().without(ICE_CONTROLLED).without(ICE_CONTROLLING);
                    lone.receive_forged(&remote, &forge.with(role, &rng.next_u64().to_be_bytes()));
                }
                4 => assert!(lone.receive(&remote, &[22; 60]).is_none_or(|payload| payload == [22; 60])),
                5 => drop(lone.send_payload(&[23; 60])),
                _ => {
                    checks.extend(lone.take_checks());
                    if let Some(check) = checks.get(usize::try_from(rng.below(1 + checks.len() as u64)).unwrap()) {
                        let check = check.clone();
                        match rng.below(4) {
                            0 => lone.refuse(&check, [400, 403, 420, 487, 500][usize::try_from(rng.below(5)).unwrap()]),
                            _ => lone.succeed(&check),
                        }
                    }
                }
            }
        }
        let statistics = lone.agent.statistics();
        let sends_validly = lone.send_payload(&[23; 60]).is_none_or(|path| {
            let valid = |pair: &proto_ice::CandidatePairStatistics| pair.state == CandidatePairState::Succeeded;
            statistics.pairs.iter().any(|pair| pair.path == path && valid(pair))
        });
        sends_validly && lone.agent.remote_candidates().count() <= 4
    }
    check_property(0xa11, 150, property as fn(u64) -> bool);
}
