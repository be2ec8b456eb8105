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
                let again = machine.poll_action(now, 8, buffer);
                let is_quiet = matches!(again, Action::Wait(same) if same == deadline);
                assert!(is_quiet, "drained until {deadline:?}, and yet there is more to do");
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

#[cfg(test)]
mod tests {
    use proto_machine::{Deadline, Segments};

    use super::*;

    /// A machine that has a second event only once it was asked for one in vain.
    struct Hesitant {
        polls: u32,
    }

    impl Machine for Hesitant {
        type Input<'a> = ();
        type Transmit = Segments;
        type Event = u32;

        fn handle_input(&mut self, _now: Timestamp, (): ()) {}

        fn handle_timeout(&mut self, _now: Timestamp) {}

        fn poll_transmit(&mut self, _now: Timestamp, _max: usize, _buffer: &mut TransmitBuffer) -> Option<Segments> {
            None
        }

        fn poll_event(&mut self) -> Option<u32> {
            self.polls += 1;
            (self.polls != 2).then_some(self.polls)
        }

        fn poll_timeout(&self) -> Option<Deadline> {
            None
        }
    }

    #[test]
    #[should_panic(expected = "and yet there is more to do")]
    fn a_machine_that_says_it_waits_and_then_wants_something_is_found_out() {
        drain(&mut Hesitant { polls: 0 }, Timestamp::ZERO, &mut TransmitBuffer::new(1_200));
    }
}
