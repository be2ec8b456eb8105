//! Chunks that want an answer.

use std::time::Duration;

use crate::duo::{Duo, Setting};
use crate::wire::{Chunk, Fragment, reset_request};

/// How many packets come before the transport may send.
const BLOCKED: usize = 500;

/// So little is permitted that what is kept for answers would show.
fn small() -> Setting {
    Setting::default().with(|config| {
        config.max_receive_message_size = 4096;
        config.receive_buffer = 8192;
        config.max_channels = 2;
    })
}

/// The chunk in packets by the hundred while the socket of the transport takes nothing, and then again while it does.
fn flood(attack: &str, chunk: &Chunk) {
    let mut duo = Duo::new(small());
    for _ in 0..BLOCKED {
        duo.send(std::slice::from_ref(chunk));
    }
    duo.pump();
    for _ in 0..BLOCKED {
        duo.send(std::slice::from_ref(chunk));
        duo.pump();
    }
    assert!(duo.is_up());
    duo.judge(attack);
}

#[test]
fn chunks_that_want_an_answer() {
    flood("HEARTBEAT of 15,000 bytes", &(4, 0, [&[0, 1, 0x3A, 0x98][..], &[7; 14_996]].concat()));
    flood("HEARTBEAT of 1,000 bytes", &(4, 0, [&[0, 1, 3, 232][..], &[7; 996]].concat()));
    flood("unknown chunk to be reported, 15,000 bytes", &(0xFF, 0, vec![7; 15_000]));
    flood("unknown chunk to be reported, 1,000 bytes", &(0xFF, 0, vec![7; 1000]));
    flood("unknown chunk to be skipped", &(0xBF, 0, vec![7; 15_000]));
    flood("ERROR", &(9, 0, [&[0, 6, 0x3A, 0x98][..], &[7; 14_996]].concat()));
    flood("requests with the wrong number", &reset_request(7, 7, &[1, 2, 3]));
    flood("requests that nobody serves", &(130, 0, vec![0, 17, 0, 12, 0, 0, 0, 9, 0, 1, 0, 0]));
    flood("SHUTDOWN COMPLETE that nobody awaits", &(14, 0, Vec::new()));
    flood("COOKIE ECHO that is forged", &(10, 0, vec![7; 15_000]));
    flood("COOKIE ACK that nobody awaits", &(11, 0, Vec::new()));
}

#[test]
fn inits_and_their_cookies() {
    let mut duo = Duo::new(small());
    for _ in 0..BLOCKED {
        duo.send_init(1 << 20);
    }
    for _ in 0..BLOCKED {
        duo.send_init(1 << 20);
        duo.pump();
    }
    assert!(duo.is_up());
    duo.judge("INIT");
}

#[test]
fn thousands_of_records_in_a_datagram() {
    let mut duo = Duo::new(small());
    for _ in 0..50 {
        duo.send_in_one_datagram(1200, &(9, 0, Vec::new()));
    }
    assert!(duo.is_up());
    duo.judge("1,200 records in a datagram");
}

#[test]
fn a_peer_that_shuts_down_and_does_not_stop() {
    let mut duo = Duo::new(Setting::default());
    duo.open([0]);
    duo.acknowledges = false;
    let channel = duo.channels[0];
    duo.meter.measure(|| {
        let _ = duo.transport.send(duo.now, channel, proto_dtls_sctp::Message::binary(vec![7; 1000]));
    });
    duo.pump();
    for number in 0..500 {
        let chunk = duo.next_chunk(Fragment { message: number + 1, payload: &[7; 1000], ..Fragment::default() });
        duo.send(&[(7, 0, vec![0; 4]), chunk]);
        duo.pump();
    }
    duo.rest(Duration::from_secs(10));
    duo.judge("SHUTDOWN and data without end");
}
