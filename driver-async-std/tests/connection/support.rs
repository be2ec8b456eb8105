//! Two connections in one process, and their signalling.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use driver_async_std::peer_core::{
    Certificate, Configuration, DataChannelOptions, InterfaceAddress, PeerEvent, SessionDescriptionInit,
};
use driver_async_std::{DataChannel, Event, Events, Options, PeerConnection, generate_certificate};

pub(crate) fn configuration() -> Configuration {
    static CERTIFICATE: OnceLock<Arc<Certificate>> = OnceLock::new();
    let mut configuration = Configuration::new(CERTIFICATE.get_or_init(|| generate_certificate().unwrap()).clone());
    configuration.gather_loopback = true;
    configuration
}

pub(crate) fn options() -> Options {
    Options { interfaces: Some(vec![InterfaceAddress::new("127.0.0.1".parse().unwrap())]), ..Options::default() }
}

pub(crate) fn connection(options: Options) -> PeerConnection {
    PeerConnection::with_options(configuration(), options).unwrap()
}

/// Runs a test. One that waits for what never comes fails.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let limited = async_std::future::timeout(Duration::from_secs(90), test);
    async_std::task::block_on(limited).expect("the test waits for something that does not come")
}

/// Two connections with one channel, which the left has created.
pub(crate) struct Pair {
    pub(crate) left: PeerConnection,
    pub(crate) right: PeerConnection,
    pub(crate) left_events: Events,
    pub(crate) right_events: Events,
    pub(crate) left_channel: DataChannel,
    pub(crate) right_channel: DataChannel,
}

impl Pair {
    pub(crate) async fn connected(options: Options) -> Self {
        Self::with_options(options.clone(), options).await
    }

    pub(crate) async fn with_options(left: Options, right: Options) -> Self {
        let (left, right) = (connection(left), connection(right));
        let (mut left_events, mut right_events) = (left.events(), right.events());
        let left_channel = left.create_data_channel(DataChannelOptions::new("first")).await.unwrap();
        negotiate(&left, &mut left_events, &right, &mut right_events).await;
        assert!(left_channel.opened().await);
        let right_channel = next_channel(&mut right_events).await;
        Self { left, right, left_events, right_events, left_channel, right_channel }
    }
}

/// Offer and answer, each with all its candidates.
pub(crate) async fn negotiate(
    left: &PeerConnection,
    left_events: &mut Events,
    right: &PeerConnection,
    right_events: &mut Events,
) {
    left.set_local_description(None).await.unwrap();
    right.set_remote_description(gathered(left, left_events).await).await.unwrap();
    right.set_local_description(None).await.unwrap();
    left.set_remote_description(gathered(right, right_events).await).await.unwrap();
}

async fn gathered(connection: &PeerConnection, events: &mut Events) -> SessionDescriptionInit {
    next_event(events, |event| matches!(event, PeerEvent::IceCandidate(None))).await;
    connection.local_description().await.unwrap()
}

/// Passes over other events.
pub(crate) async fn next_event(events: &mut Events, wanted: impl Fn(&PeerEvent) -> bool) -> PeerEvent {
    loop {
        match events.next().await.expect("the connection is open") {
            Event::Peer(event) if wanted(&event) => return event,
            _ => {}
        }
    }
}

/// Passes over other events.
pub(crate) async fn next_channel(events: &mut Events) -> DataChannel {
    loop {
        if let Event::DataChannel(channel) = events.next().await.expect("the connection is open") {
            return channel;
        }
    }
}
