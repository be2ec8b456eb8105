//! The command line.

use std::net::{IpAddr, Ipv4Addr};

use clap::Parser;

/// The port that is tried when none is asked for.
pub const DEFAULT_PORT: u16 = 8080;

/// Serves a page that opens a WebRTC data channel to a peer written in Rust, in this process.
///
/// Open the printed address in Chromium or Firefox, in as many windows as you like: each gets a peer of its own, and what you write in the chat comes back.
/// Add ?offer=peer to the address to let the Rust peer make the offer. Ctrl-C closes all connections and ends.
#[derive(Parser, Clone, PartialEq, Eq, Debug)]
#[command(name = "demo", version)]
pub struct Options {
    /// Port of the page; 0 picks a free one [default: 8080, or a free one if that is taken]
    #[arg(long)]
    pub port: Option<u16>,
    /// Address that the page is served at; 0.0.0.0 or :: for all, so that other machines can open it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = parse_address)]
    pub bind: IpAddr,
}

impl Default for Options {
    fn default() -> Self {
        Self { port: None, bind: IpAddr::V4(Ipv4Addr::LOCALHOST) }
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
        assert_eq!(options, Options { port: Some(0), bind: "::1".parse().unwrap() });
    }

    #[test]
    fn a_host_name_is_refused_with_examples_of_what_is_expected() {
        let error = Options::try_parse_from(["demo", "--bind", "localhost"]).unwrap_err();
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }
}
