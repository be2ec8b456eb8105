//! A section in its description: with what it inherits from the session level and from its bundle.

use crate::attribute::Group;
use crate::fingerprint::Fingerprint;
use crate::session::{MediaDescription, SessionDescription};
use crate::tokens::{Direction, IceOptions, Mid, Password, Setup, TlsId, UsernameFragment};

/// Which section: its index among the `m=` lines, from 0, and its mid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SectionId {
    /// `sdpMLineIndex` of the W3C.
    pub index: usize,
    /// `sdpMid` of the W3C; none if the section has no mid.
    pub mid: Option<Mid>,
}

/// A borrowed section. Its accessors fall back to the session level where a section has nothing of its own.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    description: &'a SessionDescription,
    media: &'a MediaDescription,
    index: usize,
}

impl SessionDescription {
    /// The section with this index, from 0.
    #[must_use]
    pub fn section(&self, index: usize) -> Option<Section<'_>> {
        let media = self.media.get(index)?;
        Some(Section { description: self, media, index })
    }

    /// The sections in order.
    pub fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        (0..self.media.len()).filter_map(|index| self.section(index))
    }

    /// The section with this mid.
    #[must_use]
    pub fn section_with_mid(&self, mid: &str) -> Option<Section<'_>> {
        self.sections().find(|section| section.mid().is_some_and(|own| own.as_str() == mid))
    }

    /// The first section for data channels that is not disabled.
    #[must_use]
    pub fn data_section(&self) -> Option<Section<'_>> {
        self.sections().find(|section| section.media.is_data() && !section.is_disabled())
    }

    /// Whether the sender takes candidates one by one: `trickle` in any `a=ice-options` (JSEP §5.10).
    #[must_use]
    pub fn can_trickle(&self) -> bool {
        let sections = self.media.iter().map(|media| &media.transport);
        std::iter::once(&self.transport).chain(sections).any(|transport| transport.ice_options.trickle())
    }
}

impl<'a> Section<'a> {
    /// Its index and mid.
    #[must_use]
    pub fn id(&self) -> SectionId {
        SectionId { index: self.index, mid: self.media.mid.clone() }
    }

    /// Its index among the `m=` lines, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The section without what it inherits.
    #[must_use]
    pub fn media(&self) -> &'a MediaDescription {
        self.media
    }

    /// The line of its `m=` line, from 1: as it was read, or else as it is written.
    #[must_use]
    pub fn line(&self) -> usize {
        self.description.section_line(self.index)
    }

    /// Its mid.
    #[must_use]
    pub fn mid(&self) -> Option<&'a Mid> {
        self.media.mid.as_ref()
    }

    /// `a=ice-ufrag` (RFC 8839 §5.4: the media level takes precedence).
    #[must_use]
    pub fn username_fragment(&self) -> Option<&'a UsernameFragment> {
        let session = &self.description.transport;
        let own = self.media.transport.username_fragment.as_ref();
        own.or(session.username_fragment.as_ref())
    }

    /// `a=ice-pwd`
    #[must_use]
    pub fn password(&self) -> Option<&'a Password> {
        let session = &self.description.transport;
        let own = self.media.transport.password.as_ref();
        own.or(session.password.as_ref())
    }

    /// `a=ice-options`
    #[must_use]
    pub fn ice_options(&self) -> &'a IceOptions {
        let own = &self.media.transport.ice_options;
        if own.is_empty() { &self.description.transport.ice_options } else { own }
    }

    /// `a=fingerprint` (RFC 8122 §5: the session level applies only if the section has none).
    #[must_use]
    pub fn fingerprints(&self) -> &'a [Fingerprint] {
        let own = &self.media.transport.fingerprints;
        if own.is_empty() { &self.description.transport.fingerprints } else { own }
    }

    /// `a=setup`
    #[must_use]
    pub fn setup(&self) -> Option<Setup> {
        let own = self.media.transport.setup;
        own.or(self.description.transport.setup)
    }

    /// `a=tls-id`
    #[must_use]
    pub fn tls_id(&self) -> Option<&'a TlsId> {
        let session = &self.description.transport;
        let own = self.media.transport.tls_id.as_ref();
        own.or(session.tls_id.as_ref())
    }

    /// The direction, `sendrecv` if nothing is said (RFC 8866 §6.7).
    #[must_use]
    pub fn direction(&self) -> Direction {
        let own = self.media.direction;
        own.or(self.description.direction).unwrap_or(Direction::SendReceive)
    }

    /// `a=end-of-candidates`
    #[must_use]
    pub fn end_of_candidates(&self) -> bool {
        self.media.end_of_candidates || self.description.end_of_candidates
    }

    /// The BUNDLE group that lists the section.
    #[must_use]
    pub fn bundle_group(&self) -> Option<&'a Group> {
        let mid = self.mid()?;
        let mut groups = self.description.groups.iter();
        groups.find(|group| group.is_bundle() && group.mids.contains(mid))
    }

    /// Port 0 disables a section, unless it is `bundle-only` and in a BUNDLE group (RFC 9143 §6, §7.2).
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.media.port == 0 && !(self.media.bundle_only && self.bundle_group().is_some())
    }
}

/// The transport that a section uses, found by the rules of BUNDLE.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SectionTransport<'a> {
    pub(crate) username_fragment: Option<&'a UsernameFragment>,
    pub(crate) password: Option<&'a Password>,
    pub(crate) ice_options: &'a IceOptions,
    pub(crate) fingerprints: &'a [Fingerprint],
    pub(crate) setup: Option<Setup>,
    pub(crate) tls_id: Option<&'a TlsId>,
}

impl<'a> Section<'a> {
    /// The transport attributes that apply to the section.
    ///
    /// `answer_tag` is the mid that the answer to this description tagged, if there is one (RFC 9143 §7.3.1): its
    /// section, if it has an address of its own, is the one whose attributes the answerer chose. Otherwise the first
    /// section of the group is the tagged one. The section itself comes last: some answerers write the attributes
    /// into every section.
    pub(crate) fn transport(&self, answer_tag: Option<&Mid>) -> SectionTransport<'a> {
        let sections = self.transport_sections(answer_tag);
        let find = |has: &dyn Fn(&Section<'a>) -> bool| {
            let found = sections.iter().find(|section| has(section));
            *found.unwrap_or(self)
        };
        let ice = find(&|section| section.username_fragment().is_some() && section.password().is_some());
        let dtls = find(&|section| !section.fingerprints().is_empty());
        SectionTransport {
            username_fragment: ice.username_fragment(),
            password: ice.password(),
            ice_options: find(&|section| !section.ice_options().is_empty()).ice_options(),
            fingerprints: dtls.fingerprints(),
            setup: find(&|section| section.setup().is_some()).setup(),
            tls_id: dtls.tls_id(),
        }
    }

    /// The sections to look for transport attributes in, the most relevant first.
    fn transport_sections(&self, answer_tag: Option<&Mid>) -> Vec<Section<'a>> {
        let Some(group) = self.bundle_group() else {
            return vec![*self];
        };
        let description = self.description;
        let chosen = answer_tag
            .filter(|mid| group.mids.contains(mid))
            .and_then(|mid| description.section_with_mid(mid.as_str()))
            // RFC 9143 §7.1.3: a bundle-only section's attributes are those of the tagged section.
            .filter(|section| section.media.port != 0);
        let tagged = group
            .mids
            .iter()
            .filter_map(|mid| description.section_with_mid(mid.as_str()))
            .find(|section| section.media.port != 0);
        chosen.into_iter().chain(tagged).chain([*self]).collect()
    }

    /// The sections whose candidates lead to this section's transport, itself first: those of its group that have no
    /// credentials of their own which differ from the transport's.
    pub(crate) fn sharing_sections(&self, answer_tag: Option<&Mid>) -> Vec<Section<'a>> {
        let fragment = self.transport(answer_tag).username_fragment;
        let shares = |section: &Section<'a>| {
            let own = section.media.transport.username_fragment.as_ref();
            own.is_none() || own == fragment
        };
        let mut sections: Vec<Section<'a>> = Some(*self).filter(shares).into_iter().collect();
        for mid in self.bundle_group().iter().flat_map(|group| &group.mids) {
            let member = self.description.section_with_mid(mid.as_str());
            let member = member.filter(|section| section.index != self.index && shares(section));
            sections.extend(member);
        }
        sections
    }
}
