//! The verdict: what stands in the way, in words that a person can act on.

use std::collections::BTreeMap;

use super::{AttemptGoal, AttemptOutcome, IceReport, LookupOutcome, RemoteKnowledge, ServerReport};
use crate::{CandidatePairState, DropReason, IceGatheringState, IceTransportPolicy, IceTransportState, PairFailure};

/// The most servers that are named one by one.
const NAMED_SERVERS: usize = 4;

/// Fills in the verdict.
pub(crate) fn verdict(report: &IceReport) -> String {
    let state = report.state.name();
    if report.state == IceTransportState::Closed {
        return state.to_owned();
    }
    if let Some(pair) = &report.data_pair {
        let (local, remote) = (&pair.local, &pair.remote);
        let through = local.url.as_ref().map(|url| format!(" through {url}")).unwrap_or_default();
        let path =
            format!("{} {}{through} to {} {}", local.kind.name(), local.address, remote.kind.name(), remote.address);
        return match report.state {
            IceTransportState::Disconnected => format!("{state}: nothing is heard any more over {path}"),
            _ => format!("{state}: {path}"),
        };
    }
    let causes = causes(report);
    match (causes.is_empty(), report.state) {
        (false, _) => format!("{state}: {}", causes.join("; ")),
        (true, IceTransportState::Checking) => format!("{state}: no check has been answered so far"),
        (true, _) => state.to_owned(),
    }
}

fn causes(report: &IceReport) -> Vec<String> {
    let mut causes = Vec::new();
    causes.extend(of_this_side(report));
    causes.extend(of_servers(report));
    causes.extend(of_the_other_side(report));
    causes.extend(of_pairs(report));
    causes
}

/// What is missing here.
fn of_this_side(report: &IceReport) -> Option<String> {
    let has_relays = report.servers.iter().any(|server| server.goal == AttemptGoal::Allocation);
    match report.gathering_state {
        // Without a description from there, nothing is due here.
        IceGatheringState::New if report.remote == RemoteKnowledge::Nothing => None,
        IceGatheringState::New => Some("gathering has not begun".to_owned()),
        _ if report.transport_policy == IceTransportPolicy::Relay && !has_relays => {
            Some("only relayed candidates are allowed, and no TURN server is configured".to_owned())
        }
        IceGatheringState::Gathering => None,
        IceGatheringState::Complete if report.local_candidates.is_empty() => {
            Some("this side has no candidate".to_owned())
        }
        IceGatheringState::Complete => None,
    }
}

/// What is wrong with servers.
fn of_servers(report: &IceReport) -> Vec<String> {
    let is_wanted = |server: &&ServerReport| {
        report.transport_policy == IceTransportPolicy::All || server.goal == AttemptGoal::Allocation
    };
    let servers: Vec<&ServerReport> = report.servers.iter().filter(is_wanted).collect();
    if !servers.is_empty() && servers.iter().all(|server| server.is_silent()) {
        let every = if servers.len() == 1 {
            format!("UDP to {} timed out", servers[0].url)
        } else {
            "UDP to every server timed out".to_owned()
        };
        return vec![format!("{every}: the network may block UDP, or it is down")];
    }
    let mut wrong: Vec<String> = servers
        .iter()
        .filter_map(|server| server.trouble().map(|trouble| format!("{}: {trouble}", server.url)))
        .collect();
    if wrong.len() > NAMED_SERVERS {
        let more = wrong.split_off(NAMED_SERVERS).len();
        wrong.push(format!("{more} more servers are of no use"));
    }
    for refused in report.refused_peers.iter().take(NAMED_SERVERS) {
        wrong.push(format!(
            "the TURN server {} does not relay to {}: {}",
            refused.server, refused.address, refused.error
        ));
    }
    wrong
}

/// What is missing there.
fn of_the_other_side(report: &IceReport) -> Option<String> {
    let text = match report.remote {
        RemoteKnowledge::Nothing => "no description has come from the other side",
        RemoteKnowledge::Parameters if report.remote_candidates.is_empty() => {
            "no candidate has come from the other side"
        }
        RemoteKnowledge::EndOfCandidates if report.remote_candidates.is_empty() => {
            "the other side has no candidate that can be used here"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// What became of pairs.
fn of_pairs(report: &IceReport) -> Vec<String> {
    let pairs = &report.pairs;
    if pairs.is_empty() {
        let both = !report.local_candidates.is_empty() && !report.remote_candidates.is_empty();
        let text = "no candidate of this side goes with one of the other side: their address families differ, or no relay lets it through";
        return if both { vec![text.to_owned()] } else { Vec::new() };
    }
    let failures: Vec<PairFailure> = pairs
        .iter()
        .filter_map(|pair| match pair.state {
            CandidatePairState::Failed(failure) => Some(failure),
            _ => None,
        })
        .collect();
    if failures.len() < pairs.len() {
        let some = failures.len();
        return if some == 0 {
            Vec::new()
        } else {
            vec![format!("{some} of {} pairs have failed so far", pairs.len())]
        };
    }
    let all =
        if failures.len() == 1 { "the only pair has".to_owned() } else { format!("all {} pairs have", failures.len()) };
    let mut causes = vec![format!("{all} failed: {}", counted(&failures))];
    let are_unanswered = failures.iter().all(|failure| *failure == PairFailure::Timeout);
    let are_heard = pairs.iter().any(|pair| pair.counters.requests_received > 0);
    let has_relays = report.servers.iter().any(|server| server.goal == AttemptGoal::Allocation);
    if report.drops.get(DropReason::UnauthenticatedRequest) > 0 {
        causes.push("checks come with another password: the two descriptions do not belong together".to_owned());
    } else if are_unanswered && are_heard {
        causes
            .push("checks of the other side arrive, and its answers to ours do not: packets to it are lost".to_owned());
    } else if are_unanswered && !has_relays {
        causes.push("a NAT or firewall may be in the way, and no TURN server is configured".to_owned());
    }
    causes
}

/// How often each reason, the most frequent first.
fn counted(failures: &[PairFailure]) -> String {
    let mut counts: BTreeMap<PairFailure, usize> = BTreeMap::new();
    for failure in failures {
        *counts.entry(*failure).or_default() += 1;
    }
    let mut counts: Vec<(PairFailure, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.iter().map(|(failure, count)| format!("{count} × {failure}")).collect::<Vec<_>>().join(", ")
}

impl ServerReport {
    /// Whether it was asked, and has never answered.
    fn is_silent(&self) -> bool {
        !self.attempts.is_empty() && self.attempts.iter().all(|attempt| attempt.outcome == AttemptOutcome::TimedOut)
    }

    /// Why it is of no use, if it is of none.
    fn trouble(&self) -> Option<String> {
        if let LookupOutcome::Failed(reason) = &self.lookup {
            return Some(reason.clone());
        }
        if self.is_out_of_reach {
            return Some("no address of this host can reach it".to_owned());
        }
        let outcomes =
            || self.attempts.iter().filter(|attempt| attempt.goal == self.goal).map(|attempt| &attempt.outcome);
        if outcomes().any(|outcome| matches!(outcome, AttemptOutcome::Answered(_))) {
            return None;
        }
        // What a server says tells more than its silence, and it will not say otherwise to another socket.
        let is_told = |outcome: &&AttemptOutcome| matches!(outcome, AttemptOutcome::Failed { .. });
        let is_open = |outcome: &AttemptOutcome| matches!(outcome, AttemptOutcome::Pending | AttemptOutcome::Abandoned);
        let told = outcomes().find(is_told);
        let outcome = told.or_else(|| outcomes().next().filter(|_| !outcomes().any(is_open)))?;
        let advice = match outcome {
            AttemptOutcome::Failed { code: Some(401 | 441), .. } => " (check username and credential)",
            AttemptOutcome::Failed { code: Some(486 | 508), .. } => " (it has no room: try later, or another server)",
            _ => "",
        };
        Some(format!("{outcome}{advice}"))
    }
}
