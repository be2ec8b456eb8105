//! What this end says of itself in an offer or answer.

use crate::attribute::Connection;
use crate::candidate::{Candidate, CandidateKind, CandidateProtocol, ComponentId};
use crate::fingerprint::Fingerprint;
use crate::limits::MAX_CANDIDATES;
use crate::sctp_init::SctpInit;
use crate::session::{DISCARD_PORT, MediaDescription};
use crate::tokens::{IceOptions, MaxMessageSize, Mid, Password, SctpPort, Setup, TlsId, UsernameFragment};
use crate::transport::DtlsRole;

/// The parameters of this end's data section. New credentials restart ICE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalParameters {
    /// `a=ice-ufrag`; at most 32 characters are to be sent (RFC 8839 §5.4).
    pub username_fragment: UsernameFragment,
    /// `a=ice-pwd`
    pub password: Password,
    /// `a=ice-options`; in an answer only those that were offered (JSEP §5.3.1).
    pub ice_options: IceOptions,
    /// `a=fingerprint`, at least one.
    pub fingerprints: Vec<Fingerprint>,
    /// `a=tls-id`; in an answer only if the offer has one (RFC 8842 §5.3).
    pub tls_id: Option<TlsId>,
    /// The role to take in an answer if the offer leaves the choice and no association exists. JSEP §5.3.1: client.
    pub preferred_role: DtlsRole,
    /// `a=sctp-port`
    pub sctp_port: SctpPort,
    /// `a=max-message-size`; not written if absent.
    pub max_message_size: Option<MaxMessageSize>,
    /// `a=sctp-init`; in an answer only if the offer has one (draft-hancke-tsvwg-snap-00 §5.4).
    pub sctp_init: Option<SctpInit>,
    /// The candidates gathered so far; those beyond [`MAX_CANDIDATES`] are left out.
    pub candidates: Vec<Candidate>,
    /// Whether these are all.
    pub end_of_candidates: bool,
}

impl LocalParameters {
    /// What browsers send: `trickle ice2`, port 5000, client in an answer, 256 KiB messages, no candidates yet.
    #[must_use]
    pub fn new(username_fragment: UsernameFragment, password: Password, fingerprints: Vec<Fingerprint>) -> Self {
        Self {
            username_fragment,
            password,
            ice_options: IceOptions::trickle_ice2(),
            fingerprints,
            tls_id: None,
            preferred_role: DtlsRole::Client,
            sctp_port: SctpPort::DEFAULT,
            max_message_size: Some(MaxMessageSize::from_wire(256 * 1024)),
            sctp_init: None,
            candidates: Vec::new(),
            end_of_candidates: false,
        }
    }

    /// The data section of an offer or answer (JSEP §5.2.1, §5.3.1).
    pub(crate) fn data_section(&self, mid: Option<Mid>, setup: Setup) -> MediaDescription {
        let mut section = MediaDescription::data(mid);
        section.transport.username_fragment = Some(self.username_fragment.clone());
        section.transport.password = Some(self.password.clone());
        section.transport.ice_options = self.ice_options.clone();
        section.transport.fingerprints.clone_from(&self.fingerprints);
        section.transport.setup = Some(setup);
        section.transport.tls_id.clone_from(&self.tls_id);
        section.sctp_port = Some(self.sctp_port);
        section.max_message_size = self.max_message_size;
        section.sctp_init.clone_from(&self.sctp_init);
        let candidates = self.candidates.iter().take(MAX_CANDIDATES);
        section.candidates = candidates.cloned().collect();
        section.end_of_candidates = self.end_of_candidates;
        section.update_default_destination();
        section
    }
}

impl MediaDescription {
    /// Puts the default candidate into `m=` and `c=` (RFC 8839 §4.2.1.2), so that they say where media is expected:
    /// a relayed address if there is one, else a reflexive, else a host's (RFC 8445 §5.1.4).
    ///
    /// Names are never put there; without a suitable candidate the section keeps port 9 and 0.0.0.0 (RFC 8840 §4.1.1).
    pub(crate) fn update_default_destination(&mut self) {
        let rank = |candidate: &Candidate| match candidate.kind {
            CandidateKind::Relayed => Some(3),
            CandidateKind::ServerReflexive => Some(2),
            CandidateKind::Host => Some(1),
            CandidateKind::PeerReflexive | CandidateKind::Other(_) => None,
        };
        let suitable = self.candidates.iter().filter_map(|candidate| {
            let reachable = candidate.protocol == CandidateProtocol::Udp
                && candidate.component == ComponentId::ONE
                && candidate.port != 0;
            let address = candidate.address.ip().filter(|_| reachable)?;
            Some((rank(candidate)?, candidate.priority, candidate.port, address))
        });
        let best = suitable.max_by_key(|(rank, priority, ..)| (*rank, *priority));
        let (port, connection) = best.map_or_else(
            || (DISCARD_PORT, Connection::unspecified()),
            |(_, _, port, address)| (port, Connection::from_ip(address)),
        );
        self.port = port;
        self.connection = Some(connection);
    }
}
