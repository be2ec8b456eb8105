//! What becomes of bytes, connections and their ends.

use std::num::NonZeroU64;
use std::time::Duration;

use driver_sim::network::MiddleboxId;
use driver_sim::{
    Bottleneck, Handle, LinkConfig, LinkName, Probability, Rate, StreamError, StreamEvent, StreamRequest,
    StreamSecurity, World,
};
use proto_machine::Timestamp;

use crate::support::{Talker, path, world};

const TEXT: &str = "
    home    nat PP external 203.0.113.1
    client  host 10.0.0.2 behind home
    server  host 192.0.2.1
";
const CLIENT: &str = "10.0.0.2:5000";
const SERVER: &str = "192.0.2.1:443";

struct Scene {
    world: World<()>,
    nat: MiddleboxId,
    client: Handle<Talker>,
    server: Handle<Talker>,
}

/// A client that connects to a server, which listens.
fn scene(link: LinkConfig, security: StreamSecurity) -> Scene {
    let (mut world, places, [client, server]) = world(TEXT);
    let nat = places.middleboxes("home")[0];
    world.set_default_link(link);
    let listen = StreamRequest::Listen { local: SERVER.parse().unwrap(), security };
    world.command(server, |server, _| server.request(listen));
    world.command(client, |client, _| {
        client.request(StreamRequest::Connect { path: path(CLIENT, SERVER), security });
    });
    Scene { world, nat, client, server }
}

fn delayed() -> LinkConfig {
    LinkConfig { delay: Duration::from_millis(20), ..LinkConfig::default() }
}

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|index| u8::try_from(index * 31 % 251).unwrap()).collect()
}

impl Scene {
    fn run(&mut self, seconds: u64) {
        self.world.run_for(Duration::from_secs(seconds));
    }

    fn send(&mut self, bytes: Vec<u8>) {
        let request = StreamRequest::Send { path: path(CLIENT, SERVER), bytes };
        self.world.command(self.client, |client, _| client.request(request));
    }

    fn events(&self, talker: Handle<Talker>) -> Vec<&StreamEvent> {
        self.world.node(talker).events.iter().map(|(_, _, event)| event).collect()
    }

    /// How the server sees the client.
    fn server_path(&self) -> proto_machine::Path {
        self.world.node(self.server).events[0].1
    }
}

#[test]
fn tcp_is_open_after_one_round_trip_and_tls_after_two() {
    for (security, milliseconds) in [(StreamSecurity::Tcp, 40), (StreamSecurity::Tls, 80)] {
        let mut scene = scene(delayed(), security);
        scene.run(1);
        let open = scene.world.node(scene.client).when(&StreamEvent::Opened);
        assert_eq!(open, Some(Timestamp::from_millis(milliseconds)), "{security:?}");
        // Half a round trip later the server knows, and sees the outside of the NAT.
        let open = scene.world.node(scene.server).when(&StreamEvent::Opened);
        assert_eq!(open, Some(Timestamp::from_millis(milliseconds + 20)), "{security:?}");
        assert_eq!(scene.server_path().remote.ip().to_string(), "203.0.113.1");
    }
}

#[test]
fn where_nobody_listens_a_connection_is_refused_after_a_round_trip() {
    let mut scene = scene(delayed(), StreamSecurity::Tcp);
    let elsewhere = path("10.0.0.2:5001", "192.0.2.1:80");
    let connect = StreamRequest::Connect { path: elsewhere, security: StreamSecurity::Tcp };
    scene.world.command(scene.client, |client, _| client.request(connect));
    scene.run(1);
    let refused = StreamEvent::Failed(StreamError::Refused);
    assert_eq!(scene.world.node(scene.client).when(&refused), Some(Timestamp::from_millis(40)));
}

#[test]
fn who_is_not_there_lets_a_connection_time_out() {
    let mut scene = scene(LinkConfig { loss: Probability::percent(100), ..delayed() }, StreamSecurity::Tcp);
    scene.run(300);
    assert_eq!(scene.events(scene.client), [&StreamEvent::Failed(StreamError::TimedOut)]);
}

#[test]
fn bytes_arrive_once_in_order_and_intact_however_bad_the_link() {
    let link = LinkConfig {
        loss: Probability::percent(10),
        duplication: Probability::percent(10),
        corruption: Probability::percent(5),
        reordering: Probability::percent(10),
        reordering_delay: Duration::from_millis(100),
        jitter: Duration::from_millis(10),
        ..delayed()
    };
    for security in [StreamSecurity::Tcp, StreamSecurity::Tls] {
        let mut scene = scene(link, security);
        let sent = noise(300_000);
        // Some before it is open.
        sent.chunks(100_000).for_each(|chunk| scene.send(chunk.to_vec()));
        scene.run(3_600);
        assert!(scene.world.node(scene.server).received == sent, "{security:?}");
        assert_eq!(scene.events(scene.server), [&StreamEvent::Opened]);
    }
}

#[test]
fn bytes_come_at_the_rate_of_the_link() {
    // 1,000 bytes a millisecond, and room for all that is under way.
    let bottleneck =
        Bottleneck { rate: Rate::bits_per_second(NonZeroU64::new(8_000_000).unwrap()), queue_bytes: 100_000 };
    let mut scene = scene(LinkConfig { bottleneck: Some(bottleneck), ..delayed() }, StreamSecurity::Tcp);
    scene.send(noise(1_000_000));
    scene.run(10);
    let node = scene.world.node(scene.server);
    assert_eq!(node.received.len(), 1_000_000);
    // One second, and the headers of 834 segments.
    let took = node.last_received_at.unwrap() - node.when(&StreamEvent::Opened).unwrap();
    assert!((1_000..1_120).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn a_lost_segment_holds_up_all_behind_it_until_it_is_repeated() {
    let mut scene = scene(delayed(), StreamSecurity::Tcp);
    scene.run(1);
    let link = LinkName::Between { from: scene.client.id(), to: scene.server.id() };
    scene.world.cut(link);
    scene.send(b"lost ".to_vec());
    scene.world.restore(link);
    scene.world.run_for(Duration::from_millis(100));
    scene.send(b"and not".to_vec());
    scene.world.run_for(Duration::from_millis(100));
    assert_eq!(scene.world.node(scene.server).received, []);
    scene.run(1);
    let node = scene.world.node(scene.server);
    assert_eq!(node.received, b"lost and not");
    // 200 ms are the shortest timeout.
    assert_eq!(node.last_received_at, Some(Timestamp::from_millis(1_220)));
}

#[test]
fn a_stream_ends_on_both_sides_with_all_bytes_that_were_sent_before() {
    for loss in [0, 20] {
        let link = LinkConfig { loss: Probability::percent(loss), ..delayed() };
        let mut scene = scene(link, StreamSecurity::Tls);
        scene.run(60);
        let sent = noise(50_000);
        scene.send(sent.clone());
        let close = StreamRequest::Close { path: path(CLIENT, SERVER) };
        scene.world.command(scene.client, |client, _| client.request(close));
        scene.run(600);
        assert!(scene.world.node(scene.server).received == sent);
        assert_eq!(scene.events(scene.server), [&StreamEvent::Opened, &StreamEvent::Closed]);
        assert_eq!(scene.events(scene.client), [&StreamEvent::Opened]);
        // Neither end is left: the same path can be opened again.
        let connect = StreamRequest::Connect { path: path(CLIENT, SERVER), security: StreamSecurity::Tls };
        scene.world.command(scene.client, |client, _| client.request(connect));
        scene.run(60);
        assert_eq!(scene.events(scene.client), [&StreamEvent::Opened, &StreamEvent::Opened]);
    }
}

#[test]
fn a_stream_whose_nat_has_forgotten_it_times_out() {
    let mut scene = scene(delayed(), StreamSecurity::Tcp);
    scene.run(1);
    let server_path = scene.server_path();
    scene.world.internet_mut().reboot(scene.nat).unwrap();
    let request = StreamRequest::Send { path: server_path, bytes: vec![1] };
    scene.world.command(scene.server, |server, _| server.request(request));
    scene.run(300);
    let events = scene.events(scene.server);
    assert_eq!(events, [&StreamEvent::Opened, &StreamEvent::Failed(StreamError::TimedOut)]);
}

#[test]
fn nobody_connects_to_a_host_behind_a_nat() {
    let mut scene = scene(delayed(), StreamSecurity::Tcp);
    scene.run(1);
    let request =
        StreamRequest::Connect { path: path("192.0.2.1:6000", "203.0.113.1:443"), security: StreamSecurity::Tcp };
    scene.world.command(scene.server, |server, _| server.request(request));
    scene.run(300);
    let failed = StreamEvent::Failed(StreamError::TimedOut);
    assert!(scene.world.node(scene.server).when(&failed).is_some());
}
