//! Keys and signatures that follow from a seed, for simulations. **Never for real traffic.**
//!
//! The library takes its cryptography from static objects without context: the generator of the session that runs lies in a thread-local slot for as long as it does.

use std::cell::RefCell;

use dimpl::crypto::{
    ActiveKeyExchange, Buf, CryptoProvider, HashAlgorithm, KeyProvider, NamedGroup, SecureRandom, SignatureAlgorithm,
    SigningKey, SupportedKxGroup,
};
use dimpl::{CryptoError, CryptoOperation};
use p256::ecdsa::signature::Signer;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use p256::{PublicKey, SecretKey};
use proto_machine::{Rng, Seed};

use crate::CertificateError;

thread_local! {
    static GENERATOR: RefCell<Option<Rng>> = const { RefCell::new(None) };
}

/// Puts a generator into the slot and returns the one that lay there.
pub(super) fn exchange_generator(generator: Option<Rng>) -> Option<Rng> {
    GENERATOR.replace(generator)
}

/// `None` outside a session.
fn draw<const N: usize>() -> Option<[u8; N]> {
    GENERATOR.with_borrow_mut(|generator| generator.as_mut().map(Rng::bytes))
}

/// The provider with simulated key exchange and signatures.
pub(super) fn provider(provider: CryptoProvider) -> CryptoProvider {
    CryptoProvider { kx_groups: &[&Group], key_provider: &Keys, secure_random: &Random, ..provider }
}

/// A secret key from drawn bytes. All but a 2^-32nd of them are one.
fn secret_key(mut draw: impl FnMut() -> Option<[u8; 32]>) -> Option<SecretKey> {
    loop {
        if let Ok(key) = SecretKey::from_slice(&draw()?) {
            return Some(key);
        }
    }
}

#[derive(Debug)]
struct Random;

impl SecureRandom for Random {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), CryptoError> {
        GENERATOR.with_borrow_mut(|generator| {
            let generator = generator.as_mut().ok_or(CryptoError::OperationFailed(CryptoOperation::FillRandom))?;
            generator.fill(buffer);
            Ok(())
        })
    }
}

/// ECDH over P-256.
#[derive(Debug)]
struct Group;

impl SupportedKxGroup for Group {
    fn name(&self) -> NamedGroup {
        NamedGroup::Secp256r1
    }

    fn start_exchange(&self, mut buffer: Buf) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        let secret = secret_key(draw).ok_or(CryptoError::OperationFailed(CryptoOperation::GenerateEphemeralKey))?;
        buffer.clear();
        buffer.extend_from_slice(&secret.public_key().to_sec1_bytes());
        Ok(Box::new(Exchange { secret, public: buffer }))
    }
}

struct Exchange {
    secret: SecretKey,
    public: Buf,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exchange(..)")
    }
}

impl ActiveKeyExchange for Exchange {
    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn complete(self: Box<Self>, peer: &[u8], out: &mut Buf) -> Result<(), CryptoError> {
        let peer =
            PublicKey::from_sec1_bytes(peer).map_err(|_| CryptoError::InvalidPublicKey(NamedGroup::Secp256r1))?;
        let shared = p256::ecdh::diffie_hellman(self.secret.to_nonzero_scalar(), peer.as_affine());
        out.clear();
        out.extend_from_slice(shared.raw_secret_bytes());
        Ok(())
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::Secp256r1
    }
}

#[derive(Debug)]
struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(&self, key: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        let secret = SecretKey::from_pkcs8_der(key).map_err(|_| CryptoError::InvalidPrivateKey)?;
        Ok(Box::new(DeterministicKey(secret.into())))
    }
}

/// ECDSA with deterministic nonces (RFC 6979).
struct DeterministicKey(p256::ecdsa::SigningKey);

impl DeterministicKey {
    fn sign(&self, data: &[u8]) -> p256::ecdsa::DerSignature {
        self.0.sign(data)
    }
}

impl std::fmt::Debug for DeterministicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeterministicKey(..)")
    }
}

impl SigningKey for DeterministicKey {
    fn sign(&mut self, data: &[u8], hash: HashAlgorithm, out: &mut Buf) -> Result<(), CryptoError> {
        if hash != HashAlgorithm::SHA256 {
            return Err(CryptoError::OperationFailed(CryptoOperation::Sign));
        }
        out.clear();
        out.extend_from_slice(Self::sign(self, data).as_bytes());
        Ok(())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }

    fn supported_hash_algorithms(&self) -> &[HashAlgorithm] {
        &[HashAlgorithm::SHA256]
    }
}

/// The key of a simulated certificate.
pub(crate) struct CertificateKey {
    secret: SecretKey,
    public: Box<[u8]>,
}

impl CertificateKey {
    pub(crate) fn from_seed(seed: Seed) -> Result<Self, CertificateError> {
        let mut rng = seed.into_rng();
        let secret = secret_key(|| Some(rng.bytes())).ok_or(CertificateError::Key)?;
        let public = secret.public_key().to_sec1_bytes();
        Ok(Self { secret, public })
    }

    pub(crate) fn to_pkcs8(&self) -> Result<Vec<u8>, CertificateError> {
        self.secret.to_pkcs8_der().map(|document| document.as_bytes().to_vec()).map_err(|_| CertificateError::Key)
    }
}

impl rcgen::PublicKeyData for CertificateKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for CertificateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(DeterministicKey(self.secret.clone().into()).sign(message).as_bytes().to_vec())
    }
}
