//! Networks read from text.

#[cfg(test)]
mod errors;
#[cfg(test)]
mod mistakes;
#[cfg(test)]
mod names;
#[cfg(test)]
mod support;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod worlds;
