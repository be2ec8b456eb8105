//! A look at plaintext records, before the library sees them (RFC 6347 §4.1, RFC 9147 §4).

/// Content types (RFC 5246 §6.2.1).
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
/// Handshake types (RFC 5246 §7.4, RFC 6347 §4.2.2).
pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_HELLO: u8 = 2;
pub(super) const HELLO_VERIFY_REQUEST: u8 = 3;
/// Bytes of the header of a plaintext record: type, version, epoch, sequence number, length.
const RECORD_HEADER_SIZE: usize = 13;
/// Bytes of the header of a handshake message: type, length, sequence number, offset and length of the fragment.
const MESSAGE_HEADER_SIZE: usize = 12;

/// A record with a plaintext header; its payload may be encrypted, as in all of DTLS 1.2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) content_type: u8,
    pub(super) epoch: u16,
    pub(super) payload: &'a [u8],
    /// Header and payload.
    pub(super) bytes: &'a [u8],
}

/// The record at the beginning of `bytes`; `None` if it has a unified header (RFC 9147 §4) or is truncated.
pub(super) fn first(bytes: &[u8]) -> Option<Record<'_>> {
    let content_type = *bytes.first()?;
    // RFC 9147 §4.1: 20 to 26 are types of plaintext records, 32 to 63 begin a unified header.
    if !(20..=26).contains(&content_type) {
        return None;
    }
    let end = RECORD_HEADER_SIZE + usize::from(u16_at(bytes, 11)?);
    Some(Record {
        content_type,
        epoch: u16_at(bytes, 3)?,
        payload: bytes.get(RECORD_HEADER_SIZE..end)?,
        bytes: bytes.get(..end)?,
    })
}

/// The beginning of a handshake message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) message_type: u8,
    /// Bytes in the whole message.
    pub(super) length: usize,
    pub(super) fragment_offset: usize,
    /// What of the message is in this fragment.
    pub(super) fragment: &'a [u8],
}

/// The first plaintext handshake message in a datagram.
pub(super) fn first_message(datagram: &[u8]) -> Option<Message<'_>> {
    let record = first(datagram).filter(|record| record.content_type == HANDSHAKE && record.epoch == 0)?;
    let fragment_length = u24_at(record.payload, 9)?;
    Some(Message {
        message_type: *record.payload.first()?,
        length: u24_at(record.payload, 1)?,
        fragment_offset: u24_at(record.payload, 6)?,
        fragment: record.payload.get(MESSAGE_HEADER_SIZE..MESSAGE_HEADER_SIZE + fragment_length)?,
    })
}

/// The suite that a ServerHello at the beginning of a datagram selects.
pub(super) fn server_hello_suite(datagram: &[u8]) -> Option<crate::CipherSuite> {
    let message = first_message(datagram)
        .filter(|message| message.message_type == SERVER_HELLO && message.fragment_offset == 0)?;
    // RFC 5246 §7.4.1.3: version 2, random 32, session id, cipher suite.
    let session_id = usize::from(*message.fragment.get(34)?);
    u16_at(message.fragment, 35 + session_id).map(crate::CipherSuite)
}

/// Whether a ClientHello at the beginning of a datagram offers a suite. The suites stand in front of everything that makes a ClientHello long.
pub(super) fn client_hello_offers(datagram: &[u8], suite: u16) -> bool {
    let offered = || {
        let message = first_message(datagram)
            .filter(|message| message.message_type == CLIENT_HELLO && message.fragment_offset == 0)?;
        // RFC 6347 §4.2.1: version 2, random 32, session id, cookie, cipher suites.
        let cookie = 35 + usize::from(*message.fragment.get(34)?);
        let suites = cookie + 1 + usize::from(*message.fragment.get(cookie)?);
        let length = usize::from(u16_at(message.fragment, suites)?);
        message.fragment.get(suites + 2..suites + 2 + length)
    };
    let suites = offered().unwrap_or_default();
    (0..suites.len()).step_by(2).any(|offset| u16_at(suites, offset) == Some(suite))
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn u24_at(bytes: &[u8], offset: usize) -> Option<usize> {
    let &[high, middle, low] = bytes.get(offset..)?.first_chunk()?;
    Some(usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low))
}
