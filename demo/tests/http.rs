//! What the server answers, byte for byte.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use demo::{Options, Server};

/// What a WebSocket client sends beside the path and its origin.
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n";

fn start_server() -> Server {
    Server::start(&Options { port: Some(0), ..Options::default() }).unwrap()
}

fn authority(server: &Server) -> String {
    server.url().trim_start_matches("http://").trim_end_matches('/').to_owned()
}

fn connect(server: &Server, path: &str, headers: &str) -> TcpStream {
    let authority = authority(server);
    let mut stream = TcpStream::connect(&authority).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// The whole answer to a request after which the connection is closed.
fn get(server: &Server, path: &str) -> String {
    let mut answer = String::new();
    connect(server, path, "Connection: close\r\n").read_to_string(&mut answer).unwrap();
    answer
}

/// What is answered, up to and with the first of these bytes.
fn read_until(stream: &mut TcpStream, end: &[u8]) -> String {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(end) {
        stream.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The first line of the answer to a WebSocket's handshake.
fn handshake(server: &Server, path: &str, headers: &str) -> String {
    let mut stream = connect(server, path, &format!("{UPGRADE}{headers}"));
    read_until(&mut stream, b"\r\n").trim_end().to_owned()
}

#[test]
fn the_page_comes_with_its_script_and_style_and_may_load_nothing_else() {
    let server = start_server();
    for (path, content_type, content) in [
        ("/", "text/html; charset=utf-8", "page.js"),
        ("/page.js", "text/javascript; charset=utf-8", "connection.js"),
        ("/connection.js", "text/javascript; charset=utf-8", "RTCPeerConnection"),
        ("/page.css", "text/css; charset=utf-8", "body"),
        ("/icon.svg", "image/svg+xml", "<svg"),
    ] {
        let answer = get(&server, path);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {answer}");
        assert!(answer.contains(&format!("content-type: {content_type}\r\n")), "{path}: {answer}");
        assert!(answer.contains("content-security-policy: default-src 'none'; script-src 'self';"), "{path}: {answer}");
        assert!(answer.contains(content), "{path}: {answer}");
    }
    assert!(get(&server, "/no-such-page").starts_with("HTTP/1.1 404"));
    server.stop().unwrap();
}

/// The files that a file of the page names: in attributes, and in imports.
fn named_in(content: &str) -> Vec<String> {
    let marks = [" src=\"", " href=\"", " from \"./", "import(\"./"];
    let ends = marks.iter().flat_map(|mark| content.match_indices(mark).map(|(start, mark)| start + mark.len()));
    ends.filter_map(|start| content[start..].split('"').next().map(|name| format!("/{name}"))).collect()
}

#[test]
fn every_file_that_the_page_names_is_there() {
    let server = start_server();
    let mut seen = Vec::new();
    let mut due = vec!["/".to_owned()];
    while let Some(path) = due.pop() {
        let answer = get(&server, &path);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {answer}");
        seen.push(path);
        due.extend(named_in(&answer).into_iter().filter(|name| !seen.contains(name)));
    }
    for part in
        ["/page.css", "/chat.js", "/connection.js", "/diagnosis.js", "/file.js", "/flood.js", "/graph.js", "/sha256.js"]
    {
        assert!(seen.iter().any(|path| path == part), "{part} in {seen:?}");
    }
    server.stop().unwrap();
}

#[test]
fn signalling_is_for_the_page_of_this_server() {
    let server = start_server();
    let own = format!("Origin: http://{}\r\n", authority(&server));
    assert_eq!(handshake(&server, "/signal", &own), "HTTP/1.1 101 Switching Protocols");
    assert_eq!(handshake(&server, "/signal?offer=peer", ""), "HTTP/1.1 101 Switching Protocols");
    assert_eq!(handshake(&server, "/signal", "Origin: http://evil.example\r\n"), "HTTP/1.1 403 Forbidden");
    assert_eq!(handshake(&server, "/signal?offer=nobody", &own), "HTTP/1.1 400 Bad Request");
    server.stop().unwrap();
}

#[test]
fn stopping_says_goodbye_on_signalling_connections_and_does_not_wait_for_clients_that_say_nothing() {
    let server = start_server();
    let _silent = TcpStream::connect(authority(&server)).unwrap();
    let mut halfway = TcpStream::connect(authority(&server)).unwrap();
    halfway.write_all(b"GET / HT").unwrap();
    let mut signalling = connect(&server, "/signal", UPGRADE);
    read_until(&mut signalling, br#"{"type":"hello""#);
    let began = Instant::now();
    server.stop().unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "took {:?}", began.elapsed());
    let mut rest = Vec::new();
    signalling.read_to_end(&mut rest).unwrap();
    // RFC 6455 §5.5.1: a close frame, and its code for an end point that goes away, 1001.
    let goodbye = b"\x03\xe9the peer is gone";
    assert!(rest.ends_with(goodbye), "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn the_peer_tells_its_side_of_the_story_when_it_is_asked() {
    let server = start_server();
    let mut signalling = connect(&server, "/signal", UPGRADE);
    read_until(&mut signalling, br#"{"type":"hello","peer":1}"#);
    // RFC 6455 §5.2: a whole text message, masked with zeros.
    let question = br#"{"type":"report"}"#;
    let length = 0x80 | u8::try_from(question.len()).unwrap();
    signalling.write_all(&[&[0x81, length, 0, 0, 0, 0], &question[..]].concat()).unwrap();
    let answer = read_until(&mut signalling, br#""pairs":[]}"#);
    for expected in [r#""type":"report""#, r#""pair":null"#, r#""verdict":"new: no description has come"#] {
        assert!(answer.contains(expected), "{expected} in {answer}");
    }
    server.stop().unwrap();
}
