//! How connections and channels end.

use driver_async_std::peer_core::{
    AddIceCandidateError, CreateDataChannelError, CreateDescriptionError, DataChannelOptions, DataChannelState,
    IceCandidateInit, IceServer, Message, PeerConnectionState, SendError, SetDescriptionError, SignalingState,
};
use driver_async_std::{NewConnectionError, PeerConnection};

use crate::support::{Pair, configuration, connection, negotiate, options, run};

#[test]
fn a_channel_closed_here_ends_there_after_its_last_message() {
    run(async {
        let pair = Pair::connected(options()).await;
        pair.left_channel.send(Message::text("last")).await.unwrap();
        pair.left_channel.close().await;
        assert_eq!(pair.right_channel.next_message().await, Some(Message::text("last")));
        assert_eq!(pair.right_channel.next_message().await, None);
        pair.left_channel.closed().await;
        assert_eq!(pair.left_channel.ready_state(), DataChannelState::Closed);
        assert_eq!((pair.left_channel.failure(), pair.right_channel.failure()), (None, None));
        assert_eq!(pair.left_channel.send(Message::text("late")).await, Err(SendError::UnknownChannel));
    });
}

#[test]
fn a_channel_that_was_closed_before_anybody_looked_has_opened_all_the_same() {
    run(async {
        let (left, right) = (connection(options()), connection(options()));
        let (mut left_events, mut right_events) = (left.events(), right.events());
        let options = DataChannelOptions { negotiated: Some(0), ..DataChannelOptions::new("brief") };
        let talks = left.create_data_channel(options.clone()).await.unwrap();
        let listens = right.create_data_channel(options).await.unwrap();
        negotiate(&left, &mut left_events, &right, &mut right_events).await;
        assert!(talks.opened().await);
        talks.send(Message::text("last")).await.unwrap();
        talks.close().await;
        listens.closed().await;
        assert!(listens.opened().await && talks.opened().await);
        assert_eq!(listens.next_message().await, Some(Message::text("last")));
        assert_eq!(listens.next_message().await, None);
    });
}

#[test]
fn a_channel_that_closes_before_there_is_a_connection_has_not_opened() {
    run(async {
        let connection = connection(options());
        let channel = connection.create_data_channel(DataChannelOptions::new("never")).await.unwrap();
        connection.close().await;
        assert!(!channel.opened().await);
    });
}

#[test]
fn a_connection_closed_here_ends_channels_there_with_a_failure() {
    run(async {
        let pair = Pair::connected(options()).await;
        pair.left.close().await;
        assert_eq!(pair.right_channel.next_message().await, None);
        pair.right_channel.closed().await;
        assert!(pair.right_channel.failure().is_some());
    });
}

#[test]
fn dropping_the_last_handle_closes_the_connection() {
    run(async {
        let Pair { left, left_events, left_channel, right_channel, right, .. } = Pair::connected(options()).await;
        let mut left_events = left_events;
        drop(left);
        // A channel is a handle, too.
        left_channel.send(Message::text("still there")).await.unwrap();
        assert_eq!(right_channel.next_message().await, Some(Message::text("still there")));
        drop(left_channel);
        assert_eq!(right_channel.next_message().await, None);
        // Events are none.
        while left_events.next().await.is_some() {}
        drop(right);
    });
}

#[test]
fn whoever_waits_is_released_when_the_connection_is_closed() {
    run(async {
        let mut pair = Pair::connected(options()).await;
        let channel = pair.left_channel.clone();
        let waiting = async_std::task::spawn(async move { channel.next_message().await });
        let events = async_std::task::spawn(async move { while pair.left_events.next().await.is_some() {} });
        pair.left.close().await;
        assert_eq!(waiting.await, None);
        events.await;
        pair.left_channel.closed().await;
    });
}

#[test]
fn a_closed_connection_refuses_every_command_by_the_name_of_the_standard() {
    run(async {
        let connection = PeerConnection::with_options(configuration(), options()).unwrap();
        let offer = {
            let _channel = connection.create_data_channel(DataChannelOptions::new("")).await.unwrap();
            connection.create_offer().await.unwrap()
        };
        connection.close().await;
        connection.close().await;
        let closed = CreateDescriptionError::InvalidState(SignalingState::Closed);
        assert_eq!(connection.create_offer().await, Err(closed.clone()));
        assert_eq!(connection.create_answer().await, Err(closed));
        assert_eq!(connection.set_local_description(None).await, Err(SetDescriptionError::Closed));
        assert_eq!(connection.set_remote_description(offer).await, Err(SetDescriptionError::Closed));
        let added = connection.add_ice_candidate(IceCandidateInit::default()).await;
        assert_eq!(added, Err(AddIceCandidateError::Closed));
        let created = connection.create_data_channel(DataChannelOptions::new("")).await;
        assert_eq!(created.err(), Some(CreateDataChannelError::Closed));
        assert_eq!(connection.connection_state().await, PeerConnectionState::Closed);
        assert_eq!(connection.local_description().await, None);
        let mut events = connection.events();
        while events.next().await.is_some() {}
    });
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused() {
    let mut configuration = configuration();
    configuration.ice_servers = vec![IceServer { urls: vec!["http://example.org".to_owned()], ..IceServer::default() }];
    assert!(matches!(PeerConnection::new(configuration), Err(NewConnectionError::Configuration(_))));
}
