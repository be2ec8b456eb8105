//! The network of a world: addresses, NATs and firewalls.
//!
//! An [`Internet`] is a value without links and without time of its own: [`Internet::route`] says where a datagram arrives that is sent now. A [`World`](crate::World) takes the same steps
//! one by one, with links in between: gateways on the way up translate when the datagram comes to them, those on the way down when it has crossed the links before them.
//!
//! Of RFC 4787 the requirements on ICMP (REQ-12) and on fragments (REQ-13, REQ-14) have no counterpart here: there is neither.

mod behaviour;
mod expiring;
mod firewall;
mod internet;
mod nat;
mod ports;
pub mod reachability;

pub use behaviour::{Dependence, DropReason};
pub use firewall::{Firewall, FirewallConfig, UdpPolicy};
pub(crate) use internet::{Ascent, Descent};
pub use internet::{Family, Internet, InternetError, MiddleboxId, NetworkId, Packet, Undelivered};
pub use nat::{Hairpinning, Nat, NatConfig, Pooling, PortAssignment};
