//! Streams that are opened and reset.

use crate::duo::{Duo, FIRST_TSN, Setting};
use crate::raw;
use crate::wire::{self, DCEP, Fragment};

const ALL: fn(&mut proto_dtls_sctp::SecureTransportConfig) = |config| config.max_channels = u16::MAX;

#[test]
fn channels_opened_on_every_stream() {
    for length in [0, 15_000] {
        let mut duo = Duo::new(Setting::default().with(ALL));
        let open = raw::open(&"x".repeat(length));
        for stream in (0..16_384).step_by(2) {
            let chunk = duo.next_chunk(Fragment { stream, identifier: DCEP, payload: &open, ..Fragment::default() });
            duo.send(&[chunk]);
            duo.pump();
        }
        assert!(duo.is_up());
        duo.judge(&format!("channels on 8,192 streams, labels of {length} bytes"));
    }
}

/// Each request is the next one, and says that everything was sent.
#[test]
fn all_streams_are_reset_again_and_again() {
    for interleaves in [false, true] {
        let mut duo = Duo::new(Setting { interleaves, ..Setting::default() }.with(ALL));
        duo.open((0..400).step_by(2));
        for number in 0..2000 {
            let request = wire::reset_request(FIRST_TSN + number, duo.tsn - 1, &[]);
            duo.send(&[request]);
            if number % 10 == 9 {
                duo.pump();
            }
        }
        duo.rest(std::time::Duration::from_secs(100));
        assert!(duo.is_up());
        duo.judge("2,000 requests to reset all streams");
    }
}

/// A stream has one owner after the other: a request for one that is not free yet has to wait, and costs little.
#[test]
fn requests_for_streams_that_are_not_free_yet() {
    let mut duo = Duo::new(Setting::default().with(ALL));
    duo.send_on_every_stream();
    duo.acknowledges = false;
    for number in 0..1000 {
        duo.send(&[wire::reset_request(FIRST_TSN + 1, duo.tsn - 1, &[])]);
        if number == 0 {
            duo.send(&[wire::reset_request(FIRST_TSN, duo.tsn - 1, &[])]);
        }
        duo.pump();
    }
    assert!(duo.is_up());
    duo.judge("1,000 requests for 65,535 streams that are not free yet");
}

/// RFC 6525 §5.2.2 E2: its data has not come.
#[test]
fn requests_that_stay_in_progress() {
    let mut duo = Duo::new(Setting::default().with(ALL));
    duo.open((0..400).step_by(2));
    let streams: Vec<u16> = (0..7900).collect();
    for _ in 0..1000 {
        let request = wire::reset_request(FIRST_TSN, duo.tsn + 100_000, &streams);
        duo.send(&[request]);
    }
    duo.pump();
    assert!(duo.is_up());
    duo.judge("1,000 requests that stay in progress, of 7,900 streams each");
}

/// The side of the transport is never answered.
#[test]
fn streams_that_are_used_reset_and_used_again_while_nobody_answers() {
    let mut duo = Duo::new(Setting::default().with(ALL));
    duo.acknowledges = false;
    for number in 0..3000_u32 {
        let stream = u16::try_from(number * 2 % 60_000).unwrap();
        let open = raw::open("label");
        let chunk = duo.next_chunk(Fragment { stream, identifier: DCEP, payload: &open, ..Fragment::default() });
        let request = wire::reset_request(FIRST_TSN + number, duo.tsn - 1, &[stream]);
        duo.send(&[chunk, request]);
        duo.pump();
    }
    duo.judge("3,000 streams opened and reset, nothing acknowledged");
}

#[test]
fn channels_come_and_go_and_the_application_does_not_look() {
    let mut duo = Duo::new(Setting::default());
    duo.reads = false;
    for number in 0..3000_u32 {
        let open = raw::open(&"x".repeat(500));
        let chunk = duo.next_chunk(Fragment { identifier: DCEP, payload: &open, ..Fragment::default() });
        let request = wire::reset_request(FIRST_TSN + number, duo.tsn - 1, &[0]);
        duo.send(&[chunk, request]);
        duo.pump();
    }
    assert!(duo.is_up());
    duo.judge("3,000 channels that come and go, and nobody looks");
}

#[test]
fn forward_tsns_that_name_every_stream() {
    for (interleaves, entries) in [(false, 3500), (true, 1900)] {
        let mut duo = Duo::new(Setting { interleaves, ..Setting::default() });
        for round in 0..200_u32 {
            let skipped = (0..entries).map(|entry| {
                let stream = (round * entries + entry) % 65_536;
                (u16::try_from(stream).unwrap(), round)
            });
            duo.tsn = duo.tsn.wrapping_add(1000);
            let chunk = wire::forward(interleaves, duo.tsn, skipped);
            duo.send(&[chunk]);
            duo.pump();
        }
        assert!(duo.is_up());
        duo.judge(if interleaves { "I-FORWARD-TSN: every stream" } else { "FORWARD TSN: every stream" });
    }
}
