//! Mistakes of the caller end at once, and say what is wrong.

use std::time::Duration;

use driver_sim::network::Internet;
use driver_sim::{Direction, Interface, LinkConfig, LinkName, Node, NodeAction, NodeId, World};
use proto_machine::{Deadline, Received, Seed, SocketId, SocketRequest, Timestamp, TransmitBuffer};

use crate::support::{at, world};

const TWO: &str = "home nat EP external 203.0.113.1\nalice host 10.0.0.2 behind home\nbob host 198.51.100.7";

#[test]
#[should_panic(expected = "no such link: link node0 to node7")]
fn a_link_to_a_node_that_is_not_there_cannot_be_cut() {
    let (mut world, _, [alice]) = world(TWO, ["alice"]);
    world.cut(LinkName::Between { from: alice.id(), to: NodeId::from_index(7) });
}

#[test]
#[should_panic(expected = "no such link: link node7 to node0")]
fn a_link_from_a_node_that_is_not_there_cannot_be_configured() {
    let (mut world, _, [alice]) = world(TWO, ["alice"]);
    world.set_link(NodeId::from_index(7), alice.id(), LinkConfig::default());
}

#[test]
#[should_panic(expected = "no such link: interface node0 10.0.0.3 Up")]
fn an_access_link_of_an_address_that_the_host_does_not_have_cannot_be_configured() {
    let (mut world, _, [alice]) = world(TWO, ["alice"]);
    let link = LinkName::Interface { node: alice.id(), address: at("10.0.0.3:0").ip(), direction: Direction::Up };
    world.configure(link, LinkConfig::default());
}

#[test]
#[should_panic(expected = "no such link: middlebox0 Down")]
fn a_link_of_a_middlebox_that_is_not_there_cannot_be_restored() {
    let (_, places, []) = world(TWO, []);
    let mut empty: World<()> = World::new(Seed::from_number(1));
    empty.restore(LinkName::Middlebox { middlebox: places.middleboxes("home")[0], direction: Direction::Down });
}

#[test]
fn a_link_of_an_interface_can_be_cut_while_it_is_there_and_stays_cut_when_it_comes_back() {
    let (mut world, _, [alice, bob]) = world("alice host 192.0.2.1\nbob host 198.51.100.7", ["alice", "bob"]);
    let (node, address) = (alice.id(), at("192.0.2.1:0").ip());
    world.cut(LinkName::Interface { node, address, direction: Direction::Up });
    world.remove_interface(node, address).unwrap();
    world.add_interface(node, Interface { network: Internet::PUBLIC, address }).unwrap();
    world.command(alice, |probe, _| probe.send(at("192.0.2.1:5000"), at("198.51.100.7:5000"), 10));
    world.run_for(Duration::from_secs(1));
    assert!(world.node(bob).received.is_empty());
}

/// Says something to another node whenever it is polled first or has heard something, and has a deadline that never moves.
struct Talker {
    to: Option<NodeId>,
    has_something_to_say: bool,
    deadline: Option<Timestamp>,
    closes: bool,
}

impl Talker {
    fn silent() -> Self {
        Self { to: None, has_something_to_say: false, deadline: None, closes: false }
    }

    fn to(to: NodeId) -> Self {
        Self { to: Some(to), has_something_to_say: true, ..Self::silent() }
    }
}

impl Node<()> for Talker {
    fn handle_start(&mut self, _: Timestamp) {}

    fn handle_packet(&mut self, _: Timestamp, _: Received<'_>) {}

    fn handle_signal(&mut self, _: Timestamp, from: NodeId, (): ()) {
        (self.to, self.has_something_to_say) = (Some(from), true);
    }

    fn handle_timeout(&mut self, _: Timestamp) {}

    fn poll(&mut self, _: Timestamp, _: &mut TransmitBuffer) -> NodeAction<()> {
        if self.closes {
            return NodeAction::Socket(SocketRequest::Close { socket: SocketId(0) });
        }
        match self.to.filter(|_| std::mem::take(&mut self.has_something_to_say)) {
            Some(to) => NodeAction::Signal { to, signal: () },
            None => NodeAction::Wait(self.deadline.map(|at| Deadline { at, reason: "it never moves" })),
        }
    }
}

fn run(nodes: impl IntoIterator<Item = Talker>) {
    let mut world = World::new(Seed::from_number(1));
    for node in nodes {
        world.add_node(node, vec![]);
    }
    world.run_for(Duration::from_secs(1));
}

#[test]
#[should_panic(expected = "node0 sends a signal to node7, which does not exist")]
fn a_signal_to_a_node_that_is_not_there_names_both() {
    run([Talker::to(NodeId::from_index(7))]);
}

#[test]
#[should_panic(expected = "time stands still at 0.000000000s: 1000000 steps, the last ones of node0 and node1")]
fn two_nodes_that_answer_each_other_at_once_do_not_hold_up_the_world_forever() {
    run([Talker::to(NodeId::from_index(1)), Talker::silent()]);
}

#[test]
#[should_panic(expected = "node0 wanted more than 1000000 actions at 0.000000000s: it spins")]
fn a_node_that_always_wants_something_more_is_named() {
    run([Talker { closes: true, ..Talker::silent() }]);
}

#[test]
#[should_panic(expected = "node0 is still due at 0.000000000s: it spins")]
fn a_node_whose_deadline_never_moves_is_named() {
    run([Talker { deadline: Some(Timestamp::ZERO), ..Talker::silent() }]);
}
