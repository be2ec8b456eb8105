//! RFC 5769's vectors, and everything that must not pass.

use super::read::FingerprintPresence;
use super::{CheckRequest, Nominate, StunBuffer, StunDefect, StunKey, StunMessage, addressed_username_fragment};
use crate::IceRole;

/// RFC 5769 §2.1.
const REQUEST: &str = "00010058 2112a442 b7e7a701 bc34d686 fa87dfae 80220010 5354554e 20746573 7420636c 69656e74 00240004 6e0001ff \
                       80290008 932ff9b1 51263b36 00060009 6576746a 3a683676 59202020 00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 \
                       c1b571a2 80280004 e57a3bcf";
/// RFC 5769 §2.2.
const IPV4_RESPONSE: &str = "0101003c 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220 00200008 0001a147 e112a643 \
                             00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7 80280004 c07d4c96";
/// RFC 5769 §2.3.
const IPV6_RESPONSE: &str = "01010048 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220 00200014 0002a147 0113a9fa \
                             a5d3f179 bc25f4b5 bed2b9d9 00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41 80280004 c8fb0b4c";
const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn check(key: &StunKey) -> StunBuffer {
    let request = CheckRequest {
        transaction: 7.into(),
        remote_fragment: "evtj",
        local_fragment: "h6vY",
        priority: 0x6e00_01ff,
        role: IceRole::Controlling,
        tie_breaker: 0x932f_f9b1_5126_3b36,
        nominate: Nominate::Yes,
    };
    StunBuffer::check(&request, key).unwrap()
}

/// Puts an attribute behind the message, and makes the length in the header count it.
fn with_attribute(mut message: Vec<u8>, kind: u16, value: &[u8]) -> Vec<u8> {
    message.extend(kind.to_be_bytes());
    message.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
    set_length(&mut message);
    message
}

fn set_length(message: &mut [u8]) {
    let length = u16::try_from(message.len() - 20).unwrap();
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

fn without_fingerprint(message: &[u8]) -> Vec<u8> {
    let mut message = message[..message.len() - 8].to_vec();
    set_length(&mut message);
    message
}

/// Adds the FINGERPRINT that fits.
fn fingerprinted(message: Vec<u8>) -> Vec<u8> {
    let mut message = with_attribute(message, 0x8028, &[0; 4]);
    let end = message.len() - 8;
    let crc = u32::from_be_bytes(stun_types::attribute::Fingerprint::compute(&[&message[..end]]));
    message[end + 4..].copy_from_slice(&(crc ^ 0x5354_554e).to_be_bytes());
    message
}

#[test]
fn rfc_5769_section_2_1_the_sample_request_is_understood_and_authentic() {
    let datagram = bytes(REQUEST);
    let message = StunMessage::parse(&datagram).unwrap();
    assert_eq!(message.username, Some("evtj:h6vY"));
    assert_eq!(message.priority, Some(0x6e00_01ff));
    assert_eq!(message.controlled, Some(0x932f_f9b1_5126_3b36));
    assert_eq!(message.fingerprint, FingerprintPresence::Present);
    assert!(message.is_authentic(&StunKey::new(PASSWORD)));
    assert!(!message.is_authentic(&StunKey::new("VOkJxbRl1RmTxUk/WvJxBu")));
}

#[test]
fn rfc_5769_sections_2_2_and_2_3_the_sample_responses_are_understood_and_authentic() {
    for (hex, mapped) in
        [(IPV4_RESPONSE, "192.0.2.1:32853"), (IPV6_RESPONSE, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
    {
        let datagram = bytes(hex);
        let message = StunMessage::parse(&datagram).unwrap();
        assert_eq!(message.mapped_address, Some(mapped.parse().unwrap()));
        assert!(message.is_authentic(&StunKey::new(PASSWORD)));
    }
}

#[test]
fn a_written_check_is_read_back_as_it_was_meant() {
    let key = StunKey::new(PASSWORD);
    let buffer = check(&key);
    let message = StunMessage::parse(buffer.bytes()).unwrap();
    assert_eq!(message.username, Some("evtj:h6vY"));
    assert_eq!(message.priority, Some(0x6e00_01ff));
    assert_eq!(message.controlling, Some(0x932f_f9b1_5126_3b36));
    assert_eq!(message.controlled, None);
    assert!(message.use_candidate);
    assert!(message.is_authentic(&key));
}

#[test]
fn the_longest_fragments_fit_into_a_check() {
    let key = StunKey::new(PASSWORD);
    let (remote_fragment, local_fragment) = ("r".repeat(256), "l".repeat(8));
    let request = CheckRequest {
        transaction: 7.into(),
        remote_fragment: &remote_fragment,
        local_fragment: &local_fragment,
        priority: 1,
        role: IceRole::Controlled,
        tie_breaker: 1,
        nominate: Nominate::Yes,
    };
    let buffer = StunBuffer::check(&request, &key).unwrap();
    assert!(StunMessage::parse(buffer.bytes()).unwrap().is_authentic(&key));
}

/// RFC 8839 §5.4: two fragments of at most 256 characters, and the colon.
#[test]
fn a_username_that_is_longer_than_two_fragments_can_be_is_malformed() {
    let with_username = |length: usize| {
        let header = bytes("00010000 2112a442 00000000 00000000 00000007");
        fingerprinted(with_attribute(header, 0x0006, "u".repeat(length).as_bytes()))
    };
    let longest = with_username(513);
    assert_eq!(StunMessage::parse(&longest).unwrap().username.map(str::len), Some(513));
    for length in [514, 763, 1_100] {
        assert_eq!(StunMessage::parse(&with_username(length)).unwrap_err(), StunDefect::Malformed, "{length}");
    }
}

/// Item 4 (RFC 8445 §7.2.4): absence is visible, a wrong one is an error.
#[test]
fn item_04_a_missing_fingerprint_is_noticed_and_a_wrong_one_is_refused() {
    let datagram = bytes(REQUEST);
    let bare = without_fingerprint(&datagram);
    assert_eq!(StunMessage::parse(&bare).unwrap().fingerprint, FingerprintPresence::Absent);
    let mut wrong = datagram;
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(StunMessage::parse(&wrong).unwrap_err(), StunDefect::WrongFingerprint);
}

/// Item 4: no magic cookie, no STUN.
#[test]
fn item_04_messages_of_rfc_3489_are_not_understood() {
    let mut datagram = bytes(REQUEST);
    datagram[4] ^= 0xff;
    assert_eq!(StunMessage::parse(&datagram).unwrap_err(), StunDefect::Malformed);
}

/// Item 5 (RFC 8489 §14.5).
#[test]
fn item_05_attributes_behind_the_integrity_are_ignored() {
    let key = StunKey::new(PASSWORD);
    let plain = without_fingerprint(&bytes(REQUEST));
    let use_candidate = fingerprinted(with_attribute(plain.clone(), 0x0025, &[]));
    let unknown = fingerprinted(with_attribute(plain.clone(), 0x7fff, &[1, 2, 3]));
    let sha256 = fingerprinted(with_attribute(plain.clone(), 0x001c, &[0; 32]));
    let second = fingerprinted(with_attribute(plain, 0x0008, &[0; 20]));
    for datagram in [use_candidate, unknown, sha256, second] {
        let message = StunMessage::parse(&datagram).unwrap();
        assert!(!message.use_candidate);
        assert!(message.unknown.is_empty());
        assert!(message.is_authentic(&key));
    }
}

/// Item 5 (RFC 8489 §6.3).
#[test]
fn item_05_unknown_attributes_are_listed_if_they_must_be_understood() {
    let header = bytes("00010000 2112a442 00000000 00000000 00000007");
    let optional = with_attribute(header, 0xc057, &[0; 4]);
    let required = with_attribute(optional, 0x7fff, &[0; 4]);
    let message = StunMessage::parse(&required).unwrap();
    assert_eq!(message.unknown, [0x7fff.into()]);
}

#[test]
fn the_list_of_unknown_attributes_is_bounded() {
    let mut message = bytes("00010000 2112a442 00000000 00000000 00000007");
    for kind in 0x7000..0x7100 {
        message = with_attribute(message, kind, &[]);
    }
    assert_eq!(StunMessage::parse(&message).unwrap().unknown.len(), 8);
}

#[test]
fn trailing_bytes_coalesced_messages_and_odd_lengths_are_malformed() {
    let datagram = bytes(REQUEST);
    let trailing = [&datagram[..], &[0; 4]].concat();
    let coalesced = [&datagram[..], &datagram[..]].concat();
    let mut odd = [&datagram[..20], &[0x80, 0x22, 0, 1, 0]].concat();
    set_length(&mut odd);
    let header = bytes("00010000 2112a442 00000000 00000000 00000007");
    let attribute_behind_the_end = [&header[..], &[0x80, 0x22, 0, 0]].concat();
    for malformed in [trailing, coalesced, odd, attribute_behind_the_end] {
        assert_eq!(StunMessage::parse(&malformed).unwrap_err(), StunDefect::Malformed);
    }
}

/// RFC 8489 §14.7: the fingerprint is the last attribute, even if it is right for a message with another behind it.
#[test]
fn an_attribute_behind_the_fingerprint_is_malformed() {
    let mut message = with_attribute(bytes("00010000 2112a442 00000000 00000000 00000007"), 0x8028, &[0; 4]);
    message = with_attribute(message, 0x8022, &[0; 4]);
    let crc = u32::from_be_bytes(stun_types::attribute::Fingerprint::compute(&[&message[..20]]));
    message[24..28].copy_from_slice(&(crc ^ 0x5354_554e).to_be_bytes());
    assert_eq!(StunMessage::parse(&message).unwrap_err(), StunDefect::Malformed);
}

#[test]
fn attributes_of_the_wrong_length_are_malformed() {
    let header = bytes("00010000 2112a442 00000000 00000000 00000007");
    for (kind, length) in [(0x0024, 3), (0x0025, 4), (0x8029, 4), (0x802a, 9), (0x0008, 19), (0x0020, 7), (0x0009, 3)] {
        let datagram = with_attribute(header.clone(), kind, &vec![0; length]);
        assert_eq!(StunMessage::parse(&datagram).unwrap_err(), StunDefect::Malformed, "attribute {kind:#06x}");
    }
}

#[test]
fn of_two_attributes_of_one_type_the_first_counts() {
    let header = bytes("00010000 2112a442 00000000 00000000 00000007");
    let message = with_attribute(with_attribute(header, 0x0024, &[0, 0, 0, 1]), 0x0024, &[0, 0, 0, 2]);
    assert_eq!(StunMessage::parse(&message).unwrap().priority, Some(1));
}

#[test]
fn other_methods_are_not_ours() {
    let allocate = bytes("00030000 2112a442 00000000 00000000 00000007");
    assert_eq!(StunMessage::parse(&allocate).unwrap_err(), StunDefect::UnknownMethod);
}

#[test]
fn truncation_at_any_byte_and_any_flipped_bit_is_noticed() {
    let key = StunKey::new(PASSWORD);
    for hex in [REQUEST, IPV4_RESPONSE, IPV6_RESPONSE] {
        let datagram = bytes(hex);
        for end in 0..datagram.len() {
            assert!(StunMessage::parse(&datagram[..end]).is_err());
        }
        for bit in 0..datagram.len() * 8 {
            let mut flipped = datagram.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(message) = StunMessage::parse(&flipped) {
                // Only a flip that hides the fingerprint itself can get here; integrity or the missing fingerprint gives it away.
                assert!(
                    message.fingerprint == FingerprintPresence::Absent || !message.is_authentic(&key),
                    "bit {bit} of {hex}"
                );
            }
        }
    }
}

#[test]
fn keys_do_not_print_themselves() {
    assert_eq!(format!("{:?}", StunKey::new(PASSWORD)), "StunKey(..)");
}

#[test]
fn a_check_tells_whom_it_is_meant_for_and_nothing_else_does() {
    assert_eq!(addressed_username_fragment(&bytes(REQUEST)), Some("evtj"));
    assert_eq!(addressed_username_fragment(&bytes(IPV4_RESPONSE)), None);
    assert_eq!(addressed_username_fragment(&[22; 100]), None);
    assert_eq!(addressed_username_fragment(&[]), None);
}
