//! Responses of the server, and what follows from them (RFC 8489 §9.2.5, RFC 8656 §7.3, §7.4, §8.3, §10.3, §12.3).

use std::net::SocketAddr;
use std::time::Duration;

use proto_machine::Timestamp;
use stun_types::message::{MessageClass, TransactionId};

use super::channels::Channels;
use super::client::{Allocation, DEFAULT_LIFETIME, MAXIMUM_STALE_NONCES, MINIMUM_REFRESH_INTERVAL, State, TurnClient};
use super::credentials::{Session, is_bid_down};
use super::event::{TurnAllocation, TurnDropReason, TurnError, TurnEvent, TurnFailure};
use super::framing::Framing;
use super::message::{TurnMessage, attribute};
use super::permissions::{Granted, Permissions};
use super::transactions::{Discarded, Request, Transaction};
use crate::words::shown;

impl TurnClient {
    pub(super) fn take_response(&mut self, now: Timestamp, message: &TurnMessage<'_>) -> Result<(), TurnDropReason> {
        self.expire(now);
        let id = message.transaction;
        let transaction = self.transactions.get_mut(id).ok_or(TurnDropReason::UnknownTransaction)?;
        let error = match message.class {
            MessageClass::Error => Some(message.error().ok_or(TurnDropReason::Malformed)?),
            _ => None,
        };
        match (&error, &transaction.nonce) {
            // RFC 8489 §9.2.5: these come without integrity, and are judged by what they say.
            (Some((401, _)), None) => return self.take_challenge(now, message),
            (Some((438, _)), Some(_)) => return self.take_stale_nonce(now, message),
            // Until the server has proved that it knows the password, it may not know it.
            (Some((401, text)), Some(_)) if !self.is_proven => {
                let error = TurnError::response(now, 401, text.clone());
                self.fail(error);
                return Ok(());
            }
            // Whatever else answers a request without credentials: RFC 8489 §9.2.5 has 400 discarded, and success proves nothing.
            (Some((code, _)), None) if *code != 400 => {}
            _ => {
                let key = self.session.as_ref().map(Session::key).filter(|_| transaction.nonce.is_some());
                if !key.is_some_and(|key| message.is_authentic(key)) {
                    self.discard(now, id, error);
                    return Err(TurnDropReason::Unauthenticated);
                }
                self.is_proven = true;
            }
        }
        if message.has_unknown_attributes() {
            return Err(TurnDropReason::UnknownAttributes);
        }
        if is_bid_down(message) {
            return Err(TurnDropReason::UnusableChallenge);
        }
        self.learn_software(message);
        let Some(transaction) = self.transactions.remove(id) else {
            return Ok(());
        };
        match error {
            None => self.succeeded(now, transaction, message),
            Some((300, text)) if transaction.request == Request::Allocate => self.redirect(now, message, text),
            Some((code, text)) => self.refused(now, transaction.request, TurnError::response(now, code, text)),
        }
        Ok(())
    }

    /// The first 401 (RFC 8489 §9.2.5).
    fn take_challenge(&mut self, now: Timestamp, message: &TurnMessage<'_>) -> Result<(), TurnDropReason> {
        let _ = now;
        let Some(transaction) = self.transactions.remove(message.transaction) else {
            return Ok(());
        };
        match Session::begin(&self.config.credentials, message) {
            Ok(session) => {
                self.learn_software(message);
                self.session = Some(session);
                self.request(transaction.request, 0);
                Ok(())
            }
            Err(defect) => {
                // "the client MUST NOT retry the request with a new transaction".
                self.fail(TurnError::new(TurnFailure::ChallengeRefused, defect.text()));
                Err(TurnDropReason::UnusableChallenge)
            }
        }
    }

    /// A 438: the same request once more with the new nonce, but not for ever. One that is no good is discarded, and the transaction lives on: it may be forged.
    fn take_stale_nonce(&mut self, now: Timestamp, message: &TurnMessage<'_>) -> Result<(), TurnDropReason> {
        let (Some(session), Some(transaction)) = (&mut self.session, self.transactions.get_mut(message.transaction))
        else {
            return Ok(());
        };
        let stale = transaction.nonce.clone().unwrap_or_default();
        if session.renew(message, &stale).is_err() {
            self.discard(now, message.transaction, message.error());
            return Err(TurnDropReason::UnusableChallenge);
        }
        self.stale_nonces += 1;
        let Some(transaction) = self.transactions.remove(message.transaction) else {
            return Ok(());
        };
        if transaction.stale_nonces >= MAXIMUM_STALE_NONCES {
            let error = TurnError::response(now, 438, "the server finds every nonce stale".to_owned());
            self.refused(now, transaction.request, error);
        } else {
            self.request(transaction.request, transaction.stale_nonces + 1);
        }
        Ok(())
    }

    fn succeeded(&mut self, now: Timestamp, transaction: Transaction, message: &TurnMessage<'_>) {
        let sent_at = transaction.sent_at;
        match (transaction.request, &mut self.state) {
            (Request::Allocate, State::Allocating) => self.allocated(now, sent_at, message),
            (Request::Refresh, State::Allocated(allocation)) => {
                allocation.lasts(now, sent_at, lifetime_of(message));
            }
            (Request::Release, _) => self.end(TurnEvent::Released),
            (Request::Permit(addresses), State::Allocated(allocation)) => {
                for address in addresses {
                    if allocation.permissions.granted(address, sent_at) == Some(Granted::First) {
                        self.events.push_back(TurnEvent::PermissionGranted(address));
                    }
                }
            }
            (Request::Bind { channel, peer }, State::Allocated(allocation)) => {
                // RFC 8656 §12.3: it counts as a permission, too.
                if allocation.permissions.granted(peer.ip(), sent_at) == Some(Granted::First) {
                    self.events.push_back(TurnEvent::PermissionGranted(peer.ip()));
                }
                if let Some(peer) = allocation.channels.bound(channel, sent_at) {
                    self.events.push_back(TurnEvent::ChannelBound(peer));
                }
            }
            _ => {}
        }
    }

    /// RFC 8656 §7.3.
    fn allocated(&mut self, now: Timestamp, sent_at: Timestamp, message: &TurnMessage<'_>) {
        let relayed: Vec<SocketAddr> = message.addresses(attribute::XOR_RELAYED_ADDRESS).take(3).collect();
        let mapped = message.address(attribute::XOR_MAPPED_ADDRESS);
        let mapped_family_is_ours = mapped.is_none_or(|mapped| mapped.is_ipv4() == self.path.local.is_ipv4());
        if !mapped_family_is_ours || !self.config.families.accept(&relayed) {
            // "the client MUST delete the allocation".
            let text = "the server has allocated addresses that were not asked for";
            self.events.push_back(TurnEvent::Failed(TurnError::new(TurnFailure::UnusableResponse, text)));
            self.state = State::Releasing;
            self.request(Request::Release, 0);
            return;
        }
        let mut allocation = Allocation {
            relayed: relayed.clone(),
            permissions: Permissions::default(),
            channels: Channels::new(),
            expires_at: now,
            refresh_at: None,
            refreshed_at: now,
            last_refusal: None,
        };
        let lifetime = allocation.lasts(now, sent_at, lifetime_of(message));
        self.transactions.be_patient();
        self.state = State::Allocated(allocation);
        self.events.push_back(TurnEvent::Allocated(TurnAllocation { relayed, mapped, lifetime }));
    }

    /// RFC 8489 §10: one redirection, with the same credentials, to a server that has not been asked.
    fn redirect(&mut self, now: Timestamp, message: &TurnMessage<'_>, text: String) {
        let current = self.path.remote;
        let alternate = message
            .addresses(attribute::ALTERNATE_SERVER)
            .take(4)
            .find(|alternate| alternate.is_ipv4() == current.is_ipv4())
            .filter(|alternate| self.redirected_by.is_none() && is_possible_server(*alternate, current));
        let Some(alternate) = alternate else {
            self.fail(TurnError::response(now, 300, text));
            return;
        };
        self.redirected_by = Some(current);
        self.path.remote = alternate;
        // The other server knows nothing of this session, and has to prove itself.
        self.session = None;
        self.is_proven = false;
        self.software = None;
        self.events.push_back(TurnEvent::Redirected(alternate));
        self.request(Request::Allocate, 0);
    }

    /// The server has refused a request, or has not answered it.
    fn refused(&mut self, now: Timestamp, request: Request, error: TurnError) {
        let is_forgotten = error.code == Some(437);
        match (request, &mut self.state) {
            // RFC 8656 §8.3: whatever the answer, there is no allocation that we could do anything for.
            (Request::Release, _) => self.end(TurnEvent::Released),
            (Request::Allocate, _) => self.fail(error),
            (Request::Refresh | Request::Permit(_) | Request::Bind { .. }, _) if is_forgotten => {
                self.fail(TurnError { failure: TurnFailure::AllocationLost, ..error });
            }
            // The allocation is there until it expires: the next try may succeed.
            (Request::Refresh, State::Allocated(allocation)) => {
                allocation.refresh_at = Some(now + MINIMUM_REFRESH_INTERVAL);
                allocation.last_refusal = Some(error);
            }
            (Request::Permit(addresses), State::Allocated(allocation)) => {
                // Of several, only one may be at fault, but silence is meant for all of them.
                let are_refused = error.failure == TurnFailure::Timeout || addresses.len() == 1;
                for address in addresses {
                    if are_refused && allocation.permissions.refused(address) {
                        let error = error.clone();
                        self.events.push_back(TurnEvent::PermissionRefused { address, error });
                    } else {
                        allocation.permissions.ask_alone(address);
                    }
                }
            }
            (Request::Bind { channel, .. }, State::Allocated(allocation)) => {
                if let Some(peer) = allocation.channels.refused(now, channel) {
                    allocation.permissions.binding_failed(peer.ip());
                    self.events.push_back(TurnEvent::ChannelRefused { peer, error });
                }
            }
            _ => {}
        }
    }

    /// A response that cannot be believed is as if it had not come (RFC 8489 §9.2.5). Over a stream, nothing better will.
    fn discard(&mut self, now: Timestamp, id: TransactionId, error: Option<(u16, String)>) {
        let Some(transaction) = self.transactions.get_mut(id) else {
            return;
        };
        transaction.discarded = match error {
            Some((code, text)) => Discarded::Error { code, text },
            None if transaction.discarded == Discarded::Nothing => Discarded::Success,
            None => return,
        };
        if self.framing == Framing::Stream
            && let Some(transaction) = self.transactions.remove(id)
        {
            self.unanswered(now, transaction);
        }
    }

    /// A request has come to its end without a response that counts.
    pub(super) fn unanswered(&mut self, now: Timestamp, transaction: Transaction) {
        let error = match transaction.discarded {
            Discarded::Nothing => TurnError::new(TurnFailure::Timeout, "the server does not answer"),
            // RFC 8489 §9.2.5: "instead of signaling a timeout …, the layer MUST signal that the integrity protection was violated."
            Discarded::Success => TurnError::new(TurnFailure::IntegrityViolated, "no response had valid integrity"),
            Discarded::Error { code, text } => TurnError::response(now, code, text),
        };
        self.refused(now, transaction.request, error);
    }

    fn learn_software(&mut self, message: &TurnMessage<'_>) {
        if self.software.is_none() {
            self.software = message.text(attribute::SOFTWARE).map(shown);
        }
    }
}

/// Whether a server may send us there: an address that packets can go to, not itself, and none of this host unless it is there itself.
fn is_possible_server(alternate: SocketAddr, current: SocketAddr) -> bool {
    crate::candidate::is_usable_remote(alternate)
        && alternate != current
        && (!alternate.ip().is_loopback() || current.ip().is_loopback())
}

fn lifetime_of(message: &TurnMessage<'_>) -> Duration {
    message.number(attribute::LIFETIME).map_or(DEFAULT_LIFETIME, |seconds| Duration::from_secs(u64::from(seconds)))
}
