//! Two real peers on a hostile network.

use std::time::Duration;

use peer_core::{DataChannelOptions, Priority, Reliability};
use proto_machine::Path;

use crate::input::Input;
use crate::peers::address;
use crate::world::{Application, Fate, Flight, World};

/// The most operations in one input.
const MAX_OPERATIONS: usize = 100;
/// How long the network is hostile, at most: shorter than anything that rightly ends a connection, of which the first is consent (30 s, RFC 7675 §5.1).
const MAX_ATTACK: Duration = Duration::from_secs(10);
/// How long a connection may take to recover or to come about after that.
const RECOVERY: Duration = Duration::from_secs(90);

/// Two peers whose datagrams are lost, repeated, held back, damaged and forged, while their applications go on. The first byte says from when on, and whether the network only
/// loses, repeats and holds back.
///
/// - No message is ever changed, invented or repeated on any channel, overtaken on an ordered one, or left out on one that is reliable as well.
/// - What was sent on reliable channels that are still open arrives in the end.
/// - No channel reports anything after it was closed.
/// - Once the peers are connected, nothing that the network does in ten seconds ends the connection.
/// - Loss, repetition and delay alone do not keep a connection from coming about either. Changed datagrams may, before DTLS has keys.
pub fn connection(data: &[u8]) {
    let mut input = Input::new(data);
    let mode = input.byte();
    let (is_connected_first, only_faults) = (mode & 1 == 0, mode & 2 != 0);
    let mut world = World::new();
    if is_connected_first {
        assert!(world.run(Duration::from_secs(60), World::is_connected), "two peers on a good path do not connect");
    }
    let mut attack = Attack { world, input, only_faults, left: MAX_ATTACK, ends: false };
    attack.run();
    let Attack { mut world, ends, .. } = attack;
    world.fates.clear();
    if ends || !(is_connected_first || only_faults) {
        world.run(Duration::from_secs(40), |_| false);
        return;
    }
    let is_done = |world: &World| {
        let [left, right] = &world.applications;
        let has_all =
            |sender: &Application, receiver: &Application| sender.sent_on_main() == receiver.received_on_main();
        world.is_connected() && has_all(left, right) && has_all(right, left) && world.has_delivered_all()
    };
    for index in [0, 1] {
        assert!(world.run(RECOVERY, is_done), "the connection does not recover: {:?}", world.peers);
        let main = world.applications[index].main.unwrap();
        world.send_message(index, main, 10);
    }
    assert!(world.run(RECOVERY, is_done), "the connection does not recover: {:?}", world.peers);
}

struct Attack<'a> {
    world: World,
    input: Input<'a>,
    only_faults: bool,
    /// How much longer it may go on.
    left: Duration,
    /// Whether an application has ended the connection, or the first channel.
    ends: bool,
}

impl Attack<'_> {
    fn run(&mut self) {
        for _ in 0..MAX_OPERATIONS {
            if self.input.is_empty() {
                break;
            }
            self.operate();
        }
    }

    fn operate(&mut self) {
        match self.input.byte() % 10 {
            0 | 1 => self.arm_fates(),
            2 => self.pass_time(),
            3 | 4 => {
                let (index, which, length) = (self.side(), self.input.byte() % 8, self.input.u16());
                let application = &self.world.applications[index];
                let other = application.channels.get(usize::from(which)).copied();
                if let Some(key) = application.main.filter(|_| which == 0).or(other) {
                    self.world.send_message(index, key, length);
                }
            }
            5 => self.create_channel(),
            6 => self.close_something(),
            7 => self.repeat(),
            _ if self.only_faults => self.repeat(),
            8 => self.damage(),
            _ => self.forge(),
        }
    }

    fn side(&mut self) -> usize {
        usize::from(self.input.byte() % 2)
    }

    fn arm_fates(&mut self) {
        for _ in 0..=self.input.byte() % 16 {
            let kind = self.input.byte() % if self.only_faults { 5 } else { 8 };
            let fate = match kind {
                0 => Fate::Deliver,
                1 | 2 => Fate::Lose,
                3 => Fate::Duplicate,
                4 => Fate::Delay(Duration::from_millis(u64::from(self.input.byte()) * 4)),
                5 => Fate::Flip { position: self.input.u16(), mask: self.input.byte().max(1) },
                6 => Fate::Cut { length: self.input.u16() % 1_200 },
                _ => Fate::Extend { bytes: self.input.bytes().to_vec() },
            };
            self.world.fates.push_back(fate);
        }
    }

    fn pass_time(&mut self) {
        let duration = Duration::from_millis(u64::from(self.input.byte()) * 8).min(self.left);
        self.left -= duration;
        self.world.run(duration, |_| false);
    }

    fn create_channel(&mut self) {
        let index = self.side();
        let flags = self.input.byte();
        let options = DataChannelOptions {
            ordered: flags & 1 == 0,
            reliability: match flags >> 1 & 3 {
                0 | 1 => Reliability::Reliable,
                2 => Reliability::MaxRetransmits(u16::from(flags >> 3 & 3)),
                _ => Reliability::MaxPacketLifetime(Duration::from_millis(u64::from(flags >> 3) * 10)),
            },
            negotiated: None,
            priority: Priority::from_value(u16::from(flags) * 8),
            protocol: "p".repeat(usize::from(flags & 15)),
            ..DataChannelOptions::new("l".repeat(self.input.byte().into()))
        };
        self.world.create_channel(index, options);
    }

    fn close_something(&mut self) {
        let index = self.side();
        let now = self.world.now;
        let which = self.input.byte();
        let key = self.world.applications[index].channels.get(usize::from(which % 8)).copied();
        if which == u8::MAX {
            self.ends = true;
            self.world.peers[index].close(now);
        } else if let Some(mut channel) = key.and_then(|key| self.world.peers[index].channel(key)) {
            self.ends |= key == self.world.applications[index].main;
            channel.close(now).unwrap();
        }
        self.world.settle();
    }

    fn captured(&mut self) -> Option<Flight> {
        let count = self.world.captured.len();
        let index = usize::from(self.input.byte()) % count.max(1);
        // The latest first.
        self.world.captured.get(count.checked_sub(index + 1)?).cloned()
    }

    /// Delivers a datagram once more.
    fn repeat(&mut self) {
        if let Some(flight) = self.captured() {
            self.world.deliver(flight);
        }
    }

    /// Delivers a datagram once more, with changes, perhaps from somebody else.
    fn damage(&mut self) {
        let Some(mut flight) = self.captured() else { return };
        for _ in 0..=self.input.byte() % 4 {
            let position = usize::from(self.input.u16());
            let value = self.input.byte();
            let length = flight.bytes.len().max(1);
            match value % 4 {
                0 => flight.bytes.truncate(position),
                1 => flight.bytes.insert(position % length, value),
                _ => {
                    if let Some(byte) = flight.bytes.get_mut(position % length) {
                        *byte ^= value;
                    }
                }
            }
        }
        flight.path = self.claimed_path(flight.to);
        self.world.deliver(flight);
    }

    /// Delivers a datagram of nobody.
    fn forge(&mut self) {
        let to = self.side();
        let path = self.claimed_path(to);
        let bytes = self.input.long_bytes().to_vec();
        self.world.deliver(Flight { to, path, bytes });
    }

    /// From the other peer, or from a stranger.
    fn claimed_path(&mut self, to: usize) -> Path {
        let number = u8::try_from(to).unwrap();
        let remote = if self.input.bool() { address(77) } else { address(2 - number) };
        Path::udp(address(number + 1), remote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else what the channels promise would be checked of channels without messages.
    #[test]
    fn the_seeds_send_messages_on_other_channels_than_the_first() {
        let others = |seed: &Vec<u8>| {
            let mut input = Input::new(seed);
            let only_faults = input.byte() & 2 != 0;
            let mut world = World::new();
            world.run(Duration::from_secs(60), World::is_connected);
            let mut attack = Attack { world, input, only_faults, left: MAX_ATTACK, ends: false };
            attack.run();
            attack.world.run(RECOVERY, |_| false);
            attack.world.applications.iter().map(Application::received_elsewhere).sum::<usize>()
        };
        let outcomes: Vec<_> = crate::seeds::of("connection").iter().map(others).collect();
        assert!(outcomes.iter().any(|&count| count >= 16), "{outcomes:?}");
    }
}
