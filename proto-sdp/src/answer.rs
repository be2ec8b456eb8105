//! Generating answers (JSEP §5.3).

use crate::attribute::{Group, Origin};
use crate::error::ContentError;
use crate::local::LocalParameters;
use crate::negotiated::Negotiated;
use crate::offer::disabled_section;
use crate::session::SessionDescription;
use crate::tokens::Setup;
use crate::transport::{DataTransport, DtlsRole, Side, same_fingerprints};

/// Generates the answer to an offer: the first data section is accepted, everything else is rejected.
///
/// The accepted section becomes the tagged one of its BUNDLE group, also when the offer tagged one that is rejected
/// (RFC 9143 §7.3.1). A `bundle-only` data section, which has no transport of its own, is accepted with the transport
/// that the offer's tagged section describes; RFC 9143 §7.3.1 would reject it together with that section, and then no
/// peer that bundles its data with media could be answered.
///
/// # Errors
///
/// The offer's data section lacks an attribute that it needs.
pub fn create_answer(
    offer: &SessionDescription,
    current: Option<&Negotiated>,
    parameters: &LocalParameters,
    origin: Origin,
) -> Result<SessionDescription, ContentError> {
    let mut answer = SessionDescription::new(origin);
    answer.media = offer.media.iter().map(disabled_section).collect();
    let Some(offered) = offer.data_section() else {
        return Ok(answer);
    };
    // The answer tags the data section, so that the transport is the one that the offer gives to it.
    let transport = DataTransport::of(offered, offered.mid())?;
    if transport.sctp_port.is_closed() {
        return Ok(answer);
    }
    let role = answer_role(&transport, current, parameters);
    let mut parameters = parameters.clone();
    // JSEP §5.3.1: only options that are in the offer.
    let offered_options = transport.attributes.ice_options;
    parameters.ice_options = parameters.ice_options.intersection(offered_options);
    // RFC 8842 §5.3: no tls-id unless the offer has one; draft-hancke-tsvwg-snap-00 §5.4 likewise.
    parameters.tls_id = parameters.tls_id.filter(|_| transport.attributes.tls_id.is_some());
    parameters.sctp_init = parameters.sctp_init.filter(|_| offered.media().sctp_init.is_some());
    let setup = match role {
        DtlsRole::Client => Setup::Active,
        DtlsRole::Server => Setup::Passive,
    };
    let mut section = parameters.data_section(offered.mid().cloned(), setup);
    // JSEP §5.3.1: the protocol and the format are exactly those of the offer.
    section.protocol.clone_from(&offered.media().protocol);
    section.formats.clone_from(&offered.media().formats);
    if let Some(slot) = answer.media.get_mut(offered.index()) {
        *slot = section;
    }
    if offered.bundle_group().is_some() {
        answer.groups.extend(offered.mid().map(|mid| Group::bundle(vec![mid.clone()])));
    }
    Ok(answer)
}

/// The DTLS role that the answer takes (JSEP §5.3.1, §5.3.2).
fn answer_role(offered: &DataTransport<'_>, current: Option<&Negotiated>, parameters: &LocalParameters) -> DtlsRole {
    match offered.setup {
        Setup::Active => DtlsRole::Server,
        Setup::Passive => DtlsRole::Client,
        Setup::ActPass | Setup::HoldConn => {
            continued_role(offered, current, parameters).unwrap_or(parameters.preferred_role)
        }
    }
}

/// The role of the association that goes on, if one does (RFC 8842 §5.3).
fn continued_role(
    offered: &DataTransport<'_>,
    current: Option<&Negotiated>,
    parameters: &LocalParameters,
) -> Option<DtlsRole> {
    let current = current?;
    let earlier = current.agreement()?;
    let attributes = offered.attributes;
    let ours = earlier.side(Side::Local).attributes;
    let continues = offered.keeps_dtls(earlier.side(Side::Remote))
        && same_fingerprints(ours.fingerprints, &parameters.fingerprints)
        && (attributes.tls_id.is_none() || ours.tls_id == parameters.tls_id.as_ref());
    continues.then_some(earlier.role)
}
