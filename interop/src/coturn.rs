//! A coturn, the TURN server of Debian, on this host.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::browser::on_path;

/// How long it may take to start, on a machine under load.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// A port that somebody else has taken meanwhile is exchanged for another, so many times.
const START_ATTEMPTS: usize = 5;

/// Who may use it.
pub const USERNAME: &str = "interop";
/// The password of that user.
pub const CREDENTIAL: &str = "a good password";

/// A TURN server on an address of its own. It ends when this is dropped.
pub struct Coturn {
    process: Child,
    place: Place,
    options: Vec<String>,
}

/// Where it runs.
struct Place {
    address: SocketAddr,
    /// The network that it belongs to, if that is another than the host's.
    namespace: Option<String>,
    /// Where it keeps its files; gone with it.
    folder: TempDir,
}

impl Coturn {
    /// Starts a server that relays on loopback, with more options if need be (`--stale-nonce=5`).
    ///
    /// # Errors
    /// It is not installed (the error says what to do), or does not start.
    pub fn start(options: &[&str]) -> Result<Self> {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let mut attempts = 0;
        loop {
            let place = Place::new((Ipv4Addr::LOCALHOST, free_port()?).into(), None)?;
            attempts += 1;
            match place.spawn(&options) {
                Ok(process) => return Ok(Self { process, place, options }),
                Err(error) if attempts == START_ATTEMPTS => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Starts a server at an address of a network namespace.
    ///
    /// # Errors
    /// As [`start`](Self::start); or the address is not of that namespace.
    pub fn start_in(namespace: String, address: SocketAddr) -> Result<Self> {
        let place = Place::new(address, Some(namespace))?;
        Ok(Self { process: place.spawn(&[])?, place, options: Vec::new() })
    }

    /// Ends it as a crash would, and starts another in its place, which knows nothing of what was.
    ///
    /// # Errors
    /// It does not start again.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.process = self.place.spawn(&self.options)?;
        Ok(())
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    /// The system says no.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.place.address
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("turn:{}?transport=udp", self.address())
    }

    /// It as `RTCConfiguration.iceServers` names it.
    #[must_use]
    pub fn ice_servers(&self) -> Value {
        json!([{ "urls": self.url(), "username": USERNAME, "credential": CREDENTIAL }])
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        // It may have been killed before.
        let _killed = self.kill();
    }
}

/// A UDP port that nobody uses at the moment.
fn free_port() -> Result<u16> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Place {
    fn new(address: SocketAddr, namespace: Option<String>) -> Result<Self> {
        Ok(Self { address, namespace, folder: TempDir::with_prefix("interop-coturn-")? })
    }

    /// Starts it, and waits until it listens.
    fn spawn(&self, options: &[String]) -> Result<Child> {
        let mut process = self
            .command()?
            .args(["-n", "--verbose", "--no-cli", "--no-tls", "--no-dtls", "--lt-cred-mech", "--realm=interop"])
            .args(["--allow-loopback-peers", "--no-multicast-peers", "--log-file=stdout", "--simple-log"])
            .arg(format!("--listening-ip={}", self.address.ip()))
            .arg(format!("--relay-ip={}", self.address.ip()))
            .arg(format!("--listening-port={}", self.address.port()))
            .arg(format!("--pidfile={}", self.folder.path().join("pid").display()))
            .arg(format!("--userdb={}", self.folder.path().join("users").display()))
            .arg(format!("--user={USERNAME}:{CREDENTIAL}"))
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start turnserver")?;
        let log = process.stdout.take().context("it has a log")?;
        let (ready, is_ready) = channel();
        std::thread::spawn(move || read_log(log, &ready));
        if is_ready.recv_timeout(START_TIMEOUT).is_err() {
            let _killed = process.kill();
            let ended = process.wait()?;
            bail!("turnserver does not listen on {}: {ended}", self.address);
        }
        Ok(process)
    }

    fn command(&self) -> Result<Command> {
        let program = on_path("turnserver", "coturn")?;
        let Some(namespace) = &self.namespace else {
            return Ok(Command::new(program));
        };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(program);
        Ok(command)
    }
}

/// Tells when the log says that the server listens, and reads on: a log that nobody reads would stop it.
fn read_log(log: ChildStdout, ready: &Sender<()>) {
    for line in BufReader::new(log).lines().map_while(Result::ok) {
        if line.contains("UDP listener opened") {
            let _whoever_waited_is_gone = ready.send(());
        }
    }
}
