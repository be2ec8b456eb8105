//! CRC32c (RFC 9260 Appendix A), for the few packets that this crate writes or changes itself.

/// The reflected polynomial of Castagnoli.
const POLYNOMIAL: u32 = 0x82F6_3B78;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index: u32 = 0;
    while index < 256 {
        let mut value = index;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ POLYNOMIAL } else { value >> 1 };
            bit += 1;
        }
        table[index as usize] = value;
        index += 1;
    }
    table
}

/// The checksum of an SCTP packet, its checksum field (bytes 8 to 11) counted as zero (RFC 9260 §6.8).
pub(crate) fn packet_checksum(packet: &[u8]) -> u32 {
    let bytes = packet.iter().enumerate().map(|(index, &byte)| if (8..12).contains(&index) { 0 } else { byte });
    !bytes.fold(u32::MAX, |crc, byte| {
        (crc >> 8) ^ TABLE.get(((crc ^ u32::from(byte)) & 0xFF) as usize).copied().unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The algorithm bit by bit, as its definition has it.
    fn bitwise(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |mut crc, &byte| {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            }
            crc
        })
    }

    #[test]
    fn a_header_from_the_wire_has_the_checksum_it_carries() {
        let packet = [0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0, 0x06, 0xA9, 0x00, 0xE1];
        assert_eq!(packet_checksum(&packet), u32::from_le_bytes([0x06, 0xA9, 0x00, 0xE1]));
    }

    #[test]
    fn the_table_gives_what_the_definition_gives() {
        assert_eq!(bitwise(b"123456789"), 0xE306_9283, "the customary check value");
        let packet = *b"abcdefgh\0\0\0\0ijklmnop";
        assert_eq!(packet_checksum(&packet), bitwise(&packet));
    }
}
