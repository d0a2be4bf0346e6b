//! The first lines of the answer.

use perfwright_report::Cell;

use super::report::{Comparison, LimitResult, Line, Measure, Scope, Status};
use super::side::Side;
use crate::report::Input;
use crate::steps::{Class, Source};

/// Classes and causes that the verdict names; with one line for steps, limits and warnings each, and the title, it
/// stays within ten.
const CLASSES: usize = 3;
const CAUSES: usize = 3;

/// The verdict.
pub(super) fn verdict(c: &Comparison) -> Vec<Line> {
    let line = |about: &str, text: String| Line { about: about.to_owned(), text };
    if let Some(stop) = &c.stop {
        return vec![line("stopped", format!("{} ({})", stop.reason, stop.code))];
    }
    let mut lines = Vec::new();
    for row in c.classes.iter().take(CLASSES) {
        let about = match c.method.scope {
            Scope::Trace => "whole trace",
            Scope::Extents => "extents",
            Scope::Steps => row.class.as_str(),
        };
        let device = change(row.a_device_ns_per_step, row.b_device_ns_per_step);
        lines.push(line(about, format!("{}; GPU work {device}", wall_text(&row.wall))));
    }
    lines.extend(causes(c));
    lines.push(line("steps", steps_text(c)));
    if !c.limits.is_empty() {
        let count = |r| c.limits.iter().filter(|l| l.result == r).count();
        let (over, open) = (count(LimitResult::Exceeded), count(LimitResult::Unproven));
        let text = format!("{} checked, {over} exceeded, {open} unproven", c.limits.len());
        lines.push(line("limits", text));
    }
    if let Some(first) = c.warnings.first() {
        let rest = match c.warnings.len() - 1 {
            0 => String::new(),
            n => format!(" ({n} more at the end)"),
        };
        lines.push(line("warning", format!("{first}{rest}")));
    }
    lines
}

/// `slower 1.93 %, +193.0 us a step (95 % interval +180.0 us to +210.0 us)`.
fn wall_text(m: &Measure) -> String {
    let by = m.ratio.map_or_else(String::new, |r| format!(" {:.2} %", (r - 1.0).abs() * 100.0));
    let delta = signed(m.delta_ns_per_step);
    let interval = match (m.ci_low, m.ci_high) {
        (Some(low), Some(high)) => format!("95 % interval {} to {}", signed(low), signed(high)),
        _ => "one step, no interval".to_owned(),
    };
    match m.status {
        Status::Same if m.delta_ns_per_step == 0.0 => "the same wall time".to_owned(),
        Status::Same => format!("no change of wall time shown: {delta} a step ({interval})"),
        Status::Unclear => format!("wall {} {delta} a step ({interval})", change_of(m)),
        status => format!("{}{by}: {delta} a step ({interval})", status.as_str()),
    }
}

fn change_of(m: &Measure) -> String {
    change(m.a_ns_per_step, m.b_ns_per_step)
}

fn change(a: f64, b: f64) -> String {
    if a > 0.0 { format!("{:+.2} %", (b / a - 1.0) * 100.0) } else { "new".to_owned() }
}

/// The largest claimed differences over all classes, by what they cost in all compared steps.
fn causes(c: &Comparison) -> Vec<Line> {
    let steps = |class: Class| c.classes.iter().find(|r| r.class == class).map_or(0.0, |r| r.matched as f64);
    let claimed = |m: &Measure| !matches!(m.status, Status::Same | Status::Unclear);
    let mut found: Vec<(f64, &str, String)> = Vec::new();
    for r in c.rows.iter().filter(|r| claimed(&r.time)) {
        let how = match (&r.renamed_to, r.time.ratio, r.time.status) {
            (_, _, Status::Appeared | Status::Vanished) => r.time.status.as_str().to_owned(),
            (renamed, Some(ratio), _) => {
                format!("{ratio:.3}x{}", if renamed.is_some() { ", renamed" } else { "" })
            }
            (_, None, status) => status.as_str().to_owned(),
        };
        let text = format!("{} {} ({}, {how})", signed(r.time.delta_ns_per_step), r.kernel, r.category);
        found.push((r.time.delta_ns_per_step.abs() * steps(r.class), r.class.as_str(), text));
    }
    for g in c.gaps.iter().filter(|g| g.category.is_none() && g.time.excludes_zero()) {
        let wall = c.classes.iter().find(|r| r.class == g.class).map_or(0.0, |r| r.wall.a_ns_per_step);
        if g.time.delta_ns_per_step.abs() > wall * c.method.threshold {
            let text = format!("{} {} (nothing runs)", signed(g.time.delta_ns_per_step), g.part);
            found.push((g.time.delta_ns_per_step.abs() * steps(g.class), g.class.as_str(), text));
        }
    }
    found.sort_by(|x, y| y.0.total_cmp(&x.0).then_with(|| (x.1, &x.2).cmp(&(y.1, &y.2))));
    if found.is_empty() {
        let text = format!("no kernel differs by more than {:.0} %", c.method.threshold * 100.0);
        return vec![Line { about: "cause".to_owned(), text }];
    }
    let more = found.len().saturating_sub(CAUSES);
    let mut lines: Vec<Line> = found
        .into_iter()
        .take(CAUSES)
        .map(|(_, class, text)| Line { about: "cause".to_owned(), text: format!("{class} {text}") })
        .collect();
    if more > 0
        && let Some(last) = lines.last_mut()
    {
        last.text.push_str(&format!("; {more} more below"));
    }
    lines
}

fn steps_text(c: &Comparison) -> String {
    if c.method.scope == Scope::Trace {
        return c.method.reason.clone();
    }
    let matched: u64 = c.classes.iter().map(|r| r.matched).sum();
    let side = |name: &str| c.unmatched.iter().filter(|u| u.side == name).count() as u64;
    let of = |get: fn(&super::report::ClassRow) -> u64| -> u64 { c.classes.iter().map(get).sum() };
    let mut all = [of(|r| r.a_steps), of(|r| r.b_steps)];
    // Steps of classes that were not compared are in no class row.
    for (all, name) in all.iter_mut().zip(["a", "b"]) {
        let elsewhere = c.unmatched.iter().filter(|u| u.side == name);
        *all += elsewhere.filter(|u| c.classes.iter().all(|r| r.class != u.class)).count() as u64;
    }
    let (exact, nearest) = (of(|r| r.exact), of(|r| r.nearest));
    let how = match (exact + nearest, c.classes.iter().all(|r| r.paired)) {
        (0, true) => "in order".to_owned(),
        (0, false) => "as samples".to_owned(),
        _ if nearest == 0 => "all of equal work".to_owned(),
        _ => {
            let far = c.classes.iter().map(|r| r.farthest).fold(0.0, f64::max);
            format!("{exact} of equal work, {nearest} within {:.1} %", far * 100.0)
        }
    };
    let extents = if c.method.scope == Scope::Extents { " extents of unknown class" } else { "" };
    format!(
        "{matched}{extents} matched of {} in A and {} in B ({how}); without partner: {} and {}",
        all[0],
        all[1],
        side("a"),
        side("b")
    )
}

fn signed(ns: f64) -> String {
    let shown = Cell::DurationNs(ns.abs().round() as i64).shown().into_owned();
    format!("{}{shown}", if ns < 0.0 { "-" } else { "+" })
}

/// What is known to differ between the sides besides what is measured.
pub(super) fn warn_of_sides(a: &Side, b: &Side, c: &mut Comparison) {
    let mut own: Vec<String> = Vec::new();
    let list = |inputs: &[Input], get: fn(&Input) -> String| {
        let mut all: Vec<String> = inputs.iter().map(get).filter(|s| !s.is_empty()).collect();
        all.sort();
        all.dedup();
        all.join(", ")
    };
    let both = (&a.inputs, &b.inputs);
    let mut differ = |what: &str, get: fn(&Input) -> String| {
        let (x, y) = (list(both.0, get), list(both.1, get));
        if x != y {
            let known = |s: String| if s.is_empty() { "not stated".to_owned() } else { s };
            own.push(format!("{what} differs: {} / {}", known(x), known(y)));
        }
    };
    differ("GPU maker", |i| i.vendor.clone());
    // Some traces name no GPU: that is not a difference.
    let named = |s: &Side| s.inputs.iter().any(|i| !i.gpus.is_empty());
    if named(a) && named(b) {
        differ("GPU", |i| i.gpus.first().cloned().unwrap_or_default());
    }
    differ("number of ranks", |i| i.world_size.map_or_else(String::new, |n| n.to_string()));
    differ("rank", |i| i.rank.map_or_else(String::new, |n| n.to_string()));
    differ("engine", |i| i.framework.clone());
    let structural = |s: &Side| s.passes.iter().any(|p| p.by == Some(Source::Structure));
    if structural(a) || structural(b) {
        own.push("steps were told by the order of kernels, as no label marks them".to_owned());
    }
    for (name, side) in [("A", a), ("B", b)] {
        let all: i64 = side.inputs.iter().map(|i| i.totals.device_ns()).sum();
        if c.method.scope != Scope::Trace && side.outside_ns * 20 > all {
            let share = side.outside_ns as f64 / all.max(1) as f64 * 100.0;
            own.push(format!(
                "{share:.1} % of the device time of {name} is outside of steps and not compared"
            ));
        }
    }
    let same_file = a.inputs.iter().map(|i| &i.path).eq(b.inputs.iter().map(|i| &i.path));
    if !same_file {
        own.push(
            "path unknown: the traces do not prove that both sides used the same backends and flags"
                .to_owned(),
        );
    }
    // What the sides differ in decides whether the rest may be read at all.
    own.append(&mut c.warnings);
    c.warnings = own;
}
