//! What two connections have to say to each other.

use driver_async_std::Event;
use driver_async_std::peer_core::{
    DataChannelOptions, DataChannelState, Message, PeerConnectionState, PeerEvent, Reliability, SignalingState,
};
use futures_util::StreamExt;

use crate::support::{Pair, connection, negotiate, next_channel, next_event, options, run};

#[test]
fn text_bytes_and_empty_messages_are_echoed_in_order() {
    run(async {
        let pair = Pair::connected(options()).await;
        let echo = pair.right_channel.clone();
        let echoing = async_std::task::spawn(async move {
            while let Some(message) = echo.next_message().await {
                echo.send(message).await.unwrap();
            }
        });
        let messages =
            [Message::text("grüße"), Message::binary(vec![7; 200_000]), Message::text(""), Message::binary("")];
        for message in &messages {
            pair.left_channel.send(message.clone()).await.unwrap();
        }
        let received: Vec<Message> = pair.left_channel.clone().take(messages.len()).collect().await;
        assert_eq!(received, messages);
        pair.left_channel.close().await;
        echoing.await;
    });
}

#[test]
fn candidates_can_be_trickled() {
    run(async {
        let (left, right) = (connection(options()), connection(options()));
        let (mut left_events, mut right_events) = (left.events(), right.events());
        let channel = left.create_data_channel(DataChannelOptions::new("trickled")).await.unwrap();
        let offer = left.create_offer().await.unwrap();
        assert!(!offer.sdp.contains("a=candidate"));
        left.set_local_description(offer.clone()).await.unwrap();
        right.set_remote_description(offer).await.unwrap();
        let answer = right.create_answer().await.unwrap();
        right.set_local_description(answer.clone()).await.unwrap();
        left.set_remote_description(answer).await.unwrap();
        for (events, other) in [(&mut left_events, &right), (&mut right_events, &left)] {
            while let PeerEvent::IceCandidate(Some(candidate)) =
                next_event(events, |event| matches!(event, PeerEvent::IceCandidate(_))).await
            {
                other.add_ice_candidate(candidate.to_init()).await.unwrap();
            }
        }
        assert!(channel.opened().await);
    });
}

#[test]
fn a_channel_has_the_properties_it_was_created_with_on_both_sides() {
    run(async {
        let mut pair = Pair::connected(options()).await;
        let options = DataChannelOptions {
            protocol: "game".to_owned(),
            ordered: false,
            reliability: Reliability::MaxRetransmits(3),
            ..DataChannelOptions::new("second")
        };
        let left = pair.left.create_data_channel(options).await.unwrap();
        let right = next_channel(&mut pair.right_events).await;
        assert!(left.opened().await);
        for channel in [&left, &right] {
            assert_eq!((channel.label(), channel.protocol(), channel.ordered()), ("second", "game", false));
            assert_eq!(channel.reliability(), Reliability::MaxRetransmits(3));
            assert_eq!((channel.ready_state(), channel.negotiated()), (DataChannelState::Open, false));
            assert!(channel.opened().await);
        }
        assert_eq!(left.id(), right.id());
        assert!(left.id().is_some());
    });
}

#[test]
fn states_and_statistics_tell_how_the_connection_stands() {
    run(async {
        let mut pair = Pair::connected(options()).await;
        let connected = PeerEvent::ConnectionStateChange(PeerConnectionState::Connected);
        next_event(&mut pair.left_events, |event| *event == connected).await;
        assert_eq!(pair.left.connection_state().await, PeerConnectionState::Connected);
        assert_eq!(pair.left.signaling_state().await, SignalingState::Stable);
        assert_eq!(pair.left.max_message_size().await, Some(262_144));
        pair.left_channel.send(Message::text("counted")).await.unwrap();
        assert_eq!(pair.left_channel.statistics().await.unwrap().messages_sent, 1);
        assert_eq!(pair.right_channel.next_message().await, Some(Message::text("counted")));
        let sockets = pair.right.socket_statistics().await.unwrap();
        assert!(sockets.datagrams_received > 0 && sockets.bytes_sent > 0, "{sockets:?}");
        assert!(pair.right.statistics().await.unwrap().transport.selected_candidate_pair.is_some());
    });
}

/// Nomination and the first channel come in either order (RFC 8445 §12.1), so no event is passed over in search of another.
#[test]
fn both_sides_are_told_of_the_selected_pair() {
    run(async {
        let (left, right) = (connection(options()), connection(options()));
        let (mut left_events, mut right_events) = (left.events(), right.events());
        let _channel = left.create_data_channel(DataChannelOptions::new("first")).await.unwrap();
        negotiate(&left, &mut left_events, &right, &mut right_events).await;
        for events in [&mut left_events, &mut right_events] {
            next_event(events, |event| matches!(event, PeerEvent::SelectedCandidatePairChange(_))).await;
        }
    });
}

#[test]
fn streams_of_events_share_one_queue_that_begins_with_the_connection() {
    run(async {
        let connection = connection(options());
        let _channel = connection.create_data_channel(DataChannelOptions::new("early")).await.unwrap();
        connection.set_local_description(None).await.unwrap();
        let (mut one, mut other) = (connection.events(), connection.events());
        let Some(Event::Peer(first)) = one.next().await else { panic!("an event") };
        let Some(Event::Peer(second)) = other.next().await else { panic!("an event") };
        assert_ne!(first, second);
    });
}
