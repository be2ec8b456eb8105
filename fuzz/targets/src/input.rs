//! The input of a target, read as decisions.

/// Reads an input from its front. An input that is used up gives zeros: every input is a valid one, and a prefix of another.
#[derive(Clone, Debug)]
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        first
    }

    pub(crate) fn bool(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub(crate) fn u32(&mut self) -> u32 {
        (u32::from(self.u16()) << 16) | u32::from(self.u16())
    }

    /// One of a few choices.
    pub(crate) fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// An index below `length`, which is not 0.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::from(self.u16()) % length
    }

    /// Bytes behind their length, fewer at the end of the input. A length in one byte keeps operations short; what has to be longer is put together from several.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        self.take(length)
    }

    /// Bytes behind their length, which may be that of the longest datagram.
    pub(crate) fn long_bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.u16());
        self.take(length)
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}

/// Writes what [`Input`] reads, for seeds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    bytes: Vec<u8>,
}

impl Script {
    /// One decision after the other.
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Bytes behind their length in one byte, at most 255 of them.
    pub(crate) fn block(self, block: &[u8]) -> Self {
        let block = &block[..block.len().min(usize::from(u8::MAX))];
        let length = u8::try_from(block.len()).unwrap_or(u8::MAX);
        self.bytes(&[length]).bytes(block)
    }

    /// Bytes behind their length in two bytes.
    pub(crate) fn long_block(self, block: &[u8]) -> Self {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        self.bytes(&length.to_be_bytes()).bytes(block)
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
