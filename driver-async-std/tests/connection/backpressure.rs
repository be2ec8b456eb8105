//! Whoever does not read makes the other side wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_std::task::spawn;
use driver_async_std::Options;
use driver_async_std::peer_core::{DataChannelOptions, Message};
use futures_util::StreamExt;
use futures_util::future::poll_immediate;

use crate::support::{Pair, next_channel, options, run};

const TOTAL: usize = 20_000_000;
const PIECE: usize = 50_000;
/// What fits on the way: both buffers below, 1 MiB with SCTP, 2 MiB of receive window, 64 KiB before the events, and a message more at each of these.
const ON_THE_WAY: usize = (256 + 64 + 1024 + 2048 + 64) * 1024 + 6 * PIECE;

fn small_buffers() -> Options {
    Options { send_buffer: 256 * 1024, receive_buffer: 64 * 1024, ..options() }
}

fn piece(number: usize) -> Message {
    Message::binary(vec![u8::try_from(number % 251).unwrap(); PIECE])
}

#[test]
fn twenty_megabytes_arrive_whole_and_the_sender_waits_for_the_reader() {
    run(async {
        let pair = Pair::connected(small_buffers()).await;
        let sent = Arc::new(AtomicUsize::new(0));
        let (channel, counter) = (pair.left_channel.clone(), Arc::clone(&sent));
        let (full, is_full) = async_channel::bounded::<()>(1);
        let sending = spawn(async move {
            for number in 0..TOTAL / PIECE {
                channel.send(piece(number)).await.unwrap();
                if counter.fetch_add(PIECE, Ordering::SeqCst) > 1_000_000 {
                    full.close();
                }
            }
        });
        let _closed = is_full.recv().await;
        // Time for twice as many messages as there are, if sending did not wait: each takes one such round trip.
        for _ in 0..2 * TOTAL / PIECE {
            pair.left.connection_state().await;
        }
        assert!(sent.load(Ordering::SeqCst) <= ON_THE_WAY);
        for number in 0..TOTAL / PIECE {
            let message = pair.right_channel.next_message().await.unwrap();
            assert_eq!(message, piece(number));
            assert!(sent.load(Ordering::SeqCst) <= (number + 1) * PIECE + ON_THE_WAY);
        }
        sending.await;
    });
}

#[test]
fn an_echo_that_only_reads_when_it_has_written_does_not_lock_up() {
    run(async {
        let pair = Pair::connected(small_buffers()).await;
        let echo = pair.right_channel.clone();
        spawn(async move {
            while let Some(message) = echo.next_message().await {
                let _closed = echo.send(message).await;
            }
        });
        let channel = pair.left_channel.clone();
        let sending = spawn(async move {
            for _ in 0..TOTAL / PIECE {
                channel.send(Message::binary(vec![1; PIECE])).await.unwrap();
            }
        });
        let mut received = 0;
        while received < TOTAL {
            received += pair.left_channel.next_message().await.unwrap().payload.len();
        }
        sending.await;
    });
}

#[test]
fn a_channel_that_nobody_reads_does_not_hold_up_commands() {
    run(async {
        let mut pair = Pair::connected(small_buffers()).await;
        // More than the inbox, less than what the sender may have on the way.
        for _ in 0..10 {
            pair.left_channel.send(Message::binary(vec![1; PIECE])).await.unwrap();
        }
        let other = pair.right.create_data_channel(DataChannelOptions::new("back")).await.unwrap();
        let back = next_channel(&mut pair.left_events).await;
        other.close().await;
        pair.right.close().await;
        back.closed().await;
    });
}

#[test]
fn sends_that_are_given_up_cost_the_others_neither_their_place_nor_their_answer() {
    run(async {
        let pair = Pair::connected(small_buffers()).await;
        let number = |message: &Message| u64::from_be_bytes(*message.payload.first_chunk().unwrap());
        let numbered = |number: u64| {
            let mut payload = vec![0; PIECE];
            payload[..8].copy_from_slice(&number.to_be_bytes());
            Message::binary(payload)
        };
        let channel = pair.left_channel.clone();
        let sending = spawn(async move {
            let mut kept = Vec::new();
            for number in 0..400 {
                let mut send = Box::pin(channel.send(numbered(number)));
                let at_once = poll_immediate(&mut send).await;
                if number % 3 != 0 || at_once.is_some() {
                    if at_once.is_none() {
                        send.await.unwrap();
                    }
                    kept.push(number);
                }
            }
            channel.close().await;
            kept
        });
        let received: Vec<u64> = pair.right_channel.clone().map(|message| number(&message)).collect().await;
        let kept = sending.await;
        assert!(received.is_sorted_by(|one, next| one < next), "{received:?}");
        let others: Vec<&u64> = received.iter().filter(|number| !kept.contains(number)).collect();
        // Whether the given up ones were taken before is open.
        assert!(others.iter().all(|number| *number % 3 == 0), "{others:?}");
        assert_eq!(received.len(), kept.len() + others.len());
    });
}
