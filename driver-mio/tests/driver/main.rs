//! Drivers on real sockets of this host. Tests wait for what they expect, and never just sleep.

mod datagrams;
mod names;
mod sockets;
#[cfg(test)]
mod support;
mod timing;

#[cfg(test)]
impl support::Host {
    fn new(config: driver_mio::DriverConfig) -> Self {
        Self::on(driver_mio::Driver::new(support::Scripted::default(), config).expect("a driver"))
    }
}
