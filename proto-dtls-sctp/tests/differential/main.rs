//! Our SCTP, `sctp-proto` and `dcsctp` against each other, over links that lose, duplicate and reorder, in virtual time.

#[cfg(test)]
mod campaign;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod end;
#[cfg(test)]
mod link;
#[cfg(test)]
mod resets;
#[cfg(test)]
mod timing;
#[cfg(test)]
mod wraps;
