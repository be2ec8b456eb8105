//! How fast a channel opens on a bad path.

use std::time::Duration;

use proto_dtls_sctp::DataChannelOptions;

use crate::common::{LEFT, Pair, Path, RIGHT};

const ONE_WAY: Duration = Duration::from_millis(60);

fn connected() -> Pair {
    let mut pair = Pair::new(1, Path { delay: ONE_WAY, ..Path::default() });
    pair.ends.iter_mut().for_each(|end| end.transport.set_round_trip_time(ONE_WAY * 2));
    pair.connect();
    pair.rest(Duration::from_secs(1));
    pair
}

#[test]
fn an_open_that_is_lost_is_sent_again_after_two_round_trips() {
    let mut pair = connected();
    let created = pair.now;
    pair.ends[LEFT].transport.create_channel(pair.now, DataChannelOptions::new("label")).unwrap();
    pair.drain(LEFT);
    assert_eq!(pair.wire.len(), 1);
    pair.wire.clear();
    assert!(pair.run(Duration::from_secs(10), |pair| !pair.ends[RIGHT].announced().is_empty()));
    assert_eq!(pair.now - created, ONE_WAY * 5);
}

#[test]
fn an_open_that_arrives_is_sent_once() {
    let mut pair = connected();
    pair.records = true;
    pair.open(DataChannelOptions::new("label"));
    pair.rest(Duration::from_secs(5));
    assert_eq!(pair.ends[LEFT].sent.len(), 2, "the OPEN, and a SACK for its answer");
    assert_eq!(pair.ends[RIGHT].sent.len(), 2, "the answer, and a SACK for the OPEN");
}
