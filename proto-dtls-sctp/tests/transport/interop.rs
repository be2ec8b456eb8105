//! Both versions of DTLS, against the bare library.

use std::time::Duration;

use dimpl::crypto::Dtls12CipherSuite;
use proto_dtls_sctp::{
    CipherSuite, DtlsRole, DtlsTransportState, DtlsVersion, Message, SctpTransportState, SecureError, SecureEvent,
};

use crate::raw::{Duo, Version, open};

/// Opens a channel from the raw peer and sends a message each way.
fn talk(duo: &mut Duo) {
    duo.associate(16);
    // The raw peer has the role that the transport has not.
    let stream = if duo.transport.role() == Some(DtlsRole::Client) { 1 } else { 0 };
    duo.send_data(stream, 0, 50, &open("label"));
    let Some(&SecureEvent::DataChannel { channel }) =
        duo.events.iter().find(|event| matches!(event, SecureEvent::DataChannel { .. }))
    else {
        panic!("no channel: {:?}", duo.events);
    };
    duo.send_data(stream, 1, 51, b"hello");
    assert!(duo.has(&SecureEvent::Message { channel, message: Message::text("hello") }));
    duo.transport.send(duo.now, channel, Message::text("answer")).unwrap();
    duo.exchange();
    assert!(duo.received(0).iter().any(|data| data.ends_with(b"answer")));
}

#[test]
fn both_versions_are_spoken_in_both_roles_and_the_later_is_preferred() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        for (version, expected) in [
            (Version::Only12, DtlsVersion::Dtls12),
            (Version::Only13, DtlsVersion::Dtls13),
            (Version::Both, DtlsVersion::Dtls13),
        ] {
            let mut duo = Duo::new(version, role);
            talk(&mut duo);
            assert_eq!(duo.transport.dtls_version(), Some(expected), "{version:?}, {role:?}");
            assert!(duo.transport.cipher_suite().and_then(CipherSuite::name).is_some());
        }
    }
}

#[test]
fn chacha20_is_chosen_under_dtls_12_although_the_client_would_rather_have_aes_gcm() {
    let mut duo = Duo::new(Version::Only12, DtlsRole::Client);
    talk(&mut duo);
    assert_eq!(duo.transport.cipher_suite(), Some(CipherSuite(0xCCA9)));
    assert_eq!(duo.transport.statistics().random_nonce_records, 0);
}

#[test]
fn random_nonces_are_counted_and_end_the_session_at_the_limit() {
    let gcm = [Dtls12CipherSuite::ECDHE_ECDSA_AES128_GCM_SHA256];
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let mut duo = Duo::with(
            Version::Only12,
            role,
            |builder| builder.dtls12_cipher_suites(&gcm),
            |config| config.gcm_record_limit = 20,
            |parameters| parameters,
        );
        talk(&mut duo);
        assert_eq!(duo.transport.cipher_suite(), Some(CipherSuite(0xC02B)));
        let sent = duo.transport.statistics().random_nonce_records;
        assert!((1..20).contains(&sent));
        for stream_sequence_number in 2..60 {
            let stream = if role == DtlsRole::Client { 0 } else { 1 };
            if duo.transport.failure().is_none() {
                duo.send_data(stream, stream_sequence_number, 51, b"more");
                duo.rest(Duration::from_millis(250));
            }
        }
        assert_eq!(duo.transport.failure(), Some(&SecureError::NonceLimit { records: 20 }));
        assert_eq!(duo.transport.dtls_state(), DtlsTransportState::Failed);
        assert!(duo.raw.closed, "no close_notify");
        assert_eq!(duo.received(6).len(), 1, "no ABORT");
    }
}

/// A ServerHello that selects ChaCha20-Poly1305 under DTLS 1.2, out of order so that the library ignores it.
fn forged_server_hello() -> Vec<u8> {
    let mut hello = vec![0xFE, 0xFD];
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(&[0, 0xCC, 0xA9, 0]);
    let length = u8::try_from(hello.len()).unwrap();
    let mut message = vec![2, 0, 0, length, 0, 77, 0, 0, 0, 0, 0, length];
    message.extend_from_slice(&hello);
    let mut record = vec![22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 200, 0, u8::try_from(message.len()).unwrap()];
    record.extend_from_slice(&message);
    record
}

#[test]
fn a_forged_server_hello_does_not_hide_that_nonces_are_random() {
    let gcm = [Dtls12CipherSuite::ECDHE_ECDSA_AES128_GCM_SHA256];
    for (role, cookie) in [(DtlsRole::Client, false), (DtlsRole::Server, false), (DtlsRole::Server, true)] {
        let mut duo = Duo::with(
            Version::Only12,
            role,
            |builder| builder.dtls12_cipher_suites(&gcm).use_server_cookie(cookie),
            |_| {},
            |parameters| parameters,
        );
        for _ in 0..20 {
            for datagram in duo.sent() {
                duo.raw.handle(duo.now, &datagram);
            }
            duo.raw.timeout(duo.now);
            for mut datagram in std::mem::take(&mut duo.raw.outgoing) {
                duo.transport.handle_datagram(duo.now, &mut datagram);
                if duo.transport.dtls_state() == DtlsTransportState::Connecting {
                    duo.transport.handle_datagram(duo.now, &mut forged_server_hello());
                }
            }
        }
        talk(&mut duo);
        assert!(duo.transport.statistics().random_nonce_records > 0, "{role:?}, cookie: {cookie}");
        // Behind a cookie the client cannot tell the two apart, and takes the worse for granted.
        if !cookie {
            assert_eq!(duo.transport.cipher_suite(), Some(CipherSuite(0xC02B)), "{role:?}");
        }
    }
}

#[test]
fn a_client_hello_in_fragments_is_put_together() {
    for version in [Version::Only12, Version::Only13, Version::Both] {
        let mut duo = Duo::with(version, DtlsRole::Client, |builder| builder.mtu(120), |_| {}, |parameters| parameters);
        talk(&mut duo);
        assert_eq!(duo.transport.sctp_state(), SctpTransportState::Connected);
    }
}

#[test]
fn a_plaintext_fatal_alert_does_not_end_a_handshake() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        for version in [Version::Only12, Version::Only13, Version::Both] {
            let mut duo = Duo::new(version, role);
            for sequence_number in 0..3 {
                let mut alert = [21, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, sequence_number, 0, 2, 2, 40];
                duo.transport.handle_datagram(duo.now, &mut alert);
                for datagram in duo.sent() {
                    duo.raw.handle(duo.now, &datagram);
                }
                duo.raw.timeout(duo.now);
                for mut datagram in std::mem::take(&mut duo.raw.outgoing) {
                    duo.transport.handle_datagram(duo.now, &mut alert.clone());
                    duo.transport.handle_datagram(duo.now, &mut datagram);
                }
            }
            talk(&mut duo);
            assert!(duo.transport.statistics().plaintext_alerts_dropped > 0);
        }
    }
}

#[test]
fn a_client_survives_first_answers_of_every_kind_of_nonsense() {
    let mut duo = Duo::new(Version::Both, DtlsRole::Server);
    for first in 0..=255 {
        for length in [0, 1, 12, 13, 25, 60] {
            let mut nonsense = vec![first; length];
            duo.transport.handle_datagram(duo.now, &mut nonsense);
        }
    }
    talk(&mut duo);
}

#[test]
fn a_close_notify_of_the_peer_closes_dtls_and_loses_the_association() {
    for version in [Version::Only12, Version::Only13] {
        let mut duo = Duo::new(version, DtlsRole::Client);
        talk(&mut duo);
        duo.events.clear();
        duo.raw.dtls.close().unwrap();
        duo.raw.poll();
        duo.exchange();
        assert_eq!(duo.transport.dtls_state(), DtlsTransportState::Closed);
        assert_eq!(duo.transport.sctp_state(), SctpTransportState::Closed);
        assert_eq!(duo.transport.failure(), None);
        let position = |wanted: fn(&SecureEvent) -> bool| duo.events.iter().position(wanted).unwrap();
        assert!(
            position(|event| matches!(event, SecureEvent::ChannelError { .. }))
                < position(|event| matches!(event, SecureEvent::ChannelClosed { .. }))
        );
        assert!(duo.has(&SecureEvent::DtlsStateChange(DtlsTransportState::Closed)));
    }
}

#[test]
fn a_handshake_that_nobody_answers_fails_after_its_time() {
    let mut pair = crate::common::Pair::new(400, crate::common::Path { loss: 1000, ..Default::default() });
    pair.start(DtlsRole::Client);
    pair.rest(Duration::from_secs(61));
    let client = &pair.ends[crate::common::LEFT].transport;
    assert!(
        matches!(client.failure(), Some(SecureError::Dtls(failure)) if failure.received_alert.is_none()),
        "{client:?}"
    );
    assert_eq!(client.dtls_state(), DtlsTransportState::Failed);
}
