//! What a channel's behaviour has to say, put into the channel.

use peer_core::{ChannelKey, Peer, SendError};
use proto_machine::Timestamp;

use crate::behaviour::{ChannelBehaviour, Delivery};

/// Sends while less than `high_water` bytes are buffered. Returns the error for what was too large for the other side, if anything was.
pub(crate) fn pump(
    now: Timestamp,
    peer: &mut Peer,
    key: ChannelKey,
    behaviour: &mut ChannelBehaviour,
    high_water: usize,
) -> Option<SendError> {
    let mut channel = peer.channel(key)?;
    let mut failure = None;
    behaviour.pump(now, |message| {
        if channel.view().is_none_or(|view| view.buffered_amount >= high_water) {
            return Delivery::Full(message);
        }
        match channel.send(now, message.clone()) {
            Ok(()) => Delivery::Taken,
            Err(error @ SendError::TooLarge { .. }) => {
                failure = Some(error);
                Delivery::TooLarge
            }
            Err(_) => Delivery::Full(message),
        }
    });
    failure
}

/// Closes a channel, unless it is closed already.
pub(crate) fn close(now: Timestamp, peer: &mut Peer, key: ChannelKey) {
    if let Some(mut channel) = peer.channel(key) {
        let _closed_already = channel.close(now);
    }
}
