//! What is measured. Every workload is one run in a process of its own.

mod channels;
mod driver;
mod idle;
mod loopback;
mod memory;
mod path;
mod setup;
mod throughput;

use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::link::LinkConfig;
use crate::report::Outcome;
use crate::sctp;
use crate::stack::Stack;
use crate::stacks::{Ours, Rtc, Str0m};

/// Whose figures.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StackName {
    /// This stack.
    Ours,
    /// str0m
    Str0m,
    /// rtc
    Rtc,
    /// sctp-proto, for SCTP alone.
    #[serde(rename = "sctp-proto")]
    SctpProto,
    /// rtc-sctp, for SCTP alone.
    #[serde(rename = "rtc-sctp")]
    RtcSctp,
    /// dcsctp, for SCTP alone.
    Dcsctp,
}

impl StackName {
    /// The whole stacks, ours first.
    pub const ALL: [Self; 3] = [Self::Ours, Self::Str0m, Self::Rtc];
    /// What has an SCTP that can be measured alone, ours first.
    pub const SCTP: [Self; 4] = [Self::Ours, Self::SctpProto, Self::RtcSctp, Self::Dcsctp];
    /// All of them.
    pub const EVERY: [Self; 6] = [Self::Ours, Self::Str0m, Self::Rtc, Self::SctpProto, Self::RtcSctp, Self::Dcsctp];

    /// The version that is linked.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::Ours => "0.1.0",
            Self::Str0m => "0.25.0",
            Self::Rtc | Self::RtcSctp => "0.21.1",
            Self::SctpProto => "0.10.8",
            Self::Dcsctp => "0.1.16",
        }
    }
}

/// What carries the datagrams of W2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// driver-mio; for this stack alone.
    DriverMio,
    /// A plain loop around a socket, one system call for one datagram.
    UdpLoop,
}

/// One of the ends of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Party {
    /// Makes the offer.
    Offerer,
    /// Makes the answer.
    Answerer,
}

/// What the queue of the simulated bottleneck holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Queue {
    /// What the path carries in one round trip: rate times round-trip time.
    OneProduct,
    /// Whatever comes.
    Unlimited,
}

/// Whose time passes while endpoints are idle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Time {
    /// That of the simulation: no system calls.
    Virtual,
    /// Real time, on real sockets.
    Real,
}

/// A workload with its parameters.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "workload", rename_all = "kebab-case")]
pub enum Workload {
    /// Throughput in memory, per CPU second.
    W1 {
        /// Bytes in a message.
        message: usize,
        /// How much to send.
        mib: u64,
        /// How many datagrams an endpoint takes in before it is drained.
        #[serde(default = "one")]
        batch: usize,
        /// Limits of buffers, if not the defaults.
        buffer_kib: Option<usize>,
    },
    /// Throughput over UDP on the loopback interface.
    W2 {
        /// Bytes in a message.
        message: usize,
        /// How much to send.
        mib: u64,
        /// What carries the datagrams.
        carrier: Carrier,
    },
    /// CPU time of setting up a connection.
    W3 {
        /// How many, one after the other.
        connections: u64,
    },
    /// Round trips that it takes to set up a connection.
    W3RoundTrips {
        /// Who creates the channel.
        creator: Party,
        /// Who is the DTLS client.
        dtls_client: Party,
    },
    /// Memory of an idle endpoint.
    W4 {
        /// How many pairs there are.
        pairs: usize,
        /// How much was sent on each before.
        after_mib: u64,
    },
    /// Goodput over a simulated path.
    W5 {
        /// The rate of the bottleneck.
        mbit: u64,
        /// The round-trip time without queues.
        round_trip_ms: u64,
        /// How many datagrams of a hundred get lost, each way.
        loss_percent: u64,
        /// What the bottleneck holds.
        queue: Queue,
        /// Limits of buffers, if not the defaults.
        buffer_kib: Option<usize>,
        /// How long, in virtual time.
        seconds: u64,
        /// The CPU time after which the run is cut short.
        cpu_limit: u64,
    },
    /// Throughput of SCTP alone, per CPU second: both ends on one core, packets of 1,200 bytes, no DTLS.
    Sctp {
        /// Bytes in a message.
        message: usize,
        /// How much to send.
        mib: u64,
        /// The receive window, and what is sent ahead of what has come.
        window_kib: usize,
        /// Streams that messages are sent on, in turn.
        streams: u16,
        /// Whether packets carry a checksum, where an engine can leave it out.
        checksum: bool,
    },
    /// Throughput over many channels in memory, per CPU second: DTLS, SCTP and channels of this stack, without ICE.
    Channels {
        /// How many, each with messages in turn.
        channels: u16,
        /// Bytes in a message.
        message: usize,
        /// How much to send.
        mib: u64,
        /// Whether messages have a lifetime, which is never over.
        lifetime: bool,
    },
    /// CPU time and wake-ups of idle endpoints.
    W6 {
        /// Whose time.
        time: Time,
        /// How many pairs there are.
        pairs: usize,
        /// How long.
        seconds: u64,
    },
}

fn one() -> usize {
    1
}

impl Workload {
    /// The first part of its name, as figures are asked for.
    #[must_use]
    pub fn family(&self) -> &'static str {
        match self {
            Self::W1 { .. } => "w1",
            Self::W2 { .. } => "w2",
            Self::W3 { .. } | Self::W3RoundTrips { .. } => "w3",
            Self::W4 { .. } => "w4",
            Self::W5 { .. } => "w5",
            Self::W6 { .. } => "w6",
            Self::Sctp { .. } => "sctp",
            Self::Channels { .. } => "channels",
        }
    }

    /// Whether there is such a run for a stack.
    #[must_use]
    pub fn is_for(&self, stack: StackName) -> bool {
        match self {
            // str0m wants to be drained after every datagram.
            Self::W1 { batch, .. } => StackName::ALL.contains(&stack) && (*batch == 1 || stack != StackName::Str0m),
            Self::W2 { carrier: Carrier::DriverMio, .. } | Self::Channels { .. } => stack == StackName::Ours,
            // Two of them have no way to leave the checksum out.
            Self::Sctp { checksum: false, .. } => matches!(stack, StackName::Ours | StackName::Dcsctp),
            Self::Sctp { .. } => StackName::SCTP.contains(&stack),
            _ => StackName::ALL.contains(&stack),
        }
    }

    /// Runs it. `seed` is what losses follow from.
    ///
    /// # Errors
    /// If the stack fails, or a message is damaged, lost or out of order.
    pub fn run(&self, stack: StackName, seed: u64) -> Result<Outcome> {
        if let Self::W2 { message, mib, carrier: Carrier::DriverMio } = *self {
            ensure!(stack == StackName::Ours, "driver-mio drives this stack alone");
            return driver::transfer(message, mib << 20);
        }
        if let Self::Channels { channels, message, mib, lifetime } = *self {
            ensure!(stack == StackName::Ours, "the parts of this stack alone");
            return channels::throughput(channels, message, mib << 20, lifetime);
        }
        if let Self::Sctp { message, mib, window_kib, streams, checksum } = *self {
            return sctp::throughput(stack, message, mib << 20, window_kib << 10, streams, checksum);
        }
        match stack {
            StackName::SctpProto | StackName::RtcSctp | StackName::Dcsctp => bail!("it is SCTP alone"),
            StackName::Ours => self.run_with::<Ours>(seed),
            StackName::Str0m => self.run_with::<Str0m>(seed),
            StackName::Rtc => self.run_with::<Rtc>(seed),
        }
    }

    fn run_with<S: Stack>(&self, seed: u64) -> Result<Outcome> {
        match *self {
            Self::W1 { message, mib, batch, buffer_kib } => {
                throughput::in_memory::<S>(message, mib << 20, batch, bytes(buffer_kib))
            }
            Self::W2 { message, mib, .. } => loopback::transfer::<S>(message, mib << 20),
            Self::W3 { connections } => setup::cpu::<S>(connections),
            Self::W3RoundTrips { creator, dtls_client } => setup::round_trips::<S>(creator, dtls_client),
            Self::W4 { pairs, after_mib } => memory::idle::<S>(pairs, after_mib << 20),
            Self::W5 { mbit, round_trip_ms, loss_percent, queue, buffer_kib, seconds, cpu_limit } => {
                let path = path::path(mbit, round_trip_ms, loss_percent, queue, seed);
                path::goodput::<S>(path, bytes(buffer_kib), seconds, Duration::from_secs(cpu_limit))
            }
            Self::Sctp { .. } | Self::Channels { .. } => bail!("no stack is asked for a part"),
            Self::W6 { time: Time::Virtual, pairs, seconds } => idle::in_virtual_time::<S>(pairs, seconds),
            Self::W6 { time: Time::Real, pairs, seconds } => idle::on_loopback::<S>(pairs, seconds),
        }
    }
}

impl fmt::Display for StackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "ours",
            Self::Str0m => "str0m",
            Self::Rtc => "rtc",
            Self::SctpProto => "sctp-proto",
            Self::RtcSctp => "rtc-sctp",
            Self::Dcsctp => "dcsctp",
        })
    }
}

fn bytes(kib: Option<usize>) -> Option<usize> {
    kib.map(|kib| kib << 10)
}

/// Two hosts side by side.
fn short_path() -> LinkConfig {
    LinkConfig { delay: Duration::from_micros(100), ..LinkConfig::default() }
}

/// No limit of CPU time but that of the run.
const UNLIMITED: Duration = Duration::MAX;

#[cfg(test)]
mod tests;
