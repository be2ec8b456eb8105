//! Data channels between browsers and a peer that driver-async-std drives: the same scripts as with the peer of the demo, whoever offers.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use axum::Router;
use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade};
use axum::http::Uri;
use axum::response::Html;
use axum::routing::get;
use demo::behaviour::MAX_FLOOD_MESSAGE;
use demo::signal::{Candidate, Signal};
use driver_async_std::peer_core::{
    Certificate, Configuration, DataChannelOptions, IceCandidateInit, Message, MessageKind, PeerEvent, SdpType,
    SessionDescriptionInit,
};
use driver_async_std::{DataChannel, Event, PeerConnection, generate_certificate};
use interop::{Browser, BrowserKind, HostCandidates, scripts};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// A page, and a peer for each browser that asks for its signalling.
struct PeerServer {
    url: String,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl PeerServer {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let certificate = generate_certificate()?;
        let (stop, stopped) = watch::channel(false);
        let signalling = move |uri: Uri, upgrade: WebSocketUpgrade| async move {
            let peer_offers = uri.query() == Some("offer=peer");
            upgrade.on_upgrade(move |socket| async move {
                // The browser's log has the error.
                let _reported = Conversation::run(socket, certificate, peer_offers, stopped).await;
            })
        };
        let router = Router::new()
            .route("/", get(|| async { Html("<!doctype html><title>signalling</title>") }))
            .route("/signal", get(signalling));
        let task = tokio::spawn(async move {
            let _it_ends_with_its_task = axum::serve(listener, router).await;
        });
        Ok(Self { url, stop, task })
    }

    /// Has all peers closed.
    fn close_peers(&self) {
        self.stop.send_replace(true);
    }
}

impl Drop for PeerServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The signalling of one browser, and its peer.
struct Conversation {
    socket: WebSocket,
    connection: PeerConnection,
    reports: mpsc::UnboundedSender<Value>,
}

impl Conversation {
    async fn run(
        socket: WebSocket,
        certificate: Arc<Certificate>,
        peer_offers: bool,
        stopped: watch::Receiver<bool>,
    ) -> Result<()> {
        let configuration = Configuration { gather_loopback: true, ..Configuration::new(certificate) };
        let connection = PeerConnection::new(configuration)?;
        let (reports, to_report) = mpsc::unbounded_channel();
        let mut this = Self { socket, connection, reports };
        if let Err(error) = this.converse(peer_offers, to_report, stopped).await {
            this.say(&json!({ "type": "error", "where": "conversation", "message": format!("{error:#}") })).await?;
        }
        this.connection.close().await;
        Ok(())
    }

    async fn converse(
        &mut self,
        peer_offers: bool,
        mut to_report: mpsc::UnboundedReceiver<Value>,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<()> {
        let mut events = self.connection.events();
        if peer_offers {
            let chat = self.connection.create_data_channel(DataChannelOptions::new("chat")).await?;
            self.serve(chat);
            self.describe().await?;
        }
        loop {
            tokio::select! {
                event = events.next() => self.handle_event(event.context("the connection is open")?).await?,
                Some(report) = to_report.recv() => self.say(&report).await?,
                frame = self.socket.recv() => match frame {
                    Some(Ok(Frame::Text(text))) => self.handle_signal(serde_json::from_str(&text)?).await?,
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Ok(()),
                },
                _ = stopped.changed() => return Ok(()),
            }
        }
    }

    async fn handle_event(&mut self, event: Event) -> Result<()> {
        match event {
            Event::DataChannel(channel) => self.serve(channel),
            Event::Peer(PeerEvent::IceCandidate(Some(candidate))) => {
                let IceCandidateInit { candidate, sdp_mid, sdp_mline_index, username_fragment } = candidate.to_init();
                let candidate = Candidate { candidate, sdp_mid, sdp_mline_index, username_fragment };
                self.say(&serde_json::to_value(Signal::Candidate(candidate))?).await?;
            }
            Event::Peer(PeerEvent::IceCandidate(None)) => {
                self.say(&serde_json::to_value(Signal::EndOfCandidates)?).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn handle_signal(&mut self, signal: Signal) -> Result<()> {
        match signal {
            Signal::Offer { sdp } => {
                let offer = SessionDescriptionInit { sdp_type: SdpType::Offer, sdp };
                self.connection.set_remote_description(offer).await?;
                self.describe().await?;
            }
            Signal::Answer { sdp } => {
                let answer = SessionDescriptionInit { sdp_type: SdpType::Answer, sdp };
                self.connection.set_remote_description(answer).await?;
            }
            Signal::Candidate(Candidate { candidate, sdp_mid, sdp_mline_index, username_fragment }) => {
                let candidate = IceCandidateInit { candidate, sdp_mid, sdp_mline_index, username_fragment };
                self.connection.add_ice_candidate(candidate).await?;
            }
            Signal::EndOfCandidates => self.connection.add_ice_candidate(IceCandidateInit::default()).await?,
        }
        Ok(())
    }

    /// Makes and sends the description that is due.
    async fn describe(&mut self) -> Result<()> {
        self.connection.set_local_description(None).await?;
        let SessionDescriptionInit { sdp_type, sdp } =
            self.connection.local_description().await.context("it was just set")?;
        let signal = match sdp_type {
            SdpType::Offer => Signal::Offer { sdp },
            SdpType::Answer => Signal::Answer { sdp },
            other => bail!("no test makes a description of type {other:?}"),
        };
        self.say(&serde_json::to_value(signal)?).await
    }

    async fn say(&mut self, message: &Value) -> Result<()> {
        Ok(self.socket.send(Frame::text(message.to_string())).await?)
    }

    /// Does with a channel what the scripts expect, and reports its end.
    fn serve(&self, channel: DataChannel) {
        let reports = self.reports.clone();
        tokio::spawn(async move {
            let label = channel.label();
            if let Err(error) = behave(&channel).await {
                let message = format!("{label}: {error:#}");
                let _browser_is_gone = reports.send(json!({ "type": "error", "where": "channel", "message": message }));
            }
            channel.closed().await;
            let _browser_is_gone = reports.send(json!({ "type": "channel", "label": label, "state": "closed" }));
        });
    }
}

/// A flood that comes in: messages that begin with their number.
#[derive(Default)]
struct Flood {
    bytes: usize,
    messages: u32,
    out_of_order: bool,
}

impl Flood {
    fn count(&mut self, payload: &[u8]) {
        let number = payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        self.out_of_order |= number != Some(self.messages);
        self.bytes += payload.len();
        self.messages += 1;
    }
}

/// The words of `demo::behaviour`. While a send waits nothing is read, and the browser has to wait as well.
async fn behave(channel: &DataChannel) -> Result<()> {
    let mut flood = None;
    while let Some(message) = channel.next_message().await {
        if let (Some(flood), MessageKind::Binary) = (&mut flood, message.kind) {
            Flood::count(flood, &message.payload);
            continue;
        }
        let text = message.as_text().filter(|text| text.len() < 100).unwrap_or_default().into_owned();
        match *text.split(' ').collect::<Vec<_>>() {
            ["flood-begin", _] => flood = Some(Flood::default()),
            ["flood-end"] => {
                let Flood { bytes, out_of_order, .. } = flood.take().unwrap_or_default();
                channel.send(Message::text(format!("flood-ack {bytes} 0 {}", u8::from(!out_of_order)))).await?;
            }
            ["flood-ack", _, _, _] => {}
            ["please-flood", bytes, size] => send_flood(channel, bytes.parse()?, size.parse()?).await?,
            ["please-close"] => channel.close().await,
            _ => channel.send(message).await?,
        }
    }
    Ok(())
}

async fn send_flood(channel: &DataChannel, bytes: usize, size: usize) -> Result<()> {
    ensure!((4..=MAX_FLOOD_MESSAGE).contains(&size), "no flood with messages of {size} bytes");
    channel.send(Message::text(format!("flood-begin {bytes}"))).await?;
    let mut remaining = bytes;
    for number in 0_u32.. {
        if remaining == 0 {
            break;
        }
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(size.min(remaining), 0xa5);
        remaining -= payload.len();
        channel.send(Message::binary(payload)).await?;
    }
    channel.send(Message::text("flood-end")).await?;
    Ok(())
}

async fn connected(kind: BrowserKind, offerer: &str, candidates: HostCandidates) -> Result<(PeerServer, Browser)> {
    let server = PeerServer::start().await?;
    let browser = Browser::start(kind, candidates).await?;
    browser.open(&server.url).await?;
    // Firefox has a preference for that.
    let media = kind == BrowserKind::Chromium && candidates == HostCandidates::Addresses;
    browser.run("await interop.connect(parameters)", json!({ "offer": offerer, "media": media })).await?;
    Ok((server, browser))
}

async fn connects_to_addresses(kind: BrowserKind, offerer: &str) -> Result<()> {
    let (_server, browser) = connected(kind, offerer, HostCandidates::Addresses).await?;
    scripts::is_direct(&browser).await
}

async fn messages_come_back_intact(kind: BrowserKind, offerer: &str) -> Result<()> {
    let (_server, browser) = connected(kind, offerer, HostCandidates::MulticastDns).await?;
    scripts::echo_all_sizes(&browser).await
}

async fn twenty_megabytes_each_way_arrive_complete_and_in_order(kind: BrowserKind, offerer: &str) -> Result<()> {
    let (_server, browser) = connected(kind, offerer, HostCandidates::MulticastDns).await?;
    scripts::flood_each_way(&browser).await
}

async fn a_channel_closes_from_either_side_while_others_live_on(kind: BrowserKind, offerer: &str) -> Result<()> {
    let (_server, browser) = connected(kind, offerer, HostCandidates::MulticastDns).await?;
    scripts::close_channels_from_either_side(&browser).await
}

/// Each hears it from the other: without a word, it would take ICE half a minute to notice (RFC 7675 §5.1).
async fn a_connection_closes_from_either_side(kind: BrowserKind, offerer: &str) -> Result<()> {
    let (server, browser) = connected(kind, offerer, HostCandidates::MulticastDns).await?;
    let script = "
        const began = performance.now();
        interop.pc.close();
        await interop.peerChannel('chat', 'closed');
        const milliseconds = performance.now() - began;
        await interop.connect(parameters);
        return milliseconds;";
    let milliseconds = browser.run(script, json!({ "offer": offerer })).await?;
    ensure!(milliseconds.as_f64().is_some_and(|waited| waited < 10_000.0), "closed there after {milliseconds} ms");
    server.close_peers();
    let milliseconds = scripts::until_chat_is_closed(&browser).await?;
    ensure!(milliseconds < 10_000.0, "closed here after {milliseconds} ms");
    Ok(())
}

macro_rules! whoever_offers {
    ($($behaviour:ident)+) => {
        $(mod $behaviour {
            use interop::BrowserKind::{Chromium, Firefox};

            #[tokio::test]
            async fn when_chromium_offers() -> anyhow::Result<()> {
                super::$behaviour(Chromium, "browser").await
            }

            #[tokio::test]
            async fn when_the_peer_offers_to_a_chromium() -> anyhow::Result<()> {
                super::$behaviour(Chromium, "peer").await
            }

            #[tokio::test]
            async fn when_firefox_offers() -> anyhow::Result<()> {
                super::$behaviour(Firefox, "browser").await
            }
        })+
    };
}

whoever_offers! {
    connects_to_addresses
    messages_come_back_intact
    twenty_megabytes_each_way_arrive_complete_and_in_order
    a_channel_closes_from_either_side_while_others_live_on
    a_connection_closes_from_either_side
}
