//! RE-CONFIG (RFC 6525 §3 and §4).

use crate::sctp::packet::{self, Builder, Parameter, chunk_type};

const OUTGOING_RESET: u16 = 13;
const INCOMING_RESET: u16 = 14;
const TSN_RESET: u16 = 15;
const RESPONSE: u16 = 16;
const ADD_OUTGOING_STREAMS: u16 = 17;
const ADD_INCOMING_STREAMS: u16 = 18;
/// Bytes of a request in front of its streams, and of the headers of chunk and parameter.
pub(crate) const RESET_OVERHEAD: usize = 4 + 4 + 12;

/// The result in a response (RFC 6525 §4.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Performed,
    Denied,
    AlreadyInProgress,
    BadSequenceNumber,
    InProgress,
    /// Wrong stream number, or a number that is not assigned.
    Failed,
}

impl Outcome {
    fn code(self) -> u32 {
        match self {
            Self::Performed => 1,
            Self::Denied => 2,
            Self::Failed => 3,
            Self::AlreadyInProgress => 4,
            Self::BadSequenceNumber => 5,
            Self::InProgress => 6,
        }
    }

    fn from_code(code: u32) -> Self {
        match code {
            // "Nothing to do" is as good as done.
            0 | 1 => Self::Performed,
            2 => Self::Denied,
            4 => Self::AlreadyInProgress,
            5 => Self::BadSequenceNumber,
            6 => Self::InProgress,
            _ => Self::Failed,
        }
    }
}

/// A parameter of the chunk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Reconfiguration {
    /// The sender resets its outgoing streams (RFC 6525 §4.1).
    OutgoingReset {
        number: u32,
        /// The last request of the other side that the sender has answered.
        answered: u32,
        last_tsn: u32,
        /// None means all.
        streams: Vec<u16>,
    },
    /// A request that this crate does not serve, by its number.
    Unserved(u32),
    Response {
        number: u32,
        outcome: Outcome,
    },
}

/// Reads a chunk. `None` if it is malformed: one or two parameters, and not twice a request (RFC 6525 §3.1).
pub(crate) fn read(value: &[u8]) -> Option<Vec<Reconfiguration>> {
    let mut parameters = Vec::new();
    for parameter in packet::parameters(value) {
        parameters.push(read_parameter(parameter?)?);
    }
    let requests =
        parameters.iter().filter(|parameter| matches!(parameter, Reconfiguration::OutgoingReset { .. })).count();
    (matches!(parameters.len(), 1 | 2) && requests <= 1).then_some(parameters)
}

fn read_parameter(parameter: Parameter<'_>) -> Option<Reconfiguration> {
    let value = parameter.value;
    let number = packet::u32_at(value, 0)?;
    match parameter.kind {
        OUTGOING_RESET if value.len().is_multiple_of(2) => Some(Reconfiguration::OutgoingReset {
            number,
            answered: packet::u32_at(value, 4)?,
            last_tsn: packet::u32_at(value, 8)?,
            streams: value.get(12..)?.chunks_exact(2).filter_map(|stream| packet::u16_at(stream, 0)).collect(),
        }),
        RESPONSE if matches!(value.len(), 8 | 16) => {
            Some(Reconfiguration::Response { number, outcome: Outcome::from_code(packet::u32_at(value, 4)?) })
        }
        INCOMING_RESET | TSN_RESET | ADD_OUTGOING_STREAMS | ADD_INCOMING_STREAMS => {
            Some(Reconfiguration::Unserved(number))
        }
        _ => None,
    }
}

/// Appends a chunk with a response, if it fits.
pub(crate) fn put_response(builder: &mut Builder<'_>, number: u32, outcome: Outcome) -> bool {
    builder.chunk(chunk_type::RE_CONFIG, 0, 12, |bytes| {
        bytes.extend_from_slice(&RESPONSE.to_be_bytes());
        bytes.extend_from_slice(&12_u16.to_be_bytes());
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&outcome.code().to_be_bytes());
    })
}

/// Appends a chunk with a request to reset outgoing streams, at least one, if it fits.
pub(crate) fn put_outgoing_reset(
    builder: &mut Builder<'_>,
    [number, answered, last_tsn]: [u32; 3],
    streams: &[u16],
) -> bool {
    let length = 16 + 2 * streams.len();
    let Ok(parameter_length) = u16::try_from(length) else { return false };
    builder.chunk(chunk_type::RE_CONFIG, 0, length, |bytes| {
        bytes.extend_from_slice(&OUTGOING_RESET.to_be_bytes());
        bytes.extend_from_slice(&parameter_length.to_be_bytes());
        for number in [number, answered, last_tsn] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        for stream in streams {
            bytes.extend_from_slice(&stream.to_be_bytes());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sctp::packet::{Header, Packet};

    fn value(write: impl FnOnce(&mut Builder<'_>) -> bool) -> Vec<u8> {
        let header = Header { source_port: 1, destination_port: 2, verification_tag: 3 };
        let mut bytes = Vec::new();
        let mut builder = Builder::new(&mut bytes, header, 100);
        assert!(write(&mut builder));
        builder.finish(true);
        Packet::parse(&bytes).unwrap().chunks().next().unwrap().value.to_vec()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let request = value(|builder| put_outgoing_reset(builder, [1, 2, 3], &[4, 5, 6]));
        let expected = Reconfiguration::OutgoingReset { number: 1, answered: 2, last_tsn: 3, streams: vec![4, 5, 6] };
        assert_eq!(read(&request), Some(vec![expected]));
        for outcome in [Outcome::Performed, Outcome::Denied, Outcome::InProgress, Outcome::AlreadyInProgress] {
            let response = value(|builder| put_response(builder, 9, outcome));
            assert_eq!(read(&response), Some(vec![Reconfiguration::Response { number: 9, outcome }]));
        }
    }

    #[test]
    fn a_chunk_with_too_many_parameters_or_a_malformed_one_is_not_read() {
        let request = value(|builder| put_outgoing_reset(builder, [1, 2, 3], &[4, 5]));
        let response = value(|builder| put_response(builder, 9, Outcome::Performed));
        assert!(read(&[&request[..], &response].concat()).is_some());
        assert_eq!(read(&[&request[..], &request].concat()), None);
        assert_eq!(read(&[&response[..], &response, &response].concat()), None);
        assert_eq!(read(&[]), None);
        for length in 1..request.len() {
            assert_eq!(read(&request[..length]), None);
        }
    }

    #[test]
    fn requests_that_nobody_serves_are_known_by_their_number() {
        for kind in [14, 15, 17, 18] {
            assert_eq!(read(&[0, kind, 0, 12, 0, 0, 0, 9, 0, 0, 0, 0]), Some(vec![Reconfiguration::Unserved(9)]));
        }
    }
}
