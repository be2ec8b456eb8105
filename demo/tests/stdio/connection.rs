//! From the first line to the last: connecting, ending, and the exit status.

use serde_json::{Value, json};

use crate::support::{Pair, Process};

fn is_candidate(event: &Value) -> bool {
    event["type"] == "candidate"
}

#[test]
fn two_processes_connect_with_candidates_one_by_one_and_close() {
    let mut pair = Pair::new(&[], &[]);
    let ready = pair.offerer.event("ready");
    assert!(ready["impl"].is_string() && ready["version"].is_string());
    let opened = pair.offerer.open("echo");
    assert_eq!((&opened["byRemote"], &opened["ordered"]), (&json!(false), &json!(true)));
    assert_eq!((&opened["protocol"], opened["ms"].is_f64()), (&json!(""), true));
    assert_eq!(pair.answerer.open("echo")["byRemote"], true);
    for side in [&pair.offerer, &pair.answerer] {
        assert_ne!(side.seen(is_candidate), 0);
        assert_eq!(side.seen(|event| event["event"] == "state" && event["connection"] == "connected"), 1);
        assert_eq!(side.seen(|event| event["event"] == "error"), 0);
    }
    pair.close();
}

#[test]
fn two_processes_connect_with_candidates_inside_the_descriptions() {
    for (offerer, answerer) in [("no", "no"), ("no", "yes"), ("yes", "no")] {
        let mut pair = Pair::new(&["--trickle", offerer], &["--trickle", answerer]);
        for (side, trickle) in [(&mut pair.offerer, offerer), (&mut pair.answerer, answerer)] {
            side.open("echo");
            let descriptions = |event: &Value| event["sdp"].as_str().is_some_and(|sdp| sdp.contains("a=candidate:"));
            let ends = side.seen(|event| event["type"] == "end-of-candidates");
            let candidates = side.seen(is_candidate);
            match trickle {
                "no" => assert_eq!((side.seen(descriptions), candidates, ends), (1, 0, 1)),
                _ => assert_ne!(candidates, 0),
            }
            assert_eq!(side.seen(|event| event["event"] == "error"), 0);
        }
        pair.close();
    }
}

#[test]
fn candidates_may_come_before_the_description_and_begin_with_a() {
    let mut offerer = Process::lone(&["--role", "offerer"]);
    let mut answerer = Process::lone(&[]);
    let offer = offerer.until("offer", |event| event["type"] == "offer");
    let end = |event: &Value| event["type"] == "end-of-candidates";
    loop {
        let mut signal = offerer.until("candidates", |event| is_candidate(event) || end(event));
        if end(&signal) {
            break;
        }
        signal["candidate"] = json!(format!("a={}", signal["candidate"].as_str().unwrap()));
        answerer.command(signal);
    }
    answerer.command(offer);
    let answer = answerer.until("answer", |event| event["type"] == "answer");
    // The answerer's candidates are not told: the offerer learns of it from its checks alone.
    offerer.command(answer);
    offerer.open("echo");
    answerer.open("echo");
    assert_eq!(answerer.seen(|event| event["event"] == "error"), 0);
}

#[test]
fn a_held_offerer_waits_for_start() {
    let mut pair = Pair::new(&["--hold"], &[]);
    pair.offerer.command(json!({"cmd": "stats", "id": "first"}));
    let stats = pair.offerer.event("stats");
    assert_eq!((&stats["id"], &stats["connection"]), (&json!("first"), &json!("new")));
    assert_eq!(pair.offerer.seen(|event| event.get("type").is_some()), 0, "it has not offered");
    pair.offerer.command(json!({"cmd": "start"}));
    pair.offerer.open("echo");
    pair.offerer.command(json!({"cmd": "start"}));
    assert_eq!(pair.offerer.event("error")["where"], "start");
    pair.close();
}

#[test]
fn the_end_of_stdin_closes_the_connection() {
    let mut pair = Pair::connected();
    pair.answerer.end_input();
    let (done, status) = pair.answerer.done();
    assert_eq!((&done["ok"], &done["reason"], status), (&json!(true), &json!("stdin ended"), Some(0)));
    let (done, status) = pair.offerer.done();
    assert_eq!((&done["ok"], &done["reason"], status), (&json!(true), &json!("closed"), Some(0)));
}

#[test]
fn the_end_of_stdin_before_there_is_a_connection_is_a_failure() {
    let mut process = Process::lone(&[]);
    process.end_input();
    let (done, status) = process.done();
    assert_eq!((&done["ok"], status), (&json!(false), Some(1)));
}

#[test]
fn a_side_that_goes_without_a_word_is_noticed() {
    let mut pair = Pair::connected();
    pair.answerer.kill();
    pair.offerer.until("disconnected", |event| event["event"] == "state" && event["connection"] == "disconnected");
    let report = pair.offerer.event("ice-report");
    assert!(report["verdict"].is_string() && report["servers"].is_array(), "{report}");
    assert!(report["pairs"].as_array().is_some_and(|pairs| !pairs.is_empty()), "{report}");
    let (done, status) = pair.offerer.done();
    assert_eq!((&done["ok"], &done["reason"], status), (&json!(false), &json!("ICE has failed"), Some(1)));
}

#[test]
fn a_process_that_is_to_stay_outlives_the_connection() {
    let mut pair = Pair::new(&[], &["--stay"]);
    pair.answerer.open("echo");
    pair.offerer.command(json!({"cmd": "close"}));
    assert_eq!(pair.offerer.done().1, Some(0));
    assert_eq!(pair.answerer.event("closed")["label"], "echo");
    pair.answerer.command(json!({"cmd": "stats", "id": 1}));
    assert_eq!(pair.answerer.event("stats")["id"], 1);
    pair.answerer.command(json!({"cmd": "close"}));
    assert_eq!(pair.answerer.done().1, Some(0));
}

#[test]
fn exit_ends_the_process_without_closing() {
    let mut pair = Pair::connected();
    pair.answerer.command(json!({"cmd": "exit"}));
    let (done, status) = pair.answerer.done();
    assert_eq!((&done["reason"], status), (&json!("exit"), Some(0)));
    pair.offerer.until("disconnected", |event| event["event"] == "state" && event["connection"] == "disconnected");
}

#[test]
fn a_process_gives_up_at_its_timeout() {
    let mut process = Process::lone(&["--timeout", "0"]);
    let (done, status) = process.done();
    assert_eq!((&done["ok"], &done["reason"], status), (&json!(false), &json!("timeout"), Some(1)));
}

#[test]
fn what_is_not_supported_yet_is_refused_by_name() {
    for url in ["turns:127.0.0.1", "turn:127.0.0.1:3478?transport=tcp", "stuns:127.0.0.1"] {
        let servers = json!([{ "urls": [url], "username": "u", "credential": "p" }]).to_string();
        let mut process = Process::lone(&["--ice-servers", &servers]);
        let error = process.event("error");
        assert_eq!(error["where"], "options");
        assert!(error["message"].as_str().unwrap().contains("not yet"), "{error}");
        let (done, status) = process.done();
        assert_eq!((&done["ok"], status), (&json!(false), Some(1)));
    }
    let mut process = Process::lone(&["--ca", "roots.pem"]);
    assert!(process.event("error")["message"].as_str().unwrap().contains("not yet"));
    process.command(json!({"cmd": "restart-ice"}));
    assert!(process.event("error")["message"].as_str().unwrap().contains("not yet"));
}

#[test]
fn with_relays_only_and_no_relay_nothing_is_told_but_the_end() {
    let mut process = Process::lone(&["--role", "offerer", "--policy", "relay"]);
    process.until("the end", |event| event["type"] == "end-of-candidates");
    assert_eq!(process.seen(is_candidate), 0);
}
