//! The encryption of record numbers (RFC 9147 §4.2.3), which takes one block of AES for each record.
//!
//! The library makes its key anew each time, for encryption and decryption both and by way of the heap, which is a tenth of what a transfer costs. Here a key schedule for encryption
//! alone lies on the stack, and is wiped all the same.

use std::sync::OnceLock;

use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Aes256Enc};
use dimpl::CryptoError;
use dimpl::crypto::{Cipher, Dtls13CipherSuite, HashAlgorithm, SupportedDtls13CipherSuite, aws_lc_rs};

/// The suites of the library for DTLS 1.3, with an encryption of record numbers of our own.
pub(super) fn suites() -> &'static [&'static dyn SupportedDtls13CipherSuite] {
    static SUITES: OnceLock<Vec<Suite>> = OnceLock::new();
    static REFERENCES: OnceLock<Vec<&'static dyn SupportedDtls13CipherSuite>> = OnceLock::new();
    REFERENCES.get_or_init(|| {
        let suites = SUITES.get_or_init(|| library_suites().iter().copied().map(Suite).collect());
        suites.iter().map(|suite| suite as _).collect()
    })
}

fn library_suites() -> &'static [&'static dyn SupportedDtls13CipherSuite] {
    aws_lc_rs::default_provider().dtls13_cipher_suites
}

#[derive(Debug)]
struct Suite(&'static dyn SupportedDtls13CipherSuite);

impl SupportedDtls13CipherSuite for Suite {
    fn suite(&self) -> Dtls13CipherSuite {
        self.0.suite()
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        self.0.hash_algorithm()
    }

    fn key_len(&self) -> usize {
        self.0.key_len()
    }

    fn iv_len(&self) -> usize {
        self.0.iv_len()
    }

    fn tag_len(&self) -> usize {
        self.0.tag_len()
    }

    fn min_protected_fragment_len(&self) -> usize {
        self.0.min_protected_fragment_len()
    }

    fn create_cipher(&self, key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
        self.0.create_cipher(key)
    }

    fn encrypt_sn(&self, key: &[u8], sample: &[u8; 16]) -> [u8; 16] {
        let mask = match self.suite() {
            Dtls13CipherSuite::AES_128_GCM_SHA256 => encrypt::<Aes128Enc>(key, *sample),
            Dtls13CipherSuite::AES_256_GCM_SHA384 => encrypt::<Aes256Enc>(key, *sample),
            _ => None,
        };
        mask.unwrap_or_else(|| self.0.encrypt_sn(key, sample))
    }
}

/// A block under a key; `None` if that has the wrong length.
fn encrypt<C: BlockCipherEncrypt + KeyInit>(key: &[u8], block: [u8; 16]) -> Option<[u8; 16]> {
    let mut bytes = Block::<C>::try_from(&block[..]).ok()?;
    C::new_from_slice(key).ok()?.encrypt_block(&mut bytes);
    bytes.as_slice().try_into().ok()
}

#[cfg(test)]
mod tests {
    use proto_machine::Seed;

    use super::*;

    #[test]
    fn masks_are_those_of_the_library_under_every_suite() {
        let mut rng = Seed::from_number(1).into_rng();
        assert_eq!(suites().len(), library_suites().len());
        for (ours, library) in suites().iter().zip(library_suites()) {
            assert_eq!(ours.suite(), library.suite());
            for _ in 0..100 {
                let mut key = vec![0; ours.key_len()];
                rng.fill(&mut key);
                let sample = rng.bytes();
                assert_eq!(ours.encrypt_sn(&key, &sample), library.encrypt_sn(&key, &sample), "{:?}", ours.suite());
            }
        }
    }

    // FIPS 197, appendix C.1
    #[test]
    fn a_block_is_encrypted_as_in_the_example_of_the_standard() {
        let key: Vec<u8> = (0..16).collect();
        let block = std::array::from_fn(|index| u8::try_from(index * 0x11).unwrap());
        let expected = 0x69c4_e0d8_6a7b_0430_d8cd_b780_70b4_c55a_u128.to_be_bytes();
        assert_eq!(encrypt::<Aes128Enc>(&key, block), Some(expected));
        assert_eq!(encrypt::<Aes256Enc>(&key, block), None);
    }
}
