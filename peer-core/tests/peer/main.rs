//! Peers as their applications see them, in a simulated world.

#[cfg(test)]
mod connection;
#[cfg(test)]
mod descriptions;
#[cfg(test)]
mod endpoint;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod mappings;
#[cfg(test)]
mod pool;
#[cfg(test)]
mod relays;
#[cfg(test)]
mod sctp_init;
#[cfg(test)]
mod support;
#[cfg(test)]
mod turn_node;
