//! What supports the layer count, and what contradicts it.

use super::config::ModelLayers;
use super::passes::{Pass, Scene, modules_of};
use super::period::find;
use super::report::{EvidenceKind, EvidenceRow, LayerKind};
use super::segment::NO_MODULE;
use crate::attribution::{Attribution, Host, Method};
use crate::intern::StrId;
use crate::links::{NO_ROW, is_graph_launch};
use crate::store::{NONE, Store};

/// Distinct kernel sequences whose repetition is measured; the longest ones.
const MEASURED: usize = 4;

fn row(kind: EvidenceKind, layers: Option<u32>, agrees: Option<bool>, detail: String) -> EvidenceRow {
    EvidenceRow { kind, layers, agrees, detail }
}

/// Repetition of the kernel sequences: the period, and how many blocks it holds. `several` says that a sequence may
/// hold more than one pass.
pub(super) fn repetition(
    scene: &Scene<'_>,
    mut lines: Vec<Vec<StrId>>,
    found: Option<u32>,
    several: bool,
) -> Vec<EvidenceRow> {
    lines.sort_by_key(|l| std::cmp::Reverse(l.len()));
    lines.truncate(MEASURED);
    let mut out: Vec<EvidenceRow> = Vec::new();
    for names in lines {
        let Some(p) = find(&names) else { continue };
        // Blocks in one period: each is counted at its first mixing kernel after work of another kind.
        let mixes = |i: usize| scene.kinds[names[i] as usize].mixes();
        let blocks = (p.start..p.start + p.length).filter(|&i| mixes(i) && (i == 0 || !mixes(i - 1))).count();
        let what = match blocks {
            0 => "no attention in it".to_owned(),
            1 => "one layer each".to_owned(),
            n => format!("{n} layers each"),
        };
        let detail = format!(
            "{} kernels repeat {} times ({what}); {:.1} % of {} kernels in a row match",
            p.length,
            p.repeats(),
            p.score * 100.0,
            p.end - p.start
        );
        let layers = u32::try_from(p.repeats() * blocks).ok().filter(|&n| n > 0);
        // The first and the last layer may differ from the others, and the stretch ends where they begin.
        let near = |n: u32, of: u32| n <= of && of - n <= 2 * blocks as u32 + of / 10;
        let whole = |n: u32, of: u32| several && of > 0 && n.is_multiple_of(of);
        let agrees = layers.zip(found).map(|(n, of)| near(n, of) || whole(n, of));
        if out.iter().all(|o| o.detail != detail) {
            out.push(row(EvidenceKind::Repetition, layers, agrees, detail));
        }
    }
    out
}

/// Numbers of layer modules on the layers that were found.
pub(super) fn frames(
    scene: &Scene<'_>,
    passes: &[(u32, &Pass)],
    attribution: &Attribution,
    found: Option<u32>,
) -> Vec<EvidenceRow> {
    let mut out = Vec::new();
    for (kind, captured) in [(EvidenceKind::ModuleFrames, false), (EvidenceKind::Capture, true)] {
        let of_kind = |p: &&(u32, &Pass)| {
            let row = p.1.rows.iter().find(|&&r| attribution.found[r as usize].layer.is_some());
            row.is_some_and(|&r| (attribution.found[r as usize].method == Method::Capture) == captured)
        };
        let (mut known, mut layers, mut most, mut steps) = (0u32, 0u32, None, 0u32);
        for (_, pass) in passes.iter().filter(of_kind) {
            let modules = modules_of(scene, pass);
            let main: Vec<u32> =
                modules.iter().zip(&pass.layers).filter(|m| *m.1 == LayerKind::Main).map(|m| *m.0).collect();
            let mut told: Vec<u32> = main.iter().copied().filter(|&m| m != NO_MODULE).collect();
            known += told.len() as u32;
            layers += main.len() as u32;
            steps += 1;
            told.sort_unstable();
            told.dedup();
            most = most.max(Some(told.len() as u32));
        }
        let Some(most) = most.filter(|_| known > 0) else { continue };
        let partly = known < layers;
        let agrees = found.map(|f| if partly { most <= f } else { most == f });
        let detail =
            format!("{most} layer modules in a pass; {known} of {layers} layers in {steps} passes have one");
        out.push(row(kind, (!partly).then_some(most), agrees, detail));
    }
    out
}

/// Order of graph nodes against the order of layers.
pub(super) fn graph(store: &Store, host: &Host, passes: &[(u32, &Pass)]) -> Option<EvidenceRow> {
    let d = &store.devices;
    let (mut inside, mut all, mut ordered, mut pairs, mut replays) = (0u32, 0u32, 0u64, 0u64, 0u32);
    for (_, pass) in passes {
        let mut seen = vec![false; pass.layers.len()];
        let mut last: Option<(u32, i64)> = None;
        for (&r, &part) in pass.rows.iter().zip(&pass.parts) {
            let row = r as usize;
            let launch = host.launch_of[row];
            if part == 0
                || part as usize > seen.len()
                || launch == NO_ROW
                || !is_graph_launch(store.strings.bytes(store.launches.name[launch as usize]))
            {
                continue;
            }
            seen[part as usize - 1] = true;
            if d.node[row] != NONE && d.stream[row] == pass.stream {
                if let Some((p, node)) = last.filter(|l| l.0 < part) {
                    debug_assert!(p < part);
                    pairs += 1;
                    ordered += u64::from(d.node[row] > node);
                }
                last = Some((part, d.node[row]));
            }
        }
        if seen.iter().any(|&s| s) {
            replays += 1;
            inside += seen.iter().filter(|&&s| s).count() as u32;
            all += seen.len() as u32;
        }
    }
    if replays == 0 {
        return None;
    }
    let nodes = match pairs {
        0 => "the trace has no node numbers".to_owned(),
        n => format!("node numbers rise from layer to layer in {ordered} of {n} places"),
    };
    let agrees = (pairs > 0).then_some(ordered == pairs);
    let detail = format!("{inside} of {all} layers in {replays} passes are replayed by a graph; {nodes}");
    Some(row(EvidenceKind::GraphNodes, None, agrees, detail))
}

/// What blocks say: the kernels that mix tokens.
pub(super) fn blocks(counts: &[(u32, usize)], anchored: Option<&str>, found: Option<u32>) -> EvidenceRow {
    let list: Vec<String> =
        counts.iter().map(|(layers, passes)| format!("{layers} in {passes} passes")).collect();
    let list = if list.is_empty() { "none in a complete pass".to_owned() } else { list.join(", ") };
    match anchored {
        Some(name) => row(EvidenceKind::Anchor, found, None, format!("layers begin at `{name}`: {list}")),
        None => row(
            EvidenceKind::Blocks,
            found,
            found.map(|_| true),
            format!("attention or recurrence blocks: {list}"),
        ),
    }
}

/// What the configuration says. `drafts` is the largest number of draft layers in a pass.
pub(super) fn config(config: &ModelLayers, found: Option<u32>, drafts: Option<u32>) -> EvidenceRow {
    let count = config.count();
    let agrees = found.map(|f| f == count);
    let mut detail = format!("the configuration has {}", config.describe());
    if let Some(f) = found.filter(|&f| f != count) {
        detail.push_str(&format!("; the trace {f} layers"));
    }
    match drafts.unwrap_or(0) {
        0 if config.drafts > 0 => detail.push_str("; the trace shows no draft layer"),
        n if n > 0 => detail.push_str(&format!("; the trace shows {n} draft layers in a pass")),
        _ => {}
    }
    row(EvidenceKind::Config, Some(count), agrees, detail)
}
