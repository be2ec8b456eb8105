//! The transport as a whole: two ends, or one and a raw peer, in virtual time.

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod channels;
#[cfg(test)]
mod closing;
#[cfg(test)]
mod common;
#[cfg(test)]
mod described;
#[cfg(test)]
mod flow;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod interop;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod loss;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod reuse;
#[cfg(feature = "simulation")]
#[cfg(test)]
mod simulation;
