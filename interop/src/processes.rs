//! What processes use of the machine, as Linux tells it.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// What a process has used so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// Processor time, that of all its threads.
    pub processor_time: Duration,
    /// Bytes of memory at the moment; of what it shares with others, its share.
    pub memory: u64,
    /// The most that they have ever been.
    pub peak_memory: u64,
}

/// What this process has used.
///
/// # Errors
/// There is none with this number.
pub fn usage(process: u32) -> Result<Usage> {
    let read = |file: &str| {
        let path = format!("/proc/{process}/{file}");
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    };
    let (stat, status) = (read("stat")?, read("status")?);
    let ticks = Stat::parse(&stat).context("the form of stat")?.ticks;
    let bytes = |text: &str, name: &str| kibibytes(text, name).map_or(0, |kibibytes| kibibytes * 1024);
    Ok(Usage {
        processor_time: Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64),
        memory: bytes(&read("smaps_rollup")?, "Pss:"),
        peak_memory: bytes(&status, "VmHWM:"),
    })
}

/// What all descendants of a process have used so far, but this one and its own: those that are gone count no longer.
#[must_use]
pub fn usage_of_descendants(process: u32, without: u32) -> Usage {
    let parents = parents();
    let is_descendant = |mut child: u32| {
        while child != without
            && let Some(&parent) = parents.get(&child)
        {
            if parent == process {
                return true;
            }
            child = parent;
        }
        false
    };
    let usages = parents.keys().filter(|child| is_descendant(**child)).filter_map(|child| usage(*child).ok());
    usages.fold(Usage::default(), |sum, usage| Usage {
        processor_time: sum.processor_time + usage.processor_time,
        memory: sum.memory + usage.memory,
        peak_memory: sum.peak_memory + usage.peak_memory,
    })
}

/// The parent of each process.
fn parents() -> BTreeMap<u32, u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // One may have ended meanwhile.
    let parent = |process: u32| Stat::parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?);
    processes.filter_map(|process| Some((process, parent(process)?.parent))).collect()
}

/// What is of interest in `/proc/PID/stat` (proc_pid_stat(5)).
#[derive(PartialEq, Eq, Debug)]
struct Stat {
    parent: u32,
    /// Of processor time.
    ticks: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name of the program stands in parentheses, and may have some itself.
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let parent = fields.nth(1)?.parse().ok()?;
        let user: u64 = fields.nth(9)?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some(Self { parent, ticks: user + system })
    }
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parent_and_ticks_are_found_behind_a_name_with_parentheses() {
        let text = "4711 (a (strange) name) S 17 4711 4711 0 -1 4194304 1 2 3 4 250 50 7 8 20 0 1 0 99 1000 25";
        assert_eq!(Stat::parse(text), Some(Stat { parent: 17, ticks: 300 }));
        assert_eq!(Stat::parse("4711 (cut short) S"), None);
    }

    #[test]
    fn this_process_has_used_memory_and_is_a_child_of_its_parent() {
        let here = usage(std::process::id()).unwrap();
        assert!(here.memory > 0 && here.peak_memory > 0, "{here:?}");
        assert_eq!(parents().get(&std::process::id()), Some(&std::os::unix::process::parent_id()));
    }
}
