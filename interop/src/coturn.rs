//! A coturn, the TURN server of Debian, on this host.

use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::browser::on_path;

/// How long it may take to start, on a machine under load.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is asked whether it is there.
const START_INTERVAL: Duration = Duration::from_millis(50);
/// A port that somebody else has taken meanwhile is exchanged for another, so many times.
const START_ATTEMPTS: usize = 5;

/// Who may use it.
pub const USERNAME: &str = "interop";
/// The password of that user.
pub const CREDENTIAL: &str = "a good password";

/// A TURN server on a loopback port of its own. It ends when this is dropped.
pub struct Coturn {
    process: Child,
    port: u16,
    options: Vec<String>,
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
        let folder = TempDir::with_prefix("interop-coturn-")?;
        let mut attempts = 0;
        loop {
            let port = free_port()?;
            attempts += 1;
            match spawn(port, &options, &folder) {
                Ok(process) => return Ok(Self { process, port, options, folder }),
                Err(error) if attempts == START_ATTEMPTS => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Ends it as a crash would, and starts another in its place, which knows nothing of what was.
    ///
    /// # Errors
    /// It does not start again.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.process = spawn(self.port, &self.options, &self.folder)?;
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
        (Ipv4Addr::LOCALHOST, self.port).into()
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

/// Starts it, and waits until it takes connections.
fn spawn(port: u16, options: &[String], folder: &TempDir) -> Result<Child> {
    let program = on_path("turnserver", "coturn")?;
    let mut process = Command::new(program)
        .args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--lt-cred-mech", "--realm=interop"])
        .args(["--allow-loopback-peers", "--no-multicast-peers", "--log-file=stdout", "--simple-log"])
        .args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1"])
        .arg(format!("--pidfile={}", folder.path().join("pid").display()))
        .arg(format!("--userdb={}", folder.path().join("users").display()))
        .arg(format!("--listening-port={port}"))
        .arg(format!("--user={USERNAME}:{CREDENTIAL}"))
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start turnserver")?;
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        // It listens on TCP as well, from when on it is ready.
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(process);
        }
        let ended = process.try_wait()?;
        if ended.is_some() || Instant::now() > deadline {
            let _killed = process.kill();
            let _reaped = process.wait();
            bail!("turnserver does not listen on port {port}: {ended:?}");
        }
        std::thread::sleep(START_INTERVAL);
    }
}
