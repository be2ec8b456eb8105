//! One agent, with the test in the place of the network and of the other agent.

use std::net::SocketAddr;
use std::time::Duration;

use proto_ice::{
    CandidatePairState, CandidatePairStatistics, CandidateType, DropReason, IceAgent, IceConfig, IceEvent,
    IceParameters, IcePassword, IceRole, InterfaceAddress, RemoteCandidate,
};
use proto_machine::{
    Action, Machine, Path, Seed, SocketEvent, SocketRequest, Timestamp, TransmitBuffer, TransportProtocol,
};
use stun_types::message::MessageClass;

use crate::messages::{Forge, ICE_CONTROLLED, ICE_CONTROLLING, Read};

pub(crate) const PEER_FRAGMENT: &str = "peer";
pub(crate) const PEER_PASSWORD: &str = "the+password+of+the+peer";

/// A message of the agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    pub(crate) at: Timestamp,
    pub(crate) path: Path,
    pub(crate) bytes: Vec<u8>,
}

impl Message {
    pub(crate) fn read(&self) -> Read<'_> {
        Read::new(&self.bytes).unwrap()
    }

    pub(crate) fn milliseconds(&self) -> u64 {
        self.at.as_nanos() / 1_000_000
    }
}

pub(crate) struct Lone {
    pub(crate) agent: IceAgent,
    pub(crate) now: Timestamp,
    pub(crate) sockets: Vec<SocketAddr>,
    pub(crate) socket_requests: Vec<SocketRequest>,
    pub(crate) events: Vec<IceEvent>,
    sent: Vec<Message>,
    next_transaction: u128,
}

impl Lone {
    /// An agent with one socket at 192.0.2.1:5000 that knows the parameters of its peer.
    pub(crate) fn new(role: IceRole) -> Self {
        Self::with(role, IceConfig::default(), &["192.0.2.1"])
    }

    /// An agent with sockets at these addresses, from port 5000 on, that knows the parameters of its peer.
    pub(crate) fn with(role: IceRole, config: IceConfig, addresses: &[&str]) -> Self {
        let mut lone = Self::without_peer(role, config, addresses);
        lone.introduce();
        lone
    }

    pub(crate) fn without_peer(role: IceRole, config: IceConfig, addresses: &[&str]) -> Self {
        let mut lone = Self {
            agent: IceAgent::new(config, role, Seed::from_number(7)),
            now: Timestamp::from_millis(1_000_000),
            sockets: Vec::new(),
            socket_requests: Vec::new(),
            events: Vec::new(),
            sent: Vec::new(),
            next_transaction: 1,
        };
        let interface = |address: &&str| InterfaceAddress { address: address.parse().unwrap(), index: 3 };
        lone.agent.gather(lone.now, &addresses.iter().map(interface).collect::<Vec<_>>());
        lone.collect();
        lone
    }

    /// Tells the agent the parameters of its peer.
    pub(crate) fn introduce(&mut self) {
        self.introduce_with(None);
    }

    pub(crate) fn introduce_with(&mut self, pacing: Option<Duration>) {
        let parameters = peer_parameters(pacing);
        self.agent.set_remote_parameters(self.now, parameters).unwrap();
        self.collect();
    }

    pub(crate) fn add(&mut self, candidate: RemoteCandidate) {
        self.agent.add_remote_candidate(self.now, candidate).unwrap();
        self.collect();
    }

    /// Adds a host candidate of the peer, of lower priority and another foundation than those before.
    pub(crate) fn add_host(&mut self, address: &str) {
        let number = u32::try_from(self.agent.remote_candidates().count()).unwrap();
        self.add(remote_host(address, 2_130_706_431 - 256 * number, &format!("f{number}")));
    }

    /// The same, where a refusal does not matter.
    pub(crate) fn add_host_if_admitted(&mut self, address: &str) {
        let _ = self.agent.add_remote_candidate(self.now, remote_host(address, 1_000, "any"));
        self.collect();
    }

    pub(crate) fn socket(&self) -> SocketAddr {
        self.sockets[0]
    }

    pub(crate) fn path(&self, remote: &str) -> Path {
        Path::udp(self.socket(), remote.parse().unwrap())
    }

    /// Lets time pass, waking the agent when it wants to be.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.collect();
        while let Some(deadline) = self.agent.poll_timeout().filter(|deadline| deadline.at <= end) {
            assert!(deadline.at > self.now, "{deadline:?} is left over");
            self.now = deadline.at;
            self.agent.handle_timeout(self.now);
            self.collect();
        }
        self.now = end;
    }

    pub(crate) fn run_for_millis(&mut self, milliseconds: u64) {
        self.run_for(Duration::from_millis(milliseconds));
    }

    /// What was sent since the last call.
    pub(crate) fn take_sent(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.sent)
    }

    pub(crate) fn take_checks(&mut self) -> Vec<Message> {
        self.take_sent().into_iter().filter(|message| message.read().is_check()).collect()
    }

    pub(crate) fn take_responses(&mut self) -> Vec<Message> {
        let is_response =
            |message: &Message| matches!(message.read().class(), MessageClass::Success | MessageClass::Error);
        self.take_sent().into_iter().filter(is_response).collect()
    }

    /// The checks that were sent to an address since the last call.
    pub(crate) fn take_checks_to(&mut self, remote: &str) -> Vec<Message> {
        let remote: SocketAddr = remote.parse().unwrap();
        self.take_checks().into_iter().filter(|check| check.path.remote == remote).collect()
    }

    /// A datagram arrives at the first socket. Returned is what is handed up.
    pub(crate) fn receive(&mut self, remote: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        self.receive_on(self.path(remote), bytes)
    }

    pub(crate) fn receive_on(&mut self, path: Path, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = bytes.to_vec();
        let payload = self.agent.handle_datagram(self.now, path, &mut bytes).map(|payload| payload.to_vec());
        self.collect();
        payload
    }

    /// A check of the peer in the other role, ready to be signed with [`password`](Self::password).
    pub(crate) fn peer_check(&mut self) -> Forge {
        self.next_transaction += 1;
        let username = format!("{}:{PEER_FRAGMENT}", self.agent.local_parameters().username_fragment);
        let role = match self.agent.role() {
            IceRole::Controlling => ICE_CONTROLLED,
            IceRole::Controlled => ICE_CONTROLLING,
        };
        Forge::check(self.next_transaction, &username, 0x6e00_1eff).with(role, &1_u64.to_be_bytes())
    }

    pub(crate) fn password(&self) -> String {
        self.agent.local_parameters().password.as_str().to_owned()
    }

    /// The peer checks from this address.
    pub(crate) fn receive_check(&mut self, remote: &str) {
        let check = self.peer_check();
        self.receive_forged(remote, &check);
    }

    /// The peer checks from this address with USE-CANDIDATE.
    pub(crate) fn receive_nomination(&mut self, remote: &str) {
        let check = self.peer_check().with(crate::messages::USE_CANDIDATE, &[]);
        self.receive_forged(remote, &check);
    }

    /// The peer checks a pair of any socket.
    pub(crate) fn receive_check_on(&mut self, path: Path) {
        let check = self.peer_check();
        self.receive_forged_on(path, &check);
    }

    /// The peer checks a pair of any socket with USE-CANDIDATE.
    pub(crate) fn receive_nomination_on(&mut self, path: Path) {
        let check = self.peer_check().with(crate::messages::USE_CANDIDATE, &[]);
        self.receive_forged_on(path, &check);
    }

    /// The peer sends this, signed properly.
    pub(crate) fn receive_forged(&mut self, remote: &str, forge: &Forge) {
        self.receive_forged_on(self.path(remote), forge);
    }

    pub(crate) fn receive_forged_on(&mut self, path: Path, forge: &Forge) {
        let bytes = forge.clone().signed(&self.password()).build();
        assert_eq!(self.receive_on(path, &bytes), None);
    }

    /// The peer answers a check with success.
    pub(crate) fn succeed(&mut self, check: &Message) {
        self.succeed_as(check, check.path.local);
    }

    /// The peer answers a check with success, and sees this address.
    pub(crate) fn succeed_as(&mut self, check: &Message, mapped: SocketAddr) {
        let bytes = success(check, mapped).build();
        assert_eq!(self.receive_on(check.path, &bytes), None);
    }

    /// The peer answers a check with an error.
    pub(crate) fn refuse(&mut self, check: &Message, code: u16) {
        let bytes = error(check, code).build();
        assert_eq!(self.receive_on(check.path, &bytes), None);
    }

    /// Makes the pair with this address valid, and forgets what was sent.
    pub(crate) fn validate(&mut self, remote: &str) {
        for _ in 0..100 {
            let checks = self.take_checks_to(remote);
            if let Some(check) = checks.last() {
                self.succeed(&check.clone());
                return;
            }
            self.run_for_millis(10);
        }
        panic!("{remote} is not checked");
    }

    /// Has a pair with this address that is valid, nominated and selected.
    pub(crate) fn select(&mut self, remote: &str) {
        self.validate(remote);
        match self.agent.role() {
            IceRole::Controlling => {
                self.run_for_millis(1_000);
                let nomination = self.take_checks_to(remote).last().cloned().unwrap();
                assert!(nomination.read().has(crate::messages::USE_CANDIDATE));
                self.succeed(&nomination);
            }
            IceRole::Controlled => self.receive_nomination(remote),
        }
        assert_eq!(self.agent.selected_pair().unwrap().path.remote, remote.parse().unwrap());
        self.take_sent();
    }

    pub(crate) fn pair(&self, remote: &str) -> Option<CandidatePairStatistics> {
        let path = self.path(remote);
        self.agent.statistics().pairs.into_iter().find(|pair| pair.path == path)
    }

    pub(crate) fn pair_state(&self, remote: &str) -> CandidatePairState {
        self.pair(remote).unwrap().state
    }

    pub(crate) fn drops(&self, reason: DropReason) -> u64 {
        self.agent.statistics().drops.get(reason)
    }

    /// Writes one datagram of payload.
    pub(crate) fn send_payload(&mut self, payload: &[u8]) -> Option<Path> {
        let mut buffer = TransmitBuffer::new(1_200);
        let transmit = self.agent.wrap(self.now, &mut buffer, |buffer| {
            let mut segment = buffer.segment()?;
            assert!(segment.put(payload));
            segment.finish();
            buffer.segments()
        })?;
        assert_eq!(buffer.bytes(), payload);
        Some(transmit.path)
    }

    /// Carries out whatever the agent wants at this moment.
    pub(crate) fn collect(&mut self) {
        let mut buffer = TransmitBuffer::new(1_200);
        loop {
            match self.agent.poll_action(self.now, usize::MAX, &mut buffer) {
                Action::Transmit(transmit) => {
                    let bytes = buffer.bytes().to_vec();
                    self.sent.push(Message { at: self.now, path: transmit.path, bytes });
                }
                Action::Socket(request) => self.serve(request),
                Action::Event(event) => self.events.push(event),
                Action::Wait(deadline) => {
                    assert!(deadline.is_none_or(|deadline| deadline.at > self.now), "{deadline:?} is due");
                    return;
                }
            }
        }
    }

    fn serve(&mut self, request: SocketRequest) {
        self.socket_requests.push(request.clone());
        if let SocketRequest::BindUdp { socket, mut local } = request {
            local.set_port(5_000 + u16::try_from(self.sockets.len()).unwrap());
            self.sockets.push(local);
            self.agent.handle_socket_event(self.now, SocketEvent::Opened { socket, local });
        }
    }
}

pub(crate) fn peer_parameters(pacing: Option<Duration>) -> IceParameters {
    IceParameters {
        username_fragment: PEER_FRAGMENT.to_owned(),
        password: IcePassword::new(PEER_PASSWORD),
        ice_lite: false,
        pacing,
    }
}

pub(crate) fn remote_host(address: &str, priority: u32, foundation: &str) -> RemoteCandidate {
    RemoteCandidate {
        foundation: foundation.to_owned(),
        component: 1,
        protocol: TransportProtocol::Udp,
        priority,
        address: address.parse().unwrap(),
        kind: CandidateType::Host,
        related_address: None,
        username_fragment: None,
    }
}

/// The response that makes a check succeed.
pub(crate) fn success(check: &Message, mapped: SocketAddr) -> Forge {
    let transaction = check.read().transaction();
    Forge::new(MessageClass::Success, transaction).mapped(mapped).signed(PEER_PASSWORD)
}

/// An error response of the peer.
pub(crate) fn error(check: &Message, code: u16) -> Forge {
    let transaction = check.read().transaction();
    Forge::new(MessageClass::Error, transaction).error(code).signed(PEER_PASSWORD)
}
