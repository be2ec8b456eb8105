//! CRC32c (RFC 9260 Appendix A).

/// The checksum of an SCTP packet, its checksum field (bytes 8 to 11) counted as zero (RFC 9260 §6.8).
pub(crate) fn packet_checksum(packet: &[u8]) -> u32 {
    let (head, rest) = packet.split_at(packet.len().min(8));
    let crc = crc32c::crc32c(head);
    let field = rest.len().min(4);
    let crc = crc32c::crc32c_append(crc, [0; 4].get(..field).unwrap_or_default());
    crc32c::crc32c_append(crc, rest.get(field..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The algorithm bit by bit, as its definition has it: the reflected polynomial of Castagnoli.
    fn bitwise(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |mut crc, &byte| {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
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
    fn the_checksum_is_that_of_the_definition_whatever_stands_in_its_field() {
        assert_eq!(bitwise(b"123456789"), 0xE306_9283, "the customary check value");
        let mut packet = *b"abcdefgh\0\0\0\0ijklmnop";
        let expected = bitwise(&packet);
        assert_eq!(packet_checksum(&packet), expected);
        packet[8..12].fill(7);
        assert_eq!(packet_checksum(&packet), expected);
    }

    #[test]
    fn a_packet_cut_anywhere_has_a_checksum() {
        for length in 0..20 {
            let packet = vec![0; length];
            assert_eq!(packet_checksum(&packet), bitwise(&packet));
        }
    }
}
