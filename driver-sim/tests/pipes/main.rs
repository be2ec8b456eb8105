//! Byte pipes: late, in order, and whole.

#[cfg(test)]
mod streams;
#[cfg(test)]
mod support;
