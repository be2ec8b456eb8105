//! A chat between two terminals: `cargo run --example chat` in the one prints an address, `cargo run --example chat ADDRESS` in the other connects to it.
//!
//! Signalling is a TCP connection, over which each side sends one description with all its candidates.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::future::pending;
use std::net::Shutdown;
use std::pin::pin;

use async_std::io::{BufRead, BufReader, stdin};
use async_std::net::{TcpListener, TcpStream};
use async_std::prelude::*;
use async_std::task::block_on;
use driver_async_std::peer_core::{
    Configuration, DataChannelOptions, Message, PeerEvent, SdpType, SessionDescriptionInit,
};
use driver_async_std::{DataChannel, Event, PeerConnection, generate_certificate};
use futures_util::future::select;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    block_on(async {
        let (signalling, sdp_type) = if let Some(address) = std::env::args().nth(1) {
            (TcpStream::connect(address).await?, SdpType::Offer)
        } else {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            println!("waiting at {}", listener.local_addr()?);
            (listener.accept().await?.0, SdpType::Answer)
        };
        let channel = connect(signalling, sdp_type).await?;
        println!("connected: what you type is sent, the end of the input hangs up");
        chat(&channel, BufReader::new(stdin()), |text| println!("> {text}")).await
    })
}

/// Connects with whoever does the same at the other end; `ours` is the kind of description that this side sends.
async fn connect(mut signalling: TcpStream, ours: SdpType) -> Result<DataChannel, Error> {
    let mut configuration = Configuration::new(generate_certificate()?);
    configuration.gather_loopback = true; // Both may be on this host.
    let connection = PeerConnection::new(configuration)?;
    let mut events = connection.events();
    // Both sides create the channel, under one id.
    let options = DataChannelOptions { negotiated: Some(0), ..DataChannelOptions::new("chat") };
    let channel = connection.create_data_channel(options).await?;

    let theirs = if ours == SdpType::Offer { SdpType::Answer } else { SdpType::Offer };
    for sdp_type in [SdpType::Offer, SdpType::Answer] {
        if sdp_type == theirs {
            let mut sdp = String::new();
            signalling.read_to_string(&mut sdp).await?;
            connection.set_remote_description(SessionDescriptionInit { sdp_type, sdp }).await?;
        } else {
            connection.set_local_description(None).await?;
            while !matches!(events.next().await.ok_or("closed")?, Event::Peer(PeerEvent::IceCandidate(None))) {}
            let description = connection.local_description().await.ok_or("closed")?;
            signalling.write_all(description.sdp.as_bytes()).await?;
            signalling.shutdown(Shutdown::Write)?;
        }
    }
    if channel.opened().await { Ok(channel) } else { Err("the connection has failed".into()) }
}

/// Sends each line of the input, and hands over what comes back, until either side hangs up.
async fn chat(channel: &DataChannel, input: impl BufRead + Unpin, mut hear: impl FnMut(&str)) -> Result<(), Error> {
    let talking = async {
        let mut lines = input.lines();
        while let Some(line) = lines.next().await {
            channel.send(Message::text(line?)).await?;
        }
        channel.close().await;
        pending().await
    };
    let listening = async {
        while let Some(message) = channel.next_message().await {
            hear(&message.as_text().unwrap_or("(not a text)".into()));
        }
        Ok(())
    };
    select(pin!(talking), pin!(listening)).await.factor_first().0
}

#[test]
fn what_either_side_types_is_heard_by_the_other() -> Result<(), Error> {
    block_on(async {
        for talks in [SdpType::Offer, SdpType::Answer] {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            let side = async |signalling, sdp_type| {
                let mut heard = Vec::new();
                let hear = |text: &str| heard.push(text.to_owned());
                let channel = connect(signalling, sdp_type).await?;
                if sdp_type == talks {
                    chat(&channel, &b"hello\nand goodbye\n"[..], hear).await?;
                } else {
                    // Nothing is ever typed here.
                    chat(&channel, BufReader::new(TcpStream::connect(address).await?), hear).await?;
                }
                Ok::<_, Error>(heard)
            };
            let offerer = TcpStream::connect(address).await?;
            let answerer = listener.accept().await?.0;
            let sides = (side(offerer, SdpType::Offer), side(answerer, SdpType::Answer));
            let heard = futures_util::future::try_join(sides.0, sides.1).await?;
            let (by_talker, by_listener) = if talks == SdpType::Offer { heard } else { (heard.1, heard.0) };
            assert_eq!(by_listener, ["hello", "and goodbye"]);
            assert!(by_talker.is_empty());
        }
        Ok(())
    })
}
