//! Items 28 and 29, continued: nominations that cross, pairs that are lost, and what becomes of checks that were given up.

use std::time::Duration;

use proto_ice::{CandidatePairState, IceConfig, IceRole, IceTransportState, PairFailure};
use proto_machine::{Machine, Path, SocketError, SocketEvent, SocketId, SocketRequest};

use crate::lone::{Lone, Message, remote_host};
use crate::messages::{PRIORITY, USE_CANDIDATE};

const PEER: &str = "198.51.100.2:6000";
const SECOND: &str = "198.51.100.2:6001";

/// A controlled agent whose peer has nominated a pair of low and one of high priority, of different sockets. Both were checked before, but the nominations have
/// restarted these checks, and the new ones are still to be sent.
struct TwoNominations {
    lone: Lone,
    high: Path,
    low: Path,
    /// The checks that the nominations have superseded. A response to them counts.
    checks: Vec<Message>,
}

impl TwoNominations {
    fn new() -> Self {
        let mut lone = Lone::with(IceRole::Controlled, IceConfig::default(), &["192.0.2.1", "192.0.2.2"]);
        lone.add(remote_host(PEER, 3_000, "1"));
        lone.add(remote_host(SECOND, 2_000, "2"));
        lone.run_for_millis(160);
        let checks = lone.take_checks();
        assert_eq!(checks.len(), 4);
        let high = Path::udp(lone.sockets[0], PEER.parse().unwrap());
        let low = Path::udp(lone.sockets[1], SECOND.parse().unwrap());
        lone.receive_nomination_on(low);
        lone.receive_nomination_on(high);
        lone.take_sent();
        Self { lone, high, low, checks }
    }

    fn answer(&mut self, path: Path) {
        let check = self.checks.iter().find(|check| check.path == path).unwrap().clone();
        self.lone.succeed(&check);
        assert_eq!(selected(&self.lone), Some(path));
    }

    /// Lets time pass in which only the pair of low priority works. Returned are the checks of the other.
    fn run_on_low(&mut self, duration: Duration) -> Vec<Message> {
        let end = self.lone.now + duration;
        let mut of_high = Vec::new();
        while self.lone.now < end {
            self.lone.run_for_millis(100);
            for check in self.lone.take_checks() {
                if check.path == self.low {
                    self.lone.succeed(&check);
                } else {
                    of_high.push(check);
                }
            }
        }
        of_high
    }
}

fn selected(lone: &Lone) -> Option<Path> {
    Some(lone.agent.selected_pair()?.path)
}

fn closed_sockets(lone: &Lone) -> Vec<SocketId> {
    let closed = |request: &SocketRequest| match request {
        SocketRequest::Close { socket } => Some(*socket),
        _ => None,
    };
    lone.socket_requests.iter().filter_map(closed).collect()
}

fn state_of(lone: &Lone, path: Path) -> Option<CandidatePairState> {
    lone.agent.statistics().pairs.iter().find(|pair| pair.path == path).map(|pair| pair.state)
}

fn lose_first_socket(lone: &mut Lone) {
    let lost = SocketEvent::Failed { socket: SocketId(0), error: SocketError::PermissionDenied };
    lone.agent.handle_socket_event(lone.now, lost);
    lone.collect();
}

/// Item 28 (RFC 8445 §8.1.1): of two nominations the better one counts, also if the other takes effect first.
#[test]
fn item_28_a_better_nomination_that_is_open_when_a_pair_is_selected_is_checked_and_wins() {
    let TwoNominations { mut lone, high, low, .. } = {
        let mut both = TwoNominations::new();
        both.answer(both.low);
        both
    };
    for number in 0..4 {
        assert_eq!(lone.receive_on(high, &[22, number]), None, "it is held");
    }
    lone.run_for_millis(100);
    let checks = lone.take_checks();
    assert_eq!(checks.iter().map(|check| check.path).collect::<Vec<_>>(), [high], "and no others are checked");
    lone.succeed(&checks[0]);
    assert_eq!(selected(&lone), Some(high));
    let held: Vec<_> = std::iter::from_fn(|| lone.agent.poll_held()).collect();
    assert_eq!(held, [[22, 0], [22, 1], [22, 2], [22, 3]]);
    lone.run_for_millis(3_100);
    assert_eq!(state_of(&lone, low), None);
    assert_eq!(closed_sockets(&lone), [SocketId(1)]);
}

/// Item 28 (RFC 8445 §8.3.1): what may still be selected is not given up.
#[test]
fn item_28_a_better_nomination_keeps_its_pair_and_socket_until_its_check_has_ended() {
    let mut both = TwoNominations::new();
    both.answer(both.low);
    let checks = both.run_on_low(Duration::from_secs(39));
    assert_eq!(checks.len(), 7, "it is retransmitted");
    assert_eq!(state_of(&both.lone, both.high), Some(CandidatePairState::InProgress));
    assert_eq!(both.lone.agent.statistics().pairs.len(), 2, "the pairs that nobody has nominated are gone");
    assert_eq!(closed_sockets(&both.lone), []);
    both.run_on_low(Duration::from_secs(4));
    assert_eq!(state_of(&both.lone, both.high), None);
    assert_eq!(closed_sockets(&both.lone), [SocketId(0)]);
    assert_eq!(selected(&both.lone), Some(both.low));
}

/// Item 28: the check of the better pair is on its way already, and goes on.
#[test]
fn item_28_the_check_of_a_better_nomination_is_retransmitted_after_a_pair_was_selected() {
    let mut both = TwoNominations::new();
    both.lone.run_for_millis(100);
    let sent: Vec<_> = both.lone.take_checks().iter().map(|check| check.path).collect();
    assert_eq!(sent, [both.low, both.high]);
    both.answer(both.low);
    let retransmitted = both.run_on_low(Duration::from_secs(9));
    assert_eq!(retransmitted.len(), 5, "after 0.5, 1, 1.5, 3.5 and 7.5 s");
    both.lone.succeed(&retransmitted[4]);
    assert_eq!(selected(&both.lone), Some(both.high));
}

/// Item 28 (RFC 8445 §8.1.2).
#[test]
fn item_28_a_worse_nomination_that_is_open_when_a_pair_is_selected_is_given_up() {
    let mut both = TwoNominations::new();
    both.answer(both.high);
    let TwoNominations { mut lone, high, low, .. } = both;
    lone.run_for_millis(3_100);
    assert_eq!(lone.take_checks(), []);
    assert_eq!((selected(&lone), state_of(&lone, low)), (Some(high), None));
    assert_eq!(closed_sockets(&lone), [SocketId(1)]);
}

/// Item 28: the peer keeps checking a better pair on which it does not hear us. Each of its checks restarts ours, and none restarts our patience.
#[test]
fn item_28_a_better_pair_that_works_one_way_only_does_not_put_off_nomination_for_ever() {
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add_host(PEER);
    lone.add_host(SECOND);
    let start = lone.now;
    lone.validate(SECOND);
    for _ in 0..5 {
        lone.receive_check(PEER);
        lone.run_for_millis(400);
    }
    let checks = lone.take_checks_to(SECOND);
    let nomination = checks.iter().find(|check| check.read().has(USE_CANDIDATE)).unwrap();
    // Checked at 0, one RTO of 500 ms, and pacing.
    assert!((500..=560).contains(&(nomination.at - start).as_millis()), "{:?}", nomination.at - start);
    lone.succeed(nomination);
    assert_eq!(selected(&lone), Some(lone.path(SECOND)));
}

/// Item 28: the nominated pair is lost before its candidates are given up.
#[test]
fn item_28_if_the_selected_pair_is_lost_another_valid_one_is_nominated() {
    let mut lone = Lone::with(IceRole::Controlling, IceConfig::default(), &["192.0.2.1", "192.0.2.2"]);
    lone.add_host(PEER);
    for _ in 0..3 {
        lone.run_for_millis(60);
        for check in lone.take_checks() {
            lone.succeed(&check);
        }
    }
    assert_eq!(selected(&lone), Some(lone.path(PEER)));
    lose_first_socket(&mut lone);
    assert_eq!(selected(&lone), None);
    let other = Path::udp(lone.sockets[1], PEER.parse().unwrap());
    assert_eq!(lone.send_payload(b"\x16"), Some(other), "data does not wait for it");
    lone.run_for_millis(50);
    let nomination = lone.take_checks().remove(0);
    assert_eq!((nomination.path, nomination.read().has(USE_CANDIDATE)), (other, true));
    lone.succeed(&nomination);
    assert_eq!(selected(&lone), Some(other));
    lone.run_for(Duration::from_secs(3));
    assert_eq!(lone.take_checks(), [], "and that is that");
}

/// Item 28: the same, if the other pair becomes valid only after the loss.
#[test]
fn item_28_if_the_selected_pair_is_lost_the_next_one_that_becomes_valid_is_nominated() {
    let mut lone = Lone::with(IceRole::Controlling, IceConfig::default(), &["192.0.2.1", "192.0.2.2"]);
    lone.add_host(PEER);
    for _ in 0..2 {
        lone.run_for_millis(60);
        let checks = lone.take_checks();
        lone.succeed(checks.iter().rfind(|check| check.path == lone.path(PEER)).unwrap());
    }
    assert_eq!(selected(&lone), Some(lone.path(PEER)));
    lose_first_socket(&mut lone);
    assert!(!lone.agent.can_send());
    let other = Path::udp(lone.sockets[1], PEER.parse().unwrap());
    lone.receive_check_on(other);
    lone.run_for_millis(50);
    let check = lone.take_checks().remove(0);
    assert_eq!(check.path, other);
    lone.succeed(&check);
    lone.run_for_millis(50);
    let nomination = lone.take_checks().remove(0);
    assert_eq!((nomination.path, nomination.read().has(USE_CANDIDATE)), (other, true));
}

/// RFC 8445 §8.1.2: "will not treat the lack of response to be a failure, but will wait the duration of the transaction timeout for a response".
#[test]
fn a_check_that_was_cancelled_by_a_nomination_does_not_fail_its_pair() {
    let mut lone = Lone::with(IceRole::Controlled, IceConfig::default(), &["192.0.2.1", "192.0.2.2"]);
    lone.add_host(PEER);
    lone.run_for_millis(60);
    let checks = lone.take_checks();
    let other = checks.iter().find(|check| check.path.local == lone.sockets[1]).unwrap().clone();
    lone.succeed(checks.iter().find(|check| check.path == lone.path(PEER)).unwrap());
    lone.receive_nomination(PEER);
    assert!(selected(&lone).is_some());
    lose_first_socket(&mut lone);
    lone.agent.end_of_remote_candidates(lone.now, None);
    lone.run_for(Duration::from_secs(39));
    assert_eq!(lone.take_checks(), []);
    assert_eq!(state_of(&lone, other.path), Some(CandidatePairState::InProgress));
    assert_eq!(lone.agent.state(), IceTransportState::Checking);
    lone.run_for(Duration::from_secs(1));
    assert_ne!(state_of(&lone, other.path), Some(CandidatePairState::Failed(PairFailure::Timeout)));
    assert_eq!(lone.agent.state(), IceTransportState::Failed, "nothing is left to wait for");
}

/// A peer has nominated two pairs of different sockets; the better one was selected and its socket is lost, so the check of the other is cancelled and in nobody's way.
fn with_cancelled_nomination(config: IceConfig) -> (Lone, Path) {
    let mut lone = Lone::with(IceRole::Controlled, config, &["192.0.2.1", "192.0.2.2"]);
    lone.add(remote_host(PEER, 3_000, "1"));
    lone.run_for_millis(60);
    let cancelled = Path::udp(lone.sockets[1], PEER.parse().unwrap());
    lone.receive_nomination_on(cancelled);
    lone.run_for_millis(60);
    let checks = lone.take_checks();
    lone.succeed(checks.iter().find(|check| check.path == lone.path(PEER)).unwrap());
    lone.receive_nomination(PEER);
    assert_eq!(selected(&lone), Some(lone.path(PEER)));
    lose_first_socket(&mut lone);
    assert_eq!(state_of(&lone, cancelled), Some(CandidatePairState::InProgress));
    (lone, cancelled)
}

/// RFC 8445 §8.3.1: a nomination whose check was given up is open no more, so it keeps neither its pair nor what is held for it.
#[test]
fn a_nomination_whose_check_was_given_up_is_released_once_another_pair_is_selected() {
    let (mut lone, given_up) = with_cancelled_nomination(IceConfig::default());
    for number in 0..4 {
        assert_eq!(lone.receive_on(given_up, &[22, number]), None);
    }
    lone.run_for(Duration::from_secs(40));
    assert_eq!(state_of(&lone, given_up), Some(CandidatePairState::Frozen));
    let late = Path::udp(lone.sockets[1], SECOND.parse().unwrap());
    let worse = lone.peer_check().without(PRIORITY).with(PRIORITY, &1_u32.to_be_bytes()).with(USE_CANDIDATE, &[]);
    lone.receive_forged_on(late, &worse);
    assert_eq!(lone.receive_on(late, &[22, 9]), None);
    lone.run_for_millis(50);
    let checks = lone.take_checks();
    lone.succeed(checks.iter().find(|check| check.path == late).unwrap());
    assert_eq!((selected(&lone), lone.agent.poll_held()), (Some(late), Some(vec![22, 9])));
    lone.run_for_millis(3_100);
    assert_eq!(state_of(&lone, given_up), None);
}

/// A transaction that makes room for another is as good as run out.
#[test]
fn a_pair_whose_cancelled_check_is_displaced_is_not_in_progress_for_ever() {
    let mut config = IceConfig::default();
    config.limits.transactions = 2;
    let (mut lone, given_up) = with_cancelled_nomination(config);
    for port in [7_000, 7_001] {
        lone.receive_check_on(Path::udp(lone.sockets[1], ([198, 51, 100, 2], port).into()));
        lone.run_for_millis(100);
    }
    assert_eq!(state_of(&lone, given_up), Some(CandidatePairState::Frozen));
}

/// Item 28: the selected pair is lost, and of the others the better one is silent.
#[test]
fn item_28_a_pair_on_which_the_peer_is_heard_is_nominated_before_a_better_one_on_which_it_is_not() {
    const THIRD: &str = "198.51.100.2:6002";
    let mut lone = Lone::new(IceRole::Controlling);
    lone.add(remote_host(PEER, 1_000, "1"));
    lone.select(PEER);
    lone.run_for(Duration::from_secs(3));
    lone.receive_check(SECOND);
    lone.validate(SECOND);
    let worse = lone.peer_check().without(PRIORITY).with(PRIORITY, &2_000_u32.to_be_bytes());
    lone.receive_forged(THIRD, &worse);
    lone.validate(THIRD);
    let mut consent_checks = Vec::new();
    for _ in 0..14 {
        lone.run_for(Duration::from_secs(1));
        lone.receive_check(THIRD);
        consent_checks.extend(lone.take_checks_to(PEER));
    }
    lone.refuse(&consent_checks.pop().unwrap(), 403);
    lone.run_for_millis(50);
    let nominations = lone.take_checks().into_iter().filter(|check| check.read().has(USE_CANDIDATE));
    assert_eq!(nominations.map(|check| check.path).collect::<Vec<_>>(), [lone.path(THIRD)]);
}
