//! From a trace's launches to the fuse-pattern engine and back to rows of the answer.

use hashbrown::HashMap;

use crate::attribution::{Attribution, NO_TEXT};
use crate::describe::Description;
use crate::fusion::{FusionContext, KernelInfo, LaunchView, State, Vendor, find};
use crate::fusion_table::FusionRow;
use crate::intern::StrId;
use crate::overlap::ratio;
use crate::part::Meanings;
use crate::steps::{Class, NO_STEP, Steps};
use crate::store::Store;
use crate::triage::Catalogs;

/// What the search needs to know beyond the launches.
pub(crate) struct Scene<'a> {
    pub(crate) store: &'a Store,
    pub(crate) meanings: &'a Meanings,
    pub(crate) attribution: &'a Attribution,
    pub(crate) steps: &'a Steps,
    pub(crate) about: &'a Description,
    pub(crate) class_ns: &'a HashMap<Class, i64>,
}

/// The fusion rows of a trace. `label` gives the table name of a raw kernel name.
pub(crate) fn rows(
    scene: &Scene<'_>,
    catalogs: &Catalogs,
    label: &impl Fn(StrId) -> String,
) -> Vec<FusionRow> {
    let Scene { store, meanings, attribution, steps, about, class_ns } = *scene;
    let d = &store.devices;
    let mut names: Vec<StrId> = meanings.symbols.keys().copied().collect();
    names.sort_unstable();
    let number: HashMap<StrId, u32> = names.iter().enumerate().map(|(i, &n)| (n, i as u32)).collect();
    let kernels: Vec<KernelInfo> = names
        .iter()
        .map(|n| KernelInfo {
            symbol: meanings.symbols[n].clone(),
            class: meanings.classified[*n as usize].clone(),
        })
        .collect();
    // Work outside of steps has no class, and neighbours there may belong to different passes: each stream's run of
    // it is one step of class unknown, which is what it would be with one pass in the trace.
    let mut launches: Vec<LaunchView> = (0..d.len())
        .map(|i| {
            let step = steps.of_device[i];
            let class = steps.list.get(step as usize).map_or(Class::Unknown, |s| s.class);
            LaunchView {
                kernel: number[&d.name[i]],
                start_ns: d.ts[i],
                dur_ns: d.dur[i],
                stream: d.stream[i],
                class: class.index() as u8,
                step: if step == NO_STEP { u32::MAX } else { step },
                layer: attribution.found[i].layer,
                cpu_op: Some(attribution.found[i].op).filter(|&o| o != NO_TEXT),
            }
        })
        .collect();
    launches.sort_by_key(|l| (l.stream, l.start_ns));
    let context = FusionContext {
        framework: Some(about.framework).filter(|f| *f != "unknown").map(str::to_owned),
        tp: about.world_size,
        vendor: match about.vendor {
            "nvidia" => Some(Vendor::Nvidia),
            "amd" => Some(Vendor::Amd),
            _ => None,
        },
    };
    find(&catalogs.fusions, &kernels, &launches, &context)
        .into_iter()
        .map(|r| {
            let class = Class::ALL.get(usize::from(r.class)).copied().unwrap_or(Class::Unknown);
            FusionRow {
                class,
                pattern: r.pattern,
                title: r.title,
                state: match r.state {
                    State::Active => "active",
                    State::Missing => "missing",
                    State::Partial => "partial",
                }
                .to_owned(),
                related_ns: r.related_ns,
                share: ratio(r.related_ns, class_ns.get(&class).copied().unwrap_or(0)),
                launches: r.launches,
                upper_bound_saving_ns: r.upper_bound_saving_ns,
                evidence: r
                    .evidence
                    .iter()
                    .filter_map(|&k| names.get(k as usize))
                    .map(|&n| label(n))
                    .collect(),
                rationale: r.rationale,
                candidate: r.candidate,
                source: r.source,
            }
        })
        .collect()
}
