//! Datagrams in, payload in and out.

use proto_machine::{Path, Segments, Timestamp, Transmit, TransmitBuffer};

use super::nominate::Nomination;
use super::relay::relay_at;
use super::{IceAgent, RemoteSession};
use crate::pair::PairState;
use crate::stun::{MessageClass, StunDefect, StunMessage};
use crate::{DropReason, IceTransportPolicy, IceTransportState};

/// How sure it is that a path belongs to an agent, in rising order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PathStanding {
    /// Nothing speaks for it, or its check has failed.
    Unknown,
    /// Somebody with the credentials has sent a check that bears this source. The source may be forged.
    Claimed,
    /// A check of ours was answered from there.
    Validated,
}

impl IceAgent {
    /// Takes in a datagram of one of the agent's sockets: every datagram of the other agent and of the STUN servers enters here.
    ///
    /// STUN is handled. Payload, which is anything that begins like DTLS (RFC 7983 §7), is returned to be handed up if it came over a validated path. Over a path on which the other
    /// agent's check was authenticated and ours is not answered yet, a few datagrams are held; [`poll_held`](Self::poll_held) hands them over on
    /// validation. All else is dropped and counted.
    #[must_use = "the payload of a validated path is to be handed up"]
    pub fn handle_datagram<'a>(&mut self, now: Timestamp, path: Path, datagram: &'a mut [u8]) -> Option<&'a mut [u8]> {
        if self.state == IceTransportState::Closed {
            self.drops.count(DropReason::Closed);
            return None;
        }
        let (path, datagram) = match self.unwrap_relayed(now, path, datagram) {
            Ok(relayed) => relayed?,
            Err(datagram) => (path, datagram),
        };
        match datagram.first() {
            Some(20..=63) => self.take_payload(now, path, datagram),
            Some(0..=3) => {
                self.take_message(now, path, datagram);
                None
            }
            _ => {
                self.drops.count(DropReason::UnknownProtocol);
                None
            }
        }
    }

    /// Hands over payload that came before its path was validated, in order of arrival. To be called after [`handle_datagram`](Self::handle_datagram) until it is dry.
    #[must_use]
    pub fn poll_held(&mut self) -> Option<Vec<u8>> {
        self.held.poll()
    }

    /// Whether there is a path for data: the selected pair, or before nomination the best valid pair (RFC 8445 §12.1). Never an address that no check of ours has
    /// validated, and never without consent.
    #[must_use]
    pub fn can_send(&self) -> bool {
        self.data_path.is_some()
    }

    /// Lets `write` fill the cleared buffer behind the room that the path for data asks for, and adds the path. `None`, and `write` is not called, while
    /// [`can_send`](Self::can_send) says no, and once the consent of that path has expired, even if the timeout that tells so is still to be handled. `None` as well if the buffer has no
    /// room, or `write` returns `None`.
    pub fn wrap(
        &mut self,
        now: Timestamp,
        buffer: &mut TransmitBuffer,
        write: impl FnOnce(&mut TransmitBuffer) -> Option<Segments>,
    ) -> Option<Transmit> {
        let path = self.data_path?;
        let pair = self.checklist.get_mut(&path)?;
        // RFC 7675 §5.1: without consent, transmission ceases, even if the driver is late with the timeout.
        if pair.validation()?.consent.is_expired(now) {
            return None;
        }
        let transmit = match relay_at(&mut self.relays, path.local) {
            Some(client) => client.wrap(now, path.remote, buffer, write)?,
            None => Transmit { path, segments: write(buffer)? },
        };
        let counters = &mut pair.counters;
        counters.packets_sent += transmit.segments.count.get() as u64;
        counters.bytes_sent += buffer.bytes().len() as u64;
        counters.last_packet_sent = Some(now);
        pair.last_sent_at = now;
        Some(transmit)
    }

    /// How sure it is that what comes over this path is for this agent and no other.
    #[must_use]
    pub fn path_standing(&self, path: &Path) -> PathStanding {
        match self.checklist.get(path) {
            Some(pair) => match pair.state {
                PairState::Succeeded(_) => PathStanding::Validated,
                PairState::Failed(_) => PathStanding::Unknown,
                _ if pair.is_authenticated_by_peer() => PathStanding::Claimed,
                _ => PathStanding::Unknown,
            },
            None => match &self.remote.session {
                RemoteSession::Awaited(early) if early.contains(*path) => PathStanding::Claimed,
                _ => PathStanding::Unknown,
            },
        }
    }

    fn take_payload<'a>(&mut self, now: Timestamp, path: Path, datagram: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let is_authenticated = match self.checklist.get_mut(&path) {
            Some(pair) => match pair.state {
                PairState::Succeeded(_) => {
                    let counters = &mut pair.counters;
                    counters.packets_received += 1;
                    counters.bytes_received += datagram.len() as u64;
                    counters.last_packet_received = Some(now);
                    return Some(datagram);
                }
                PairState::Failed(_) => false,
                _ => pair.is_authenticated_by_peer(),
            },
            None => matches!(&self.remote.session, RemoteSession::Awaited(early) if early.contains(path)),
        };
        if !is_authenticated {
            self.drops.count(DropReason::UnvalidatedPath);
            return None;
        }
        if !self.held.hold(path, datagram) {
            self.drops.count(DropReason::HeldFull);
        }
        self.check_anew(path, datagram.len());
        None
    }

    /// The other agent sends data only where a check of its own has succeeded (RFC 8445 §12.1), so either our check or its answer is lost, or about to arrive. As after a
    /// request (§7.3.1.4), a new check does not wait for the timeout of the old one. It is no longer than what has come, so that whoever forges the source amplifies nothing.
    fn check_anew(&mut self, path: Path, received: usize) {
        if self.largest_check().is_some_and(|size| size <= received)
            && self.nomination != Nomination::Concluded
            && let Some(pair) = self.checklist.get(&path)
            && let PairState::InProgress { transaction, .. } = pair.state
        {
            self.transactions.cancel(transaction);
            self.checklist.trigger(path);
        }
    }

    fn take_message(&mut self, now: Timestamp, path: Path, datagram: &[u8]) {
        let message = match StunMessage::parse(datagram) {
            Ok(message) => message,
            Err(defect) => {
                self.drops.count(match defect {
                    StunDefect::Malformed => DropReason::MalformedStun,
                    StunDefect::WrongFingerprint => DropReason::BadFingerprint,
                    StunDefect::UnknownMethod => DropReason::UnexpectedStun,
                });
                return;
            }
        };
        let is_open = self.config.transport_policy == IceTransportPolicy::All;
        let is_ours = is_open && self.gatherer.is_candidate(path.local);
        if !is_ours && !self.is_relayed(path.local) {
            self.drops.count(DropReason::UnknownSocket);
            return;
        }
        match message.class {
            MessageClass::Request => self.take_request(now, path, &message),
            MessageClass::Success | MessageClass::Error => self.take_response(now, path, &message),
            // RFC 8445 §11: keepalives do nothing but keep mappings alive.
            MessageClass::Indication => {}
        }
    }
}
