//! The program, as the suite starts it.

#[cfg(test)]
mod runs;
