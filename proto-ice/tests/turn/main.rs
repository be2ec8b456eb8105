//! A TURN client against a model server in virtual time.

#[cfg(test)]
mod allocating;
#[cfg(test)]
mod channels;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod data;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod permissions;
#[cfg(test)]
mod refreshing;
#[cfg(test)]
mod world;
