//! A peer for scripts: newline-delimited JSON on stdin and stdout.
//!
//! One process is one side of one peer connection, so that any program, in any language, can be the signalling channel or the test driver. `docs/stdio.md` has the
//! protocol. Everything happens on one thread, except that lines of stdin are read on another.

mod channel;
mod channels;
mod command;
mod input;
mod options;
mod output;
mod peer;
mod protocol;
mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use anyhow::{Context, Result};
use driver_mio::{Driver, DriverConfig, interface_addresses, system_seed, wall_clock};
use peer_core::{Certificate, Configuration, Entropy, IceTransportPolicy, Peer};
use proto_machine::Timestamp;

pub use self::channel::MAX_ECHO_TESTS;
pub use self::channels::MAX_CHANNELS;
pub use self::input::{MAX_LINE_BYTES, MAX_WAITING_LINES};
pub use self::options::{CloseAfterFlood, IceServerInit, IceServers, Mode, Policy, Role, StdioOptions, Trickle, Urls};
pub use self::protocol::{ChannelInit, PriorityInit};

use self::input::{Input, read_stdin};
use self::output::Output;
use self::peer::{Leave, Session, Verdict};
use self::protocol::Event;

/// How often the network is asked to take what a closed peer has to say.
const FAREWELL_TURNS: usize = 16;

/// Is one side of a peer connection until the script, the other side or time ends it. The status is a success exactly if the last event was `done` with `ok: true`.
///
/// # Errors
/// The system has no sockets, threads or entropy to give, or nobody reads stdout any more.
pub fn run(options: &StdioOptions) -> Result<ExitCode> {
    let config = DriverConfig { port_range: options.port_range.clone(), ..DriverConfig::default() };
    let clock = config.clock;
    let mut output = Output::stdout();
    output.event(&Event::Ready { implementation: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") });
    output.flush()?;
    let mut session = Session::new(options, output);
    if options.ca.is_some() {
        session.error("options", "not yet: --ca is ignored, since turns: is not supported");
    }
    let peer = match new_peer(options)? {
        Ok(peer) => peer,
        Err(refusal) => {
            session.error("options", refusal);
            session.done(clock.now(), Verdict { ok: false, reason: "refused" });
            session.output.flush()?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let mut driver = Driver::new(peer, config).context("the system has no event queue")?;
    let input = read_stdin(driver.waker()).context("the system has no thread for stdin")?;
    let interfaces: Vec<_> = interface_addresses().context("the system does not list its interfaces")?;
    let interfaces: Vec<_> = interfaces.into_iter().map(Into::into).collect();
    let now = driver.now();
    driver.machine().set_interfaces(now, &interfaces);
    if !session.is_held() {
        session.begin(now, driver.machine());
    }
    let leave = drive(&mut driver, &mut session, &input)?;
    leave_with(&mut driver, &mut session, leave)
}

/// The peer, or why there is none for these options.
fn new_peer(options: &StdioOptions) -> Result<Result<Peer, String>> {
    let certificate = Certificate::generate(system_seed()?, wall_clock(), Entropy::System)?;
    let configuration = Configuration {
        gather_loopback: options.loopback,
        ice_servers: options.ice_servers.to_ice_servers(),
        ice_transport_policy: match options.policy {
            Policy::All => IceTransportPolicy::All,
            Policy::Relay => IceTransportPolicy::Relay,
        },
        ice_candidate_pool_size: options.pool,
        one_to_one_nat: options.one_to_one_nat(),
        ..Configuration::new(Arc::new(certificate))
    };
    let seed = system_seed().context("the system has no entropy")?;
    Ok(Peer::new(configuration, seed).map_err(|error| error.to_string()))
}

/// The run loop, until the process is to end.
fn drive(driver: &mut Driver<Peer>, session: &mut Session, input: &Receiver<Input>) -> Result<Leave> {
    let mut lines_left = false;
    loop {
        session.output.flush().context("nobody reads stdout")?;
        let wait = if lines_left { Duration::ZERO } else { session.wait(driver.now()) };
        driver.turn(Some(wait), |peer, now, event| session.handle_event(now, peer, event))?;
        let now = driver.now();
        let mut taken = 0;
        // What comes after the line that ends the process does nothing.
        while taken < MAX_WAITING_LINES
            && session.leaving().is_none()
            && let Ok(line) = input.try_recv()
        {
            taken += 1;
            session.handle_input(now, driver.machine(), line);
        }
        // There may be more, but packets and timers have their turn in between.
        lines_left = taken == MAX_WAITING_LINES;
        session.handle_timeout(now, driver.machine());
        if let Some(leave) = session.leaving() {
            return Ok(leave);
        }
    }
}

fn leave_with(driver: &mut Driver<Peer>, session: &mut Session, leave: Leave) -> Result<ExitCode> {
    let verdict = match leave {
        Leave::Abruptly => None,
        Leave::Going(verdict) => Some(verdict),
        Leave::Closing(verdict) => {
            let now = driver.now();
            session.close(now, driver.machine());
            for _ in 0..FAREWELL_TURNS {
                if driver.machine().is_closed() {
                    break;
                }
                driver.turn(Some(Duration::ZERO), |_, _: Timestamp, _| ())?;
            }
            Some(verdict)
        }
    };
    if let Some(verdict) = verdict {
        session.done(driver.now(), verdict);
    }
    session.output.flush().context("nobody reads stdout")?;
    let ok = verdict.is_some_and(|verdict| verdict.ok);
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
