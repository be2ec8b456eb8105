//! The association alone against a tester that writes and reads every packet by hand, in virtual time. README.md lists which test shows which purpose.

#[cfg(test)]
mod acknowledgement;
#[cfg(test)]
mod association_setup;
#[cfg(test)]
mod data;
#[cfg(test)]
mod described;
#[cfg(test)]
mod duplicates;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod interleaving;
#[cfg(test)]
mod invalid;
#[cfg(test)]
mod partial_reliability;
#[cfg(test)]
mod resets;
#[cfg(test)]
mod retransmission;
#[cfg(test)]
mod table;
#[cfg(test)]
mod termination;
#[cfg(test)]
mod tester;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod zero_checksum;
