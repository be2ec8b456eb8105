//! What the application decides about a peer: `RTCConfiguration`, in its words.

use std::fmt;
use std::sync::Arc;

use proto_dtls_sctp::{Certificate, SecureTransportConfig};
use proto_ice::{AddressMapping, AddressPolicy, IceConfig, IceTransportPolicy, OneToOneNat};

use crate::ice_server::{IceServer, Servers};

/// `RTCConfiguration` (W3C webrtc-pc §4.2.1), and what an embedder has to decide beside it.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Servers that help to find a path. At most four of each kind, `stun:` and `turn:`, are used.
    pub ice_servers: Vec<IceServer>,
    /// Whether only relayed candidates are used: then the other side learns no address of this host, neither from descriptions and candidates nor from packets.
    pub ice_transport_policy: IceTransportPolicy,
    /// `iceCandidatePoolSize`: for how many transports candidates are gathered before there is a local description (RFC 9429 §3.5.4). A peer has one transport, so more than 1 means 1. 0 by
    /// default, since sockets are opened, and servers made use of, until the peer is closed.
    pub ice_candidate_pool_size: u8,
    /// Whether an offer carries a data section even before a channel was created.
    pub always_negotiate_data_channels: bool,
    /// Whether descriptions carry what SCTP says about itself, `a=sctp-init` (draft-hancke-tsvwg-snap-00): if both do, channels open two round trips sooner. Others ignore it.
    pub sctp_init_in_descriptions: bool,
    /// Whether loopback addresses become candidates: for peers on one host, and tests.
    pub gather_loopback: bool,
    /// Whether link-local addresses become candidates.
    pub gather_link_local: bool,
    /// Public addresses that are known to stand for addresses of this host, as a cloud gives them.
    pub one_to_one_nat: OneToOneNat,
    /// The certificate that this peer shows, which many peers may share, the sizes of messages, buffers and datagrams, and the other settings of DTLS, SCTP and data channels.
    pub secure_transport: SecureTransportConfig,
}

impl Configuration {
    /// The defaults, with this certificate: no servers, and messages of up to 256 KiB, as browsers take them.
    #[must_use]
    pub fn new(certificate: Arc<Certificate>) -> Self {
        Self {
            ice_servers: Vec::new(),
            ice_transport_policy: IceTransportPolicy::All,
            ice_candidate_pool_size: 0,
            always_negotiate_data_channels: false,
            sctp_init_in_descriptions: true,
            gather_loopback: false,
            gather_link_local: false,
            one_to_one_nat: OneToOneNat::default(),
            secure_transport: SecureTransportConfig::new(certificate),
        }
    }

    /// What the ICE agent needs of it.
    pub(crate) fn ice_config(&self) -> Result<IceConfig, ConfigurationError> {
        let Servers { stun, turn } = Servers::parse(&self.ice_servers)?;
        if let Some(mapping) = self.one_to_one_nat.mappings.iter().find(|mapping| !mapping.is_usable()) {
            return Err(ConfigurationError::AddressMapping(*mapping));
        }
        Ok(IceConfig {
            stun_servers: stun,
            turn_servers: turn,
            transport_policy: self.ice_transport_policy,
            address_policy: AddressPolicy {
                gather_loopback: self.gather_loopback,
                gather_link_local: self.gather_link_local,
            },
            one_to_one_nat: self.one_to_one_nat.clone(),
            ..IceConfig::default()
        })
    }
}

/// Why a configuration was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// `SyntaxError`: the URL is not well-formed (RFC 7064 §3.1, RFC 7065 §3.1), or a server has none.
    Syntax {
        /// The URL.
        url: String,
    },
    /// `NotSupportedError`: the URL is well-formed, but of a kind that is not supported.
    NotSupported {
        /// The URL.
        url: String,
    },
    /// `InvalidAccessError`: `turn:` asks for a username and a credential, and the username may not be too long.
    InvalidAccess {
        /// The URL.
        url: String,
    },
    /// The public address is of another family than the local one, or none that packets can be sent to.
    AddressMapping(AddressMapping),
}

impl fmt::Display for ConfigurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { url } => {
                write!(
                    f,
                    "SyntaxError: {url:?} is not of the form stun:host, stun:host:port, turn:host or turn:host:port"
                )
            }
            Self::NotSupported { url } => {
                let why = "only stun: and turn: over UDP are supported; turn: over TCP, turns: and stuns: are not yet";
                write!(f, "NotSupportedError: {url:?}: {why}")
            }
            Self::AddressMapping(AddressMapping { local, public }) => {
                write!(f, "{public} cannot stand for {local}: another family, or nobody can send to it")
            }
            Self::InvalidAccess { url } => {
                write!(f, "InvalidAccessError: {url:?} needs a username of at most 508 bytes, and a credential")
            }
        }
    }
}

impl std::error::Error for ConfigurationError {}
