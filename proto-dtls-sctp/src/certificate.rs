//! The certificate that identifies a peer.

use std::fmt;
use std::time::Duration;

use proto_machine::Seed;
use rcgen::{CertificateParams, DistinguishedName, DnType, SerialNumber, SigningKey};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::Entropy;

/// How long a generated certificate is valid: 30 days, the default of `generateCertificate` in browsers.
const VALIDITY: Duration = Duration::from_secs(30 * 24 * 3600);
/// How far its validity begins in the past, for peers whose clocks are slow.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 3600);

/// A self-signed certificate with an ECDSA P-256 key, and that key.
pub struct Certificate {
    der: Vec<u8>,
    /// PKCS #8
    private_key: Vec<u8>,
    expires: Duration,
}

/// Why there is no certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CertificateError {
    /// The wall time lies beyond what a certificate can express.
    InvalidTime,
    /// The key could not be generated or used.
    Key,
    /// The certificate could not be encoded.
    Encoding,
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidTime => "the wall time lies beyond what a certificate can express",
            Self::Key => "the key could not be generated or used",
            Self::Encoding => "the certificate could not be encoded",
        })
    }
}

impl std::error::Error for CertificateError {}

impl Certificate {
    /// Generates a key and a certificate that is valid for 30 days from `wall_time`, the time since the Unix epoch.
    ///
    /// The serial number follows from `seed`. The key and the signature do only in a simulation: with [`Entropy::System`] the cryptographic library draws them from
    /// the operating system, the one place of this crate where it is meant to.
    ///
    /// # Errors
    /// If the time cannot be expressed, or the cryptographic library fails.
    pub fn generate(seed: Seed, wall_time: Duration, entropy: Entropy) -> Result<Self, CertificateError> {
        let expires = wall_time.saturating_add(VALIDITY);
        let mut params = CertificateParams::default();
        params.not_before = date(wall_time.saturating_sub(CLOCK_SKEW))?;
        params.not_after = date(expires)?;
        params.serial_number = Some(SerialNumber::from_slice(&seed.child("serial number").into_rng().bytes::<16>()));
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "WebRTC");
        let (der, private_key) = match entropy {
            Entropy::System => {
                let key =
                    rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|_| CertificateError::Key)?;
                (self_signed(params, &key)?, key.serialize_der())
            }
            #[cfg(feature = "simulation")]
            Entropy::Simulated => {
                let key = crate::dtls::simulated::CertificateKey::from_seed(seed.child("key"))?;
                (self_signed(params, &key)?, key.to_pkcs8()?)
            }
        };
        Ok(Self { der, private_key, expires })
    }

    /// Takes a certificate and its private key (PKCS #8), both in DER. `expires` is the end of its validity, as time since the Unix epoch.
    ///
    /// # Errors
    /// If the key is not one for ECDSA over P-256, the only kind that the DTLS of this crate signs with.
    pub fn from_der(certificate: Vec<u8>, private_key: Vec<u8>, expires: Duration) -> Result<Self, CertificateError> {
        let key = rcgen::KeyPair::try_from(private_key.as_slice()).map_err(|_| CertificateError::Key)?;
        if !key.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256) {
            return Err(CertificateError::Key);
        }
        if certificate.is_empty() {
            return Err(CertificateError::Encoding);
        }
        Ok(Self { der: certificate, private_key, expires })
    }

    /// The certificate in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The private key in DER (PKCS #8), to keep a certificate over restarts. Secret.
    #[must_use]
    pub fn private_key_der(&self) -> &[u8] {
        &self.private_key
    }

    /// The SHA-256 fingerprint, for `a=fingerprint` of the local description (RFC 8122 §5).
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// The end of its validity, as time since the Unix epoch.
    #[must_use]
    pub fn expires(&self) -> Duration {
        self.expires
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("expires", &self.expires).finish_non_exhaustive()
    }
}

fn date(time: Duration) -> Result<OffsetDateTime, CertificateError> {
    let seconds = i64::try_from(time.as_secs()).map_err(|_| CertificateError::InvalidTime)?;
    let date = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| CertificateError::InvalidTime)?;
    // RFC 5280 §4.1.2.5: four digits for the year.
    if date.year() > 9999 { Err(CertificateError::InvalidTime) } else { Ok(date) }
}

fn self_signed(params: CertificateParams, key: &impl SigningKey) -> Result<Vec<u8>, CertificateError> {
    let certificate = params.self_signed(key).map_err(|_| CertificateError::Encoding)?;
    Ok(certificate.der().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL_TIME: Duration = Duration::from_secs(1_800_000_000);

    #[test]
    fn a_generated_certificate_can_be_kept_and_taken_back() {
        let certificate = Certificate::generate(Seed::from_number(1), WALL_TIME, Entropy::System).unwrap();
        let again = Certificate::from_der(
            certificate.der().to_vec(),
            certificate.private_key_der().to_vec(),
            certificate.expires(),
        )
        .unwrap();
        assert_eq!(again.fingerprint(), certificate.fingerprint());
        assert_eq!(again.expires(), WALL_TIME + Duration::from_secs(30 * 24 * 3600));
    }

    #[test]
    fn a_certificate_does_not_print_its_key() {
        let certificate = Certificate::generate(Seed::from_number(1), WALL_TIME, Entropy::System).unwrap();
        assert_eq!(format!("{certificate:?}"), "Certificate { expires: 1802592000s, .. }");
    }

    #[test]
    fn garbage_is_no_key_and_nothing_is_no_certificate() {
        let certificate = Certificate::generate(Seed::from_number(1), WALL_TIME, Entropy::System).unwrap();
        let key = certificate.private_key_der().to_vec();
        assert_eq!(
            Certificate::from_der(certificate.der().to_vec(), vec![1, 2, 3], WALL_TIME).err(),
            Some(CertificateError::Key)
        );
        assert_eq!(Certificate::from_der(Vec::new(), key, WALL_TIME).err(), Some(CertificateError::Encoding));
    }

    #[test]
    fn a_time_beyond_the_calendar_is_refused() {
        let error = Certificate::generate(Seed::from_number(1), Duration::MAX, Entropy::System).err();
        assert_eq!(error, Some(CertificateError::InvalidTime));
    }
}
