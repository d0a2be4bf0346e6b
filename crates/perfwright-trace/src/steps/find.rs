//! Finding the steps of a trace, from the best evidence it holds.

use serde::Serialize;

use super::annotated;
use super::class::Class;
use super::grammar::Label;
use super::structural::{self, KernelHint, StepRules};
use crate::intern::StrId;
use crate::store::{Ident, Store};

/// "No step" in a column of step numbers.
pub const NO_STEP: u32 = u32::MAX;

/// What showed a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A labelled range on the device.
    DeviceAnnotation,
    /// A labelled range on the host, and the work launched inside it.
    Annotation,
    /// Python frames of the engine's own pass functions.
    Frames,
    /// The order of kernels, copies and graph launches.
    Structure,
}

/// One engine pass on one device.
#[derive(Debug, Clone)]
pub struct Step {
    /// What the pass was for.
    pub class: Class,
    /// The label's text, if there is one.
    pub name: Option<StrId>,
    /// Device process.
    pub pid: Ident,
    /// Start on the device, ns.
    pub start: i64,
    /// End on the device, ns.
    pub end: i64,
    /// Requests.
    pub batch: Option<u64>,
    /// Query tokens.
    pub tokens: Option<u64>,
    /// Sum of context lengths.
    pub context: Option<u64>,
    /// What showed it.
    pub by: Source,
}

impl Step {
    pub(super) fn new(
        label: Label,
        name: Option<StrId>,
        pid: Ident,
        start: i64,
        end: i64,
        by: Source,
    ) -> Self {
        let Label { class, batch, tokens, context, .. } = label;
        Step { class, name, pid, start, end, batch, tokens, context, by }
    }
}

/// The steps of a trace in start order, and the step of each device event.
#[derive(Debug, Clone, Default)]
pub struct Steps {
    /// Steps by start.
    pub list: Vec<Step>,
    /// Step of device event `i`, or [`NO_STEP`].
    pub of_device: Vec<u32>,
}

/// Finds the steps: engine labels first, then the engine's Python frames, kernel order, and at last the extents a
/// profiler schedule marks.
pub fn find(store: &Store, launch_of: &[u32], hints: &[KernelHint], rules: &StepRules) -> Steps {
    let (mut list, mut of_device) = if annotated::has_engine_labels(store) {
        annotated::find(store, launch_of, false)
    } else {
        (Vec::new(), Vec::new())
    };
    if list.is_empty() {
        (list, of_device) = structural::find(store, launch_of, hints, rules);
    }
    if list.iter().all(|s| s.class == Class::Unknown) {
        let (marked, of) = annotated::find(store, launch_of, true);
        if !marked.is_empty()
            && !list.iter().any(|s| matches!(s.by, Source::Annotation | Source::DeviceAnnotation))
        {
            (list, of_device) = (marked, of);
        }
    }
    let mut order: Vec<u32> = (0..list.len() as u32).collect();
    order.sort_by_key(|&i| (list[i as usize].start, list[i as usize].end, list[i as usize].pid));
    let mut new = vec![NO_STEP; list.len()];
    for (n, &old) in order.iter().enumerate() {
        new[old as usize] = n as u32;
    }
    for s in &mut of_device {
        *s = new.get(*s as usize).copied().unwrap_or(NO_STEP);
    }
    list = order.iter().map(|&i| list[i as usize].clone()).collect();
    let mut steps = Steps { list, of_device };
    settle_rest(store, &mut steps);
    class_unlabelled(store, hints, &mut steps);
    for (row, &step) in steps.of_device.iter().enumerate() {
        // A label that counts requests only calls a verify pass a decode; its kernels know better.
        if let Some(step) = steps.list.get_mut(step as usize)
            && step.class == Class::Decode
            && hints[store.devices.name[row] as usize].verifies()
        {
            step.class = Class::Verify;
        }
    }
    steps
}

/// Passes whose label gives an extent only take the class that their kernels prove. A profiler schedule's extents
/// stay unknown: they may hold any number of passes.
fn class_unlabelled(store: &Store, hints: &[KernelHint], steps: &mut Steps) {
    let unlabelled = |s: &Step| {
        s.class == Class::Unknown
            && matches!(s.by, Source::Annotation | Source::DeviceAnnotation)
            && !s.name.is_some_and(|n| store.strings.bytes(n).starts_with(b"ProfilerStep#"))
    };
    if !steps.list.iter().any(unlabelled) {
        return;
    }
    let mut kernels: Vec<Vec<KernelHint>> = vec![Vec::new(); steps.list.len()];
    for (row, &step) in steps.of_device.iter().enumerate() {
        if let Some(list) = kernels.get_mut(step as usize)
            && unlabelled(&steps.list[step as usize])
        {
            list.push(hints[store.devices.name[row] as usize]);
        }
    }
    for (step, kernels) in steps.list.iter_mut().zip(kernels) {
        if !kernels.is_empty() {
            step.class = structural::class_of_kernels(kernels.into_iter());
        }
    }
}

/// Work without a launch record belongs to the step of its device that it starts in, if there is one.
fn settle_rest(store: &Store, steps: &mut Steps) {
    let d = &store.devices;
    if steps.list.is_empty() {
        steps.of_device = vec![NO_STEP; d.len()];
        return;
    }
    for i in 0..d.len() {
        if steps.of_device[i] != NO_STEP {
            continue;
        }
        let pid = store.device_pid(i);
        let at = steps.list.partition_point(|s| s.start <= d.ts[i]);
        let hit =
            steps.list[..at].iter().rposition(|s| s.pid == pid).filter(|&s| steps.list[s].end > d.ts[i]);
        if let Some(s) = hit {
            steps.of_device[i] = s as u32;
        }
    }
}
