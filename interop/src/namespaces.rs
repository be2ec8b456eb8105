//! Homes behind NATs, on this machine: network namespaces with veth pairs between them, and nftables.
//!
//! ```text
//! home 0: host 10.0.2.2 — NAT 203.0.113.2 ┐
//!                                         ├ the internet, 203.0.113.1: servers
//! home 1: host 10.0.3.2 — NAT 203.0.113.3 ┘
//! ```

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command as Blocking, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::Coturn;

/// What kind of NAT a home has, in the words of RFC 4787 §4.1. All filter by address and port (§5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mapping {
    /// The port of the host is kept, whatever the destination: endpoint-independent as long as no two hosts want the same.
    PortPreserving,
    /// A random port for each destination: address- and port-dependent, "symmetric".
    PerDestination,
}

impl Mapping {
    fn rule(self) -> &'static str {
        match self {
            Self::PortPreserving => "masquerade",
            Self::PerDestination => "masquerade fully-random",
        }
    }
}

/// Two homes and the internet between them. All of it goes when this is dropped.
pub struct Network {
    prefix: String,
}

const PLACES: [&str; 5] = ["internet", "nat0", "nat1", "host0", "host1"];

impl Network {
    /// The address of the server that is started on the internet.
    pub const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), 3478);

    /// Builds it.
    ///
    /// # Errors
    /// The user is not root, or `ip` or `nft` are missing or refuse.
    pub fn new(homes: [Mapping; 2]) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("peer{}n{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let network = Self { prefix };
        for place in PLACES {
            run(&["ip", "netns", "add", &network.namespace(place)])
                .context("network namespaces need root and the Debian packages iproute2 and nftables")?;
            network.configure(place, &["link set lo up"])?;
        }
        let address = format!("addr add {}/24 dev bridge", Self::SERVER.ip());
        network.configure("internet", &["link add bridge type bridge", &address, "link set bridge up"])?;
        // What goes elsewhere is lost on the way, as it is behind a real router. coturn ends an allocation whose relayed packets have no route.
        network.configure(
            "internet",
            &[
                "link add away type veth peer name nowhere",
                "link set nowhere up",
                "link set away up arp off",
                "route add default dev away",
            ],
        )?;
        for (home, mapping) in homes.into_iter().enumerate() {
            network.build_home(home, mapping)?;
        }
        Ok(network)
    }

    fn build_home(&self, home: usize, mapping: Mapping) -> Result<()> {
        let (nat, host, number) = (format!("nat{home}"), format!("host{home}"), home + 2);
        let (internet, inside) = (self.namespace("internet"), self.namespace(&host));
        let to_internet = format!("link add wan type veth peer name home{home} netns {internet}");
        let to_host = format!("link add lan type veth peer name lan netns {inside}");
        let (outer, inner) =
            (format!("addr add 203.0.113.{number}/24 dev wan"), format!("addr add 10.0.{number}.1/24 dev lan"));
        self.configure(&nat, &[&to_internet, &to_host, &outer, &inner, "link set wan up", "link set lan up"])?;
        let (enslave, raise) = (format!("link set home{home} master bridge"), format!("link set home{home} up"));
        self.configure("internet", &[&enslave, &raise])?;
        let (address, route) =
            (format!("addr add 10.0.{number}.2/24 dev lan"), format!("route add default via 10.0.{number}.1"));
        self.configure(&host, &[&address, "link set lan up", &route])?;
        let within = ["ip", "netns", "exec", &self.namespace(&nat)];
        run(&[&within[..], &["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"]].concat())?;
        // What nobody asked for is dropped before it is a flow of its own, which would take the port away from the host.
        let rules = format!(
            "table ip home {{
                chain translate {{ type nat hook postrouting priority 100; oifname \"wan\" {}; }}
                chain to_router {{ type filter hook input priority 0; iifname \"wan\" ct state new drop; }}
                chain to_hosts {{ type filter hook forward priority 0; iifname \"wan\" ct state new drop; }}
            }}",
            mapping.rule()
        );
        feed(&[&within[..], &["nft", "-f", "-"]].concat(), &rules)
    }

    /// A command that runs on the host of a home, 0 or 1.
    #[must_use]
    pub fn at_home(&self, home: usize, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(&format!("host{home}")), program]);
        command
    }

    /// Starts a STUN and TURN server on the internet, at [`SERVER`](Self::SERVER).
    ///
    /// # Errors
    /// Those of [`Coturn::start_in`].
    pub fn start_server(&self) -> Result<Coturn> {
        Coturn::start_in(self.namespace("internet"), Self::SERVER)
    }

    fn namespace(&self, place: &str) -> String {
        format!("{}-{place}", self.prefix)
    }

    /// Runs commands of `ip` in a namespace.
    fn configure(&self, place: &str, commands: &[&str]) -> Result<()> {
        commands.iter().try_for_each(|command| {
            let arguments: Vec<&str> = command.split_whitespace().collect();
            run(&[&["ip", "-n", &self.namespace(place)], &arguments[..]].concat())
        })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for place in PLACES {
            // One that was never made cannot be deleted, and need not be.
            let _result =
                Blocking::new("ip").args(["netns", "del", &self.namespace(place)]).stderr(Stdio::null()).status();
        }
    }
}

fn run(command: &[&str]) -> Result<()> {
    feed(command, "")
}

/// Runs a command with this as its input.
fn feed(command: &[&str], input: &str) -> Result<()> {
    let (program, arguments) = command.split_first().context("a command has a name")?;
    let mut child = Blocking::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    child.stdin.take().context("it has an input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{}: {}", command.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(())
}
