//! The first inputs of each target, from real material: descriptions of browsers, the vectors of RFC 5769, and connections of two peers.
//!
//! Fuzzing grows from them; `cargo run -p fuzz-targets --bin seeds` writes them to where it starts.

use std::time::Duration;

use proto_machine::Timestamp;

use crate::input::Script;
use crate::world::{Flight, World};

const BROWSERS: [&str; 2] = [
    include_str!("../../../proto-sdp/tests/fixtures/chromium-156.txt"),
    include_str!("../../../proto-sdp/tests/fixtures/firefox-153-esr.txt"),
];

/// RFC 5769 §2.1, §2.2 and §2.3.
const VECTORS: [&str; 3] = [
    "00010058 2112a442 b7e7a701 bc34d686 fa87dfae 80220010 5354554e 20746573 7420636c 69656e74 00240004 6e0001ff \
     80290008 932ff9b1 51263b36 00060009 6576746a 3a683676 59202020 00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 \
     c1b571a2 80280004 e57a3bcf",
    "0101003c 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220 00200008 0001a147 e112a643 \
     00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7 80280004 c07d4c96",
    "01010048 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220 00200014 0002a147 0113a9fa \
     a5d3f179 bc25f4b5 bed2b9d9 00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41 80280004 c8fb0b4c",
];

/// The seeds of a target; none for a name that is not a target's.
#[must_use]
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "session_description" => descriptions().into_iter().map(String::into_bytes).collect(),
        "candidate" => candidates(),
        "stun" => stun(),
        "dcep" => dcep(),
        "sctp" => sctp(),
        "peer" => [0, 1].into_iter().flat_map(recorded_connection).collect(),
        "connection" => connection(),
        "offer_answer" => offer_answer(),
        _ => Vec::new(),
    }
}

fn descriptions() -> Vec<String> {
    let parts = BROWSERS.iter().flat_map(|browser| browser.split("##").filter(|part| !part.trim().is_empty()));
    let bodies = parts.filter_map(|part| part.split_once('\n'));
    bodies.map(|(_, body)| format!("{}\r\n", body.trim_end())).collect()
}

fn candidates() -> Vec<Vec<u8>> {
    let texts = descriptions();
    let lines = texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("a=candidate:"));
    let mut seeds: Vec<_> = lines.map(|line| format!("candidate:{line}\n0\n").into_bytes()).collect();
    seeds.truncate(20);
    seeds.push(b"candidate:1 1 udp 2113937151 192.0.2.2 5000 typ host\n\n".to_vec());
    seeds.push(b"a=candidate:2 1 udp 1694498815 203.0.113.7 6000 typ srflx raddr 192.0.2.2 rport 5000\n0\n".to_vec());
    seeds.push(b"\n0\n".to_vec());
    seeds
}

/// Operations of `stun::Bench::operate` behind a byte of setup.
fn stun() -> Vec<Vec<u8>> {
    let vector = |text: &str| -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    };
    let mut seeds: Vec<_> =
        VECTORS.iter().map(|text| Script::default().bytes(&[0, 1, 0, 0]).long_block(&vector(text)).finish()).collect();
    for setup in [0, 1, 2, 3, 8, 9, 16] {
        let candidate = [5, 0, 0x6E, 0, 1, 0xFF, 0, 0];
        let (second, payload, parameters, end) = ([4, 0x03, 0xE8], [8], [9], [6, 0]);
        // The other side has the other role; a controlling one nominates.
        let role = if setup & 1 == 0 { 2 } else { 0 };
        let (check, nominating) = ([3, 0, 0, 1, role, 7], [3, 0, 0, 2, role | 4, 7]);
        let answers: Vec<u8> = (0..8).flat_map(|request| [2, 0, request, 0]).collect();
        let begin = [&[setup][..], &parameters, &candidate, &second, &answers, &check, &answers].concat();
        let rest = [&payload[..], &nominating, &second, &answers, &end, &second, &answers].concat();
        seeds.push([begin, rest].concat());
    }
    seeds
}

/// Operations of `dcep::Bench::operate`.
fn dcep() -> Vec<Vec<u8>> {
    let open = |stream: u8, kind: u8| {
        let opened = Script::default().bytes(&[0, stream, kind, 0, 1, 0, 0, 0, 0, 5]);
        opened.block(b"label").block(b"protocol").bytes(&[0]).finish()
    };
    let data = |stream: u8, identifier: u8| {
        Script::default().bytes(&[2, stream, identifier, 0, 0]).block(b"payload").bytes(&[0]).finish()
    };
    let chunk = |kind: u8, value: &[u8]| Script::default().bytes(&[4, 0, kind, 0x80]).block(value).finish();
    let (own, send, close, second) = ([9, 0, 3, b'o', b'w', b'n'], [9, 1, 0, 200], [9, 2], [8, 0x03, 0xE8]);
    let mut seeds = vec![own.to_vec(), send.to_vec()];
    for kind in [0, 1, 2, 0x80, 0x81, 0x82] {
        seeds.push([open(2, kind), data(2, 1), data(2, 2)].concat());
    }
    seeds.push([open(0, 0), own.to_vec(), send.to_vec(), data(0, 3), close.to_vec(), second.to_vec()].concat());
    seeds.push([data(4, 1), data(4, 2), second.to_vec(), open(4, 0)].concat());
    seeds.push([vec![11, 3], own.to_vec(), send.to_vec(), second.to_vec(), second.to_vec(), vec![11, 0]].concat());
    // An outgoing reset request, a FORWARD TSN, a SACK with a gap, an ABORT, a SHUTDOWN, a HEARTBEAT.
    seeds.push([open(2, 0), chunk(12, &[0, 13, 0, 18, 0, 0, 3, 232, 0, 0, 0, 0, 0, 0, 3, 232, 0, 2])].concat());
    seeds.push([open(2, 1), chunk(13, &[3, 0, 0, 0, 0, 2, 0, 1])].concat());
    seeds.push([own.to_vec(), send.to_vec(), chunk(0, &[0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 3])].concat());
    seeds.extend([
        chunk(1, &[0, 12, 0, 8, b'b', b'y', b'e', 0]),
        chunk(2, &[0; 4]),
        chunk(10, &[0, 1, 0, 8, 1, 2, 3, 4]),
    ]);
    // A stream is ended by the peer, used again and ended again; the same with refusals; more after an ABORT.
    let (reset, repeated) = ([10, 1 << 2, 2], [10, 1 << 2 | 2, 1, 2]);
    let generation = [open(2, 0), data(2, 1), reset.to_vec(), second.to_vec()].concat();
    seeds.push(generation.repeat(4));
    seeds.push([vec![11, 1 << 2], generation.clone(), repeated.to_vec(), vec![11, 6 << 2], generation].concat());
    seeds
        .push([open(2, 0), chunk(1, &[0, 12, 0, 4]), data(2, 1), open(4, 0), second.to_vec(), reset.to_vec()].concat());
    seeds
}

/// Operations of `sctp::Bench::operate` behind a byte of setup.
fn sctp() -> Vec<Vec<u8>> {
    let send = |end: u8, stream: u8, kind: u8| [0, end, stream, kind, 100];
    let (all, second) = ([3, 31], [8, 0x03, 0xE8]);
    let mut seeds = Vec::new();
    // Without interleaving, without leaving out checksums, with a small window, and from the set-up on.
    for setup in [0, 1, 4, 16, 32, 64] {
        // Each kind of reliability, ordered or not, small and large.
        let talk: Vec<u8> =
            (0..8).flat_map(|kind| [send(0, kind, kind), send(1, kind, 0xC0 | kind)].concat()).collect();
        let faults = [5, 0, 7, 1, 6, 2, 5, 3];
        seeds.push([&[setup][..], &talk, &faults, &all, &second, &talk, &all].concat());
        seeds.push([&[setup][..], &talk, &[10, 0, 0], &all, &[10, 1, 1], &faults, &second, &talk].concat());
        seeds.push([&[setup][..], &[11, 1, 0], &talk, &all, &talk, &all, &second, &[11, 1, 1]].concat());
        seeds.push([&[setup][..], &talk, &[13, 0, 1, 0, 0, 5, 0, 4, 9, 1], &talk].concat());
        // One forged chunk of each kind.
        seeds.push(
            (0..32).fold(vec![setup], |seed, kind| [seed, vec![14, 0, 0, kind, 3, 32, 1, 1, 1, 1, 1, 1, 0]].concat()),
        );
        seeds.extend((0..32).map(|kind| [&[setup][..], &talk, &[14, 1, 0, kind, 3, 33, 0, 0, 0, 9, 4, 0, 0]].concat()));
    }
    seeds
}

/// What one of two peers was sent until they were connected, for the target that plays that peer alone: the same seeds, the same times, hence the same keys.
fn recorded_connection(index: usize) -> Vec<Vec<u8>> {
    let mut world = World::new();
    world.record();
    world.run(Duration::from_secs(10), World::is_connected);
    world.run(Duration::from_secs(1), |_| false);
    let stage = if index == 0 { 3 } else { 4 };
    let candidate = [6, 4, 0];
    let mut now = Timestamp::ZERO;
    let mut script = Script::default().bytes(&[stage]).bytes(&candidate);
    let mut seeds = Vec::new();
    for (at, Flight { bytes, .. }) in world.recorded(index) {
        let wait = u16::try_from((at - now).as_millis()).unwrap_or(u16::MAX);
        now = at;
        script = script.bytes(&[5]).bytes(&wait.to_be_bytes()).bytes(&[1, 0]).long_block(&bytes);
        seeds.push(script.clone().finish());
    }
    // The connection as far as every third datagram, and the whole.
    let last = seeds.len().saturating_sub(1);
    seeds
        .into_iter()
        .enumerate()
        .filter(|(number, _)| number % 3 == 0 || *number == last)
        .map(|(_, seed)| seed)
        .collect()
}

/// Operations of `connection::Attack::operate` behind a byte of mode.
fn connection() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for mode in 0..4 {
        let (send, second) = ([3, 0, 0, 0x10, 0], [2, 125]);
        let faults = Script::default().bytes(&[0, 15, 1, 3, 4, 20, 0, 1, 4, 40, 3, 1, 0, 1, 4, 9, 3, 1, 0]).finish();
        let changes = Script::default().bytes(&[0, 3, 5, 0, 20, 1, 6, 0, 30, 7]).block(b"more").bytes(&[0]).finish();
        let create = [5, 1, 0, 5];
        let (repeat, damage) = ([7, 3], [8, 2, 1, 0, 9, 6, 0, 30, 3, 1]);
        let forge =
            Script::default().bytes(&[9, 0, 0]).long_block(&[22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]).finish();
        seeds.push([&[mode][..], &faults, &send, &second, &second].concat());
        seeds.push([&[mode][..], &send, &faults, &create, &second, &repeat, &send, &repeat, &second].concat());
        seeds.push([&[mode][..], &changes, &send, &second, &damage, &forge, &send, &second].concat());
        seeds.push([&[mode][..], &create, &second, &[3, 1, 1, 1, 0], &second, &[6, 1, 1], &second].concat());
        // A channel of each kind: reliable or not, ordered or not.
        let kinds = [0, 1, 12, 13].map(|flags| [5, 0, flags, 3]).concat();
        let on_each: Vec<u8> = (1..5).flat_map(|which| [3, 0, which, 0, 9, 3, 1, which, 4, 0]).collect();
        seeds.push([&[mode][..], &kinds, &second, &on_each, &faults, &on_each, &second, &on_each, &second].concat());
    }
    seeds
}

/// Operations of `offer_answer::Bench::operate`: the low bit is the peer.
fn offer_answer() -> Vec<Vec<u8>> {
    let channel = [0, 4, b'c', b'h', b'a', b't'];
    let local = |peer: u8| 8 | peer;
    let remote = |peer: u8| 16 | peer;
    let candidates = [26, 0, 27, 1, 26, 2];
    let exchange = [local(0), remote(1), local(1), remote(0)];
    vec![
        [&channel[..], &exchange, &candidates, &[28, 10]].concat(),
        [&channel[..], &[1, 2, b'm', b'e'], &[local(0), local(1), remote(1), local(1), remote(0)]].concat(),
        [&channel[..], &[local(0), 14, 0, local(0)], &exchange[1..], &exchange, &[30, 0, 31, 255]].concat(),
        [&channel[..], &[4, 12, 0], &[remote(1), 7, 13, 1, 14, 3, 20, 1, 22, 0]].concat(),
        [&channel[..], &exchange, &[24, 0, 1, 0, 3, 1, 1], &[24, 1, 2, 0, 4, 0, 3]].concat(),
    ]
}
