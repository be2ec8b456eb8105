//! Values that cannot be wrong.

use proto_sdp::{
    Attribute, ComponentId, Fingerprint, HashFunction, IceOptions, IcePacing, MaxMessageSize, Mid, Origin, Password,
    Priority, Protocol, SctpInit, SctpPort, Text, TlsId, Token, UsernameFragment,
};

#[test]
fn a_username_fragment_has_4_to_256_ice_characters() {
    for (text, valid) in [
        ("abc".to_owned(), false),
        ("abcd".to_owned(), true),
        ("a+/9".to_owned(), true),
        ("a".repeat(256), true),
        ("a".repeat(257), false),
        ("abc d".to_owned(), false),
        ("abc:d".to_owned(), false),
        ("äbcd".to_owned(), false),
    ] {
        assert_eq!(UsernameFragment::new(&text).is_ok(), valid, "{text}");
    }
}

#[test]
fn a_password_has_22_to_256_ice_characters_and_is_not_shown() {
    assert!(Password::new(&"a".repeat(21)).is_err());
    assert!(Password::new(&"a".repeat(256)).is_ok());
    assert!(Password::new(&"a".repeat(257)).is_err());
    let password = Password::new(&"secret".repeat(4)).unwrap();
    assert!(!format!("{password:?}").contains("secret"));
}

#[test]
fn a_fingerprint_has_the_length_of_its_hash() {
    for function in
        [HashFunction::Sha1, HashFunction::Sha224, HashFunction::Sha256, HashFunction::Sha384, HashFunction::Sha512]
    {
        let bytes = vec![0xa5; function.output_length()];
        let fingerprint = Fingerprint::new(function, &bytes).unwrap();
        let text = fingerprint.to_string();
        assert!(text.starts_with(&format!("{} A5:A5", function.as_str())));
        assert_eq!(text.parse::<Fingerprint>().unwrap(), fingerprint);
        assert!(Fingerprint::new(function, &bytes[1..]).is_err());
    }
}

#[test]
fn a_fingerprint_is_read_in_any_case() {
    let upper = Fingerprint::new(HashFunction::Sha1, &[0xab; 20]).unwrap();
    let mixed = upper.to_string().replace("sha", "SHA").replace("AB", "aB");
    assert_eq!(mixed.parse::<Fingerprint>().unwrap(), upper);
}

#[test]
fn tokens_mids_and_protocols_take_no_separators() {
    for text in ["", "a b", "a\r\nb", "a:b", "a/b", "ä", "a\0"] {
        assert!(Token::new(text).is_err(), "{text:?}");
        assert!(Mid::new(text).is_err(), "{text:?}");
    }
    assert!(Mid::new(&"m".repeat(256)).is_ok());
    assert!(Mid::new(&"m".repeat(257)).is_err());
    for (text, valid) in [("UDP/TLS/RTP/SAVPF", true), ("UDP//RTP", false), ("/", false)] {
        assert_eq!(Protocol::new(text).is_ok(), valid, "{text}");
    }
}

#[test]
fn text_takes_no_line_ends() {
    for text in ["a\r\na=ice-ufrag:evil", "a\n", "\r", "\0"] {
        assert!(Text::new(text).is_err(), "{text:?}");
        assert!(Attribute::new("x", Some(text)).is_err(), "{text:?}");
    }
}

#[test]
fn an_attribute_with_a_typed_field_cannot_be_made_by_name() {
    for name in ["candidate", "mid", "setup", "fingerprint", "sendrecv", "group"] {
        assert!(Attribute::new(name, Some("x")).is_err(), "{name}");
    }
    assert!(Attribute::new("rtpmap", Some("96 VP8/90000")).is_ok());
}

#[test]
fn max_message_size_zero_means_any_size() {
    assert_eq!("0".parse(), Ok(MaxMessageSize::Unlimited));
    assert_eq!(MaxMessageSize::DEFAULT.to_wire(), 65536);
    assert_eq!(MaxMessageSize::from_wire(1).to_wire(), 1);
    assert_eq!("18446744073709551615".parse::<MaxMessageSize>().unwrap().to_wire(), u64::MAX);
    assert!("18446744073709551616".parse::<MaxMessageSize>().is_err());
}

#[test]
fn sctp_port_zero_closes() {
    assert!("0".parse::<SctpPort>().unwrap().is_closed());
    assert!(!"5000".parse::<SctpPort>().unwrap().is_closed());
}

#[test]
fn candidate_numbers_have_ranges() {
    assert!(ComponentId::new(0).is_err() && ComponentId::new(257).is_err());
    assert!(Priority::new(0).is_err() && Priority::new(1 << 31).is_err());
}

#[test]
fn ice_options_are_a_set_in_order() {
    let options: IceOptions = "trickle  renomination trickle".parse().unwrap();
    assert_eq!(options.to_string(), "trickle renomination");
    assert!(options.trickle() && options.renomination() && !options.ice2());
    let common = IceOptions::trickle_ice2().intersection(&options);
    assert_eq!(common.to_string(), "trickle");
    assert!(IceOptions::none().with("a b").is_err());
}

#[test]
fn ice_pacing_has_ten_digits_at_most() {
    assert_eq!("50".parse::<IcePacing>().unwrap().milliseconds(), 50);
    assert!("10000000000".parse::<IcePacing>().is_err());
    assert!(IcePacing::from_milliseconds(10_000_000_000).is_err());
}

#[test]
fn a_tls_id_has_20_to_255_characters() {
    assert!(TlsId::new(&"a".repeat(19)).is_err());
    assert!(TlsId::new(&"a-_+/".repeat(4)).is_ok());
    assert!(TlsId::new(&"a".repeat(256)).is_err());
}

#[test]
fn a_session_id_fits_a_signed_number() {
    let origin = Origin::new(u64::MAX, 1);
    let id: i64 = origin.session_id().parse().unwrap();
    assert!(id < i64::MAX);
    assert_eq!(Origin::new(5, 7).session_id(), "5");
    assert_eq!(Origin::new(5, 7).session_version(), 7);
}

#[test]
fn an_init_chunk_is_base64() {
    // draft-hancke-tsvwg-snap-00 §4.1
    let text = "AQAAHols3R0AUAAA/////+B5ZR3AAAAEgAgABoLA";
    let init: SctpInit = text.parse().unwrap();
    assert_eq!(init.bytes()[..8], [1, 0, 0, 30, 0x89, 0x6c, 0xdd, 0x1d]);
    assert_eq!(init.to_string(), text);
    for (bytes, text) in [(&[0xff][..], "/w=="), (&[0xff, 0xfe], "//4="), (&[0, 0, 1], "AAAB")] {
        assert_eq!(SctpInit::new(bytes).unwrap().to_string(), text);
        assert_eq!(text.parse::<SctpInit>().unwrap().bytes(), bytes);
    }
    for text in ["", "A", "AA", "AAA", "A===", "====", "AB==", "AA=A", "A-AA", "AAAA AAAA"] {
        assert!(text.parse::<SctpInit>().is_err(), "{text}");
    }
}
