//! A peer that takes nothing off the hands of the transport.

use std::time::Duration;

use proto_dtls_sctp::{ChannelKey, DataChannelOptions, Message, Reliability, SctpFailureReason, SecureTransportConfig};

use crate::duo::{Duo, Setting};
use crate::wire;

/// Little is received, so that what is sent shows.
const SMALL: fn(&mut SecureTransportConfig) = |config| {
    config.max_receive_message_size = 4096;
    config.receive_buffer = 8192;
    config.max_channels = 128;
    config.max_send_message_size = 256 * 1024;
    config.send_buffer = 1024 * 1024;
    config.total_send_buffer = 4 * 1024 * 1024;
};

impl Duo {
    fn create(&mut self, options: DataChannelOptions) -> ChannelKey {
        let channel = self.meter.measure(|| self.transport.create_channel(self.now, options).unwrap());
        self.pump();
        channel
    }

    /// Sends messages of this size until the buffer is full. Whether it was not from the start.
    fn fill(&mut self, channel: ChannelKey, length: usize) -> bool {
        let mut taken = 0;
        let mut has_room = true;
        while has_room {
            has_room =
                self.meter.measure(|| self.transport.send(self.now, channel, Message::binary(vec![7; length])).is_ok());
            taken += u64::from(has_room);
        }
        taken > 0
    }
}

const RELIABILITIES: [Reliability; 3] =
    [Reliability::Reliable, Reliability::MaxRetransmits(0), Reliability::MaxPacketLifetime(Duration::from_millis(100))];

#[test]
fn nothing_is_acknowledged() {
    for length in [1, 1000, 250_000] {
        for reliability in RELIABILITIES {
            let mut duo = Duo::new(Setting::default().with(SMALL));
            let channels: Vec<_> = (0..8)
                .map(|_| duo.create(DataChannelOptions { reliability, ..DataChannelOptions::new("label") }))
                .collect();
            duo.acknowledges = false;
            for _ in 0..3 {
                for &channel in &channels {
                    duo.fill(channel, length);
                    duo.pump();
                }
                duo.rest(Duration::from_secs(30));
            }
            duo.judge_with_sending(&format!("nothing acknowledged, {length} bytes, {reliability:?}"));
        }
    }
}

/// The congestion window opens, and the cumulative TSN stands still for ever.
#[test]
fn everything_is_acknowledged_but_the_first() {
    for length in [1, 1000] {
        let mut duo = Duo::new(Setting::interleaved().with(SMALL));
        let channel = duo.create(DataChannelOptions::new("label"));
        duo.acknowledges = false;
        let first = duo.last_tsn;
        for _ in 0..200 {
            duo.fill(channel, length);
            duo.pump();
            let sent = u16::try_from(duo.last_tsn.wrapping_sub(first)).unwrap();
            if sent >= 2 {
                duo.send(&[wire::sack(first, 1 << 30, &[(2, sent)])]);
            }
        }
        duo.judge_with_sending(&format!("everything but the first acknowledged, {length} bytes"));
    }
}

#[test]
fn every_second_chunk_is_acknowledged_with_blocks_that_change() {
    let mut duo = Duo::new(Setting::interleaved().with(SMALL));
    let channel = duo.create(DataChannelOptions::new("label"));
    duo.acknowledges = false;
    let first = duo.last_tsn;
    for round in 0..300_u16 {
        duo.fill(channel, 100);
        duo.pump();
        let sent = u16::try_from(duo.last_tsn.wrapping_sub(first)).unwrap();
        let gaps: Vec<_> = (2 + round % 2..sent).step_by(2).map(|offset| (offset, offset)).take(3900).collect();
        duo.send(&[wire::sack(first, 1 << 30, &gaps)]);
    }
    assert_ne!(duo.transport.sctp_failure().map(|failure| failure.reason), Some(SctpFailureReason::AbortedByPeer));
    duo.judge_with_sending("every second chunk acknowledged");
}

/// As many messages as possible stay begun and not finished, each of which is held until the last of it is acknowledged.
#[test]
fn large_messages_that_are_all_acknowledged_in_part() {
    let mut duo = Duo::new(Setting::interleaved().with(|config| {
        SMALL(config);
        config.send_buffer = 1;
    }));
    let channels: Vec<_> = (0..64).map(|_| duo.create(DataChannelOptions::new("label"))).collect();
    duo.acknowledges = false;
    for _ in 0..2000 {
        for &channel in &channels {
            duo.fill(channel, 250_000);
        }
        duo.pump();
        let last = duo.last_tsn.wrapping_sub(40);
        duo.send(&[wire::sack(last, 1 << 30, &[])]);
        duo.pump();
    }
    duo.judge_with_sending("large messages that are acknowledged in part");
}

#[test]
fn a_window_that_is_closed_for_good() {
    let mut duo = Duo::new(Setting { window: 1500, ..Setting::default() }.with(SMALL));
    let channel = duo.create(DataChannelOptions::new("label"));
    duo.acknowledges = false;
    for _ in 0..60 {
        duo.fill(channel, 1000);
        duo.pump();
        let last = duo.last_tsn;
        duo.send(&[wire::sack(last, 0, &[])]);
        duo.rest(Duration::from_secs(1));
    }
    duo.judge_with_sending("a window that is closed for good");
}
