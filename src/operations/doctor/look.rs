//! Looking at the machine: the parts of [`super::Facts`] that anyone can read. Nothing here changes anything.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::PathFacts;
use crate::operations::metrics::kib_of;

/// Returns who may open `path`; `None` if it does not exist or cannot be seen. Links are followed.
pub fn path(path: &Path) -> Option<PathFacts> {
    let metadata = fs::metadata(path).ok()?;
    Some(PathFacts {
        path: path.display().to_string(),
        mode: metadata.mode() & 0o7777,
        owner: metadata.uid(),
    })
}

/// Returns the effective user id of this process.
pub fn user_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Returns the bytes an unprivileged process may still write where `dir` lies.
pub fn free_bytes(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Returns the bytes of all files below `dir`, to a depth of eight.
pub fn size_of(dir: &Path) -> u64 {
    fn walk(dir: &Path, depth: u8) -> u64 {
        let Ok(entries) = fs::read_dir(dir) else { return 0 };
        entries
            .filter_map(Result::ok)
            .map(|entry| match entry.metadata() {
                Ok(metadata) if metadata.is_dir() && depth > 0 => walk(&entry.path(), depth - 1),
                Ok(metadata) if metadata.is_file() => metadata.len(),
                _ => 0,
            })
            .sum()
    }
    walk(dir, 8)
}

/// Returns the bytes this process may use: available memory, or less if its control group allows less.
pub fn available_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available_in(&text))?;
    let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| group_limit(&text));
    Some(group.map_or(machine, |group| group.min(machine)))
}

fn available_in(meminfo: &str) -> Option<u64> {
    kib_of(meminfo, "MemAvailable:").map(|kib| kib.saturating_mul(1024))
}

/// Returns the limit of the control group (version 2) that `cgroup` names; `None` without one.
fn group_limit(cgroup: &str) -> Option<u64> {
    let name = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    let file = Path::new("/sys/fs/cgroup").join(name.trim_start_matches('/')).join("memory.max");
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_be_looked_at() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(path(here).unwrap().path.ends_with(here.to_str().unwrap()));
        assert_eq!(path(Path::new("/nonexistent/doorward")), None);
        assert!(free_bytes(here).unwrap() > 0);
        assert!(available_bytes().unwrap() > 0);
        assert!(size_of(&here.join("../oidc")) > 10_000);
        assert_eq!(size_of(Path::new("/nonexistent/doorward")), 0);
    }

    #[test]
    fn available_memory_is_read_in_bytes() {
        assert_eq!(available_in("MemTotal: 9 kB\nMemAvailable:    512 kB\n"), Some(512 * 1024));
        assert_eq!(available_in(""), None);
        assert_eq!(group_limit("1:name=systemd:/\n"), None);
    }
}
