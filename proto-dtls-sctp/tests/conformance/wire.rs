//! The tester's own way to write and read packets, by hand from RFC 9260 §3: it shares nothing with what it tests, and reads strictly.

pub(crate) const DATA: u8 = 0;
pub(crate) const INIT: u8 = 1;
pub(crate) const INIT_ACK: u8 = 2;
pub(crate) const SACK: u8 = 3;
pub(crate) const HEARTBEAT: u8 = 4;
pub(crate) const HEARTBEAT_ACK: u8 = 5;
pub(crate) const ABORT: u8 = 6;
pub(crate) const SHUTDOWN: u8 = 7;
pub(crate) const SHUTDOWN_ACK: u8 = 8;
pub(crate) const ERROR: u8 = 9;
pub(crate) const COOKIE_ECHO: u8 = 10;
pub(crate) const COOKIE_ACK: u8 = 11;
pub(crate) const SHUTDOWN_COMPLETE: u8 = 14;
/// RFC 8260 §2.1
pub(crate) const I_DATA: u8 = 64;
/// RFC 6525 §3.1
pub(crate) const RE_CONFIG: u8 = 130;
/// RFC 4820 §3
pub(crate) const PAD: u8 = 132;
/// RFC 3758 §3.2
pub(crate) const FORWARD_TSN: u8 = 192;
/// RFC 8260 §2.3.1
pub(crate) const I_FORWARD_TSN: u8 = 194;

/// The T bit of ABORT and SHUTDOWN COMPLETE.
pub(crate) const T_BIT: u8 = 1;
/// The bits of DATA.
pub(crate) const I_BIT: u8 = 8;
pub(crate) const U_BIT: u8 = 4;
pub(crate) const B_BIT: u8 = 2;
pub(crate) const E_BIT: u8 = 1;
/// A message in one chunk.
pub(crate) const WHOLE: u8 = B_BIT | E_BIT;

/// Types of parameters.
pub(crate) mod parameter {
    pub(crate) const HEARTBEAT_INFO: u16 = 1;
    pub(crate) const IPV4_ADDRESS: u16 = 5;
    pub(crate) const IPV6_ADDRESS: u16 = 6;
    pub(crate) const STATE_COOKIE: u16 = 7;
    pub(crate) const UNRECOGNIZED: u16 = 8;
    pub(crate) const COOKIE_PRESERVATIVE: u16 = 9;
    pub(crate) const HOST_NAME: u16 = 11;
    pub(crate) const SUPPORTED_ADDRESS_TYPES: u16 = 12;
    pub(crate) const ECN_CAPABLE: u16 = 0x8000;
    pub(crate) const ZERO_CHECKSUM: u16 = 0x8001;
    pub(crate) const SUPPORTED_EXTENSIONS: u16 = 0x8008;
    pub(crate) const FORWARD_TSN_SUPPORTED: u16 = 0xC000;
}

/// Codes of causes (RFC 9260 §3.3.10).
pub(crate) mod cause {
    pub(crate) const INVALID_STREAM: u16 = 1;
    pub(crate) const MISSING_PARAMETER: u16 = 2;
    pub(crate) const STALE_COOKIE: u16 = 3;
    pub(crate) const UNRESOLVABLE_ADDRESS: u16 = 5;
    pub(crate) const UNRECOGNIZED_CHUNK: u16 = 6;
    pub(crate) const INVALID_PARAMETER: u16 = 7;
    pub(crate) const UNRECOGNIZED_PARAMETERS: u16 = 8;
    pub(crate) const NO_USER_DATA: u16 = 9;
    pub(crate) const COOKIE_WHILE_SHUTTING_DOWN: u16 = 10;
    pub(crate) const RESTART: u16 = 11;
    pub(crate) const USER_ABORT: u16 = 12;
    pub(crate) const PROTOCOL_VIOLATION: u16 = 13;
}

/// A chunk, without its padding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Chunk {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) value: Vec<u8>,
}

/// A packet that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Packet {
    pub(crate) tag: u32,
    pub(crate) chunks: Vec<Chunk>,
    /// The checksum is there and right. If not, it is zero.
    pub(crate) has_checksum: bool,
    pub(crate) length: usize,
}

impl Packet {
    pub(crate) fn kinds(&self) -> Vec<u8> {
        self.chunks.iter().map(|chunk| chunk.kind).collect()
    }

    /// Reads a packet. Whatever is not as a sender has to write it is a failure of the test.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        assert!(bytes.len().is_multiple_of(4), "every chunk is padded");
        assert_eq!(bytes[..4], [0x13, 0x88, 0x13, 0x88], "both ports are 5000");
        let checksum = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
        let mut chunks = Vec::new();
        let mut rest = &bytes[12..];
        while !rest.is_empty() {
            let length = usize::from(u16_at(rest, 2));
            assert!(length >= 4, "a chunk has a header");
            assert!(rest[length..length.next_multiple_of(4)].iter().all(|&byte| byte == 0), "padding is zero");
            chunks.push(Chunk { kind: rest[0], flags: rest[1], value: rest[4..length].to_vec() });
            rest = &rest[length.next_multiple_of(4)..];
        }
        let has_checksum = checksum == crc32c(bytes);
        assert!(has_checksum || checksum == 0, "the checksum is right or left out");
        Self { tag: u32_at(bytes, 4), chunks, has_checksum, length: bytes.len() }
    }

    /// Writes a packet with its checksum.
    pub(crate) fn write(tag: u32, chunks: &[Chunk]) -> Vec<u8> {
        let mut bytes = vec![0x13, 0x88, 0x13, 0x88];
        bytes.extend(tag.to_be_bytes());
        bytes.extend([0; 4]);
        for chunk in chunks {
            bytes.extend([chunk.kind, chunk.flags]);
            bytes.extend(length_field(4 + chunk.value.len()));
            bytes.extend(&chunk.value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        put_checksum(&mut bytes);
        bytes
    }
}

pub(crate) fn put_checksum(packet: &mut [u8]) {
    let checksum = crc32c(packet).to_le_bytes();
    packet[8..12].copy_from_slice(&checksum);
}

/// RFC 9260 §6.8 and Appendix A, bit by bit, with zeros in place of the checksum.
fn crc32c(packet: &[u8]) -> u32 {
    let bytes = packet.iter().enumerate().map(|(index, &byte)| if (8..12).contains(&index) { 0 } else { byte });
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 })
    })
}

fn length_field(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap().to_be_bytes()
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap())
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Parameters, or causes, one behind the other. The padding of the last is that of the chunk (RFC 9260 §3.2).
pub(crate) fn parameters(list: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for (kind, value) in list {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(kind.to_be_bytes());
        bytes.extend(length_field(4 + value.len()));
        bytes.extend(value);
    }
    bytes
}

/// Reads parameters or causes.
pub(crate) fn read_parameters(mut bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut list = Vec::new();
    while !bytes.is_empty() {
        assert!(bytes.len() >= 4, "the padding of the last parameter is not counted in the chunk");
        let length = usize::from(u16_at(bytes, 2));
        list.push((u16_at(bytes, 0), bytes[4..length].to_vec()));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    list
}

pub(crate) fn chunk(kind: u8, value: &[u8]) -> Chunk {
    Chunk { kind, flags: 0, value: value.to_vec() }
}

/// INIT or INIT ACK.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Init {
    pub(crate) tag: u32,
    pub(crate) window: u32,
    pub(crate) outbound_streams: u16,
    pub(crate) inbound_streams: u16,
    pub(crate) tsn: u32,
    pub(crate) parameters: Vec<(u16, Vec<u8>)>,
}

impl Init {
    pub(crate) fn chunk(&self, kind: u8) -> Chunk {
        let mut value = Vec::new();
        value.extend(self.tag.to_be_bytes());
        value.extend(self.window.to_be_bytes());
        value.extend(self.outbound_streams.to_be_bytes());
        value.extend(self.inbound_streams.to_be_bytes());
        value.extend(self.tsn.to_be_bytes());
        value.extend(parameters(&self.parameters));
        chunk(kind, &value)
    }

    pub(crate) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.parameters.push((kind, value.to_vec()));
        self
    }

    pub(crate) fn find(&self, kind: u16) -> Option<&[u8]> {
        self.all(kind).next()
    }

    pub(crate) fn all(&self, kind: u16) -> impl Iterator<Item = &[u8]> {
        self.parameters.iter().filter(move |(found, _)| *found == kind).map(|(_, value)| value.as_slice())
    }
}

/// SACK, with its TSN as it is on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sack {
    pub(crate) cumulative: u32,
    pub(crate) window: u32,
    pub(crate) gaps: Vec<(u16, u16)>,
    pub(crate) duplicates: Vec<u32>,
}

impl Sack {
    pub(crate) fn chunk(&self) -> Chunk {
        let mut value = Vec::new();
        value.extend(self.cumulative.to_be_bytes());
        value.extend(self.window.to_be_bytes());
        value.extend(length_field(self.gaps.len()));
        value.extend(length_field(self.duplicates.len()));
        for (start, end) in &self.gaps {
            value.extend(start.to_be_bytes());
            value.extend(end.to_be_bytes());
        }
        value.extend(self.duplicates.iter().flat_map(|tsn| tsn.to_be_bytes()));
        chunk(SACK, &value)
    }
}

/// DATA or I-DATA, with its TSN as it is on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Data {
    pub(crate) tsn: u32,
    pub(crate) flags: u8,
    pub(crate) stream: u16,
    /// Stream sequence number, or message identifier.
    pub(crate) sequence: u32,
    /// Payload protocol identifier, or in I-DATA without the B bit the fragment sequence number.
    pub(crate) protocol: u32,
    pub(crate) payload: Vec<u8>,
}

impl Data {
    pub(crate) fn chunk(&self) -> Chunk {
        let mut value = Vec::new();
        value.extend(self.tsn.to_be_bytes());
        value.extend(self.stream.to_be_bytes());
        value.extend(u16::try_from(self.sequence).unwrap().to_be_bytes());
        value.extend(self.protocol.to_be_bytes());
        value.extend(&self.payload);
        Chunk { kind: DATA, flags: self.flags, value }
    }

    pub(crate) fn interleaved(&self) -> Chunk {
        let mut value = Vec::new();
        value.extend(self.tsn.to_be_bytes());
        value.extend(self.stream.to_be_bytes());
        value.extend([0; 2]);
        value.extend(self.sequence.to_be_bytes());
        value.extend(self.protocol.to_be_bytes());
        value.extend(&self.payload);
        Chunk { kind: I_DATA, flags: self.flags, value }
    }
}

impl Chunk {
    pub(crate) fn with_flags(self, flags: u8) -> Self {
        Self { flags, ..self }
    }

    pub(crate) fn init(&self) -> Init {
        assert!(matches!(self.kind, INIT | INIT_ACK), "{self:?}");
        let value = &self.value;
        Init {
            tag: u32_at(value, 0),
            window: u32_at(value, 4),
            outbound_streams: u16_at(value, 8),
            inbound_streams: u16_at(value, 10),
            tsn: u32_at(value, 12),
            parameters: read_parameters(&value[16..]),
        }
    }

    pub(crate) fn sack(&self) -> Sack {
        assert_eq!(self.kind, SACK, "{self:?}");
        let value = &self.value;
        let (gaps, duplicates) = (usize::from(u16_at(value, 8)), usize::from(u16_at(value, 10)));
        assert_eq!(value.len(), 12 + 4 * (gaps + duplicates));
        let word = |index: usize| 12 + 4 * index;
        Sack {
            cumulative: u32_at(value, 0),
            window: u32_at(value, 4),
            gaps: (0..gaps).map(|index| (u16_at(value, word(index)), u16_at(value, word(index) + 2))).collect(),
            duplicates: (gaps..gaps + duplicates).map(|index| u32_at(value, word(index))).collect(),
        }
    }

    pub(crate) fn data(&self) -> Data {
        let value = &self.value;
        let (tsn, stream, flags) = (u32_at(value, 0), u16_at(value, 4), self.flags);
        if self.kind == I_DATA {
            let (sequence, protocol) = (u32_at(value, 8), u32_at(value, 12));
            return Data { tsn, flags, stream, sequence, protocol, payload: value[16..].to_vec() };
        }
        assert_eq!(self.kind, DATA, "{self:?}");
        let (sequence, protocol) = (u16_at(value, 6).into(), u32_at(value, 8));
        Data { tsn, flags, stream, sequence, protocol, payload: value[12..].to_vec() }
    }

    /// The causes of an ERROR or ABORT.
    pub(crate) fn causes(&self) -> Vec<(u16, Vec<u8>)> {
        assert!(matches!(self.kind, ABORT | ERROR), "{self:?}");
        read_parameters(&self.value)
    }

    /// The code of its only cause.
    pub(crate) fn cause(&self) -> u16 {
        let causes = self.causes();
        assert_eq!(causes.len(), 1, "{causes:?}");
        causes[0].0
    }
}

/// ERROR or ABORT with one cause.
pub(crate) fn with_cause(kind: u8, code: u16, value: &[u8]) -> Chunk {
    chunk(kind, &parameters(&[(code, value.to_vec())]))
}

pub(crate) fn heartbeat(kind: u8, info: &[u8]) -> Chunk {
    chunk(kind, &parameters(&[(parameter::HEARTBEAT_INFO, info.to_vec())]))
}
