use super::*;
use crate::stack::DATAGRAM_SIZE;

fn outcome(stack: StackName, workload: Workload) -> Outcome {
    workload.run(stack, 1).unwrap_or_else(|error| panic!("{stack} {workload:?}: {error:#}"))
}

fn figure(outcome: &Outcome, name: &str) -> f64 {
    outcome.figures.iter().find(|(known, _)| *known == name).map(|&(_, value)| value).unwrap()
}

#[test]
fn every_stack_carries_messages_in_memory_in_datagrams_of_the_agreed_size() {
    for stack in StackName::ALL {
        let outcome = outcome(stack, Workload::W1 { message: 16 << 10, mib: 1, batch: 1, buffer_kib: None });
        assert!(figure(&outcome, "MB per CPU second") > 0.0);
        let largest = outcome.datagrams.largest;
        assert!((DATAGRAM_SIZE - 50..=DATAGRAM_SIZE).contains(&largest), "{stack}: {largest}");
    }
}

#[test]
fn every_stack_carries_messages_over_the_loopback_interface() {
    for stack in StackName::ALL {
        for carrier in [Carrier::DriverMio, Carrier::UdpLoop] {
            let workload = Workload::W2 { message: 16 << 10, mib: 1, carrier };
            if workload.is_for(stack) {
                assert!(figure(&outcome(stack, workload), "MB/s") > 0.0);
            } else {
                assert!(workload.run(stack, 1).is_err());
            }
        }
    }
}

#[test]
fn every_stack_connects_whoever_creates_the_channel_and_is_dtls_client() {
    for stack in StackName::ALL {
        for creator in [Party::Offerer, Party::Answerer] {
            for dtls_client in [Party::Offerer, Party::Answerer] {
                let outcome = outcome(stack, Workload::W3RoundTrips { creator, dtls_client });
                // A check, a flight of the handshake each way, and an INIT at least.
                assert!(figure(&outcome, "round trips, offer → open at both") >= 3.0);
            }
        }
    }
}

#[test]
fn a_path_with_a_bottleneck_is_never_overrun() {
    for stack in StackName::ALL {
        let workload = Workload::W5 {
            mbit: 10,
            round_trip_ms: 10,
            loss_percent: 0,
            queue: Queue::Unlimited,
            buffer_kib: None,
            seconds: 2,
            cpu_limit: 60,
        };
        let goodput = figure(&outcome(stack, workload), "Mbit/s");
        assert!((5.0..10.0).contains(&goodput), "{stack}: {goodput} Mbit/s");
    }
}

#[test]
fn idle_endpoints_wake_up_now_and_then() {
    for stack in StackName::ALL {
        let idle = outcome(stack, Workload::W6 { time: Time::Virtual, pairs: 1, seconds: 60 });
        // A check for consent every 5 s, and its answer (RFC 7675 §5.1).
        assert!(figure(&idle, "wake-ups per endpoint minute") >= 10.0);
    }
}

#[test]
fn buffers_can_be_lifted() {
    for stack in StackName::ALL {
        let lifted = outcome(stack, Workload::W1 { message: 16 << 10, mib: 1, batch: 1, buffer_kib: Some(2 << 10) });
        assert!(figure(&lifted, "MB per CPU second") > 0.0);
    }
}

#[test]
fn channels_carry_messages_whether_or_not_these_have_a_lifetime() {
    for lifetime in [false, true] {
        let workload = Workload::Channels { channels: 200, message: 1 << 10, mib: 1, lifetime };
        assert!(figure(&outcome(StackName::Ours, workload), "MB per CPU second") > 0.0);
        assert!(workload.run(StackName::Str0m, 1).is_err());
    }
}
