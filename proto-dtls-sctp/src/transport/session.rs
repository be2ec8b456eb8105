//! A transport that was started: DTLS, and SCTP behind the gate.

use std::time::Duration;

use proto_machine::{Deadline, Rng, Seed, Timestamp};

use crate::dtls::{Dtls, DtlsCounters, MAX_RECORD_OVERHEAD};
use crate::sctp::{Sctp, SctpCounters, SctpEvent, SctpSettings};
use crate::{
    CipherSuite, DtlsRole, DtlsVersion, InitChunk, MaxMessageSize, SctpAgreement, SecureTransportConfig,
    StartParameters, fingerprint,
};

/// The least and the most that SCTP waits before it sends INIT again, or the OPEN of a channel.
const SETUP_TIMEOUT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// What it waits while nothing is known about the path.
const DEFAULT_SETUP_TIMEOUT: Duration = Duration::from_millis(500);

/// DTLS, and SCTP behind the gate.
pub(super) struct Session {
    pub(super) dtls: Dtls,
    gate: Gate,
    parameters: StartParameters,
    max_message_size: usize,
    version: Option<DtlsVersion>,
    sctp_seed: Seed,
}

/// What stands between the peer and the channels.
enum Gate {
    /// No certificate has been seen.
    AwaitCertificate,
    /// The certificate matches; the handshake goes on.
    AwaitHandshake { certificate: Vec<u8> },
    /// The handshake is complete and the certificate matches.
    Open { certificate: Vec<u8>, sctp: Box<Sctp> },
    /// Nothing passes any more.
    Shut { certificate: Option<Vec<u8>>, counters: SctpCounters, agreement: Option<SctpAgreement> },
}

/// The certificate of the peer matches no fingerprint, or there is none.
pub(super) struct Mismatch;

impl Session {
    pub(super) fn new(
        dtls: Dtls,
        parameters: StartParameters,
        config: &SecureTransportConfig,
        sctp_seed: Seed,
    ) -> Self {
        let max_message_size = match parameters.remote_max_message_size {
            MaxMessageSize::Limited(limit) => limit.min(config.max_send_message_size),
            MaxMessageSize::Unlimited => config.max_send_message_size,
        };
        Self { dtls, gate: Gate::AwaitCertificate, parameters, max_message_size, version: None, sctp_seed }
    }

    pub(super) fn role(&self) -> DtlsRole {
        self.parameters.role
    }

    pub(super) fn max_message_size(&self) -> usize {
        self.max_message_size
    }

    /// Once connected.
    pub(super) fn version(&self) -> Option<DtlsVersion> {
        self.version
    }

    /// Once connected.
    pub(super) fn cipher_suite(&self) -> Option<CipherSuite> {
        self.version.and(self.dtls.cipher_suite())
    }

    /// The certificate that matches.
    pub(super) fn certificate(&self) -> Option<&[u8]> {
        match &self.gate {
            Gate::AwaitCertificate => None,
            Gate::AwaitHandshake { certificate } | Gate::Open { certificate, .. } => Some(certificate),
            Gate::Shut { certificate, .. } => certificate.as_deref(),
        }
    }

    /// SCTP, if the gate is open.
    pub(super) fn sctp(&mut self) -> Option<&mut Sctp> {
        match &mut self.gate {
            Gate::Open { sctp, .. } => Some(sctp),
            Gate::AwaitCertificate | Gate::AwaitHandshake { .. } | Gate::Shut { .. } => None,
        }
    }

    pub(super) fn counters(&self) -> (DtlsCounters, SctpCounters) {
        let sctp = match &self.gate {
            Gate::AwaitCertificate | Gate::AwaitHandshake { .. } => SctpCounters::default(),
            Gate::Open { sctp, .. } => sctp.counters(),
            Gate::Shut { counters, .. } => *counters,
        };
        (self.dtls.counters(), sctp)
    }

    /// What the association has come to, once it is established.
    pub(super) fn agreement(&self) -> Option<SctpAgreement> {
        match &self.gate {
            Gate::AwaitCertificate | Gate::AwaitHandshake { .. } => None,
            Gate::Open { sctp, .. } => sctp.agreement(),
            Gate::Shut { agreement, .. } => *agreement,
        }
    }

    /// As SCTP has measured it.
    pub(super) fn round_trip_time(&self) -> Option<Duration> {
        match &self.gate {
            Gate::Open { sctp, .. } => sctp.round_trip_time(),
            Gate::AwaitCertificate | Gate::AwaitHandshake { .. } | Gate::Shut { .. } => None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Deadline> {
        let dtls = self.dtls.poll_timeout().map(|at| Deadline { at, reason: "dtls" });
        match &self.gate {
            Gate::Open { sctp, .. } => Deadline::earliest(dtls, sctp.poll_timeout()),
            Gate::AwaitCertificate | Gate::AwaitHandshake { .. } | Gate::Shut { .. } => dtls,
        }
    }

    /// Looks at the certificate of the peer, the first time it is shown.
    pub(super) fn check_certificate(&mut self, certificate: Vec<u8>) -> Result<(), Mismatch> {
        if matches!(self.gate, Gate::AwaitCertificate) {
            if !fingerprint::matches(&certificate, &self.parameters.remote_fingerprints) {
                return Err(Mismatch);
            }
            self.gate = Gate::AwaitHandshake { certificate };
        }
        Ok(())
    }

    /// The handshake is complete: opens the gate and starts SCTP, if the certificate has been found to match.
    pub(super) fn open_gate(
        &mut self,
        now: Timestamp,
        config: &SecureTransportConfig,
        round_trip_time: Option<Duration>,
        events: &mut Vec<SctpEvent>,
    ) -> Result<(), Mismatch> {
        match &mut self.gate {
            Gate::AwaitHandshake { certificate } => {
                let certificate = std::mem::take(certificate);
                let ports = (self.parameters.local_sctp_port, self.parameters.remote_sctp_port);
                let settings = sctp_settings(config, ports, round_trip_time);
                let rng = association_rng(&self.sctp_seed);
                let sctp = match self.parameters.remote_init {
                    Some(peer) => Sctp::start_agreed(now, settings, peer, rng, events),
                    None => Sctp::start(now, settings, rng),
                };
                self.gate = Gate::Open { certificate, sctp: Box::new(sctp) };
                self.version = self.dtls.version();
                Ok(())
            }
            // A handshake without certificate is as good as one with the wrong certificate.
            Gate::AwaitCertificate => Err(Mismatch),
            Gate::Open { .. } | Gate::Shut { .. } => Ok(()),
        }
    }

    /// Shuts the gate. ABORT comes first, then close_notify, which ends everything for the peer.
    pub(super) fn end(&mut self, now: Timestamp) {
        let (_, counters) = self.counters();
        let agreement = self.agreement();
        let certificate = self.certificate().map(<[u8]>::to_vec);
        if let Some(sctp) = self.sctp() {
            sctp.abort();
            let mut packet = Vec::new();
            if sctp.write_packet(now, &mut packet, &mut Vec::new()) {
                self.dtls.send(now, &packet, &mut Vec::new());
            }
        }
        self.gate = Gate::Shut { certificate, counters, agreement };
        self.dtls.close(now);
    }
}

/// What this side says in INIT.
pub(super) fn init_chunk(config: &SecureTransportConfig, sctp_seed: &Seed) -> InitChunk {
    // It names no ports, and has nothing to do with the path.
    sctp_settings(config, (0, 0), None).init_chunk(association_rng(sctp_seed))
}

fn association_rng(sctp_seed: &Seed) -> Rng {
    sctp_seed.child("association").into_rng()
}

fn sctp_settings(
    config: &SecureTransportConfig,
    (local_port, remote_port): (u16, u16),
    round_trip_time: Option<Duration>,
) -> SctpSettings {
    let clamp = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    SctpSettings {
        local_port,
        remote_port,
        packet_size: config.datagram_size - MAX_RECORD_OVERHEAD,
        receive_window: clamp(config.receive_window()),
        max_receive_message_size: clamp(config.max_receive_message_size),
        streams: config.max_channels.max(1),
        retransmission_timeout: round_trip_time
            .map_or(DEFAULT_SETUP_TIMEOUT, |time| (time * 2).clamp(SETUP_TIMEOUT.0, SETUP_TIMEOUT.1)),
        set_up_time_limit: Some(config.handshake_time_limit()),
        round_trip_time,
        backend: config.sctp_backend,
        interleaving: config.interleaving,
        zero_checksum: config.zero_checksum,
        // Consent is verified by ICE (RFC 7675), which also decides that a path is dead.
        heartbeat_interval: None,
        max_retransmissions: None,
    }
}
