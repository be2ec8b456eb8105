//! A driver sleeps until there is something to do, and no longer.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use driver_mio::{Clock, Driver, DriverConfig};
use proto_machine::{Path, SocketId, SocketRequest, Timestamp};

use crate::support::{Host, Scripted, Seen, datagrams};

#[test]
fn a_deadline_is_met_in_one_turn_and_never_early() {
    let mut host = Host::new(DriverConfig::default());
    for microseconds in [30_000, 1_500, 200] {
        let deadline = host.driver.now() + Duration::from_micros(microseconds);
        host.driver.machine().deadline = Some(deadline);
        host.seen.clear();
        let turns = host.driver.statistics().turns;
        host.turn_until(|seen| !seen.is_empty());
        let [Seen::Timeout(at)] = host.seen[..] else { panic!("{:?}", host.seen) };
        assert!(at >= deadline);
        assert_eq!(host.driver.statistics().turns, turns + 1);
    }
}

#[test]
fn an_idle_driver_sleeps_through_even_after_traffic() {
    let mut host = Host::new(DriverConfig::default());
    let (_, local) = host.open("127.0.0.1");
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let path = Path::udp(local, other.local_addr().unwrap());
    for _ in 0..100 {
        host.send(path, vec![vec![1; 1_000]; 50]);
    }
    other.send_to(b"ping", local).unwrap();
    host.turn_until(|seen| !datagrams(seen).is_empty());
    while host.driver.statistics().datagrams_sent < 5_000 {
        host.turn(Duration::ZERO);
    }
    // The turn that empties the socket.
    host.turn(Duration::ZERO);

    let start = Instant::now();
    host.turn(Duration::from_millis(60));
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[test]
fn sending_without_trouble_wakes_nobody() {
    let mut host = Host::new(DriverConfig::default());
    let (_, local) = host.open("127.0.0.1");
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    host.send(Path::udp(local, other.local_addr().unwrap()), vec![vec![1; 1_000]; 50]);
    let start = Instant::now();
    host.turn(Duration::from_millis(60));
    assert_eq!(host.driver.statistics().datagrams_sent, 50);
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[test]
fn a_machine_that_is_always_due_does_not_make_the_driver_spin() {
    let mut host = Host::new(DriverConfig::default());
    host.driver.machine().deadline = Some(Timestamp::ZERO);
    host.driver.machine().ignores_timeout = true;
    let start = Instant::now();
    for _ in 0..21 {
        host.turn(Duration::from_secs(10));
    }
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert_eq!(host.driver.statistics().overdue_deadlines, 21);
}

#[test]
fn a_waker_ends_the_sleep_from_another_thread() {
    let mut host = Host::new(DriverConfig::default());
    let waker = host.driver.waker();
    let thread = thread::spawn(move || waker.wake().unwrap());
    // Without a limit: only the waker can end it.
    host.driver.turn(None, |_, _, event| panic!("{event:?}")).unwrap();
    thread.join().unwrap();
}

#[test]
fn a_waker_that_was_used_before_the_sleep_ends_it_too() {
    let mut host = Host::new(DriverConfig::default());
    host.driver.waker().wake().unwrap();
    host.driver.turn(None, |_, _, event| panic!("{event:?}")).unwrap();
}

#[test]
fn a_turn_that_has_delivered_events_does_not_sleep() {
    let mut host = Host::new(DriverConfig::default());
    host.request_bind("127.0.0.1:0".parse().unwrap());
    let mut events = 0;
    host.driver.turn(None, |_, _, _| events += 1).unwrap();
    assert_eq!(events, 1);
}

#[test]
fn what_an_event_makes_the_machine_do_is_done_in_the_same_turn() {
    let local = "127.0.0.1:0".parse().unwrap();
    let mut driver = Driver::new(Scripted::default(), DriverConfig::default()).unwrap();
    let bind = |number| SocketRequest::BindUdp { socket: SocketId(number), local };
    driver.machine().requests.push_back(bind(0));
    let mut events = 0;
    driver
        .turn(None, |machine, _, _| {
            events += 1;
            if events < 5 {
                machine.requests.push_back(bind(events));
            }
        })
        .unwrap();
    assert_eq!((events, driver.local_addresses().count()), (5, 5));
}

#[test]
fn a_drain_is_bounded_and_goes_on_in_the_next_turn_without_sleep() {
    let mut host = Host::new(DriverConfig { drain_budget: 3, ..Default::default() });
    let (_, local) = host.open("127.0.0.1");
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..10 {
        host.send(Path::udp(local, other.local_addr().unwrap()), vec![b"x".to_vec()]);
    }
    // One drain before and one after the wait.
    host.turn(Duration::from_secs(10));
    assert_eq!(host.driver.statistics().datagrams_sent, 6);
    host.turn(Duration::from_secs(10));
    assert_eq!(host.driver.statistics().datagrams_sent, 10);
}

#[test]
fn events_beyond_the_budget_are_delivered_before_more_is_read() {
    let mut host = Host::new(DriverConfig { drain_budget: 2, ..Default::default() });
    let sockets = [host.open("127.0.0.1").1, host.open("127.0.0.1").1, host.open("127.0.0.1").1];
    let others: Vec<_> = (0..40).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for local in sockets {
        for other in &others {
            other.send_to(b"x", local).unwrap();
        }
    }
    while host.received().len() < 120 {
        host.turn(Duration::from_secs(10));
        let waiting = host.driver.statistics().datagrams_received - host.received().len() as u64;
        assert!(waiting <= 32, "more is read while {waiting} events wait");
    }
}

#[test]
fn drivers_with_one_clock_agree_on_the_time() {
    let clock = Clock::start();
    let one = Host::new(DriverConfig { clock, ..Default::default() });
    let other = Host::new(DriverConfig { clock, ..Default::default() });
    let times = [clock.now(), one.driver.now(), other.driver.now(), clock.now()];
    assert!(times.is_sorted());
}
