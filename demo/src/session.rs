//! The peers of all browsers, on one thread: commands come in through a channel, reports go out through one for each browser.

use std::collections::BTreeMap;
use std::fmt;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use driver_mio::{Driver, DriverConfig, DriverWaker, interface_addresses, system_seed, wall_clock};
use peer_core::{
    AddPeerError, Certificate, Configuration, Endpoint, EndpointConfig, EndpointEvent, Entropy, InterfaceAddress,
    PeerId, SocketPolicy,
};
use proto_machine::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::browser::Browser;
use crate::signal::{FromBrowser, ToBrowser};

/// The most browsers at a time.
pub const MAX_BROWSERS: usize = 64;
/// Closed peers that have not sent their last packet yet.
const MAX_LEAVING: usize = 64;
/// Commands that wait for the thread. Whoever brings the next waits with it.
const MAX_COMMANDS: usize = 64;
/// Reports that wait for a browser. One that falls behind further is given up.
const MAX_REPORTS: usize = 512;
/// How often the network is asked to take what closed peers have to say.
const FAREWELL_TURNS: usize = 16;

/// Who makes the first offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Offerer {
    /// The browser, with its channels.
    Browser,
    /// The peer, with a channel "chat".
    Peer,
}

/// Why a browser gets no peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// There are [`MAX_BROWSERS`].
    Full,
    /// The program is about to end.
    Stopping,
    /// The system does not list its interfaces, or the peer's configuration is refused.
    Failed,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => write!(f, "all {MAX_BROWSERS} peers are taken"),
            Self::Stopping => f.write_str("the program is about to end"),
            Self::Failed => f.write_str("no peer could be made"),
        }
    }
}

/// The way to the thread with the peers, for whoever accepts browsers.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    commands: mpsc::Sender<Command>,
    waker: DriverWaker,
}

/// One browser's side of its peer.
#[derive(Debug)]
pub(crate) struct Session {
    peer: PeerId,
    sessions: Sessions,
    reports: mpsc::Receiver<ToBrowser>,
}

#[derive(Debug)]
enum Command {
    Connect { offerer: Offerer, answer: oneshot::Sender<Result<Connected, Refusal>> },
    Tell { peer: PeerId, message: FromBrowser },
    Disconnect { peer: PeerId },
}

#[derive(Debug)]
struct Connected {
    peer: PeerId,
    reports: mpsc::Receiver<ToBrowser>,
}

impl Sessions {
    /// A peer for a browser.
    pub(crate) async fn connect(&self, offerer: Offerer) -> Result<Session, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.command(Command::Connect { offerer, answer }).await?;
        let Connected { peer, reports } = answered.await.unwrap_or(Err(Refusal::Stopping))?;
        Ok(Session { peer, sessions: self.clone(), reports })
    }

    async fn command(&self, command: Command) -> Result<(), Refusal> {
        self.commands.send(command).await.map_err(|_| Refusal::Stopping)?;
        self.waker.wake().map_err(|_| Refusal::Failed)
    }
}

impl Session {
    /// What the peer has to tell next; `None` once it is gone.
    pub(crate) async fn next(&mut self) -> Option<ToBrowser> {
        self.reports.recv().await
    }

    /// What the browser says.
    pub(crate) async fn tell(&self, message: FromBrowser) -> Result<(), Refusal> {
        self.sessions.command(Command::Tell { peer: self.peer, message }).await
    }

    /// Closes the peer: the browser is gone.
    pub(crate) async fn disconnect(self) {
        let _stopping_closes_it_too = self.sessions.command(Command::Disconnect { peer: self.peer }).await;
    }
}

/// The thread with the peers.
#[derive(Debug)]
pub(crate) struct SessionThread {
    sessions: Sessions,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl SessionThread {
    /// Starts it. Peers offer the addresses of all interfaces, those of loopback only if `with_loopback`.
    pub(crate) fn start(with_loopback: bool) -> Result<Self> {
        let peers = Peers::new(with_loopback)?;
        let config = EndpointConfig {
            sockets: SocketPolicy::Shared { port: 0 },
            max_peers: MAX_BROWSERS + MAX_LEAVING,
            ..EndpointConfig::default()
        };
        let endpoint = Endpoint::new(config, system_seed().context("the system has no entropy")?);
        let driver = Driver::new(endpoint, DriverConfig::default()).context("the system has no event queue")?;
        let (commands, received) = mpsc::channel(MAX_COMMANDS);
        let sessions = Sessions { commands, waker: driver.waker() };
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread =
            thread::Builder::new().name("peers".to_owned()).spawn(move || drive(driver, peers, received, &stopping))?;
        Ok(Self { sessions, stop, thread })
    }

    pub(crate) fn sessions(&self) -> Sessions {
        self.sessions.clone()
    }

    /// Closes all peers and waits until the thread has ended.
    pub(crate) fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Release);
        self.sessions.waker.wake()?;
        self.thread.join().map_err(|_| anyhow!("the thread with the peers has panicked"))?
    }
}

/// The run loop of all peers.
fn drive(
    mut driver: Driver<Endpoint>,
    mut peers: Peers,
    mut commands: mpsc::Receiver<Command>,
    stop: &AtomicBool,
) -> Result<()> {
    let mut wait = None;
    while !stop.load(Ordering::Acquire) {
        driver.turn(wait, |endpoint, now, event| peers.handle_event(endpoint, now, event))?;
        let now = driver.now();
        let arrived = iter::from_fn(|| commands.try_recv().ok()).take(MAX_COMMANDS);
        let taken = arrived.map(|command| peers.handle_command(driver.machine(), now, command)).count();
        // There may be more, but packets and timers have their turn in between.
        wait = (taken == MAX_COMMANDS).then_some(Duration::ZERO);
    }
    let now = driver.now();
    driver.machine().close(now);
    peers.browsers.clear();
    for _ in 0..FAREWELL_TURNS {
        if driver.machine().peers().next().is_none() {
            break;
        }
        driver.turn(Some(Duration::ZERO), |_, _, _| ())?;
    }
    Ok(())
}

/// All browsers with their peers.
struct Peers {
    certificate: Arc<Certificate>,
    with_loopback: bool,
    browsers: BTreeMap<PeerId, Browser>,
    /// Counts the peers, for people.
    connected: u64,
}

impl Peers {
    fn new(with_loopback: bool) -> Result<Self> {
        let certificate = Certificate::generate(system_seed()?, wall_clock(), Entropy::System)?;
        Ok(Self { certificate: Arc::new(certificate), with_loopback, browsers: BTreeMap::new(), connected: 0 })
    }

    fn handle_command(&mut self, endpoint: &mut Endpoint, now: Timestamp, command: Command) {
        match command {
            Command::Connect { offerer, answer } => {
                let connected = self.connect(endpoint, now, offerer);
                let peer = connected.as_ref().map(|connected| connected.peer).ok();
                if let (Err(_), Some(peer)) = (answer.send(connected), peer) {
                    self.disconnect(endpoint, now, peer);
                }
            }
            Command::Tell { peer, message } => {
                self.tell(endpoint, now, peer, |browser, peer| browser.handle_message(now, peer, message));
            }
            Command::Disconnect { peer } => self.disconnect(endpoint, now, peer),
        }
    }

    fn handle_event(&mut self, endpoint: &mut Endpoint, now: Timestamp, event: EndpointEvent) {
        if let EndpointEvent::Peer { peer, event } = event {
            self.tell(endpoint, now, peer, |browser, peer| browser.handle_event(now, peer, event));
        }
    }

    fn connect(&mut self, endpoint: &mut Endpoint, now: Timestamp, offerer: Offerer) -> Result<Connected, Refusal> {
        if self.browsers.len() >= MAX_BROWSERS {
            return Err(Refusal::Full);
        }
        // Interfaces come and go: each peer gets those of its own time.
        let interfaces = interface_addresses().map_err(|_| Refusal::Failed)?;
        let interfaces: Vec<InterfaceAddress> = interfaces
            .iter()
            .map(|interface| InterfaceAddress { address: interface.address, index: interface.index.unwrap_or(0) })
            .collect();
        endpoint.set_interfaces(&interfaces);
        let configuration =
            Configuration { gather_loopback: self.with_loopback, ..Configuration::new(Arc::clone(&self.certificate)) };
        let id = endpoint.add_peer(now, configuration).map_err(|error| match error {
            AddPeerError::TooManyPeers => Refusal::Full,
            _ => Refusal::Failed,
        })?;
        let (outgoing, reports) = mpsc::channel(MAX_REPORTS);
        self.connected += 1;
        self.browsers.insert(id, Browser::new(self.connected, outgoing));
        if offerer == Offerer::Peer {
            self.tell(endpoint, now, id, |browser, peer| browser.offer(now, peer));
        }
        Ok(Connected { peer: id, reports })
    }

    /// Lets a browser act on its peer, and gives it up if it no longer takes reports.
    fn tell(
        &mut self,
        endpoint: &mut Endpoint,
        now: Timestamp,
        id: PeerId,
        act: impl FnOnce(&mut Browser, &mut peer_core::Peer),
    ) {
        let Some(browser) = self.browsers.get_mut(&id) else { return };
        if let Some(peer) = endpoint.peer_mut(id) {
            act(browser, peer);
        }
        if browser.is_gone() {
            self.disconnect(endpoint, now, id);
        }
    }

    fn disconnect(&mut self, endpoint: &mut Endpoint, now: Timestamp, id: PeerId) {
        self.browsers.remove(&id);
        if let Some(peer) = endpoint.peer_mut(id) {
            peer.close(now);
        }
    }
}
