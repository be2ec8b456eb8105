//! Who waits for whom: a small message behind much else, and channels that share a path, over links with a rate and a queue.

#[cfg(test)]
#[expect(dead_code, reason = "most of it is for the tests of the transport")]
#[path = "../transport/common.rs"]
mod common;
#[cfg(test)]
mod latency;
#[cfg(test)]
mod path;
#[cfg(test)]
mod shares;
