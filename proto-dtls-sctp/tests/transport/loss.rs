//! Bad paths.

use std::time::Duration;

use proto_dtls_sctp::{DataChannelOptions, DtlsRole, Message, SecureEvent};
use proto_machine::Timestamp;

use crate::common::{LEFT, Pair, Path, RIGHT};

/// Connects and carries 100 messages of 1 kB on an ordered channel. How long the channel took to open, and all of it.
fn transfer(seed: u64, path: Path) -> Option<(Duration, Duration)> {
    let mut pair = Pair::new(seed, path);
    pair.ends.iter_mut().for_each(|end| end.transport.set_round_trip_time(path.delay * 2));
    let left = pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("label")).unwrap();
    let started = pair.now;
    pair.start(if seed.is_multiple_of(2) { DtlsRole::Client } else { DtlsRole::Server });
    let messages: Vec<_> = (0..100_u8).map(|number| Message::binary(vec![number; 1000])).collect();
    let open = SecureEvent::ChannelOpen { channel: left };
    if !pair.run(Duration::from_secs(60), |pair| pair.ends[LEFT].has(&open)) {
        eprintln!("seed {seed}: {:?} {:?}", pair.ends[LEFT].transport, pair.ends[RIGHT].transport);
        return None;
    }
    let opened = pair.now - started;
    for message in &messages {
        pair.send(LEFT, left, message.clone());
    }
    if !pair.run(Duration::from_secs(60), |pair| pair.ends[RIGHT].messages().len() == messages.len()) {
        eprintln!(
            "seed {seed}: {} messages, {:?} {:?}",
            pair.ends[RIGHT].messages().len(),
            pair.ends[LEFT].transport.failure(),
            pair.ends[RIGHT].transport.sctp_failure()
        );
        return None;
    }
    assert_eq!(pair.ends[RIGHT].messages(), messages);
    Some((opened, pair.now - Timestamp::from_millis(1)))
}

fn all_succeed(seeds: std::ops::Range<u64>, path: Path) {
    let mut times: Vec<_> = seeds.clone().filter_map(|seed| transfer(seed, path)).collect();
    let count = times.len();
    times.sort();
    let at = |share: usize| times[(count * share / 1000).min(count - 1)].0;
    println!("opened: p50 {:?}, p90 {:?}, p99 {:?}, all {:?}", at(500), at(900), at(990), at(1000));
    times.sort_by_key(|time| time.1);
    println!("done: p50 {:?}, p99 {:?}, all {:?}", times[count / 2].1, times[count * 99 / 100].1, times[count - 1].1);
    assert_eq!(count as u64, seeds.end - seeds.start);
}

#[test]
fn every_session_succeeds_at_twenty_percent_loss() {
    all_succeed(0..300, Path { delay: Duration::from_millis(50), loss: 200, ..Path::default() });
}

#[test]
fn every_session_succeeds_with_loss_duplication_and_reordering() {
    all_succeed(1000..1200, Path { loss: 100, duplication: 200, jitter: Duration::from_millis(60), ..Path::default() });
}

#[test]
fn a_handshake_that_nobody_answers_is_tried_until_its_time_limit_and_then_fails() {
    let mut pair = Pair::new(1, Path { loss: 1000, ..Path::default() });
    pair.records = true;
    let started = pair.now;
    pair.start(DtlsRole::Client);
    assert!(pair.run(Duration::from_secs(120), |pair| pair.ends[LEFT].transport.failure().is_some()));
    assert_eq!(pair.now - started, Duration::from_secs(60));
    let sent: Vec<Timestamp> = pair.ends[LEFT].sent.iter().map(|(at, _)| *at).collect();
    let pauses: Vec<Duration> = sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((15..40).contains(&sent.len()), "{pauses:?}");
    assert!(pair.now - *sent.last().unwrap() < Duration::from_secs(20), "{pauses:?}");
    assert!(pauses.iter().take(4).all(|&pause| pause <= Duration::from_millis(1_250)), "{pauses:?}");
}

#[test]
fn a_path_that_is_dead_for_a_while_delays_the_handshake_by_little_more() {
    for (seed, dead) in (1..).zip([1, 5, 10, 20, 40].map(Duration::from_secs)) {
        let mut pair = Pair::new(seed, Path { loss: 1000, ..Path::default() });
        let started = pair.now;
        pair.start(DtlsRole::Client);
        pair.rest(dead);
        pair.path.loss = 0;
        assert!(pair.run(Duration::from_secs(60), Pair::is_up), "dead for {dead:?}");
        let late = pair.now - started - dead;
        assert!(late < dead / 3 + Duration::from_millis(900), "dead for {dead:?}, {late:?} late");
    }
}
