//! Nothing passes before the certificate matches.

use std::time::Duration;

use proto_dtls_sctp::{
    DataChannelOptions, DtlsRole, DtlsTransportState, ErrorDetail, HashFunction, RemoteFingerprint, SctpTransportState,
    SecureError, SecureEvent, StartError, StartParameters,
};

use proto_machine::Machine;

use crate::common::{LEFT, Pair, Path, RIGHT};
use crate::raw::{Duo, Version};

const HASHES: [HashFunction; 3] = [HashFunction::Sha256, HashFunction::Sha384, HashFunction::Sha512];

/// In which order the datagrams that are under way at the same time arrive.
#[derive(Clone, Copy, Debug)]
enum Order {
    AsSent,
    Reversed,
    LastFirst,
    Twice,
}

const ORDERS: [Order; 4] = [Order::AsSent, Order::Reversed, Order::LastFirst, Order::Twice];

/// Delivers what is on the wire in an order, step by step.
fn exchange(pair: &mut Pair, order: Order) {
    for _ in 0..200 {
        let deadline = [LEFT, RIGHT].map(|index| pair.drain(index)).into_iter().flatten().min();
        let mut flight: Vec<_> = std::mem::take(&mut pair.wire).into_values().collect();
        match order {
            Order::AsSent => {}
            Order::Reversed => flight.reverse(),
            Order::LastFirst => {
                let last = flight.pop();
                flight.splice(0..0, last);
            }
            Order::Twice => flight = flight.into_iter().flat_map(|datagram| [datagram.clone(), datagram]).collect(),
        }
        pair.now = pair.now + Duration::from_millis(10);
        for (index, mut datagram) in flight {
            pair.ends[index].transport.handle_datagram(pair.now, &mut datagram);
        }
        if let Some(deadline) = deadline.filter(|&deadline| deadline > pair.now && pair.wire.is_empty()) {
            pair.now = pair.now.max(deadline);
        }
        for end in &mut pair.ends {
            end.transport.handle_timeout(pair.now);
        }
    }
}

/// Starts a pair whose `checker` has these fingerprints of the other end.
fn start(seed: u64, checker: usize, role: DtlsRole, fingerprints: Vec<RemoteFingerprint>) -> Pair {
    let mut pair = Pair::new(seed, Path::default());
    let other_role = if role == DtlsRole::Client { DtlsRole::Server } else { DtlsRole::Client };
    for end in &mut pair.ends {
        end.transport.create_channel(pair.now, DataChannelOptions::new("label")).unwrap();
    }
    let trusting = pair.parameters(1 - checker, other_role);
    pair.ends[1 - checker].transport.start(pair.now, trusting).unwrap();
    pair.ends[checker].transport.start(pair.now, StartParameters::new(role, fingerprints)).unwrap();
    pair
}

#[test]
fn a_wrong_fingerprint_fails_in_every_role_with_every_hash_in_every_order() {
    let mut seed = 100;
    for role in [DtlsRole::Client, DtlsRole::Server] {
        for algorithm in HASHES {
            for order in ORDERS {
                seed += 1;
                let wrong = RemoteFingerprint { algorithm, value: algorithm.hash(b"another certificate") };
                let mut pair = start(seed, LEFT, role, vec![wrong]);
                exchange(&mut pair, order);
                let case = format!("{role:?}, {algorithm:?}, {order:?}");
                let checker = &pair.ends[LEFT];
                assert_eq!(checker.transport.failure(), Some(&SecureError::FingerprintMismatch), "{case}");
                assert_eq!(checker.transport.failure().map(SecureError::detail), Some(ErrorDetail::FingerprintFailure));
                assert_eq!(checker.transport.dtls_state(), DtlsTransportState::Failed);
                assert_eq!(checker.transport.sctp_state(), SctpTransportState::Closed);
                assert_eq!(checker.transport.remote_certificate(), None);
                assert!(!checker.has(&SecureEvent::DtlsStateChange(DtlsTransportState::Connected)), "{case}");
                for end in &pair.ends {
                    let opened = end.events.iter().any(|event| {
                        matches!(event, SecureEvent::ChannelOpen { .. } | SecureEvent::DataChannel { .. })
                    });
                    assert!(!opened, "{case}");
                    assert!(end.transport.sctp_state() != SctpTransportState::Connected);
                }
            }
        }
    }
}

#[test]
fn the_right_fingerprint_is_accepted_in_every_role_with_every_hash_in_every_order() {
    let mut seed = 200;
    for role in [DtlsRole::Client, DtlsRole::Server] {
        for algorithm in HASHES {
            for order in ORDERS {
                seed += 1;
                let certificate = Pair::certificate_of(seed, RIGHT);
                let right = RemoteFingerprint { algorithm, value: algorithm.hash(certificate.der()) };
                let mut pair = start(seed, LEFT, role, vec![right]);
                exchange(&mut pair, order);
                let case = format!(
                    "{role:?}, {algorithm:?}, {order:?}: {:?} {:?}",
                    pair.ends[LEFT].transport, pair.ends[RIGHT].transport
                );
                assert!(pair.is_up(), "{case}");
                assert_eq!(pair.ends[LEFT].transport.remote_certificate(), Some(certificate.der()));
                assert_eq!(pair.ends.each_ref().map(|end| end.announced().len()), [1, 1], "{case}");
            }
        }
    }
}

#[test]
fn nothing_is_sent_to_and_nothing_taken_from_a_peer_whose_certificate_does_not_match() {
    for (version, expected) in [(Version::Only12, true), (Version::Only13, true)] {
        for role in [DtlsRole::Client, DtlsRole::Server] {
            let wrong = |parameters| StartParameters { remote_fingerprints: vec![[7; 32].into()], ..parameters };
            let mut duo = Duo::with(version, role, |builder| builder, |_| {}, wrong);
            duo.exchange();
            if duo.raw.connected {
                let init = duo.init(1, 10);
                let packet = duo.packet_with_tag(0, &[(1, 0, &init)]);
                duo.raw.send(&packet);
            }
            duo.rest(Duration::from_secs(5));
            assert!(duo.raw.data.is_empty(), "{version:?}, {role:?}");
            assert_eq!(duo.transport.failure() == Some(&SecureError::FingerprintMismatch), expected);
            assert_eq!(duo.transport.statistics().sctp_packets_dropped, 0);
        }
    }
}

#[test]
fn the_states_change_in_order_and_the_failure_comes_last() {
    let mut pair = start(300, LEFT, DtlsRole::Client, vec![[1; 32].into()]);
    exchange(&mut pair, Order::AsSent);
    let events: Vec<_> = pair.ends[LEFT]
        .events
        .iter()
        .filter(|event| !matches!(event, SecureEvent::ChannelError { .. } | SecureEvent::ChannelClosed { .. }))
        .cloned()
        .collect();
    assert_eq!(
        events,
        [
            SecureEvent::DtlsStateChange(DtlsTransportState::Connecting),
            SecureEvent::SctpStateChange(SctpTransportState::Closed),
            SecureEvent::DtlsStateChange(DtlsTransportState::Failed),
            SecureEvent::Failed(SecureError::FingerprintMismatch),
        ]
    );
}

#[test]
fn a_start_without_fingerprint_or_port_or_a_second_one_changes_nothing() {
    let mut pair = Pair::new(301, Path::default());
    let good = pair.parameters(LEFT, DtlsRole::Client);
    let now = pair.now;
    let transport = &mut pair.ends[LEFT].transport;
    let unknown = StartParameters { remote_fingerprints: vec![], ..good };
    assert_eq!(transport.start(now, unknown.clone()), Err(StartError::NoFingerprint));
    let good = StartParameters { remote_fingerprints: vec![[7; 32].into()], ..unknown };
    assert_eq!(
        transport.start(now, StartParameters { local_sctp_port: 0, ..good.clone() }),
        Err(StartError::InvalidPort)
    );
    assert_eq!(
        transport.start(now, StartParameters { remote_sctp_port: 0, ..good.clone() }),
        Err(StartError::InvalidPort)
    );
    assert_eq!(transport.dtls_state(), DtlsTransportState::New);
    assert_eq!(transport.role(), None);
    assert_eq!(transport.start(now, good.clone()), Ok(()));
    assert_eq!(transport.start(now, good.clone()), Err(StartError::AlreadyStarted));
    transport.close(now);
    assert_eq!(transport.start(now, good), Err(StartError::Closed));
}

#[cfg(feature = "simulation")]
#[test]
fn a_certificate_of_the_system_serves_in_a_simulation_or_is_refused() {
    use proto_dtls_sctp::{Certificate, Entropy, SecureTransport, SecureTransportConfig};
    use proto_machine::{Seed, Timestamp};
    let certificate = Certificate::generate(Seed::from_number(1), crate::common::WALL_TIME, Entropy::System).unwrap();
    let config =
        SecureTransportConfig { entropy: Entropy::Simulated, ..SecureTransportConfig::new(certificate.into()) };
    let mut transport = SecureTransport::new(config, Seed::from_number(1));
    let parameters = StartParameters::new(DtlsRole::Client, vec![[7; 32].into()]);
    assert!(matches!(transport.start(Timestamp::ZERO, parameters), Ok(()) | Err(StartError::Unusable)));
}
