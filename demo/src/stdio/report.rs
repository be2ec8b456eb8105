//! Statistics, in the words of the protocol.

use peer_core::{DtlsRole, DtlsTransportState, Peer};
use proto_ice::IceRole;
use serde_json::Value;

use super::protocol::{Stats, TransportStats};
use crate::report::selected_pair;

/// `getStats`
pub(crate) fn statistics(peer: &Peer, id: Option<Value>) -> Stats {
    let statistics = peer.statistics();
    let transport = &statistics.transport;
    Stats::GetStats {
        id,
        connection: peer.connection_state().name(),
        max_message_size: peer.max_message_size(),
        pair: selected_pair(&statistics).map(Box::new),
        transport: TransportStats {
            dtls_state: match transport.dtls_state {
                DtlsTransportState::New => "new",
                DtlsTransportState::Connecting => "connecting",
                DtlsTransportState::Connected => "connected",
                DtlsTransportState::Closed => "closed",
                DtlsTransportState::Failed => "failed",
            },
            tls_version: transport.tls_version.map(|version| version.hexadecimal()),
            dtls_cipher: transport
                .dtls_cipher
                .map(|suite| suite.name().map_or_else(|| format!("0x{:04X}", suite.0), str::to_owned)),
            dtls_role: transport.dtls_role.map(|role| match role {
                DtlsRole::Client => "client",
                DtlsRole::Server => "server",
            }),
            ice_role: match transport.ice_role {
                IceRole::Controlling => "controlling",
                IceRole::Controlled => "controlled",
            },
        },
    }
}
