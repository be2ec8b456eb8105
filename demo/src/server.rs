//! The threads of the program, from start to stop.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use axum::serve::ListenerExt;
use tokio::sync::{mpsc, oneshot};

use crate::http::{Reach, router};
use crate::options::{DEFAULT_PORT, Options};
use crate::session::{SessionThread, Sessions};

/// How long the browsers' signalling connections have to end once their peers are closed.
const FAREWELL: Duration = Duration::from_secs(5);

/// The page, its signalling and the peers, on threads of their own. Dropping it stops it, and loses what [`stop`](Self::stop) would have reported.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    default_port_taken: bool,
    sessions: Option<SessionThread>,
    http: Option<HttpThread>,
}

#[derive(Debug)]
struct HttpThread {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<()>>,
}

impl Server {
    /// Starts to serve. Returns once browsers can connect.
    ///
    /// # Errors
    /// The address cannot be served at (the error says what to do), or the system has no sockets, threads or entropy to give.
    pub fn start(options: &Options) -> Result<Self> {
        let (listener, default_port_taken) = listen(options)?;
        let address = listener.local_addr()?;
        let sessions = SessionThread::start(with_loopback(options.bind))?;
        let http = HttpThread::start(listener, sessions.sessions())?;
        Ok(Self { address, default_port_taken, sessions: Some(sessions), http: Some(http) })
    }

    /// What to open in the browser.
    #[must_use]
    pub fn url(&self) -> String {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        format!("http://{}/", SocketAddr::new(ip, self.address.port()))
    }

    /// One line for whoever has started the program.
    #[must_use]
    pub fn announcement(&self) -> String {
        let url = self.url();
        match (self.default_port_taken, self.address.ip().is_unspecified()) {
            (true, _) => format!("Open {url} (port {DEFAULT_PORT} is taken, --port chooses another)"),
            (false, true) => format!("Open {url} (or this machine's name or address, from another machine)"),
            (false, false) => format!("Open {url}"),
        }
    }

    /// Closes all peers, tells their browsers, and waits until everything has ended.
    ///
    /// # Errors
    /// What a thread ended with, if not with this call.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        let sessions = self.sessions.take().map_or(Ok(()), SessionThread::stop);
        let http = self.http.take().map_or(Ok(()), HttpThread::stop);
        sessions.and(http)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _nobody_to_tell = self.end();
    }
}

impl HttpThread {
    fn start(listener: TcpListener, sessions: Sessions) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        listener.set_nonblocking(true)?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || runtime.block_on(serve(listener, sessions, stopped)))?;
        Ok(Self { stop, thread })
    }

    fn stop(self) -> Result<()> {
        let _ended_already = self.stop.send(());
        self.thread.join().map_err(|_| anyhow!("the thread that serves the page has panicked"))?
    }
}

async fn serve(listener: TcpListener, sessions: Sessions, stopped: oneshot::Receiver<()>) -> Result<()> {
    let reach = if listener.local_addr()?.ip().is_loopback() { Reach::Loopback } else { Reach::Network };
    // A candidate that waits for the acknowledgement of the one before it makes connecting slow (TCP_NODELAY).
    let listener = tokio::net::TcpListener::from_std(listener)?.tap_io(|connection| {
        let _slower_without = connection.set_nodelay(true);
    });
    let (presence, mut absence) = mpsc::channel(1);
    tokio::select! {
        served = axum::serve(listener, router(sessions, presence.downgrade(), reach)) => served.context("the page can no longer be served")?,
        _stopped_or_dropped = stopped => {}
    }
    // WebSockets outlive the server: their goodbye is on its way to the browser. The channel ends with the last of them.
    drop(presence);
    let _all_gone_or_late = tokio::time::timeout(FAREWELL, absence.recv()).await;
    Ok(())
}

/// Browsers on this machine reach the peer over loopback whatever becomes of its other interfaces.
fn with_loopback(bind: IpAddr) -> bool {
    bind.is_loopback() || bind.is_unspecified()
}

/// A listener, and whether the default port was taken.
fn listen(options: &Options) -> Result<(TcpListener, bool)> {
    let at = |port| TcpListener::bind(SocketAddr::new(options.bind, port));
    let taken = |error: &io::Error| error.kind() == ErrorKind::AddrInUse;
    let advice = |port| {
        format!(
            "cannot serve the page at {}: choose another with --port or --bind",
            SocketAddr::new(options.bind, port)
        )
    };
    match options.port {
        Some(port) => Ok((at(port).with_context(|| advice(port))?, false)),
        None => match at(DEFAULT_PORT) {
            Ok(listener) => Ok((listener, false)),
            Err(error) if taken(&error) => Ok((at(0).with_context(|| advice(0))?, true)),
            Err(error) => Err(error).with_context(|| advice(DEFAULT_PORT)),
        },
    }
}
