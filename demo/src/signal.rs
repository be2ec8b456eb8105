//! Signalling: the messages between browser and peer, and the WebSocket that carries them.

use std::mem;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, interval_at, timeout};

use crate::report::{IceReport, PairStats, SctpStats, TransportStats};
use crate::session::{Offerer, Session, Sessions};

/// The largest signalling message in bytes. A description of Chromium with data channels alone has 1 kB, with media 10 kB.
pub const MAX_SIGNAL_BYTES: usize = 128 * 1024;
/// How long a browser may take to accept a message before its connection is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a browser is asked whether it is still there: it answers by itself (RFC 6455 §5.5.2). One that has said nothing from one question to the next has gone
/// without a word, and its place is another's.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// What both sides tell each other, one JSON object per message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Signal {
    /// A description that opens a negotiation.
    Offer {
        /// The description.
        sdp: String,
    },
    /// The description that answers it.
    Answer {
        /// The description.
        sdp: String,
    },
    /// One more ICE candidate of the sender. It may come before the description.
    Candidate(Candidate),
    /// The sender has no more candidates.
    EndOfCandidates,
}

/// An ICE candidate as the W3C's `RTCIceCandidateInit` has it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The candidate attribute; it may begin with `a=`. Empty: the end of this generation's candidates.
    pub candidate: String,
    /// The media section's identification.
    #[serde(default)]
    pub sdp_mid: Option<String>,
    /// The media section's index.
    #[serde(default, rename = "sdpMLineIndex")]
    pub sdp_mline_index: Option<u16>,
    /// The username fragment of the generation it belongs to.
    #[serde(default)]
    pub username_fragment: Option<String>,
}

impl Candidate {
    /// Bytes of all that it says.
    pub(crate) fn size(&self) -> usize {
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.candidate.len() + optional(&self.sdp_mid) + optional(&self.username_fragment)
    }
}

/// What the browser tells the peer.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum FromBrowser {
    /// Asks for [`ToBrowser::Report`].
    Report,
    /// Offer, answer, candidates.
    #[serde(untagged)]
    Signal(Signal),
}

/// What the peer tells the browser.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum ToBrowser {
    /// The peer is there, and this is its number.
    Hello {
        /// Counts the peers of this server.
        peer: u64,
    },
    /// A state of the peer has changed.
    State {
        /// `signaling`, `ice-gathering`, `ice-connection` or `connection`.
        name: &'static str,
        /// The new state in the W3C's words.
        value: &'static str,
    },
    /// A data channel of the peer has changed.
    Channel {
        /// Its label.
        label: String,
        /// `open` or `closed`.
        state: &'static str,
    },
    /// Something went wrong.
    Error {
        /// What the peer was doing.
        #[serde(rename = "where")]
        place: &'static str,
        /// What happened and what to do.
        message: String,
    },
    /// How the peer sees the path. Comes when the browser asks for it, and when ICE or the connection has failed.
    Report(Box<PeerReport>),
    /// Offer, answer, candidates.
    #[serde(untagged)]
    Signal(Signal),
}

/// The peer's side of the story.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct PeerReport {
    /// The pair that is selected.
    pub(crate) pair: Option<PairStats>,
    /// How ICE and DTLS stand.
    pub(crate) transport: TransportStats,
    /// What SCTP has come to.
    pub(crate) sctp: Option<SctpStats>,
    /// The largest message that the browser takes, in bytes.
    #[serde(rename = "maxMessageSize")]
    pub(crate) max_message_size: Option<usize>,
    /// What has become of ICE, and why.
    #[serde(flatten)]
    pub(crate) ice: IceReport,
}

/// Carries signalling between a browser's WebSocket and its peer until either ends.
pub(crate) async fn serve_browser(mut socket: WebSocket, sessions: Sessions, offerer: Offerer) {
    let mut session = match sessions.connect(offerer).await {
        Ok(session) => session,
        Err(refusal) => {
            let message = ToBrowser::Error { place: "connect", message: refusal.to_string() };
            let _browser_may_be_gone = send(&mut socket, &message).await;
            return close(socket, close_code::AGAIN, "no peer for this browser").await;
        }
    };
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    let mut was_heard = true;
    let end = loop {
        let step = tokio::select! {
            incoming = socket.recv() => {
                was_heard = true;
                take_in(&mut socket, &session, incoming).await
            }
            outgoing = session.next() => match outgoing {
                Some(message) => send(&mut socket, &message).await,
                None => Err(End::Goodbye(close_code::AWAY)),
            },
            _ = heartbeat.tick() => match mem::take(&mut was_heard) {
                true => send_frame(&mut socket, Message::Ping(Bytes::new())).await,
                false => Err(End::Gone),
            },
        };
        if let Err(end) = step {
            break end;
        }
    };
    session.disconnect().await;
    if let End::Goodbye(code) = end {
        close(socket, code, "the peer is gone").await;
    }
}

/// Why signalling ends.
enum End {
    /// The browser is gone, or does not read.
    Gone,
    /// This side ends it, for this reason (RFC 6455 §7.4.1).
    Goodbye(u16),
}

/// What the WebSocket has received goes to the peer.
async fn take_in(
    socket: &mut WebSocket,
    session: &Session,
    incoming: Option<Result<Message, axum::Error>>,
) -> Result<(), End> {
    match incoming {
        Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
            Ok(message) => session.tell(message).await.map_err(|_| End::Goodbye(close_code::AWAY)),
            Err(error) => {
                let message = format!("not a signalling message: {error}");
                send(socket, &ToBrowser::Error { place: "signal", message }).await
            }
        },
        Some(Ok(Message::Binary(_))) => Err(End::Goodbye(close_code::UNSUPPORTED)),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(End::Gone),
    }
}

async fn send(socket: &mut WebSocket, message: &ToBrowser) -> Result<(), End> {
    let text = serde_json::to_string(message).map_err(|_| End::Gone)?;
    send_frame(socket, Message::text(text)).await
}

async fn send_frame(socket: &mut WebSocket, frame: Message) -> Result<(), End> {
    let sent = timeout(SEND_TIMEOUT, socket.send(frame)).await;
    if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(End::Gone) }
}

async fn close(mut socket: WebSocket, code: u16, reason: &'static str) {
    let frame = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
    let _browser_may_be_gone = send_frame(&mut socket, frame).await;
}

#[cfg(test)]
mod tests;
