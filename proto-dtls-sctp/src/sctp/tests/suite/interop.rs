//! Against the wrapped crate's own set-up, which knows nothing of ours.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use proto_machine::Seed;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier, ServerConfig, StreamEvent,
};

use super::*;

const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// An endpoint of the bare crate.
struct Foreign {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    connected: bool,
    resets: Vec<u16>,
}

impl Foreign {
    fn server() -> Self {
        let endpoint = Endpoint::new(Arc::new(EndpointConfig::new()), Some(Arc::new(ServerConfig::new())));
        Self { endpoint, association: None, connected: false, resets: Vec::new() }
    }

    fn client() -> Self {
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::new()), None);
        let association = endpoint.connect(ClientConfig::new(), NOWHERE).unwrap();
        Self { endpoint, association: Some(association), connected: false, resets: Vec::new() }
    }

    fn handle(&mut self, instant: Instant, packet: Bytes) {
        match self.endpoint.handle(instant, NOWHERE, None, None, packet) {
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                self.association = Some((handle, association));
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                self.association.as_mut().unwrap().1.handle_event(event);
            }
            None => {}
        }
    }

    fn poll(&mut self, instant: Instant) -> Vec<Bytes> {
        let Some((_, association)) = &mut self.association else { return Vec::new() };
        while let Some(event) = association.poll() {
            match event {
                Event::Connected => self.connected = true,
                Event::Stream(StreamEvent::ResetComplete { id }) => self.resets.push(id),
                _ => {}
            }
        }
        match association.poll_transmit(instant).map(|transmit| transmit.payload) {
            Some(Payload::RawEncode(packets)) => packets,
            _ => Vec::new(),
        }
    }

    fn association(&mut self) -> &mut Association {
        &mut self.association.as_mut().unwrap().1
    }
}

/// Carries everything both ways for five seconds; `drop_own_init` leaves the set-up to the foreign side.
fn run(
    own: &mut Sctp,
    foreign: &mut Foreign,
    now: &mut Timestamp,
    epoch: Instant,
    drop_own_init: bool,
) -> Vec<SctpEvent> {
    let mut events = Vec::new();
    for _ in 0..100 {
        *now = *now + Duration::from_millis(50);
        let instant = epoch + now.since_epoch();
        own.handle_timeout(*now, &mut events);
        if let Some((_, association)) = &mut foreign.association {
            association.handle_timeout(instant);
        }
        for _ in 0..20 {
            while let Some(packet) = own.poll_packet(*now, &mut events) {
                let is_init = packet::parse(&packet).unwrap().1[0].kind == chunk_type::INIT;
                if !(is_init && drop_own_init) {
                    foreign.handle(instant, packet);
                }
            }
            for packet in foreign.poll(instant) {
                own.handle_packet(*now, &packet, &mut events);
            }
        }
    }
    events
}

fn talk(mut foreign: Foreign, drop_own_init: bool) {
    let mut now = Timestamp::from_millis(1);
    #[expect(clippy::disallowed_methods, reason = "the crate wants an Instant, and only differences matter")]
    let epoch = Instant::now();
    let mut own = Sctp::start(now, SETTINGS, Seed::from_number(1).into_rng());
    let events = run(&mut own, &mut foreign, &mut now, epoch, drop_own_init);
    assert!(foreign.connected);
    assert!(events.contains(&SctpEvent::Established { streams: SETTINGS.streams }), "{events:?}");

    own.open_stream(3, 256);
    let payload = Bytes::from(vec![7; 50_000]);
    let (protocol, reliability) = (PayloadProtocol::Binary, Reliability::Reliable);
    assert!(own.write(now, OutgoingMessage { stream: 3, protocol, payload, ordered: true, reliability }));
    foreign.association().open_stream(5, PayloadProtocolIdentifier::String).unwrap().write(b"text").unwrap();
    run(&mut own, &mut foreign, &mut now, epoch, false);
    assert_eq!(foreign.association().stream(3).unwrap().read().unwrap().unwrap().len(), 50_000);
    assert_eq!(own.read(5, &mut Vec::new()), Some((PayloadProtocol::Text, Bytes::from_static(b"text"))));

    // One stream is closed from each side; each is closed on both in the end.
    own.reset_stream(3, &mut Vec::new());
    foreign.association().stream(5).unwrap().close().unwrap();
    let events = run(&mut own, &mut foreign, &mut now, epoch, false);
    for stream in [3, 5] {
        assert!(events.contains(&SctpEvent::ResetComplete(stream)), "{events:?}");
        assert!(foreign.resets.contains(&stream), "{:?}", foreign.resets);
        // The other side resets a stream again in answer to the answer: that is not the reset of a next owner.
        assert_eq!(events.iter().filter(|&&event| event == SctpEvent::IncomingReset(stream)).count(), 1, "{events:?}");
    }
    own.abort();
    run(&mut own, &mut foreign, &mut now, epoch, false);
    assert!(foreign.association().is_closed());
}

#[test]
fn an_association_is_set_up_by_our_init() {
    talk(Foreign::server(), false);
}

#[test]
fn an_association_is_set_up_by_the_init_of_the_other_side() {
    talk(Foreign::client(), true);
}
