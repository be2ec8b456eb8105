//! The command line.

use std::net::{IpAddr, Ipv4Addr};

use clap::{Parser, Subcommand};

use crate::stdio::StdioOptions;

/// The port that is tried when none is asked for.
pub const DEFAULT_PORT: u16 = 8080;

/// What the options do not say by themselves.
const EXAMPLES: &str = "\
Examples:
  demo                   the page, at http://127.0.0.1:8080/
  demo --bind 0.0.0.0    the page, for other machines too; whoever reaches it can use it
  demo --port 0          the page, at a free port
  demo stdio             a peer that a script commands; see demo stdio --help

In the address of the page:
  ?offer=peer            the Rust peer makes the first offer; the page has a control for it
  ?fault=candidates      candidates get lost on their way, to see what the page says of it
  ?fault=fingerprint     certificates do not match, likewise";

/// Serves a page that opens WebRTC data channels to a peer written in Rust, in this process.
///
/// Open the printed address in Chromium or Firefox, in as many windows as you like: each gets a peer of its own. The page has a chat, sends files there and back, measures the
/// throughput each way, and tells why if it cannot connect. Ctrl-C closes all connections and ends.
#[derive(Parser, Clone, PartialEq, Eq, Debug)]
#[command(name = "demo", version, args_conflicts_with_subcommands = true, after_long_help = EXAMPLES)]
pub struct Options {
    /// Port of the page; 0 picks a free one [default: 8080, or a free one if that is taken]
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Address that the page is served at; 0.0.0.0 or :: for all, so that other machines can open it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = parse_address)]
    pub bind: IpAddr,
    /// What to do in place of serving the page
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program does if it does not serve the page.
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// A peer for scripts: newline-delimited JSON on stdin and stdout
    ///
    /// One process is one side of one peer connection. Its lines of stdout with a "type" are for the stdin of the other side, and the other way round; lines with a "cmd" are
    /// commands: {"cmd":"send","label":"echo","text":"hi"}, {"cmd":"close"} and others. Lines with an "event" tell what happens. The last one is "done", and the exit status is 0
    /// exactly if it says "ok":true. docs/stdio.md has the whole protocol, and a script in Python that connects two peers.
    Stdio(Box<StdioOptions>),
}

impl Default for Options {
    fn default() -> Self {
        Self { port: None, bind: IpAddr::V4(Ipv4Addr::LOCALHOST), command: None }
    }
}

/// An IP address; IPv6 with or without the brackets of a URL.
fn parse_address(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| "expected an IP address such as 127.0.0.1, 0.0.0.0 or ::1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_arguments_mean_the_default_port_on_loopback() {
        assert_eq!(Options::try_parse_from(["demo"]).unwrap(), Options::default());
    }

    #[test]
    fn an_ipv6_address_may_wear_the_brackets_of_a_url() {
        let options = Options::try_parse_from(["demo", "--bind", "[::1]", "--port", "0"]).unwrap();
        assert_eq!(options, Options { port: Some(0), bind: "::1".parse().unwrap(), command: None });
    }

    #[test]
    fn a_host_name_is_refused_with_examples_of_what_is_expected() {
        let error = Options::try_parse_from(["demo", "--bind", "localhost"]).unwrap_err();
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }
}
