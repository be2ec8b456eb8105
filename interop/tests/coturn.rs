//! Peers on real sockets that reach each other through coturn alone.

#[cfg(test)]
mod coturn {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use driver_mio::{Driver, DriverConfig, system_seed, wall_clock};
    use interop::{Coturn, coturn};
    use peer_core::{
        CandidateError, CandidateType, Certificate, ChannelKey, Configuration, DataChannelOptions, Endpoint,
        EndpointConfig, EndpointEvent, Entropy, IceGatheringState, IceServer, IceTransportPolicy, InterfaceAddress,
        Message, PeerConnectionState, PeerEvent, PeerId, SdpType, SocketPolicy,
    };

    /// How long anything may take, on a machine under load.
    const PATIENCE: Duration = Duration::from_secs(180);
    const FLOOD_BYTES: usize = 20_000_000;
    const FLOOD_MESSAGE: usize = 16_384;
    /// Bytes buffered in a channel before the flood waits.
    const HIGH_WATER: usize = 1 << 20;

    /// A peer with a driver of its own.
    struct Side {
        driver: Driver<Endpoint>,
        peer: PeerId,
        events: Vec<PeerEvent>,
        channel: Option<ChannelKey>,
        messages: Vec<Message>,
    }

    /// Two of them, and the signalling between them. The left one offers.
    struct Pair([Side; 2]);

    fn ice_server(coturn: &Coturn) -> IceServer {
        IceServer {
            urls: vec![coturn.url()],
            username: Some(coturn::USERNAME.to_owned()),
            credential: Some(coturn::CREDENTIAL.to_owned()),
        }
    }

    impl Side {
        fn new(server: IceServer, sockets: SocketPolicy) -> Self {
            let entropy = Entropy::System;
            let certificate = Certificate::generate(system_seed().unwrap(), wall_clock(), entropy).unwrap();
            let configuration = Configuration {
                ice_servers: vec![server],
                ice_transport_policy: IceTransportPolicy::Relay,
                gather_loopback: true,
                ..Configuration::new(Arc::new(certificate))
            };
            let config = EndpointConfig { sockets, ..EndpointConfig::default() };
            let mut endpoint = Endpoint::new(config, system_seed().unwrap());
            endpoint.set_interfaces(&[InterfaceAddress::new([127, 0, 0, 1].into())]);
            let mut driver = Driver::new(endpoint, DriverConfig::default()).unwrap();
            let now = driver.now();
            let peer = driver.machine().add_peer(now, configuration).unwrap();
            Self { driver, peer, events: Vec::new(), channel: None, messages: Vec::new() }
        }

        /// One turn of the loop. What is to be signalled is returned.
        fn turn(&mut self) -> Vec<peer_core::IceCandidateInit> {
            let mut signals = Vec::new();
            let Self { driver, events, channel, messages, .. } = self;
            let wait = Some(Duration::from_millis(1));
            driver
                .turn(wait, |_, _, event| {
                    let EndpointEvent::Peer { event, .. } = event else { return };
                    match event {
                        PeerEvent::IceCandidate(Some(candidate)) => signals.push(candidate.to_init()),
                        PeerEvent::DataChannel { channel: opened } | PeerEvent::ChannelOpen { channel: opened } => {
                            *channel = Some(opened);
                        }
                        PeerEvent::Message { message, .. } => messages.push(message),
                        event => events.push(event),
                    }
                })
                .unwrap();
            signals
        }

        fn peer(&mut self) -> &mut peer_core::Peer {
            self.driver.machine().peer_mut(self.peer).unwrap()
        }

        fn offer(&mut self) {
            let now = self.driver.now();
            self.peer().create_data_channel(now, DataChannelOptions::new("relayed")).unwrap();
            self.peer().set_local_description(now, None).unwrap();
        }

        fn errors(&self) -> Vec<CandidateError> {
            let error = |event: &PeerEvent| match event {
                PeerEvent::IceCandidateError(error) => Some(error.clone()),
                _ => None,
            };
            self.events.iter().filter_map(error).collect()
        }

        fn run_until(&mut self, what: &str, is_done: impl Fn(&mut Self) -> bool) {
            let deadline = Instant::now() + PATIENCE;
            while !is_done(self) {
                self.turn();
                assert!(Instant::now() < deadline, "no {what}: {}", self.peer().ice_report());
            }
        }

        fn has_gathered(&mut self) -> bool {
            self.peer().ice_gathering_state() == IceGatheringState::Complete
        }
    }

    impl Pair {
        /// Two peers that have exchanged descriptions; candidates follow.
        fn negotiated(servers: [IceServer; 2]) -> Self {
            let [left, right] = servers.map(|server| Side::new(server, SocketPolicy::PerPeer));
            let mut pair = Self([left, right]);
            pair.negotiate();
            pair
        }

        fn negotiate(&mut self) {
            let [left, right] = &mut self.0;
            left.offer();
            let now = right.driver.now();
            let offer = left.peer().local_description().unwrap();
            right.peer().set_remote_description(now, offer).unwrap();
            right.peer().set_local_description(now, None).unwrap();
            let answer = right.peer().local_description().unwrap();
            assert_eq!(answer.sdp_type, SdpType::Answer);
            let now = left.driver.now();
            left.peer().set_remote_description(now, answer).unwrap();
        }

        fn turn(&mut self) {
            for from in [0, 1] {
                for signal in self.0[from].turn() {
                    let to = &mut self.0[1 - from];
                    let now = to.driver.now();
                    to.peer().add_ice_candidate(now, signal).unwrap();
                }
            }
        }

        fn run_until(&mut self, what: &str, mut is_done: impl FnMut(&mut [Side; 2]) -> bool) {
            let deadline = Instant::now() + PATIENCE;
            while !is_done(&mut self.0) {
                self.turn();
                if Instant::now() > deadline {
                    let [left, right] = self.0.each_mut().map(|side| side.peer().ice_report().to_string());
                    panic!("no {what}\n{left}\n{right}");
                }
            }
        }

        fn run_until_open(&mut self) {
            self.run_until("open channel", |sides| sides.iter().all(|side| side.channel.is_some()));
            for side in &mut self.0 {
                let pair = side.peer().selected_candidate_pair().unwrap();
                assert_eq!((pair.local.kind, pair.remote.kind), (CandidateType::Relayed, CandidateType::Relayed));
            }
        }

        /// A message each way.
        fn exchange(&mut self) {
            for from in [0, 1] {
                let message = Message::text("through the relay");
                let (now, channel) = (self.0[from].driver.now(), self.0[from].channel.unwrap());
                self.0[from].peer().channel(channel).unwrap().send(now, message.clone()).unwrap();
                self.run_until("message", |sides| sides[1 - from].messages.last() == Some(&message));
            }
        }
    }

    /// The message of this number in a flood, different from all others.
    fn block(number: usize) -> Vec<u8> {
        let length = FLOOD_MESSAGE.min(FLOOD_BYTES - number * FLOOD_MESSAGE);
        let word = |index: usize| (number * 31 + index).wrapping_mul(0x9e37_79b1).to_be_bytes();
        (0..length).map(|index| word(index / 4)[4 + index % 4]).collect()
    }

    #[test]
    fn relay_only_peers_carry_twenty_megabytes_each_way_intact() {
        let coturn = Coturn::start(&[]).unwrap();
        let mut pair = Pair::negotiated([ice_server(&coturn), ice_server(&coturn)]);
        pair.run_until_open();
        let blocks = FLOOD_BYTES.div_ceil(FLOOD_MESSAGE);
        let [mut sent, mut received] = [[0; 2]; 2];
        pair.run_until("whole flood", |sides| {
            for (index, side) in sides.iter_mut().enumerate() {
                let (now, key) = (side.driver.now(), side.channel.unwrap());
                let mut channel = side.peer().channel(key).unwrap();
                while sent[index] < blocks && channel.view().is_some_and(|view| view.buffered_amount < HIGH_WATER) {
                    channel.send(now, Message::binary(block(sent[index]))).unwrap();
                    sent[index] += 1;
                }
                for message in side.messages.drain(..) {
                    assert!(
                        message.payload == block(received[index]),
                        "block {} is not what was sent",
                        received[index]
                    );
                    received[index] += 1;
                }
            }
            received == [blocks; 2]
        });
        assert!(pair.0.iter().all(|side| side.errors().is_empty()));
    }

    #[test]
    fn item_39_a_wrong_password_is_reported_with_401_and_what_to_do() {
        let coturn = Coturn::start(&[]).unwrap();
        let server = IceServer { credential: Some("wrong".to_owned()), ..ice_server(&coturn) };
        let mut side = Side::new(server, SocketPolicy::PerPeer);
        side.offer();
        side.run_until("end of gathering", Side::has_gathered);
        side.turn();
        let [error] = &side.errors()[..] else { panic!("{:?}", side.errors()) };
        assert_eq!((error.error_code, error.url.as_deref()), (401, Some(coturn.url().as_str())));
        assert_eq!((error.address, error.error_text.is_empty()), (Some([127, 0, 0, 1].into()), false));
        let verdict = side.peer().ice_report().verdict;
        assert!(verdict.contains("401") && verdict.contains("check username and credential"), "{verdict}");
    }

    #[test]
    fn item_40_a_server_that_is_not_there_is_reported_as_silent() {
        let mut coturn = Coturn::start(&[]).unwrap();
        coturn.kill().unwrap();
        let mut side = Side::new(ice_server(&coturn), SocketPolicy::PerPeer);
        side.offer();
        side.run_until("end of gathering", Side::has_gathered);
        side.turn();
        let codes: Vec<u16> = side.errors().iter().map(|error| error.error_code).collect();
        assert_eq!(codes, [701]);
        let verdict = side.peer().ice_report().verdict;
        assert!(verdict.contains(&format!("UDP to {} timed out", coturn.url())), "{verdict}");
    }

    #[test]
    fn item_40_a_server_without_room_is_reported_with_486() {
        let coturn = Coturn::start(&["--user-quota=1"]).unwrap();
        let mut first = Side::new(ice_server(&coturn), SocketPolicy::PerPeer);
        first.offer();
        first.run_until("end of gathering", Side::has_gathered);
        let mut second = Side::new(ice_server(&coturn), SocketPolicy::PerPeer);
        second.offer();
        second.run_until("end of gathering", Side::has_gathered);
        second.turn();
        let codes: Vec<u16> = second.errors().iter().map(|error| error.error_code).collect();
        assert_eq!((codes, first.errors()), (vec![486], vec![]));
    }

    /// Item 39: a 438 is answered with the new nonce, before there is a path and after.
    #[test]
    fn item_39_nonces_that_go_stale_do_not_disturb() {
        let coturn = Coturn::start(&["--stale-nonce=1"]).unwrap();
        let mut pair = Pair::negotiated([ice_server(&coturn), ice_server(&coturn)]);
        let mut signals = Vec::new();
        let began = Instant::now();
        // The nonce of the allocation is stale when the first permission is asked for.
        while began.elapsed() < Duration::from_secs(3) || !pair.0.iter_mut().all(Side::has_gathered) {
            for (from, side) in pair.0.iter_mut().enumerate() {
                signals.extend(side.turn().into_iter().map(|signal| (from, signal)));
            }
            assert!(began.elapsed() < PATIENCE);
        }
        for (from, signal) in signals {
            let to = &mut pair.0[1 - from];
            let now = to.driver.now();
            to.peer().add_ice_candidate(now, signal).unwrap();
        }
        pair.run_until_open();
        pair.exchange();
        for side in &mut pair.0 {
            let report = side.peer().ice_report();
            assert!(report.relays.iter().any(|relay| relay.stale_nonces > 0), "{report}");
        }
    }

    /// A server that starts anew knows no allocation. Both sides learn of it, and can say why; another connection comes about.
    #[test]
    fn item_40_a_server_that_is_restarted_ends_the_connection_with_its_own_words() {
        let mut coturn = Coturn::start(&[]).unwrap();
        let mut pair = Pair::negotiated([ice_server(&coturn), ice_server(&coturn)]);
        pair.run_until_open();
        pair.exchange();
        coturn.restart().unwrap();
        pair.run_until("failure", |sides| {
            sides.iter_mut().all(|side| side.peer().connection_state() == PeerConnectionState::Failed)
        });
        for side in &mut pair.0 {
            let verdict = side.peer().ice_report().verdict;
            assert!(verdict.contains("437") && verdict.contains(&coturn.url()), "{verdict}");
        }
        let mut next = Pair::negotiated([ice_server(&coturn), ice_server(&coturn)]);
        next.run_until_open();
        next.exchange();
    }

    /// RFC 7675 §5.1: consent that is not renewed expires.
    #[test]
    fn a_server_that_is_killed_ends_the_connection() {
        let mut coturn = Coturn::start(&[]).unwrap();
        let mut pair = Pair::negotiated([ice_server(&coturn), ice_server(&coturn)]);
        pair.run_until_open();
        pair.exchange();
        coturn.kill().unwrap();
        pair.run_until("failure", |sides| {
            sides.iter_mut().all(|side| side.peer().connection_state() == PeerConnectionState::Failed)
        });
        for side in &mut pair.0 {
            let verdict = side.peer().ice_report().verdict;
            assert!(verdict.contains("consent expired"), "{verdict}");
        }
    }

    /// RFC 8656 §2.2: a server tells its clients apart by their 5-tuples.
    #[test]
    fn peers_that_share_a_socket_each_have_an_allocation() {
        let coturn = Coturn::start(&[]).unwrap();
        let shared = SocketPolicy::Shared { port: 0 };
        let mut side = Side::new(ice_server(&coturn), shared);
        side.offer();
        side.run_until("end of gathering", Side::has_gathered);
        let first = side.peer().ice_report();
        // Another peer of the same endpoint.
        let certificate = Certificate::generate(system_seed().unwrap(), wall_clock(), Entropy::System).unwrap();
        let configuration = Configuration {
            ice_servers: vec![ice_server(&coturn)],
            ice_transport_policy: IceTransportPolicy::Relay,
            gather_loopback: true,
            ..Configuration::new(Arc::new(certificate))
        };
        let now = side.driver.now();
        side.peer = side.driver.machine().add_peer(now, configuration).unwrap();
        side.offer();
        side.run_until("end of gathering", Side::has_gathered);
        let second = side.peer().ice_report();
        assert_eq!(side.errors(), []);
        let relayed = [&first, &second].map(|report| report.local_candidates[0].address);
        assert_ne!(relayed[0], relayed[1]);
    }
}
