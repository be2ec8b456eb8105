//! The generic laws, on two agents that trickle without delay.

#[cfg(test)]
mod laws {
    use std::net::SocketAddr;

    use proto_ice::{
        IceAgent, IceConfig, IceEvent, IceRole, IceTransportState, InterfaceAddress, LocalCandidate, RemoteCandidate,
    };
    use proto_machine::laws::{Scenario, check};
    use proto_machine::{Machine, Path, Received, Seed, SocketEvent, SocketRequest, Timestamp, Transmit};

    struct TwoAgents;

    fn address(index: usize) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1 + u8::try_from(index).unwrap()], 5_000))
    }

    fn to_remote(candidate: &LocalCandidate) -> RemoteCandidate {
        RemoteCandidate {
            foundation: candidate.foundation.clone(),
            component: candidate.component,
            protocol: candidate.protocol,
            priority: candidate.priority,
            address: candidate.address,
            kind: candidate.kind,
            related_address: candidate.related_address,
            username_fragment: Some(candidate.username_fragment.clone()),
        }
    }

    impl Scenario for TwoAgents {
        type Machine = IceAgent;

        fn pair(&self, seed: u64) -> [IceAgent; 2] {
            let now = Timestamp::ZERO;
            let seed = Seed::from_number(seed);
            let agent = |role, name| IceAgent::new(IceConfig::default(), role, seed.child(name));
            let mut left = agent(IceRole::Controlling, "left");
            let mut right = agent(IceRole::Controlled, "right");
            left.set_remote_parameters(now, right.local_parameters().clone()).unwrap();
            right.set_remote_parameters(now, left.local_parameters().clone()).unwrap();
            left.gather(now, &[InterfaceAddress::new(address(0).ip())]);
            right.gather(now, &[InterfaceAddress::new(address(1).ip())]);
            [left, right]
        }

        fn deliver(&self, now: Timestamp, receiver: &mut IceAgent, transmit: Transmit, datagram: &mut [u8]) {
            receiver.handle_input(now, Received { path: transmit.path.reversed(), datagram });
        }

        fn inject(
            &self,
            now: Timestamp,
            index: usize,
            receiver: &mut IceAgent,
            transmit: Option<Transmit>,
            noise: &mut [u8],
        ) {
            let stranger = Path::udp(address(index), SocketAddr::from(([203, 0, 113, 9], 9)));
            let forged = transmit.map(|transmit| transmit.path.reversed());
            let path = forged.filter(|_| noise.len().is_multiple_of(2)).unwrap_or(stranger);
            receiver.handle_input(now, Received { path, datagram: noise });
        }

        fn answer(&self, index: usize, request: SocketRequest) -> Option<SocketEvent> {
            match request {
                SocketRequest::BindUdp { socket, .. } => Some(SocketEvent::Opened { socket, local: address(index) }),
                _ => None,
            }
        }

        fn on_event(&self, now: Timestamp, index: usize, event: &IceEvent, machines: &mut [IceAgent; 2]) {
            let other = &mut machines[1 - index];
            match event {
                IceEvent::LocalCandidate(candidate) => other.add_remote_candidate(now, to_remote(candidate)).unwrap(),
                IceEvent::EndOfCandidates => other.end_of_remote_candidates(now, None),
                _ => {}
            }
        }

        fn is_established(&self, machines: &[IceAgent; 2]) -> bool {
            machines.iter().all(|agent| agent.state() == IceTransportState::Completed)
        }

        fn close(&self, now: Timestamp, machine: &mut IceAgent) {
            machine.close(now);
        }
    }

    #[test]
    fn two_agents_obey_every_law() {
        check(&TwoAgents);
    }
}
