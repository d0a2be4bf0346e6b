//! What the machine must have before a round, and what a round must leave behind: nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use perfwright_evidence::GateResult;
use perfwright_process::{GpuProbe, listeners, probe_gpus};

use super::evaluate::Scene;
use crate::child::{Job, marked, run};
use crate::error::LoopError;
use crate::event::{DeviceMemory, Driver, Ended};
use crate::git;
use crate::plan::Resources;
use crate::spec::Spec;

/// One GPU as the probe states it.
struct Gpu {
    free_mib: u64,
    busy: u64,
}

const PROBE: &str = "nvidia-smi --query-gpu=index,memory.free,utilization.gpu --format=csv,noheader,nounits";

fn gpus(wanted: &Resources, dir: &Path, scratch: &Path) -> Result<Vec<Gpu>, String> {
    let job = Job {
        command: wanted.probe.as_deref().unwrap_or(PROBE),
        dir,
        input: b"",
        env: Vec::new(),
        timeout: Duration::from_secs(30),
        scratch: &scratch.join("probe"),
    };
    let ran = run(&job, 1 << 20).map_err(|e| e.to_string())?;
    if ran.ended != Ended::Exit(0) {
        let said = String::from_utf8_lossy(&ran.err).lines().next().unwrap_or("no answer").to_owned();
        return Err(format!("the GPU probe failed: {said}"));
    }
    let text = String::from_utf8_lossy(&ran.out).into_owned();
    text.lines()
        .filter(|l| !l.trim().is_empty())
        .map(|line| {
            let mut parts = line.split(',').skip(1).map(|p| p.trim().parse::<u64>());
            match (parts.next(), parts.next()) {
                (Some(Ok(free_mib)), Some(Ok(busy))) => Ok(Gpu { free_mib, busy }),
                _ => Err(format!("the GPU probe printed {line:?}")),
            }
        })
        .collect()
}

/// What is missing, or nothing.
pub(crate) fn available(wanted: &Resources, root: &Path, scratch: &Path) -> Result<(), String> {
    if wanted.disk_free_mib > 0 {
        let stat = rustix::fs::statvfs(root).map_err(|e| format!("the disk cannot be asked: {e}"))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize) >> 20;
        if free < wanted.disk_free_mib {
            return Err(format!("{free} MiB free on the disk, {} needed", wanted.disk_free_mib));
        }
    }
    if wanted.gpus == 0 {
        return Ok(());
    }
    let gpus = gpus(wanted, root, scratch)?;
    let fit = gpus
        .iter()
        .filter(|g| g.free_mib >= wanted.gpu_free_mib && wanted.gpu_max_busy.is_none_or(|max| g.busy <= max))
        .count();
    if fit < wanted.gpus as usize {
        return Err(format!("{fit} of {} GPUs are free and idle, {} needed", gpus.len(), wanted.gpus));
    }
    Ok(())
}

/// The gate form of [`available`].
pub(super) fn gate(spec: &Spec, root: &Path, scratch: &Path) -> GateResult {
    match &spec.resources {
        None => GateResult::not_applicable("the plan names no resources"),
        Some(wanted) => match available(wanted, root, scratch) {
            Ok(()) => GateResult::pass("available"),
            Err(why) => GateResult::fail(why),
        },
    }
}

/// A device may hold this much more than before a round: drivers keep some themselves, while the least that a process
/// with a CUDA context holds is several times as much.
const DEVICE_SLACK: u64 = 64 << 20;

/// Memory in use on each device as the vendors' tools state it, or why nobody states it. In a session's hooks only a
/// plan that asks for GPUs pays for the question.
pub(crate) fn device_memory(spec: &Spec, path: &str) -> Result<Vec<DeviceMemory>, String> {
    if spec.driver != Driver::Owner && spec.resources.as_ref().is_none_or(|r| r.gpus == 0) {
        return Err("the plan asks for no GPU".to_owned());
    }
    in_use(probe_gpus(path))
}

fn in_use(probe: GpuProbe) -> Result<Vec<DeviceMemory>, String> {
    let known: Vec<DeviceMemory> = probe
        .devices
        .iter()
        .filter_map(|d| Some(DeviceMemory { index: d.index, used_bytes: d.used_bytes? }))
        .collect();
    if known.is_empty() {
        return Err(probe.reason.unwrap_or_else(|| "no tool states the memory in use".to_owned()));
    }
    Ok(known)
}

/// What a round left on devices: the first that holds more than before any round; else a few words on what was seen.
fn held(before: &[DeviceMemory], now: Result<Vec<DeviceMemory>, String>) -> Result<String, String> {
    let now = match now {
        Ok(now) => now,
        Err(why) if before.is_empty() => return Ok(format!("device memory not applicable: {why}")),
        Err(why) => return Err(format!("device memory was known before the round and is not now: {why}")),
    };
    if before.is_empty() {
        return Ok("device memory not applicable: it was not known before the round".to_owned());
    }
    for device in before {
        let Some(after) = now.iter().find(|d| d.index == device.index) else {
            return Err(format!("device {} is gone", device.index));
        };
        let more = after.used_bytes.saturating_sub(device.used_bytes);
        if more > DEVICE_SLACK {
            return Err(format!(
                "device {} holds {} MiB more than before the round",
                device.index,
                more >> 20
            ));
        }
    }
    Ok(format!("memory of {} devices as before", before.len()))
}

/// No process of the campaign, no listener on its ports, no memory held on devices, no change of the tree since it was judged.
pub(super) fn clean_up(scene: &Scene) -> Result<GateResult, LoopError> {
    let left = marked(&scene.spec.campaign);
    // A session is itself a process of the campaign; only what commands of ours left behind is counted there.
    if let (Some(first), crate::event::Driver::Owner) = (left.first(), scene.spec.driver) {
        return Ok(GateResult::fail(format!("{} processes are left, first {first}", left.len()))
            .measured(left.len())
            .threshold(0));
    }
    let listeners = if scene.spec.clean.ports.is_empty() { BTreeSet::new() } else { listeners() };
    for port in &scene.spec.clean.ports {
        if listeners.contains(port) {
            return Ok(GateResult::fail(format!("something listens on port {port}")).measured(*port));
        }
    }
    let devices = match held(&scene.state.devices, device_memory(scene.spec, scene.path)) {
        Ok(devices) => devices,
        Err(why) => return Ok(GateResult::fail(why)),
    };
    let now = git::mark(scene.root)?;
    if now != *scene.mark {
        return Ok(GateResult::fail("HEAD moved while the gates ran").measured(now.commit));
    }
    let changed = git::changed(scene.root, &scene.ours())?;
    Ok(match changed.first() {
        None => GateResult::pass(format!("nothing is left; {devices}")).measured(0),
        Some(first) => {
            GateResult::fail(format!("the tree is not as it was: {first:?}")).measured(changed.len())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_a_round_leaves_on_a_device_is_seen() {
        let devices = |used: &[u64]| {
            let list = used.iter().zip(0..).map(|(mib, index)| DeviceMemory { index, used_bytes: mib << 20 });
            list.collect::<Vec<_>>()
        };
        let before = devices(&[500, 10]);
        assert_eq!(held(&before, Ok(devices(&[540, 10]))), Ok("memory of 2 devices as before".to_owned()));
        assert_eq!(held(&before, Ok(devices(&[100, 10]))), Ok("memory of 2 devices as before".to_owned()));
        let left = held(&before, Ok(devices(&[500, 900]))).expect_err("left");
        assert_eq!(left, "device 1 holds 890 MiB more than before the round");
        assert!(
            held(&before, Ok(devices(&[500]))).is_err() && held(&before, Err("gone".to_owned())).is_err()
        );
        let none = held(&[], Err("nvidia-smi is not there".to_owned())).expect("said");
        assert_eq!(none, "device memory not applicable: nvidia-smi is not there");
        let (mut list, _) =
            perfwright_process::parse_nvidia_smi("0, GPU, GPU-1, 81559, 512, 0, 550.1, 1980, 1980", "");
        list.push(perfwright_process::GpuDevice::default());
        let probe = GpuProbe { devices: list, ..GpuProbe::default() };
        assert_eq!(in_use(probe), Ok(devices(&[512])));
        assert!(in_use(GpuProbe::default()).is_err());
    }

    #[test]
    fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().expect("tempdir");
        let gpus = |probe: &str, wanted: Resources| {
            let wanted = Resources { probe: Some(probe.to_owned()), ..wanted };
            available(&wanted, dir.path(), dir.path())
        };
        let two = Resources { gpus: 2, gpu_free_mib: 1000, gpu_max_busy: Some(5), ..Resources::default() };
        assert_eq!(gpus("printf '0, 2000, 0\\n1, 1000, 5\\n'", two.clone()), Ok(()));
        let busy = gpus("printf '0, 2000, 90\\n1, 1000, 5\\n'", two.clone()).expect_err("busy");
        assert!(busy.starts_with("1 of 2 GPUs"), "{busy}");
        assert!(gpus("echo hello", two.clone()).is_err());
        assert!(gpus("exit 9", two).is_err());
        let disk = Resources { disk_free_mib: u64::MAX >> 21, ..Resources::default() };
        assert!(available(&disk, dir.path(), dir.path()).is_err());
    }
}
