use super::*;

fn command(line: &str) -> Command {
    match Request::parse(line.as_bytes()) {
        Ok(Request::Command(command)) => command,
        other => panic!("{other:?}"),
    }
}

fn line(event: Event) -> String {
    serde_json::to_string(&event).unwrap()
}

#[test]
fn commands_read_as_the_protocol_document_has_them_and_unknown_fields_are_ignored() {
    assert_eq!(command(r#"{"cmd":"start","unknown":1}"#), Command::Start);
    assert_eq!(command(r#"{"cmd":"stats","id":3}"#), Command::Stats { id: Some(3.into()) });
    assert_eq!(command(r#"{"cmd":"close-channel","label":"x"}"#), Command::CloseChannel { label: "x".to_owned() });
    let Command::Flood(flood) = command(r#"{"cmd":"flood","id":2,"label":"x","bytes":9,"msgSize":5,"ackTimeout":7}"#)
    else {
        panic!()
    };
    assert_eq!((flood.bytes, flood.msg_size, flood.ack_timeout), (9, 5, Some(7)));
    let Command::EchoTest(test) = command(r#"{"cmd":"echo-test","id":1,"label":"x","kind":"text","size":9}"#) else {
        panic!()
    };
    assert_eq!((test.kind, test.size, test.timeout), (Kind::Text, 9, 10_000));
}

#[test]
fn a_line_that_is_not_json_not_a_command_or_not_signalling_is_told_apart() {
    let place = |line: &str| Request::parse(line.as_bytes()).unwrap_err().place;
    for line in ["", "hello", "[]", "3", "{}", "{\"cmd\":"] {
        assert_eq!(place(line), "stdin", "{line}");
    }
    for line in [r#"{"cmd":"dance"}"#, r#"{"cmd":3}"#, r#"{"cmd":"send"}"#, r#"{"cmd":"create","label":7}"#] {
        assert_eq!(place(line), "command", "{line}");
    }
    for line in [r#"{"type":"dance"}"#, r#"{"type":"offer"}"#] {
        assert_eq!(place(line), "signalling", "{line}");
    }
}

#[test]
fn a_channel_has_the_options_of_the_w3c() {
    let Command::Create(channel) = command(
        r#"{"cmd":"create","label":"x","ordered":false,"maxRetransmits":0,"protocol":"p","negotiated":true,"id":5,"priority":"very-low"}"#,
    ) else {
        panic!()
    };
    let expected = DataChannelOptions {
        protocol: "p".to_owned(),
        ordered: false,
        reliability: Reliability::MaxRetransmits(0),
        negotiated: Some(5),
        priority: Priority::VeryLow,
        ..DataChannelOptions::new("x")
    };
    assert_eq!(channel.to_options(), Ok(expected));
    assert!(ChannelInit { id: None, ..channel.clone() }.to_options().is_err());
    assert!(ChannelInit { max_packet_life_time: Some(1), ..channel }.to_options().is_err());
}

#[test]
fn a_message_to_send_is_a_text_or_hexadecimal_or_a_pattern() {
    let message = |line: &str| match command(line) {
        Command::Send(send) => send.message(100),
        other => panic!("{other:?}"),
    };
    assert_eq!(message(r#"{"cmd":"send","label":"x","text":"hi"}"#), Ok(Message::text("hi")));
    assert_eq!(message(r#"{"cmd":"send","label":"x","hex":"00fF"}"#), Ok(Message::binary(vec![0, 255])));
    let made = message(r#"{"cmd":"send","label":"x","kind":"binary","size":9}"#).unwrap();
    assert_eq!((made.kind, made.payload.len()), (MessageKind::Binary, 9));
    for bad in [r#""hex":"0""#, r#""hex":"0g""#, r#""text":"a","hex":"00""#, r#""kind":"text""#, r#""size":101"#] {
        assert!(message(&format!(r#"{{"cmd":"send","label":"x",{bad}}}"#)).is_err(), "{bad}");
    }
}

#[test]
fn patterns_of_the_same_size_differ_and_text_is_text() {
    assert_ne!(pattern(Kind::Binary, 100, 1), pattern(Kind::Binary, 100, 2));
    let text = pattern(Kind::Text, 1_000, 3);
    assert!(text.as_text().unwrap().chars().all(|letter| letter.is_ascii_lowercase()));
    assert_eq!(text.payload.len(), 1_000);
}

#[test]
fn events_read_as_the_protocol_document_has_them() {
    let open = Event::Open {
        label: "x".to_owned(),
        id: Some(1),
        by_remote: false,
        protocol: String::new(),
        ordered: true,
        ms: 12.3,
    };
    assert_eq!(
        line(open),
        r#"{"event":"open","label":"x","id":1,"byRemote":false,"protocol":"","ordered":true,"ms":12.3}"#
    );
    let flood = Event::FloodResult(FloodResult {
        id: Some(2.into()),
        label: "x".to_owned(),
        ok: true,
        msg_size: 16_384,
        outcome: FloodReport::Acknowledged {
            bytes: 20_000_000,
            received: 20_000_000,
            in_order: true,
            crc32c: hexadecimal(0x0d49_b4f9),
            speed: Speed::of(20_000_000, Duration::from_millis(200)),
        },
    });
    assert_eq!(
        line(flood),
        r#"{"event":"flood-result","id":2,"label":"x","ok":true,"msgSize":16384,"bytes":20000000,"received":20000000,"inOrder":true,"crc32c":"0d49b4f9","seconds":0.2,"MBps":100.0}"#
    );
    let stats = Event::Stats(Stats::FloodReceived {
        label: "x".to_owned(),
        bytes: 4,
        messages: 1,
        in_order: true,
        crc32c: hexadecimal(0),
        speed: Speed::of(4, Duration::ZERO),
    });
    assert_eq!(
        line(stats),
        r#"{"event":"stats","what":"flood-received","label":"x","bytes":4,"messages":1,"inOrder":true,"crc32c":"00000000","seconds":0.0,"MBps":null}"#
    );
    let signal = Event::Signal(Signal::EndOfCandidates);
    assert_eq!(line(signal), r#"{"type":"end-of-candidates"}"#);
    let error = Event::Error { place: "stdin", message: "m".to_owned() };
    assert_eq!(line(error), r#"{"event":"error","where":"stdin","message":"m"}"#);
}
