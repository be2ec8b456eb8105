//! What the payload of a message is.

/// The payload protocol identifiers of data channels (RFC 8831 §8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PayloadProtocol {
    /// 50
    Dcep,
    /// 51
    Text,
    /// 53
    Binary,
    /// 54, deprecated: a piece of a string
    TextPartial,
    /// 52, deprecated: a piece of a binary message
    BinaryPartial,
    /// 56
    TextEmpty,
    /// 57
    BinaryEmpty,
    /// Anything else
    Unknown,
}

impl PayloadProtocol {
    pub(crate) fn from_identifier(identifier: u32) -> Self {
        match identifier {
            50 => Self::Dcep,
            51 => Self::Text,
            52 => Self::BinaryPartial,
            53 => Self::Binary,
            54 => Self::TextPartial,
            56 => Self::TextEmpty,
            57 => Self::BinaryEmpty,
            _ => Self::Unknown,
        }
    }

    /// The identifier to send. `None` for the deprecated and the unknown, which are never sent (RFC 8831 §6.6).
    pub(crate) fn identifier(self) -> Option<u32> {
        Some(match self {
            Self::Dcep => 50,
            Self::Text => 51,
            Self::Binary => 53,
            Self::TextEmpty => 56,
            Self::BinaryEmpty => 57,
            Self::TextPartial | Self::BinaryPartial | Self::Unknown => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_understood_and_the_deprecated_is_only_understood() {
        for identifier in 0..100 {
            let protocol = PayloadProtocol::from_identifier(identifier);
            let expected = matches!(identifier, 50 | 51 | 53 | 56 | 57).then_some(identifier);
            assert_eq!(protocol.identifier(), expected);
        }
    }
}
