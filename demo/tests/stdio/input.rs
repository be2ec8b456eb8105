//! Lines that are wrong.

use demo::MAX_EARLY_CANDIDATES;
use demo::stdio::MAX_LINE_BYTES;
use serde_json::{Value, json};

use crate::support::{Pair, Process};

#[test]
fn a_line_that_is_wrong_gives_an_error_and_nothing_else_happens() {
    let mut pair = Pair::connected();
    for (line, place) in [
        ("hello", "stdin"),
        ("{\"cmd\":", "stdin"),
        ("[1]", "stdin"),
        (r#"{"cmd":"dance"}"#, "command"),
        (r#"{"cmd":"send","label":"nowhere","text":"x"}"#, "send"),
        (r#"{"cmd":"send","label":"echo"}"#, "send"),
        (r#"{"cmd":"create","label":"x","negotiated":true}"#, "create"),
        (r#"{"cmd":"close-channel","label":"nowhere"}"#, "close-channel"),
        (r#"{"type":"dance"}"#, "signalling"),
        (r#"{"type":"offer","sdp":"v=1"}"#, "offer"),
        (r#"{"type":"answer","sdp":""}"#, "answer"),
        (r#"{"type":"candidate","candidate":"candidate:x"}"#, "candidate"),
    ] {
        pair.offerer.line(line);
        let event = pair.offerer.until("error", |event| event["event"] != "state" && event.get("type").is_none());
        assert_eq!((&event["event"], &event["where"]), (&json!("error"), &json!(place)), "{line}: {event}");
        assert!(event["message"].is_string(), "{event}");
    }
    assert_eq!(pair.echo("echo", "text", 9)["ok"], true);
    pair.close();
}

#[test]
fn a_line_that_is_too_long_is_passed_over() {
    let mut process = Process::lone(&[]);
    process.event("ready");
    process.line(&"x".repeat(MAX_LINE_BYTES + 1));
    process.command(json!({"cmd": "stats", "id": 1}));
    assert_eq!(process.next()["where"], "stdin");
    assert_eq!(process.next()["id"], 1);
}

#[test]
fn no_more_candidates_are_kept_than_may() {
    let mut process = Process::lone(&[]);
    process.event("ready");
    let candidate =
        json!({"type": "candidate", "candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMid": "0"});
    for _ in 0..=MAX_EARLY_CANDIDATES {
        process.command(candidate.clone());
    }
    process.command(json!({"cmd": "stats", "id": 1}));
    let error: Value = process.next();
    assert_eq!((&error["event"], &error["where"]), (&json!("error"), &json!("candidate")));
    assert_eq!(process.next()["id"], 1, "only the last one was refused");
}
