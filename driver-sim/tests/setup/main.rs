//! How long connections take to come about, and what they cost when nothing happens.

#[cfg(test)]
mod idle;
#[cfg(test)]
mod pairs;
#[cfg(test)]
mod times;
