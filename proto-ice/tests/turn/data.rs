//! Data through the relay, over datagrams and streams.

use std::time::Duration;

use proto_ice::turn::server::TurnServer;
use proto_ice::turn::{FrameReader, TurnClient, TurnConfig, TurnDropReason};
use proto_machine::{Machine, Path, Received, Room, Seed, Timestamp, TransmitBuffer, TransportProtocol};

use crate::world::{World, address, client_address, credentials, server_address, server_config};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn data_of_every_length_goes_both_ways_in_indications_and_over_channels() {
    let peer = address("198.51.100.1:6000");
    for with_channel in [false, true] {
        let mut world = World::permitted(peer);
        if with_channel {
            let now = world.now;
            assert!(world.client.bind_channel(now, peer));
            world.run_for(SECOND);
        }
        let relayed = world.relayed();
        let payloads: Vec<Vec<u8>> = (1..=9).chain([1_000, 1_100]).map(|length| vec![7; length]).collect();
        for payload in &payloads {
            assert!(world.send(peer, payload));
            world.send_from_peer(peer, relayed, payload);
        }
        world.run_for(SECOND);
        let bytes = |arrived: &[crate::world::Arrived]| arrived.iter().map(|one| one.bytes.clone()).collect::<Vec<_>>();
        assert_eq!(bytes(&world.at_peers), payloads);
        assert_eq!(bytes(&world.at_client), payloads);
        assert!(world.at_peers.iter().all(|arrived| arrived.from == relayed && arrived.to == peer));
        assert!(world.at_client.iter().all(|arrived| arrived.from == peer && arrived.to == relayed));
        let report = world.client.report();
        assert_eq!((report.packets_sent, report.packets_received), (11, 11));
    }
}

#[test]
fn a_batch_over_a_channel_lies_contiguous_with_a_header_before_each_datagram_and_outer_room_kept() {
    let peer = address("198.51.100.1:6000");
    let mut world = World::permitted(peer);
    let now = world.now;
    assert!(world.client.bind_channel(now, peer));
    world.run_for(SECOND);
    let mut buffer = TransmitBuffer::new(20);
    let now = world.now;
    let transmit = buffer.with_room(Room { head: 1, tail: 0 }, |buffer| {
        world.client.wrap(now, peer, buffer, |buffer| {
            assert_eq!(buffer.payload_capacity(), 15);
            assert!(buffer.push(b"abcde") && buffer.push(b"fghij") && buffer.push(b"k"));
            buffer.segments()
        })
    });
    assert_eq!(transmit.unwrap().segments.count.get(), 3);
    let datagrams: Vec<_> = buffer.datagrams().collect();
    assert_eq!(datagrams, [&b"\0\x40\0\0\x05abcde"[..], b"\0\x40\0\0\x05fghij", b"\0\x40\0\0\x01k"]);
}

#[test]
fn a_payload_is_never_larger_than_what_fits_with_its_envelope() {
    for peer in [address("198.51.100.1:6000"), address("[2001:db8::1]:6000")] {
        let config = TurnConfig { families: proto_ice::turn::RelayedFamilies::Both, ..TurnConfig::new(credentials()) };
        let mut world = World::with(server_config(), config);
        world.run_for(SECOND);
        world.client.permit([peer.ip()]);
        world.run_for(SECOND);
        for capacity in 100..110 {
            let mut buffer = TransmitBuffer::new(capacity);
            let now = world.now;
            let transmit = world.client.wrap(now, peer, &mut buffer, |buffer| {
                let payload = vec![1; buffer.payload_capacity()];
                assert!(buffer.push(&payload));
                buffer.segments()
            });
            assert!(transmit.is_some() && buffer.bytes().len() <= capacity && buffer.bytes().len().is_multiple_of(4));
        }
    }
}

#[test]
fn nothing_to_write_is_nothing_sent() {
    let peer = address("198.51.100.1:6000");
    let mut world = World::permitted(peer);
    let mut buffer = TransmitBuffer::new(1_200);
    let now = world.now;
    assert!(world.client.wrap(now, peer, &mut buffer, |_| None).is_none());
    assert!(buffer.is_empty());
    assert_eq!(world.client.report().packets_sent, 0);
}

#[test]
fn an_icmp_error_is_counted_and_not_believed() {
    let peer = address("198.51.100.1:6000");
    let mut world = World::permitted(peer);
    // A Data indication with XOR-PEER-ADDRESS and ICMP (destination unreachable, port unreachable).
    let mut message = vec![0, 0x17, 0, 24, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    message.extend([0, 0x12, 0, 8, 0, 1, (6_000_u16 >> 8) as u8 ^ 0x21, (6_000_u16 & 0xff) as u8 ^ 0x12]);
    message.extend([198 ^ 0x21, 51 ^ 0x12, 100 ^ 0xa4, 1 ^ 0x42]);
    message.extend([0x80, 0x04, 0, 8, 0, 0, 3, 3, 0, 0, 0, 0]);
    world.inject(&message);
    assert_eq!(world.client.report().drops.get(TurnDropReason::Icmp), 1);
    assert!(world.client.can_send(world.now, peer));
}

/// Both ends of a byte stream that arrives in pieces of this size.
struct StreamWorld {
    client: TurnClient,
    server: TurnServer,
    to_client: FrameReader,
    to_server: FrameReader,
    piece: usize,
    at_client: Vec<Vec<u8>>,
    at_peer: Vec<Vec<u8>>,
}

impl StreamWorld {
    fn turn(&mut self, now: Timestamp) {
        let path = self.client.path();
        let mut buffer = TransmitBuffer::new(1_400);
        loop {
            buffer.clear();
            let mut is_idle = true;
            if self.client.poll_transmit(now, 1, &mut buffer).is_some() {
                is_idle = false;
                self.deliver_to_server(now, path, buffer.bytes());
            }
            buffer.clear();
            if let Some(transmit) = self.server.poll_transmit(now, 1, &mut buffer) {
                is_idle = false;
                if transmit.path.protocol == TransportProtocol::Tcp {
                    for piece in buffer.bytes().chunks(self.piece) {
                        self.to_client.push(piece);
                        while let Some(frame) = self.to_client.next_frame().unwrap() {
                            if let Some(data) = self.client.handle_message(now, frame) {
                                self.at_client.push(frame[data.payload].to_vec());
                            }
                        }
                    }
                } else {
                    self.at_peer.push(buffer.bytes().to_vec());
                }
            }
            if is_idle {
                return;
            }
        }
    }

    fn deliver_to_server(&mut self, now: Timestamp, path: Path, bytes: &[u8]) {
        for piece in bytes.chunks(self.piece) {
            self.to_server.push(piece);
            while let Some(frame) = self.to_server.next_frame().unwrap() {
                let mut datagram = frame.to_vec();
                self.server.handle_input(now, Received { path: path.reversed(), datagram: &mut datagram });
            }
        }
    }
}

/// Item 41 (RFC 8656 §12.5).
#[test]
fn item_41_over_a_stream_data_of_every_length_goes_both_ways_whatever_the_pieces() {
    let peer = address("198.51.100.1:6000");
    for piece in [1, 2, 3, 5, 7, 64, 4_096] {
        let path = Path { protocol: TransportProtocol::Tcp, local: client_address(), remote: server_address() };
        let mut world = StreamWorld {
            client: TurnClient::new(path, TurnConfig::new(credentials()), &Seed::from_number(1)),
            server: TurnServer::new(server_config(), &Seed::from_number(2)),
            to_client: FrameReader::default(),
            to_server: FrameReader::default(),
            piece,
            at_client: Vec::new(),
            at_peer: Vec::new(),
        };
        let now = Timestamp::ZERO;
        world.turn(now);
        assert!(world.client.bind_channel(now, peer));
        world.turn(now);
        assert_eq!(world.client.overhead(now, peer), 7);
        let relayed = world.client.relayed_addresses()[0];
        let payloads: Vec<Vec<u8>> = (1..=9).map(|length| vec![b'x'; length]).collect();
        for payload in &payloads {
            let mut buffer = TransmitBuffer::new(1_200);
            let wrapped = world.client.wrap(now, peer, &mut buffer, |buffer| {
                assert!(buffer.push(payload));
                buffer.segments()
            });
            assert!(wrapped.is_some() && buffer.bytes().len().is_multiple_of(4));
            world.deliver_to_server(now, path, buffer.bytes());
            let mut datagram = payload.clone();
            world.server.handle_input(now, Received { path: Path::udp(relayed, peer), datagram: &mut datagram });
            world.turn(now);
        }
        assert_eq!(world.at_peer, payloads);
        assert_eq!(world.at_client, payloads);
        assert_eq!(world.server.statistics().sent_by_channel, 9);
    }
}

/// RFC 8489 §6.2.2: nothing is sent again over a stream.
#[test]
fn over_a_stream_a_request_is_sent_once_and_given_up_after_39_and_a_half_seconds() {
    let path = Path { protocol: TransportProtocol::Tcp, local: client_address(), remote: server_address() };
    let mut client = TurnClient::new(path, TurnConfig::new(credentials()), &Seed::from_number(1));
    let mut buffer = TransmitBuffer::new(1_400);
    assert!(client.poll_transmit(Timestamp::ZERO, 1, &mut buffer).is_some());
    let deadline = client.poll_timeout().unwrap().at;
    assert_eq!(deadline, Timestamp::from_millis(39_500));
    buffer.clear();
    assert!(client.poll_transmit(Timestamp::from_millis(39_499), 1, &mut buffer).is_none());
    client.handle_timeout(deadline);
    assert!(client.has_ended());
}
