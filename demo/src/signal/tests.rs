use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::advance;

use super::*;
use crate::http::{Reach, router};
use crate::session::{MAX_BROWSERS, SessionThread};

/// How long a test waits for what the server says.
const LIMIT: Duration = Duration::from_secs(60);
/// RFC 6455 §5.5.2 and §5.5.3: a ping of a server, and the answer of a browser, masked with zeros.
const PING: &[u8] = &[0x89, 0];
const PONG: &[u8] = &[0x8A, 0x80, 0, 0, 0, 0];

/// Signalling on a runtime whose time only tests move: it stands still while blocking tasks run, and all that waits for the network is in such tasks.
struct Signalling {
    address: SocketAddr,
    thread: SessionThread,
    _presence: mpsc::Sender<Infallible>,
}

impl Signalling {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let thread = SessionThread::start(true).unwrap();
        let (presence, _) = mpsc::channel(1);
        let router = router(thread.sessions(), presence.downgrade(), Reach::Loopback);
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { address, thread, _presence: presence }
    }

    /// A browser that has its peer.
    async fn browser(&self) -> TcpStream {
        let address = self.address;
        let connect = move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==";
            write!(stream, "GET /signal HTTP/1.1\r\nHost: {address}\r\n{upgrade}\r\n\r\n").unwrap();
            read_until(&mut stream, br#"{"type":"hello""#);
            read_until(&mut stream, b"}");
            stream
        };
        spawn_blocking(connect).await.unwrap()
    }

    /// Whether there is a place for one more, who takes it.
    async fn has_room(&self) -> bool {
        let sessions = self.thread.sessions();
        let connect = move || tokio::runtime::Handle::current().block_on(sessions.connect(Offerer::Browser)).is_ok();
        spawn_blocking(connect).await.unwrap()
    }
}

fn read_until(stream: &mut TcpStream, end: &[u8]) {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(end) {
        stream.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_has_gone_without_a_word_gives_its_place_up() {
    let signalling = Signalling::start().await;
    for _ in 1..MAX_BROWSERS {
        assert!(signalling.has_room().await);
    }
    let mut gone = signalling.browser().await;
    assert!(!signalling.has_room().await);
    advance(HEARTBEAT).await;
    let see_ping = move || {
        read_until(&mut gone, PING);
        gone
    };
    let mut gone = spawn_blocking(see_ping).await.unwrap();
    assert!(!signalling.has_room().await);
    advance(HEARTBEAT).await;
    let rest = spawn_blocking(move || gone.read_to_end(&mut Vec::new()).unwrap()).await.unwrap();
    assert_eq!(rest, 0, "it is not asked twice");
    assert!(signalling.has_room().await);
    signalling.thread.stop().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_answers_may_be_silent_for_as_long_as_it_likes() {
    let signalling = Signalling::start().await;
    let mut browser = signalling.browser().await;
    for _ in 0..5 {
        advance(HEARTBEAT).await;
        let answer = move || {
            read_until(&mut browser, PING);
            browser.write_all(PONG).unwrap();
            // The server reads in order: with the answer to this, it has taken the pong in.
            let question = br#"{"type":"report"}"#;
            let length = 0x80 | u8::try_from(question.len()).unwrap();
            browser.write_all(&[&[0x81, length, 0, 0, 0, 0], &question[..]].concat()).unwrap();
            read_until(&mut browser, br#""pairs":[]}"#);
            browser
        };
        browser = spawn_blocking(answer).await.unwrap();
    }
    signalling.thread.stop().unwrap();
}

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
