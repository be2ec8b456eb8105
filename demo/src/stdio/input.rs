//! Lines of stdin, read on a thread of their own, so that the peer never waits for them.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use driver_mio::DriverWaker;

/// The longest line in bytes. The largest message takes half of it, written in hexadecimal digits; a text of which most has to be escaped may not fit.
pub const MAX_LINE_BYTES: usize = 1 << 20;
/// Lines that wait for the peer. Whoever writes more waits with them.
pub const MAX_WAITING_LINES: usize = 64;

/// What came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Input {
    Line(Vec<u8>),
    /// A line longer than [`MAX_LINE_BYTES`], which was passed over.
    TooLong,
    /// Nothing more will come.
    End,
}

/// Starts to read stdin. The thread ends with the input or with the process: nothing can interrupt a read.
pub(crate) fn read_stdin(waker: DriverWaker) -> io::Result<Receiver<Input>> {
    let (lines, received) = sync_channel(MAX_WAITING_LINES);
    thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let wake = || waker.wake().is_ok();
        forward(&mut io::stdin().lock(), &lines, wake);
    })?;
    Ok(received)
}

/// Hands over everything that can be read, and says so each time with `wake`. Ends early if nobody listens.
fn forward(reader: &mut impl BufRead, lines: &SyncSender<Input>, wake: impl Fn() -> bool) {
    loop {
        let input = next(reader);
        let is_end = input == Input::End;
        if lines.send(input).is_err() || !wake() || is_end {
            return;
        }
    }
}

fn next(reader: &mut impl BufRead) -> Input {
    let mut line = Vec::new();
    // The line feed comes on top.
    let limit = MAX_LINE_BYTES as u64 + 1;
    loop {
        match reader.by_ref().take(limit).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return Input::End,
            Ok(_) if line.len() > MAX_LINE_BYTES && line.last() != Some(&b'\n') => {
                return if reader.skip_until(b'\n').is_ok() { Input::TooLong } else { Input::End };
            }
            Ok(_) if line.iter().all(u8::is_ascii_whitespace) => line.clear(),
            Ok(_) => return Input::Line(line.trim_ascii().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8]) -> Vec<Input> {
        let (lines, received) = sync_channel(MAX_WAITING_LINES);
        forward(&mut bytes, &lines, || true);
        drop(lines);
        received.iter().collect()
    }

    fn line(text: &str) -> Input {
        Input::Line(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_come_without_their_ends_and_empty_ones_not_at_all() {
        assert_eq!(read(b"{}\r\n\n  \nx"), [line("{}"), line("x"), Input::End]);
        assert_eq!(read(b""), [Input::End]);
    }

    #[test]
    fn the_longest_line_comes_and_one_that_is_longer_is_passed_over() {
        let longest = "a".repeat(MAX_LINE_BYTES);
        let input = format!("{longest}\nb{longest}\nc\n");
        assert_eq!(read(input.as_bytes()), [line(&longest), Input::TooLong, line("c"), Input::End]);
        let unfinished = format!("b{longest}");
        assert_eq!(read(unfinished.as_bytes()), [Input::TooLong, Input::End]);
    }

    #[test]
    fn no_more_lines_wait_than_may() {
        let (lines, received) = sync_channel(MAX_WAITING_LINES);
        let (woken, wakes) = std::sync::mpsc::channel();
        let text = "x\n".repeat(2 * MAX_WAITING_LINES);
        let reader = thread::spawn(move || forward(&mut text.as_bytes(), &lines, || woken.send(()).is_ok()));
        assert_eq!(wakes.iter().take(MAX_WAITING_LINES).count(), MAX_WAITING_LINES);
        assert!(wakes.try_recv().is_err(), "the next line waits for room");
        assert_eq!(received.iter().count(), 2 * MAX_WAITING_LINES + 1);
        reader.join().unwrap();
    }
}
