//! Data that never becomes a message, or that nobody reads.

use proto_dtls_sctp::SctpFailureReason;

use crate::duo::{Duo, Setting};
use crate::raw;
use crate::wire::{BEGINNING, DCEP, ENDING, Fragment, RECORD, TEXT_PARTIAL, UNORDERED, WHOLE};

/// Packets in a batch that comes before the transport is asked for its answer.
const BATCH: usize = 20;

impl Duo {
    /// Opens channels on these streams.
    pub(crate) fn open(&mut self, streams: impl IntoIterator<Item = u16>) {
        let open = raw::open("label");
        for stream in streams {
            let chunk = self.next_chunk(Fragment { stream, identifier: DCEP, payload: &open, ..Fragment::default() });
            self.send(&[chunk]);
            self.pump();
        }
        self.pump();
    }

    /// Sends a message on each of 65,535 streams.
    pub(crate) fn send_on_every_stream(&mut self) {
        self.flood(65_535, |number| Fragment {
            stream: u16::try_from(number).unwrap(),
            flags: WHOLE | UNORDERED,
            ..Fragment::default()
        });
    }

    /// Sends fragments, made by the number, until there are so many or the association is lost.
    fn flood<'a>(&mut self, count: u32, mut make: impl FnMut(u32) -> Fragment<'a>) {
        self.flood_with_gaps(count, 1, &mut make);
    }

    /// The same, with every so-many-th TSN alone.
    fn flood_with_gaps<'a>(&mut self, count: u32, step: u32, make: &mut dyn FnMut(u32) -> Fragment<'a>) {
        let mut number = 0;
        while number < count && self.is_up() {
            for _ in 0..BATCH {
                let mut chunks = Vec::new();
                let mut size = 0;
                while number < count {
                    let fragment = make(number);
                    size += 24 + fragment.payload.len();
                    if size > RECORD {
                        break;
                    }
                    chunks.push(self.next_chunk(fragment));
                    self.tsn = self.tsn.wrapping_add(step - 1);
                    number += 1;
                }
                if !chunks.is_empty() {
                    self.send(&chunks);
                }
            }
            self.pump();
        }
    }
}

fn both() -> [(Setting, &'static str); 2] {
    [(Setting::default(), "DATA"), (Setting::interleaved(), "I-DATA")]
}

#[test]
fn beginnings_of_messages_that_never_end() {
    for (setting, kind) in both() {
        for length in [1, 100, 1000] {
            let mut duo = Duo::new(setting);
            let payload = vec![7; length];
            duo.flood(40_000, |number| Fragment {
                stream: u16::try_from(number % 512).unwrap() * 2,
                message: number / 512,
                flags: BEGINNING,
                payload: &payload,
                ..Fragment::default()
            });
            duo.judge(&format!("{kind}: beginnings of {length} bytes"));
        }
    }
}

#[test]
fn one_message_in_crumbs_without_end() {
    for (setting, kind) in both() {
        let mut duo = Duo::new(setting);
        duo.flood(40_000, |number| Fragment {
            number,
            flags: if number == 0 { BEGINNING } else { 0 },
            ..Fragment::default()
        });
        assert_eq!(duo.transport.sctp_failure().map(|failure| failure.reason), Some(SctpFailureReason::PeerMisbehaved));
        duo.judge(&format!("{kind}: one message in crumbs"));
    }
}

/// Fragments of a message in an order that leaves it in as many pieces as it has fragments.
#[test]
fn messages_whose_every_second_fragment_comes_first() {
    const FRAGMENTS: u32 = 2000;
    let mut duo = Duo::new(Setting::interleaved());
    duo.flood(400 * FRAGMENTS, |number| {
        let (message, place) = (number / FRAGMENTS, number % FRAGMENTS);
        let fragment = if place < FRAGMENTS / 2 { 2 * place + 1 } else { 2 * (place - FRAGMENTS / 2) };
        let flags = if fragment == 0 { BEGINNING } else { 0 };
        Fragment { message, number: fragment, flags, ..Fragment::default() }
    });
    duo.judge("I-DATA: messages whose every second fragment comes first");
}

#[test]
fn every_second_tsn_without_the_others() {
    for (setting, kind) in both() {
        for (flags, what) in [(WHOLE, "messages"), (0, "fragments")] {
            for length in [1, 1000] {
                let mut duo = Duo::new(setting);
                let payload = vec![7; length];
                duo.open([0]);
                duo.tsn += 1;
                duo.flood_with_gaps(20_000, 2, &mut |number| Fragment {
                    message: number + 2,
                    number: 1,
                    flags,
                    payload: &payload,
                    ..Fragment::default()
                });
                assert!(duo.is_up());
                duo.judge(&format!("{kind}: every second TSN, {what} of {length} bytes"));
            }
        }
    }
}

/// A buffer that has just doubled, for the second fragment of one byte; what fills a gap is taken in beyond the window.
#[test]
fn messages_in_two_fragments_in_buffers_of_twice_their_size() {
    let mut duo = Duo::new(Setting::interleaved());
    let first = duo.tsn;
    let half = 7000;
    for begin in [first + 2 * half, first] {
        duo.tsn = begin;
        duo.flood(2 * half - u32::from(begin == first), |number| Fragment {
            message: begin.wrapping_add(number / 2),
            number: number % 2,
            flags: if number % 2 == 0 { BEGINNING } else { 0 },
            payload: if number % 2 == 0 { &[7; 255] } else { &[7] },
            ..Fragment::default()
        });
    }
    duo.judge("I-DATA: two fragments in a buffer that has doubled, beyond the window");
}

#[test]
fn messages_that_nobody_reads_when_the_association_is_lost() {
    for length in [1, 128] {
        let mut duo = Duo::new(Setting::default());
        duo.open([0]);
        duo.reads = false;
        let payload = vec![7; length];
        duo.flood(20_000, |number| Fragment { message: number + 1, payload: &payload, ..Fragment::default() });
        duo.send(&[(6, 0, Vec::new())]);
        assert!(!duo.is_up());
        duo.judge(&format!("DATA: messages of {length} bytes that nobody reads, then ABORT"));
    }
}

/// What fills a gap is taken in beyond the window.
#[test]
fn gaps_that_are_filled_when_the_window_is_full() {
    for (setting, kind) in both() {
        let mut duo = Duo::new(setting);
        duo.reads = false;
        duo.open([0]);
        let begin = duo.tsn;
        duo.tsn += 16_000;
        duo.flood(16_384, |number| Fragment { message: 10_000 + number, ..Fragment::default() });
        duo.tsn = begin;
        duo.flood(15_999, |number| Fragment { message: number + 1, ..Fragment::default() });
        duo.judge(&format!("{kind}: a gap that is filled when the window is full"));
    }
}

#[test]
fn an_application_that_does_not_read() {
    for (setting, kind) in both() {
        for length in [1, 100, 1000, 15_000] {
            let mut duo = Duo::new(setting);
            duo.open([0]);
            duo.reads = false;
            let payload = vec![7; length];
            duo.flood(40_000.min(16_000_000 / u32::try_from(length).unwrap()), |number| Fragment {
                message: number + 1,
                payload: &payload,
                ..Fragment::default()
            });
            assert!(duo.is_up());
            duo.judge(&format!("{kind}: messages of {length} bytes that nobody reads"));
            duo.reads = true;
            duo.pump();
            assert!(duo.messages > 0);
        }
    }
}

#[test]
fn large_messages_that_nobody_reads() {
    const LENGTH: u32 = 256 * 1024;
    const PIECE: u32 = 1024;
    for (setting, kind) in both() {
        let mut duo = Duo::new(setting);
        duo.open([0]);
        duo.reads = false;
        duo.flood(40 * LENGTH / PIECE, |number| {
            let place = number % (LENGTH / PIECE);
            let begins = if place == 0 { BEGINNING } else { 0 };
            let ends = if place == LENGTH / PIECE - 1 { ENDING } else { 0 };
            let message = number / (LENGTH / PIECE) + 1;
            Fragment {
                message,
                number: place,
                flags: begins | ends,
                payload: &[7; PIECE as usize],
                ..Fragment::default()
            }
        });
        assert!(duo.is_up());
        duo.judge(&format!("{kind}: messages of {LENGTH} bytes that nobody reads"));
    }
}

#[test]
fn ordered_messages_that_wait_for_the_first_on_one_stream_after_the_other() {
    const MESSAGES: u32 = 15_000;
    for (setting, kind) in both() {
        let setting = setting.with(|config| config.max_channels = 128);
        let mut duo = Duo::new(setting);
        duo.open((0..64).map(|stream| stream * 2));
        for stream in (0..128).step_by(2) {
            duo.flood(MESSAGES, |number| Fragment {
                stream,
                // The OPEN was message 0.
                message: if number == MESSAGES - 1 { 1 } else { number + 2 },
                ..Fragment::default()
            });
        }
        assert_eq!(duo.messages, 64 * u64::from(MESSAGES));
        duo.judge(&format!("{kind}: ordered messages in front of the first, stream by stream"));
    }
}

#[test]
fn fragments_of_65_535_messages_at_once() {
    let mut duo = Duo::new(Setting::interleaved().with(|config| config.max_channels = u16::MAX));
    duo.flood(65_535, |number| Fragment {
        stream: u16::try_from(number).unwrap(),
        flags: BEGINNING,
        ..Fragment::default()
    });
    duo.judge("I-DATA: fragments of 65,535 messages at once, a stream each");
    let mut duo = Duo::new(Setting::interleaved());
    duo.flood(65_535, |number| Fragment { message: number, number: 5, flags: UNORDERED, ..Fragment::default() });
    duo.judge("I-DATA: fragments of 65,535 messages at once, on one stream");
}

#[test]
fn duplicates_without_end() {
    for (setting, kind) in both() {
        let mut duo = Duo::new(setting);
        duo.open([0]);
        let tsn = duo.tsn;
        for _ in 0..60 {
            duo.tsn = tsn;
            duo.flood(600, |number| Fragment { message: number + 1, ..Fragment::default() });
        }
        assert_eq!(duo.messages, 600);
        duo.judge(&format!("{kind}: duplicates"));
    }
}

/// RFC 8831 §6.6, in the deprecated way.
#[test]
fn pieces_of_messages_that_never_end_on_all_channels() {
    for (setting, kind) in both() {
        let mut duo = Duo::new(setting);
        duo.open((0..1024).step_by(2));
        let payload = vec![7; 15_000];
        duo.flood(17 * 512, |number| Fragment {
            stream: u16::try_from(number % 512).unwrap() * 2,
            message: 1 + number / 512,
            identifier: TEXT_PARTIAL,
            payload: &payload,
            ..Fragment::default()
        });
        duo.judge(&format!("{kind}: pieces on every channel, without a last one"));
    }
}

#[test]
fn data_on_streams_that_nobody_opened() {
    for (setting, kind) in both() {
        let mut duo = Duo::new(setting.with(|config| config.max_channels = u16::MAX));
        duo.send_on_every_stream();
        duo.send_on_every_stream();
        assert!(duo.is_up());
        duo.judge(&format!("{kind}: data on 65,535 streams that nobody opened"));
        duo.rest(std::time::Duration::from_secs(200));
        duo.judge(&format!("{kind}: the same, when they are all reset"));
    }
}
