//! The example of the documentation.

use std::process::Command;

#[test]
fn the_python_script_connects_two_peers_and_exchanges_a_message() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/connect.py");
    let output = Command::new("python3").args([script, env!("CARGO_BIN_EXE_demo")]).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs python3 (apt install python3): {error}"));
    let (printed, problems) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}{problems}");
    assert!(printed.contains("the answerer received a text message of 5 bytes"), "{printed}");
}
