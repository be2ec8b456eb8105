//! The command line of `demo stdio`.

use std::ops::RangeInclusive;

use clap::{Args, ValueEnum};
use peer_core::{AddressMapping, IceServer, MappedCandidates, OneToOneNat};
use serde::Deserialize;

use super::protocol::ChannelInit;

/// What `demo stdio` is told when it starts.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct StdioOptions {
    /// Who makes the first offer
    #[arg(long, value_enum, default_value = "answerer")]
    pub role: Role,
    /// What to do on channels
    #[arg(long, value_enum, default_value = "auto")]
    pub mode: Mode,
    /// Bytes of the flood, with --mode flood
    #[arg(long, value_name = "N", default_value = "20e6", value_parser = parse_count)]
    pub bytes: u64,
    /// Bytes of each message of the flood
    #[arg(long, value_name = "N", default_value_t = DEFAULT_FLOOD_MESSAGE)]
    pub msg_size: usize,
    /// What follows the flood of --mode flood
    #[arg(long, value_enum, default_value = "pc")]
    pub close: CloseAfterFlood,
    /// Bytes buffered in a channel before its sender waits
    #[arg(long, value_name = "N", default_value_t = 1 << 20)]
    pub high_water: usize,
    /// Servers as RTCConfiguration has them: [{"urls":"turn:192.0.2.1:3478?transport=udp","username":"u","credential":"p"}]
    #[arg(long, value_name = "JSON", default_value = "[]", value_parser = parse_json::<IceServers>)]
    pub ice_servers: IceServers,
    /// Which candidates may be used
    #[arg(long, value_enum, default_value = "all")]
    pub policy: Policy,
    /// Whether candidates are sent one by one; if not, they are inside the description
    #[arg(long, value_enum, default_value = "yes")]
    pub trickle: Trickle,
    /// Gather loopback addresses too
    #[arg(long)]
    pub loopback: bool,
    /// Public address of a one-to-one NAT in front of a local one, which is told in its place; repeatable
    #[arg(long = "public-address", value_name = "LOCAL=PUBLIC", value_parser = parse_mapping)]
    pub public_addresses: Vec<AddressMapping>,
    /// As what these public addresses are told
    #[arg(long, value_enum, default_value = "host")]
    pub public_as: PublicAs,
    /// UDP ports to use, such as 50000-50100 [default: the system's choice]
    #[arg(long, value_name = "FIRST-LAST", value_parser = parse_port_range)]
    pub port_range: Option<RangeInclusive<u16>>,
    /// For how many transports candidates are gathered in advance
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub pool: u8,
    /// A channel to create, as in the command "create"; repeatable [default: an offerer creates {"label":"echo"}, or "sink" with --mode flood]
    #[arg(long = "channel", value_name = "JSON", value_parser = parse_json::<ChannelInit>)]
    pub channels: Vec<ChannelInit>,
    /// Wait for the command "start" before creating channels and the offer
    #[arg(long)]
    pub hold: bool,
    /// Do not end when the connection closes
    #[arg(long)]
    pub stay: bool,
    /// Report each message
    #[arg(long)]
    pub verbose: bool,
    /// Seconds after which the process gives up
    #[arg(long, value_name = "S", default_value_t = 300)]
    pub timeout: u64,
    /// Do not wait until a flood is acknowledged
    #[arg(long)]
    pub no_ack: bool,
    /// Milliseconds to wait for the acknowledgement of a flood
    #[arg(long, value_name = "MS", default_value_t = 60_000)]
    pub ack_timeout: u64,
    /// Additional roots for turns: (not yet)
    #[arg(long, value_name = "FILE")]
    pub ca: Option<String>,
}

/// Bytes of a message of a flood, if nothing else is asked for.
pub(crate) const DEFAULT_FLOOD_MESSAGE: usize = 16_384;

/// Who makes the first offer.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// This side.
    Offerer,
    /// The other side.
    Answerer,
}

/// What to do on channels. Floods of the other side are acknowledged in each mode.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Echo, except on channels whose label begins with "sink"
    Auto,
    /// Echo on all channels
    Echo,
    /// Only count
    Sink,
    /// As auto, and flood the first channel once it is open
    Flood,
    /// Nothing but what commands ask for
    Idle,
}

impl Mode {
    /// Whether messages on a channel with this label come back.
    pub(crate) fn echoes(self, label: &str) -> bool {
        match self {
            Self::Auto | Self::Flood => !label.starts_with("sink"),
            Self::Echo => true,
            Self::Sink | Self::Idle => false,
        }
    }
}

/// What follows the flood of [`Mode::Flood`].
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseAfterFlood {
    /// Nothing
    None,
    /// Close the channel
    Channel,
    /// Close the connection
    Pc,
    /// The process just goes
    Abrupt,
}

/// Which candidates may be used.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// All
    All,
    /// Only those of relays
    Relay,
}

/// As what the public addresses of a one-to-one NAT are told.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum PublicAs {
    /// Host candidates, in the place of the local addresses
    Host,
    /// Server-reflexive candidates, beside them
    Srflx,
}

/// How candidates are told.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trickle {
    /// One by one
    Yes,
    /// Inside the description
    No,
}

/// `RTCConfiguration.iceServers`.
#[derive(Deserialize, Clone, PartialEq, Eq, Default, Debug)]
#[serde(transparent)]
pub struct IceServers(pub Vec<IceServerInit>);

impl IceServers {
    /// The same, in the words of the peer.
    pub(crate) fn to_ice_servers(&self) -> Vec<IceServer> {
        let server = |init: &IceServerInit| IceServer {
            urls: init.urls.to_vec(),
            username: init.username.clone(),
            credential: init.credential.clone(),
        };
        self.0.iter().map(server).collect()
    }
}

/// `RTCIceServer`
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct IceServerInit {
    /// One URL or several.
    pub urls: Urls,
    /// For `turn:`.
    pub username: Option<String>,
    /// For `turn:`.
    pub credential: Option<String>,
}

/// One URL or several.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(untagged)]
pub enum Urls {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Urls {
    pub(crate) fn to_vec(&self) -> Vec<String> {
        match self {
            Self::One(url) => vec![url.clone()],
            Self::Several(urls) => urls.clone(),
        }
    }
}

impl StdioOptions {
    /// The channels to create at the start. The default one is for an offerer: an offer needs something to offer.
    pub(crate) fn first_channels(&self) -> Vec<ChannelInit> {
        match (self.role, self.mode) {
            _ if !self.channels.is_empty() => self.channels.clone(),
            (Role::Offerer, Mode::Flood) => vec![ChannelInit::new("sink")],
            (Role::Offerer, _) => vec![ChannelInit::new("echo")],
            (Role::Answerer, _) => Vec::new(),
        }
    }
}

impl StdioOptions {
    /// The public addresses, in the words of the peer.
    pub(crate) fn one_to_one_nat(&self) -> OneToOneNat {
        let candidates = match self.public_as {
            PublicAs::Host => MappedCandidates::Host,
            PublicAs::Srflx => MappedCandidates::ServerReflexive,
        };
        OneToOneNat { mappings: self.public_addresses.clone(), candidates }
    }
}

/// `LOCAL=PUBLIC`: two addresses of one family.
fn parse_mapping(text: &str) -> Result<AddressMapping, String> {
    let addresses = text.split_once('=').and_then(|(local, public)| local.parse().ok().zip(public.parse().ok()));
    let mapping = addresses.map(|(local, public)| AddressMapping { local, public });
    mapping
        .filter(AddressMapping::is_usable)
        .ok_or_else(|| "expected LOCAL=PUBLIC, two addresses of one family".to_owned())
}

/// `FIRST-LAST`: not empty, and without port 0.
fn parse_port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let ports = text.split_once('-').and_then(|(first, last)| first.parse().ok().zip(last.parse().ok()));
    let range = ports.map(|(first, last)| first..=last).filter(|range| *range.start() > 0 && !range.is_empty());
    range.ok_or_else(|| "expected FIRST-LAST, such as 50000-50100".to_owned())
}

fn parse_json<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// A whole number, with an exponent if one likes: 20000000 or 20e6.
fn parse_count(text: &str) -> Result<u64, String> {
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let count = digits.parse::<u64>().ok().zip(exponent.parse().ok());
    count
        .and_then(|(digits, exponent)| digits.checked_mul(10_u64.checked_pow(exponent)?))
        .ok_or_else(|| "expected a whole number such as 20000000 or 20e6".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::options::{Command, Options};

    fn parse(arguments: &[&str]) -> Result<StdioOptions, clap::Error> {
        let all = ["demo", "stdio"].iter().chain(arguments);
        match Options::try_parse_from(all)?.command {
            Some(Command::Stdio(options)) => Ok(*options),
            None => panic!("no subcommand"),
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_protocol_document() {
        let options = parse(&[]).unwrap();
        assert_eq!((options.role, options.mode, options.close), (Role::Answerer, Mode::Auto, CloseAfterFlood::Pc));
        assert_eq!((options.bytes, options.msg_size, options.high_water), (20_000_000, 16_384, 1_048_576));
        assert_eq!((options.timeout, options.ack_timeout), (300, 60_000));
        assert_eq!((options.policy, options.trickle), (Policy::All, Trickle::Yes));
        assert_eq!(options.first_channels(), []);
    }

    #[test]
    fn an_offerer_has_a_channel_to_offer_and_a_flooding_one_a_sink() {
        let labels = |arguments: &[&str]| -> Vec<String> {
            parse(arguments).unwrap().first_channels().into_iter().map(|channel| channel.label).collect()
        };
        assert_eq!(labels(&["--role", "offerer"]), ["echo"]);
        assert_eq!(labels(&["--role", "offerer", "--mode", "flood"]), ["sink"]);
        let own = ["--channel", r#"{"label":"x"}"#, "--channel", r#"{"label":"y","ordered":false}"#];
        assert_eq!(labels(&own), ["x", "y"]);
    }

    #[test]
    fn servers_have_one_url_or_several_and_may_have_credentials() {
        let json = r#"[{"urls":"stun:a","username":"u","credential":"p"},{"urls":["stun:b","stun:c"]}]"#;
        let options = parse(&["--ice-servers", json]).unwrap();
        let urls: Vec<String> = options.ice_servers.0.iter().flat_map(|server| server.urls.to_vec()).collect();
        assert_eq!(urls, ["stun:a", "stun:b", "stun:c"]);
        let credentials = |server: &IceServer| (server.username.clone(), server.credential.clone());
        let credentials: Vec<_> = options.ice_servers.to_ice_servers().iter().map(credentials).collect();
        assert_eq!(credentials, [(Some("u".to_owned()), Some("p".to_owned())), (None, None)]);
        assert!(parse(&["--ice-servers", "{}"]).is_err());
    }

    #[test]
    fn public_addresses_ports_and_the_pool_are_those_of_the_configuration() {
        let arguments = ["--public-address", "10.0.0.2=203.0.113.7", "--port-range", "50000-50100", "--pool", "1"];
        let options = parse(&arguments).unwrap();
        let expected = AddressMapping { local: [10, 0, 0, 2].into(), public: [203, 0, 113, 7].into() };
        let nat = options.one_to_one_nat();
        assert_eq!((nat.mappings, nat.candidates), (vec![expected], MappedCandidates::Host));
        assert_eq!((options.port_range, options.pool), (Some(50_000..=50_100), 1));
        let reflexive = parse(&["--public-as", "srflx"]).unwrap().one_to_one_nat();
        assert_eq!(reflexive.candidates, MappedCandidates::ServerReflexive);
        for wrong in ["10.0.0.2", "10.0.0.2=", "10.0.0.2=2001:db8::1", "10.0.0.2=0.0.0.0"] {
            assert!(parse(&["--public-address", wrong]).is_err(), "{wrong}");
        }
        for wrong in ["50000", "0-9", "9-5", "1-65536", "-"] {
            assert!(parse(&["--port-range", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_count_may_have_an_exponent_and_must_fit() {
        assert_eq!(parse_count("20e6"), Ok(20_000_000));
        assert_eq!(parse_count("7"), Ok(7));
        for text in ["", "e6", "2.5", "1e20", "1e-1", "-1"] {
            assert!(parse_count(text).is_err(), "{text}");
        }
    }
}
