//! Connections over the loopback interface.

#[cfg(test)]
mod backpressure;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod ending;
#[cfg(test)]
mod exchange;
#[cfg(test)]
mod support;
