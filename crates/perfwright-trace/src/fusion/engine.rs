//! The search: linear in launches.
//!
//! Every element of every pattern is asked of every distinct kernel once; launches then only read bits.

use hashbrown::HashMap;

use super::catalog::FusionCatalog;
use super::pattern::{Element, Pattern};
use super::row::{FusionContext, FusionRow, KernelInfo, LaunchView, State};

/// Longest gap before a removable kernel that is credited to it (ns): beyond this the device waited
/// for the host or another stream, which no fusion removes.
const MAX_GAP_NS: i64 = 20_000;
/// Evidence kernels listed in a row.
const MAX_EVIDENCE: usize = 8;

/// One sequence of one pattern, with its elements as bit columns.
struct Sequence<'a> {
    pattern: usize,
    partial: bool,
    elements: &'a [Element],
    /// `bits[e][kernel]`
    bits: Vec<Vec<bool>>,
}

/// Sums for one (class, pattern).
#[derive(Default)]
struct Found {
    active: u64,
    sites: u64,
    partial_sites: u64,
    launches: u64,
    related_ns: i64,
    saving_ns: i64,
    by_kernel: HashMap<u32, i64>,
}

impl Found {
    fn add(&mut self, launch: &LaunchView) {
        let ns = launch.dur_ns.max(0);
        self.launches += 1;
        self.related_ns = self.related_ns.saturating_add(ns);
        *self.by_kernel.entry(launch.kernel).or_default() += ns;
    }
}

/// Finds every pattern in launches sorted by (stream, start). Launches whose kernel index is out of
/// range are passed over.
#[must_use]
pub fn find(
    catalog: &FusionCatalog,
    kernels: &[KernelInfo],
    launches: &[LaunchView],
    ctx: &FusionContext,
) -> Vec<FusionRow> {
    let patterns = &catalog.patterns;
    let mut found: HashMap<(u8, usize), Found> = HashMap::new();
    let active = active_of(patterns, kernels);
    for launch in launches {
        for &pattern in active.get(launch.kernel as usize).map_or(&[][..], Vec::as_slice) {
            let found = found.entry((launch.class, pattern)).or_default();
            found.active += 1;
            found.add(launch);
        }
    }
    let mut used = vec![false; launches.len()];
    for generic in [false, true] {
        let sequences = sequences_of(patterns, kernels, ctx, generic);
        let starts = starts_of(&sequences, kernels.len());
        let mut taken = vec![false; launches.len()];
        // Per pattern, the launch from which it may match again: no launch is counted twice.
        let mut free = vec![0_usize; patterns.len()];
        for at in 0..launches.len() {
            for &s in starts.get(launches[at].kernel as usize).map_or(&[][..], Vec::as_slice) {
                let sequence = &sequences[s];
                if at < free[sequence.pattern] {
                    continue;
                }
                let Some(end) = match_at(sequence, launches, at) else { continue };
                if generic && used[at..end].iter().any(|u| *u) {
                    continue;
                }
                free[sequence.pattern] = end;
                taken[at..end].fill(true);
                let entry = found.entry((launches[at].class, sequence.pattern)).or_default();
                record(entry, sequence, &launches[at..end], &active);
            }
        }
        for (used, taken) in used.iter_mut().zip(taken) {
            *used |= taken;
        }
    }
    let mut rows: Vec<FusionRow> = found
        .into_iter()
        .map(|((class, pattern), found)| row(class, &patterns[pattern], found, ctx))
        .collect();
    rows.sort_by(|a, b| (a.class, -a.related_ns, &a.pattern).cmp(&(b.class, -b.related_ns, &b.pattern)));
    rows
}

/// For each kernel, the patterns whose fused form it is.
fn active_of(patterns: &[Pattern], kernels: &[KernelInfo]) -> Vec<Vec<usize>> {
    kernels
        .iter()
        .map(|k| {
            let is_active = |p: &Pattern| p.active.iter().any(|e| e.matches(k));
            patterns.iter().enumerate().filter(|(_, p)| is_active(p)).map(|(i, _)| i).collect()
        })
        .collect()
}

fn sequences_of<'a>(
    patterns: &'a [Pattern],
    kernels: &[KernelInfo],
    ctx: &FusionContext,
    generic: bool,
) -> Vec<Sequence<'a>> {
    let mut out = Vec::new();
    for (i, pattern) in patterns.iter().enumerate() {
        if pattern.generic != generic || !possible(pattern, ctx) {
            continue;
        }
        let sequences =
            pattern.missing.iter().map(|s| (s, false)).chain(pattern.partial.iter().map(|s| (s, true)));
        for (elements, partial) in sequences {
            let fused = |k: &KernelInfo| !partial && pattern.active.iter().any(|e| e.matches(k));
            let bits: Vec<Vec<bool>> = elements
                .iter()
                .map(|e| kernels.iter().map(|k| e.matches(k) && !fused(k)).collect())
                .collect();
            out.push(Sequence { pattern: i, partial, elements, bits });
        }
    }
    // Longer sequences of a pattern first: the shorter one must not cut a chain in two.
    out.sort_by_key(|s| (s.pattern, std::cmp::Reverse(s.elements.len())));
    out
}

/// For each kernel, the sequences that may begin with it.
fn starts_of(sequences: &[Sequence<'_>], kernels: usize) -> Vec<Vec<usize>> {
    let mut starts = vec![Vec::new(); kernels];
    for (i, sequence) in sequences.iter().enumerate() {
        for (kernel, starts) in starts.iter_mut().enumerate() {
            if sequence.bits.first().is_some_and(|b| b[kernel]) {
                starts.push(i);
            }
        }
    }
    starts
}

/// Whether what is known about the run allows the fused form at all.
fn possible(pattern: &Pattern, ctx: &FusionContext) -> bool {
    let needs = &pattern.needs;
    ctx.tp.is_none_or(|tp| tp >= needs.min_tp)
        && (needs.vendor.is_empty() || ctx.vendor.is_none_or(|v| needs.vendor.contains(&v)))
        && (needs.framework.is_empty() || ctx.framework.as_ref().is_none_or(|f| needs.framework.contains(f)))
}

/// End (exclusive) of the sequence's match that begins at launch `at`.
fn match_at(sequence: &Sequence<'_>, launches: &[LaunchView], at: usize) -> Option<usize> {
    let first = &launches[at];
    let mut layer = first.layer;
    let mut fits = |i: usize, bits: &[bool]| {
        let Some(next) = launches.get(i) else { return false };
        let same_layer = match (layer, next.layer) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        let fits = next.stream == first.stream
            && next.step == first.step
            && next.class == first.class
            && same_layer
            && bits.get(next.kernel as usize).copied().unwrap_or(false);
        if fits && layer.is_none() {
            layer = next.layer;
        }
        fits
    };
    let mut end = at;
    for bits in &sequence.bits {
        if !fits(end, bits) {
            return None;
        }
        end += 1;
    }
    if let (Some(last), Some(bits)) = (sequence.elements.last(), sequence.bits.last())
        && last.repeat
    {
        while fits(end, bits) {
            end += 1;
        }
    }
    Some(end)
}

fn record(found: &mut Found, sequence: &Sequence<'_>, launches: &[LaunchView], active: &[Vec<usize>]) {
    if sequence.partial {
        found.partial_sites += 1;
    } else {
        found.sites += 1;
    }
    let last = sequence.elements.len() - 1;
    for (i, launch) in launches.iter().enumerate() {
        // The fused kernels of this pattern are already in the sums.
        if !active.get(launch.kernel as usize).is_some_and(|a| a.contains(&sequence.pattern)) {
            found.add(launch);
        }
        if sequence.elements[i.min(last)].removed {
            let gap = match i.checked_sub(1).and_then(|p| launches.get(p)) {
                Some(before) => launch.start_ns.saturating_sub(before.start_ns.saturating_add(before.dur_ns)),
                None => 0,
            };
            found.saving_ns = found.saving_ns.saturating_add(launch.dur_ns.max(0) + gap.clamp(0, MAX_GAP_NS));
        }
    }
}

fn row(class: u8, pattern: &Pattern, found: Found, ctx: &FusionContext) -> FusionRow {
    let unfused = found.sites + found.partial_sites;
    let state = match (found.active > 0, found.sites > 0) {
        (true, false) if found.partial_sites == 0 => State::Active,
        (false, true) if found.partial_sites == 0 => State::Missing,
        _ => State::Partial,
    };
    let mut evidence: Vec<(u32, i64)> = found.by_kernel.into_iter().collect();
    evidence.sort_by_key(|&(kernel, ns)| (-ns, kernel));
    evidence.truncate(MAX_EVIDENCE);
    FusionRow {
        class,
        pattern: pattern.id.clone(),
        title: pattern.title.clone(),
        state,
        related_ns: found.related_ns,
        launches: found.launches,
        sites: unfused,
        share_of_class: None,
        evidence: evidence.into_iter().map(|(kernel, _)| kernel).collect(),
        upper_bound_saving_ns: found.saving_ns,
        rationale: rationale(pattern, state, found.active, unfused, ctx),
        candidate: pattern.candidate.clone(),
        source: pattern.source.clone(),
    }
}

fn rationale(pattern: &Pattern, state: State, active: u64, sites: u64, ctx: &FusionContext) -> String {
    let mut text = match state {
        State::Active => return format!("{active} launches of the fused form"),
        State::Missing => format!("{sites} places where the unfused kernels follow directly on one stream"),
        State::Partial if active > 0 => {
            format!("{active} launches of the fused form, {sites} places still unfused")
        }
        State::Partial => format!("{sites} places where only part of the chain is fused"),
    };
    let mut conditions: Vec<String> = Vec::new();
    if !pattern.condition.is_empty() {
        conditions.push(pattern.condition.clone());
    }
    let needs = &pattern.needs;
    if needs.min_tp > 1 && ctx.tp.is_none() {
        conditions.push(format!("TP of at least {}", needs.min_tp));
    }
    if !needs.framework.is_empty() && ctx.framework.is_none() {
        conditions.push(format!("framework {}", needs.framework.join(" or ")));
    }
    if !needs.vendor.is_empty() && ctx.vendor.is_none() {
        conditions.push(format!("vendor {:?}", needs.vendor).to_lowercase());
    }
    if !conditions.is_empty() {
        text.push_str("; needs ");
        text.push_str(&conditions.join("; "));
    }
    if !pattern.saves.is_empty() {
        text.push_str("; ");
        text.push_str(&pattern.saves);
    }
    text
}
