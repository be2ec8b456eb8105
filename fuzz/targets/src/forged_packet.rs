//! Packets that nobody has sent, near to those that somebody might.

use crate::input::Input;
use crate::sctp::STREAMS;

const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const DATA: u8 = 0;
const I_DATA: u8 = 64;
const SACK: u8 = 3;
const SHUTDOWN: u8 = 7;
const RE_CONFIG: u8 = 130;
const FORWARD_TSN: u8 = 192;
const I_FORWARD_TSN: u8 = 194;

/// RFC 9260, RFC 3758, RFC 6525, RFC 8260, RFC 4820, RFC 5061, and unknown ones of each kind of treatment. Those that carry the protocol stand more than once.
const KINDS: [u8; 32] = [
    DATA,
    DATA,
    DATA,
    I_DATA,
    I_DATA,
    I_DATA,
    SACK,
    SACK,
    FORWARD_TSN,
    FORWARD_TSN,
    I_FORWARD_TSN,
    I_FORWARD_TSN,
    RE_CONFIG,
    RE_CONFIG,
    RE_CONFIG,
    SHUTDOWN,
    INIT,
    INIT_ACK,
    4,
    5,
    6,
    8,
    9,
    10,
    11,
    14,
    132,
    193,
    63,
    127,
    191,
    255,
];

/// What is known of an end by its packets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Glimpse {
    /// The common header of its last packet.
    header: [u8; 12],
    initial_tsn: u32,
    last_tsn: u32,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

impl Glimpse {
    /// Takes in a packet of that end.
    pub(crate) fn note(&mut self, packet: &[u8]) {
        self.header = packet[..12].try_into().unwrap();
        let mut rest = &packet[12..];
        while let [kind, _, high, low, ..] = *rest {
            let length = usize::from(u16::from_be_bytes([high, low]));
            match kind {
                INIT | INIT_ACK => {
                    self.initial_tsn = u32_at(rest, 16).unwrap();
                    self.last_tsn = self.initial_tsn.wrapping_sub(1);
                }
                DATA | I_DATA => {
                    let tsn = u32_at(rest, 4).unwrap();
                    if tsn.wrapping_sub(self.last_tsn) < 1 << 31 {
                        self.last_tsn = tsn;
                    }
                }
                _ => {}
            }
            rest = rest.get(length.max(4).next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// Who gets a forged packet, and who seems to have sent it.
pub(crate) struct Forger<'a> {
    pub(crate) to: &'a Glimpse,
    pub(crate) from: &'a Glimpse,
}

impl Forger<'_> {
    pub(crate) fn packet(&self, input: &mut Input<'_>) -> Vec<u8> {
        let mut packet = self.from.header.to_vec();
        for _ in 0..=input.byte() % 6 {
            let (kind, flags) = (input.choose(&KINDS), input.byte());
            let value = self.value(kind, input);
            // A length that lies, now and then.
            let lie = if flags & 0xC0 == 0xC0 { u16::from(input.byte()) } else { 0 };
            let length = u16::try_from(value.len() + 4).unwrap().wrapping_add(lie);
            packet.extend_from_slice(&[kind, flags & 0x0F]);
            packet.extend_from_slice(&length.to_be_bytes());
            packet.extend_from_slice(&value);
            packet.resize(packet.len().next_multiple_of(4), 0);
        }
        packet
    }

    /// Leaves the checksum out (RFC 9653), or makes it right.
    pub(crate) fn seal(packet: &mut [u8], with_checksum: bool) {
        let Some(field) = packet.get_mut(8..12) else { return };
        field.fill(0);
        if with_checksum {
            let checksum = crc32c(packet);
            packet[8..12].copy_from_slice(&checksum.to_le_bytes());
        }
    }

    fn near(base: u32, input: &mut Input<'_>) -> u32 {
        let distance = input.byte();
        match distance {
            // A small step back or forth, or any number.
            0..=127 => base.wrapping_add(u32::from(distance)).wrapping_sub(32),
            128..=250 => base.wrapping_add(u32::from(input.u16())).wrapping_sub(1 << 15),
            _ => input.u32(),
        }
    }

    fn value(&self, kind: u8, input: &mut Input<'_>) -> Vec<u8> {
        let mut value = Vec::new();
        let mut put = |bytes: &[u8]| value.extend_from_slice(bytes);
        match kind {
            DATA | I_DATA => {
                put(&Self::near(self.from.last_tsn.wrapping_add(1), input).to_be_bytes());
                put(&input.choose(&STREAMS).to_be_bytes());
                if kind == DATA {
                    put(&u16::from(input.byte()).to_be_bytes());
                } else {
                    put(&[0, 0]);
                    put(&u32::from(input.byte()).to_be_bytes());
                }
                put(&[0, 0, 0, input.byte()]);
                let size = usize::from(input.byte());
                put(&vec![7; if size > 200 { size * 5 } else { size }]);
            }
            SACK => {
                put(&Self::near(self.to.last_tsn, input).to_be_bytes());
                put(&(u32::from(input.u16()) << 4).to_be_bytes());
                let (gaps, duplicates) = (input.byte() % 8, input.byte() % 4);
                put(&[0, gaps, 0, duplicates]);
                for _ in 0..gaps {
                    let (start, length) = (u16::from(input.byte()), u16::from(input.byte() % 16));
                    put(&start.to_be_bytes());
                    put(&start.wrapping_add(length).to_be_bytes());
                }
                (0..duplicates).for_each(|_| put(&Self::near(self.to.last_tsn, input).to_be_bytes()));
            }
            SHUTDOWN => put(&Self::near(self.to.last_tsn, input).to_be_bytes()),
            FORWARD_TSN | I_FORWARD_TSN => {
                put(&Self::near(self.from.last_tsn.wrapping_add(1), input).to_be_bytes());
                for _ in 0..input.byte() % 4 {
                    put(&input.choose(&STREAMS).to_be_bytes());
                    if kind == I_FORWARD_TSN {
                        put(&[0, input.byte() & 1, 0, 0, 0]);
                    } else {
                        put(&[0]);
                    }
                    put(&[input.byte()]);
                }
            }
            RE_CONFIG => self.reconfigure(&mut value, input),
            _ => put(input.bytes()),
        }
        value
    }

    /// RFC 6525 §4: a request to reset, or a response.
    fn reconfigure(&self, value: &mut Vec<u8>, input: &mut Input<'_>) {
        for _ in 0..=input.byte() & 1 {
            let is_response = input.bool();
            let streams = usize::from(input.byte() % 8);
            let kind = if is_response { 16 } else { input.choose(&[13_u16, 13, 13, 14, 15, 17, 18]) };
            let length = if is_response { 12 } else { 16 + 2 * streams };
            value.extend_from_slice(&kind.to_be_bytes());
            value.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            if is_response {
                value.extend_from_slice(&Self::near(self.to.initial_tsn.wrapping_add(32), input).to_be_bytes());
                value.extend_from_slice(&u32::from(input.byte() % 8).to_be_bytes());
                continue;
            }
            value.extend_from_slice(&Self::near(self.from.initial_tsn.wrapping_add(32), input).to_be_bytes());
            value.extend_from_slice(&Self::near(self.to.initial_tsn, input).to_be_bytes());
            value.extend_from_slice(&Self::near(self.from.last_tsn, input).to_be_bytes());
            (0..streams).for_each(|_| value.extend_from_slice(&input.choose(&STREAMS).to_be_bytes()));
            value.resize(value.len().next_multiple_of(4), 0);
        }
    }
}

/// CRC32c (RFC 9260 Appendix A), bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}
