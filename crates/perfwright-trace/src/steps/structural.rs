//! Steps of a trace without pass labels, from the engine's Python frames and the order of device work.
//!
//! Device work is taken in launch order and cut into passes: where an engine's pass frame begins, where inputs are
//! copied in after a model ran, after results were copied out, and at the edges of a classed frame. The class comes
//! from classed frames, else from kernels that serve one phase only.

use hashbrown::HashMap;

use super::class::Class;
use super::find::{NO_STEP, Source, Step};
use super::grammar::Label;
use crate::frames::split;
use crate::links::{NO_ROW, captures, is_graph_launch};
use crate::names::{Category, Classified, Phase, Symbol};
use crate::store::{Ident, KERNEL, MEMCPY, Store};

/// The built-in rules, `catalog/steps/engines.toml`.
const BUILTIN: &str = include_str!("../../../../catalog/steps/engines.toml");

/// Rules that recognise passes.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRules {
    frame: Vec<FrameRule>,
    kernel: Vec<KernelRule>,
}

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameRule {
    path: String,
    func: String,
    #[serde(default)]
    pass: bool,
    #[serde(default)]
    mark: bool,
    class: Option<Class>,
    #[expect(dead_code, reason = "documentation of the catalogue entry")]
    source: String,
}

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct KernelRule {
    word: String,
    class: Class,
    #[expect(dead_code, reason = "documentation of the catalogue entry")]
    source: String,
}

impl StepRules {
    /// The rules that ship with the program.
    ///
    /// # Errors
    /// The text of the fault when the catalogue is malformed; a test keeps that from happening.
    pub fn builtin() -> Result<Self, String> {
        toml::from_str(BUILTIN).map_err(|e| e.to_string())
    }
}

/// What a kernel's name says about its pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KernelHint {
    /// Computes attention (the second half of a split one not counted).
    attention: bool,
    /// Joins the parts of a split attention: decode-like.
    combine: bool,
    phase: Option<Phase>,
    class: Option<Class>,
}

/// The hint of one kernel.
pub fn kernel_hint(rules: &StepRules, symbol: &Symbol, classified: &Classified) -> KernelHint {
    let class = rules.kernel.iter().find(|k| symbol.function() == k.word).map(|k| k.class);
    let in_attention = classified.category == Category::Attention;
    let lower = symbol.base.to_ascii_lowercase();
    let combine = in_attention && (lower.contains("combine") || lower.contains("reduce"));
    let helper = ["prepare", "metadata", "merge_state", "mergestate"].iter().any(|w| lower.contains(w));
    KernelHint { attention: in_attention && !combine && !helper, combine, phase: classified.phase, class }
}

/// Attention seen in a pass, by what its kernels can serve.
#[derive(Debug, Default, Clone, Copy)]
struct Attention {
    prefill: u32,
    decode: u32,
    open: u32,
    combine: u32,
    told: Option<Class>,
}

impl Attention {
    fn add(&mut self, h: KernelHint) {
        if let Some(c) = h.class {
            self.told = self.told.filter(|t| t.weight() >= c.weight()).or(Some(c));
        }
        self.combine += u32::from(h.combine);
        if h.attention {
            match h.phase {
                Some(Phase::Prefill) => self.prefill += 1,
                Some(Phase::Decode) => self.decode += 1,
                None => self.open += 1,
            }
        }
    }

    /// The class, as far as these kernels alone decide. `splits` says that decode attention of this trace shows
    /// itself by a combine kernel, so that open attention without one is a prompt's.
    fn class(&self, splits: bool) -> Class {
        if let Some(told) = self.told {
            return told;
        }
        // A combine kernel proves one of the open launches to be a decode.
        let open_decode = self.open.min(self.combine);
        let open_prefill = if splits { self.open - open_decode } else { 0 };
        let (p, d) = (self.prefill + open_prefill, self.decode + open_decode);
        match (p > 0, d > 0) {
            (true, true) => Class::Mixed,
            (true, false) => Class::Prefill,
            (false, true) => Class::Decode,
            (false, false) => Class::Unknown,
        }
    }

    fn any(&self) -> bool {
        self.prefill + self.decode + self.open > 0
    }

    fn launches(&self) -> u32 {
        self.prefill + self.decode + self.open
    }
}

/// The class that a pass's kernels prove.
pub(super) fn class_of_kernels(hints: impl Iterator<Item = KernelHint>) -> Class {
    let mut a = Attention::default();
    hints.for_each(|h| a.add(h));
    a.class(false)
}

impl KernelHint {
    /// True for kernels that compute attention, not for those that prepare it or join its parts.
    pub(crate) fn is_attention(&self) -> bool {
        self.attention
    }

    /// True for kernels that only a verify pass runs.
    pub(super) fn verifies(&self) -> bool {
        self.class == Some(Class::Verify)
    }
}

/// A run of the engine's own code that bounds or classes a pass.
#[derive(Debug, Clone, Copy)]
struct Window {
    start: i64,
    end: i64,
    class: Option<Class>,
    mark: bool,
    /// A stream capture: begins and ends by runtime calls.
    capture: bool,
}

/// A pass in the making.
struct Group {
    rows: Vec<u32>,
    class: Option<Class>,
    attention: Attention,
    copied_out: bool,
    by_frames: bool,
}

impl Group {
    fn new() -> Self {
        Group {
            rows: Vec::new(),
            class: None,
            attention: Attention::default(),
            copied_out: false,
            by_frames: false,
        }
    }

    /// True when a model, or a classed part of one, ran in it.
    fn ran(&self) -> bool {
        self.attention.any() || self.class.is_some()
    }
}

pub(super) fn find(
    store: &Store,
    launch_of: &[u32],
    hints: &[KernelHint],
    rules: &StepRules,
) -> (Vec<Step>, Vec<u32>) {
    let mut of_device = vec![NO_STEP; store.devices.len()];
    let mut steps = Vec::new();
    // Only engines are cut into passes: a training loop copies in and out as it likes.
    let windows = windows(store, rules);
    let d = &store.devices;
    let serves = |h: &KernelHint| h.phase.is_some() || h.combine || h.class.is_some();
    let structural = !windows.is_empty()
        || d.name.iter().any(|&n| serves(&hints[n as usize]))
        || store.launches.name.iter().any(|&n| is_graph_launch(store.strings.bytes(n)));
    if !structural {
        return (steps, of_device);
    }
    let mut by_pid: HashMap<Ident, Vec<u32>> = HashMap::new();
    for i in 0..d.len() {
        by_pid.entry(store.device_pid(i)).or_default().push(i as u32);
    }
    let mut pids: Vec<_> = by_pid.into_iter().collect();
    pids.sort_by_key(|p| p.0);
    for (pid, mut rows) in pids {
        let launched = |i: u32| match launch_of[i as usize] {
            NO_ROW => d.ts[i as usize],
            l => store.launches.ts[l as usize],
        };
        rows.sort_by_key(|&i| (launched(i), d.ts[i as usize]));
        let groups = cut(store, &rows, launched, hints, &windows);
        let splits = groups.iter().any(|g| g.attention.combine > 0);
        let layers = groups.iter().map(|g| g.attention.launches()).max().unwrap_or(0);
        for g in groups {
            let kernels = g.attention.class(splits);
            // A draft runs a layer or two and hands its tokens to the verify pass without a copy to the host.
            let small = g.attention.any() && g.attention.launches() * 4 <= layers && !g.copied_out;
            let class = match g.class {
                Some(Class::Decode | Class::Prefill) if kernels == Class::Mixed => Class::Mixed,
                Some(c) => c,
                None if small && kernels != Class::Verify => Class::Draft,
                None => kernels,
            };
            if class == Class::Unknown && !g.by_frames {
                continue;
            }
            let ends = |&i: &u32| d.ts[i as usize] + d.dur[i as usize];
            let start = g.rows.iter().map(|&i| d.ts[i as usize]).min().unwrap_or(0);
            let end = g.rows.iter().map(ends).max().unwrap_or(0);
            let by = if g.by_frames { Source::Frames } else { Source::Structure };
            let label = Label { class, batch: None, tokens: None, context: None, generic: false };
            for &i in &g.rows {
                of_device[i as usize] = steps.len() as u32;
            }
            steps.push(Step::new(label, None, pid, start, end, by));
        }
    }
    (steps, of_device)
}

/// Runs of pass and class frames, by start. Of classed frames in one another only the outermost stays.
fn windows(store: &Store, rules: &StepRules) -> Vec<Window> {
    let f = &store.frames;
    let mut memo: HashMap<u32, Option<usize>> = HashMap::new();
    let mut out: Vec<Window> = Vec::new();
    let mut lane = None;
    let mut open: [i64; 2] = [i64::MIN; 2]; // end of the outermost open pass frame and classed frame
    for i in 0..f.len() {
        if lane != Some(f.lane[i]) {
            lane = Some(f.lane[i]);
            open = [i64::MIN; 2];
        }
        let rule = *memo.entry(f.name[i]).or_insert_with(|| {
            let name = store.strings.text(f.name[i]);
            let (path, _, func) = split(&name)?;
            rules.frame.iter().position(|r| r.func == func && path.ends_with(r.path.as_str()))
        });
        let Some(rule) = rule.map(|r| &rules.frame[r]) else { continue };
        let (start, end) = (f.ts[i], f.ts[i] + f.dur[i]);
        let slot = usize::from(!rule.pass);
        if end <= open[slot] && !rule.mark {
            continue;
        }
        if !rule.mark {
            open[slot] = end;
        }
        out.push(Window { start, end, class: rule.class, mark: rule.mark, capture: false });
    }
    let class = Some(Class::Capture);
    out.extend(captures(store).into_iter().map(|(_, start, end)| Window {
        start,
        end,
        class,
        mark: false,
        capture: true,
    }));
    out.sort_by_key(|w| (w.start, std::cmp::Reverse(w.end)));
    out
}

/// Cuts device work in launch order into passes.
fn cut(
    store: &Store,
    rows: &[u32],
    launched: impl Fn(u32) -> i64,
    hints: &[KernelHint],
    windows: &[Window],
) -> Vec<Group> {
    let d = &store.devices;
    let mut groups: Vec<Group> = Vec::new();
    let mut g = Group::new();
    let mut next = 0;
    let mut open: Vec<Window> = Vec::new();
    let mut inside: Option<i64> = None; // start of the classed frame that classed the group
    let mut coming: Option<Class> = None;
    for &i in rows {
        let row = i as usize;
        let t = launched(i);
        open.retain(|w| w.end > t);
        while let Some(w) = windows.get(next).filter(|w| w.start <= t) {
            if w.capture {
                // A capture itself runs nothing; what ran since the pass before prepared for it.
                close_capture(&mut g, &mut groups);
            } else if w.mark {
                coming = w.class;
            } else if w.end > t {
                open.push(*w);
            }
            next += 1;
        }
        let classed = open.iter().filter(|w| w.class.is_some()).min_by_key(|w| w.start);
        let entered = classed.filter(|w| Some(w.start) != inside);
        let copies = |way: &[u8]| {
            d.kind[row] == MEMCPY && memchr::memmem::find(store.strings.bytes(d.name[row]), way).is_some()
        };
        let copied_in = copies(b"HtoD") && g.ran() && (classed.is_none() || entered.is_some());
        let copy_out = copies(b"DtoH");
        if copied_in || (entered.is_some() && g.class.is_some()) || (g.copied_out && !copy_out) {
            groups.push(std::mem::replace(&mut g, Group::new()));
        }
        if let Some(w) = entered {
            g.class = coming.take().or(w.class);
            inside = Some(w.start);
        }
        if d.kind[row] == KERNEL {
            g.attention.add(hints[d.name[row] as usize]);
        }
        g.by_frames |= !open.is_empty();
        g.copied_out |= copy_out && g.ran();
        g.rows.push(i);
    }
    if windows[next..].iter().any(|w| w.capture) {
        close_capture(&mut g, &mut groups);
    }
    if !g.rows.is_empty() {
        groups.push(g);
    }
    groups
}

fn close_capture(g: &mut Group, groups: &mut Vec<Group>) {
    if g.rows.is_empty() {
        return;
    }
    if !g.attention.any() {
        g.class = Some(Class::Capture);
    }
    groups.push(std::mem::replace(g, Group::new()));
}
