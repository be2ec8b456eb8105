//! NATs, firewalls and the networks around them, without peers.

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod firewalls;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod rfc4787;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod support;
