//! The data channel establishment protocol (RFC 8832).

use std::time::Duration;

use bytes::Bytes;

use crate::{DataChannelOptions, Priority, Reliability};

/// RFC 8832 §8.2.1
const ACK: u8 = 2;
const OPEN: u8 = 3;
/// Bytes of an OPEN in front of the label.
const OPEN_HEADER_SIZE: usize = 12;
/// The bit of the channel type that says "unordered" (RFC 8832 §5.1).
const UNORDERED: u8 = 0x80;

/// A message of the protocol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum DcepMessage {
    Open(DataChannelOptions),
    Ack,
}

/// Whether the beginning of a message is that of an OPEN.
pub(crate) fn is_open(bytes: &[u8]) -> bool {
    bytes.first() == Some(&OPEN)
}

/// Whether a message is an ACK.
#[cfg(feature = "sctp-proto")]
pub(crate) fn is_ack(bytes: &[u8]) -> bool {
    bytes.first() == Some(&ACK)
}

/// Reads a message. `None` if it breaks a rule.
pub(crate) fn parse(bytes: &[u8]) -> Option<DcepMessage> {
    match *bytes.first()? {
        // RFC 8832 §5.2: the type is all there is. What follows it is ignored, as other implementations do.
        ACK => Some(DcepMessage::Ack),
        OPEN => parse_open(bytes).map(DcepMessage::Open),
        _ => None,
    }
}

fn parse_open(bytes: &[u8]) -> Option<DataChannelOptions> {
    let u16_at = |offset: usize| Some(usize::from(u16::from_be_bytes(*bytes.get(offset..)?.first_chunk()?)));
    let channel_type = *bytes.get(1)?;
    let priority = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    let parameter = u32::from_be_bytes(*bytes.get(4..)?.first_chunk()?);
    let reliability = match channel_type & !UNORDERED {
        0 => Reliability::Reliable,
        // RFC 8832 §5.1 has 32 bits here, the W3C specification 16. More retransmissions than that are as many.
        1 => Reliability::MaxRetransmits(u16::try_from(parameter).unwrap_or(u16::MAX)),
        2 => Reliability::MaxPacketLifetime(Duration::from_millis(parameter.into())),
        _ => return None,
    };
    let label_end = OPEN_HEADER_SIZE + u16_at(8)?;
    let protocol_end = label_end + u16_at(10)?;
    if bytes.len() != protocol_end {
        return None;
    }
    let text = |range| Some(String::from_utf8_lossy(bytes.get(range)?).into_owned());
    Some(DataChannelOptions {
        label: text(OPEN_HEADER_SIZE..label_end)?,
        protocol: text(label_end..protocol_end)?,
        ordered: channel_type & UNORDERED == 0,
        reliability,
        negotiated: None,
        priority: Priority::from_value(priority),
    })
}

/// Writes an OPEN. Label and protocol are at most 65535 bytes long.
pub(crate) fn open(options: &DataChannelOptions) -> Bytes {
    let (channel_type, parameter) = match options.reliability {
        Reliability::Reliable => (0, 0),
        Reliability::MaxRetransmits(count) => (1, count.into()),
        Reliability::MaxPacketLifetime(lifetime) => (2, u32::try_from(lifetime.as_millis()).unwrap_or(u32::MAX)),
    };
    let length = |text: &str| u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut bytes = Vec::with_capacity(OPEN_HEADER_SIZE + options.label.len() + options.protocol.len());
    bytes.extend_from_slice(&[OPEN, if options.ordered { channel_type } else { channel_type | UNORDERED }]);
    bytes.extend_from_slice(&options.priority.value().to_be_bytes());
    bytes.extend_from_slice(&parameter.to_be_bytes());
    bytes.extend_from_slice(&length(&options.label));
    bytes.extend_from_slice(&length(&options.protocol));
    bytes.extend_from_slice(options.label.as_bytes());
    bytes.extend_from_slice(options.protocol.as_bytes());
    bytes.into()
}

/// Writes an ACK.
pub(crate) fn ack() -> Bytes {
    Bytes::from_static(&[ACK])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_kind() -> Vec<DataChannelOptions> {
        let reliabilities = [
            Reliability::Reliable,
            Reliability::MaxRetransmits(0),
            Reliability::MaxRetransmits(u16::MAX),
            Reliability::MaxPacketLifetime(Duration::from_millis(u32::MAX.into())),
        ];
        let mut all = Vec::new();
        for reliability in reliabilities {
            for ordered in [true, false] {
                for priority in [Priority::VeryLow, Priority::Low, Priority::Medium, Priority::High] {
                    all.push(DataChannelOptions {
                        label: "Ωlabel".into(),
                        protocol: "protocol".into(),
                        ordered,
                        reliability,
                        negotiated: None,
                        priority,
                    });
                }
            }
        }
        all
    }

    #[test]
    fn every_kind_of_channel_survives_the_wire() {
        for options in every_kind() {
            assert_eq!(parse(&open(&options)), Some(DcepMessage::Open(options)));
        }
        assert_eq!(parse(&ack()), Some(DcepMessage::Ack));
    }

    #[test]
    fn an_open_has_the_bytes_of_rfc_8832_section_5_1() {
        let options = DataChannelOptions {
            ordered: false,
            reliability: Reliability::MaxRetransmits(5),
            priority: Priority::Medium,
            protocol: "p".into(),
            ..DataChannelOptions::new("ab")
        };
        assert_eq!(&*open(&options), [3, 0x81, 2, 0, 0, 0, 0, 5, 0, 2, 0, 1, b'a', b'b', b'p']);
    }

    #[test]
    fn an_open_truncated_or_extended_anywhere_breaks_the_rules() {
        let bytes = open(&DataChannelOptions { protocol: "protocol".into(), ..DataChannelOptions::new("label") });
        for length in 0..bytes.len() {
            assert_eq!(parse(&bytes[..length]), None);
        }
        assert_eq!(parse(&[&bytes[..], &[0]].concat()), None);
    }

    #[test]
    fn unknown_messages_and_channel_types_break_the_rules() {
        let mut bytes = open(&DataChannelOptions::new("label")).to_vec();
        for channel_type in [3, 0x7F, 0x83, 0xFF] {
            bytes[1] = channel_type;
            assert_eq!(parse(&bytes), None);
        }
        for message_type in [0, 1, 4, 0xFF] {
            assert_eq!(parse(&[message_type]), None);
        }
    }

    #[test]
    fn a_label_that_is_not_utf_8_is_repaired() {
        let mut bytes = open(&DataChannelOptions::new("label")).to_vec();
        bytes[12] = 0xFF;
        let Some(DcepMessage::Open(options)) = parse(&bytes) else { panic!("refused") };
        assert_eq!(options.label, "\u{FFFD}abel");
    }

    #[test]
    fn the_longest_label_and_protocol_fit() {
        let options =
            DataChannelOptions { protocol: "p".repeat(65_535), ..DataChannelOptions::new("l".repeat(65_535)) };
        assert_eq!(parse(&open(&options)), Some(DcepMessage::Open(options)));
    }
}
