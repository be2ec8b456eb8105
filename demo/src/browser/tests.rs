use std::sync::Arc;

use bytes::Bytes;
use driver_mio::{system_seed, wall_clock};
use peer_core::{Certificate, Configuration, DataChannelState, Entropy, Message};

use super::*;
use crate::behaviour::MESSAGE_COST;

const NOW: Timestamp = Timestamp::from_millis(5);

/// A peer without a connection, whose channels take nothing.
pub(crate) fn stuck_peer() -> Peer {
    let certificate = Certificate::generate(system_seed().unwrap(), wall_clock(), Entropy::System).unwrap();
    Peer::new(Configuration::new(Arc::new(certificate)), system_seed().unwrap()).unwrap()
}

/// A fourth of what may wait for a browser, with its cost.
pub(crate) fn fourth() -> Message {
    Message::binary(Bytes::from_static(&[0; MAX_WAITING_BYTES / 4 - MESSAGE_COST]))
}

fn errors(reports: &mut mpsc::Receiver<ToBrowser>) -> Vec<String> {
    let mut errors = Vec::new();
    while let Ok(report) = reports.try_recv() {
        if let ToBrowser::Error { message, .. } = report {
            errors.push(message);
        }
    }
    errors
}

#[test]
fn more_echoes_than_may_wait_on_all_channels_together_end_the_channel_with_the_last_one() {
    let mut peer = stuck_peer();
    let (outgoing, mut reports) = mpsc::channel(100);
    let mut browser = Browser::new(1, outgoing);
    let mut keys = Vec::new();
    for label in ["a", "b", "c", "d", "e"] {
        let channel = peer.create_data_channel(NOW, DataChannelOptions::new(label)).unwrap();
        browser.handle_event(NOW, &mut peer, PeerEvent::ChannelOpen { channel });
        keys.push(channel);
    }
    let (last, others) = keys.split_last().unwrap();
    for &channel in others {
        browser.handle_event(NOW, &mut peer, PeerEvent::Message { channel, message: fourth() });
    }
    assert_eq!(errors(&mut reports), [] as [&str; 0]);
    browser.handle_event(NOW, &mut peer, PeerEvent::Message { channel: *last, message: Message::text("") });
    let [error] = errors(&mut reports).try_into().unwrap();
    assert!(error.contains(&MAX_WAITING_BYTES.to_string()), "{error}");
    let state = |key: &ChannelKey| peer.channels().find(|(known, _)| known == key).map(|(_, view)| view.ready_state);
    assert!(matches!(state(last), None | Some(DataChannelState::Closing | DataChannelState::Closed)));
    assert!(others.iter().all(|key| state(key) == Some(DataChannelState::Connecting)));
}
