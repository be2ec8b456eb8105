//! What happens on channels: echoes, floods, creating, closing, statistics.

use demo::stdio::MAX_CHANNELS;
use serde_json::json;

use crate::support::{Pair, Process};

#[test]
fn messages_of_both_kinds_and_all_sizes_come_back_as_they_went() {
    let mut pair = Pair::connected();
    for kind in ["text", "binary"] {
        for size in [0, 1, 9, 1_200, 16_384, 65_536, 200 * 1024] {
            let result = pair.echo("echo", kind, size);
            assert_eq!(result["ok"], true, "{result}");
            assert_eq!((&result["id"], &result["kind"], &result["size"]), (&json!(size), &json!(kind), &json!(size)));
            assert!(result["ms"].is_f64(), "{result}");
        }
    }
    pair.close();
}

#[test]
fn a_message_larger_than_the_other_side_accepts_is_refused() {
    let mut pair = Pair::connected();
    let result = pair.echo("echo", "binary", 262_145);
    assert_eq!(result["ok"], false);
    assert!(result["error"].as_str().unwrap().contains("262144"), "{result}");
    assert_eq!(pair.echo("echo", "binary", 262_144)["ok"], true);
    pair.close();
}

#[test]
fn a_flood_of_messages_that_the_other_side_does_not_accept_is_refused_with_its_limit() {
    let mut pair = Pair::connected();
    for (size, limit) in [(262_145, "262144"), (3, "4 to 262144")] {
        pair.offerer.command(json!({"cmd": "flood", "id": size, "label": "echo", "bytes": 1_000_000, "msgSize": size}));
        let result = pair.offerer.event("flood-result");
        assert_eq!((&result["id"], &result["ok"], &result["msgSize"]), (&json!(size), &json!(false), &json!(size)));
        assert!(result["error"].as_str().unwrap().contains(limit), "{result}");
    }
    assert_eq!(pair.echo("echo", "text", 9)["ok"], true, "nothing of it was sent");
    pair.close();
}

#[test]
fn an_echo_test_on_a_sink_fails_after_its_time() {
    let mut pair = Pair::new(&["--channel", r#"{"label":"sink"}"#], &[]);
    pair.offerer.open("sink");
    pair.offerer
        .command(json!({"cmd": "echo-test", "id": 1, "label": "sink", "kind": "text", "size": 9, "timeout": 50}));
    assert_eq!(pair.offerer.event("echo-result")["ok"], false);
    pair.close();
}

#[test]
fn twenty_megabytes_arrive_in_order() {
    let mut pair = Pair::connected();
    pair.offerer.command(json!({"cmd": "flood", "id": 2, "label": "echo", "bytes": 20_000_000, "msgSize": 16_384}));
    let result = pair.offerer.event("flood-result");
    assert_eq!((&result["ok"], &result["id"], &result["inOrder"]), (&json!(true), &json!(2), &json!(true)));
    assert_eq!((&result["bytes"], &result["received"]), (&json!(20_000_000), &json!(20_000_000)));
    assert!(result["MBps"].as_f64().unwrap() > 0.0, "{result}");
    let stats = pair.answerer.event("stats");
    assert_eq!((&stats["what"], &stats["bytes"]), (&json!("flood-received"), &json!(20_000_000)));
    assert_eq!(stats["messages"], 20_000_000_u64.div_ceil(16_384));
    assert_eq!((stats["crc32c"].as_str().unwrap().len(), &stats["crc32c"]), (8, &result["crc32c"]), "{stats} {result}");
    assert_eq!(pair.echo("echo", "text", 9)["ok"], true, "the channel goes on");
    pair.close();
}

#[test]
fn flood_mode_floods_the_first_channel_and_closes() {
    for acknowledged in [&[][..], &["--no-ack"]] {
        let arguments = ["--mode", "flood", "--bytes", "2e6", "--msg-size", "1000", "--high-water", "5000"];
        let mut pair = Pair::new(&[&arguments[..], acknowledged].concat(), &[]);
        let result = pair.offerer.event("flood-result");
        assert_eq!((&result["label"], &result["ok"]), (&json!("sink"), &json!(true)), "{result}");
        assert_eq!(pair.answerer.event("stats")["bytes"], 2_000_000);
        for side in [&mut pair.offerer, &mut pair.answerer] {
            let (done, status) = side.done();
            assert_eq!((&done["reason"], status), (&json!("closed"), Some(0)));
        }
    }
}

#[test]
fn a_flood_of_flood_mode_that_cannot_begin_has_its_result_and_fails() {
    for (size, limit) in [("262145", "262144"), ("3", "4 to 262144")] {
        let mut pair = Pair::new(&["--mode", "flood", "--msg-size", size], &[]);
        let result = pair.offerer.event("flood-result");
        assert_eq!((&result["label"], &result["ok"]), (&json!("sink"), &json!(false)), "{result}");
        assert!(result["error"].as_str().unwrap().contains(limit), "{result}");
        let (done, status) = pair.offerer.done();
        assert_eq!((&done["ok"], &done["reason"], status), (&json!(false), &json!("the flood has failed"), Some(1)));
    }
}

#[test]
fn a_process_that_is_to_stay_outlives_the_connection_that_it_closes_after_its_flood() {
    let mut pair = Pair::new(&["--mode", "flood", "--bytes", "100", "--close", "pc", "--stay"], &[]);
    assert_eq!(pair.offerer.event("flood-result")["ok"], true);
    assert_eq!(pair.offerer.event("closed")["label"], "sink");
    let (done, status) = pair.answerer.done();
    assert_eq!((&done["reason"], status), (&json!("closed"), Some(0)));
    pair.offerer.command(json!({"cmd": "stats", "id": 1}));
    let stats = pair.offerer.event("stats");
    assert_eq!((&stats["id"], &stats["connection"]), (&json!(1), &json!("closed")));
    assert_eq!(pair.offerer.seen(|event| event["event"] == "done"), 0);
    pair.offerer.command(json!({"cmd": "close"}));
    let (done, status) = pair.offerer.done();
    assert_eq!((&done["ok"], &done["reason"], status), (&json!(true), &json!("closed"), Some(0)));
}

#[test]
fn what_follows_a_flood_can_be_chosen() {
    let flood = |close| Pair::new(&["--mode", "flood", "--bytes", "100", "--close", close], &[]);
    let mut pair = flood("channel");
    for side in [&mut pair.offerer, &mut pair.answerer] {
        assert_eq!(side.event("closed")["label"], "sink");
    }
    pair.close();

    let mut pair = flood("none");
    pair.offerer.event("flood-result");
    assert_eq!(pair.echo("sink", "text", 300_000)["ok"], false, "it is still there, and refuses");
    pair.close();

    let mut pair = flood("abrupt");
    let (status, events) = pair.offerer.exit();
    assert_eq!(status, Some(1));
    assert_eq!(events.last().unwrap()["event"], "flood-result", "the process just goes");
}

#[test]
fn a_flood_ends_with_its_channel() {
    let mut pair = Pair::connected();
    pair.offerer.command(json!({"cmd": "flood", "id": 1, "label": "echo", "bytes": 10_000_000_000_u64}));
    pair.offerer.command(json!({"cmd": "close-channel", "label": "echo"}));
    let result = pair.offerer.event("flood-result");
    assert_eq!((&result["id"], &result["ok"]), (&json!(1), &json!(false)));
    assert!(result["error"].is_string(), "{result}");
    pair.close();
}

#[test]
fn channels_are_created_by_command_with_their_options_and_closed() {
    let mut pair = Pair::connected();
    let create = json!({"cmd": "create", "label": "x", "ordered": false, "maxRetransmits": 3, "protocol": "p", "priority": "high"});
    pair.offerer.command(create);
    for (side, by_remote) in [(&mut pair.offerer, false), (&mut pair.answerer, true)] {
        let open = side.open("x");
        assert_eq!(
            (&open["byRemote"], &open["protocol"], &open["ordered"]),
            (&json!(by_remote), &json!("p"), &json!(false))
        );
        assert!(open["id"].is_u64(), "{open}");
    }
    assert_eq!(pair.echo("x", "text", 5)["ok"], true);
    pair.answerer.command(json!({"cmd": "close-channel", "label": "x"}));
    for side in [&mut pair.offerer, &mut pair.answerer] {
        assert_eq!(side.event("closed")["label"], "x");
    }
    let refused = pair.echo("x", "text", 5);
    assert!(refused["error"].as_str().unwrap().contains("no open channel"), "{refused}");
    pair.close();
}

#[test]
fn a_negotiated_channel_opens_when_both_sides_create_it() {
    let channel = r#"{"label":"both","negotiated":true,"id":7}"#;
    let mut pair = Pair::new(&["--channel", channel], &["--channel", channel]);
    for side in [&mut pair.offerer, &mut pair.answerer] {
        let open = side.open("both");
        assert_eq!((&open["id"], &open["byRemote"]), (&json!(7), &json!(false)));
    }
    assert_eq!(pair.echo("both", "binary", 100)["ok"], true);
    pair.close();
}

#[test]
fn messages_are_sent_by_command_and_told_of_with_verbose() {
    let mut pair = Pair::new(&["--verbose"], &["--verbose", "--mode", "idle"]);
    pair.offerer.open("echo");
    pair.answerer.open("echo");
    for (message, kind, size) in [
        (json!({"text": "grüß"}), "text", 6),
        (json!({"hex": "00ff"}), "binary", 2),
        (json!({"kind": "binary", "size": 9}), "binary", 9),
        (json!({"text": ""}), "text", 0),
    ] {
        let mut command = json!({"cmd": "send", "label": "echo", "noEcho": true});
        command.as_object_mut().unwrap().extend(message.as_object().unwrap().clone());
        pair.offerer.command(command);
        let event = pair.answerer.event("message");
        assert_eq!((&event["label"], &event["kind"], &event["size"]), (&json!("echo"), &json!(kind), &json!(size)));
    }
    pair.answerer.command(json!({"cmd": "send", "label": "echo", "text": "to one that echoes no longer"}));
    assert_eq!(pair.offerer.event("message")["size"], 28);
    pair.offerer.command(json!({"cmd": "send", "label": "echo", "text": "last"}));
    assert_eq!(pair.answerer.event("message")["size"], 4, "nothing was echoed in between");
    pair.close();
}

#[test]
fn statistics_tell_the_pair_and_the_transport() {
    let mut pair = Pair::connected();
    for (side, ice_role) in [(&mut pair.offerer, "controlling"), (&mut pair.answerer, "controlled")] {
        side.completed();
        side.command(json!({"cmd": "stats", "id": 3}));
        let stats = side.until("getStats", |event| event["what"] == "getStats");
        assert_eq!((&stats["id"], &stats["connection"]), (&json!(3), &json!("connected")));
        assert_eq!(stats["maxMessageSize"], 262_144);
        let candidates = &stats["pair"];
        for end in [&candidates["local"], &candidates["remote"]] {
            assert!(end["type"].is_string() && end["address"].is_string(), "{stats}");
            assert_eq!((&end["protocol"], end["port"].is_u64()), (&json!("udp"), true));
        }
        assert_eq!(candidates["local"].get("relayProtocol"), Some(&json!(null)));
        assert!(candidates["rtt"].as_f64().unwrap() > 0.0, "{stats}");
        let transport = &stats["transport"];
        assert_eq!((&transport["dtlsState"], &transport["iceRole"]), (&json!("connected"), &json!(ice_role)));
        assert!(transport["tlsVersion"].as_str().unwrap().starts_with("FEF"), "{stats}");
        assert!(transport["dtlsCipher"].as_str().unwrap().starts_with("TLS_"), "{stats}");
        assert!(["client", "server"].contains(&transport["dtlsRole"].as_str().unwrap()), "{stats}");
        let sctp = &stats["sctp"];
        for extension in ["partialReliability", "streamResets", "interleaving", "zeroChecksum"] {
            assert_eq!(sctp[extension], true, "{extension}: {stats}");
        }
        assert_eq!((&sctp["setUp"], &sctp["outboundStreams"]), (&json!("descriptions"), &json!(1024)));
        assert_eq!(sctp["inboundStreams"], 1024);
        assert!(sctp["smoothedRoundTripTime"].as_f64().unwrap() > 0.0, "{stats}");
        side.command(json!({"cmd": "ice-report"}));
        let report = side.event("ice-report");
        assert!(report["verdict"].as_str().unwrap().contains("host"), "{report}");
        assert!(report["pairs"].as_array().unwrap().iter().any(|pair| pair["state"] == "succeeded"), "{report}");
    }
    pair.close();
}

#[test]
fn statistics_before_there_is_a_connection_say_so() {
    let mut process = Process::lone(&[]);
    process.command(json!({"cmd": "stats", "id": 1}));
    let stats = process.event("stats");
    assert_eq!((&stats["connection"], &stats["pair"]), (&json!("new"), &json!(null)));
    assert_eq!((&stats["maxMessageSize"], stats.get("sctp")), (&json!(null), Some(&json!(null))));
    process.command(json!({"cmd": "ice-report"}));
    assert!(process.event("ice-report")["verdict"].as_str().unwrap().contains("no description"));
}

#[test]
fn no_more_channels_are_created_than_may() {
    let mut process = Process::lone(&[]);
    process.event("ready");
    for index in 0..=MAX_CHANNELS {
        process.command(json!({"cmd": "create", "label": index.to_string()}));
    }
    process.command(json!({"cmd": "stats", "id": 1}));
    assert_eq!(process.next()["where"], "create");
    assert_eq!(process.next()["id"], 1, "only the last one was refused");
}
