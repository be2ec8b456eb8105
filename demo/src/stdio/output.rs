//! Events on stdout.

use std::io::{self, BufWriter, Stdout, Write};

use super::protocol::Event;

/// Writes events, a line each. Whoever does not read them holds the peer up.
pub(crate) struct Output<W: Write = Stdout> {
    writer: BufWriter<W>,
    /// Nobody reads any more.
    failure: Option<io::Error>,
}

impl Output {
    pub(crate) fn stdout() -> Self {
        Self::new(io::stdout())
    }
}

impl<W: Write> Output<W> {
    pub(crate) fn new(writer: W) -> Self {
        Self { writer: BufWriter::new(writer), failure: None }
    }

    /// Writes an event. [`flush`](Self::flush) makes it visible, and tells of failure.
    pub(crate) fn event(&mut self, event: &Event) {
        if self.failure.is_none() {
            let written = serde_json::to_writer(&mut self.writer, event).map_err(io::Error::from);
            self.failure = written.and_then(|()| self.writer.write_all(b"\n")).err();
        }
    }

    /// Hands what was written to the reader.
    ///
    /// # Errors
    /// The reader has gone, now or since the last time.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => self.writer.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_a_line() {
        let mut lines = Vec::new();
        let mut output = Output::new(&mut lines);
        for place in ["a", "b"] {
            output.event(&Event::Error { place, message: "x\ny".to_owned() });
        }
        output.flush().unwrap();
        drop(output);
        let text = String::from_utf8(lines).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[test]
    fn a_reader_that_is_gone_is_noticed() {
        let mut output = Output::new(Gone);
        output.event(&Event::Error { place: "a", message: "x".repeat(100_000) });
        assert!(output.flush().is_err());
    }
}
