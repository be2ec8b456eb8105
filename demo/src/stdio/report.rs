//! Statistics, in the words of the protocol.

use peer_core::Peer;
use serde_json::Value;

use super::protocol::Stats;
use crate::report::{sctp, selected_pair, transport};

/// `getStats`
pub(crate) fn statistics(peer: &Peer, id: Option<Value>) -> Stats {
    let statistics = peer.statistics();
    Stats::GetStats {
        id,
        connection: peer.connection_state().name(),
        max_message_size: statistics.sctp.max_message_size,
        pair: selected_pair(&statistics).map(Box::new),
        transport: transport(&statistics.transport),
        sctp: sctp(&statistics.sctp),
    }
}
