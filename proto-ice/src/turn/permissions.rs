//! Permissions: from which addresses the server lets packets through (RFC 8656 §9, §10).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use proto_machine::Timestamp;

/// RFC 8656 §9: "The Permission Lifetime MUST be 300 seconds".
pub(crate) const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);

/// When a permission is renewed: early enough for a whole transaction, which takes 39.5 s at the most.
pub(crate) const PERMISSION_REFRESH: Duration = Duration::from_secs(240);

/// A renewal takes all those along that would be due this soon.
const BATCH_WINDOW: Duration = Duration::from_secs(30);

/// The most addresses with a permission, wanted ones included.
pub(crate) const MAXIMUM_PERMISSIONS: usize = 128;

/// The most addresses in one CreatePermission request: with IPv6 they take 288 bytes, which leaves room for long credentials.
pub(crate) const ADDRESSES_PER_REQUEST: usize = 12;

/// The permissions of an allocation.
#[derive(Debug, Default)]
pub(crate) struct Permissions {
    entries: BTreeMap<IpAddr, Permission>,
}

#[derive(Clone, Copy, Debug)]
struct Permission {
    /// Until when the server is known to let packets through.
    granted_until: Option<Timestamp>,
    state: PermissionState,
}

#[derive(Clone, Copy, Debug)]
enum PermissionState {
    Wanted(Company),
    Requested,
    Granted {
        refresh_at: Timestamp,
    },
    /// It may be asked for anew.
    Refused,
}

/// Whether an address is asked for together with others. One that the server refuses makes it refuse the whole request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Company {
    Any,
    Alone,
}

/// What a successful request has brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Granted {
    First,
    Again,
}

impl Permissions {
    /// Asks for an address. `false` if there are too many.
    pub(crate) fn want(&mut self, address: IpAddr) -> bool {
        let has_room = self.entries.len() < MAXIMUM_PERMISSIONS;
        match self.entries.get_mut(&address) {
            Some(known) => {
                if matches!(known.state, PermissionState::Refused) {
                    known.state = PermissionState::Wanted(Company::Alone);
                }
                true
            }
            None if has_room => {
                let state = PermissionState::Wanted(Company::Any);
                self.entries.insert(address, Permission { granted_until: None, state });
                true
            }
            None => false,
        }
    }

    /// Counts on another request that will bring the permission: a ChannelBind. `false` if there are too many.
    pub(crate) fn await_binding(&mut self, address: IpAddr) -> bool {
        let has_room = self.entries.len() < MAXIMUM_PERMISSIONS;
        if !self.entries.contains_key(&address) && has_room {
            self.entries.insert(address, Permission { granted_until: None, state: PermissionState::Requested });
        }
        self.entries.contains_key(&address)
    }

    /// That other request has failed: the address is asked for by itself.
    pub(crate) fn binding_failed(&mut self, address: IpAddr) {
        if let Some(known) = self.entries.get_mut(&address)
            && matches!(known.state, PermissionState::Requested)
        {
            known.state = PermissionState::Wanted(Company::Alone);
        }
    }

    /// Lets a permission run out. There is no way to end one earlier.
    pub(crate) fn forget(&mut self, address: IpAddr) {
        self.entries.remove(&address);
    }

    /// Whether a packet may be sent to this address: the server has said that it lets it through.
    pub(crate) fn is_granted(&self, now: Timestamp, address: IpAddr) -> bool {
        self.entries.get(&address).and_then(|known| known.granted_until).is_some_and(|until| now < until)
    }

    /// Whether a packet from this address is expected: the server may have granted what its response has not told yet.
    pub(crate) fn is_expected(&self, now: Timestamp, address: IpAddr) -> bool {
        let is_requested = |known: &Permission| matches!(known.state, PermissionState::Requested);
        self.is_granted(now, address) || self.entries.get(&address).is_some_and(is_requested)
    }

    /// The addresses of the next request; empty if none is due.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Vec<IpAddr> {
        if self.next_deadline().is_none_or(|at| at > now) {
            return Vec::new();
        }
        let alone = self.entries.iter().find(|(_, known)| known.is_due_alone()).map(|(&address, _)| address);
        let addresses: Vec<IpAddr> = match alone {
            Some(address) => vec![address],
            None => self
                .entries
                .iter()
                .filter(|(_, known)| known.joins(now + BATCH_WINDOW))
                .map(|(&address, _)| address)
                .take(ADDRESSES_PER_REQUEST)
                .collect(),
        };
        for address in &addresses {
            if let Some(known) = self.entries.get_mut(address) {
                known.state = PermissionState::Requested;
            }
        }
        addresses
    }

    /// The server has granted what was sent at `sent_at`. `None` for an address that is not wanted any more.
    pub(crate) fn granted(&mut self, address: IpAddr, sent_at: Timestamp) -> Option<Granted> {
        let known = self.entries.get_mut(&address)?;
        let granted = if known.granted_until.is_some() { Granted::Again } else { Granted::First };
        known.granted_until = Some(sent_at + PERMISSION_LIFETIME);
        known.state = PermissionState::Granted { refresh_at: sent_at + PERMISSION_REFRESH };
        Some(granted)
    }

    /// The server refuses this address for good. `false` if nobody has asked for it.
    pub(crate) fn refused(&mut self, address: IpAddr) -> bool {
        let Some(known) = self.entries.get_mut(&address) else {
            return false;
        };
        known.state = PermissionState::Refused;
        true
    }

    /// The server has refused several addresses together: this one is asked for by itself.
    pub(crate) fn ask_alone(&mut self, address: IpAddr) {
        if let Some(known) = self.entries.get_mut(&address)
            && !matches!(known.state, PermissionState::Refused)
        {
            known.state = PermissionState::Wanted(Company::Alone);
        }
    }

    /// Whether the server has yet to answer for this address.
    pub(crate) fn is_awaited(&self, now: Timestamp, address: IpAddr) -> bool {
        let is_open =
            |known: &Permission| matches!(known.state, PermissionState::Wanted(_) | PermissionState::Requested);
        !self.is_granted(now, address) && self.entries.get(&address).is_some_and(is_open)
    }

    /// When a request is due; [`Timestamp::ZERO`] if at once.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        let due = |known: &Permission| match known.state {
            PermissionState::Wanted(_) => Some(Timestamp::ZERO),
            PermissionState::Granted { refresh_at } => Some(refresh_at),
            PermissionState::Requested | PermissionState::Refused => None,
        };
        self.entries.values().filter_map(due).min()
    }
}

impl Permission {
    fn is_due_alone(&self) -> bool {
        matches!(self.state, PermissionState::Wanted(Company::Alone))
    }

    fn joins(&self, limit: Timestamp) -> bool {
        match self.state {
            PermissionState::Wanted(_) => true,
            PermissionState::Granted { refresh_at } => refresh_at <= limit,
            PermissionState::Requested | PermissionState::Refused => false,
        }
    }
}
