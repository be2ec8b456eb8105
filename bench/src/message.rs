//! Messages that carry their number, and the check that each has arrived whole and in its turn.

use anyhow::{Result, bail};

/// Bytes of the number in front, little endian.
const NUMBER_SIZE: usize = 8;

/// Messages of one size, to be sent one after the other.
#[derive(Clone, Debug)]
pub struct Source {
    message: Vec<u8>,
    next: u64,
    end: u64,
}

impl Source {
    /// Messages of `size` bytes, at least 8, that make up `total` bytes; the first has the number `first`.
    #[must_use]
    pub fn new(size: usize, total: u64, first: u64) -> Self {
        let size = size.max(NUMBER_SIZE);
        let count = (total / size as u64).max(1);
        Self { message: (0..size).map(pattern).collect(), next: first, end: first.saturating_add(count) }
    }

    /// The message whose turn it is; `None` once all have been sent.
    pub fn current(&mut self) -> Option<&[u8]> {
        if self.next == self.end {
            return None;
        }
        self.message[..NUMBER_SIZE].copy_from_slice(&self.next.to_le_bytes());
        Some(&self.message)
    }

    /// The current message was taken.
    pub fn advance(&mut self) {
        self.next += 1;
    }

    /// The number behind that of the last message.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }
}

/// What has arrived.
#[derive(Clone, Debug, Default)]
pub struct Sink {
    expected: Vec<u8>,
    /// How many messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    fault: Option<String>,
}

impl Sink {
    /// Takes in a message, and notes if it is not the one whose turn it is.
    pub fn take(&mut self, message: &[u8]) {
        if self.expected.len() < message.len() {
            self.expected = (0..message.len()).map(pattern).collect();
        }
        let fault = match message.split_first_chunk::<NUMBER_SIZE>() {
            None => Some(format!("of {} bytes", message.len())),
            Some((number, _)) if u64::from_le_bytes(*number) != self.messages => {
                Some(format!("with number {}", u64::from_le_bytes(*number)))
            }
            Some((_, body)) => (body != &self.expected[NUMBER_SIZE..message.len()]).then(|| "damaged".to_owned()),
        };
        if self.fault.is_none() {
            self.fault = fault.map(|fault| format!("message {} came {fault}", self.messages));
        }
        self.messages += 1;
        self.bytes += message.len() as u64;
    }

    /// # Errors
    /// If a message was damaged, lost or out of order.
    pub fn check(&self) -> Result<()> {
        if let Some(fault) = &self.fault {
            bail!("{fault}");
        }
        Ok(())
    }
}

/// The byte at a place behind the number: of a period that divides no usual length of a fragment.
fn pattern(index: usize) -> u8 {
    u8::try_from((index * 31 + 7) % 251).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(count: u64) -> Vec<Vec<u8>> {
        let mut source = Source::new(100, 100 * count, 0);
        let mut messages = Vec::new();
        while let Some(message) = source.current() {
            messages.push(message.to_vec());
            source.advance();
        }
        messages
    }

    fn verdict<'a>(messages: impl IntoIterator<Item = &'a Vec<u8>>) -> Result<(), String> {
        let mut sink = Sink::default();
        messages.into_iter().for_each(|message| sink.take(message));
        sink.check().map_err(|error| error.to_string())
    }

    #[test]
    fn messages_that_arrive_whole_and_in_their_turn_pass() {
        assert_eq!(messages(5).len(), 5);
        assert_eq!(verdict(&messages(5)), Ok(()));
    }

    #[test]
    fn a_message_that_is_lost_or_out_of_order_is_noticed() {
        let [a, b, c]: [Vec<u8>; 3] = messages(3).try_into().unwrap();
        assert_eq!(verdict([&a, &c]), Err("message 1 came with number 2".to_owned()));
        assert_eq!(verdict([&b, &a]), Err("message 0 came with number 1".to_owned()));
        assert_eq!(verdict([&a, &b, &b]), Err("message 2 came with number 1".to_owned()));
    }

    #[test]
    fn a_message_with_a_single_wrong_byte_is_noticed() {
        for place in [NUMBER_SIZE, 50, 99] {
            let mut message = messages(1).remove(0);
            message[place] ^= 1;
            assert_eq!(verdict([&message]), Err("message 0 came damaged".to_owned()));
        }
        assert_eq!(verdict([&vec![0; 7]]), Err("message 0 came of 7 bytes".to_owned()));
    }
}
