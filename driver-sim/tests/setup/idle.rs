//! What a connection costs on which nothing happens.

use std::io::Write as _;
use std::time::Duration;

use driver_sim::Entry;
use driver_sim::setup::Scenario;
use proto_machine::Timestamp;

const MINUTES: u64 = 30;
/// RFC 7675 §5.1: consent is checked every 5 s, but for a fifth more or less.
const MOST_CHECKS: u64 = MINUTES * 60 / 4;

#[test]
fn an_idle_peer_wakes_for_consent_alone_and_sends_checks_and_answers_and_nothing_else() {
    let scenario = Scenario::default();
    let (mut world, offerer, answerer) = scenario.world(1);
    // Until the PAC timer has run out as well (RFC 8863 §4).
    let _connected = world.run_until(Timestamp::from_millis(60_000), |_| false);
    let woken = |world: &driver_sim::World<_>| [offerer, answerer].map(|side| world.node(side).wake_ups().clone());
    let before = woken(&world);
    let packets_before = packets(world.transcript().entries());
    world.run_for(Duration::from_secs(60 * MINUTES));
    let sent = packets(world.transcript().entries()) - packets_before;
    let mut total = 0;
    for (mut after, before) in woken(&world).into_iter().zip(before) {
        for (reason, count) in before {
            *after.entry(reason).or_default() -= count;
        }
        after.retain(|_, count| *count > 0);
        assert_eq!(after.keys().copied().collect::<Vec<_>>(), ["consent check"]);
        let checks = after["consent check"];
        assert!((1..=MOST_CHECKS).contains(&checks), "{checks} checks");
        total += checks;
    }
    assert_eq!(sent, 2 * total, "each check has an answer");
    let per_minute = |count: u64| count as f64 / MINUTES as f64 / 2.0;
    writeln!(
        std::io::stdout(),
        "idle, a minute and peer: {:.1} wake-ups by a deadline, {:.1} packets sent, {:.1} received",
        per_minute(total),
        per_minute(sent),
        per_minute(sent),
    )
    .unwrap();
}

fn packets(entries: &[Entry]) -> u64 {
    entries.iter().filter(|entry| matches!(entry, Entry::Sent { .. })).count() as u64
}
