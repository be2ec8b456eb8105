//! Signalling: the messages between browser and peer, and the WebSocket that carries them.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use serde::{Deserialize, Serialize};

use crate::report::{IceReport, PairStats};
use crate::session::{Offerer, Sessions};

/// The largest signalling message in bytes. A description of Chromium with data channels alone has 1 kB, with media 10 kB.
pub const MAX_SIGNAL_BYTES: usize = 128 * 1024;
/// How long a browser may take to accept a message before its connection is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

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
    let goodbye = loop {
        tokio::select! {
            incoming = socket.recv() => match incoming {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                    Ok(message) => if session.tell(message).await.is_err() { break Some(close_code::AWAY) },
                    Err(error) => {
                        let message = format!("not a signalling message: {error}");
                        if send(&mut socket, &ToBrowser::Error { place: "signal", message }).await.is_err() { break None }
                    }
                },
                Some(Ok(Message::Binary(_))) => break Some(close_code::UNSUPPORTED),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => break None,
            },
            outgoing = session.next() => match outgoing {
                Some(message) => if send(&mut socket, &message).await.is_err() { break None },
                None => break Some(close_code::AWAY),
            },
        }
    };
    session.disconnect().await;
    if let Some(code) = goodbye {
        close(socket, code, "the peer is gone").await;
    }
}

/// The browser is gone, or does not read.
struct Gone;

async fn send(socket: &mut WebSocket, message: &ToBrowser) -> Result<(), Gone> {
    let text = serde_json::to_string(message).map_err(|_| Gone)?;
    let sent = tokio::time::timeout(SEND_TIMEOUT, socket.send(Message::text(text))).await;
    if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(Gone) }
}

async fn close(mut socket: WebSocket, code: u16, reason: &'static str) {
    let frame = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
    let _browser_may_be_gone = tokio::time::timeout(SEND_TIMEOUT, socket.send(frame)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signalling_reads_as_the_protocol_document_has_it() {
        let candidate = r#"{"type":"candidate","candidate":"candidate:1","sdpMid":"0","sdpMLineIndex":0}"#;
        let expected = Candidate {
            candidate: "candidate:1".to_owned(),
            sdp_mid: Some("0".to_owned()),
            sdp_mline_index: Some(0),
            username_fragment: None,
        };
        assert_eq!(serde_json::from_str::<Signal>(candidate).unwrap(), Signal::Candidate(expected));
        let offer = serde_json::from_str::<Signal>(r#"{"type":"offer","sdp":"v=0"}"#).unwrap();
        assert_eq!(offer, Signal::Offer { sdp: "v=0".to_owned() });
        let end = serde_json::from_str::<Signal>(r#"{"type":"end-of-candidates","unknown":1}"#).unwrap();
        assert_eq!(end, Signal::EndOfCandidates);
    }

    #[test]
    fn a_browser_signals_or_asks_for_a_report() {
        let parse = serde_json::from_str::<FromBrowser>;
        assert_eq!(parse(r#"{"type":"report"}"#).unwrap(), FromBrowser::Report);
        let end = FromBrowser::Signal(Signal::EndOfCandidates);
        assert_eq!(parse(r#"{"type":"end-of-candidates"}"#).unwrap(), end);
        assert!(parse(r#"{"type":"dance"}"#).is_err());
    }

    #[test]
    fn messages_to_the_browser_carry_their_type() {
        let answer = ToBrowser::Signal(Signal::Answer { sdp: "v=0".to_owned() });
        assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"type":"answer","sdp":"v=0"}"#);
        let error = ToBrowser::Error { place: "connect", message: "full".to_owned() };
        assert_eq!(serde_json::to_string(&error).unwrap(), r#"{"type":"error","where":"connect","message":"full"}"#);
    }
}
