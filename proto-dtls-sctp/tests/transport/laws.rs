//! The generic laws of machines.

use proto_dtls_sctp::{
    DataChannelOptions, DtlsRole, Message, SctpTransportState, SecureEvent, SecureTransport, StartParameters,
};
use proto_machine::laws::{self, Law, Scenario};
use proto_machine::{Seed, Segments, Timestamp};

use crate::common::{certificate, config};

/// Two transports that greet each other on a channel.
struct Greeting;

impl Scenario for Greeting {
    type Machine = SecureTransport;

    fn pair(&self, seed: u64) -> [SecureTransport; 2] {
        let mut machines = [(0, "left"), (1, "right")]
            .map(|(number, name)| SecureTransport::new(config(number), Seed::from_number(seed).child(name)));
        machines[0].create_channel(Timestamp::ZERO, DataChannelOptions::new("label")).unwrap();
        for ((machine, role), peer) in machines.iter_mut().zip([DtlsRole::Client, DtlsRole::Server]).zip([1, 0]) {
            let fingerprint = certificate(peer).fingerprint().into();
            machine.start(Timestamp::ZERO, StartParameters::new(role, vec![fingerprint])).unwrap();
        }
        machines
    }

    fn deliver(&self, now: Timestamp, receiver: &mut SecureTransport, _: Segments, datagram: &mut [u8]) {
        receiver.handle_datagram(now, datagram);
    }

    fn inject(&self, now: Timestamp, _: usize, receiver: &mut SecureTransport, _: Option<Segments>, noise: &mut [u8]) {
        receiver.handle_datagram(now, noise);
    }

    fn on_event(&self, now: Timestamp, index: usize, event: &SecureEvent, machines: &mut [SecureTransport; 2]) {
        if let SecureEvent::ChannelOpen { channel } | SecureEvent::DataChannel { channel } = event {
            machines[index].send(now, *channel, Message::text("hello")).unwrap();
            machines[index].send(now, *channel, Message::binary(vec![7; 5_000])).unwrap();
        }
    }

    fn is_established(&self, machines: &[SecureTransport; 2]) -> bool {
        machines.iter().all(|machine| machine.sctp_state() == SctpTransportState::Connected)
    }

    /// The handshake begins in plaintext, and whoever changes it can break it.
    fn is_authenticated(&self, machines: &[SecureTransport; 2]) -> bool {
        self.is_established(machines)
    }

    fn close(&self, now: Timestamp, machine: &mut SecureTransport) {
        machine.close(now);
    }

    fn comparable(&self, datagram: &[u8]) -> Vec<u8> {
        datagram.len().to_be_bytes().to_vec()
    }

    fn exceptions(&self) -> &'static [(Law, &'static str)] {
        #[cfg(feature = "simulation")]
        return &[];
        #[cfg(not(feature = "simulation"))]
        return &[
            (Law::SameInputsSameOutputs, "the DTLS library jitters its timers and signs with randomness of the system"),
            (Law::SpuriousTimeoutChangesNothing, "as above: two runs differ"),
            (Law::UnauthenticatedInputLeavesNoTrace, "as above: two runs differ"),
        ];
    }
}

#[test]
fn the_transport_keeps_the_laws_of_machines() {
    laws::check(&Greeting);
}
