use super::*;
use crate::behaviour::Delivery;

const NOW: Timestamp = Timestamp::from_millis(5);

fn test_of(kind: Kind, size: usize) -> EchoTestCommand {
    EchoTestCommand { id: Some(7.into()), label: "x".to_owned(), kind, size, timeout: 100 }
}

fn flood_of(acknowledgement: Option<Duration>) -> Flood {
    Flood { id: None, message_size: 8, acknowledgement, is_main: false, deadline: None }
}

/// All that the channel wants to send.
fn sent(channel: &mut Channel) -> Vec<Message> {
    let mut messages = Vec::new();
    channel.behaviour.pump(NOW, |message| {
        messages.push(message);
        Delivery::Taken
    });
    messages
}

/// What is reported when this message comes.
fn reports(channel: &mut Channel, message: Message) -> Vec<Event> {
    let mut events = Vec::new();
    assert_eq!(channel.handle_message(NOW, message, &mut |event| events.push(event)), Request::Pump);
    events
}

fn echo_ok(events: &[Event]) -> Vec<bool> {
    let ok = |event: &Event| match event {
        Event::EchoResult { ok, .. } => *ok,
        other => panic!("{other:?}"),
    };
    events.iter().map(ok).collect()
}

#[test]
fn an_echo_test_passes_when_its_message_comes_back_and_fails_when_another_of_its_size_does() {
    let mut channel = Channel::new("x", true, Reliability::Reliable, true);
    for _ in 0..2 {
        channel.begin_echo_test(NOW, &test_of(Kind::Binary, 50)).unwrap();
    }
    let messages = sent(&mut channel);
    assert_eq!(messages.len(), 2);
    assert_eq!(echo_ok(&reports(&mut channel, messages[1].clone())), [true]);
    let broken = pattern(Kind::Binary, 50, 99);
    assert_eq!(echo_ok(&reports(&mut channel, broken)), [false]);
    assert_eq!(channel.deadline(), None);
}

#[test]
fn from_an_echo_test_on_a_channel_does_not_echo() {
    let mut channel = Channel::new("x", true, Reliability::Reliable, true);
    channel.begin_echo_test(NOW, &test_of(Kind::Text, 3)).unwrap();
    sent(&mut channel);
    assert_eq!(reports(&mut channel, Message::text("other")), []);
    assert_eq!(sent(&mut channel), []);
}

#[test]
fn an_echo_test_fails_at_its_time_out_and_when_the_channel_closes() {
    let mut channel = Channel::new("x", true, Reliability::Reliable, true);
    channel.begin_echo_test(NOW, &test_of(Kind::Text, 3)).unwrap();
    let deadline = channel.deadline().unwrap();
    assert_eq!(deadline, NOW + Duration::from_millis(100));
    let mut events = Vec::new();
    channel.handle_timeout(deadline, &mut |event| events.push(event));
    channel.begin_echo_test(NOW, &test_of(Kind::Text, 3)).unwrap();
    assert_eq!(channel.give_up(&mut |event| events.push(event)), None);
    assert_eq!(echo_ok(&events), [false, false]);
}

#[test]
fn no_more_echo_tests_run_than_may() {
    let mut channel = Channel::new("x", true, Reliability::Reliable, true);
    for _ in 0..MAX_ECHO_TESTS {
        channel.begin_echo_test(NOW, &test_of(Kind::Text, 0)).unwrap();
    }
    assert!(channel.begin_echo_test(NOW, &test_of(Kind::Text, 0)).is_err());
    assert_eq!(sent(&mut channel).len(), MAX_ECHO_TESTS);
}

#[test]
fn a_flood_that_lost_something_is_not_ok_and_order_counts_only_where_it_is_promised() {
    for (ordered, acknowledgement, expected) in [
        (true, "flood-ack 8 1 1", true),
        (true, "flood-ack 8 1 0", false),
        (false, "flood-ack 8 1 0", true),
        (false, "flood-ack 7 1 1", false),
    ] {
        let mut channel = Channel::new("x", ordered, Reliability::Reliable, true);
        channel.begin_flood(8, flood_of(Some(Duration::from_secs(1)))).unwrap();
        sent(&mut channel);
        assert_eq!(channel.ended_flood(NOW, || true), None);
        assert_eq!(reports(&mut channel, Message::text(acknowledgement)), []);
        assert_eq!(channel.ended_flood(NOW, || true).unwrap().result.ok, expected, "{ordered} {acknowledgement}");
    }
}

#[test]
fn a_flood_without_acknowledgement_ends_when_it_is_delivered_and_one_with_it_fails_after_its_time() {
    let mut channel = Channel::new("x", true, Reliability::Reliable, true);
    channel.begin_flood(8, flood_of(None)).unwrap();
    assert_eq!(channel.ended_flood(NOW, || true), None, "it is not sent yet");
    sent(&mut channel);
    assert_eq!(channel.ended_flood(NOW, || false), None);
    assert!(channel.ended_flood(NOW, || true).unwrap().result.ok);

    channel.begin_flood(8, flood_of(Some(Duration::from_millis(9)))).unwrap();
    sent(&mut channel);
    assert_eq!(channel.ended_flood(NOW, || true), None);
    let deadline = channel.deadline().unwrap();
    assert_eq!(deadline, NOW + Duration::from_millis(9));
    assert!(!channel.ended_flood(deadline, || true).unwrap().result.ok);
    assert_eq!(channel.deadline(), None);
}

#[test]
fn nothing_is_sent_between_the_messages_of_a_flood() {
    let mut channel = Channel::new("x", true, Reliability::Reliable, true);
    channel.begin_flood(8, flood_of(None)).unwrap();
    assert!(channel.send(Message::text("x")).is_err());
    assert!(channel.begin_echo_test(NOW, &test_of(Kind::Text, 0)).is_err());
    assert!(channel.begin_flood(8, flood_of(None)).is_err());
    assert_eq!(sent(&mut channel).len(), 3);
}
