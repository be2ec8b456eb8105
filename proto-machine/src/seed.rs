//! Randomness: one seed in, split per purpose.

use std::fmt;

use chacha20::ChaCha20Rng;
use hmac::{Hmac, KeyInit, Mac};
use rand_core::{Rng as _, SeedableRng};
use sha2::Sha256;
use zeroize::Zeroizing;

/// 32 secret bytes from which all randomness of a machine follows.
///
/// In production the driver fills it from the operating system; in a simulation it is a number. It is not `Clone`, does not print itself, and is
/// wiped from memory when dropped. Two machines must never be given the same seed.
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// A seed from bytes of the caller, which must come from a cryptographic generator if the peer is to talk to a real network.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A seed from a number, for simulations and tests.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Self::from_bytes(bytes)
    }

    /// The seed of a child, by HMAC-SHA-256 of `purpose`: the same purpose gives the same child, another purpose an independent one.
    #[must_use]
    pub fn child(&self, purpose: &str) -> Self {
        // The key of HMAC-SHA-256 is one block of 64 bytes, shorter ones are filled up with zeros (RFC 2104 §2).
        let mut key = Zeroizing::new([0; 64]);
        key[..32].copy_from_slice(&*self.0);
        let mut mac = Hmac::<Sha256>::new((&*key).into());
        mac.update(purpose.as_bytes());
        Self::from_bytes(mac.finalize().into_bytes().into())
    }

    /// The generator of this seed.
    #[must_use]
    pub fn into_rng(self) -> Rng {
        Rng(ChaCha20Rng::from_seed(*self.0))
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// A cryptographic generator (ChaCha20), seeded once by [`Seed::into_rng`] and wiped when dropped.
pub struct Rng(ChaCha20Rng);

impl Rng {
    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// An array of random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Any `u32`, each equally likely.
    #[must_use]
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Any `u64`, each equally likely.
    #[must_use]
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`, each equally likely; 0 if `bound` is 0.
    #[must_use]
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // Values in the last, incomplete multiple of `bound` would favour small results: draw again.
        let limit = u64::MAX - u64::MAX % bound;
        loop {
            let drawn = self.next_u64();
            if drawn < limit {
                return drawn % bound;
            }
        }
    }

    /// A string of `length` characters drawn from `alphabet` (ASCII), each equally likely; empty if the alphabet is.
    #[must_use]
    pub fn string(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length)
            .filter_map(|_| {
                let index = usize::try_from(self.below(alphabet.len() as u64)).ok()?;
                alphabet.get(index).map(|&byte| char::from(byte))
            })
            .collect()
    }

    /// A fresh seed for a child that is made later, such as the next peer of an endpoint.
    #[must_use]
    pub fn seed(&mut self) -> Seed {
        Seed::from_bytes(self.bytes())
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_purpose_gives_the_same_child_and_another_does_not() {
        let seed = Seed::from_number(7);
        let first = seed.child("ice").into_rng().next_u64();
        assert_eq!(first, seed.child("ice").into_rng().next_u64());
        assert_ne!(first, seed.child("dtls").into_rng().next_u64());
        assert_ne!(first, Seed::from_number(8).child("ice").into_rng().next_u64());
    }

    #[test]
    fn secrets_do_not_print_themselves() {
        assert_eq!(format!("{:?}", Seed::from_number(7)), "Seed(..)");
        assert_eq!(format!("{:?}", Seed::from_number(7).into_rng()), "Rng(..)");
    }

    #[test]
    fn a_bounded_draw_stays_below_its_bound_and_reaches_every_value() {
        let mut rng = Seed::from_number(1).into_rng();
        let mut seen = [false; 7];
        for _ in 0..1_000 {
            seen[usize::try_from(rng.below(7)).unwrap()] = true;
        }
        assert_eq!(seen, [true; 7]);
        assert_eq!(rng.below(0), 0);
    }
}
