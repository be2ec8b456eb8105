//! W2 as this stack is meant to be used: both ends on driver-mio.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use driver_mio::{Driver, DriverConfig};
use peer_core::proto_machine::{
    Deadline, Machine, Received, SocketEvent, SocketRequest, Timestamp, Transmit, TransmitBuffer,
};
use peer_core::{
    ChannelKey, DataChannelOptions, IceGatheringState, InterfaceAddress, Peer, PeerEvent, SessionDescriptionInit,
};

use super::loopback::{Ended, NAP, Used, outcome};
use crate::message::{Sink, Source};
use crate::meter::Meter;
use crate::report::Outcome;
use crate::sizes::Sizes;
use crate::stack::{DATAGRAM_SIZE, LABEL, SEND_BUFFER};
use crate::stacks::ours::{new_peer, send};

/// A peer whose datagrams are measured.
struct Metered {
    peer: Peer,
    sizes: Sizes,
}

impl Machine for Metered {
    type Input<'a> = Received<'a>;
    type Event = PeerEvent;
    type Transmit = Transmit;

    fn handle_input(&mut self, now: Timestamp, received: Received<'_>) {
        self.peer.handle_input(now, received);
    }

    fn handle_socket_event(&mut self, now: Timestamp, event: SocketEvent) {
        self.peer.handle_socket_event(now, event);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.peer.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Timestamp, max_segments: usize, buffer: &mut TransmitBuffer) -> Option<Transmit> {
        let transmit = self.peer.poll_transmit(now, max_segments, buffer)?;
        buffer.datagrams().for_each(|datagram| self.sizes.note(datagram.len()));
        Some(transmit)
    }

    fn poll_socket_request(&mut self) -> Option<SocketRequest> {
        self.peer.poll_socket_request()
    }

    fn poll_event(&mut self) -> Option<PeerEvent> {
        self.peer.poll_event()
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        self.peer.poll_timeout()
    }
}

type MeteredDriver = Driver<Metered>;

pub(super) fn transfer(size: usize, total: u64) -> Result<Outcome> {
    let (mut sender, mut receiver) = (driver()?, driver()?);
    let now = sender.now();
    let channel = sender.machine().peer.create_data_channel(now, DataChannelOptions::new(LABEL))?;
    let offer = describe(&mut sender)?;
    let now = receiver.now();
    receiver.machine().peer.set_remote_description(now, offer)?;
    let answer = describe(&mut receiver)?;
    let now = sender.now();
    sender.machine().peer.set_remote_description(now, answer)?;

    let mut source = Source::new(size, total, 0);
    let count = source.end();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let _ended = Ended(&ended);
            run_sender(&mut sender, channel, &mut source, &ended)?;
            Ok::<_, anyhow::Error>(sender.into_machine().sizes)
        });
        let received = {
            let _ended = Ended(&ended);
            run_receiver(&mut receiver, count, &ended)
        };
        let mut sizes = sending.join().map_err(|_| anyhow!("the sender panicked"))??;
        let (sink, used) = received?;
        sink.check()?;
        sizes.add(&receiver.machine().sizes);
        Ok(outcome(&sizes, sink.bytes, used))
    })
}

fn driver() -> Result<MeteredDriver> {
    let config = DriverConfig { datagram_capacity: DATAGRAM_SIZE, ..DriverConfig::default() };
    Ok(Driver::new(Metered { peer: new_peer(None)?, sizes: Sizes::default() }, config)?)
}

/// A description with all candidates.
fn describe(driver: &mut MeteredDriver) -> Result<SessionDescriptionInit> {
    let now = driver.now();
    let peer = &mut driver.machine().peer;
    peer.set_interfaces(now, &[InterfaceAddress::new(IpAddr::V4(Ipv4Addr::LOCALHOST))]);
    peer.set_local_description(now, None)?;
    while driver.machine().peer.ice_gathering_state() != IceGatheringState::Complete {
        driver.turn(Some(Duration::ZERO), |_, _, _| {})?;
    }
    driver.machine().peer.local_description().context("it was just set")
}

fn run_sender(driver: &mut MeteredDriver, channel: ChannelKey, source: &mut Source, ended: &AtomicBool) -> Result<()> {
    let mut result = Ok(());
    while !ended.load(Ordering::Relaxed) && result.is_ok() {
        driver.turn(Some(NAP), |machine, now, event| match event {
            PeerEvent::ChannelOpen { .. } => {
                if let Some(mut channel) = machine.peer.channel(channel) {
                    // Refilled long before it is empty.
                    let _closed = channel.set_buffered_amount_low_threshold(SEND_BUFFER / 2);
                }
                result = pump(&mut machine.peer, now, channel, source);
            }
            PeerEvent::BufferedAmountLow { .. } => result = pump(&mut machine.peer, now, channel, source),
            PeerEvent::TransportFailed(error) => result = Err(error.into()),
            _ => {}
        })?;
    }
    result
}

fn pump(peer: &mut Peer, now: Timestamp, channel: ChannelKey, source: &mut Source) -> Result<()> {
    while let Some(message) = source.current()
        && send(peer, now, channel, message, SEND_BUFFER)?
    {
        source.advance();
    }
    Ok(())
}

fn run_receiver(driver: &mut MeteredDriver, count: u64, ended: &AtomicBool) -> Result<(Sink, Used)> {
    let mut sink = Sink::default();
    let mut meter = None;
    let mut failure = None;
    while sink.messages < count {
        if ended.load(Ordering::Relaxed) {
            bail!("the sender gave up");
        }
        driver.turn(Some(NAP), |_, _, event| match event {
            PeerEvent::DataChannel { .. } => meter = Some(Meter::start()),
            PeerEvent::Message { message, .. } => sink.take(&message.payload),
            PeerEvent::TransportFailed(error) => failure = Some(error),
            _ => {}
        })?;
        if let Some(error) = failure.take() {
            return Err(error.into());
        }
    }
    let used = meter.map(Used::from).context("nothing was to be sent")?;
    Ok((sink, used))
}
