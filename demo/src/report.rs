//! What a peer tells of its path: the selected pair, what both sides have agreed on for DTLS and SCTP, and why ICE has come to what it has come to. Scripts and pages read the
//! same words.

use std::fmt::Display;

use peer_core::{
    CandidateType, DtlsRole, DtlsTransportState, Peer, PeerStatistics, SctpTransportStatistics, TransportStatistics,
};
use proto_ice::{
    CandidateError, CandidatePairState, CandidatePairStatistics, IceRole, LocalCandidate, RemoteCandidate,
};
use proto_machine::TransportProtocol;
use serde::Serialize;

/// The most results of gathering that are kept for the report.
pub const MAX_SERVER_REPORTS: usize = 64;

/// What gathering has learned or failed to learn.
#[derive(Default, Debug)]
pub(crate) struct Servers(Vec<ServerReport>);

impl Servers {
    /// A candidate that a server has told.
    pub(crate) fn note_candidate(&mut self, url: &str, candidate: &str) {
        self.note(ServerReport {
            url: Some(url.to_owned()),
            ok: true,
            error_code: None,
            message: candidate.to_owned(),
        });
    }

    /// What yielded no candidate.
    pub(crate) fn note_error(&mut self, error: &CandidateError) {
        let message = match error.address {
            Some(address) => format!("{} (from {address})", error.error_text),
            None => error.error_text.clone(),
        };
        self.note(ServerReport { url: error.url.clone(), ok: false, error_code: Some(error.error_code), message });
    }

    fn note(&mut self, report: ServerReport) {
        if self.0.len() < MAX_SERVER_REPORTS {
            self.0.push(report);
        }
    }
}

/// The pair that is selected.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub(crate) struct PairStats {
    pub(crate) local: LocalCandidateStats,
    pub(crate) remote: CandidateStats,
    /// Seconds.
    pub(crate) rtt: Option<f64>,
}

/// A candidate of either side.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub(crate) struct CandidateStats {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) protocol: &'static str,
    pub(crate) address: String,
    pub(crate) port: u16,
}

/// A candidate of this side.
#[derive(Serialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LocalCandidateStats {
    #[serde(flatten)]
    pub(crate) candidate: CandidateStats,
    /// How a relay is spoken to.
    pub(crate) relay_protocol: Option<&'static str>,
}

/// ICE and DTLS.
#[derive(Serialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TransportStats {
    pub(crate) dtls_state: &'static str,
    pub(crate) tls_version: Option<&'static str>,
    pub(crate) dtls_cipher: Option<String>,
    pub(crate) dtls_role: Option<&'static str>,
    pub(crate) ice_role: &'static str,
}

/// What both sides have agreed on for SCTP.
#[derive(Serialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SctpStats {
    /// `handshake` or `descriptions`.
    pub(crate) set_up: &'static str,
    pub(crate) outbound_streams: u16,
    pub(crate) inbound_streams: u16,
    pub(crate) partial_reliability: bool,
    pub(crate) stream_resets: bool,
    pub(crate) interleaving: bool,
    pub(crate) zero_checksum: bool,
    /// Seconds.
    pub(crate) smoothed_round_trip_time: Option<f64>,
}

/// `ice-report`: why ICE has come to what it has come to.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub(crate) struct IceReport {
    pub(crate) verdict: String,
    pub(crate) servers: Vec<ServerReport>,
    pub(crate) pairs: Vec<PairReport>,
}

/// What gathering has to say of a server, or of an interface (`url` is null).
#[derive(Serialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerReport {
    pub(crate) url: Option<String>,
    pub(crate) ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_code: Option<u16>,
    /// What was learned, or what went wrong.
    pub(crate) message: String,
}

/// What became of a pair.
#[derive(Serialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PairReport {
    pub(crate) local: CandidateStats,
    pub(crate) remote: CandidateStats,
    pub(crate) state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) nominated: bool,
    pub(crate) requests_sent: u64,
    pub(crate) responses_received: u64,
    pub(crate) requests_received: u64,
}

/// The selected pair, if there is one.
pub(crate) fn selected_pair(statistics: &PeerStatistics) -> Option<PairStats> {
    let pair = statistics.transport.selected_candidate_pair.as_ref()?;
    let counters = statistics.ice.pairs.iter().find(|known| known.path == pair.path).map(|known| known.counters);
    Some(PairStats {
        // Relays are reached over UDP only.
        local: LocalCandidateStats {
            candidate: local_candidate(&pair.local),
            relay_protocol: (pair.local.kind == CandidateType::Relayed).then_some("udp"),
        },
        remote: remote_candidate(&pair.remote),
        rtt: counters.and_then(|counters| counters.current_round_trip_time).map(|time| time.as_secs_f64()),
    })
}

/// How ICE and DTLS stand.
pub(crate) fn transport(transport: &TransportStatistics) -> TransportStats {
    TransportStats {
        dtls_state: match transport.dtls_state {
            DtlsTransportState::New => "new",
            DtlsTransportState::Connecting => "connecting",
            DtlsTransportState::Connected => "connected",
            DtlsTransportState::Closed => "closed",
            DtlsTransportState::Failed => "failed",
        },
        tls_version: transport.tls_version.map(|version| version.hexadecimal()),
        dtls_cipher: transport
            .dtls_cipher
            .map(|suite| suite.name().map_or_else(|| format!("0x{:04X}", suite.0), str::to_owned)),
        dtls_role: transport.dtls_role.map(|role| match role {
            DtlsRole::Client => "client",
            DtlsRole::Server => "server",
        }),
        ice_role: match transport.ice_role {
            IceRole::Controlling => "controlling",
            IceRole::Controlled => "controlled",
        },
    }
}

/// What SCTP has come to, if the association has been established.
pub(crate) fn sctp(sctp: &SctpTransportStatistics) -> Option<SctpStats> {
    let agreement = sctp.agreement?;
    Some(SctpStats {
        set_up: agreement.set_up.name(),
        outbound_streams: agreement.outbound_streams,
        inbound_streams: agreement.inbound_streams,
        partial_reliability: agreement.partial_reliability,
        stream_resets: agreement.stream_resets,
        interleaving: agreement.interleaving,
        zero_checksum: agreement.zero_checksum,
        smoothed_round_trip_time: sctp.smoothed_round_trip_time.map(|time| time.as_secs_f64()),
    })
}

/// How ICE stands.
pub(crate) fn ice_report(peer: &Peer, servers: &Servers) -> IceReport {
    let report = peer.ice_report();
    IceReport {
        verdict: report.verdict,
        servers: servers.0.clone(),
        pairs: report.pairs.iter().map(pair_report).collect(),
    }
}

fn pair_report(pair: &CandidatePairStatistics) -> PairReport {
    PairReport {
        local: local_candidate(&pair.local),
        remote: remote_candidate(&pair.remote),
        state: pair.state.name(),
        reason: match pair.state {
            CandidatePairState::Failed(failure) => Some(failure.to_string()),
            _ => None,
        },
        nominated: pair.nominated,
        requests_sent: pair.counters.requests_sent,
        responses_received: pair.counters.responses_received,
        requests_received: pair.counters.requests_received,
    }
}

fn local_candidate(candidate: &LocalCandidate) -> CandidateStats {
    let address = candidate.address;
    candidate_stats(candidate.kind, candidate.protocol, &address.ip(), address.port())
}

fn remote_candidate(candidate: &RemoteCandidate) -> CandidateStats {
    let address = candidate.address;
    candidate_stats(candidate.kind, candidate.protocol, &address.ip(), address.port())
}

fn candidate_stats(
    kind: CandidateType,
    protocol: TransportProtocol,
    address: &dyn Display,
    port: u16,
) -> CandidateStats {
    let protocol = match protocol {
        TransportProtocol::Udp => "udp",
        TransportProtocol::Tcp => "tcp",
    };
    CandidateStats { kind: kind.name(), protocol, address: address.to_string(), port }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_results_of_gathering_are_kept_than_may() {
        let mut servers = Servers::default();
        for _ in 0..=MAX_SERVER_REPORTS {
            servers.note_candidate("stun:a", "candidate:1");
        }
        assert_eq!(servers.0.len(), MAX_SERVER_REPORTS);
    }
}
