//! The four attributes of ICE (RFC 8445 §16.1).

use stun_types::attribute::{
    Attribute, AttributeFromRaw, AttributeStaticType, AttributeType, AttributeWrite, AttributeWriteExt, RawAttribute,
};
use stun_types::message::StunParseError;

/// PRIORITY: what a peer-reflexive candidate learned from this check is worth (RFC 8445 §7.1.1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Priority(pub(crate) u32);

/// USE-CANDIDATE: the controlling agent nominates (RFC 8445 §7.1.2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct UseCandidate;

/// ICE-CONTROLLED with the tie-breaker (RFC 8445 §7.1.3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct IceControlled(pub(crate) u64);

/// ICE-CONTROLLING with the tie-breaker (RFC 8445 §7.1.3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct IceControlling(pub(crate) u64);

/// An attribute whose value is one big-endian number, or nothing at all.
macro_rules! number_attribute {
    ($name:ident, $kind:literal, $length:literal, |$this:ident| $bytes:expr, |$value:ident| $read:expr) => {
        impl AttributeStaticType for $name {
            const TYPE: AttributeType = AttributeType::new($kind);
        }

        impl Attribute for $name {
            fn get_type(&self) -> AttributeType {
                Self::TYPE
            }

            fn length(&self) -> u16 {
                $length
            }
        }

        impl AttributeWrite for $name {
            fn to_raw(&self) -> RawAttribute<'_> {
                let $this = self;
                RawAttribute::new(Self::TYPE, &$bytes).into_owned()
            }

            fn write_into_unchecked(&self, destination: &mut [u8]) {
                let $this = self;
                let start = self.write_header_unchecked(destination);
                for (byte, value) in destination.iter_mut().skip(start).zip($bytes) {
                    *byte = value;
                }
            }
        }

        impl AttributeFromRaw<'_> for $name {
            fn from_raw_ref(raw: &RawAttribute) -> Result<Self, StunParseError> {
                raw.check_type_and_len(Self::TYPE, $length..=$length)?;
                let $value: [u8; $length] =
                    (&*raw.value).try_into().map_err(|_| StunParseError::InvalidAttributeData)?;
                Ok($read)
            }
        }
    };
}

number_attribute!(Priority, 0x0024, 4, |this| this.0.to_be_bytes(), |value| Self(u32::from_be_bytes(value)));
number_attribute!(UseCandidate, 0x0025, 0, |_this| [0_u8; 0], |_value| Self);
number_attribute!(IceControlled, 0x8029, 8, |this| this.0.to_be_bytes(), |value| Self(u64::from_be_bytes(value)));
number_attribute!(IceControlling, 0x802A, 8, |this| this.0.to_be_bytes(), |value| Self(u64::from_be_bytes(value)));
