use std::process::Command;

use serde_json::Value;

fn run(run: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).args(["run", run]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

// The heap is that of a process: it is of no use where other tests run beside it.
#[test]
fn an_endpoint_of_every_stack_takes_some_memory_and_more_after_a_transfer() {
    for stack in ["ours", "str0m", "rtc"] {
        let heap = |after_mib: u64| {
            let line = run(&format!(r#"{{"stack":"{stack}","workload":"w4","pairs":3,"after_mib":{after_mib}}}"#));
            line["figures"]["kB of heap per endpoint"].as_f64().unwrap()
        };
        let (fresh, used) = (heap(0), heap(1));
        assert!(1.0 < fresh && fresh < used, "{stack}: {fresh} kB, {used} kB after a transfer");
    }
}

// str0m has to be drained after every datagram.
#[test]
fn a_run_that_fails_says_why_in_its_line() {
    let line = run(r#"{"stack":"str0m","workload":"w1","message":1024,"mib":1,"batch":32}"#);
    assert!(line["error"].as_str().unwrap().contains("receive queue full"), "{line}");
    assert_eq!(line["figures"], Value::Null);
}
