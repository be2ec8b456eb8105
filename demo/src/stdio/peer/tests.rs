use clap::Parser;
use proto_dtls_sctp::SctpFailure;

use super::*;
use crate::options::{Command, Options};

fn session(arguments: &[&str]) -> Session {
    let all = ["demo", "stdio"].iter().chain(arguments);
    let Some(Command::Stdio(options)) = Options::try_parse_from(all).unwrap().command else { panic!("no subcommand") };
    Session::new(&options, Output::stdout())
}

const FAILED: Verdict = Verdict::failed("failed");

#[test]
fn a_failure_explains_what_looked_like_a_farewell_and_not_the_other_way_round() {
    for verdicts in [[Verdict::CLOSED, FAILED], [FAILED, Verdict::CLOSED]] {
        let mut session = session(&[]);
        for verdict in verdicts {
            session.over(verdict);
        }
        assert_eq!(session.verdict(Verdict::CLOSED), FAILED);
    }
}

#[test]
fn closing_while_the_flood_of_flood_mode_is_under_way_is_a_failure() {
    let mut session = session(&["--mode", "flood"]);
    assert!(!session.verdict(Verdict::CLOSED).ok);
    session.main_flood = MainFlood::Over { ok: false };
    assert!(!session.verdict(Verdict::CLOSED).ok);
    session.main_flood = MainFlood::Over { ok: true };
    assert_eq!(session.verdict(Verdict::CLOSED), Verdict::CLOSED);
}

#[test]
fn what_was_decided_first_is_how_the_process_ends() {
    let mut session = session(&[]);
    session.leave(Leave::Abruptly);
    session.leave(Leave::Closing(Verdict::CLOSED));
    session.over(FAILED);
    assert_eq!(session.leaving(), Some(Leave::Abruptly));
}

#[test]
fn an_abort_by_the_user_is_a_farewell_and_one_for_another_cause_a_fault() {
    use SctpFailureReason::{AbortedByPeer, PeerMisbehaved, PeerRestarted, ShutDownByPeer, TransportClosed};
    for (reason, cause_code, expected) in [
        (AbortedByPeer, Some(USER_INITIATED_ABORT), false),
        (AbortedByPeer, None, false),
        (AbortedByPeer, Some(13), true),
        (ShutDownByPeer, None, false),
        (TransportClosed, None, false),
        (PeerRestarted, None, true),
        (PeerMisbehaved, Some(13), true),
    ] {
        let failure = ChannelFailure::Sctp(SctpFailure { cause_code, reason });
        assert_eq!(is_fault(&failure), expected, "{reason:?} {cause_code:?}");
    }
    assert!(!is_fault(&ChannelFailure::NoIdLeft), "the other channels live on");
}
