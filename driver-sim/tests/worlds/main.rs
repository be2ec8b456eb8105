//! Worlds of two peers over faulty links.

#[cfg(test)]
mod determinism;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod game;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod support;
