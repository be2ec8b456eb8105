//! Two peers from the first offer to the last packet, as their applications see it.

use std::time::Duration;

use peer_core::{
    DataChannelOptions, DataChannelState, IceConnectionState, IceGatheringState, Message, PeerConnectionState,
    PeerEvent, SctpSetUp, SendError, SignalingState,
};
use proto_machine::{Machine, Timestamp, TransmitBuffer};

use crate::support::{Pair, peer};

#[test]
fn the_states_move_along_the_edges_of_the_specification_and_end_connected() {
    let mut pair = Pair::connected();
    pair.world.run_for(Duration::from_secs(3));
    let (left, right) = (pair.left, pair.right);
    for (side, signaling) in [
        (left, vec![SignalingState::HaveLocalOffer, SignalingState::Stable]),
        (right, vec![SignalingState::HaveRemoteOffer, SignalingState::Stable]),
    ] {
        let events = &pair.observer(side).events;
        let of = |pick: fn(&PeerEvent) -> Option<String>| events.iter().filter_map(pick).collect::<Vec<_>>();
        let seen = of(|event| match event {
            PeerEvent::SignalingStateChange(state) => Some(state.to_string()),
            _ => None,
        });
        assert_eq!(seen, signaling.iter().map(SignalingState::to_string).collect::<Vec<_>>());
        let ice = of(|event| match event {
            PeerEvent::IceConnectionStateChange(state) => Some(state.to_string()),
            _ => None,
        });
        assert_eq!(ice[..2], ["checking", "connected"], "{ice:?}");
        let connection = of(|event| match event {
            PeerEvent::ConnectionStateChange(state) => Some(state.to_string()),
            _ => None,
        });
        assert_eq!(connection, ["connecting", "connected"]);
        let gathering = of(|event| match event {
            PeerEvent::IceGatheringStateChange(state) => Some(format!("{state:?}")),
            _ => None,
        });
        assert_eq!(gathering, ["Gathering", "Complete"]);
        assert_eq!(pair.world.node(side).peer().ice_gathering_state(), IceGatheringState::Complete);
    }
}

#[test]
fn candidates_are_trickled_and_their_end_is_signalled() {
    let pair = Pair::connected();
    for side in [pair.left, pair.right] {
        let events = &pair.observer(side).events;
        let candidates: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                PeerEvent::IceCandidate(candidate) => {
                    Some(candidate.as_ref().map(|candidate| candidate.candidate.clone()))
                }
                _ => None,
            })
            .collect();
        assert!(candidates[0].as_ref().unwrap().contains(" typ host"), "{candidates:?}");
        assert_eq!(candidates[1..], [Some(String::new()), None]);
    }
}

#[test]
fn descriptions_gain_the_candidates_that_were_trickled_since() {
    let pair = Pair::connected();
    let local = pair.world.node(pair.left).peer().local_description().unwrap().sdp;
    let remote = pair.world.node(pair.right).peer().remote_description().unwrap().sdp;
    for sdp in [local, remote] {
        assert!(sdp.contains("typ host") && sdp.contains("a=end-of-candidates"), "{sdp}");
    }
}

#[test]
fn text_binary_and_empty_messages_arrive_as_what_they_are() {
    let mut pair = Pair::connected();
    let (left, right) = (pair.left, pair.right);
    let channel = pair.observer(left).channels[0];
    let sent = [
        Message::text("grüße"),
        Message::text(""),
        Message::binary(vec![0, 255]),
        Message::binary(vec![]),
        Message::binary(vec![7; 200_000]),
    ];
    for message in &sent {
        pair.send(left, channel, message.clone());
    }
    pair.run_until(|world| world.node(right).application().messages().len() == sent.len());
    let received: Vec<Message> = pair.observer(right).messages().into_iter().map(|(_, message)| message).collect();
    assert_eq!(received, sent);
}

#[test]
fn the_dtls_client_has_even_ids_and_the_server_odd_ones() {
    let mut pair = Pair::new(vec![DataChannelOptions::new("left")], vec![]);
    pair.run_until_open();
    let right = pair.right;
    let created =
        pair.command(right, |peer, now| peer.create_data_channel(now, DataChannelOptions::new("right")).unwrap());
    pair.run_until(|world| world.node(right).application().is_open(created));
    let id = |pair: &mut Pair, side, label: &str| {
        pair.command(side, |peer, _| {
            let found = peer.channels().find(|(_, view)| view.label == label).unwrap();
            found.1.id.unwrap()
        })
    };
    // The answerer is the DTLS client (JSEP §5.3.1).
    assert_eq!(id(&mut pair, right, "right") % 2, 0);
    let left = pair.left;
    assert_eq!(id(&mut pair, left, "left") % 2, 1);
}

#[test]
fn negotiated_channels_meet_without_an_announcement() {
    let options = || DataChannelOptions { negotiated: Some(7), ..DataChannelOptions::new("negotiated") };
    let mut pair = Pair::new(vec![options()], vec![options()]);
    pair.run_until_open();
    assert!(!pair.observer(pair.right).saw(|event| matches!(event, PeerEvent::DataChannel { .. })));
    pair.exchange("hello");
}

#[test]
fn a_channel_that_the_other_side_opened_is_open_before_its_event_and_has_its_label() {
    let options = DataChannelOptions { protocol: "p".to_owned(), ordered: false, ..DataChannelOptions::new("label") };
    let mut pair = Pair::new(vec![options], vec![]);
    pair.run_until_open();
    let channel = pair.observer(pair.right).channels[0];
    let right = pair.right;
    pair.command(right, |peer, _| {
        let handle = peer.channel(channel).unwrap();
        let view = handle.view().unwrap();
        assert_eq!((view.label, view.protocol, view.ordered), ("label", "p", false));
        assert_eq!(view.ready_state, DataChannelState::Open);
    });
}

#[test]
fn a_channel_closes_on_both_sides_after_what_was_sent_on_it() {
    let mut pair = Pair::connected();
    let (left, right) = (pair.left, pair.right);
    let channel = pair.observer(left).channels[0];
    pair.command(left, |peer, now| {
        let mut channel = peer.channel(channel).unwrap();
        channel.send(now, Message::text("last")).unwrap();
        channel.close(now).unwrap();
        assert_eq!(channel.send(now, Message::text("too late")), Err(SendError::NotOpen));
    });
    pair.run_until(|world| {
        let closed = |side: driver_sim::Handle<crate::support::Node>| {
            world.node(side).application().saw(|event| matches!(event, PeerEvent::ChannelClosed { .. }))
        };
        closed(left) && closed(right)
    });
    let last = pair.observer(right).messages();
    assert_eq!(last.into_iter().map(|(_, message)| message).collect::<Vec<_>>(), [Message::text("last")]);
    let connected = |side: driver_sim::Handle<crate::support::Node>| pair.world.node(side).peer().connection_state();
    assert_eq!([connected(left), connected(right)], [PeerConnectionState::Connected; 2]);
}

#[test]
fn closing_a_peer_ends_the_channels_of_the_other_with_an_error() {
    let mut pair = Pair::connected();
    let (left, right) = (pair.left, pair.right);
    pair.command(left, |peer, now| peer.close(now));
    assert_eq!(pair.world.node(left).peer().connection_state(), PeerConnectionState::Closed);
    assert!(pair.world.node(left).peer().is_closed());
    pair.run_until(|world| {
        world.node(right).application().saw(|event| matches!(event, PeerEvent::ChannelClosed { .. }))
    });
    let error = pair.observer(right).events.iter().position(|event| matches!(event, PeerEvent::ChannelError { .. }));
    let closed = pair.observer(right).events.iter().position(|event| matches!(event, PeerEvent::ChannelClosed { .. }));
    assert!(error.is_some() && error < closed, "an error comes before the close");
}

#[test]
fn a_peer_that_vanishes_is_disconnected_and_then_failed() {
    let mut pair = Pair::connected();
    // RFC 8863 §4: nothing fails before the PAC timer has run, 39.5 s from the start.
    pair.world.run_for(Duration::from_secs(60));
    let (left, right) = (pair.left, pair.right);
    let dead =
        driver_sim::LinkConfig { loss: driver_sim::Probability::percent(100), ..driver_sim::LinkConfig::default() };
    pair.world.set_link(left.id(), right.id(), dead);
    pair.world.set_link(right.id(), left.id(), dead);
    let reaches = |wanted| {
        move |world: &driver_sim::World<driver_sim::Signal>| world.node(left).peer().ice_connection_state() == wanted
    };
    pair.run_until(reaches(IceConnectionState::Disconnected));
    let start = pair.world.now();
    pair.run_until(reaches(IceConnectionState::Failed));
    // RFC 7675 §5.1: consent expires after 30 s.
    let taken = pair.world.now() - start;
    assert!(taken < Duration::from_secs(31), "{taken:?}");
    assert_eq!(pair.world.node(left).peer().connection_state(), PeerConnectionState::Failed);
}

#[test]
fn negotiation_is_needed_once_a_channel_exists_and_not_again_when_it_is_negotiated() {
    let now = Timestamp::ZERO;
    let mut lone = peer(1);
    assert!(lone.poll_event().is_none());
    lone.create_data_channel(now, DataChannelOptions::new("first")).unwrap();
    lone.create_data_channel(now, DataChannelOptions::new("second")).unwrap();
    assert_eq!(lone.poll_event(), Some(PeerEvent::NegotiationNeeded));
    assert_eq!(lone.poll_event(), None);

    let mut pair = Pair::connected();
    let left = pair.left;
    let before = pair.observer(left).events.len();
    pair.command(left, |peer, now| peer.create_data_channel(now, DataChannelOptions::new("late")).unwrap());
    pair.world.run_for(Duration::from_secs(1));
    assert!(!pair.observer(left).events[before..].contains(&PeerEvent::NegotiationNeeded));
}

#[test]
fn a_closed_peer_says_nothing_more() {
    let now = Timestamp::ZERO;
    let mut peer = peer(1);
    peer.create_data_channel(now, DataChannelOptions::new("test")).unwrap();
    peer.set_local_description(now, None).unwrap();
    peer.close(now);
    assert!(peer.poll_transmit(now, 1, &mut TransmitBuffer::new(1200)).is_none());
    assert!(peer.is_closed());
    assert_eq!(peer.poll_event(), None);
    assert_eq!(peer.poll_timeout(), None);
    assert_eq!(peer.signaling_state(), SignalingState::Closed);
    assert!(peer.create_data_channel(now, DataChannelOptions::new("late")).is_err());
    assert!(peer.create_offer().is_err());
}

#[test]
fn statistics_name_the_pair_the_versions_and_the_roles() {
    let mut pair = Pair::connected();
    pair.exchange("hello");
    let statistics = pair.world.node(pair.left).peer().statistics();
    let selected = statistics.transport.selected_candidate_pair.unwrap();
    assert_eq!(selected.local.address.ip(), crate::support::address(1));
    assert_eq!(selected.remote.address.ip(), crate::support::address(2));
    assert_eq!(statistics.transport.tls_version.map(|version| version.hexadecimal()), Some("FEFC"));
    assert!(statistics.transport.dtls_cipher.is_some());
    assert!(statistics.ice.pairs.iter().any(|pair| pair.nominated));
    let agreement = statistics.sctp.agreement.unwrap();
    assert_eq!((agreement.set_up, agreement.outbound_streams), (SctpSetUp::Descriptions, 1024));
    assert!(agreement.interleaving && agreement.zero_checksum);
    assert_eq!((statistics.sctp.max_message_size, statistics.sctp.max_channels), (Some(256 * 1024), Some(1024)));
    assert!(statistics.sctp.smoothed_round_trip_time.is_some_and(|time| !time.is_zero()));
    assert_eq!(statistics.secure.channels_opened, 1);
}

/// webrtc-pc §5.6.1: the pair "on which packets are sent". Nomination may be a while behind.
#[test]
fn as_soon_as_a_channel_is_open_both_sides_tell_the_pair_that_it_goes_over() {
    let mut pair = Pair::new(vec![DataChannelOptions::new("test")], Vec::new());
    pair.run_until_open();
    for side in [pair.left, pair.right] {
        let peer = pair.world.node(side).peer();
        let selected = peer.selected_candidate_pair().unwrap();
        assert_eq!(peer.statistics().transport.selected_candidate_pair, Some(selected));
    }
}

/// Perfect negotiation: the side that gives way still has its channel to negotiate.
#[test]
fn a_channel_whose_offer_was_rolled_back_is_asked_to_be_negotiated_again() {
    let now = Timestamp::ZERO;
    let (mut polite, mut impolite) = (peer(1), peer(2));
    polite.create_data_channel(now, DataChannelOptions::new("test")).unwrap();
    assert_eq!(polite.poll_event(), Some(PeerEvent::NegotiationNeeded));
    polite.set_local_description(now, None).unwrap();
    // An offer without sections, which takes nothing away and brings nothing.
    impolite.set_local_description(now, None).unwrap();
    let offer = impolite.local_description().unwrap();
    polite.set_remote_description(now, offer).unwrap();
    polite.set_local_description(now, None).unwrap();
    let events: Vec<_> = std::iter::from_fn(|| polite.poll_event()).collect();
    assert!(events.contains(&PeerEvent::NegotiationNeeded), "{events:?}");
    let signaling: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            PeerEvent::SignalingStateChange(state) => Some(*state),
            _ => None,
        })
        .collect();
    use SignalingState::{HaveLocalOffer, HaveRemoteOffer, Stable};
    assert_eq!(signaling, [HaveLocalOffer, Stable, HaveRemoteOffer, Stable]);
}

#[test]
fn a_negotiation_that_has_happened_before_the_event_is_read_is_not_asked_for() {
    let now = Timestamp::ZERO;
    let (mut left, mut right) = (peer(1), peer(2));
    left.create_data_channel(now, DataChannelOptions::new("left")).unwrap();
    right.create_data_channel(now, DataChannelOptions::new("right")).unwrap();
    left.set_local_description(now, None).unwrap();
    right.set_remote_description(now, left.local_description().unwrap()).unwrap();
    right.set_local_description(now, None).unwrap();
    assert!(std::iter::from_fn(|| right.poll_event()).all(|event| event != PeerEvent::NegotiationNeeded));
}

#[test]
fn gathering_waits_until_the_interfaces_are_known() {
    let now = Timestamp::ZERO;
    let mut late = peer_core::Peer::new(crate::support::configuration(1), proto_machine::Seed::from_number(1)).unwrap();
    late.create_data_channel(now, DataChannelOptions::new("test")).unwrap();
    late.set_local_description(now, None).unwrap();
    assert_eq!(late.ice_gathering_state(), IceGatheringState::New);
    late.set_interfaces(now, &[proto_machine::InterfaceAddress::new(crate::support::address(1))]);
    assert_eq!(late.ice_gathering_state(), IceGatheringState::Gathering);
    assert!(late.poll_socket_request().is_some());
}

/// Nobody reads: what waits is bounded, and the state that is reported in the end is the true one.
#[test]
fn events_that_nobody_reads_are_bounded_and_the_last_state_is_reported_all_the_same() {
    let now = Timestamp::ZERO;
    let mut peer = peer(1);
    peer.create_data_channel(now, DataChannelOptions::new("test")).unwrap();
    for _ in 0..1_000 {
        peer.set_local_description(now, None).unwrap();
        let rollback = peer_core::SessionDescriptionInit { sdp_type: peer_core::SdpType::Rollback, sdp: String::new() };
        peer.set_local_description(now, Some(rollback)).unwrap();
    }
    peer.set_local_description(now, None).unwrap();
    let events: Vec<_> = std::iter::from_fn(|| peer.poll_event()).collect();
    assert!(events.len() < 600, "{}", events.len());
    let last = events.iter().rev().find(|event| matches!(event, PeerEvent::SignalingStateChange(_)));
    assert_eq!(last, Some(&PeerEvent::SignalingStateChange(SignalingState::HaveLocalOffer)));
}

#[test]
fn sending_on_a_channel_that_is_not_open_is_refused() {
    let mut pair = Pair::new(vec![DataChannelOptions::new("test")], vec![]);
    pair.world.run_for(Duration::from_millis(1));
    let left = pair.left;
    let channel = pair.observer(left).channels[0];
    pair.command(left, |peer, now| {
        assert_eq!(peer.channel(channel).unwrap().send(now, Message::text("early")), Err(SendError::NotOpen));
    });
    pair.run_until_open();
    pair.exchange("in time");
}
