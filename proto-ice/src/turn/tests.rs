//! The wire: hand-written vectors, those of RFC 5769, and everything cut and flipped.

use stun_types::message::MessageClass;

use super::credentials::{IntegrityKind, KeyDerivation, SecurityFeatures, TurnCredentials};
use super::framing::{ChannelData, FrameReader, Framing, FramingError};
use super::message::{MessageWriter, TurnMessage, TurnMethod, attribute};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

/// An Allocate success response, written by hand: XOR-RELAYED-ADDRESS 192.0.2.15:50000, LIFETIME 1200, XOR-MAPPED-ADDRESS 192.0.2.1:7000.
const ALLOCATE_SUCCESS: &str = "0103 0020 2112a442 000102030405060708090a0b
    0016 0008 0001 e242 e112a64d  000d 0004 000004b0  0020 0008 0001 3a4a e112a643";

/// A Data indication, written by hand: from 192.0.2.150:32102, "hello".
const DATA_INDICATION: &str = "0017 0018 2112a442 6ed1aa3b8c01020304050607
    0012 0008 0001 5c74 e112a6d4  0013 0005 68656c6c6f 000000";

#[test]
fn a_hand_written_allocate_response_is_read() {
    let message = bytes(ALLOCATE_SUCCESS);
    let message = TurnMessage::parse(&message).unwrap();
    assert_eq!((message.class, message.method), (MessageClass::Success, TurnMethod::Allocate));
    assert_eq!(message.address(attribute::XOR_RELAYED_ADDRESS), Some("192.0.2.15:50000".parse().unwrap()));
    assert_eq!(message.address(attribute::XOR_MAPPED_ADDRESS), Some("192.0.2.1:7000".parse().unwrap()));
    assert_eq!(message.number(attribute::LIFETIME), Some(1_200));
    assert!(!message.has_integrity() && !message.has_unknown_attributes());
}

#[test]
fn a_hand_written_data_indication_is_read_without_its_padding() {
    let datagram = bytes(DATA_INDICATION);
    let message = TurnMessage::parse(&datagram).unwrap();
    assert_eq!((message.class, message.method), (MessageClass::Indication, TurnMethod::Data));
    assert_eq!(message.address(attribute::XOR_PEER_ADDRESS), Some("192.0.2.150:32102".parse().unwrap()));
    assert_eq!(&datagram[message.data().unwrap()], b"hello");
}

#[test]
fn addresses_of_both_families_survive_writing_and_reading() {
    for address in ["192.0.2.1:1", "[2001:db8::1]:65535"] {
        let address = address.parse().unwrap();
        let mut writer = MessageWriter::new(MessageClass::Request, TurnMethod::ChannelBind, 7.into());
        writer.address(attribute::XOR_PEER_ADDRESS, address);
        writer.address(attribute::ALTERNATE_SERVER, address);
        let message = writer.finish().unwrap();
        let message = TurnMessage::parse(&message).unwrap();
        assert_eq!(message.address(attribute::XOR_PEER_ADDRESS), Some(address));
        assert_eq!(message.address(attribute::ALTERNATE_SERVER), Some(address));
    }
}

/// RFC 8489 §9.2.2: the example of the key; §18.5.1 for SHA-256. The HMACs over a known message tell whether the keys are right.
#[test]
fn rfc_5769_section_2_4_the_sample_request_with_long_term_credentials_is_authentic() {
    let datagram = bytes(
        "0001 0060 2112a442 78ad3433c6ad72c029da412e
         0006 0012 e3839ee38388e383aae38383e382afe382b9 0000
         0015 001c 662f2f3439396b39353464364f4c33346f4c39465354767936347341
         0014 000b 6578616d706c652e6f7267 00
         0008 0014 f67024656dd64a3e02b8e0712e85c9a28ca89666",
    );
    let message = TurnMessage::parse(&datagram).unwrap();
    assert_eq!(message.text(attribute::REALM), Some("example.org"));
    let user = "\u{30de}\u{30c8}\u{30ea}\u{30c3}\u{30af}\u{30b9}";
    let key = |password: &str| {
        TurnCredentials::new(user, password).key("example.org", KeyDerivation::Md5, IntegrityKind::Sha1)
    };
    assert!(message.is_authentic(&key("TheMatrIX")));
    assert!(!message.is_authentic(&key("TheMatrix")));
}

#[test]
fn each_kind_of_key_authenticates_what_it_has_protected_and_nothing_else() {
    let credentials = TurnCredentials::new("user", "pass");
    let kinds = [
        (KeyDerivation::Md5, IntegrityKind::Sha1),
        (KeyDerivation::Md5, IntegrityKind::Sha256),
        (KeyDerivation::Sha256, IntegrityKind::Sha256),
    ];
    for (derivation, integrity) in kinds {
        let mut writer = MessageWriter::new(MessageClass::Success, TurnMethod::Refresh, 7.into());
        writer.number(attribute::LIFETIME, 600);
        writer.integrity(&credentials.key("realm", derivation, integrity));
        let datagram = writer.finish().unwrap();
        let message = TurnMessage::parse(&datagram).unwrap();
        for (other_derivation, other_integrity) in kinds {
            let is_same = (other_derivation, other_integrity) == (derivation, integrity);
            let key = credentials.key("realm", other_derivation, other_integrity);
            assert_eq!(message.is_authentic(&key), is_same);
        }
        // RFC 8489 §9.2.2: without quotes and trailing nulls.
        assert!(message.is_authentic(&credentials.key("\"realm\"\0", derivation, integrity)));
        for bit in 0..datagram.len() * 8 {
            let mut flipped = datagram.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let key = credentials.key("realm", derivation, integrity);
            let passes = TurnMessage::parse(&flipped).is_some_and(|message| message.is_authentic(&key));
            // Only a flip that turns the fingerprint into something unknown behind the integrity may pass.
            assert!(!passes || bit / 8 >= datagram.len() - 8, "bit {bit}");
        }
    }
}

#[test]
fn what_follows_the_integrity_is_ignored() {
    let credentials = TurnCredentials::new("user", "pass");
    let key = credentials.key("realm", KeyDerivation::Md5, IntegrityKind::Sha1);
    let mut writer = MessageWriter::new(MessageClass::Success, TurnMethod::Refresh, 7.into());
    writer.integrity(&key);
    writer.number(attribute::LIFETIME, 9);
    let datagram = writer.finish().unwrap();
    let message = TurnMessage::parse(&datagram).unwrap();
    assert_eq!(message.number(attribute::LIFETIME), None);
    assert!(message.is_authentic(&key));
}

#[test]
fn a_truncated_hmac_is_malformed() {
    let mut writer = MessageWriter::new(MessageClass::Success, TurnMethod::Refresh, 7.into());
    writer.attribute(attribute::MESSAGE_INTEGRITY_SHA256, &[0; 16]);
    assert!(TurnMessage::parse(&writer.finish().unwrap()).is_none());
}

#[test]
fn truncation_at_any_byte_is_noticed_and_no_flip_panics() {
    for hex in [ALLOCATE_SUCCESS, DATA_INDICATION] {
        let datagram = bytes(hex);
        for end in 0..datagram.len() {
            assert!(TurnMessage::parse(&datagram[..end]).is_none());
        }
        for bit in 0..datagram.len() * 8 {
            let mut flipped = datagram.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Some(message) = TurnMessage::parse(&flipped) {
                let addresses = message.addresses(attribute::XOR_RELAYED_ADDRESS).count();
                assert!(addresses <= 1 && message.data().is_none_or(|data| data.end <= flipped.len()));
            }
        }
    }
}

/// RFC 8489 §9.2: 24 bits in base64, the first being the most significant of the first byte.
#[test]
fn the_nonce_cookie_tells_the_security_features() {
    for (nonce, password_algorithms, username_anonymity) in [
        ("obMatJos2AAAArest", false, false),
        ("obMatJos2gAAA", true, false),
        ("obMatJos2QAAA", false, true),
        ("obMatJos2wAAArest", true, true),
        ("obMatJos2w", false, false),
        ("obMatJos2w%AA", false, false),
        ("obmatjos2wAAA", false, false),
        ("", false, false),
    ] {
        let features = SecurityFeatures { password_algorithms, username_anonymity };
        assert_eq!(SecurityFeatures::of_nonce(nonce), features, "{nonce}");
        assert_eq!(SecurityFeatures::of_nonce(&features.cookie()), features);
    }
}

/// Item 41 (RFC 8656 §12.5): (4 + length) rounded up to a multiple of 4, in the stream only.
#[test]
fn item_41_channel_data_is_padded_in_a_stream_and_not_in_a_datagram() {
    for (length, padding) in [(0, 0), (1, 3), (2, 2), (3, 1), (4, 0), (5, 3), (1_199, 1)] {
        assert_eq!(Framing::Stream.padding(length), padding);
        assert_eq!(Framing::Datagrams.padding(length), 0);
    }
}

#[test]
fn channel_data_with_and_without_padding_is_read_alike() {
    let padded = bytes("4001 0005 68656c6c6f 000000");
    for message in [&padded[..9], &padded[..]] {
        assert_eq!(ChannelData::parse(message), Some(ChannelData { channel: 0x4001, payload: 4..9 }));
    }
    assert_eq!(ChannelData::parse(&padded[..8]), None);
    assert_eq!(ChannelData::parse(&bytes("4fff 0000")), Some(ChannelData { channel: 0x4fff, payload: 4..4 }));
    assert_eq!(ChannelData::parse(&bytes("5000 0000")), None);
}

/// Item 41: a stream written by hand, cut at every place.
#[test]
fn item_41_a_stream_is_cut_into_its_messages_wherever_it_is_torn() {
    let messages = [bytes("4000 0005 68656c6c6f"), bytes(DATA_INDICATION), bytes("4fff 0000"), bytes("4001 0002 6869")];
    let stream: Vec<u8> = messages
        .iter()
        .flat_map(|message| [message.clone(), vec![0; message.len().next_multiple_of(4) - message.len()]].concat())
        .collect();
    for torn in 0..=stream.len() {
        let mut reader = FrameReader::default();
        let mut found = Vec::new();
        for part in [&stream[..torn], &stream[torn..]] {
            reader.push(part);
            while let Some(frame) = reader.next_frame().unwrap() {
                found.push(frame.to_vec());
            }
        }
        assert_eq!(found, messages, "torn at {torn}");
        assert_eq!(reader.pending(), 0);
    }
}

#[test]
fn a_stream_that_is_neither_stun_nor_channel_data_is_broken_for_good() {
    for hex in ["5000 0000", "ffff ffff", "0101 0003", "8000 0000", "0101 0000 2112a443"] {
        let mut reader = FrameReader::default();
        reader.push(&bytes(hex));
        assert_eq!(reader.next_frame(), Err(FramingError), "{hex}");
        reader.push(&bytes("4000 0000"));
        assert_eq!(reader.next_frame(), Err(FramingError));
        assert_eq!(reader.pending(), 0);
    }
}

#[test]
fn the_longest_frame_is_all_that_a_reader_holds() {
    let mut reader = FrameReader::default();
    reader.push(&bytes("4000 ffff"));
    for _ in 0..65_534 {
        reader.push(&[0]);
        assert_eq!(reader.next_frame(), Ok(None));
    }
    reader.push(&[0, 0]);
    assert_eq!(reader.next_frame().unwrap().map(<[u8]>::len), Some(65_539));
    assert_eq!(reader.pending(), 0);
}
