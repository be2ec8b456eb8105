//! Real peers behind every kind of NAT, without a relay and with one.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod names;
#[cfg(test)]
mod random;
#[cfg(test)]
mod support;
#[cfg(test)]
mod table;
