//! The table of attacks by whoever knows no password. Each has a twin world, the same without the attack, that goes on identically; where a spoofed source
//! or the network itself is the attack, what must not happen is counted.

use std::time::Duration;

use proto_ice::IceRole;
use proto_machine::{Path, Timestamp};
use stun_types::message::MessageClass;

use crate::hostile::visible;
use crate::lone::{Lone, remote_host};
use crate::messages::{Forge, ICE_CONTROLLED, ICE_CONTROLLING, Read, USE_CANDIDATE};
use crate::world::{LEFT, RIGHT, Sent, Setup, World};

const PEER: &str = "198.51.100.2:6000";
const STRANGER: &str = "203.0.113.9:7000";
const VICTIM: &str = "203.0.113.80:443";
const STEP: Duration = Duration::from_millis(5);

/// Something that begins like a DTLS record of application data.
const PAYLOAD: &[u8] = b"\x17 payload";

/// A datagram that the attacker has arrive at a side.
type Injection = (usize, Path, Vec<u8>);

/// A connection over links that lose every tenth packet, for fifteen seconds of virtual time, with payload both ways; and how much was injected.
fn run(seed: u64, mut attack: impl FnMut(&World, &[Sent], u64) -> Vec<Injection>) -> (World, u64) {
    let mut setup = Setup { seed, ..Setup::default() };
    setup.link.delay = Duration::from_millis(25);
    setup.link.loss_percent = 10;
    let mut world = World::new(setup);
    let (mut seen, mut injected) = (0, 0);
    for step in 0..3_000 {
        let new = world.sent[seen..].to_vec();
        seen = world.sent.len();
        for (side, path, bytes) in attack(&world, &new, step) {
            injected += 1;
            world.inject(side, path, &bytes);
        }
        if step % 20 == 0 {
            world.send_payload(LEFT, PAYLOAD);
            world.send_payload(RIGHT, PAYLOAD);
        }
        world.run_for(STEP);
    }
    (world, injected)
}

/// The world with the attack and the one without have the same packets, events, pairs, deadlines and payload; only counters differ.
fn goes_on_identically(at_least: u64, mut attack: impl FnMut(&World, &[Sent], u64) -> Vec<Injection>) {
    for seed in 0..5 {
        let (calm, _) = run(seed, |_, _, _| Vec::new());
        let (attacked, injected) = run(seed, &mut attack);
        assert!(injected >= at_least, "only {injected} forgeries");
        assert_eq!(calm.sent, attacked.sent, "seed {seed}");
        assert_eq!(visible(&calm), visible(&attacked), "seed {seed}");
        for (calm, attacked) in calm.nodes.iter().zip(&attacked.nodes) {
            assert_eq!(attacked.agent.state(), calm.agent.state());
            assert_eq!(calm.payloads, attacked.payloads);
            assert!(!calm.payloads.is_empty());
        }
        let dropped =
            |world: &World| -> u64 { world.nodes.iter().map(|node| node.agent.statistics().drops.total()).sum() };
        assert_eq!(dropped(&attacked) - dropped(&calm), injected, "every forgery is counted");
    }
}

/// The answers that whoever sees a request can give to it, back on its path.
fn answers(seen: &[Sent], forge: impl Fn(Forge, &Sent) -> Forge) -> Vec<Injection> {
    let requests = seen.iter().filter_map(|sent| {
        let read = Read::new(&sent.bytes)?;
        read.is_check().then(|| (sent, read.transaction()))
    });
    requests
        .map(|(sent, transaction)| {
            (sent.from, sent.path, forge(Forge::new(MessageClass::Error, transaction), sent).build())
        })
        .collect()
}

#[test]
fn forged_487_responses_change_nothing() {
    goes_on_identically(10, |_, seen, _| {
        let mut forged = answers(seen, |answer, _| answer.error(487));
        forged.extend(answers(seen, |answer, _| answer.error(487).signed("not the password")));
        forged
    });
}

#[test]
fn forged_success_responses_change_nothing() {
    goes_on_identically(10, |_, seen, _| {
        let success = |sent: &Sent| Forge::new(MessageClass::Success, Read::new(&sent.bytes).unwrap().transaction());
        let mut forged = answers(seen, |_, sent| success(sent).mapped(sent.path.local));
        forged
            .extend(answers(seen, |_, sent| success(sent).mapped(VICTIM.parse().unwrap()).signed("not the password")));
        forged
    });
}

/// A check as the other side would send it, but for the password.
fn check(world: &World, side: usize, number: u64) -> Forge {
    let fragment = |side: usize| &world.nodes[side].agent.local_parameters().username_fragment;
    let username = format!("{}:{}", fragment(side), fragment(1 - side));
    Forge::check(u128::from(number) + 1_000_000, &username, 0x7fff_ffff)
}

/// The path on which a side would hear the other one.
fn true_path(world: &World, side: usize) -> Option<Path> {
    let socket = |side: usize| world.nodes[side].sockets.values().next().copied();
    Some(Path::udp(socket(side)?, socket(1 - side)?))
}

#[test]
fn forged_role_flips_with_the_largest_tie_breaker_every_50_ms_change_nothing() {
    goes_on_identically(1_000, |world, _, step| {
        if !step.is_multiple_of(10) {
            return Vec::new();
        }
        let flips = [LEFT, RIGHT].into_iter().flat_map(|side| {
            let path = true_path(world, side)?;
            let role =
                [ICE_CONTROLLING, ICE_CONTROLLED][usize::from(world.nodes[side].agent.role() == IceRole::Controlled)];
            let flip = check(world, side, step).with(role, &u64::MAX.to_be_bytes());
            Some([(side, path, flip.build()), (side, path, flip.signed("not the password").build())])
        });
        flips.flatten().collect()
    });
}

#[test]
fn checks_without_integrity_change_nothing_whoever_seems_to_send_them() {
    goes_on_identically(1_000, |world, _, step| {
        let checks = [LEFT, RIGHT].into_iter().filter_map(|side| {
            let path = true_path(world, side)?;
            let nomination = check(world, side, step).with(ICE_CONTROLLING, &[1; 8]).with(USE_CANDIDATE, &[]).build();
            let elsewhere = Path::udp(path.local, STRANGER.parse().unwrap());
            Some([(side, path, nomination.clone()), (side, elsewhere, nomination)])
        });
        checks.flatten().collect()
    });
}

/// The source of a check is not under its integrity: whoever sees one can send it again from a source that points at a victim.
#[test]
fn a_spoofed_source_that_points_at_a_victim_gets_a_few_checks_and_no_application_data() {
    let victim = VICTIM.parse().unwrap();
    for seed in 0..5 {
        let (calm, _) = run(seed, |_, _, _| Vec::new());
        let (attacked, injected) = run(seed, |world, seen, _| {
            let is_check = |sent: &Sent| Read::new(&sent.bytes).is_some_and(|read| read.is_check());
            let checks = seen.iter().filter(|sent| sent.path.remote != victim && is_check(sent));
            let spoofed = checks.filter_map(|sent| {
                let side = 1 - sent.from;
                Some((side, Path::udp(true_path(world, side)?.local, victim), sent.bytes.clone()))
            });
            spoofed.collect()
        });
        let at_the_victim: Vec<_> = attacked.sent.iter().filter(|sent| sent.path.remote == victim).collect();
        assert!(at_the_victim.iter().all(|sent| Read::new(&sent.bytes).is_some()), "STUN alone");
        let requests = at_the_victim.iter().filter(|sent| Read::new(&sent.bytes).unwrap().is_check()).count() as u64;
        // RFC 8489 §6.2.1: each side sends a check seven times (Rc), and once more whenever one from there comes (RFC 8445 §7.3.1.4).
        assert!(
            injected > 5 && (1..=14 + injected).contains(&requests),
            "{requests} checks for {injected} spoofed ones, seed {seed}"
        );
        for side in [LEFT, RIGHT] {
            let selected = |world: &World| world.nodes[side].agent.selected_pair().map(|pair| pair.path);
            assert!(selected(&attacked).is_some_and(|path| path.remote != victim));
            assert_eq!(selected(&attacked), selected(&calm));
            assert_eq!(attacked.state(side), calm.state(side));
        }
    }
}

#[test]
fn consent_expires_at_the_same_moment_with_and_without_a_stream_of_data_from_the_peer() {
    let expiry = |fed: bool| -> Timestamp {
        let mut lone = Lone::new(IceRole::Controlled);
        lone.add_host(PEER);
        lone.select(PEER);
        lone.agent.end_of_remote_candidates(lone.now, None);
        while lone.agent.can_send() {
            if fed {
                assert_eq!(lone.receive(PEER, PAYLOAD).as_deref(), Some(PAYLOAD));
                // An unsigned indication is a keepalive, no consent.
                lone.receive(PEER, &Forge::new(MessageClass::Indication, 9).build());
            }
            lone.run_for_millis(10);
        }
        assert_eq!(lone.send_payload(PAYLOAD), None);
        lone.now
    };
    let connected = Timestamp::from_millis(1_000_000);
    assert_eq!(expiry(true), expiry(false));
    assert!(expiry(true) - connected <= Duration::from_secs(31));
}

/// Signalling is not to be trusted with memory either.
#[test]
fn ten_thousand_trickled_candidates_and_ten_thousand_forged_checks_a_second_cost_a_bounded_amount() {
    let mut lone = Lone::new(IceRole::Controlled);
    let limits = proto_ice::IceConfig::default().limits;
    let username = format!("{}:peer", lone.agent.local_parameters().username_fragment);
    let seconds = 10;
    let began = lone.now;
    for number in 0..10_000 * seconds {
        let address =
            format!("198.{}.{}.{}:{}", 18 + number % 2, number / 256 % 256, number % 256, 1_024 + number % 60_000);
        if number < 10_000 {
            let candidate = remote_host(&address, 1_000 + u32::try_from(number).unwrap(), &format!("f{number}"));
            let _ = lone.agent.add_remote_candidate(lone.now, candidate);
        }
        let forged = Forge::check(u128::from(number) + 1, &username, 0x7fff_ffff).signed("not the password").build();
        assert_eq!(lone.receive(&address, &forged), None);
        lone.run_for(Duration::from_micros(100));
    }
    let statistics = lone.agent.statistics();
    let sent = lone.take_sent();
    let responses = sent.iter().filter(|message| !message.read().is_check()).count();
    let candidates = lone.agent.remote_candidates().count();
    println!(
        "10,000 candidates and 100,000 forged checks in {:?}: {candidates} remote candidates and {} pairs are kept, {} checks and {responses} responses were sent",
        lone.now - began,
        statistics.pairs.len(),
        sent.len() - responses,
    );
    assert_eq!(candidates, limits.remote_candidates);
    assert!(statistics.pairs.len() <= limits.pairs);
    assert_eq!(responses, 0);
    // RFC 8489 §6.2.1: Rc is 7.
    assert!(sent.len() <= 7 * candidates, "{} checks", sent.len());
    assert_eq!(statistics.drops.total(), 10_000 * seconds);
}

/// Bytes out for bytes in, over everything that a stranger can send: to a stranger nothing; to whoever repeats an authentic check, no more than that.
#[test]
fn the_amplification_ratio_is_at_most_one() {
    let mut lone = Lone::new(IceRole::Controlled);
    lone.add_host(PEER);
    lone.select(PEER);
    let authentic = lone.peer_check().signed(&lone.password()).build();
    let (mut bytes_in, mut bytes_out) = (0, 0);
    for round in 0..1_000_u64 {
        let unsigned = lone.peer_check().build();
        let binding = Forge::new(MessageClass::Request, u128::from(round)).build();
        for datagram in [&unsigned, &binding, &authentic, &vec![22; 100], &vec![0; 20]] {
            bytes_in += datagram.len();
            lone.receive(VICTIM, datagram);
        }
        lone.run_for_millis(100);
        let towards_victim = lone.take_sent().into_iter().filter(|sent| sent.path.remote == VICTIM.parse().unwrap());
        bytes_out += towards_victim.map(|sent| sent.bytes.len()).sum::<usize>();
    }
    println!("{bytes_out} bytes out for {bytes_in} bytes in: a ratio of {:.2}", bytes_out as f64 / bytes_in as f64);
    assert!(bytes_out > 0 && bytes_out <= bytes_in);
}
