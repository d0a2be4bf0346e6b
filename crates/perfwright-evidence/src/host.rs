//! The machine that a run ran on, from `/proc`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// CPU, memory, kernel and GPUs. What could not be read is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// The CPU's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Logical CPUs that `/proc/cpuinfo` lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logical_cpus: Option<u64>,
    /// Memory in bytes (`MemTotal`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Kernel release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// GPUs, and why the list is empty where it is.
    pub gpus: Gpus,
}

/// The GPUs of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gpus {
    /// One entry for each GPU.
    pub devices: Vec<Gpu>,
    /// Versions of the vendor's tools and of what they belong to, such as `cuda` and `rocm`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<String, String>,
    /// Why the list is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gpu {
    /// Product name.
    pub name: String,
    /// Memory in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Driver version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
}

impl Host {
    /// Reads `ROOT/proc`; `/` for the machine itself.
    #[must_use]
    pub fn capture(root: &Path) -> Self {
        let text = |path: &str| head(&root.join("proc").join(path));
        let cpuinfo = text("cpuinfo").unwrap_or_default();
        let field = |wanted: &str| {
            cpuinfo.lines().filter_map(|l| l.split_once(':')).find(|(key, _)| key.trim() == wanted)
        };
        let processors = cpuinfo
            .lines()
            .filter(|l| l.split_once(':').is_some_and(|(key, _)| key.trim() == "processor"))
            .count() as u64;
        // The key is `model name` on x86 and often absent on arm64, where `CPU part` is all there is.
        let name = field("model name").or_else(|| field("Processor")).or_else(|| field("CPU part"));
        let memory = text("meminfo").as_deref().and_then(total_memory);
        Self {
            cpu: name.map(|(_, value)| clean(value)).filter(|v| !v.is_empty()),
            logical_cpus: Some(processors).filter(|&n| n > 0),
            memory_bytes: memory,
            kernel: text("sys/kernel/osrelease").map(|t| clean(&t)).filter(|v| !v.is_empty()),
            gpus: Gpus {
                devices: Vec::new(),
                versions: BTreeMap::new(),
                reason: Some("GPUs are not probed by this version".to_owned()),
            },
        }
    }
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn clean(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(200).collect()
}

/// At most 4 MiB of a file: `/proc/cpuinfo` has about 1.5 KiB a CPU.
fn head(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(4 << 20).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn reads_a_given_root() {
        let root = tempfile::tempdir().expect("tempdir");
        let proc = root.path().join("proc");
        fs::create_dir_all(proc.join("sys/kernel")).expect("dirs");
        let cpus = "processor\t: 0\nmodel name\t: Example CPU @ 2.0GHz\n\nprocessor\t: 1\nmodel name\t: Example CPU\n";
        fs::write(proc.join("cpuinfo"), cpus).expect("write");
        fs::write(proc.join("meminfo"), "MemTotal:       1024 kB\nMemFree: 1 kB\n").expect("write");
        fs::write(proc.join("sys/kernel/osrelease"), "6.1.0-test\n").expect("write");
        let host = Host::capture(root.path());
        assert_eq!(host.cpu.as_deref(), Some("Example CPU @ 2.0GHz"));
        assert_eq!((host.logical_cpus, host.memory_bytes), (Some(2), Some(1 << 20)));
        assert_eq!(host.kernel.as_deref(), Some("6.1.0-test"));
        assert!(host.gpus.devices.is_empty() && host.gpus.reason.is_some());
    }

    #[test]
    fn an_absent_proc_leaves_fields_out() {
        let root = tempfile::tempdir().expect("tempdir");
        let host = Host::capture(root.path());
        assert_eq!((host.cpu, host.logical_cpus, host.memory_bytes, host.kernel), (None, None, None, None));
    }
}
