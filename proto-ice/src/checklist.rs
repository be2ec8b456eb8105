//! The checklist: all pairs, and which of them is checked next (RFC 8445 §6.1.2, §6.1.4).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proto_machine::Path;

use crate::IceRole;
use crate::likelihood::is_likely;
use crate::pair::{Attempt, Pair, PairFoundation, PairPriority, PairState};

/// All pairs by path, and the triggered-check queue.
#[derive(Debug)]
pub(crate) struct Checklist {
    pairs: BTreeMap<Path, Pair>,
    triggered: VecDeque<Path>,
    /// How many triggered checks were taken since the last ordinary one.
    triggered_in_a_row: u32,
    limit: usize,
    turn: Turn,
    run: FamilyRun,
}

/// The ordinary checks of one address family in a row.
#[derive(Clone, Copy, Debug, Default)]
struct FamilyRun {
    /// `None` before the first check.
    is_ipv6: Option<bool>,
    length: u32,
}

/// So many ordinary checks of one address family go out in a row while another family waits (RFC 8421 §4).
const MAXIMUM_FAMILY_RUN: u32 = 2;

impl FamilyRun {
    /// Whether a check of this path would make the run too long.
    fn is_long_enough_without(&self, path: &Path) -> bool {
        self.length >= MAXIMUM_FAMILY_RUN && self.is_ipv6 == Some(path.remote.is_ipv6())
    }

    fn checked(&mut self, path: &Path) {
        let is_ipv6 = Some(path.remote.is_ipv6());
        self.length = if self.is_ipv6 == is_ipv6 { self.length.saturating_add(1) } else { 1 };
        self.is_ipv6 = is_ipv6;
    }
}

/// So many triggered checks, and then one ordinary check that waits. Behind NATs that map endpoint-dependently and let everybody in, every check of the peer has a new source: each
/// triggers a check that is new to the peer in turn, without end and without ever meeting. Nothing else would ever be checked, relays above all.
const TRIGGERED_IN_A_ROW: u32 = 4;

/// Whose turn it is among ordinary checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    /// The pairs that are likely to work.
    FirstLikely,
    SecondLikely,
    /// The pair of the highest priority.
    Highest,
}

impl Turn {
    fn next(self) -> Self {
        match self {
            Self::FirstLikely => Self::SecondLikely,
            Self::SecondLikely => Self::Highest,
            Self::Highest => Self::FirstLikely,
        }
    }
}

/// What became of a pair that was to be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Inserted {
    /// `displaced` is the path of the pair that has made room.
    Added { displaced: Option<Path> },
    /// A pair of this path exists (RFC 8445 §6.1.2.4).
    Redundant,
    /// There is no room, and no pair that should make room.
    Full,
}

impl Checklist {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            pairs: BTreeMap::new(),
            triggered: VecDeque::new(),
            triggered_in_a_row: 0,
            limit,
            turn: Turn::FirstLikely,
            run: FamilyRun::default(),
        }
    }

    pub(crate) fn get(&self, path: &Path) -> Option<&Pair> {
        self.pairs.get(path)
    }

    pub(crate) fn get_mut(&mut self, path: &Path) -> Option<&mut Pair> {
        self.pairs.get_mut(path)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Path, &Pair)> {
        self.pairs.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&Path, &mut Pair)> {
        self.pairs.iter_mut()
    }

    /// Adds a pair in the state that RFC 8838 §12 gives it.
    pub(crate) fn insert(&mut self, path: Path, mut pair: Pair) -> Inserted {
        if self.pairs.contains_key(&path) {
            return Inserted::Redundant;
        }
        let mut displaced = None;
        if self.pairs.len() >= self.limit {
            displaced = self.make_room(pair.priority);
            if displaced.is_none() {
                return Inserted::Full;
            }
        }
        pair.state = self.initial_state(&pair.foundation, pair.priority);
        self.pairs.insert(path, pair);
        Inserted::Added { displaced }
    }

    /// Removes the pairs for which `keep` says no, and returns their paths.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Path, &Pair) -> bool) -> Vec<Path> {
        let removed: Vec<Path> =
            self.pairs.iter().filter(|(path, pair)| !keep(path, pair)).map(|(&path, _)| path).collect();
        for path in &removed {
            self.pairs.remove(path);
        }
        self.triggered.retain(|path| !removed.contains(path));
        removed
    }

    /// Removes everything.
    pub(crate) fn clear(&mut self) {
        self.pairs.clear();
        self.triggered.clear();
    }

    /// Enqueues a triggered check. A pair that has not succeeded becomes Waiting (RFC 8445 §7.3.1.4), in the same attempt if it was under check.
    pub(crate) fn trigger(&mut self, path: Path) {
        let Some(pair) = self.pairs.get_mut(&path) else {
            return;
        };
        match pair.state {
            PairState::Succeeded(_) | PairState::Waiting(_) => {}
            PairState::InProgress { since, .. } => pair.state = PairState::Waiting(Attempt::Since(since)),
            PairState::Frozen | PairState::Failed(_) => pair.state = PairState::Waiting(Attempt::New),
        }
        if !self.triggered.contains(&path) {
            self.triggered.push_back(path);
        }
    }

    pub(crate) fn has_triggered(&self) -> bool {
        !self.triggered.is_empty()
    }

    /// Whether triggered checks have had their share for now.
    pub(crate) fn owes_ordinary(&self) -> bool {
        self.triggered_in_a_row >= TRIGGERED_IN_A_ROW
    }

    pub(crate) fn pop_triggered(&mut self) -> Option<Path> {
        let path = self.triggered.pop_front()?;
        self.triggered_in_a_row = self.triggered_in_a_row.saturating_add(1);
        Some(path)
    }

    pub(crate) fn untrigger(&mut self, path: Path) {
        self.triggered.retain(|entry| *entry != path);
    }

    /// Removes the triggered checks for whose paths `keep` says no.
    pub(crate) fn retain_triggered(&mut self, keep: impl FnMut(&Path) -> bool) {
        self.triggered.retain(keep);
    }

    /// The pair whose ordinary check is next, in the Waiting state (RFC 8445 §6.1.4.2 steps 2 and 3): by priority, but two of three are of a pair that is likely to work, and
    /// no family has to wait for a long run of the other. Priorities alone cannot see to that: dozens of pairs of IPv6 host candidates come before the first one of an IPv4 server-reflexive one.
    /// A pair whose check is triggered has its turn there.
    pub(crate) fn next_ordinary(&mut self) -> Option<Path> {
        if self.waiting().next().is_none() {
            self.unfreeze_idle_foundations();
        }
        let goes_first = |path: &Path| self.turn != Turn::Highest && is_likely(path);
        let has_turn = |path: &Path| !self.run.is_long_enough_without(path);
        let rank = |(path, pair): &(&Path, &Pair)| (has_turn(path), goes_first(path), pair.priority);
        let next = self.waiting().max_by_key(rank).map(|(&path, _)| path)?;
        self.turn = self.turn.next();
        self.run.checked(&next);
        self.triggered_in_a_row = 0;
        Some(next)
    }

    /// The pairs that wait for an ordinary check.
    fn waiting(&self) -> impl Iterator<Item = (&Path, &Pair)> {
        let is_waiting = |(path, pair): &(&Path, &Pair)| {
            matches!(pair.state, PairState::Waiting(_)) && !self.triggered.contains(path)
        };
        self.pairs.iter().filter(is_waiting)
    }

    /// Whether [`next_ordinary`](Self::next_ordinary) would find a pair.
    pub(crate) fn has_ordinary(&self) -> bool {
        if self.waiting().next().is_some() {
            return true;
        }
        let busy = self.busy_foundations();
        self.pairs.values().any(|pair| matches!(pair.state, PairState::Frozen) && !busy.contains(&pair.foundation))
    }

    /// Whether checks are to come or under way.
    pub(crate) fn has_unfinished(&self) -> bool {
        self.pairs
            .values()
            .any(|pair| matches!(pair.state, PairState::Frozen | PairState::Waiting(_) | PairState::InProgress { .. }))
    }

    /// RFC 8445 §7.2.5.3.3: a success makes every Frozen pair of its foundation Waiting.
    pub(crate) fn unfreeze(&mut self, foundation: &PairFoundation) {
        for pair in self.pairs.values_mut() {
            if matches!(pair.state, PairState::Frozen) && pair.foundation == *foundation {
                pair.state = PairState::Waiting(Attempt::New);
            }
        }
    }

    pub(crate) fn set_role(&mut self, role: IceRole) {
        for pair in self.pairs.values_mut() {
            pair.set_role(role);
        }
    }

    /// RFC 8838 §12: Waiting if it is the topmost of its foundation (rule 1) or the foundation has succeeded (rule 2), else Frozen (rule 3).
    fn initial_state(&self, foundation: &PairFoundation, priority: PairPriority) -> PairState {
        let alike = || self.pairs.values().filter(|pair| pair.foundation == *foundation);
        let topmost = alike().all(|pair| pair.priority < priority);
        if topmost || alike().any(|pair| matches!(pair.state, PairState::Succeeded(_))) {
            PairState::Waiting(Attempt::New)
        } else {
            PairState::Frozen
        }
    }

    /// RFC 8838 §11: a failed pair makes room, else one of lower priority. Pairs under check or in use never do, nor those that may not come back.
    /// Returned is the path of the pair that is gone.
    fn make_room(&mut self, priority: PairPriority) -> Option<Path> {
        let unchecked =
            |pair: &Pair| matches!(pair.state, PairState::Frozen | PairState::Waiting(_)) && pair.priority < priority;
        let lowest = |select: &dyn Fn(&Pair) -> bool| {
            let candidates = self.pairs.iter().filter(|(_, pair)| select(pair));
            candidates.min_by_key(|(_, pair)| pair.priority).map(|(&path, _)| path)
        };
        let path = lowest(&Pair::may_make_room).or_else(|| lowest(&unchecked))?;
        self.pairs.remove(&path);
        self.untrigger(path);
        Some(path)
    }

    /// RFC 8445 §6.1.4.2 step 2: of every foundation without a pair Waiting or In-Progress, the best Frozen pair.
    fn unfreeze_idle_foundations(&mut self) {
        let busy = self.busy_foundations();
        let mut best: BTreeMap<&PairFoundation, (PairPriority, Path)> = BTreeMap::new();
        for (&path, pair) in &self.pairs {
            if matches!(pair.state, PairState::Frozen) && !busy.contains(&pair.foundation) {
                let entry = best.entry(&pair.foundation).or_insert((pair.priority, path));
                *entry = (*entry).max((pair.priority, path));
            }
        }
        let paths: Vec<Path> = best.into_values().map(|(_, path)| path).collect();
        for path in paths {
            if let Some(pair) = self.pairs.get_mut(&path) {
                pair.state = PairState::Waiting(Attempt::New);
            }
        }
    }

    fn busy_foundations(&self) -> BTreeSet<&PairFoundation> {
        self.pairs.values().filter(|pair| pair.is_waiting_or_in_progress()).map(|pair| &pair.foundation).collect()
    }
}
