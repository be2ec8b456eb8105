//! The demo's page, used as a person uses it.

#[cfg(test)]
mod connecting;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod firefox;
#[cfg(test)]
mod keyboard;
#[cfg(test)]
mod support;
#[cfg(test)]
mod transfers;
