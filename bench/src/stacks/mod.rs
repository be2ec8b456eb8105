//! One adapter for each stack.

pub(crate) mod ours;
mod rtc;
mod str0m;

pub use ours::Ours;
pub use rtc::Rtc;
pub use str0m::Str0m;
