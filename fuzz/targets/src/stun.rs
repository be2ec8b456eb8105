//! An ICE agent, and somebody who sends it STUN.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto_ice::{
    CandidateType, IceAgent, IceConfig, IceEvent, IceGatheringState, IceParameters, IcePassword, IceRole,
    IceTransportState, InterfaceAddress, RemoteCandidate, StunServer, StunServerHost, addressed_username_fragment,
};
use proto_machine::{
    Machine, Path, Seed, SocketError, SocketEvent, SocketRequest, Timestamp, TransmitBuffer, TransportProtocol,
};

use crate::bounded::{Wish, drain, expire};
use crate::hostile_checks::{Class, Identity, Knowledge};
use crate::input::Input;

/// The most operations in one input.
const MAX_OPERATIONS: usize = 200;
/// The most deadlines that pass in one operation.
const MAX_DEADLINES: usize = 200;

/// An agent that is given messages with and without keys, raw datagrams, candidates, commands and time, in the order of the input.
///
/// - Every message that the agent writes is well-formed.
/// - What has no key changes nothing that can be seen but counters, and is not answered.
/// - A message with a key is answered with at most one response, and to where it came from.
/// - Tables stay within [`proto_ice::IceLimits`].
/// - A second run does the same, to the byte.
pub fn stun(data: &[u8]) {
    let first = Bench::new(data).run();
    let second = Bench::new(data).run();
    assert!(first == second, "the second run differs from the first");
}

struct Bench<'a> {
    input: Input<'a>,
    now: Timestamp,
    agent: IceAgent,
    knowledge: Knowledge,
    has_server: bool,
    buffer: TransmitBuffer,
    transcript: Vec<String>,
}

/// What of an agent must not change by what has no key.
#[derive(PartialEq, Debug)]
struct Standing {
    state: IceTransportState,
    gathering: IceGatheringState,
    role: IceRole,
    can_send: bool,
    selected: Option<Path>,
    local: usize,
    remote: usize,
    pairs: usize,
    deadline: Option<Timestamp>,
}

impl<'a> Bench<'a> {
    fn new(data: &'a [u8]) -> Self {
        let mut input = Input::new(data);
        let setup = input.byte();
        let role = if setup & 1 == 0 { IceRole::Controlled } else { IceRole::Controlling };
        let has_server = setup & 2 != 0;
        let mut config = IceConfig::default();
        if has_server {
            let host = StunServerHost::Address(remote_address(7).ip());
            config.stun_servers.push(StunServer { host, port: remote_address(7).port(), url: "stun:server".into() });
        }
        let agent = IceAgent::new(config, role, Seed::from_number(1));
        let other = IceAgent::new(IceConfig::default(), role.opposite(), Seed::from_number(2));
        let knowledge = Knowledge::new(identity(agent.local_parameters()), identity(other.local_parameters()));
        let mut bench = Self {
            input,
            now: Timestamp::ZERO,
            agent,
            knowledge,
            has_server,
            buffer: TransmitBuffer::new(1_200),
            transcript: Vec::new(),
        };
        if setup & 4 == 0 {
            let interfaces: &[IpAddr] = if setup & 8 == 0 { &[[192, 0, 2, 1].into()] } else { &LOCAL };
            bench.agent.gather(bench.now, &interfaces.iter().copied().map(InterfaceAddress::new).collect::<Vec<_>>());
        }
        if setup & 16 == 0 {
            bench.set_remote_parameters();
        }
        bench.drain();
        bench
    }

    fn run(mut self) -> Vec<String> {
        for _ in 0..MAX_OPERATIONS {
            if self.input.is_empty() {
                break;
            }
            self.operate();
            self.assert_bounds();
        }
        self.transcript
    }

    fn operate(&mut self) {
        match self.input.byte() % 10 {
            0 => self.receive_crafted(),
            1 => {
                let path = self.path();
                let mut datagram = self.input.long_bytes().to_vec();
                let _ = addressed_username_fragment(&datagram);
                self.receive(path, &mut datagram);
            }
            2 => {
                if let Some((path, mut datagram)) = self.knowledge.answer(&mut self.input) {
                    self.receive(path, &mut datagram);
                }
            }
            3 => {
                let path = self.path();
                let mut datagram = self.knowledge.check(&mut self.input);
                self.receive(path, &mut datagram);
            }
            4 => self.pass_time(),
            5 => self.add_candidate(),
            6 => self.command(),
            7 => self.answer_socket_requests_oddly(),
            8 => self.send_payload(),
            _ => self.set_remote_parameters(),
        }
        self.drain();
    }

    fn receive_crafted(&mut self) {
        let path = self.path();
        let mut crafted = self.knowledge.craft(&mut self.input);
        // Responses of a STUN server have no key.
        let may_act = crafted.is_keyed || (self.has_server && matches!(crafted.class, Class::Success | Class::Error));
        let before = self.standing();
        let payload = self.agent.handle_datagram(self.now, path, &mut crafted.bytes);
        assert!(payload.is_none(), "STUN was taken for payload");
        let wishes = drain(&mut self.agent, self.now, &mut self.buffer);
        if may_act {
            let is_response = |wish: &Wish<_, _>| matches!(wish, Wish::Send(_, datagram) if datagram[0] == 1);
            assert!(wishes.iter().filter(|wish| is_response(wish)).count() <= 1, "more than one response");
        } else {
            assert_eq!(self.standing(), before, "changed by what has no key");
            assert!(wishes.is_empty(), "answered what has no key");
        }
        for wish in &wishes {
            if let Wish::Send(transmit, datagram) = wish
                && datagram[0] == 1
            {
                assert_eq!(transmit.path, path, "a response to somewhere else");
            }
        }
        self.carry_out(wishes);
    }

    fn receive(&mut self, path: Path, datagram: &mut [u8]) {
        if let Some(payload) = self.agent.handle_datagram(self.now, path, datagram) {
            let length = payload.len();
            self.transcript.push(format!("payload of {length}"));
        }
        for _ in 0..self.held_bound() {
            let Some(held) = self.agent.poll_held() else { return };
            self.transcript.push(format!("held payload of {}", held.len()));
        }
        assert!(self.agent.poll_held().is_none(), "more held than the limit");
    }

    fn held_bound(&self) -> usize {
        IceConfig::default().limits.held_datagrams
    }

    /// Up to about a minute, in steps from one deadline to the next.
    fn pass_time(&mut self) {
        let end = self.now + Duration::from_millis(self.input.u16().into());
        for _ in 0..MAX_DEADLINES {
            let Some(deadline) = self.agent.poll_timeout().filter(|deadline| deadline.at <= end) else { break };
            self.now = self.now.max(deadline.at);
            let wishes = expire(&mut self.agent, self.now, &mut self.buffer);
            self.carry_out(wishes);
        }
        self.now = end.max(self.now);
        let wishes = expire(&mut self.agent, self.now, &mut self.buffer);
        self.carry_out(wishes);
    }

    fn add_candidate(&mut self) {
        let flags = self.input.byte();
        let kinds =
            [CandidateType::Host, CandidateType::ServerReflexive, CandidateType::PeerReflexive, CandidateType::Relayed];
        let candidate = RemoteCandidate {
            foundation: (flags % 4).to_string(),
            component: if flags & 0x10 == 0 { 1 } else { self.input.u16() },
            protocol: if flags & 0x20 == 0 { TransportProtocol::Udp } else { TransportProtocol::Tcp },
            priority: self.input.u32(),
            address: self.remote(),
            kind: self.input.choose(&kinds),
            related_address: None,
            username_fragment: (flags & 0x40 != 0).then(|| self.knowledge.other.fragment.clone()),
        };
        let result = self.agent.add_remote_candidate(self.now, candidate);
        self.transcript.push(format!("{result:?}"));
    }

    fn command(&mut self) {
        match self.input.byte() % 5 {
            0 => self.agent.end_of_remote_candidates(self.now, None),
            1 => self.agent.set_role(self.now, IceRole::Controlling),
            2 => self.agent.set_role(self.now, IceRole::Controlled),
            3 => self.agent.revoke_consent(self.now),
            _ if self.input.byte() == u8::MAX => self.agent.close(self.now),
            _ => self.agent.gather(self.now, &LOCAL.map(InterfaceAddress::new)),
        }
    }

    /// Reports about sockets that nobody asked for, and failures.
    fn answer_socket_requests_oddly(&mut self) {
        let socket = proto_machine::SocketId(self.input.byte().into());
        let event = match self.input.byte() % 3 {
            0 => SocketEvent::Opened { socket, local: self.remote() },
            1 => SocketEvent::Failed { socket, error: SocketError::AddressInUse },
            _ => SocketEvent::Resolved { lookup: proto_machine::LookupId(0), result: Ok(vec![self.remote().ip()]) },
        };
        self.agent.handle_socket_event(self.now, event);
    }

    fn send_payload(&mut self) {
        let payload = [22; 64];
        self.buffer.clear();
        let write = |buffer: &mut TransmitBuffer| {
            let fits = buffer.push(&payload);
            buffer.segments().filter(|_| fits)
        };
        let transmit = self.agent.wrap(self.now, &mut self.buffer, write);
        assert_eq!(transmit.is_some(), self.agent.can_send());
        self.transcript.push(format!("{transmit:?}"));
    }

    fn set_remote_parameters(&mut self) {
        let Identity { fragment, password } = &self.knowledge.other;
        let parameters = IceParameters {
            username_fragment: fragment.clone(),
            password: IcePassword::new(password.clone()),
            ice_lite: false,
            pacing: None,
        };
        let result = self.agent.set_remote_parameters(self.now, parameters);
        self.transcript.push(format!("{result:?}"));
    }

    fn drain(&mut self) {
        let wishes = drain(&mut self.agent, self.now, &mut self.buffer);
        self.carry_out(wishes);
    }

    fn carry_out(&mut self, mut wishes: Vec<Wish<proto_machine::Transmit, IceEvent>>) {
        while !wishes.is_empty() {
            for wish in wishes {
                match wish {
                    Wish::Send(transmit, datagram) => {
                        self.knowledge.overhear(transmit.path, &datagram);
                        self.transcript.push(format!("{:?} {:?} {datagram:02x?}", self.now, transmit.path));
                    }
                    Wish::Socket(SocketRequest::BindUdp { socket, mut local }) => {
                        local.set_port(5_000);
                        self.agent.handle_socket_event(self.now, SocketEvent::Opened { socket, local });
                    }
                    Wish::Socket(request) => self.transcript.push(format!("{request:?}")),
                    Wish::Event(event) => self.transcript.push(format!("{event:?}")),
                }
            }
            wishes = drain(&mut self.agent, self.now, &mut self.buffer);
        }
    }

    fn path(&mut self) -> Path {
        let local = LOCAL[usize::from(self.input.byte()) % LOCAL.len()];
        Path::udp(SocketAddr::new(local, 5_000), self.remote())
    }

    fn remote(&mut self) -> SocketAddr {
        let which = self.input.byte();
        let mut address = remote_address(which % 8);
        address.set_port(address.port() + u16::from(which / 8));
        address
    }

    fn standing(&self) -> Standing {
        Standing {
            state: self.agent.state(),
            gathering: self.agent.gathering_state(),
            role: self.agent.role(),
            can_send: self.agent.can_send(),
            selected: self.agent.selected_pair().map(|pair| pair.path),
            local: self.agent.local_candidates().count(),
            remote: self.agent.remote_candidates().count(),
            pairs: self.agent.statistics().pairs.len(),
            deadline: self.agent.poll_timeout().map(|deadline| deadline.at),
        }
    }

    fn assert_bounds(&self) {
        let limits = IceConfig::default().limits;
        let Standing { local, remote, pairs, .. } = self.standing();
        assert!(pairs <= limits.pairs, "{pairs} pairs");
        assert!(
            remote <= limits.remote_candidates + limits.remote_peer_reflexive_candidates,
            "{remote} remote candidates"
        );
        let gathered = limits.interface_addresses * (1 + limits.stun_servers);
        assert!(local <= gathered + limits.local_peer_reflexive_candidates, "{local} local candidates");
    }
}

const LOCAL: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

fn remote_address(which: u8) -> SocketAddr {
    match which {
        0..=3 => SocketAddr::from(([192, 0, 2, 2 + which], 5_000)),
        4..=5 => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(which)], 5_000)),
        6 => SocketAddr::from(([0xfe80, 0, 0, 0, 0, 0, 0, 1], 5_000)),
        _ => SocketAddr::from(([203, 0, 113, 1], 3_478)),
    }
}

fn identity(parameters: &IceParameters) -> Identity {
    Identity { fragment: parameters.username_fragment.clone(), password: parameters.password.as_str().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else nothing behind the first check would be fuzzed.
    #[test]
    fn the_seeds_bring_agents_of_both_roles_to_a_selected_pair() {
        let seeds = crate::seeds::of("stun");
        let selects = |seed: &&Vec<u8>| {
            let transcript = Bench::new(seed).run();
            transcript.iter().any(|line| line.starts_with("SelectedCandidatePairChange"))
        };
        let roles: std::collections::BTreeSet<u8> = seeds.iter().filter(selects).map(|seed| seed[0] & 1).collect();
        assert_eq!(roles.len(), 2);
    }
}
