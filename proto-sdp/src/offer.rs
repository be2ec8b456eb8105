//! Constructing offers (JSEP §5.2).

use crate::attribute::{Group, Origin};
use crate::local::LocalParameters;
use crate::negotiated::Negotiated;
use crate::session::{MediaDescription, SessionDescription};
use crate::tokens::{Direction, Mid, Setup};
use crate::transport::accepted_data_section;

/// Constructs an offer from what is negotiated, if anything is.
///
/// Sections keep their place and their mid; those that are not in use stay as disabled slots. A data section that is
/// in use is offered again; otherwise one is added if `with_data` says that there are channels, in the slot of an
/// earlier data section that is closed (RFC 3264 §8.1) or at the end.
#[must_use]
pub fn create_offer(
    current: Option<&Negotiated>,
    parameters: &LocalParameters,
    with_data: bool,
    origin: Origin,
) -> SessionDescription {
    let mut description = SessionDescription::new(origin);
    let in_use = current
        .and_then(|current| accepted_data_section(current.offer(), current.answer()))
        .map(|(offered, _)| offered.index());
    let previous = current.map_or(&[][..], |current| &current.local().media);
    description.media = previous.iter().map(disabled_section).collect();

    let place = in_use.or_else(|| {
        let free = |section: &MediaDescription| section.is_data();
        let slot = previous.iter().position(free).unwrap_or(previous.len());
        with_data.then_some(slot)
    });
    if let Some(place) = place {
        let kept = previous.get(place).filter(|_| in_use.is_some()).and_then(|section| section.mid.clone());
        let mid = kept.unwrap_or_else(|| unused_mid(current));
        // RFC 8842 §5.5: actpass in every offer, also when the association goes on.
        let section = parameters.data_section(Some(mid.clone()), Setup::ActPass);
        match description.media.get_mut(place) {
            Some(slot) => *slot = section,
            None => description.media.push(section),
        }
        description.groups.push(Group::bundle(vec![mid]));
    }
    description
}

/// A section that keeps its place but is not in use: port 0, no transport (RFC 3264 §8.2, RFC 9143 §7.3.3).
pub(crate) fn disabled_section(section: &MediaDescription) -> MediaDescription {
    let mut disabled = MediaDescription::new(section.kind.clone(), section.protocol.clone(), section.formats.clone());
    disabled.port = 0;
    disabled.mid.clone_from(&section.mid);
    if !section.is_data() {
        disabled.direction = Some(Direction::Inactive);
    }
    disabled
}

/// The smallest number that is no section's mid: short, and says nothing about the user (JSEP §5.2.1).
fn unused_mid(current: Option<&Negotiated>) -> Mid {
    let descriptions = current.map(|current| [current.offer(), current.answer()]);
    let used = |mid: &Mid| {
        descriptions.iter().flatten().any(|description| description.section_with_mid(mid.as_str()).is_some())
    };
    (0..).map(Mid::from_number).find(|mid| !used(mid)).unwrap_or_else(|| Mid::from_number(u32::MAX))
}
