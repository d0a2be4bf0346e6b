//! The search: linear in launches.
//!
//! Every element of every pattern is asked of every distinct kernel once; launches then only read bits.

use super::catalog::FusionCatalog;
use super::pattern::{Element, Pattern};
use super::row::{FusionContext, FusionRow, KernelInfo, LaunchView, State};

/// Longest gap before a removable kernel that is credited to it (ns), about one launch: beyond this the
/// device waited for the host or another stream.
const MAX_GAP_NS: i64 = 5_000;
/// Memsets passed over between two neighbours. Bounded so that runs of memsets cost linear time.
const MAX_MEMSETS: usize = 4;
/// Evidence kernels listed in a row.
const MAX_EVIDENCE: usize = 8;

/// One sequence of one pattern, with its elements as bit columns.
struct Sequence<'a> {
    pattern: usize,
    partial: bool,
    elements: &'a [Element],
    /// `bits[e][kernel]`
    bits: Vec<Vec<bool>>,
    /// Kernels that may directly follow the first element: most candidates end here.
    second: Vec<bool>,
}

/// Sums for one (class, pattern).
struct Found {
    active: u64,
    sites: u64,
    partial_sites: u64,
    launches: u64,
    related_ns: i64,
    saving_ns: i64,
    /// Duration per kernel (ns), indexed by kernel.
    by_kernel: Vec<i64>,
}

/// Sums of all (class, pattern) pairs; most stay empty.
struct Table {
    patterns: usize,
    kernels: usize,
    cells: Vec<Option<Box<Found>>>,
}

impl Table {
    fn cell(&mut self, class: u8, pattern: usize) -> &mut Found {
        let at = usize::from(class) * self.patterns + pattern;
        if at >= self.cells.len() {
            self.cells.resize_with(at + 1, || None);
        }
        let kernels = self.kernels;
        self.cells[at].get_or_insert_with(|| Box::new(Found::new(kernels)))
    }
}

impl Found {
    fn new(kernels: usize) -> Self {
        Self {
            active: 0,
            sites: 0,
            partial_sites: 0,
            launches: 0,
            related_ns: 0,
            saving_ns: 0,
            by_kernel: vec![0; kernels],
        }
    }

    fn add(&mut self, kernel: u32, launches: u64, ns: i64) {
        self.launches += launches;
        self.related_ns = self.related_ns.saturating_add(ns);
        if let Some(sum) = self.by_kernel.get_mut(kernel as usize) {
            *sum = sum.saturating_add(ns);
        }
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
    let mut table = Table { patterns: patterns.len(), kernels: kernels.len(), cells: Vec::new() };
    let active = active_of(patterns, kernels);
    count_active(&mut table, launches, &active);
    let memset: Vec<bool> = kernels.iter().map(|k| k.symbol.base.starts_with("Memset")).collect();
    let mut hits = Vec::new();
    let mut used = vec![false; launches.len()];
    for generic in [false, true] {
        let sequences = sequences_of(patterns, kernels, ctx, &memset, generic);
        let starts = starts_of(&sequences, kernels.len());
        // Per pattern, the launch from which it may match again: no launch is counted twice.
        let mut free = vec![0_usize; patterns.len()];
        for (at, launch) in launches.iter().enumerate() {
            let starts = starts.get(launch.kernel as usize).map_or(&[][..], Vec::as_slice);
            let Some(next) = launches.get(at + 1).filter(|_| !starts.is_empty()) else { continue };
            for &s in starts {
                let sequence = &sequences[s];
                if !sequence.second.get(next.kernel as usize).copied().unwrap_or(false) {
                    continue;
                }
                let blocked: &[bool] = if generic { &used } else { &[] };
                if at < free[sequence.pattern]
                    || !match_at(sequence, launches, &memset, blocked, at, &mut hits)
                {
                    continue;
                }
                free[sequence.pattern] = hits.last().map_or(at, |&(i, _)| i) + 1;
                if !generic {
                    for &(i, _) in &hits {
                        used[i] = true;
                    }
                }
                let cell = table.cell(launch.class, sequence.pattern);
                record(cell, sequence, launches, &hits, &active);
            }
        }
    }
    let mut rows: Vec<FusionRow> = Vec::new();
    for (at, cell) in table.cells.into_iter().enumerate() {
        if let Some(found) = cell {
            let class = u8::try_from(at / patterns.len()).unwrap_or(u8::MAX);
            rows.push(row(class, &patterns[at % patterns.len()], &found, ctx));
        }
    }
    rows.sort_by(|a, b| (a.class, -a.related_ns, &a.pattern).cmp(&(b.class, -b.related_ns, &b.pattern)));
    rows
}

/// Sums the fused forms: launches per (class, kernel) first, so that a launch costs two additions.
fn count_active(table: &mut Table, launches: &[LaunchView], active: &[Vec<usize>]) {
    let mut sums: Vec<Vec<(u64, i64)>> = Vec::new();
    for launch in launches {
        let class = usize::from(launch.class);
        if class >= sums.len() {
            sums.resize_with(class + 1, Vec::new);
        }
        let row = &mut sums[class];
        if row.is_empty() {
            row.resize(active.len(), (0, 0));
        }
        if let Some(sum) = row.get_mut(launch.kernel as usize) {
            sum.0 += 1;
            sum.1 = sum.1.saturating_add(launch.dur_ns.max(0));
        }
    }
    for (class, row) in (0_u8..=u8::MAX).zip(&sums) {
        for (kernel, &(launches, ns)) in (0_u32..).zip(row) {
            for &pattern in active[kernel as usize].iter().filter(|_| launches > 0) {
                let cell = table.cell(class, pattern);
                cell.active += launches;
                cell.add(kernel, launches, ns);
            }
        }
    }
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
    memset: &[bool],
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
            let follows = |kernel: usize| memset[kernel] || bits.iter().skip(1).any(|b| b[kernel]);
            let second = (0..kernels.len()).map(follows).collect();
            out.push(Sequence { pattern: i, partial, elements, bits, second });
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

/// Collects into `hits` the (launch, element) pairs of the match that begins at launch `at`. Memsets are
/// no kernels and a few may lie between; optional elements may be absent; `blocked` launches end it.
fn match_at(
    sequence: &Sequence<'_>,
    launches: &[LaunchView],
    memset: &[bool],
    blocked: &[bool],
    at: usize,
    hits: &mut Vec<(usize, usize)>,
) -> bool {
    hits.clear();
    let first = &launches[at];
    let mut layer = first.layer;
    let mut next = at;
    let mut fits = |from: usize, bits: &[bool]| -> Option<usize> {
        for i in from..=from + MAX_MEMSETS {
            let launch = launches.get(i)?;
            let same_layer = layer.is_none() || launch.layer.is_none() || layer == launch.layer;
            let near =
                launch.stream == first.stream && launch.step == first.step && launch.class == first.class;
            if !near || !same_layer || blocked.get(i).copied().unwrap_or(false) {
                return None;
            }
            let kernel = launch.kernel as usize;
            if bits.get(kernel).copied().unwrap_or(false) {
                layer = layer.or(launch.layer);
                return Some(i);
            }
            if i == at || !memset.get(kernel).copied().unwrap_or(false) {
                return None;
            }
        }
        None
    };
    for (e, (element, bits)) in sequence.elements.iter().zip(&sequence.bits).enumerate() {
        match fits(next, bits) {
            Some(i) => {
                hits.push((i, e));
                next = i + 1;
            }
            None if element.optional => {}
            None => return false,
        }
        while element.repeat
            && let Some(i) = fits(next, bits)
        {
            hits.push((i, e));
            next = i + 1;
        }
    }
    hits.len() > 1
}

fn record(
    found: &mut Found,
    sequence: &Sequence<'_>,
    launches: &[LaunchView],
    hits: &[(usize, usize)],
    active: &[Vec<usize>],
) {
    if sequence.partial {
        found.partial_sites += 1;
    } else {
        found.sites += 1;
    }
    for &(i, element) in hits {
        let launch = &launches[i];
        // The fused kernels of this pattern are already in the sums.
        if !active.get(launch.kernel as usize).is_some_and(|a| a.contains(&sequence.pattern)) {
            found.add(launch.kernel, 1, launch.dur_ns.max(0));
        }
        if sequence.elements[element].removed {
            let gap = match i.checked_sub(1).and_then(|p| launches.get(p)) {
                Some(before) if before.stream == launch.stream => {
                    launch.start_ns.saturating_sub(before.start_ns.saturating_add(before.dur_ns))
                }
                _ => 0,
            };
            let ns = launch.dur_ns.max(0).saturating_add(gap.clamp(0, MAX_GAP_NS));
            found.saving_ns = found.saving_ns.saturating_add(ns);
        }
    }
}

fn row(class: u8, pattern: &Pattern, found: &Found, ctx: &FusionContext) -> FusionRow {
    let unfused = found.sites + found.partial_sites;
    let state = match (found.active > 0, found.sites > 0) {
        (true, false) if found.partial_sites == 0 => State::Active,
        (false, true) if found.partial_sites == 0 => State::Missing,
        _ => State::Partial,
    };
    let mut evidence: Vec<(u32, i64)> =
        (0_u32..).zip(found.by_kernel.iter().copied()).filter(|&(_, ns)| ns > 0).collect();
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
