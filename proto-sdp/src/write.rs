//! Typed description to text, through the grammar of `sdp-types`.

use std::fmt;

use crate::attribute::{Attribute, Bandwidth, Connection, TransportAttributes};
use crate::session::{MediaDescription, SessionDescription};
use crate::tokens::Direction;

impl fmt::Display for SessionDescription {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_grammar().fmt(formatter)
    }
}

impl SessionDescription {
    fn to_grammar(&self) -> sdp_types::Session {
        let mut lines = Attributes::default();
        for group in &self.groups {
            lines.value("group", group);
        }
        lines.flag("ice-lite", self.ice_lite);
        lines.option("ice-pacing", self.ice_pacing.map(|pacing| pacing.milliseconds()));
        lines.transport(&self.transport);
        lines.direction(self.direction);
        lines.flag("end-of-candidates", self.end_of_candidates);
        lines.others(&self.attributes);
        sdp_types::Session {
            origin: self.origin.to_grammar(),
            session_name: self.session_name.as_str().to_owned(),
            session_description: None,
            uri: None,
            emails: Vec::new(),
            phones: Vec::new(),
            connection: self.connection.as_ref().map(Connection::to_grammar),
            bandwidths: bandwidths(&self.bandwidths),
            // RFC 8866 §5.9 requires the line; without times the grammar writes `t=0 0` (JSEP §5.2.1).
            times: Vec::new(),
            time_zones: Vec::new(),
            key: None,
            attributes: lines.0,
            medias: self.media.iter().map(MediaDescription::to_grammar).collect(),
        }
    }

    /// The line, from 1, of a section's `m=` line: as it was read, or else as it is written.
    pub(crate) fn section_line(&self, index: usize) -> usize {
        let read = self.media.get(index).and_then(|section| section.line.0);
        read.unwrap_or_else(|| self.written_line(index))
    }

    /// The line of the first group, or of the origin if there is none.
    pub(crate) fn group_line(&self) -> usize {
        self.group_line.0.unwrap_or(2)
    }

    fn written_line(&self, index: usize) -> usize {
        let text = self.to_string();
        let mut sections = text.lines().enumerate().filter(|(_, line)| line.starts_with("m="));
        sections.nth(index).map_or(1, |(line, _)| line + 1)
    }
}

impl MediaDescription {
    fn to_grammar(&self) -> sdp_types::Media {
        let mut lines = Attributes::default();
        for candidate in &self.candidates {
            lines.value("candidate", &candidate.value());
        }
        lines.flag("end-of-candidates", self.end_of_candidates);
        lines.transport(&self.transport);
        lines.option("mid", self.mid.as_ref());
        lines.direction(self.direction);
        lines.flag("bundle-only", self.bundle_only);
        lines.flag("rtcp-mux", self.rtcp_mux);
        lines.option("sctp-port", self.sctp_port.map(|port| port.get()));
        let size = self.max_message_size.map(|size| size.to_wire());
        lines.option("max-message-size", size);
        lines.option("sctp-init", self.sctp_init.as_ref());
        lines.others(&self.attributes);
        let formats: Vec<&str> = self.formats.iter().map(|format| format.as_str()).collect();
        sdp_types::Media {
            media: self.kind.as_str().to_owned(),
            port: self.port,
            num_ports: None,
            proto: self.protocol.as_str().to_owned(),
            fmt: formats.join(" "),
            media_title: None,
            connections: self.connection.iter().map(Connection::to_grammar).collect(),
            bandwidths: bandwidths(&self.bandwidths),
            key: None,
            attributes: lines.0,
        }
    }
}

fn bandwidths(bandwidths: &[Bandwidth]) -> Vec<sdp_types::Bandwidth> {
    bandwidths
        .iter()
        .map(|bandwidth| sdp_types::Bandwidth {
            bwtype: bandwidth.kind.as_str().to_owned(),
            bandwidth: bandwidth.value,
        })
        .collect()
}

/// The `a=` lines of a section in the order in which they are written.
#[derive(Default)]
struct Attributes(Vec<sdp_types::Attribute>);

impl Attributes {
    fn push(&mut self, name: &str, value: Option<String>) {
        self.0.push(sdp_types::Attribute { attribute: name.to_owned(), value });
    }

    fn value(&mut self, name: &str, value: &impl fmt::Display) {
        self.push(name, Some(value.to_string()));
    }

    fn option(&mut self, name: &str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.value(name, &value);
        }
    }

    fn flag(&mut self, name: &str, present: bool) {
        if present {
            self.push(name, None);
        }
    }

    fn direction(&mut self, direction: Option<Direction>) {
        if let Some(direction) = direction {
            self.push(direction.as_str(), None);
        }
    }

    fn transport(&mut self, transport: &TransportAttributes) {
        self.option("ice-ufrag", transport.username_fragment.as_ref());
        let password = transport.password.as_ref();
        self.option("ice-pwd", password.map(|password| password.as_str()));
        let options = &transport.ice_options;
        self.option("ice-options", (!options.is_empty()).then_some(options));
        for fingerprint in &transport.fingerprints {
            self.value("fingerprint", fingerprint);
        }
        self.option("setup", transport.setup);
        self.option("tls-id", transport.tls_id.as_ref());
    }

    fn others(&mut self, attributes: &[Attribute]) {
        for attribute in attributes {
            self.push(attribute.name(), attribute.value().map(str::to_owned));
        }
    }
}
