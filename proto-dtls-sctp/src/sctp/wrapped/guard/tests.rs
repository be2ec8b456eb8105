use super::*;

const HEADER: Header = Header { source_port: 5000, destination_port: 5000, verification_tag: 7 };
const REPLY: Header = Header { source_port: 5000, destination_port: 5000, verification_tag: 8 };

fn data(flags: u8, stream: u16, identifier: u32, payload: &[u8]) -> Vec<u8> {
    let mut value = vec![0, 0, 0, 1];
    value.extend_from_slice(&stream.to_be_bytes());
    value.extend_from_slice(&[0, 0]);
    value.extend_from_slice(&identifier.to_be_bytes());
    value.extend_from_slice(payload);
    let _ = flags;
    value
}

fn packet_of(chunks: &[(u8, u8, &[u8])]) -> Bytes {
    let mut writer = Writer::new(HEADER);
    for &(kind, flags, value) in chunks {
        writer.chunk(Chunk { kind, flags, value });
    }
    writer.finish()
}

fn admit_packet(packet: &Bytes, discarded: &[u16]) -> Admitted {
    let discarded = discarded.iter().copied().collect();
    let (header, chunks) = packet::parse(packet).unwrap();
    let resets = Resets::new(0);
    let received = Received::new(0, 64 * 1024);
    let context = Context {
        reply: REPLY,
        inbound_streams: 100,
        discarded: &discarded,
        resets: &resets,
        known: &[],
        received: &received,
        answers: 2,
    };
    admit(packet, header, &chunks, context)
}

fn kinds(packet: &Bytes) -> Vec<u8> {
    packet::parse(packet).unwrap().1.iter().map(|chunk| chunk.kind).collect()
}

#[test]
fn an_ordinary_packet_passes_untouched() {
    let packet = packet_of(&[(chunk_type::DATA, 3, &data(3, 1, 51, b"text")), (chunk_type::SACK, 0, &[0; 12])]);
    let admitted = admit_packet(&packet, &[]);
    assert_eq!(admitted.packet, Some(packet));
    assert_eq!((admitted.skipped, admitted.reply, admitted.violation), (0, None, None));
}

#[test]
fn an_unknown_chunk_is_skipped_or_reported_according_to_its_two_high_bits_and_the_others_count() {
    let payload = data(3, 1, 51, b"text");
    for (kind, goes_on, reports) in [(0x3F, false, false), (0x7F, false, true), (0x84, true, false), (0xFF, true, true)]
    {
        let packet =
            packet_of(&[(chunk_type::SACK, 0, &[0; 12]), (kind, 0, b"unknown"), (chunk_type::DATA, 3, &payload)]);
        let admitted = admit_packet(&packet, &[]);
        let expected: &[u8] = if goes_on { &[chunk_type::SACK, chunk_type::DATA] } else { &[chunk_type::SACK] };
        assert_eq!(kinds(&admitted.packet.unwrap()), expected);
        assert_eq!(admitted.reply.map(|reply| kinds(&reply)), reports.then(|| vec![chunk_type::ERROR]));
        assert_eq!(admitted.violation, None);
    }
}

#[test]
fn what_would_end_the_wrapped_association_is_left_out() {
    let payload = data(3, 1, 51, b"text");
    let fatal: [(u8, &[u8]); 8] = [
        (chunk_type::ERROR, &[0, 1, 0, 4]),
        (chunk_type::INIT, &[0; 16]),
        (chunk_type::HEARTBEAT_ACK, &[0, 1, 0, 4]),
        (chunk_type::HEARTBEAT, &[0, 2, 0, 4]),
        (chunk_type::SACK, &[0, 0, 0, 1, 0, 0, 0, 1, 0, 9, 0, 9]),
        (chunk_type::FORWARD_TSN, &[0, 0]),
        (chunk_type::RE_CONFIG, &[0, 13, 0, 5, 0]),
        (chunk_type::RE_CONFIG, &[]),
    ];
    for (kind, value) in fatal {
        let packet = packet_of(&[(kind, 0, value), (chunk_type::DATA, 3, &payload)]);
        let admitted = admit_packet(&packet, &[]);
        assert_eq!(kinds(&admitted.packet.unwrap()), [chunk_type::DATA], "chunk {kind}");
        assert_eq!((admitted.skipped, admitted.violation), (1, None));
    }
}

#[test]
fn requests_to_reconfigure_that_nobody_serves_are_denied() {
    for kind in [14_u8, 15, 17, 18] {
        let packet = packet_of(&[(chunk_type::RE_CONFIG, 0, &[0, kind, 0, 12, 0, 0, 0, 9, 0, 0, 0, 0])]);
        let reply = admit_packet(&packet, &[]).reply.unwrap();
        let (header, chunks) = packet::parse(&reply).unwrap();
        assert_eq!(header, REPLY);
        assert_eq!(chunks[0].kind, chunk_type::RE_CONFIG);
        assert_eq!(chunks[0].value, [0, 16, 0, 12, 0, 0, 0, 9, 0, 0, 0, 2]);
    }
}

/// RFC 6525 §5.1.1: one request at a time. A response is not repeated by itself, so it must not be lost with a second request.
#[test]
fn a_response_passes_beside_a_request_in_either_order_and_a_second_request_does_not() {
    let request: &[u8] = &[0, 13, 0, 18, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 1];
    let response: &[u8] = &[0, 16, 0, 12, 0, 0, 0, 9, 0, 0, 0, 1];
    for (values, skipped) in [([request, response], 0), ([response, request], 0), ([request, request], 1)] {
        let packet = packet_of(&values.map(|value| (chunk_type::RE_CONFIG, 0, value)));
        let admitted = admit_packet(&packet, &[]);
        assert_eq!((admitted.skipped, admitted.request.is_some()), (skipped, true), "{values:?}");
    }
}

#[test]
fn data_without_data_or_beyond_the_streams_is_a_violation() {
    let cases = [
        (data(3, 1, 51, b""), cause::NO_USER_DATA),
        (data(3, 100, 51, b"x"), cause::INVALID_STREAM_IDENTIFIER),
        (vec![0; 11], cause::PROTOCOL_VIOLATION),
    ];
    for (value, expected) in cases {
        assert_eq!(admit_packet(&packet_of(&[(chunk_type::DATA, 3, &value)]), &[]).violation, Some(expected));
    }
    assert_eq!(admit_packet(&packet_of(&[(chunk_type::DATA, 3, &data(3, 99, 51, b"x"))]), &[]).violation, None);
}

#[test]
fn data_far_behind_what_is_missing_is_left_out() {
    let far = |tsn: u32| [&tsn.to_be_bytes()[..], &data(3, 1, 53, b"x")[4..]].concat();
    let bound = u32::try_from(super::super::received::MAX_AHEAD).unwrap();
    let (last, beyond) = (far(bound), far(bound + 1));
    let packet = packet_of(&[(chunk_type::DATA, 3, &last), (chunk_type::DATA, 3, &beyond)]);
    let admitted = admit_packet(&packet, &[]);
    assert_eq!((kinds(&admitted.packet.unwrap()).len(), admitted.skipped), (1, 1));
}

#[test]
fn what_must_be_answered_is_left_out_beyond_a_bound() {
    let heartbeat = (chunk_type::HEARTBEAT, 0, &[0, 1, 0, 8, 1, 2, 3, 4][..]);
    let admitted = admit_packet(&packet_of(&[heartbeat; 5]), &[]);
    assert_eq!((kinds(&admitted.packet.unwrap()).len(), admitted.skipped, admitted.answered), (2, 3, 2));
}

#[test]
fn a_shutdown_counts_only_if_it_is_passed_on() {
    let shutdown = |value: &[u8]| admit_packet(&packet_of(&[(chunk_type::SHUTDOWN, 0, value)]), &[]).shutdown;
    assert!(shutdown(&[0; 4]));
    assert!(!shutdown(&[0; 3]) && !shutdown(&[0; 8]));
    let behind_the_end = packet_of(&[(0x3F, 0, b"unknown"), (chunk_type::SHUTDOWN, 0, &[0; 4])]);
    assert!(!admit_packet(&behind_the_end, &[]).shutdown);
    let mut forged = packet_of(&[(chunk_type::SHUTDOWN, 0, &[0; 4])]).to_vec();
    forged[8] ^= 1;
    assert!(!admit_packet(&forged.into(), &[]).shutdown);
}

#[test]
fn every_identifier_is_told_apart_behind_the_wrapped_association() {
    let expected = [
        (50, PayloadProtocol::Dcep),
        (51, PayloadProtocol::Text),
        (52, PayloadProtocol::BinaryPartial),
        (53, PayloadProtocol::Binary),
        (54, PayloadProtocol::TextPartial),
        (56, PayloadProtocol::TextEmpty),
        (57, PayloadProtocol::BinaryEmpty),
        (0, PayloadProtocol::Unknown),
        (49, PayloadProtocol::Unknown),
        (55, PayloadProtocol::Unknown),
        (u32::MAX, PayloadProtocol::Unknown),
    ];
    for (identifier, protocol) in expected {
        for first_byte in [0, 1, 2, 3, 255] {
            let packet = packet_of(&[(chunk_type::DATA, BEGINNING, &data(BEGINNING, 1, identifier, &[first_byte, 9]))]);
            let admitted = admit_packet(&packet, &[]).packet.unwrap();
            let (_, chunks) = packet::parse(&admitted).unwrap();
            let label = packet::u32_at(chunks[0].value, 8).unwrap().into();
            assert_eq!(
                protocol_of(label, &chunks[0].value[DATA_HEADER_SIZE..]),
                protocol,
                "{identifier}, {first_byte}"
            );
            assert!(packet::checksum_is_valid(&admitted));
        }
    }
}

#[test]
fn the_payload_of_text_and_binary_pieces_stays_as_it_is() {
    for identifier in [51, 52, 53, 54] {
        let packet = packet_of(&[(chunk_type::DATA, BEGINNING, &data(BEGINNING, 1, identifier, &[0, 1]))]);
        let admitted = admit_packet(&packet, &[]).packet.unwrap();
        assert_eq!(&packet::parse(&admitted).unwrap().1[0].value[DATA_HEADER_SIZE..], [0, 1]);
    }
}

#[test]
fn a_fragment_in_the_middle_is_relabelled_without_touching_its_payload() {
    let packet = packet_of(&[(chunk_type::DATA, 0, &data(0, 1, 52, &[0, 1]))]);
    let admitted = admit_packet(&packet, &[]).packet.unwrap();
    let (_, chunks) = packet::parse(&admitted).unwrap();
    assert_eq!(packet::u32_at(chunks[0].value, 8), Some(57));
    assert_eq!(&chunks[0].value[DATA_HEADER_SIZE..], [0, 1]);
}

#[test]
fn data_that_nobody_will_read_is_cut_to_one_byte() {
    let packet = packet_of(&[
        (chunk_type::DATA, 3, &data(3, 1, 53, &[9; 1000])),
        (chunk_type::DATA, 3, &data(3, 2, 53, &[9; 10])),
    ]);
    let admitted = admit_packet(&packet, &[1]).packet.unwrap();
    let lengths: Vec<_> =
        packet::parse(&admitted).unwrap().1.iter().map(|chunk| chunk.value.len() - DATA_HEADER_SIZE).collect();
    assert_eq!(lengths, [1, 10]);
}

#[test]
fn padding_that_is_not_zero_is_mended() {
    let mut packet = packet_of(&[(chunk_type::DATA, 3, &data(3, 1, 51, b"x"))]).to_vec();
    *packet.last_mut().unwrap() = 1;
    let checksum = crate::sctp::checksum::packet_checksum(&packet).to_le_bytes();
    packet[8..12].copy_from_slice(&checksum);
    let admitted = admit_packet(&packet.into(), &[]).packet.unwrap();
    assert_eq!(admitted.last(), Some(&0));
}

#[test]
fn a_wrong_checksum_is_not_mended_on_the_way() {
    let mut packet = packet_of(&[(chunk_type::DATA, 3, &data(3, 1, 57, b"x"))]).to_vec();
    packet[8] ^= 1;
    assert_eq!(admit_packet(&packet.into(), &[]).packet, None);
}
