//! Semantics verification (JSEP §5.8.3, §5.10, §5.11; RFC 3264 §6, §8; RFC 9143 §7.4): a description in its context.

use std::collections::BTreeSet;

use crate::error::{ContentError, ContentErrorKind as Kind};
use crate::negotiated::Negotiated;
use crate::section::Section;
use crate::session::{MediaDescription, SessionDescription};
use crate::tokens::Setup;
use crate::transport::{Agreement, DataTransport, DtlsRole, Side};

/// Checks an offer of one side against what is negotiated.
pub(crate) fn verify_offer(
    offer: &SessionDescription,
    offerer: Side,
    current: Option<&Negotiated>,
) -> Result<(), ContentError> {
    verify_structure(offer)?;
    // Later offers may close what there was; one with nothing before it and nothing to accept is a mistake.
    let previous = current.filter(|current| !current.answer().media.is_empty());
    if let Some(previous) = previous {
        verify_order(offer, previous)?;
    } else if !offer.media.is_empty() && offer.sections().all(|section| section.is_disabled()) {
        let data = offer.media.iter().position(MediaDescription::is_data);
        let line = offer.section_line(data.unwrap_or(0));
        return Err(ContentError::new(line, Kind::NothingToAccept));
    }
    let Some(section) = offer.data_section() else {
        return Ok(());
    };
    let transport = DataTransport::of(section, section.mid())?;
    // RFC 8842 §5.1: holdconn MUST NOT be used.
    if transport.setup == Setup::HoldConn {
        let kind = Kind::UnsuitableSetup { found: transport.setup, expected: "actpass, active or passive in an offer" };
        return Err(ContentError::new(section.line(), kind));
    }
    match current.and_then(Negotiated::agreement) {
        Some(earlier) => verify_offered_dtls(section, &transport, offerer, &earlier),
        None => Ok(()),
    }
}

/// A DTLS association that does not go on needs an ICE restart (JSEP §5.8.3, RFC 8842 §5.1).
fn verify_offered_dtls(
    section: Section<'_>,
    transport: &DataTransport<'_>,
    offerer: Side,
    earlier: &Agreement<'_>,
) -> Result<(), ContentError> {
    let before = earlier.side(offerer);
    let role = match (offerer, transport.setup) {
        (Side::Local, Setup::Active) | (Side::Remote, Setup::Passive) => Some(DtlsRole::Client),
        (Side::Local, Setup::Passive) | (Side::Remote, Setup::Active) => Some(DtlsRole::Server),
        (_, Setup::ActPass | Setup::HoldConn) => None,
    };
    let keeps_role = role.is_none_or(|role| role == earlier.role);
    if transport.restarts_ice(before) || (transport.keeps_dtls(before) && keeps_role) {
        return Ok(());
    }
    let kind = Kind::DtlsChangeWithoutIceRestart;
    Err(ContentError::new(section.line(), kind))
}

/// Checks an answer of one side, provisional or final, against its offer and what was negotiated before.
pub(crate) fn verify_answer(
    answer: &SessionDescription,
    answerer: Side,
    offer: &SessionDescription,
    current: Option<&Negotiated>,
) -> Result<(), ContentError> {
    verify_structure(answer)?;
    // RFC 3264 §6: as many sections, in the same order, of the same kinds.
    if answer.media.len() != offer.media.len() {
        return Err(section_count(answer, offer.media.len()));
    }
    for (answered, offered) in answer.sections().zip(offer.sections()) {
        verify_answered_section(answered, offered)?;
    }
    let Some(agreement) = Agreement::of(offer, answer, answerer)? else {
        return Ok(());
    };
    match current.and_then(Negotiated::agreement) {
        Some(earlier) => verify_restart(&agreement, &earlier, answerer),
        None => Ok(()),
    }
}

fn verify_answered_section(answered: Section<'_>, offered: Section<'_>) -> Result<(), ContentError> {
    let refuse = |kind| Err(ContentError::new(answered.line(), kind));
    if answered.media().kind != offered.media().kind {
        return refuse(Kind::MediaTypeChanged);
    }
    if answered.media().protocol != offered.media().protocol {
        return refuse(Kind::ProtocolChanged);
    }
    // RFC 5888 §9.1: the answer's mid, if there is one, is the offer's.
    if answered.mid().is_some() && answered.mid() != offered.mid() {
        return refuse(Kind::MidChanged);
    }
    if offered.is_disabled() && !answered.is_disabled() {
        return refuse(Kind::AcceptsDisabled);
    }
    // JSEP §5.3.1: the format of a data section is exactly that of the offer.
    if offered.media().is_data() && !answered.is_disabled() && !answered.media().is_data() {
        return refuse(Kind::FormatsChanged);
    }
    // RFC 9143 §7.4: what the answer bundles was offered in one group.
    if let (Some(group), Some(mid)) = (answered.bundle_group(), answered.mid()) {
        let offered_group = offered.bundle_group();
        let offered_with = |tag| offered_group.is_some_and(|group| group.mids.contains(tag));
        if !group.mids.iter().all(offered_with) {
            return refuse(Kind::BundleNotOffered(mid.clone()));
        }
    }
    Ok(())
}

/// Both sides restart ICE or none does, and without a restart DTLS stays as it is (JSEP §5.10, §5.11; RFC 8445 §9).
fn verify_restart(agreement: &Agreement<'_>, earlier: &Agreement<'_>, answerer: Side) -> Result<(), ContentError> {
    let offerer = match answerer {
        Side::Local => Side::Remote,
        Side::Remote => Side::Local,
    };
    let restarts = |side| agreement.side(side).restarts_ice(earlier.side(side));
    let refuse = |kind| Err(ContentError::new(agreement.answered.line(), kind));
    let offered = restarts(offerer);
    if restarts(answerer) != offered {
        return refuse(Kind::IceRestartMismatch { offered });
    }
    let keeps_dtls = |side| agreement.side(side).keeps_dtls(earlier.side(side));
    let continues = agreement.role == earlier.role && keeps_dtls(offerer) && keeps_dtls(answerer);
    if !offered && !continues {
        return refuse(Kind::DtlsChangeWithoutIceRestart);
    }
    Ok(())
}

/// Mids are unique, and BUNDLE groups list each mid of a section at most once (RFC 5888 §4, RFC 9143 §5).
fn verify_structure(description: &SessionDescription) -> Result<(), ContentError> {
    let mut mids = BTreeSet::new();
    for section in description.sections() {
        if let Some(mid) = section.mid().filter(|mid| !mids.insert(*mid)) {
            let kind = Kind::DuplicateMid(mid.clone());
            return Err(ContentError::new(section.line(), kind));
        }
    }
    let mut members = BTreeSet::new();
    let bundles = description.groups.iter().filter(|group| group.is_bundle());
    for mid in bundles.flat_map(|group| &group.mids) {
        let kind = if !mids.contains(mid) {
            Kind::UnknownGroupMember(mid.clone())
        } else if !members.insert(mid) {
            Kind::DuplicateGroupMember(mid.clone())
        } else {
            continue;
        };
        return Err(ContentError::new(description.group_line(), kind));
    }
    Ok(())
}

/// RFC 3264 §8: sections are neither removed nor reordered; a slot that is not in use may be used for something else.
fn verify_order(offer: &SessionDescription, current: &Negotiated) -> Result<(), ContentError> {
    let previous = current.answer();
    if offer.media.len() < previous.media.len() {
        return Err(section_count(offer, previous.media.len()));
    }
    for (section, (offered, answered)) in offer.sections().zip(current.offer().sections().zip(previous.sections())) {
        if offered.is_disabled() || answered.is_disabled() {
            continue;
        }
        let refuse = |kind| Err(ContentError::new(section.line(), kind));
        if section.media().kind != offered.media().kind {
            return refuse(Kind::MediaTypeChanged);
        }
        // A section that had no mid may get one.
        if offered.mid().is_some() && section.mid() != offered.mid() {
            return refuse(Kind::MidChanged);
        }
    }
    Ok(())
}

/// The line is the first section too many, or the last one if some are missing.
fn section_count(description: &SessionDescription, expected: usize) -> ContentError {
    let found = description.media.len();
    let line = if found == 0 { 1 } else { description.section_line(expected.min(found - 1)) };
    ContentError::new(line, Kind::SectionCount { expected, found })
}
