//! What an offer and its answer agree on for the data section: all that ICE, DTLS and SCTP have to know.

use std::collections::BTreeSet;

use crate::attribute::Group;
use crate::candidate::Candidate;
use crate::error::{ContentError, ContentErrorKind};
use crate::fingerprint::Fingerprint;
use crate::sctp_init::SctpInit;
use crate::section::{Section, SectionId, SectionTransport};
use crate::session::SessionDescription;
use crate::tokens::{IceOptions, IcePacing, MaxMessageSize, Mid, Password, SctpPort, Setup, TlsId, UsernameFragment};

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// This end.
    Local,
    /// The other end.
    Remote,
}

/// Who sends the ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DtlsRole {
    /// This end sends it.
    Client,
    /// The other end sends it.
    Server,
}

/// What became of the data section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataSection {
    /// None was offered.
    Absent,
    /// One was offered and rejected, or an existing one was closed.
    Rejected(SectionId),
    /// One is in use.
    Accepted(Box<TransportParameters>),
}

/// The other end's parameters for the data section's transport, and the roles agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportParameters {
    /// The data section.
    pub section: SectionId,
    /// The sections whose candidates are candidates of this transport: the data section and what is bundled with it.
    pub candidate_sections: Vec<SectionId>,
    /// The other end's `a=ice-ufrag`.
    pub username_fragment: UsernameFragment,
    /// The other end's `a=ice-pwd`.
    pub password: Password,
    /// The other end's `a=ice-options`.
    pub ice_options: IceOptions,
    /// Whether the other end is a lite agent (RFC 8445 §2.5).
    pub ice_lite: bool,
    /// The other end's `a=ice-pacing`; absent means 50 ms (RFC 8839 §5.5).
    pub ice_pacing: Option<IcePacing>,
    /// The other end's fingerprints, at least one.
    pub fingerprints: Vec<Fingerprint>,
    /// The other end's `a=tls-id`.
    pub tls_id: Option<TlsId>,
    /// This end's DTLS role.
    pub dtls_role: DtlsRole,
    /// The other end's `a=sctp-port`.
    pub sctp_port: SctpPort,
    /// The other end's `a=max-message-size`, 64 KiB if it is absent (RFC 8841 §6.1).
    pub max_message_size: MaxMessageSize,
    /// The other end's `a=sctp-init`, if this end has one too.
    pub sctp_init: Option<SctpInit>,
    /// The candidates in the other end's description, each with the section in which it stands.
    pub candidates: Vec<(SectionId, Candidate)>,
    /// Whether the other end said that no more candidates follow.
    pub end_of_candidates: bool,
}

impl TransportParameters {
    /// Whether these parameters restart ICE, seen from earlier ones (RFC 8839 §4.4.1.1.1).
    #[must_use]
    pub fn restarts_ice(&self, earlier: &Self) -> bool {
        self.username_fragment != earlier.username_fragment || self.password != earlier.password
    }

    /// Whether the DTLS association of earlier parameters goes on (RFC 8842 §3.1).
    #[must_use]
    pub fn continues_dtls(&self, earlier: &Self) -> bool {
        same_fingerprints(&self.fingerprints, &earlier.fingerprints)
            && self.tls_id == earlier.tls_id
            && self.dtls_role == earlier.dtls_role
    }

    /// Whether the SCTP association of earlier parameters goes on (draft-hancke-tsvwg-snap-00 §5.6). One that was agreed on without `a=sctp-init` does.
    #[must_use]
    pub fn continues_sctp(&self, earlier: &Self) -> bool {
        earlier.sctp_init.is_none() || self.sctp_init == earlier.sctp_init
    }

    /// The fingerprints made with the strongest hash function among them: one of these the certificate has to match
    /// (RFC 8122 §5.1).
    pub fn strongest_fingerprints(&self) -> impl Iterator<Item = &Fingerprint> {
        let strongest = self.fingerprints.iter().map(Fingerprint::algorithm).max();
        let all = self.fingerprints.iter();
        all.filter(move |fingerprint| Some(fingerprint.algorithm()) == strongest)
    }
}

pub(crate) fn same_fingerprints(ours: &[Fingerprint], theirs: &[Fingerprint]) -> bool {
    let contains = |all: &[Fingerprint], some: &[Fingerprint]| some.iter().all(|fingerprint| all.contains(fingerprint));
    contains(ours, theirs) && contains(theirs, ours)
}

/// What an offer and its answer, both already verified, agree on.
///
/// # Errors
///
/// The accepted data section lacks an attribute that it needs, or `a=setup` does not fit.
pub(crate) fn negotiate(
    offer: &SessionDescription,
    answer: &SessionDescription,
    answerer: Side,
) -> Result<DataSection, ContentError> {
    let Some(agreement) = Agreement::of(offer, answer, answerer)? else {
        let offered = offer.sections().find(|section| section.media().is_data());
        return Ok(offered.map_or(DataSection::Absent, |section| DataSection::Rejected(section.id())));
    };
    let (description, section, ours, tag) = match answerer {
        Side::Local => (offer, agreement.offered, agreement.answered, answer_tag(agreement.answered)),
        Side::Remote => (answer, agreement.answered, agreement.offered, None),
    };
    let transport = agreement.side(Side::Remote);
    let sharing = section.sharing_sections(tag);
    let (candidates, end_of_candidates) = candidates_of(section, &sharing, transport.username_fragment);
    let media = section.media();
    Ok(DataSection::Accepted(Box::new(TransportParameters {
        section: agreement.answered.id(),
        candidate_sections: sharing.iter().map(Section::id).collect(),
        username_fragment: transport.username_fragment.clone(),
        password: transport.password.clone(),
        ice_options: transport.attributes.ice_options.clone(),
        ice_lite: description.ice_lite,
        ice_pacing: description.ice_pacing,
        fingerprints: transport.attributes.fingerprints.to_vec(),
        tls_id: transport.attributes.tls_id.cloned(),
        dtls_role: agreement.role,
        sctp_port: transport.sctp_port,
        max_message_size: media.max_message_size.unwrap_or(MaxMessageSize::DEFAULT),
        sctp_init: media.sctp_init.clone().filter(|_| ours.media().sctp_init.is_some()),
        candidates,
        end_of_candidates,
    })))
}

/// A data section that both sides accept.
pub(crate) struct Agreement<'a> {
    offered: Section<'a>,
    pub(crate) answered: Section<'a>,
    offer: DataTransport<'a>,
    answer: DataTransport<'a>,
    answerer: Side,
    /// The role of this end.
    pub(crate) role: DtlsRole,
}

impl<'a> Agreement<'a> {
    pub(crate) fn of(
        offer: &'a SessionDescription,
        answer: &'a SessionDescription,
        answerer: Side,
    ) -> Result<Option<Self>, ContentError> {
        let Some((offered, answered)) = accepted_data_section(offer, answer) else {
            return Ok(None);
        };
        let offer = DataTransport::of(offered, answer_tag(answered))?;
        let answer = DataTransport::of(answered, None)?;
        let role = answered_role(answered, offer.setup, answer.setup, answerer)?;
        Ok(Some(Self { offered, answered, offer, answer, answerer, role }))
    }

    pub(crate) fn side(&self, side: Side) -> &DataTransport<'a> {
        if side == self.answerer { &self.answer } else { &self.offer }
    }
}

/// The data section that both accept, in the offer and in the answer.
pub(crate) fn accepted_data_section<'a>(
    offer: &'a SessionDescription,
    answer: &'a SessionDescription,
) -> Option<(Section<'a>, Section<'a>)> {
    offer.sections().zip(answer.sections()).find(|(offered, answered)| {
        [offered, answered].into_iter().all(|section| {
            let closed = section.media().sctp_port.is_some_and(SctpPort::is_closed);
            section.media().is_data() && !section.is_disabled() && !closed
        })
    })
}

/// The tagged mid of an answered section's group.
pub(crate) fn answer_tag(answered: Section<'_>) -> Option<&Mid> {
    answered.bundle_group().and_then(|group: &Group| group.mids.first())
}

/// The attributes that a data section cannot do without.
#[derive(Debug)]
pub(crate) struct DataTransport<'a> {
    pub(crate) username_fragment: &'a UsernameFragment,
    pub(crate) password: &'a Password,
    pub(crate) setup: Setup,
    pub(crate) sctp_port: SctpPort,
    pub(crate) attributes: SectionTransport<'a>,
}

impl<'a> DataTransport<'a> {
    /// JSEP §5.8.3: values for all mandatory features have to be there, in the section or inherited.
    pub(crate) fn of(section: Section<'a>, tag: Option<&Mid>) -> Result<Self, ContentError> {
        let attributes = section.transport(tag);
        let missing = |kind| ContentError::new(section.line(), kind);
        if attributes.fingerprints.is_empty() {
            return Err(missing(ContentErrorKind::MissingFingerprint));
        }
        Ok(Self {
            username_fragment: attributes
                .username_fragment
                .ok_or_else(|| missing(ContentErrorKind::MissingUsernameFragment))?,
            password: attributes.password.ok_or_else(|| missing(ContentErrorKind::MissingPassword))?,
            setup: attributes.setup.ok_or_else(|| missing(ContentErrorKind::MissingSetup))?,
            // JSEP §5.8.2: MUST be present; RFC 8841 §5.1: there is no default.
            sctp_port: section.media().sctp_port.ok_or_else(|| missing(ContentErrorKind::MissingSctpPort))?,
            attributes,
        })
    }

    /// Whether ICE restarts with this transport (RFC 8839 §4.4.1.1.1).
    pub(crate) fn restarts_ice(&self, earlier: &DataTransport<'_>) -> bool {
        self.username_fragment != earlier.username_fragment || self.password != earlier.password
    }

    /// Whether this transport asks for the same DTLS association, roles aside (RFC 8842 §3.1).
    pub(crate) fn keeps_dtls(&self, earlier: &DataTransport<'_>) -> bool {
        let (ours, theirs) = (self.attributes, earlier.attributes);
        same_fingerprints(ours.fingerprints, theirs.fingerprints) && ours.tls_id == theirs.tls_id
    }
}

/// The role of this end that the answer's `a=setup` gives it (RFC 5763 §5, RFC 8842 §5.3).
fn answered_role(answered: Section<'_>, offer: Setup, answer: Setup, answerer: Side) -> Result<DtlsRole, ContentError> {
    let unsuitable = |expected| {
        let found = answer;
        let kind = ContentErrorKind::UnsuitableSetup { found, expected };
        Err(ContentError::new(answered.line(), kind))
    };
    let answerer_is_client = match (offer, answer) {
        (Setup::ActPass | Setup::Passive, Setup::Active) => true,
        (Setup::ActPass | Setup::Active, Setup::Passive) => false,
        (Setup::Active, _) => return unsuitable("passive, since the offer is active"),
        (Setup::Passive, _) => return unsuitable("active, since the offer is passive"),
        _ => return unsuitable("active or passive in an answer"),
    };
    Ok(match (answerer, answerer_is_client) {
        (Side::Local, true) | (Side::Remote, false) => DtlsRole::Client,
        (Side::Local, false) | (Side::Remote, true) => DtlsRole::Server,
    })
}

/// The candidates of a section's transport, each one once, and whether they are all.
fn candidates_of(
    section: Section<'_>,
    sharing: &[Section<'_>],
    fragment: &UsernameFragment,
) -> (Vec<(SectionId, Candidate)>, bool) {
    let mut found: Vec<(SectionId, Candidate)> = Vec::new();
    let mut known = BTreeSet::new();
    let mut complete = false;
    for member in sharing {
        complete |= member.end_of_candidates();
        for candidate in &member.media().candidates {
            // A candidate that names another fragment is of another generation (RFC 8838 §10).
            let current = candidate.extension("ufrag").is_none_or(|own| own == fragment.as_str());
            if current && known.insert(candidate) {
                found.push((member.id(), candidate.clone()));
            }
        }
        // Before bundling, each section gathers for itself: the section's own candidates are the better ones.
        if member.index() == section.index() && !found.is_empty() {
            break;
        }
    }
    (found, complete)
}
