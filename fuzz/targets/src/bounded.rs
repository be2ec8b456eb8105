//! Machines, driven with the bounds and the laws that hold whatever they are given.

use proto_machine::{Action, Machine, SocketRequest, Timestamp, TransmitBuffer};

/// The most actions that one input may cause. The largest that is due at once: a burst of a full send window.
const ACTION_BUDGET: usize = 20_000;

/// What a machine wants done.
pub(crate) enum Wish<T, E> {
    /// A datagram to be sent.
    Send(T, Vec<u8>),
    /// A socket to be opened or closed.
    Socket(SocketRequest),
    /// An event for the application.
    Event(E),
}

/// Collects what the machine wants until it only wants to wait, and checks that this comes to an end and that it then stays quiet.
pub(crate) fn drain<M: Machine>(
    machine: &mut M,
    now: Timestamp,
    buffer: &mut TransmitBuffer,
) -> Vec<Wish<M::Transmit, M::Event>> {
    let mut wishes = Vec::new();
    for _ in 0..ACTION_BUDGET {
        match machine.poll_action(now, 8, buffer) {
            Action::Transmit(transmit) => {
                wishes.extend(buffer.datagrams().map(|datagram| Wish::Send(transmit, datagram.to_vec())));
            }
            Action::Socket(request) => wishes.push(Wish::Socket(request)),
            Action::Event(event) => wishes.push(Wish::Event(event)),
            Action::Wait(deadline) => {
                assert_eq!(machine.poll_timeout(), deadline, "draining has moved the deadline");
                return wishes;
            }
        }
    }
    panic!("more than {ACTION_BUDGET} actions at one moment");
}

/// Lets the machine act on what is due, and checks that nothing due is left once it is drained.
pub(crate) fn expire<M: Machine>(
    machine: &mut M,
    now: Timestamp,
    buffer: &mut TransmitBuffer,
) -> Vec<Wish<M::Transmit, M::Event>> {
    machine.handle_timeout(now);
    let wishes = drain(machine, now, buffer);
    let next = machine.poll_timeout();
    assert!(next.is_none_or(|deadline| deadline.at > now), "still due at {now:?}: {next:?}");
    wishes
}
