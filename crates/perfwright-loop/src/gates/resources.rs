//! What the machine must have before a round, and what a round must leave behind: nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use perfwright_evidence::GateResult;
use perfwright_process::listeners;

use super::evaluate::Scene;
use crate::child::{Job, marked, run};
use crate::error::LoopError;
use crate::event::Ended;
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

/// No process of the campaign, no listener on its ports, no change of the tree since it was judged.
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
    let now = git::mark(scene.root)?;
    if now != *scene.mark {
        return Ok(GateResult::fail("HEAD moved while the gates ran").measured(now.commit));
    }
    let changed = git::changed(scene.root, &scene.ours())?;
    Ok(match changed.first() {
        None => GateResult::pass("nothing is left").measured(0),
        Some(first) => {
            GateResult::fail(format!("the tree is not as it was: {first:?}")).measured(changed.len())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
