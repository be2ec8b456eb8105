//! Peers whose relay makes trouble in the middle of a connection.

use std::time::Duration;

use driver_sim::matrix::{Case, Scene, Setting};
use driver_sim::network::Dependence::AddressAndPortDependent as P;
use driver_sim::network::reachability::{Layer, Relay};
use driver_sim::{TurnRequest, TurnServerStatistics};
use peer_core::{Message, PeerConnectionState};

/// Two peers behind symmetric NATs, one of which is relayed.
fn connected() -> Scene {
    let symmetric = || vec![Layer::nat(P, P)];
    let case = Case::new("relayed", &Setting::new(symmetric(), symmetric()).with_relay(Relay::Udp));
    let mut scene = Scene::new(&case, 1);
    let outcome = scene.connect();
    assert!(outcome.is_relayed(), "{outcome}");
    scene
}

/// Each side sends a message, and time passes.
fn exchange(scene: &mut Scene, pause: Duration) {
    for side in scene.sides {
        scene.world.command(side, |node, now| {
            let channel = node.application().channel().unwrap();
            let mut channel = node.peer_mut().channel(channel).unwrap();
            channel.send(now, Message::text("over the relay")).unwrap();
        });
    }
    scene.world.run_for(pause);
}

fn received(scene: &Scene) -> [usize; 2] {
    scene.sides.map(|side| scene.world.node(side).application().received())
}

fn states(scene: &Scene) -> [PeerConnectionState; 2] {
    [0, 1].map(|side| scene.peer(side).connection_state())
}

fn statistics(scene: &Scene) -> TurnServerStatistics {
    let server = scene.places.turn_server("turn").unwrap();
    scene.world.node(server).server().statistics().clone()
}

/// An allocation lasts for ten minutes, a permission for five (RFC 8656 §3.2, §9).
#[test]
fn data_goes_over_a_relay_for_two_hours() {
    let mut scene = connected();
    for second in 1..=2 * 3_600 / 10 {
        exchange(&mut scene, Duration::from_secs(10));
        assert_eq!(received(&scene), [second; 2]);
    }
    let requests = statistics(&scene).requests;
    assert!(requests[&TurnRequest::Refresh] >= 12, "{requests:?}");
    assert!(requests[&TurnRequest::CreatePermission] + requests[&TurnRequest::ChannelBind] >= 24, "{requests:?}");
    assert_eq!(statistics(&scene).blocked, 0);
}

#[test]
fn an_idle_connection_over_a_relay_lasts_as_long() {
    let mut scene = connected();
    scene.world.run_for(Duration::from_secs(2 * 3_600));
    exchange(&mut scene, Duration::from_secs(1));
    assert_eq!((received(&scene), states(&scene)), ([1; 2], [PeerConnectionState::Connected; 2]));
}

/// Every nonce serves once: each request of the client is refused with a 438, and made again.
#[test]
fn nonces_that_are_stale_at_once_cost_no_message() {
    let mut scene = connected();
    let server = scene.places.turn_server("turn").unwrap();
    let before = statistics(&scene).requests;
    scene.world.command(server, |server, _| server.server_mut().faults.nonce_uses = Some(1));
    for minute in 1..=60 {
        exchange(&mut scene, Duration::from_secs(60));
        assert_eq!(received(&scene), [minute; 2]);
    }
    let stale: u64 =
        [0, 1].iter().flat_map(|side| scene.peer(*side).ice_report().relays).map(|relay| relay.stale_nonces).sum();
    let requests = statistics(&scene).requests;
    let count = |requests: &std::collections::BTreeMap<TurnRequest, u64>| requests.values().sum::<u64>();
    assert!(stale >= 10, "{stale} stale nonces in {} requests", count(&requests) - count(&before));
}

/// The server has forgotten the allocation: 437 to the next request, which is made as soon as nothing comes through any more. There is no other path, so the connection fails, and
/// the report says why.
#[test]
fn a_reboot_of_the_server_ends_a_relayed_connection_and_the_report_names_it() {
    let mut scene = connected();
    exchange(&mut scene, Duration::from_secs(10));
    let server = scene.places.turn_server("turn").unwrap();
    scene.world.command(server, |server, _| server.server_mut().restart());
    scene.world.run_for(Duration::from_secs(60));
    assert_eq!(states(&scene), [PeerConnectionState::Failed; 2]);
    let reports = [0, 1].map(|side| scene.peer(side).ice_report().to_string());
    assert!(reports.iter().any(|report| report.contains("437")), "{}\n{}", reports[0], reports[1]);
}
