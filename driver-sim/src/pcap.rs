//! Packet traces, as the tools of the trade read them.
//!
//! The format is the classic one of libpcap, in little-endian order with nanoseconds, and raw IP packets without a link layer (link type 101, draft-ietf-opsawg-pcap §4). Times are virtual:
//! seconds since the beginning of the world, which tools show as the first of January, 1970.

use std::net::{IpAddr, SocketAddr};

use proto_machine::Timestamp;

use crate::NodeId;
use crate::network::NetworkId;

/// Where datagrams are seen. Each has the addresses that it has there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum VantagePoint {
    /// At a host: what it sends, before any link, and what its sockets receive.
    Node(NodeId),
    /// In a network: what hosts in it send, and what gateways pass on into it from either side. Each datagram is seen once, when it comes, whether or not it arrives in the end; copies
    /// that a link has made are seen for themselves behind it.
    Network(NetworkId),
}

/// A trace that a [`World`](crate::World) keeps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RecordingId(pub(crate) usize);

/// The bytes of a trace.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) point: VantagePoint,
    bytes: Vec<u8>,
    limit: usize,
}

/// No trace grows beyond this, 256 MiB: later datagrams are left out.
const LIMIT: usize = 256 << 20;
/// Times in nanoseconds, in the byte order of this file.
const MAGIC: u32 = 0xa1b2_3c4d;
/// LINKTYPE_RAW: IPv4 or IPv6, as the first four bits say.
const LINK_TYPE: u32 = 101;
/// RFC 790, RFC 768.
const UDP: u8 = 17;
const UDP_HEADER: usize = 8;
const HOP_LIMIT: u8 = 64;

impl Recording {
    pub(crate) fn new(point: VantagePoint) -> Self {
        Self::with_limit(point, LIMIT)
    }

    fn with_limit(point: VantagePoint, limit: usize) -> Self {
        let mut bytes = Vec::new();
        bytes.extend(MAGIC.to_le_bytes());
        // Version 2.4, and two fields that are zero.
        bytes.extend([2, 0, 4, 0]);
        bytes.extend([0; 8]);
        // The longest packet: all are kept whole.
        bytes.extend(u32::from(u16::MAX).to_le_bytes());
        bytes.extend(LINK_TYPE.to_le_bytes());
        Self { point, bytes, limit }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds a datagram. What is no UDP datagram that IP could carry is left out: too long, or of two families.
    pub(crate) fn push(&mut self, at: Timestamp, source: SocketAddr, destination: SocketAddr, payload: &[u8]) {
        let Some(packet) = ip_packet(source, destination, payload) else { return };
        let time = at.since_epoch();
        let (Ok(seconds), Ok(length)) = (u32::try_from(time.as_secs()), u32::try_from(packet.len())) else { return };
        if self.bytes.len() + 16 + packet.len() > self.limit {
            return;
        }
        for field in [seconds, time.subsec_nanos(), length, length] {
            self.bytes.extend(field.to_le_bytes());
        }
        self.bytes.extend(packet);
    }
}

fn ip_packet(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(payload.len() + UDP_HEADER).ok()?;
    let mut packet = Vec::with_capacity(payload.len() + 48);
    let addresses: Vec<u8> = match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let addresses = [source.octets(), destination.octets()].concat();
            // RFC 791 §3.1: version and header length, total length, not to be fragmented.
            packet.extend([0x45, 0]);
            packet.extend(length.checked_add(20)?.to_be_bytes());
            packet.extend([0, 0, 0x40, 0, HOP_LIMIT, UDP, 0, 0]);
            packet.extend(&addresses);
            let sum = checksum(&[&packet]);
            packet.splice(10..12, sum.to_be_bytes());
            addresses
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let addresses = [source.octets(), destination.octets()].concat();
            // RFC 8200 §3: version, payload length, next header.
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(length.to_be_bytes());
            packet.extend([UDP, HOP_LIMIT]);
            packet.extend(&addresses);
            addresses
        }
        _ => return None,
    };
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    let length = length.to_be_bytes();
    // The sums of the pseudo headers of both families are the same (RFC 768, RFC 8200 §8.1). A sum of zero is sent as all ones.
    let sum = match checksum(&[&addresses, &[0, UDP], &length, &ports, &length, payload]) {
        0 => u16::MAX,
        sum => sum,
    };
    packet.extend([ports.as_slice(), &length, &sum.to_be_bytes(), payload].concat());
    Some(packet)
}

/// RFC 1071. All parts but the last are of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u64 = words.map(|word| u64::from(u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)]))).sum();
    let mut folded = sum;
    while folded > u64::from(u16::MAX) {
        folded = (folded & u64::from(u16::MAX)) + (folded >> 16);
    }
    !u16::try_from(folded).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    const POINT: VantagePoint = VantagePoint::Network(crate::network::Internet::PUBLIC);

    #[test]
    fn a_trace_of_one_ipv4_datagram_is_what_was_written_by_hand() {
        let mut recording = Recording::new(POINT);
        let time = Timestamp::from_nanos(3_000_000_007);
        recording.push(time, at("192.0.2.1:5000"), at("198.51.100.7:3478"), b"hello");
        let header = "4d3cb2a1 0200 0400 00000000 00000000 ffff0000 65000000";
        let record = "03000000 07000000 21000000 21000000";
        // 4500+0021+4000+4011+c000+0201+c633+6407 = 2b16d, folded b16f, inverted 4e90.
        let ip = "4500 0021 0000 4000 4011 4e90 c0000201 c6336407";
        // c000+0201+c633+6407 + 0011+000d + 1388+0d96+000d + 6865+6c6c+6f00 = 35155, folded 5158, inverted aea7.
        let udp = "1388 0d96 000d aea7 68656c6c6f";
        assert_eq!(recording.bytes(), bytes(&format!("{header} {record} {ip} {udp}")));
    }

    #[test]
    fn the_sum_of_an_ipv6_datagram_covers_its_addresses() {
        let packet = ip_packet(at("[2001:db8::1]:1"), at("[2001:db8::2]:2"), &[0xff, 0xfe]).unwrap();
        // 2001+0db8+0001 + 2001+0db8+0002 + 0011+000a + 0001+0002+000a + fffe = 15b9b, folded 5b9c, inverted a463.
        let addresses = "20010db8000000000000000000000001 20010db8000000000000000000000002";
        assert_eq!(packet, bytes(&format!("60000000 000a 11 40 {addresses} 0001 0002 000a a463 fffe")));
    }

    #[test]
    fn a_sum_of_zero_is_sent_as_all_ones() {
        let plain = ip_packet(at("192.0.2.1:1"), at("192.0.2.2:2"), &[0, 0]).unwrap();
        let sum = &plain[26..28];
        let packet = ip_packet(at("192.0.2.1:1"), at("192.0.2.2:2"), sum).unwrap();
        assert_eq!(packet[26..28], [0xff, 0xff]);
    }

    #[test]
    fn what_ip_cannot_carry_and_what_is_beyond_the_limit_is_left_out() {
        let mut recording = Recording::with_limit(POINT, 24 + 16 + 29);
        recording.push(Timestamp::ZERO, at("192.0.2.1:1"), at("[2001:db8::1]:1"), &[]);
        recording.push(Timestamp::ZERO, at("192.0.2.1:1"), at("192.0.2.2:1"), &[0; 65_508]);
        assert_eq!(recording.bytes().len(), 24);
        recording.push(Timestamp::ZERO, at("192.0.2.1:1"), at("192.0.2.2:1"), &[0]);
        recording.push(Timestamp::ZERO, at("192.0.2.1:1"), at("192.0.2.2:1"), &[]);
        assert_eq!(recording.bytes().len(), 24 + 16 + 29);
    }
}
