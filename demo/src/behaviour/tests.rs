use super::*;

const NOW: Timestamp = Timestamp::from_millis(5);

/// All that the behaviour wants to send on a channel that always has room.
fn sent(behaviour: &mut ChannelBehaviour) -> Vec<Message> {
    let mut messages = Vec::new();
    behaviour.pump(NOW, |message| {
        messages.push(message);
        Delivery::Taken
    });
    messages
}

fn answers(label: &str, message: Message) -> Vec<Message> {
    let mut behaviour = ChannelBehaviour::new(label);
    assert_eq!(behaviour.handle_message(NOW, message), Request::Pump);
    sent(&mut behaviour)
}

/// A message of a flood.
fn numbered(counter: u32, size: usize) -> Message {
    let mut payload = vec![0; size];
    payload[..4].copy_from_slice(&counter.to_be_bytes());
    Message::binary(payload)
}

#[test]
fn text_binary_and_empty_messages_come_back_as_what_they_are() {
    for message in
        [Message::text("hi"), Message::binary(vec![0, 255]), Message::text(""), Message::binary(Bytes::new())]
    {
        assert_eq!(answers("chat", message.clone()), [message]);
    }
}

#[test]
fn a_sink_counts_and_says_nothing() {
    let mut behaviour = ChannelBehaviour::new("sink-1");
    for message in [Message::text("hi"), Message::binary(vec![1, 2, 3])] {
        assert_eq!(behaviour.handle_message(NOW, message), Request::Pump);
    }
    assert_eq!(sent(&mut behaviour), []);
    assert_eq!(behaviour.received(), Count { messages: 2, bytes: 5 });
}

#[test]
fn a_flood_is_acknowledged_with_bytes_time_and_order() {
    for label in ["chat", "sink", "flood"] {
        let mut behaviour = ChannelBehaviour::new(label);
        let messages = [Message::text("flood-begin 24"), numbered(0, 8), numbered(1, 12), numbered(2, 4)];
        for message in messages {
            assert_eq!(behaviour.handle_message(NOW, message), Request::Pump);
        }
        let end = NOW + Duration::from_millis(70);
        assert_eq!(behaviour.handle_message(end, Message::text("flood-end")), Request::Pump);
        assert_eq!(sent(&mut behaviour), [Message::text("flood-ack 24 70 1")], "on {label}");
    }
}

#[test]
fn a_flood_with_a_gap_or_without_a_counter_is_not_in_order() {
    for broken in [numbered(7, 8), Message::binary(vec![0, 0, 1])] {
        let mut behaviour = ChannelBehaviour::new("sink");
        for message in [Message::text("flood-begin 8"), numbered(0, 8), broken.clone(), Message::text("flood-end")] {
            assert_eq!(behaviour.handle_message(NOW, message), Request::Pump);
        }
        let bytes = 8 + broken.payload.len();
        assert_eq!(sent(&mut behaviour), [Message::text(format!("flood-ack {bytes} 0 0"))]);
    }
}

#[test]
fn words_of_the_flood_protocol_out_of_place_are_echoed_as_any_text() {
    for text in ["flood-end", "flood-begin", "flood-begin x", "flood-begin 1 2", "flood-ack 1 1 1", "please-flood 9 9"]
    {
        assert_eq!(answers("chat", Message::text(text)), [Message::text(text)]);
    }
}

#[test]
fn a_flood_can_be_asked_for_on_a_flood_channel() {
    let mut behaviour = ChannelBehaviour::new("flood-1");
    assert_eq!(behaviour.handle_message(NOW, Message::text("please-flood 20 8")), Request::Pump);
    let messages = sent(&mut behaviour);
    assert_eq!(messages.first(), Some(&Message::text("flood-begin 20")));
    assert_eq!(messages.last(), Some(&Message::text("flood-end")));
    let body = &messages[1..messages.len() - 1];
    assert_eq!(body.iter().map(|message| message.payload.len()).collect::<Vec<_>>(), [8, 8, 4]);
    for (counter, message) in (0_u32..).zip(body) {
        assert_eq!(message.payload[..4], counter.to_be_bytes());
    }

    let later = NOW + Duration::from_millis(9);
    assert_eq!(behaviour.handle_message(later, Message::text("flood-ack 20 8 1")), Request::Pump);
    let whole: Vec<u8> = body.iter().flat_map(|message| message.payload.to_vec()).collect();
    let crc32c = crc32c::crc32c(&whole);
    let outcome = FloodOutcome { sent: 20, received: 20, in_order: true, crc32c, elapsed: Duration::from_millis(9) };
    assert_eq!(behaviour.last_flood(), Some(outcome));
    assert!(behaviour.flood(1, 16), "the next flood may begin");
}

#[test]
fn what_flood_announces_is_what_it_sends_even_if_the_rest_is_smaller_than_a_counter() {
    let mut behaviour = ChannelBehaviour::new("flood");
    assert!(behaviour.flood(9, 8));
    let messages = sent(&mut behaviour);
    let body: usize = messages.iter().filter(|m| m.kind == MessageKind::Binary).map(|m| m.payload.len()).sum();
    assert_eq!(messages[0], Message::text(format!("flood-begin {body}")));
}

#[test]
fn a_flood_is_refused_with_its_limits_while_another_runs_or_if_its_messages_are_out_of_range() {
    let mut behaviour = ChannelBehaviour::new("flood");
    assert!(!behaviour.flood(10, MIN_FLOOD_MESSAGE - 1));
    assert!(!behaviour.flood(10, MAX_FLOOD_MESSAGE + 1));
    assert!(behaviour.flood(0, MAX_FLOOD_MESSAGE));
    assert_eq!(behaviour.handle_message(NOW, Message::text("please-flood 10 8")), Request::Pump);
    let refusal = sent(&mut behaviour).into_iter().next().unwrap();
    assert!(refusal.as_text().unwrap().contains("262144"), "{refusal:?}");
}

#[test]
fn a_full_channel_holds_a_flood_back_and_nothing_is_lost() {
    let mut behaviour = ChannelBehaviour::new("flood");
    assert!(behaviour.flood(40, 8));
    let mut taken = Vec::new();
    for _ in 0..7 {
        let mut room = 1;
        behaviour.pump(NOW, |message| {
            if room == 0 {
                return Delivery::Full(message);
            }
            room -= 1;
            taken.push(message);
            Delivery::Taken
        });
    }
    let mut unhindered = ChannelBehaviour::new("flood");
    assert!(unhindered.flood(40, 8));
    assert_eq!(taken, sent(&mut unhindered));
}

#[test]
fn echoes_wait_in_order_while_the_channel_is_full() {
    let mut behaviour = ChannelBehaviour::new("chat");
    for text in ["one", "two"] {
        assert_eq!(behaviour.handle_message(NOW, Message::text(text)), Request::Pump);
        behaviour.pump(NOW, Delivery::Full);
    }
    assert_eq!(behaviour.waiting_bytes(), 6 + 2 * MESSAGE_COST);
    assert_eq!(sent(&mut behaviour), [Message::text("one"), Message::text("two")]);
    assert_eq!(behaviour.waiting_bytes(), 0);
}

#[test]
fn more_echoes_than_may_wait_end_the_channel() {
    let mut behaviour = ChannelBehaviour::new("chat");
    let large = Message::binary(vec![0; MAX_WAITING_BYTES - MESSAGE_COST]);
    assert_eq!(behaviour.handle_message(NOW, large), Request::Pump);
    assert_eq!(behaviour.handle_message(NOW, Message::text("x")), Request::Overflow);
    assert_eq!(behaviour.waiting_bytes(), MAX_WAITING_BYTES);
}

#[test]
fn more_empty_echoes_than_may_wait_end_the_channel() {
    let mut behaviour = ChannelBehaviour::new("chat");
    for _ in 0..MAX_WAITING_MESSAGES {
        assert_eq!(behaviour.handle_message(NOW, Message::text("")), Request::Pump);
    }
    assert_eq!(behaviour.handle_message(NOW, Message::text("")), Request::Overflow);
}

#[test]
fn a_channel_closes_when_asked_to() {
    let mut behaviour = ChannelBehaviour::new("chat");
    assert_eq!(behaviour.handle_message(NOW, Message::text("please-close")), Request::Close);
}

#[test]
fn an_unasked_behaviour_takes_the_wishes_of_pages_for_text() {
    let mut behaviour = ChannelBehaviour::unasked(true);
    let wishes = [Message::text("please-close"), Message::text("please-flood 20 8")];
    for wish in wishes.clone() {
        assert_eq!(behaviour.handle_message(NOW, wish), Request::Pump);
    }
    assert_eq!(sent(&mut behaviour), wishes);
}

#[test]
fn a_flood_that_came_in_is_told_once_with_its_messages_and_bytes() {
    let mut behaviour = ChannelBehaviour::unasked(true);
    for message in [Message::text("flood-begin 20"), numbered(0, 8), numbered(1, 12)] {
        assert_eq!(behaviour.handle_message(NOW, message), Request::Pump);
    }
    assert!(behaviour.is_receiving_flood());
    let end = NOW + Duration::from_millis(7);
    assert_eq!(behaviour.handle_message(end, Message::text("flood-end")), Request::Pump);
    let count = Count { messages: 2, bytes: 20 };
    let whole = [numbered(0, 8).payload, numbered(1, 12).payload].concat();
    let crc32c = crc32c::crc32c(&whole);
    let flood = ReceivedFlood { count, in_order: true, crc32c, elapsed: Duration::from_millis(7) };
    assert_eq!(behaviour.take_received_flood(), Some(flood));
    assert_eq!((behaviour.take_received_flood(), behaviour.is_receiving_flood()), (None, false));
}

#[test]
fn messages_of_a_flood_are_of_the_size_that_was_asked_for_and_like_none_of_their_neighbours() {
    for size in [MIN_FLOOD_MESSAGE, 1000, MAX_FLOOD_MESSAGE] {
        for counter in [0, 1, 65_535, 65_536, u32::MAX] {
            let message = flood_message(counter, size);
            assert_eq!(message.len(), size);
            let next = flood_message(counter.wrapping_add(1), size);
            let alike = message.iter().zip(&next).skip(MIN_FLOOD_MESSAGE).filter(|(one, other)| one == other).count();
            assert!(alike <= size / 100, "{counter}: {alike} of {size} bytes");
        }
    }
}

#[test]
fn the_acknowledgement_of_a_flood_that_was_given_up_is_no_text_to_echo() {
    let mut behaviour = ChannelBehaviour::unasked(true);
    assert!(behaviour.flood(8, 8));
    assert_eq!(behaviour.flood_progress(), FloodProgress::Sending);
    sent(&mut behaviour);
    assert_eq!(behaviour.flood_progress(), FloodProgress::AwaitAcknowledgement { bytes: 8, began: NOW });
    behaviour.give_up_flood(Reliability::Reliable);
    assert_eq!(behaviour.flood_progress(), FloodProgress::Idle);
    for echoed in [vec![], vec![Message::text("flood-ack 8 1 1")]] {
        assert_eq!(behaviour.handle_message(NOW, Message::text("flood-ack 8 1 1")), Request::Pump);
        assert_eq!(sent(&mut behaviour), echoed);
    }
    assert_eq!(behaviour.last_flood(), None);
}

#[test]
fn where_the_acknowledgement_of_a_flood_may_be_lost_the_next_one_counts() {
    let mut behaviour = ChannelBehaviour::unasked(true);
    for _ in 0..2 {
        assert!(behaviour.flood(8, 8));
        sent(&mut behaviour);
        behaviour.give_up_flood(Reliability::MaxRetransmits(0));
    }
    assert!(behaviour.flood(8, 8));
    sent(&mut behaviour);
    assert_eq!(behaviour.handle_message(NOW, Message::text("flood-ack 8 1 1")), Request::Pump);
    assert_eq!(behaviour.last_flood().map(|flood| flood.received), Some(8));
}

#[test]
fn a_flood_of_messages_that_are_too_large_for_the_other_side_ends_with_the_first() {
    let mut behaviour = ChannelBehaviour::new("flood");
    assert!(behaviour.flood(u64::MAX, MAX_FLOOD_MESSAGE));
    let mut refused = 0;
    behaviour.pump(NOW, |message| {
        if message.kind == MessageKind::Text {
            return Delivery::Taken;
        }
        refused += 1;
        Delivery::TooLarge
    });
    assert_eq!((refused, behaviour.flood_progress()), (1, FloodProgress::Idle));
}

#[test]
fn whoever_stops_to_echo_still_sends_what_it_is_told_to() {
    let mut behaviour = ChannelBehaviour::unasked(true);
    behaviour.stop_echoing();
    assert_eq!(behaviour.handle_message(NOW, Message::text("in")), Request::Pump);
    assert_eq!(behaviour.send(Message::text("out")), Request::Pump);
    assert!(behaviour.has_waiting());
    assert_eq!(sent(&mut behaviour), [Message::text("out")]);
}
