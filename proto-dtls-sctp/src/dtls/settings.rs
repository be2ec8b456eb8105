//! Configurations of the library, which take a millisecond to build and have no setters: a few are shared.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use dimpl::crypto::{CryptoProvider, Dtls12CipherSuite, SupportedDtls12CipherSuite, aws_lc_rs};
use dimpl::{Config, Error};

use super::record_number;
use crate::Entropy;

/// TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 (RFC 7905)
pub(super) const CHACHA20_POLY1305_12: u16 = 0xCCA9;
/// Datagrams that the library holds while messages are incomplete.
pub(super) const RECEIVE_QUEUE: usize = 30;
/// Datagrams of one flight.
const TRANSMIT_QUEUE: usize = 64;
/// The handshake as a whole has a time limit. Four retransmissions, the default, give up too early at 20 % loss.
const FLIGHT_RETRIES: usize = 60;
/// The time limit of the library, the largest that it takes: its clock is put forward, so that the limit that counts is watched outside.
const NO_TIME_LIMIT: Duration = Duration::from_secs(3_650 * 24 * 3_600);
/// Shared configurations; beyond that each session has its own.
const MAX_SHARED: usize = 32;
/// The retransmission timeouts to choose from, in milliseconds.
const BUCKETS: [u64; 9] = [100, 150, 200, 300, 400, 600, 800, 1200, 1600];
/// What is used while nothing is known about the path. RFC 9147 §5.8.2 permits less than its 1 s for real-time use.
const DEFAULT_BUCKET: Duration = Duration::from_millis(400);

/// What decides about a configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DtlsSettings {
    /// The first retransmission timeout, from [`round_trip_bucket`].
    pub(crate) retransmission_timeout: Duration,
    pub(crate) datagram_size: usize,
    pub(crate) handshake_timeout: Duration,
    pub(crate) entropy: Entropy,
    /// What a simulated session draws everything else from.
    pub(crate) library_seed: u64,
}

/// The first retransmission timeout for a path: the least of a few that is at least twice the round trip.
pub(crate) fn round_trip_bucket(round_trip_time: Option<Duration>) -> Duration {
    let Some(time) = round_trip_time else {
        return DEFAULT_BUCKET;
    };
    let milliseconds = BUCKETS.into_iter().find(|&bucket| Duration::from_millis(bucket) >= time * 2).unwrap_or(1600);
    Duration::from_millis(milliseconds)
}

/// Which suites are offered and accepted under DTLS 1.2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Suites {
    All,
    /// Only ChaCha20-Poly1305, whose nonces are counted.
    WithoutRandomNonces,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    retransmission_timeout: Duration,
    datagram_size: usize,
    suites: Suites,
}

static SHARED: Mutex<BTreeMap<Key, Arc<Config>>> = Mutex::new(BTreeMap::new());

/// The configuration for these settings.
///
/// # Errors
/// If the library refuses them.
pub(super) fn config(settings: &DtlsSettings, suites: Suites) -> Result<Arc<Config>, Error> {
    if settings.entropy != Entropy::System {
        // Carries a seed of its own.
        return build(settings, suites).map(Arc::new);
    }
    let key =
        Key { retransmission_timeout: settings.retransmission_timeout, datagram_size: settings.datagram_size, suites };
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(config) = shared.get(&key) {
        return Ok(config.clone());
    }
    let config = Arc::new(build(settings, suites)?);
    if shared.len() < MAX_SHARED {
        shared.insert(key, config.clone());
    }
    Ok(config)
}

fn build(settings: &DtlsSettings, suites: Suites) -> Result<Config, Error> {
    let mut builder = Config::builder()
        .mtu(settings.datagram_size)
        .max_queue_rx(RECEIVE_QUEUE)
        .max_queue_tx(TRANSMIT_QUEUE)
        // ICE has validated the path already (RFC 8445 §12 on consent, RFC 8842 §8): a cookie would only cost a round trip.
        .use_server_cookie(false)
        .require_client_certificate(true)
        .flight_start_rto(settings.retransmission_timeout)
        .flight_retries(FLIGHT_RETRIES)
        .handshake_timeout(NO_TIME_LIMIT)
        .with_crypto_provider(provider(settings.entropy));
    if suites == Suites::WithoutRandomNonces {
        builder = builder.dtls12_cipher_suites(&[Dtls12CipherSuite::ECDHE_ECDSA_CHACHA20_POLY1305_SHA256]);
    }
    if settings.entropy != Entropy::System {
        builder = builder.dangerously_set_rng_seed(settings.library_seed);
    }
    builder.build()
}

/// Whether the library can sign with a private key. It panics on one that it cannot read.
pub(super) fn can_sign(entropy: Entropy, private_key: &[u8]) -> bool {
    provider(entropy).key_provider.load_private_key(private_key).is_ok()
}

fn provider(entropy: Entropy) -> CryptoProvider {
    let provider = CryptoProvider {
        cipher_suites: suites_by_preference(),
        dtls13_cipher_suites: record_number::suites(),
        ..aws_lc_rs::default_provider()
    };
    match entropy {
        Entropy::System => provider,
        #[cfg(feature = "simulation")]
        Entropy::Simulated => super::simulated::provider(provider),
    }
}

/// ChaCha20-Poly1305 first: the library draws the nonces of AES-GCM at random under DTLS 1.2.
fn suites_by_preference() -> &'static [&'static dyn SupportedDtls12CipherSuite] {
    static SUITES: OnceLock<Vec<&'static dyn SupportedDtls12CipherSuite>> = OnceLock::new();
    SUITES.get_or_init(|| {
        let mut suites = aws_lc_rs::default_provider().cipher_suites.to_vec();
        suites.sort_by_key(|suite| suite.suite().as_u16() != CHACHA20_POLY1305_12);
        suites
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> DtlsSettings {
        DtlsSettings {
            retransmission_timeout: DEFAULT_BUCKET,
            datagram_size: 1200,
            handshake_timeout: Duration::from_secs(60),
            entropy: Entropy::System,
            library_seed: 0,
        }
    }

    #[test]
    fn a_round_trip_time_falls_into_the_bucket_of_at_least_twice_its_length() {
        let bucket = |milliseconds| round_trip_bucket(Some(Duration::from_millis(milliseconds))).as_millis();
        assert_eq!([0, 50, 51, 100, 200, 201, 10_000].map(bucket), [100, 100, 150, 200, 400, 600, 1600]);
        assert_eq!(round_trip_bucket(None), DEFAULT_BUCKET);
    }

    #[test]
    fn equal_settings_share_a_configuration_and_the_table_is_bounded() {
        let one = config(&settings(), Suites::All).unwrap();
        assert!(Arc::ptr_eq(&one, &config(&settings(), Suites::All).unwrap()));
        for size in 0..2 * MAX_SHARED {
            config(&DtlsSettings { datagram_size: 1000 + size, ..settings() }, Suites::All).unwrap();
        }
        assert_eq!(SHARED.lock().unwrap().len(), MAX_SHARED);
    }

    #[test]
    fn chacha20_is_offered_before_suites_with_random_nonces() {
        let config = config(&settings(), Suites::All).unwrap();
        let suites: Vec<u16> = config.dtls12_cipher_suites().map(|suite| suite.suite().as_u16()).collect();
        assert_eq!(suites.first(), Some(&CHACHA20_POLY1305_12));
        assert!(suites.contains(&0xC02B));
    }
}
