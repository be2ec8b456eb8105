//! What a stack has to offer so that the workloads can drive it.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Result;

/// The largest UDP payload that every stack is held to, in bytes, as far as it lets one choose.
pub const DATAGRAM_SIZE: usize = 1_200;
/// What an application lets wait in a channel before it stops sending, in bytes, for the stacks that leave it to the application.
pub const SEND_BUFFER: usize = 1 << 20;
/// The label of the channel that is measured. Others only serve to have a section for data in an offer.
pub const LABEL: &str = "bench";

/// What an endpoint is made with.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Its only host candidate.
    pub local: SocketAddr,
    /// Whether this end creates the channel, reliable and ordered, by the establishment protocol (RFC 8832).
    pub creates_channel: bool,
    /// Whether this end answers as DTLS client or server, for the stacks in which that is a setting; `None` for the default of the stack.
    pub answers_as_client: Option<bool>,
    /// Bytes to lift the limits of the send and receive buffers to; `None` for the defaults of the stack.
    pub buffer: Option<usize>,
}

/// What an endpoint gives out when it is drained.
#[derive(Debug)]
pub enum Output<'a> {
    /// Send it to the other end.
    Datagram(&'a [u8]),
    /// A message has arrived.
    Message(&'a [u8]),
    /// The channel is open.
    Open,
}

/// One endpoint of a stack without input and output of its own. Every error ends the run.
pub trait Stack: Sized + Send {
    /// An endpoint that has done nothing yet, with a certificate of its own.
    fn new(now: Instant, setup: Setup) -> Result<Self>;

    /// The offer, with its candidate.
    fn create_offer(&mut self, now: Instant) -> Result<String>;

    /// Takes the offer of the other end and answers it.
    fn accept_offer(&mut self, now: Instant, offer: &str) -> Result<String>;

    /// Takes the answer of the other end.
    fn accept_answer(&mut self, now: Instant, answer: &str) -> Result<()>;

    /// Takes in a datagram.
    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) -> Result<()>;

    /// Acts on what is due.
    fn handle_timeout(&mut self, now: Instant) -> Result<()>;

    /// Drains everything, and returns when to call [`handle_timeout`](Self::handle_timeout) next.
    fn poll(&mut self, now: Instant, emit: &mut dyn FnMut(Output<'_>)) -> Result<Option<Instant>>;

    /// Hands over a message. Returns whether it was taken: `false` if there is no room.
    fn send(&mut self, now: Instant, message: &[u8]) -> Result<bool>;
}
