//! Streams that are reset and used again.

use std::time::Duration;

use proto_dtls_sctp::Reliability;

use crate::end::{Make, Outgoing};
use crate::link::{Faults, Opening, Pair};

fn send(pair: &mut Pair, end: usize, stream: u16, text: String) {
    let message = Outgoing { stream, payload: text.into(), ordered: true, reliability: Reliability::Reliable };
    assert!(pair.ends[end].send(pair.now, message));
}

/// Round after round on the same streams: a message each way, then a reset by one side or both, until all are free on both sides.
fn reuse(makes: [Make; 2], seed: u64, faults: Faults) {
    const STREAMS: u16 = 3;
    let what = format!("{makes:?}, seed {seed}, {faults:?}");
    let mut pair = Pair::new(makes, seed, faults, Opening::Both);
    assert!(pair.connect(), "{what}: not connected");
    for round in 0..6 {
        for stream in 0..STREAMS {
            (0..2).for_each(|end| send(&mut pair, end, stream, format!("{end} {stream} {round}")));
        }
        let mut come = [0; 2];
        let arrived = pair.run(Duration::from_secs(60), |pair| {
            for (index, end) in pair.ends.iter_mut().enumerate() {
                while let Some((stream, text)) = end.receive() {
                    assert_eq!(text, format!("{} {stream} {round}", 1 - index), "{what}");
                    come[index] += 1;
                }
            }
            come == [STREAMS; 2]
        });
        assert!(arrived, "{what}: {come:?} have come in round {round}");
        for stream in 0..STREAMS {
            let closers: &[usize] = [&[0][..], &[1], &[0, 1]][usize::from(stream + round) % 3];
            closers.iter().for_each(|&end| pair.ends[end].reset(stream));
        }
        let mut free: [Vec<u16>; 2] = Default::default();
        let done = pair.run(Duration::from_secs(60), |pair| {
            for (end, free) in pair.ends.iter_mut().zip(&mut free) {
                assert_eq!(end.receive(), None, "{what}");
                free.extend(std::iter::from_fn(|| end.poll_free_stream()));
            }
            free.iter().all(|free| free.len() == usize::from(STREAMS))
        });
        assert!(done, "{what}: {free:?} are free in round {round}");
    }
}

fn reuse_over_every_link(makes: [Make; 2], seeds: std::ops::Range<u64>) {
    for seed in seeds {
        for faults in [Faults::NONE, Faults::LOSSY, Faults::WILD] {
            reuse(makes, seed, faults);
        }
    }
}

#[test]
fn streams_between_ours_and_ours_are_free_after_every_reset() {
    reuse_over_every_link([Make::OWN; 2], 0..100);
    reuse_over_every_link([Make::PLAIN; 2], 100..200);
}

#[test]
fn streams_between_ours_and_sctp_proto_are_free_after_every_reset() {
    reuse_over_every_link([Make::OWN, Make::SctpProto], 1000..1060);
}

#[test]
fn streams_between_ours_and_dcsctp_are_free_after_every_reset() {
    reuse_over_every_link([Make::OWN, Make::DCSCTP], 2000..2060);
}
