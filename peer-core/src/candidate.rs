//! Candidates as they are signalled, and their way between SDP and ICE.

use std::fmt;
use std::net::SocketAddr;

use proto_ice::{CandidateType, LocalCandidate, RemoteCandidate};
use proto_machine::TransportProtocol;
use proto_sdp::{
    CandidateAddress, CandidateExtension, CandidateKind, CandidateProtocol, ComponentId, Foundation, Priority,
    ValueError,
};

/// `RTCIceCandidateInit` (W3C webrtc-pc §4.8.1.2): a candidate as signalling carries it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IceCandidateInit {
    /// `candidate:…` as in SDP (RFC 8839 §5.1), with or without `a=` in front; empty for the end of candidates.
    pub candidate: String,
    /// The `mid` of the section that it belongs to.
    pub sdp_mid: Option<String>,
    /// The index of that section, from 0.
    pub sdp_mline_index: Option<u16>,
    /// The fragment of the generation that it belongs to.
    pub username_fragment: Option<String>,
}

/// `RTCIceCandidate`: a local candidate, to be signalled to the other side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IceCandidate {
    /// `candidate:…`, or empty at the end of the candidates of this generation.
    pub candidate: String,
    /// The `mid` of the section that it belongs to, if it has one.
    pub sdp_mid: Option<String>,
    /// The index of that section, from 0.
    pub sdp_mline_index: u16,
    /// The fragment of the generation that it belongs to.
    pub username_fragment: String,
    /// The server that it was learned from.
    pub url: Option<String>,
}

impl IceCandidate {
    /// What signalling has to carry.
    #[must_use]
    pub fn to_init(&self) -> IceCandidateInit {
        IceCandidateInit {
            candidate: self.candidate.clone(),
            sdp_mid: self.sdp_mid.clone(),
            sdp_mline_index: Some(self.sdp_mline_index),
            username_fragment: Some(self.username_fragment.clone()),
        }
    }

    /// Whether it says that no more candidates follow in this generation.
    #[must_use]
    pub fn is_end_of_candidates(&self) -> bool {
        self.candidate.is_empty()
    }
}

impl fmt::Display for IceCandidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_end_of_candidates() { f.write_str("end of candidates") } else { f.write_str(&self.candidate) }
    }
}

/// A candidate that was found, as SDP writes it.
pub(crate) fn to_sdp(candidate: &LocalCandidate) -> Result<proto_sdp::Candidate, ValueError> {
    Ok(proto_sdp::Candidate {
        foundation: Foundation::new(&candidate.foundation)?,
        component: ComponentId::new(candidate.component)?,
        protocol: match candidate.protocol {
            TransportProtocol::Udp => CandidateProtocol::Udp,
            TransportProtocol::Tcp => CandidateProtocol::Tcp,
        },
        priority: Priority::new(candidate.priority)?,
        address: CandidateAddress::Ip(candidate.address.ip()),
        port: candidate.address.port(),
        kind: match candidate.kind {
            CandidateType::Host => CandidateKind::Host,
            CandidateType::ServerReflexive => CandidateKind::ServerReflexive,
            CandidateType::PeerReflexive => CandidateKind::PeerReflexive,
            CandidateType::Relayed => CandidateKind::Relayed,
        },
        related_address: candidate.related_address.map(|address| CandidateAddress::Ip(address.ip())),
        related_port: candidate.related_address.map(|address| address.port()),
        tcp_type: None,
        extensions: vec![CandidateExtension::new("ufrag", &candidate.username_fragment)?],
    })
}

/// Why a candidate that is well-formed cannot be used. It is passed over: others may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unusable {
    /// Its address is a name. Multicast DNS names are resolved by a later version; checks from there reveal the address (RFC 8445 §7.3.1.3).
    HostName,
    /// Its transport protocol is not spoken.
    Protocol,
    /// Its type is not known.
    Kind,
}

/// A candidate that was signalled, as ICE takes it.
pub(crate) fn to_ice(candidate: &proto_sdp::Candidate) -> Result<RemoteCandidate, Unusable> {
    let ip = candidate.address.ip().ok_or(Unusable::HostName)?;
    if candidate.protocol != CandidateProtocol::Udp {
        return Err(Unusable::Protocol);
    }
    let related = candidate.related_address.as_ref().and_then(CandidateAddress::ip).zip(candidate.related_port);
    Ok(RemoteCandidate {
        foundation: candidate.foundation.as_str().to_owned(),
        component: candidate.component.get(),
        protocol: TransportProtocol::Udp,
        priority: candidate.priority.get(),
        address: SocketAddr::new(ip, candidate.port),
        kind: match candidate.kind {
            CandidateKind::Host => CandidateType::Host,
            CandidateKind::ServerReflexive => CandidateType::ServerReflexive,
            CandidateKind::PeerReflexive => CandidateType::PeerReflexive,
            CandidateKind::Relayed => CandidateType::Relayed,
            _ => return Err(Unusable::Kind),
        },
        related_address: related.map(SocketAddr::from),
        username_fragment: candidate.username_fragment().map(|fragment| fragment.as_str().to_owned()),
    })
}
