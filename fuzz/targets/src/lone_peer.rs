//! One peer, and somebody who sends it datagrams.

use std::time::Duration;

use peer_core::{
    DataChannelOptions, IceCandidateInit, Message, PathStanding, Peer, PeerEvent, SdpType, SessionDescriptionInit,
};
use proto_machine::{Machine, Path, Received, SocketError, SocketEvent, SocketId, Timestamp, Transmit, TransmitBuffer};
use proto_sdp::SessionDescription;

use crate::bounded::{Wish, drain, expire};
use crate::hostile_checks::{Identity, Knowledge};
use crate::input::Input;
use crate::peers::{Standing, address, answer_socket_request, negotiated_peers, new_peer, offering_peer};

/// The most operations in one input.
const MAX_OPERATIONS: usize = 100;
/// The most deadlines that pass in one operation.
const MAX_DEADLINES: usize = 200;
/// W3C states, socket requests and candidates of one peer are far fewer than this between two inputs.
const MAX_EVENTS: usize = 600;

/// What a peer has done before the first datagram, as the first byte of the input says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    New,
    Offering,
    Answering,
    /// Checking as the offerer, who is the DTLS server.
    Offered,
    /// Checking as the answerer, who is the DTLS client.
    Answered,
}

impl Stage {
    const ALL: [Self; 5] = [Self::New, Self::Offering, Self::Answering, Self::Offered, Self::Answered];
}

/// A peer that is given messages with and without keys, raw datagrams, DTLS records, commands, reports about sockets, and time.
///
/// Whoever has the ICE passwords can validate a path, and from then on speak DTLS to the peer.
///
/// - STUN without a key, and datagrams from paths that are not validated, change nothing that can be seen but counters, and are not answered.
/// - The peer comes to rest after every input, within a bounded number of events.
/// - A command that is refused changes nothing.
pub fn peer(data: &[u8]) {
    let mut input = Input::new(data);
    let stage = input.choose(&Stage::ALL);
    let mut bench = Bench::new(input, stage);
    for _ in 0..MAX_OPERATIONS {
        if bench.input.is_empty() {
            break;
        }
        bench.operate();
    }
    bench.assert_closes();
}

struct Bench<'a> {
    input: Input<'a>,
    now: Timestamp,
    peer: Peer,
    /// Its address is 192.0.2.number.
    number: u8,
    knowledge: Knowledge,
    buffer: TransmitBuffer,
}

impl<'a> Bench<'a> {
    fn new(input: Input<'a>, stage: Stage) -> Self {
        let now = Timestamp::ZERO;
        let [left, right] = negotiated_peers();
        let identities = [identity(&left), identity(&right)];
        let (peer, number) = match stage {
            Stage::New => (new_peer(1), 1),
            Stage::Offering => (offering_peer(1), 1),
            Stage::Answering => {
                let mut peer = new_peer(2);
                peer.set_remote_description(now, left.local_description().unwrap()).unwrap();
                (peer, 2)
            }
            Stage::Offered => (left, 1),
            Stage::Answered => (right, 2),
        };
        let [left, right] = identities;
        let knowledge = if number == 1 { Knowledge::new(left, right) } else { Knowledge::new(right, left) };
        let mut bench = Self { input, now, peer, number, knowledge, buffer: TransmitBuffer::new(1_200) };
        bench.drain();
        bench
    }

    fn operate(&mut self) {
        match self.input.byte() % 10 {
            0 => {
                let path = self.path();
                let mut crafted = self.knowledge.craft(&mut self.input);
                self.receive(path, &mut crafted.bytes, !crafted.is_keyed);
            }
            1 => {
                let path = self.path();
                let mut datagram = self.input.long_bytes().to_vec();
                self.receive(path, &mut datagram, false);
            }
            2 => {
                if let Some((path, mut datagram)) = self.knowledge.answer(&mut self.input) {
                    self.receive(path, &mut datagram, false);
                }
            }
            3 => {
                let path = self.path();
                let mut datagram = self.knowledge.check(&mut self.input);
                self.receive(path, &mut datagram, false);
            }
            4 => {
                let path = self.path();
                let mut record = dtls_record(&mut self.input);
                self.receive(path, &mut record, false);
            }
            5 => self.pass_time(),
            6 => self.describe(),
            7 => self.use_channels(),
            8 => self.report_socket(),
            _ => self.receive_from_stranger(),
        }
        self.drain();
    }

    fn receive(&mut self, path: Path, datagram: &mut [u8], is_powerless: bool) {
        let before = is_powerless.then(|| visible(&self.peer));
        self.peer.handle_input(self.now, Received { path, datagram });
        let Some(before) = before else { return };
        let wishes = drain(&mut self.peer, self.now, &mut self.buffer);
        assert!(wishes.is_empty(), "answered what has no key");
        assert_eq!(visible(&self.peer), before, "changed by what has no key");
    }

    /// From somebody else than the other peer.
    fn receive_from_stranger(&mut self) {
        let path = Path::udp(address(self.number), address(200));
        let mut datagram = self.input.long_bytes().to_vec();
        // STUN may be authentic whoever sends it, and a candidate may have named the path.
        let is_stun = datagram.first().is_some_and(|first| *first < 4);
        let is_powerless = !is_stun && self.peer.path_standing(&path) == PathStanding::Unknown;
        self.receive(path, &mut datagram, is_powerless);
    }

    /// Up to about a minute, in steps from one deadline to the next.
    fn pass_time(&mut self) {
        let end = self.now + Duration::from_millis(self.input.u16().into());
        for _ in 0..MAX_DEADLINES {
            let Some(deadline) = self.peer.poll_timeout().filter(|deadline| deadline.at <= end) else { break };
            self.now = self.now.max(deadline.at);
            let wishes = expire(&mut self.peer, self.now, &mut self.buffer);
            self.carry_out(wishes);
        }
        self.now = end.max(self.now);
        let wishes = expire(&mut self.peer, self.now, &mut self.buffer);
        self.carry_out(wishes);
    }

    fn describe(&mut self) {
        let before = visible(&self.peer);
        let accepted = match self.input.byte() % 6 {
            0 => self.peer.set_local_description(self.now, None).is_ok(),
            1 => {
                let sdp_type =
                    self.input.choose(&[SdpType::Offer, SdpType::Pranswer, SdpType::Answer, SdpType::Rollback]);
                let sdp = String::from_utf8_lossy(self.input.long_bytes()).into_owned();
                self.peer.set_remote_description(self.now, SessionDescriptionInit { sdp_type, sdp }).is_ok()
            }
            2 => {
                let sdp_type = self.input.choose(&[SdpType::Offer, SdpType::Pranswer, SdpType::Answer]);
                let sdp = self.peer.remote_description().map(|description| description.sdp).unwrap_or_default();
                self.peer.set_remote_description(self.now, SessionDescriptionInit { sdp_type, sdp }).is_ok()
            }
            3 => {
                let candidate = String::from_utf8_lossy(self.input.bytes()).into_owned();
                let init = IceCandidateInit { candidate, sdp_mline_index: Some(0), ..IceCandidateInit::default() };
                self.peer.add_ice_candidate(self.now, init).is_ok()
            }
            4 => {
                let port = 5_000 + u16::from(self.input.byte());
                let address = address(3 - self.number).ip();
                let candidate = format!("candidate:1 1 udp 2113937151 {address} {port} typ host");
                let init = IceCandidateInit { candidate, sdp_mline_index: Some(0), ..IceCandidateInit::default() };
                self.peer.add_ice_candidate(self.now, init).is_ok()
            }
            _ => self.peer.set_local_description(self.now, Some(rollback())).is_ok(),
        };
        if !accepted {
            assert_eq!(visible(&self.peer), before, "refused, and yet changed");
        }
    }

    fn use_channels(&mut self) {
        let command = self.input.byte();
        let keys: Vec<_> = self.peer.channels().map(|(key, _)| key).collect();
        let key = keys.get(usize::from(command >> 3) % keys.len().max(1)).copied();
        let now = self.now;
        match command % 4 {
            0 | 1 => {
                let label = String::from_utf8_lossy(self.input.bytes()).into_owned();
                let negotiated = (command & 0x10 != 0).then(|| self.input.u16());
                let options = DataChannelOptions { negotiated, ..DataChannelOptions::new(label) };
                let _refused = self.peer.create_data_channel(now, options);
            }
            2 => {
                let payload = self.input.bytes().to_vec();
                if let Some(mut channel) = key.and_then(|key| self.peer.channel(key)) {
                    let _not_open = channel.send(now, Message::binary(payload));
                }
            }
            _ => {
                if let Some(mut channel) = key.and_then(|key| self.peer.channel(key)) {
                    channel.close(now).unwrap();
                }
            }
        }
    }

    fn report_socket(&mut self) {
        let socket = SocketId(self.input.byte().into());
        let event = if self.input.bool() {
            SocketEvent::Failed { socket, error: SocketError::PermissionDenied }
        } else {
            SocketEvent::Opened { socket, local: address(self.input.byte()) }
        };
        self.peer.handle_socket_event(self.now, event);
    }

    fn drain(&mut self) {
        let wishes = drain(&mut self.peer, self.now, &mut self.buffer);
        self.carry_out(wishes);
    }

    fn carry_out(&mut self, mut wishes: Vec<Wish<Transmit, PeerEvent>>) {
        while !wishes.is_empty() {
            let events = wishes.iter().filter(|wish| matches!(wish, Wish::Event(_))).count();
            assert!(events <= MAX_EVENTS, "{events} events at one moment");
            for wish in wishes {
                match wish {
                    Wish::Send(transmit, datagram) => self.knowledge.overhear(transmit.path, &datagram),
                    Wish::Socket(request) => answer_socket_request(&mut self.peer, self.now, self.number, &request),
                    Wish::Event(_) => {}
                }
            }
            wishes = drain(&mut self.peer, self.now, &mut self.buffer);
        }
    }

    fn path(&mut self) -> Path {
        let remote = match self.input.byte() % 4 {
            0..=2 => address(3 - self.number),
            _ => address(77),
        };
        Path::udp(address(self.number), remote)
    }

    /// Whatever state it is in, a peer can be closed, and then wants nothing more.
    fn assert_closes(mut self) {
        self.peer.close(self.now);
        let _last_words = drain(&mut self.peer, self.now, &mut self.buffer);
        assert!(self.peer.is_closed() && self.peer.poll_timeout().is_none(), "closed, and yet not at rest");
    }
}

/// What can be seen of a peer but for counters.
fn visible(peer: &Peer) -> Standing {
    Standing::of(peer).without_counters()
}

fn identity(peer: &Peer) -> Identity {
    let description = SessionDescription::parse(&peer.local_description().unwrap().sdp).unwrap();
    let section = description.data_section().unwrap();
    Identity {
        fragment: section.username_fragment().unwrap().as_str().to_owned(),
        password: section.password().unwrap().as_str().to_owned(),
    }
}

fn rollback() -> SessionDescriptionInit {
    SessionDescriptionInit { sdp_type: SdpType::Rollback, sdp: String::new() }
}

/// A plaintext record of DTLS 1.2 or 1.3 (RFC 6347 §4.1), with the header of a handshake message (§4.2.2) if it carries one. Lengths are right unless the input says otherwise.
fn dtls_record(input: &mut Input<'_>) -> Vec<u8> {
    let content_type = input.choose(&[22, 20, 21, 23, 26, 25, 24]);
    let version = input.choose(&[[0xFE, 0xFD], [0xFE, 0xFF], [0x03, 0x03], [0, 0]]);
    let (epoch, sequence) = (input.byte() % 4, input.byte());
    let flaw = input.byte();
    let mut fragment = Vec::new();
    if content_type == 22 {
        let message_type = input.choose(&[1, 2, 0, 4, 8, 11, 12, 13, 14, 15, 16, 20, 24]);
        let message_sequence = input.byte() % 8;
        let body = input.long_bytes();
        let whole = body.len() + if flaw & 1 == 0 { 0 } else { usize::from(input.u16()) };
        let offset = if flaw & 2 == 0 { 0 } else { usize::from(input.u16()) };
        fragment.push(message_type);
        fragment.extend_from_slice(&u24(whole));
        fragment.extend_from_slice(&[0, message_sequence]);
        fragment.extend_from_slice(&u24(offset));
        fragment.extend_from_slice(&u24(body.len()));
        fragment.extend_from_slice(body);
    } else {
        fragment.extend_from_slice(input.long_bytes());
    }
    let length = fragment.len() + if flaw & 4 == 0 { 0 } else { usize::from(input.byte()) };
    let mut record = vec![content_type, version[0], version[1], 0, epoch, 0, 0, 0, 0, 0, sequence];
    record.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    record.extend_from_slice(&fragment);
    record
}

fn u24(number: usize) -> [u8; 3] {
    let [_, bytes @ ..] = u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
    bytes
}

#[cfg(test)]
mod tests {
    use peer_core::PeerConnectionState;

    use super::*;

    /// Else the seeds would end at the first check, and nothing behind it would be fuzzed.
    #[test]
    fn the_recorded_connections_bring_the_lone_peer_to_connected_in_both_roles() {
        let seeds = crate::seeds::of("peer");
        let connects = |seed: &&Vec<u8>| {
            let mut input = Input::new(seed);
            let stage = input.choose(&Stage::ALL);
            let mut bench = Bench::new(input, stage);
            while !bench.input.is_empty() {
                bench.operate();
            }
            bench.peer.connection_state() == PeerConnectionState::Connected
        };
        let stages: std::collections::BTreeSet<u8> = seeds.iter().filter(connects).map(|seed| seed[0]).collect();
        assert_eq!(stages.len(), 2, "of {} seeds", seeds.len());
    }
}
