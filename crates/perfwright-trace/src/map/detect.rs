//! What contradicts the model, or cannot be.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use perfwright_model::format::{Compute, Format};
use perfwright_model::hardware::{self, Gpu};
use perfwright_model::ops::{Category, Op};

use super::account::{Account, Sum};
use super::catalog::Product;
use super::cut::Fit;
use super::plan::Setup;
use super::report::{Basis, Disagreement, Kind, Precision, TpFrom};
use super::role::Role;
use crate::steps::Class;

/// Bytes that fit into no cache on a chip, so weights of that size are read from memory every pass.
const OFF_CHIP: f64 = 512.0 * 1024.0 * 1024.0;
/// Part of a row's time that a precision must have to count.
const TELLING: f64 = 0.5;
/// Sizes that a row of evidence lists.
const LISTED: usize = 6;

/// Counts of what was seen while mapping.
#[derive(Default)]
pub(super) struct Tallies {
    /// Passes by class and layers.
    pub(super) layers: BTreeMap<(Class, u32), u64>,
    /// Blocks by class and number.
    pub(super) blocks: HashMap<(Class, usize), u64>,
    missing: BTreeMap<(Class, usize, String, String), u64>,
    strays: BTreeMap<StrayKey, Stray>,
    tokens: BTreeMap<Class, (u64, u64, u64)>,
    fit: Option<(Fit, u64, u64)>,
    sizes: Vec<((u64, u64), u64)>,
    pub(super) gpus: BTreeSet<String>,
    pub(super) world: Option<u32>,
}

/// Class, kernel, and N and K where they were recorded.
type StrayKey = (Class, String, Option<(u64, u64)>);

#[derive(Default)]
struct Stray {
    what: &'static str,
    kernels: u64,
    ns: i64,
    rows: u64,
}

impl Tallies {
    pub(super) fn missing(&mut self, class: Class, block: usize, op: &Op) {
        *self.missing.entry((class, block, op.part.clone(), op.name.clone())).or_default() += 1;
    }

    pub(super) fn stray(
        &mut self,
        class: Class,
        (name, role): (String, Role),
        product: Option<Product>,
        ns: i64,
    ) {
        let size = product.map(|p| (p.n, p.k));
        let stray = self.strays.entry((class, name, size)).or_default();
        stray.what = match role {
            Role::Attention => "attention",
            Role::Recurrence => "a recurrence",
            Role::Experts => "products of experts",
            Role::Communication => "an exchange between ranks in a layer (--tp, --ep)",
            _ => "a product without recorded sizes",
        };
        stray.kernels += 1;
        stray.ns += ns;
        stray.rows = stray.rows.max(product.map_or(0, |p| p.m));
    }

    pub(super) fn tokens(&mut self, class: Class, label: u64, rows: u64) {
        self.tokens.entry(class).or_insert((0, label, rows)).0 += 1;
    }

    /// Which ranks the recorded sizes fit best, how many of them fit the ranks asked for, and the sizes.
    pub(super) fn ranks(&mut self, best: Option<Fit>, own: u64, sizes: &[((u64, u64), u64)]) {
        let all = sizes.iter().map(|s| s.1).sum();
        if let Some(best) = best {
            self.fit.get_or_insert((best, own, all));
        }
        if self.sizes.is_empty() {
            self.sizes = sizes.to_vec();
            self.sizes.sort_by_key(|s| (std::cmp::Reverse(s.1), s.0));
        }
    }
}

/// What was found, and why the figures cannot be, if they cannot.
pub(super) struct Found {
    pub(super) rows: Vec<Disagreement>,
    pub(super) impossible: Option<String>,
}

/// Compares what was seen with the model.
pub(super) fn detect(
    t: &Tallies,
    account: &Account,
    setup: &Setup<'_>,
    gpu: &Gpu,
    from: TpFrom,
    expected: &[u32],
) -> Found {
    let mut rows = Vec::new();
    layers(t, expected, &mut rows);
    ranks(t, setup, &mut rows);
    device(t, gpu, &mut rows);
    precision(account, &mut rows);
    tokens(t, &mut rows);
    missing(t, &mut rows);
    strays(t, account, &mut rows);
    let (faster, impossible) = faster(account, gpu, &rows, (setup, from));
    rows.splice(0..0, faster);
    Found { rows, impossible }
}

fn row(
    kind: Kind,
    class: Option<Class>,
    subject: &str,
    (expected, found): (String, String),
    evidence: Vec<String>,
) -> Disagreement {
    Disagreement { kind, class, subject: subject.to_owned(), expected, found, evidence }
}

fn layers(t: &Tallies, expected: &[u32], out: &mut Vec<Disagreement>) {
    for (&(class, layers), passes) in &t.layers {
        if expected.contains(&layers) {
            continue;
        }
        let want: Vec<String> = expected.iter().map(u32::to_string).collect();
        let mut evidence =
            vec![format!("{passes} {} passes have {layers} attention or recurrence blocks", class.as_str())];
        let most = expected.iter().copied().max().unwrap_or(0);
        if layers > 0 && most > layers && most.is_multiple_of(layers) {
            evidence.push(format!("as with {} pipeline stages (--pp)", most / layers));
        } else {
            evidence
                .push("the configuration is another model's, or the trace shows a part of a pass".to_owned());
        }
        let both = (format!("{} layers", want.join(" or ")), format!("{layers} layers"));
        out.push(row(Kind::LayerCount, Some(class), "layers", both, evidence));
    }
}

fn ranks(t: &Tallies, setup: &Setup<'_>, out: &mut Vec<Disagreement>) {
    let Some((best, own, all)) = t.fit else { return };
    if best.matched <= own {
        return;
    }
    let tp = setup.parallel.tp;
    let sizes =
        t.sizes.iter().take(LISTED).map(|((n, k), count)| format!("recorded N {n}, K {k}: {count} products"));
    let mut evidence = vec![
        format!("{own} of {all} recorded products have sizes of the model cut among {tp} ranks"),
        format!("{} of {all} have those of {} ranks", best.matched, best.tp),
    ];
    evidence.extend(sizes);
    let both = (format!("--tp {tp}"), format!("--tp {}", best.tp));
    out.push(row(Kind::TensorParallel, None, "tp", both, evidence));
}

/// Letters and digits of a name.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn names(gpu: &Gpu) -> impl Iterator<Item = String> {
    gpu.aliases.iter().chain([&gpu.name]).map(|n| plain(n)).collect::<Vec<_>>().into_iter()
}

fn device(t: &Tallies, gpu: &Gpu, out: &mut Vec<Disagreement>) {
    let known = hardware::all().unwrap_or_default();
    for device in &t.gpus {
        let text = plain(device);
        let longest = |g: &Gpu| names(g).filter(|n| text.contains(n.as_str())).map(|n| n.len()).max();
        let best = known.iter().filter_map(|g| Some((longest(g)?, g))).max_by_key(|b| b.0);
        let Some((length, best)) = best else { continue };
        // Variants share the start of a name; only a longer match of another GPU contradicts.
        let own = longest(gpu).unwrap_or(0);
        let kin = names(gpu).any(|n| names(best).any(|b| n.starts_with(&b) || b.starts_with(&n)));
        if best.name != gpu.name && own < length && !kin {
            let both = (format!("--gpu {}", gpu.name), format!("--gpu {}", best.name));
            let evidence = vec![format!("the trace's device is named `{device}`")];
            out.push(row(Kind::Gpu, None, "gpu", both, evidence));
        }
    }
}

fn of(compute: Compute) -> Precision {
    match compute {
        Compute::Fp32 | Compute::Bf16 => Precision::Bf16,
        Compute::Fp8 => Precision::Fp8,
        Compute::Fp4 => Precision::Fp4,
    }
}

/// The precision that most of a row's time proves.
fn proven(sum: &Sum) -> Option<Precision> {
    let (&precision, &ns) = sum.precisions.iter().max_by_key(|p| *p.1)?;
    (ns as f64 > sum.ns as f64 * TELLING).then_some(precision)
}

/// The precision of a row that its operator does not have.
fn other_precision(op: &Op, sum: &Sum) -> Option<Precision> {
    let (found, expected) = (proven(sum)?, of(op.compute));
    // Weight-only formats widen: their kernels name the stored format.
    let stored = Format::named(&op.format).map_or(16, |f| f.bits);
    let narrower = found > expected && (stored >= 16 || op.category == Category::Attention);
    let wider = found == Precision::Bf16 && expected > found && op.category != Category::Attention;
    (narrower || wider).then_some(found)
}

fn precision(account: &Account, out: &mut Vec<Disagreement>) {
    let mut told: BTreeSet<(Class, &str, Precision)> = BTreeSet::new();
    for (key, op, sum) in &account.rows {
        let Some(found) = other_precision(op, sum) else { continue };
        if !told.insert((key.class, &key.name, found)) {
            continue;
        }
        let expected = of(op.compute);
        let hint = match (op.category, found > expected) {
            (Category::Attention, _) => "--kv-dtype names the cache's format",
            (_, true) => {
                "weights were quantised on loading, or the configuration is another checkpoint's: --dtype"
            }
            (_, false) => "the quantised path was not taken",
        };
        let mut evidence: Vec<String> = sum.top_symbols().iter().map(|s| format!("kernel {s}")).collect();
        evidence.push(hint.to_owned());
        let both = (format!("{} ({})", expected.as_str(), op.format), found.as_str().to_owned());
        out.push(row(Kind::Dtype, Some(key.class), &key.name, both, evidence));
    }
}

fn tokens(t: &Tallies, out: &mut Vec<Disagreement>) {
    for (&class, &(passes, label, rows)) in &t.tokens {
        let mut evidence = vec![format!("{passes} {} passes, first of them shown", class.as_str())];
        if rows > label {
            evidence.push("more rows than tokens: padding to a captured size".to_owned());
        }
        let both = (format!("{label} tokens by the label"), format!("{rows} rows in recorded products"));
        out.push(row(Kind::TokenCount, Some(class), "tokens", both, evidence));
    }
}

fn missing(t: &Tallies, out: &mut Vec<Disagreement>) {
    let mut sums: BTreeMap<(Class, &str, &str), (u64, u64)> = BTreeMap::new();
    for ((class, block, part, name), count) in &t.missing {
        let of = t.blocks.get(&(*class, *block)).copied().unwrap_or(0);
        let sum = sums.entry((*class, part, name)).or_default();
        sum.0 += count;
        sum.1 += of;
    }
    for ((class, part, name), (count, of)) in sums {
        let what = if part == "model" { "passes" } else { "layers" };
        let both = (format!("kernels in each of {of} {what}"), format!("none in {count} of them"));
        out.push(row(Kind::OperatorWithoutKernels, Some(class), name, both, vec![format!("part {part}")]));
    }
}

fn strays(t: &Tallies, account: &Account, out: &mut Vec<Disagreement>) {
    let mut all: Vec<_> = t.strays.iter().collect();
    all.sort_by_key(|s| std::cmp::Reverse(s.1.ns));
    for ((class, name, size), stray) in all {
        let device_ns = account.classes.get(class).map_or(0, |c| c.device_ns).max(1);
        let share = stray.ns as f64 / device_ns as f64 * 100.0;
        let found = match size {
            Some((n, k)) => format!("a product of N {n}, K {k}"),
            None => stray.what.to_owned(),
        };
        let mut evidence = vec![format!("{} kernels, {share:.2} % of the device time", stray.kernels)];
        if stray.rows > 0 {
            evidence.push(format!("up to {} rows", stray.rows));
        }
        let both = ("an operator of the model at this place".to_owned(), found);
        out.push(row(Kind::KernelWithoutOperator, Some(*class), name, both, evidence));
    }
}

/// Rows that took less time than the GPU needs, and the reason to refuse the figures.
fn faster(
    account: &Account,
    gpu: &Gpu,
    others: &[Disagreement],
    (setup, from): (&Setup<'_>, TpFrom),
) -> (Vec<Disagreement>, Option<String>) {
    let mut out: Vec<(f64, Disagreement)> = Vec::new();
    let mut worst: Option<(f64, String)> = None;
    let bandwidth = gpu.bandwidth.value as f64;
    for (key, op, sum) in account.rows.iter().filter(|r| r.2.known() && r.2.ns > 0) {
        let us = sum.ns as f64 / 1e3;
        let passes = account.classes.get(&key.class).map_or(1, |c| c.passes).max(1) as f64;
        let off_chip = |need: f64| need / 1e6 * bandwidth / passes >= OFF_CHIP;
        let share = |need: f64| if off_chip(need) { need / us } else { 0.0 };
        let (flops, weights) = (sum.need.compute / us, share(sum.need.cold));
        let reused = matches!(op.category, Category::Attention | Category::Moe);
        let moved = if reused { share(sum.need.memory) } else { 0.0 };
        let hard = flops.max(weights) > 1.0;
        let (share, what, need) = match hard {
            true if flops >= weights => (flops, "MFU", sum.need.compute),
            true => (weights, "MBU", sum.need.cold),
            false => (moved, "MBU", sum.need.memory),
        };
        if share <= 1.0 {
            continue;
        }
        let percent = share * 100.0;
        let mut evidence = causes(op, sum, others, (setup, from));
        evidence.insert(0, format!("{what} would be {percent:.1} %"));
        if !hard {
            evidence
                .insert(1, "requests that share keys, or few experts chosen, would explain it".to_owned());
        }
        let both = (format!("at least {need:.1} us on {}", gpu.name), format!("{us:.1} us"));
        let text = format!(
            "{} ({}): {what} would be {percent:.1} %; likely: {}",
            key.name,
            key.class.as_str(),
            evidence[1..].join("; ")
        );
        if hard && worst.as_ref().is_none_or(|w| w.0 < share) {
            worst = Some((share, text));
        }
        out.push((share, row(Kind::FasterThanPossible, Some(key.class), &key.name, both, evidence)));
    }
    out.sort_by(|a, b| b.0.total_cmp(&a.0));
    (out.into_iter().map(|o| o.1).collect(), worst.map(|w| w.1))
}

/// What may be wrong, the most telling first.
fn causes(op: &Op, sum: &Sum, others: &[Disagreement], (setup, from): (&Setup<'_>, TpFrom)) -> Vec<String> {
    let mut out = Vec::new();
    let seen = |kind: Kind| others.iter().find(|o| o.kind == kind);
    if let Some(found) = other_precision(op, sum) {
        out.push(format!(
            "the peak is that of {}, the kernels compute in {} (--dtype)",
            of(op.compute).as_str(),
            found.as_str()
        ));
    }
    for kind in [Kind::TensorParallel, Kind::Gpu] {
        if let Some(o) = seen(kind) {
            out.push(format!("the trace is one of {}, not {}", o.found, o.expected));
        }
    }
    if let Some(o) = seen(Kind::LayerCount) {
        out.push(format!("another model: it has {}, the trace {}", o.expected, o.found));
    }
    let modelled = sum.basis != Some(Basis::RecordedShapes);
    if modelled {
        let open = seen(Kind::TensorParallel).is_none() && from != TpFrom::RecordedShapes;
        if open && setup.parallel.ranks() == 1 {
            let how = if from == TpFrom::Given { "--tp 1 was given" } else { "--tp was not given" };
            out.push(format!("a rank's share of the model ({how})"));
        }
        out.push(
            "other tokens, batch or context than the label says (--tokens, --batch, --context)".to_owned(),
        );
    }
    if seen(Kind::Gpu).is_none() {
        out.push("a slower GPU than the trace's (--gpu)".to_owned());
    }
    out
}
