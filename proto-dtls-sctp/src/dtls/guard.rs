//! What the library is given, and what it is not.
//!
//! A client that has not yet learnt the version dies on any first datagram that does not begin with a whole ServerHello or HelloVerifyRequest, and both roles die on a
//! plaintext fatal alert, which anyone can send.

use std::borrow::Cow;

use super::records::{self, ALERT, CLIENT_HELLO, HELLO_VERIFY_REQUEST, SERVER_HELLO};
use crate::DtlsRole;

/// The largest datagram that is looked at before the session is established, in bytes. It bounds the memory of the handshake.
pub(super) const MAX_HANDSHAKE_DATAGRAM: usize = 4096;
/// Datagrams that are held until the first flight of the peer is complete in front of them.
const MAX_HELD: usize = 4;

pub(super) struct Guard {
    role: DtlsRole,
    held: Vec<Vec<u8>>,
    /// A server has been given a ClientHello.
    hello_seen: bool,
}

pub(super) enum Verdict<'a> {
    Pass(Cow<'a, [u8]>),
    /// It came too early. It is kept if there is room.
    Hold,
    Drop,
}

pub(super) struct Inspected<'a> {
    pub(super) verdict: Verdict<'a>,
    pub(super) alerts_dropped: u64,
}

impl Guard {
    pub(super) fn new(role: DtlsRole) -> Self {
        Self { role, held: Vec::new(), hello_seen: false }
    }

    pub(super) fn is_server(&self) -> bool {
        self.role == DtlsRole::Server
    }

    /// Datagrams that were held.
    pub(super) fn release(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.held)
    }

    pub(super) fn inspect<'a>(&mut self, datagram: &'a [u8], version_known: bool, connected: bool) -> Inspected<'a> {
        if connected {
            // The library discards what is not authentic from here on.
            return Inspected { verdict: Verdict::Pass(Cow::Borrowed(datagram)), alerts_dropped: 0 };
        }
        if datagram.len() > MAX_HANDSHAKE_DATAGRAM {
            return Inspected { verdict: Verdict::Drop, alerts_dropped: 0 };
        }
        let (datagram, alerts_dropped) = without_plaintext_alerts(datagram);
        let verdict = if datagram.is_empty() {
            Verdict::Drop
        } else if self.is_timely(&datagram, version_known) {
            Verdict::Pass(datagram)
        } else {
            if self.held.len() < MAX_HELD {
                self.held.push(datagram.into_owned());
            }
            Verdict::Hold
        };
        Inspected { verdict, alerts_dropped }
    }

    fn is_timely(&mut self, datagram: &[u8], version_known: bool) -> bool {
        let first = records::first_message(datagram);
        match self.role {
            DtlsRole::Client => {
                version_known
                    || first.is_some_and(|message| {
                        matches!(message.message_type, SERVER_HELLO | HELLO_VERIFY_REQUEST)
                            && message.fragment_offset == 0
                            && message.fragment.len() == message.length
                    })
            }
            DtlsRole::Server => {
                self.hello_seen |=
                    first.is_some_and(|message| message.message_type == CLIENT_HELLO && message.fragment_offset == 0);
                self.hello_seen
            }
        }
    }
}

/// Leaves out alerts of epoch 0, and counts them.
fn without_plaintext_alerts(datagram: &[u8]) -> (Cow<'_, [u8]>, u64) {
    let mut kept = Vec::new();
    let mut alerts = 0;
    let mut rest = datagram;
    while let Some(record) = records::first(rest) {
        if record.content_type == ALERT && record.epoch == 0 {
            alerts += 1;
        } else {
            kept.extend_from_slice(record.bytes);
        }
        rest = rest.get(record.bytes.len()..).unwrap_or_default();
    }
    if alerts == 0 {
        return (Cow::Borrowed(datagram), 0);
    }
    kept.extend_from_slice(rest);
    (Cow::Owned(kept), alerts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(content_type: u8, epoch: u8, payload: &[u8]) -> Vec<u8> {
        let mut record = vec![content_type, 0xFE, 0xFD, 0, epoch, 0, 0, 0, 0, 0, 0];
        record.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
        record.extend_from_slice(payload);
        record
    }

    fn message(message_type: u8, length: u8, offset: u8, fragment: &[u8]) -> Vec<u8> {
        let fragment_length = u8::try_from(fragment.len()).unwrap();
        let mut message = vec![message_type, 0, 0, length, 0, 0, 0, 0, offset, 0, 0, fragment_length];
        message.extend_from_slice(fragment);
        record(records::HANDSHAKE, 0, &message)
    }

    fn passes(guard: &mut Guard, datagram: &[u8], version_known: bool) -> bool {
        matches!(guard.inspect(datagram, version_known, false).verdict, Verdict::Pass(_))
    }

    #[test]
    fn a_client_without_version_is_given_only_a_whole_first_answer() {
        for message_type in 0..=255 {
            let answer = matches!(message_type, SERVER_HELLO | HELLO_VERIFY_REQUEST);
            assert_eq!(passes(&mut Guard::new(DtlsRole::Client), &message(message_type, 3, 0, b"abc"), false), answer);
            assert!(!passes(&mut Guard::new(DtlsRole::Client), &message(message_type, 6, 3, b"abc"), false));
            assert!(!passes(&mut Guard::new(DtlsRole::Client), &message(message_type, 6, 0, b"abc"), false));
            assert!(passes(&mut Guard::new(DtlsRole::Client), &message(message_type, 6, 0, b"abc"), true));
        }
        for garbage in [&b""[..], &[0xFF; 64], &[0x16], &[0x2F; 40], &record(23, 0, b"data")] {
            assert!(!passes(&mut Guard::new(DtlsRole::Client), garbage, false));
        }
    }

    #[test]
    fn a_plaintext_alert_is_left_out_and_its_neighbours_are_kept() {
        let alert = record(ALERT, 0, &[2, 40]);
        let hello = message(SERVER_HELLO, 3, 0, b"abc");
        let mut guard = Guard::new(DtlsRole::Client);
        let datagram = [&alert[..], &hello, &alert].concat();
        let inspected = guard.inspect(&datagram, false, false);
        assert_eq!(inspected.alerts_dropped, 2);
        assert!(matches!(inspected.verdict, Verdict::Pass(bytes) if *bytes == hello));
        assert!(matches!(guard.inspect(&alert, true, false).verdict, Verdict::Drop));
    }

    #[test]
    fn an_alert_of_a_protected_epoch_is_kept() {
        let alert = record(ALERT, 1, &[0; 30]);
        assert!(passes(&mut Guard::new(DtlsRole::Client), &alert, true));
    }

    #[test]
    fn early_datagrams_are_held_up_to_a_bound() {
        let mut guard = Guard::new(DtlsRole::Server);
        for _ in 0..10 {
            assert!(!passes(&mut guard, &message(CLIENT_HELLO, 6, 3, b"def"), false));
        }
        assert!(passes(&mut guard, &message(CLIENT_HELLO, 6, 0, b"abc"), false));
        assert_eq!(guard.release().len(), MAX_HELD);
        assert!(passes(&mut guard, &message(CLIENT_HELLO, 6, 3, b"def"), false));
    }

    #[test]
    fn a_datagram_too_large_for_a_handshake_is_dropped_until_the_session_is_established() {
        let datagram = vec![0x16; MAX_HANDSHAKE_DATAGRAM + 1];
        let mut guard = Guard::new(DtlsRole::Client);
        assert!(matches!(guard.inspect(&datagram, true, false).verdict, Verdict::Drop));
        assert!(matches!(guard.inspect(&datagram, true, true).verdict, Verdict::Pass(_)));
    }
}
