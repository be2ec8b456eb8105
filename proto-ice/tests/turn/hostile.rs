//! What somebody without the password can do.

use std::time::Duration;

use proto_ice::turn::server::{TurnRequest, TurnServer};
use proto_ice::turn::{TurnDropReason, TurnFailure};
use proto_machine::{Machine, Path, Received, Rng, Seed, Timestamp, TransmitBuffer};

use crate::world::{World, address, client_address, ip, server_address, server_config};

const SECOND: Duration = Duration::from_secs(1);

/// A server of the attacker, who sees every request and answers first. It gives out the nonces of the true one.
fn impostor(set: impl FnOnce(&mut TurnServer)) -> TurnServer {
    let mut server = TurnServer::new(server_config(), &Seed::from_number(2));
    set(&mut server);
    server
}

/// Runs an established client while the impostor answers everything before the true server does. The true server goes first in the world without the attack.
fn under_attack(mut impostor: TurnServer) -> World {
    let mut world = World::allocated();
    world.servers.truncate(1);
    // The impostor must know the client's allocation to be able to answer with success at all: it replays what it saw.
    let path = Path::udp(server_address(), client_address());
    let mut buffer = TransmitBuffer::new(1_400);
    for (at, _, bytes) in world.sent.clone() {
        impostor.handle_input(at, Received { path, datagram: &mut bytes.clone() });
        while impostor.poll_transmit(at, 1, &mut buffer).is_some() {
            buffer.clear();
        }
    }
    world.servers.insert(0, impostor);
    world
}

fn assert_undisturbed(world: &mut World) {
    world.client.permit([ip("198.51.100.1")]);
    world.run_for(10 * SECOND);
    assert!(world.client.is_permitted(world.now, ip("198.51.100.1")));
    world.run_for(700 * SECOND);
    assert!(world.failure().is_none(), "{:?}", world.failure());
    assert_eq!(world.relayed(), address("203.0.113.5:49152"));
    assert!(world.client.report().drops.total() > 0, "there was an attack");
    assert_eq!(world.client.report().realm.as_deref(), Some("example.org"));
    assert_eq!(world.client.report().algorithm, Some("SHA-256"));
}

#[test]
fn forged_success_and_error_responses_without_valid_integrity_change_nothing() {
    for wrong in [true, false] {
        for refuse in [None, Some((TurnRequest::Refresh, 437)), Some((TurnRequest::CreatePermission, 403))] {
            let mut world = under_attack(impostor(|server| {
                server.faults.wrong_integrity = wrong;
                server.faults.no_integrity = !wrong;
                server.faults.refuse = refuse;
                server.faults.claimed_lifetime = Some(1);
            }));
            assert_undisturbed(&mut world);
        }
    }
}

/// A server that does not know the password answers everything with 401, in a realm of its own.
#[test]
fn a_401_after_the_server_has_proved_itself_changes_nothing() {
    let mut world = World::allocated();
    let mut config = server_config();
    config.users.clear();
    config.realm = "evil.example".to_owned();
    world.servers.insert(0, TurnServer::new(config, &Seed::from_number(666)));
    assert_undisturbed(&mut world);
}

#[test]
fn a_438_of_another_realm_or_with_weaker_algorithms_changes_nothing() {
    for weaker in [true, false] {
        let mut world = under_attack(impostor(|server| {
            server.faults.nonce_uses = Some(0);
            server.faults.changes_realm = !weaker;
            server.faults.hides_algorithms = weaker;
        }));
        assert_undisturbed(&mut world);
    }
}

#[test]
fn a_forged_first_answer_can_only_make_the_attempt_fail_or_go_to_one_other_server() {
    let mut world = World::new();
    world.servers.insert(
        0,
        impostor(|server| {
            server.faults.refuse_strangers = Some(300);
            server.faults.redirect_to = Some(address("198.51.100.66:3478"));
        }),
    );
    world.run_for(100 * SECOND);
    // Nobody there knows the password, or answers: the attempt ends, and the address has got one request, seven times.
    assert_eq!(world.failure().unwrap().failure, TurnFailure::Timeout);
    let victims = world.sent.iter().filter(|(_, to, _)| *to == address("198.51.100.66:3478"));
    assert_eq!(victims.count(), 7);
}

/// Success that nobody has authenticated is no allocation.
#[test]
fn a_success_response_to_the_request_without_credentials_is_no_allocation() {
    let mut world = World::new();
    world.drain();
    let request = world.sent[0].2.clone();
    let mut forged = vec![0x01, 0x03, 0, 32];
    forged.extend(&request[4..20]);
    forged.extend([0, 0x16, 0, 8, 0, 1, 1, 1, 1, 1, 1, 1]);
    forged.extend([0, 0x20, 0, 8, 0, 1, 1, 1, 1, 1, 1, 1]);
    forged.extend([0, 0x0d, 0, 4, 0, 0, 2, 0x58]);
    world.inject(&forged);
    assert_eq!(world.client.report().drops.get(TurnDropReason::Unauthenticated), 1);
    world.run_for(SECOND);
    assert_eq!(world.relayed(), address("203.0.113.5:49152"));
}

/// RFC 8489 §9.2.5: "the layer MUST signal that the integrity protection was violated".
#[test]
fn a_server_that_never_proves_itself_is_given_up_as_a_violation_of_integrity() {
    for wrong in [true, false] {
        let mut world = World::new();
        world.server().faults.wrong_integrity = wrong;
        world.server().faults.no_integrity = !wrong;
        world.run_for(100 * SECOND);
        assert_eq!(world.failure().unwrap().failure, TurnFailure::IntegrityViolated);
        assert!(world.client.report().drops.get(TurnDropReason::Unauthenticated) >= 1);
    }
}

#[test]
fn a_giant_lifetime_counts_for_an_hour_and_none_at_all_loses_the_allocation() {
    let mut world = World::new();
    world.server().faults.claimed_lifetime = Some(u32::MAX);
    world.run_for(SECOND);
    assert_eq!(world.allocation().lifetime, Duration::from_secs(3_600));
    world.run_for(3_600 * SECOND);
    assert_eq!(world.requests(TurnRequest::Refresh), 1);
    for seconds in [0, 1, 2] {
        let mut world = World::new();
        world.server().faults.claimed_lifetime = Some(seconds);
        world.run_for(100 * SECOND);
        assert_eq!(world.failure().unwrap().failure, TurnFailure::AllocationLost);
        assert!(world.sent.len() < 5, "a tiny lifetime causes no flood of refreshes");
    }
}

/// A hostile server that refuses everything it can, for as long as it can.
#[test]
fn what_a_server_makes_the_client_send_is_bounded() {
    for refused in [TurnRequest::Refresh, TurnRequest::CreatePermission, TurnRequest::ChannelBind] {
        for code in [400, 403, 438, 500, 508] {
            let mut world = World::allocated();
            world.server().faults.refuse = Some((refused, code));
            let now = world.now;
            world.client.permit((1..=100).map(|last| ip(&format!("198.51.100.{last}"))));
            for port in 1..=100 {
                world.client.bind_channel(now, address(&format!("198.51.100.1:{port}")));
            }
            let before = world.sent.len();
            world.run_for(1_000 * SECOND);
            assert!(world.sent.len() - before < 1_200, "{refused:?} {code}: {}", world.sent.len() - before);
        }
    }
}

#[test]
fn arbitrary_and_mutated_bytes_never_panic_and_change_nothing() {
    let seed = 20_261_122;
    let mut rng: Rng = Seed::from_number(seed).into_rng();
    let peer = address("198.51.100.1:6000");
    let mut world = World::permitted(peer);
    // What a server might send: answers to everything the client has asked, and data.
    let mut server = TurnServer::new(server_config(), &Seed::from_number(2));
    let path = Path::udp(server_address(), client_address());
    let mut corpus: Vec<Vec<u8>> = vec![vec![0x40, 0, 0, 2, 1, 2, 0, 0]];
    let mut buffer = TransmitBuffer::new(1_400);
    for (_, _, bytes) in &world.sent {
        corpus.push(bytes.clone());
        server.handle_input(Timestamp::ZERO, Received { path, datagram: &mut bytes.clone() });
        while server.poll_transmit(Timestamp::ZERO, 1, &mut buffer).is_some() {
            corpus.push(buffer.bytes().to_vec());
            buffer.clear();
        }
    }
    let before = (world.sent.len(), world.events.len(), world.client.poll_timeout());
    for round in 0..20_000 {
        let mut bytes = corpus[usize::try_from(rng.below(corpus.len() as u64)).unwrap()].clone();
        match rng.below(3) {
            0 => bytes.truncate(usize::try_from(rng.below(bytes.len() as u64)).unwrap()),
            1 => {
                let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
                bytes[at] ^= 1 << rng.below(8);
            }
            _ => rng.fill(&mut bytes),
        }
        let data = world.client.handle_message(world.now, &bytes);
        assert!(data.is_none_or(|data| data.peer.ip() == peer.ip()), "seed {seed}, round {round}");
    }
    world.drain();
    assert_eq!((world.sent.len(), world.events.len(), world.client.poll_timeout()), before, "seed {seed}");
}
