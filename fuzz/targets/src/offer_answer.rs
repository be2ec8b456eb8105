//! Two applications that negotiate in any order, well or badly.

use std::time::Duration;

use peer_core::{
    DataChannelOptions, IceCandidateInit, Peer, PeerEvent, SdpType, SessionDescriptionInit, SignalingState,
};
use proto_machine::{Timestamp, TransmitBuffer};
use proto_sdp::SessionDescription;

use crate::bounded::{Wish, drain, expire};
use crate::input::Input;
use crate::peers::{Standing, answer_socket_request, new_peer};

/// The most operations in one input.
const MAX_OPERATIONS: usize = 60;
/// Descriptions and candidates that the applications keep, to be used at any time.
const MAX_KEPT: usize = 16;

/// Two peers whose applications create, set, keep, exchange and confuse descriptions and candidates. No datagram is delivered.
///
/// - A command that succeeds leads to the state that JSEP §3.5 and W3C webrtc-pc §4.3.1 have for it; one that is refused changes nothing.
/// - Every description that a peer has is well-formed, and is written as it was read.
/// - A second run does the same.
pub fn offer_answer(data: &[u8]) {
    let first = Bench::new(data).run();
    let second = Bench::new(data).run();
    assert!(first == second, "the second run differs from the first");
}

struct Bench<'a> {
    input: Input<'a>,
    now: Timestamp,
    peers: [Peer; 2],
    /// Descriptions that were created or set, by either peer.
    descriptions: Vec<SessionDescriptionInit>,
    candidates: Vec<IceCandidateInit>,
    buffer: TransmitBuffer,
    transcript: Vec<String>,
}

impl<'a> Bench<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self {
            input: Input::new(data),
            now: Timestamp::ZERO,
            peers: [new_peer(1), new_peer(2)],
            descriptions: Vec::new(),
            candidates: Vec::new(),
            buffer: TransmitBuffer::new(1_200),
            transcript: Vec::new(),
        }
    }

    fn run(mut self) -> Vec<String> {
        for _ in 0..MAX_OPERATIONS {
            if self.input.is_empty() {
                break;
            }
            self.operate();
        }
        self.transcript
    }

    fn operate(&mut self) {
        let command = self.input.byte();
        let index = usize::from(command & 1);
        let before = Standing::of(&self.peers[index]);
        let is_accepted = match command >> 1 & 15 {
            0 | 1 => self.create_channel(index),
            2 => self.create(index, SdpType::Offer),
            3 => self.create(index, SdpType::Answer),
            4 | 5 => self.set_local(index, None),
            6 => {
                let description = self.kept_description();
                self.set_local(index, description)
            }
            7 => {
                let sdp_type =
                    self.input.choose(&[SdpType::Rollback, SdpType::Offer, SdpType::Answer, SdpType::Pranswer]);
                self.set_local(index, Some(SessionDescriptionInit { sdp_type, sdp: String::new() }))
            }
            8 | 9 => {
                let theirs = self.peers[1 - index].local_description();
                theirs.is_some_and(|description| self.set_remote(index, description))
            }
            10 => {
                let kept = self.kept_description();
                kept.is_some_and(|description| self.set_remote(index, description))
            }
            11 => self.set_remote(index, SessionDescriptionInit { sdp_type: SdpType::Rollback, sdp: String::new() }),
            12 => self.set_remote_altered(index),
            13 => self.add_candidate(index),
            14 => {
                self.pass_time();
                true
            }
            _ => self.close_channel_or_peer(index),
        };
        if !is_accepted {
            assert_eq!(Standing::of(&self.peers[index]), before, "refused, and yet changed");
        }
        self.drain();
        self.check();
    }

    fn create_channel(&mut self, index: usize) -> bool {
        let label = String::from_utf8_lossy(self.input.bytes()).into_owned();
        let result = self.peers[index].create_data_channel(self.now, DataChannelOptions::new(label));
        self.transcript.push(format!("{result:?}"));
        result.is_ok()
    }

    fn create(&mut self, index: usize, sdp_type: SdpType) -> bool {
        let peer = &mut self.peers[index];
        let created = if sdp_type == SdpType::Offer { peer.create_offer() } else { peer.create_answer() };
        match created {
            Ok(description) => {
                self.keep(description);
                true
            }
            Err(error) => {
                self.transcript.push(error.to_string());
                false
            }
        }
    }

    fn set_local(&mut self, index: usize, description: Option<SessionDescriptionInit>) -> bool {
        let peer = &mut self.peers[index];
        let before = peer.signaling_state();
        let implied = match before {
            SignalingState::HaveRemoteOffer | SignalingState::HaveLocalPranswer => SdpType::Answer,
            _ => SdpType::Offer,
        };
        let sdp_type = description.as_ref().map_or(implied, |description| description.sdp_type);
        match peer.set_local_description(self.now, description) {
            Ok(()) => {
                assert_eq!(Some(peer.signaling_state()), after_local(before, sdp_type), "{sdp_type} in {before}");
                if let Some(description) = peer.local_description() {
                    self.keep(description);
                }
                true
            }
            Err(error) => {
                self.transcript.push(error.to_string());
                false
            }
        }
    }

    fn set_remote(&mut self, index: usize, description: SessionDescriptionInit) -> bool {
        let peer = &mut self.peers[index];
        let before = peer.signaling_state();
        let sdp_type = description.sdp_type;
        match peer.set_remote_description(self.now, description) {
            Ok(()) => {
                assert_eq!(Some(peer.signaling_state()), after_remote(before, sdp_type), "{sdp_type} in {before}");
                true
            }
            Err(error) => {
                self.transcript.push(error.to_string());
                false
            }
        }
    }

    /// A description with a line left out, repeated, or moved, or one of another type.
    fn set_remote_altered(&mut self, index: usize) -> bool {
        let Some(mut description) = self.kept_description() else { return false };
        let mut lines: Vec<&str> = description.sdp.lines().collect();
        for _ in 0..=self.input.byte() % 3 {
            let position = self.input.index(lines.len().max(1));
            match self.input.byte() % 3 {
                _ if lines.is_empty() => {}
                0 => drop(lines.remove(position)),
                1 => lines.insert(position, lines[position]),
                _ => lines.swap(position, 0),
            }
        }
        let alteration = self.input.byte();
        if alteration & 1 != 0 {
            description.sdp_type = self.input.choose(&[SdpType::Offer, SdpType::Pranswer, SdpType::Answer]);
        }
        let mut sdp = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>();
        if alteration & 2 != 0 {
            let digit = char::from(b'0' + self.input.byte() % 10);
            sdp = sdp.replacen(digit, "7", 1 + usize::from(self.input.byte() % 8));
        }
        self.set_remote(index, SessionDescriptionInit { sdp_type: description.sdp_type, sdp })
    }

    fn add_candidate(&mut self, index: usize) -> bool {
        let which = usize::from(self.input.byte()) % self.candidates.len().max(1);
        let Some(candidate) = self.candidates.get(which).cloned() else { return false };
        let result = self.peers[index].add_ice_candidate(self.now, candidate);
        self.transcript.push(format!("{result:?}"));
        result.is_ok()
    }

    fn close_channel_or_peer(&mut self, index: usize) -> bool {
        let now = self.now;
        let peer = &mut self.peers[index];
        if self.input.byte() == u8::MAX {
            peer.close(now);
            return true;
        }
        let key = peer.channels().next().map(|(key, _)| key);
        let channel = key.and_then(|key| peer.channel(key));
        channel.is_some_and(|mut channel| channel.close(now).is_ok())
    }

    fn pass_time(&mut self) {
        let end = self.now + Duration::from_millis(u64::from(self.input.byte()) * 100);
        for index in [0, 1] {
            // Checks go out and are lost; one call after a long time has to catch up with all of them.
            let wishes = expire(&mut self.peers[index], end, &mut self.buffer);
            self.carry_out(index, wishes);
        }
        self.now = end;
    }

    fn drain(&mut self) {
        for index in [0, 1] {
            let wishes = drain(&mut self.peers[index], self.now, &mut self.buffer);
            self.carry_out(index, wishes);
        }
    }

    fn carry_out(&mut self, index: usize, mut wishes: Vec<Wish<proto_machine::Transmit, PeerEvent>>) {
        while !wishes.is_empty() {
            for wish in wishes {
                match wish {
                    Wish::Send(transmit, datagram) => {
                        self.transcript.push(format!("{index} {:?} {datagram:02x?}", transmit.path));
                    }
                    Wish::Socket(request) => {
                        let number = u8::try_from(index).unwrap() + 1;
                        answer_socket_request(&mut self.peers[index], self.now, number, &request);
                    }
                    Wish::Event(event) => {
                        if let PeerEvent::IceCandidate(Some(candidate)) = &event
                            && self.candidates.len() < MAX_KEPT
                        {
                            self.candidates.push(candidate.to_init());
                        }
                        self.transcript.push(format!("{index} {event}"));
                    }
                }
            }
            wishes = drain(&mut self.peers[index], self.now, &mut self.buffer);
        }
    }

    fn keep(&mut self, description: SessionDescriptionInit) {
        if self.descriptions.len() == MAX_KEPT {
            self.descriptions.remove(0);
        }
        self.transcript.push(description.sdp.clone());
        self.descriptions.push(description);
    }

    fn kept_description(&mut self) -> Option<SessionDescriptionInit> {
        let which = usize::from(self.input.byte()) % self.descriptions.len().max(1);
        self.descriptions.get(which).cloned()
    }

    fn check(&self) {
        for peer in &self.peers {
            for description in [peer.local_description(), peer.remote_description()].into_iter().flatten() {
                let parsed = SessionDescription::parse(&description.sdp).unwrap();
                assert_eq!(parsed.to_string(), description.sdp, "written differently");
            }
            if peer.signaling_state() == SignalingState::Stable {
                let pending = (peer.pending_local_description(), peer.pending_remote_description());
                assert_eq!(pending, (None, None), "stable, with something pending");
                let current = (peer.current_local_description(), peer.current_remote_description());
                assert_eq!(current.0.is_some(), current.1.is_some(), "stable, with half a negotiation");
            }
        }
    }
}

/// The state that `setLocalDescription` leads to, if it succeeds. `None`: it must not.
fn after_local(before: SignalingState, sdp_type: SdpType) -> Option<SignalingState> {
    use SignalingState::{HaveLocalOffer, HaveLocalPranswer, HaveRemoteOffer, Stable};
    match (before, sdp_type) {
        (Stable | HaveLocalOffer, SdpType::Offer) => Some(HaveLocalOffer),
        (HaveRemoteOffer | HaveLocalPranswer, SdpType::Answer) => Some(Stable),
        (HaveRemoteOffer | HaveLocalPranswer, SdpType::Pranswer) => Some(HaveLocalPranswer),
        (HaveLocalOffer | HaveRemoteOffer, SdpType::Rollback) => Some(Stable),
        _ => None,
    }
}

/// The state that `setRemoteDescription` leads to, if it succeeds. An offer that meets our own rolls that back.
fn after_remote(before: SignalingState, sdp_type: SdpType) -> Option<SignalingState> {
    use SignalingState::{HaveLocalOffer, HaveRemoteOffer, HaveRemotePranswer, Stable};
    match (before, sdp_type) {
        (Stable | HaveRemoteOffer | HaveLocalOffer, SdpType::Offer) => Some(HaveRemoteOffer),
        (HaveLocalOffer | HaveRemotePranswer, SdpType::Answer) => Some(Stable),
        (HaveLocalOffer | HaveRemotePranswer, SdpType::Pranswer) => Some(HaveRemotePranswer),
        (HaveLocalOffer | HaveRemoteOffer, SdpType::Rollback) => Some(Stable),
        _ => None,
    }
}
