//! Ids that are used again as soon as they are free.

use std::time::Duration;

use proto_dtls_sctp::{ChannelKey, DataChannelOptions, Message, SecureEvent};

use crate::common::{LEFT, Pair, Path, RIGHT};

/// The left end opens a channel as soon as the last one is closed, always with the same id; each is closed by one end or both when its message has come.
fn reuse(seed: u64, path: Path, rounds: usize, closers: &[&[usize]]) {
    let mut pair = Pair::with_configs(seed, Path::default(), |_, config| config.max_channels = 1);
    pair.connect();
    pair.path = path;
    let mut handled = [0; 2];
    let mut open: Option<ChannelKey> = None;
    let mut done = 0;
    for _ in 0..2_000 {
        if done == rounds {
            return;
        }
        if open.is_none() {
            // The id is free on this side from the very moment of the event.
            let key = pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("label")).unwrap();
            pair.send(LEFT, key, Message::text(format!("round {done}")));
            open = Some(key);
        }
        pair.run(Duration::from_secs(20), |pair| {
            [LEFT, RIGHT].iter().any(|&end| pair.ends[end].events.len() > handled[end])
        });
        for end in [LEFT, RIGHT] {
            let new = pair.ends[end].events.split_off(handled[end]);
            pair.ends[end].events.extend(new.iter().cloned());
            handled[end] += new.len();
            for event in new {
                match event {
                    SecureEvent::ChannelError { .. } => panic!("seed {seed}, round {done}: {event:?}"),
                    SecureEvent::Message { channel, message } => {
                        assert_eq!(message, Message::text(format!("round {done}")), "seed {seed}");
                        for &closer in closers[done % closers.len()] {
                            let key = if closer == RIGHT { Some(channel) } else { open };
                            pair.ends[closer].transport.close_channel(pair.now, key.unwrap()).unwrap();
                        }
                    }
                    SecureEvent::ChannelClosed { channel } if end == LEFT => {
                        assert_eq!(open.take(), Some(channel), "seed {seed}");
                        done += 1;
                    }
                    _ => {}
                }
            }
        }
    }
    panic!("seed {seed}: {done} of {rounds} rounds");
}

#[test]
fn an_id_can_be_used_again_in_the_moment_it_is_free_whoever_closed() {
    reuse(1200, Path::default(), 20, &[&[LEFT]]);
    reuse(1201, Path::default(), 20, &[&[RIGHT]]);
    reuse(1202, Path::default(), 20, &[&[LEFT, RIGHT]]);
}

#[test]
fn an_id_can_be_used_again_on_a_bad_path() {
    for seed in 1300..1360 {
        let path = Path { loss: 150, duplication: 100, jitter: Duration::from_millis(40), ..Path::default() };
        reuse(seed, path, 12, &[&[LEFT], &[RIGHT], &[LEFT, RIGHT]]);
    }
}

/// The left end opens a channel, sends a message, closes at once, and does so again with the same id as soon as it is free. Returns what the right end was told.
fn reuse_in_haste(seed: u64, path: Path, rounds: usize, pause: Duration) -> Vec<Message> {
    let mut pair = Pair::with_configs(seed, Path::default(), |_, config| config.max_channels = 1);
    pair.connect();
    pair.path = path;
    for round in 0..rounds {
        // The right end looks only now and then.
        pair.ends[RIGHT].polls_events = false;
        let key = pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("label")).unwrap();
        pair.send(LEFT, key, Message::text(format!("round {round}")));
        pair.ends[LEFT].transport.close_channel(pair.now, key).unwrap();
        pair.rest(pause);
        pair.ends[RIGHT].polls_events = true;
        let closed = SecureEvent::ChannelClosed { channel: key };
        assert!(pair.run(Duration::from_secs(120), |pair| pair.ends[LEFT].has(&closed)), "seed {seed}, round {round}");
    }
    pair.rest(Duration::from_secs(120));
    assert_eq!(pair.ends.each_ref().map(|end| end.transport.channels().count()), [0, 0], "seed {seed}");
    pair.ends[RIGHT].messages()
}

#[test]
fn a_channel_that_is_closed_at_once_delivers_its_message_and_leaves_its_id_to_the_next() {
    let lossy = Path { loss: 250, duplication: 100, jitter: Duration::from_millis(40), ..Path::default() };
    for seed in 1400..1440 {
        for (path, pause) in [(Path::default(), 0), (lossy, 0), (lossy, 300)] {
            let messages = reuse_in_haste(seed, path, 8, Duration::from_millis(pause));
            let expected: Vec<_> = (0..8).map(|round| Message::text(format!("round {round}"))).collect();
            assert_eq!(messages, expected, "seed {seed}, pause {pause}");
        }
    }
}
