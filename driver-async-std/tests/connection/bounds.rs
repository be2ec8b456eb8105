//! Every queue has a bound, and what is left without a reader goes.

use std::collections::BTreeSet;

use driver_async_std::peer_core::{DataChannelOptions, InterfaceAddress, Message, PeerEvent, SendError};
use driver_async_std::{DataChannel, Options};
use futures_util::StreamExt;
use futures_util::future::{join, join_all};

use crate::support::{Pair, connection, next_channel, next_event, options, run};

#[test]
fn sends_beyond_the_bound_are_refused_and_the_others_get_through() {
    run(async {
        let pair = Pair::connected(Options { send_buffer: 100_000, receive_buffer: 1, ..options() }).await;
        let size = 200_000;
        // 40 or so fit on the way, 64 wait.
        let sends = join_all((0..300).map(|_| pair.left_channel.send(Message::binary(vec![1; size]))));
        let receiving = async {
            // The refused ones are answered while nobody reads.
            while pair.left.statistics().await.unwrap().secure.send_buffer_used == 0 {}
            for _ in 0..1_000 {
                pair.left.signaling_state().await;
            }
            let mut received = 0;
            let mut messages = pair.right_channel.clone();
            while messages.next().await.is_some_and(|message| message.kind == Message::binary("").kind) {
                received += 1;
            }
            received
        };
        let sending = async {
            let results = sends.await;
            pair.left_channel.send(Message::text("end")).await.unwrap();
            results
        };
        let (results, received) = join(sending, receiving).await;
        let refused = results.iter().filter(|result| **result == Err(SendError::BufferFull)).count();
        let taken = results.iter().filter(|result| result.is_ok()).count();
        assert!(refused > 0 && taken >= DataChannel::MAX_WAITING_SENDS, "{refused} {taken}");
        assert_eq!((refused + taken, received), (300, taken));
    });
}

#[test]
fn a_queue_of_one_event_loses_none() {
    run(async {
        let mut pair = Pair::with_options(options(), Options { event_capacity: 1, ..options() }).await;
        let mut created = Vec::new();
        for number in 0..50 {
            created.push(pair.left.create_data_channel(DataChannelOptions::new(number.to_string())).await.unwrap());
        }
        // Each opens on a stream of its own: nothing keeps them in order.
        let mut labels = BTreeSet::new();
        while labels.len() < 50 {
            labels.insert(next_channel(&mut pair.right_events).await.label().to_owned());
        }
        assert_eq!(labels, (0..50).map(|number| number.to_string()).collect());
    });
}

#[test]
fn a_channel_whose_last_handle_is_dropped_is_closed() {
    run(async {
        let mut pair = Pair::connected(options()).await;
        let clone = pair.left_channel.clone();
        drop(pair.left_channel);
        clone.send(Message::text("last")).await.unwrap();
        drop(clone);
        assert_eq!(pair.right_channel.next_message().await, Some(Message::text("last")));
        assert_eq!(pair.right_channel.next_message().await, None);
        // The connection lives on.
        let next = pair.left.create_data_channel(DataChannelOptions::new("next")).await.unwrap();
        assert!(next.opened().await);
        assert_eq!(next_channel(&mut pair.right_events).await.label(), "next");
    });
}

#[test]
fn channels_are_closed_that_nobody_can_learn_of() {
    run(async {
        let pair = Pair::connected(options()).await;
        drop(pair.right_events);
        let unknown = pair.left.create_data_channel(DataChannelOptions::new("unknown")).await.unwrap();
        unknown.closed().await;
        assert!(pair.right.events().next().await.is_none());
        pair.left_channel.send(Message::text("still there")).await.unwrap();
        assert_eq!(pair.right_channel.next_message().await, Some(Message::text("still there")));
    });
}

#[test]
fn channels_are_closed_that_wait_to_be_learned_of_when_nobody_can_any_more() {
    run(async {
        let pair = Pair::connected(options()).await;
        let unknown = pair.left.create_data_channel(DataChannelOptions::new("unknown")).await.unwrap();
        assert!(unknown.opened().await);
        while pair.right.statistics().await.unwrap().secure.channels_opened < 2 {}
        drop(pair.right_events);
        unknown.closed().await;
        pair.left_channel.send(Message::text("still there")).await.unwrap();
        assert_eq!(pair.right_channel.next_message().await, Some(Message::text("still there")));
    });
}

#[test]
fn a_socket_that_cannot_be_opened_is_reported() {
    run(async {
        let elsewhere = InterfaceAddress::new("203.0.113.77".parse().unwrap());
        let connection = connection(Options { interfaces: Some(vec![elsewhere]), ..options() });
        let _channel = connection.create_data_channel(DataChannelOptions::new("")).await.unwrap();
        connection.set_local_description(None).await.unwrap();
        let mut events = connection.events();
        let event = next_event(&mut events, |event| matches!(event, PeerEvent::IceCandidateError(_))).await;
        let PeerEvent::IceCandidateError(error) = event else { panic!("{event:?}") };
        assert!(format!("{error:?}").contains("203.0.113.77"), "{error:?}");
        next_event(&mut events, |event| matches!(event, PeerEvent::IceCandidate(None))).await;
    });
}

#[test]
fn sockets_are_opened_inside_the_port_range_and_one_beyond_is_a_candidate_error() {
    run(async {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let inside = Options { port_range: Some(port..=port), ..options() };
        let taken = connection(inside.clone());
        let mut events = taken.events();
        let _channel = taken.create_data_channel(DataChannelOptions::new("test")).await.unwrap();
        taken.set_local_description(None).await.unwrap();
        let error = next_event(&mut events, |event| matches!(event, PeerEvent::IceCandidateError(_))).await;
        let PeerEvent::IceCandidateError(error) = error else { panic!("{error:?}") };
        assert_eq!(error.error_text, format!("no UDP port from {port} to {port} is free at 127.0.0.1"));
        drop(socket);
        let free = connection(inside);
        let mut events = free.events();
        let _channel = free.create_data_channel(DataChannelOptions::new("test")).await.unwrap();
        free.set_local_description(None).await.unwrap();
        let candidate = next_event(&mut events, |event| matches!(event, PeerEvent::IceCandidate(_))).await;
        let PeerEvent::IceCandidate(Some(candidate)) = candidate else { panic!("{candidate:?}") };
        assert!(candidate.candidate.contains(&format!(" 127.0.0.1 {port} typ host")), "{}", candidate.candidate);
    });
}
