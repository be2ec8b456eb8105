//! What a datagram says about whom it is for, without taking it apart.

use proto_ice::addressed_username_fragment;

/// A STUN transaction id (RFC 8489 §5).
pub(super) type TransactionId = [u8; 12];

/// Whom a datagram on a shared socket names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Peek<'a> {
    /// A STUN request with the username fragment of its receiver (RFC 8445 §7.2.2: `REMOTE:LOCAL` as the sender sees it).
    Request { username_fragment: &'a str },
    /// A STUN success or error response.
    Response { transaction: TransactionId },
    /// Anything that only its source tells apart: a STUN indication, DTLS.
    BySource,
    /// Nothing of ours (RFC 7983 §7).
    Foreign,
}

const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// RFC 8839 §5.4: no fragment is longer, in characters.
const MAX_FRAGMENT: usize = 256;

/// Looks at a datagram that has arrived.
pub(super) fn peek(datagram: &[u8]) -> Peek<'_> {
    match datagram.first() {
        Some(0..=3) => peek_stun(datagram).unwrap_or(Peek::Foreign),
        Some(20..=63) => Peek::BySource,
        _ => Peek::Foreign,
    }
}

/// The transaction id of a STUN request that is about to be sent.
pub(super) fn request_transaction(datagram: &[u8]) -> Option<TransactionId> {
    let (class, transaction) = header(datagram)?;
    (class == Class::Request).then_some(transaction)
}

fn peek_stun(datagram: &[u8]) -> Option<Peek<'_>> {
    let (class, transaction) = header(datagram)?;
    match class {
        Class::Request => {
            let username_fragment = addressed_username_fragment(datagram)?;
            (username_fragment.len() <= MAX_FRAGMENT).then_some(Peek::Request { username_fragment })
        }
        Class::Response => Some(Peek::Response { transaction }),
        Class::Indication => Some(Peek::BySource),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Request,
    Indication,
    Response,
}

/// RFC 8489 §5: the class is in bits 4 and 8 of the type.
fn header(datagram: &[u8]) -> Option<(Class, TransactionId)> {
    let (&[first, second, _, _, a, b, c, d, ref transaction @ ..], _) = datagram.split_first_chunk::<20>()?;
    if first > 3 || [a, b, c, d] != MAGIC_COOKIE {
        return None;
    }
    let class = match (first & 1, second & 0x10) {
        (0, 0) => Class::Request,
        (0, _) => Class::Indication,
        _ => Class::Response,
    };
    Some((class, *transaction))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(first: u8, second: u8, attributes: &[u8]) -> Vec<u8> {
        let mut message = vec![first, second, 0, u8::try_from(attributes.len()).unwrap()];
        message.extend(MAGIC_COOKIE);
        message.extend([7; 12]);
        message.extend(attributes);
        message
    }

    #[test]
    fn a_binding_request_names_the_fragment_before_the_colon() {
        let request = message(0, 1, b"\x80\x22\x00\x01x\0\0\0\x00\x06\x00\x07abcd:ef\0");
        assert_eq!(peek(&request), Peek::Request { username_fragment: "abcd" });
        assert_eq!(request_transaction(&request), Some([7; 12]));
    }

    #[test]
    fn responses_go_by_transaction_and_the_rest_by_source() {
        assert_eq!(peek(&message(1, 1, b"")), Peek::Response { transaction: [7; 12] });
        assert_eq!(peek(&message(1, 0x11, b"")), Peek::Response { transaction: [7; 12] });
        assert_eq!(peek(&message(0, 0x11, b"")), Peek::BySource);
        assert_eq!(peek(&[22, 254, 253]), Peek::BySource);
        assert_eq!(request_transaction(&message(1, 1, b"")), None);
    }

    #[test]
    fn what_is_cut_short_or_foreign_names_nobody() {
        let request = message(0, 1, b"\x00\x06\x00\x07abcd:ef\0");
        for length in 0..request.len() {
            assert!(matches!(peek(&request[..length]), Peek::Foreign | Peek::Request { .. }), "{length}");
        }
        for first in (4..20).chain(64..=255) {
            assert_eq!(peek(&[first; 40]), Peek::Foreign);
        }
    }
}
