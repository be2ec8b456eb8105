//! `sctp-proto`, the SCTP of str0m.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier, ServerConfig, StreamEvent, TransportConfig,
};

use super::{Engine, EngineConfig, PACKET_SIZE};

const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
/// Bytes of the common header and of the header of a DATA chunk.
const OVERHEAD: usize = 28;

pub(super) struct SctpProto {
    epoch: Instant,
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    up: bool,
    readable: Vec<u16>,
    packets: std::collections::VecDeque<Bytes>,
}

impl SctpProto {
    fn association(&mut self) -> Result<&mut Association> {
        self.association.as_mut().map(|(_, association)| association).ok_or_else(|| anyhow!("not connected"))
    }

    fn take_events(&mut self) {
        let Some((_, association)) = &mut self.association else { return };
        while let Some(event) = association.poll() {
            match event {
                Event::Connected => self.up = true,
                Event::Stream(StreamEvent::Opened { id } | StreamEvent::Readable { id }) => self.readable.push(id),
                _ => {}
            }
        }
        while association.accept_stream().is_some() {}
        while association.poll_endpoint_event().is_some() {}
    }
}

impl Engine for SctpProto {
    fn new(config: EngineConfig) -> Result<Self> {
        let epoch = Instant::now();
        let mut endpoint_config = EndpointConfig::new();
        endpoint_config.max_payload_size(u32::try_from((PACKET_SIZE - OVERHEAD) / 4 * 4)?);
        let transport = TransportConfig::default().with_max_receive_buffer_size(config.window);
        let transport = Arc::new(transport);
        let server = config.passive.then(|| {
            let mut server = ServerConfig::new();
            server.transport = transport.clone();
            Arc::new(server)
        });
        let mut endpoint = Endpoint::new(Arc::new(endpoint_config), server);
        let association = if config.passive {
            None
        } else {
            let mut client = ClientConfig::new();
            client.transport = transport;
            Some(endpoint.connect(client, NOWHERE)?)
        };
        Ok(Self { epoch, endpoint, association, up: false, readable: Vec::new(), packets: Default::default() })
    }

    fn is_up(&mut self) -> bool {
        self.take_events();
        self.up
    }

    fn handle_packet(&mut self, now: Duration, packet: &[u8]) {
        let instant = self.epoch + now;
        match self.endpoint.handle(instant, NOWHERE, None, None, Bytes::copy_from_slice(packet)) {
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                self.association = Some((handle, association));
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some((_, association)) = &mut self.association {
                    association.handle_event(event);
                }
            }
            None => {}
        }
    }

    fn handle_timeout(&mut self, now: Duration) {
        let instant = self.epoch + now;
        if let Some((_, association)) = &mut self.association
            && association.poll_timeout().is_some_and(|due| due <= instant)
        {
            association.handle_timeout(instant);
        }
    }

    fn take_packets(&mut self, now: Duration, limit: usize, packets: &mut Vec<Vec<u8>>, _: &mut Vec<Vec<u8>>) {
        let instant = self.epoch + now;
        let Some((_, association)) = &mut self.association else { return };
        while self.packets.len() < limit {
            let Some(transmit) = association.poll_transmit(instant) else { break };
            let Payload::RawEncode(encoded) = transmit.payload else { break };
            self.packets.extend(encoded);
        }
        let count = self.packets.len().min(limit);
        packets.extend(self.packets.drain(..count).map(Vec::from));
    }

    fn open(&mut self, stream: u16) -> Result<()> {
        self.association()?.open_stream(stream, PayloadProtocolIdentifier::Binary)?;
        Ok(())
    }

    fn send(&mut self, _: Duration, stream: u16, message: &Bytes) -> Result<()> {
        self.association()?.stream(stream)?.write_chunks(&mut [message.clone()])?;
        Ok(())
    }

    fn receive(&mut self, take: &mut dyn FnMut(u16, &[u8])) {
        self.take_events();
        let mut readable = std::mem::take(&mut self.readable);
        readable.sort_unstable();
        readable.dedup();
        let Ok(association) = self.association() else { return };
        for id in readable.drain(..) {
            let Ok(mut stream) = association.stream(id) else { continue };
            while let Ok(Some(mut chunks)) = stream.read_sctp() {
                let length = chunks.len();
                if let Some(chunk) = chunks.next(length) {
                    take(id, &chunk.bytes);
                }
            }
        }
        self.readable = readable;
    }
}
