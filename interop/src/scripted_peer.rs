//! Peers in processes of their own, which the test commands, and the signalling between one and a page, or between two.

use std::ops::{Deref, DerefMut};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Html;
use axum::routing::get;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

/// How long to wait for what the peer has to say. ICE needs half a minute to give up a connection.
const PATIENCE: Duration = Duration::from_secs(90);

/// A `demo stdio` process. It ends when this is dropped.
pub struct PeerProcess {
    child: Child,
    input: Arc<Mutex<ChildStdin>>,
    events: mpsc::UnboundedReceiver<Value>,
    seen: Vec<Value>,
    reader: JoinHandle<()>,
}

/// What a peer has to say to the other one.
type Signals = mpsc::UnboundedReceiver<String>;

impl PeerProcess {
    /// Starts a program that speaks the protocol of `docs/stdio.md`.
    fn start(mut command: Command) -> Result<(Self, Signals)> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let input = Arc::new(Mutex::new(child.stdin.take().context("the process has an input")?));
        let output = child.stdout.take().context("the process has an output")?;
        let (signals_in, signals) = mpsc::unbounded_channel();
        let (events_in, events) = mpsc::unbounded_channel();
        let reader = tokio::spawn(read(output, signals_in, events_in));
        Ok((Self { child, input, events, seen: Vec::new(), reader }, signals))
    }

    /// Gives a command.
    ///
    /// # Errors
    /// The process has ended.
    pub async fn command(&self, command: &Value) -> Result<()> {
        write(&self.input, &command.to_string()).await
    }

    /// The next event for which this holds. Those before it are passed over.
    ///
    /// # Errors
    /// It does not come; the error has what came.
    pub async fn until(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Result<Value> {
        let search = async {
            while let Some(event) = self.events.recv().await {
                self.seen.push(event.clone());
                if is_it(&event) {
                    return Some(event);
                }
            }
            None
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(Some(event)) => Ok(event),
            Ok(None) => bail!("the peer ended without {what}, after {:#?}", self.seen),
            Err(_) => bail!("no {what}, after {:#?}", self.seen),
        }
    }

    /// The next event of this name.
    ///
    /// # Errors
    /// It does not come; the error has what came.
    pub async fn event(&mut self, name: &str) -> Result<Value> {
        self.until(name, |event| event["event"] == name).await
    }

    /// The number of the process, while it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends the process as a crash would: it can say nothing more.
    ///
    /// # Errors
    /// It has ended already.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}

impl Drop for PeerProcess {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// A [`PeerProcess`] with a page of its own that has nothing but signalling to it. Everything ends when this is dropped.
pub struct ScriptedPeer {
    url: String,
    process: PeerProcess,
    server: JoinHandle<()>,
}

impl ScriptedPeer {
    /// Starts `program`.
    ///
    /// # Errors
    /// The program does not start, or there is no port for the page.
    pub async fn start(program: &str, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments);
        let (process, signals) = PeerProcess::start(command)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let signals = Arc::new(Mutex::new(signals));
        let to_peer = Arc::clone(&process.input);
        let signalling = move |upgrade: WebSocketUpgrade| async move {
            upgrade.on_upgrade(move |socket| relay(socket, signals, to_peer))
        };
        let router = Router::new()
            .route("/", get(|| async { Html("<!doctype html><title>signalling</title>") }))
            .route("/signal", get(signalling));
        let server = tokio::spawn(async move {
            let _it_ends_with_its_task = axum::serve(listener, router).await;
        });
        Ok(Self { url, process, server })
    }

    /// The page, for a browser to open.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Deref for ScriptedPeer {
    type Target = PeerProcess;

    fn deref(&self) -> &PeerProcess {
        &self.process
    }
}

impl DerefMut for ScriptedPeer {
    fn deref_mut(&mut self) -> &mut PeerProcess {
        &mut self.process
    }
}

impl Drop for ScriptedPeer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Two [`PeerProcess`]es, each the other's signalling channel.
pub struct ScriptedPair {
    /// The one that makes the offer.
    pub offerer: PeerProcess,
    /// The other one.
    pub answerer: PeerProcess,
    wires: [JoinHandle<()>; 2],
}

impl ScriptedPair {
    /// Starts both; `offerer` and `answerer` are complete but for their `--role`.
    ///
    /// # Errors
    /// One does not start.
    pub fn start(mut offerer: Command, mut answerer: Command) -> Result<Self> {
        offerer.args(["--role", "offerer"]);
        answerer.args(["--role", "answerer"]);
        let (offerer, from_offerer) = PeerProcess::start(offerer)?;
        let (answerer, from_answerer) = PeerProcess::start(answerer)?;
        let wires = [
            tokio::spawn(carry(from_offerer, Arc::clone(&answerer.input))),
            tokio::spawn(carry(from_answerer, Arc::clone(&offerer.input))),
        ];
        Ok(Self { offerer, answerer, wires })
    }
}

impl Drop for ScriptedPair {
    fn drop(&mut self) {
        for wire in &self.wires {
            wire.abort();
        }
    }
}

/// Carries what one process has to say to the other, until one of them has ended.
async fn carry(mut signals: Signals, to: Arc<Mutex<ChildStdin>>) {
    while let Some(signal) = signals.recv().await {
        if write(&to, &signal).await.is_err() {
            return;
        }
    }
}

/// Sorts what the peer writes: signalling for the page, events for the test.
async fn read(output: ChildStdout, signals: mpsc::UnboundedSender<String>, events: mpsc::UnboundedSender<Value>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| Value::String(line.clone()));
        let sent = if event.get("type").is_some() { signals.send(line).is_ok() } else { events.send(event).is_ok() };
        if !sent {
            return;
        }
    }
}

/// Carries signalling between the page and the peer.
async fn relay(
    mut socket: WebSocket,
    signals: Arc<Mutex<mpsc::UnboundedReceiver<String>>>,
    input: Arc<Mutex<ChildStdin>>,
) {
    let mut signals = signals.lock().await;
    loop {
        let carried = tokio::select! {
            signal = signals.recv() => match signal {
                Some(signal) => socket.send(Message::text(signal)).await.is_ok(),
                None => false,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => write(&input, &text).await.is_ok(),
                Some(Ok(_)) => true,
                Some(Err(_)) | None => false,
            },
        };
        if !carried {
            return;
        }
    }
}

async fn write(input: &Mutex<ChildStdin>, line: &str) -> Result<()> {
    let mut input = input.lock().await;
    input.write_all(line.as_bytes()).await?;
    Ok(input.write_all(b"\n").await?)
}
