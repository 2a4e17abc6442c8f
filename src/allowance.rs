//! How much memory control groups let this process have, and how much of that is taken.
//!
//! Each group from the process's own up to the root may have a limit; the one that has least left counts. What the kernel takes
//! back by itself before it kills anybody, pages of files above all, does not count as taken. Read anew at every look: limits
//! are changed while we run. Sources: cgroup-v2.rst (memory.max, memory.high, memory.current, memory.stat), cgroup-v1/memory.rst.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel tells which groups a process is in, and where groups are.
const MEMBERSHIP: &str = "/proc/self/cgroup";
const ROOT: &str = "/sys/fs/cgroup";

/// Limits from here on are none: version 1 says 2^63 less a page.
const NO_LIMIT: u64 = 1 << 60;

/// The groups whose limits hold for this process. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The process's own first.
    groups: Vec<PathBuf>,
    files: &'static Files,
}

/// What the tightest group says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Bytes that its processes may have together.
    pub limit: u64,
    /// Bytes that they have and that only they can give back.
    pub taken: u64,
}

impl Look {
    /// Bytes to the limit.
    pub const fn left(self) -> u64 {
        self.limit.saturating_sub(self.taken)
    }
}

/// The names of a version's files.
#[derive(Debug, PartialEq, Eq)]
struct Files {
    limits: &'static [&'static str],
    usage: &'static str,
    /// Rows of `memory.stat` that are given back for the asking.
    reclaimable: &'static [&'static str],
}

static V2: Files = Files {
    limits: &["memory.max", "memory.high"],
    usage: "memory.current",
    reclaimable: &["active_file", "inactive_file", "slab_reclaimable"],
};

static V1: Files = Files {
    limits: &["memory.limit_in_bytes"],
    usage: "memory.usage_in_bytes",
    reclaimable: &["total_active_file", "total_inactive_file"],
};

impl Allowance {
    /// Of this process; nothing where there are no such groups.
    pub fn of_process() -> Option<Self> {
        Self::below(Path::new(ROOT), &fs::read_to_string(MEMBERSHIP).ok()?)
    }

    /// The same with groups in `root`, for a process whose `/proc/self/cgroup` has this text.
    pub fn below(root: &Path, membership: &str) -> Option<Self> {
        let (path, files) = memory_group(membership)?;
        let top = if files == &V1 { root.join("memory") } else { root.to_owned() };
        let mut groups = Vec::new();
        let mut group = top.join(path.trim_start_matches('/'));
        // Within a container, the path may be the host's, while what is mounted is the container's own group.
        while group.starts_with(&top) {
            if group.join(files.usage).is_file() {
                groups.push(group.clone());
            }
            if !group.pop() {
                break;
            }
        }
        (!groups.is_empty()).then_some(Self { groups, files })
    }

    /// What the group with least left says; nothing as long as none has a limit.
    pub fn look(&self) -> Option<Look> {
        self.groups.iter().filter_map(|group| self.look_at(group)).min_by_key(|look| look.left())
    }

    fn look_at(&self, group: &Path) -> Option<Look> {
        let read = |name: &str| fs::read_to_string(group.join(name)).ok();
        let limits = self.files.limits.iter().filter_map(|name| bytes(&read(name)?));
        let limit = limits.min().filter(|&limit| limit < NO_LIMIT)?;
        let usage = bytes(&read(self.files.usage)?)?;
        let reclaimable = sum(&read("memory.stat")?, self.files.reclaimable);
        Some(Look { limit, taken: usage.saturating_sub(reclaimable) })
    }
}

/// The path of the group that bounds memory. Where both versions are mounted, memory is with the first if it is named there.
fn memory_group(membership: &str) -> Option<(&str, &'static Files)> {
    let mut unified = None;
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        if controllers.split(',').any(|one| one == "memory") {
            return Some((path, &V1));
        }
        if controllers.is_empty() {
            unified = Some((path, &V2));
        }
    }
    // A path that leads out of the mounted tree is in none of its groups (`/..`, seen from another namespace).
    unified.filter(|(path, _)| !path.split('/').any(|part| part == ".."))
}

/// A number alone in a file; `max` is none.
fn bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The sum of these rows of `name number` lines.
fn sum(stat: &str, names: &[&str]) -> u64 {
    let rows = stat.lines().filter_map(|line| line.split_once(' '));
    let wanted = rows.filter(|(name, _)| names.contains(name));
    wanted.filter_map(|(_, number)| bytes(number)).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn write(group: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(group).unwrap();
        for (name, text) in files {
            fs::write(group.join(name), text).unwrap();
        }
    }

    #[test]
    fn the_group_with_least_left_counts() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("system.slice/substratum.service");
        let stat = "anon 1\nactive_file 1048576\ninactive_file 2097152\nfile 9\nslab_reclaimable 1048576\n";
        write(
            &own,
            &[
                ("memory.max", "max\n"),
                ("memory.high", "max\n"),
                ("memory.current", "8388608\n"),
                ("memory.stat", stat),
            ],
        );
        let membership = "0::/system.slice/substratum.service\n";
        let allowance = Allowance::below(root.path(), membership).unwrap();
        assert_eq!(allowance.look(), None, "no limit anywhere");
        write(&own, &[("memory.max", "33554432\n")]);
        assert_eq!(allowance.look(), Some(Look { limit: 32 * MIB, taken: 4 * MIB }));
        write(&own, &[("memory.high", "16777216\n")]);
        assert_eq!(
            allowance.look(),
            Some(Look { limit: 16 * MIB, taken: 4 * MIB }),
            "high throttles, which is as bad"
        );
        let slice = root.path().join("system.slice");
        write(
            &slice,
            &[("memory.max", "41943040\n"), ("memory.current", "37748736\n"), ("memory.stat", "anon 3\n")],
        );
        let allowance = Allowance::below(root.path(), membership).unwrap();
        let look = allowance.look().unwrap();
        assert_eq!(
            (look, look.left()),
            (Look { limit: 40 * MIB, taken: 36 * MIB }, 4 * MIB),
            "others are in the slice"
        );
    }

    #[test]
    fn the_first_version_too_and_from_within_a_container() {
        let root = tempfile::tempdir().unwrap();
        let membership = "9:name=systemd:/\n4:cpu,memory:/docker/abc\n0::/\n";
        assert_eq!(Allowance::below(root.path(), membership), None);
        let stat = "active_file 5\ntotal_active_file 100\ntotal_inactive_file 200\ntotal_rss 7\n";
        write(
            // What is mounted there is the container's own group, under the name of the root.
            &root.path().join("memory"),
            &[
                ("memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory.usage_in_bytes", "1000\n"),
                ("memory.stat", stat),
            ],
        );
        let allowance = Allowance::below(root.path(), membership).unwrap();
        assert_eq!(allowance.look(), None);
        write(&root.path().join("memory"), &[("memory.limit_in_bytes", "4096\n")]);
        assert_eq!(allowance.look(), Some(Look { limit: 4096, taken: 700 }));
    }

    #[test]
    fn what_makes_no_sense_is_no_limit() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &[("memory.current", "1"), ("memory.max", "many"), ("memory.stat", "")]);
        for membership in ["", "0::/../other\n", "nonsense", "3:cpu:/x\n"] {
            assert_eq!(Allowance::below(root.path(), membership), None, "{membership:?}");
        }
        let allowance = Allowance::below(root.path(), "0::/\n").unwrap();
        assert_eq!(allowance.look(), None);
        write(root.path(), &[("memory.max", "100"), ("memory.stat", "active_file 50\nactive_file\n\n")]);
        assert_eq!(allowance.look(), Some(Look { limit: 100, taken: 0 }));
        fs::remove_file(root.path().join("memory.stat")).unwrap();
        assert_eq!(allowance.look(), None);
    }
}
