//! The one shape of every machine.

use std::fmt::Debug;

use crate::{Deadline, SocketEvent, SocketRequest, Timestamp, TransmitBuffer};

/// A protocol as a pure state machine.
///
/// # Contract
///
/// - `now` never runs backwards for long: a machine tolerates it, and acts as if no time had passed.
/// - After [`handle_timeout(now)`](Self::handle_timeout) and a [`poll_transmit(now, …)`](Self::poll_transmit) that returned `None`, [`poll_timeout`](Self::poll_timeout) is
///   later than `now`.
/// - The order in which the `poll_*` are drained does not matter to the machine. [`poll_action`](Self::poll_action) drains transmits before events, so that whoever leaves on a
///   final event has been handed the last packet.
/// - Bytes from the network never panic and are never an error for the driver: what is not understood is dropped and counted.
///
/// The generic laws in `proto_machine::laws` (feature `laws`) check this contract on every machine.
pub trait Machine {
    /// What comes from the network: a datagram with its path, or the payload alone where the path is the parent's business.
    type Input<'a>;
    /// What the application or the parent machine learns.
    type Event: Debug;
    /// What describes the datagrams in the buffer: [`Transmit`](crate::Transmit), or [`Segments`](crate::Segments) where the path is the parent's business.
    type Transmit: Debug + Copy;

    /// Takes in what arrived from the network.
    fn handle_input(&mut self, now: Timestamp, input: Self::Input<'_>);

    /// Takes in what became of a socket request. Machines that make none ignore it.
    fn handle_socket_event(&mut self, now: Timestamp, event: SocketEvent) {
        let _ = (now, event);
    }

    /// Acts on every deadline at or before `now`. Early calls change nothing.
    fn handle_timeout(&mut self, now: Timestamp);

    /// Writes the next datagrams, at most `max_segments` (at least 1), into the cleared `buffer`.
    fn poll_transmit(
        &mut self,
        now: Timestamp,
        max_segments: usize,
        buffer: &mut TransmitBuffer,
    ) -> Option<Self::Transmit>;

    /// Hands over the next socket request.
    fn poll_socket_request(&mut self) -> Option<SocketRequest> {
        None
    }

    /// Hands over the next event.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// When to call [`handle_timeout`](Self::handle_timeout) next; `None` if nothing is ever due without further input.
    fn poll_timeout(&self) -> Option<Deadline>;

    /// All of the above in one call, in the order that drivers want: transmits, socket requests, events, and last the deadline.
    ///
    /// The buffer is cleared before each call, and holds the datagrams after [`Action::Transmit`].
    fn poll_action(
        &mut self,
        now: Timestamp,
        max_segments: usize,
        buffer: &mut TransmitBuffer,
    ) -> Action<Self::Transmit, Self::Event> {
        buffer.clear();
        if let Some(transmit) = self.poll_transmit(now, max_segments, buffer) {
            return Action::Transmit(transmit);
        }
        if let Some(request) = self.poll_socket_request() {
            return Action::Socket(request);
        }
        if let Some(event) = self.poll_event() {
            return Action::Event(event);
        }
        Action::Wait(self.poll_timeout())
    }
}

/// What a driver has to do next.
#[derive(Debug)]
#[must_use = "an action that is not carried out is lost"]
pub enum Action<T, E> {
    /// Send the datagrams in the buffer.
    Transmit(T),
    /// Open or close a socket, look up a name.
    Socket(SocketRequest),
    /// Tell the application.
    Event(E),
    /// Nothing until something arrives or the deadline has come.
    Wait(Option<Deadline>),
}
