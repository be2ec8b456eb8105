//! TURN servers in a world, and peers that need them.

#[cfg(test)]
mod client;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod server;
#[cfg(test)]
mod streams;
