//! What the test programs of this crate share.
#![allow(dead_code, reason = "each test program uses a part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use perfwright_trace::report::{KernelRow, Total, Triage};
use perfwright_trace::steps::Class;
use perfwright_trace::triage::{Catalogs, TriageOptions, triage};
use xtask::scratch::Scratch;
use xtask::tracegen::{self, Options, Truth, generate_file};

static CATALOGS: LazyLock<Catalogs> =
    LazyLock::new(|| Catalogs::new(&[], &[]).expect("the catalogues that ship are good"));

/// The catalogues that ship with the program.
pub(crate) fn catalogs() -> &'static Catalogs {
    &CATALOGS
}

/// The answer about a file or folder.
pub(crate) fn ask(path: &Path) -> Triage {
    ask_with(path, &TriageOptions::default())
}

/// The answer about a file or folder, with options.
pub(crate) fn ask_with(path: &Path, options: &TriageOptions<'_>) -> Triage {
    triage(path, catalogs(), options).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The answer about a text.
pub(crate) fn ask_text(text: &str) -> Triage {
    let dir = Scratch::new("trace-text");
    dir.write("trace.json", text);
    ask(&dir.path().join("trace.json"))
}

/// A generated trace in a folder of its own.
pub(crate) struct Made {
    dir: Scratch,
    /// The trace.
    pub(crate) path: PathBuf,
    /// What is true about it.
    pub(crate) truth: Truth,
}

impl Made {
    /// Generates a trace.
    pub(crate) fn new(o: &Options) -> Self {
        let dir = Scratch::new("trace-made");
        let path = dir.path().join("made.trace.json");
        let truth = generate_file(o, &path).unwrap_or_else(|e| panic!("{o:?}: {e}"));
        Self { dir, path, truth }
    }

    /// The answer about it.
    pub(crate) fn ask(&self) -> Triage {
        ask(&self.path)
    }

    /// The folder it lies in.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }
}

/// Short passes that still hold every kind of kernel.
pub(crate) fn short() -> Options {
    Options { layers: 2, ..Options::default() }
}

/// The class of the answer that a class of the generator stands for.
pub(crate) fn class(of: tracegen::Class) -> Class {
    let found = Class::ALL.into_iter().find(|c| c.as_str() == of.name());
    found.unwrap_or_else(|| panic!("no class {}", of.name()))
}

/// The rows of a raw name.
pub(crate) fn rows_of<'a>(t: &'a Triage, raw: &'a str) -> impl Iterator<Item = &'a KernelRow> {
    t.tables.kernels.iter().filter(move |r| r.raw_names.iter().any(|n| n == raw))
}

/// Launches and time by raw name, over all classes; every row must stand for one name.
pub(crate) fn by_name(t: &Triage) -> BTreeMap<&str, Total> {
    let mut sums: BTreeMap<&str, Total> = BTreeMap::new();
    for row in &t.tables.kernels {
        let [name] = row.raw_names.as_slice() else {
            panic!("{} stands for {:?}", row.kernel, row.raw_names)
        };
        let sum = sums.entry(name).or_default();
        sum.count += row.launches;
        sum.total_ns += row.total_ns;
    }
    sums
}

/// What must hold in every answer with tables: nothing is lost, shares and budgets add up.
pub(crate) fn check_sums(t: &Triage, what: &str) {
    let device = t.totals.device_ns();
    let rows = &t.tables.kernels;
    assert_eq!(rows.iter().map(|r| r.total_ns).sum::<i64>(), device, "{what}: rows do not add to the total");
    assert_eq!(rows.iter().map(|r| r.launches).sum::<u64>(), t.totals.count(), "{what}: launches");
    let methods = t.attribution.by_method.values();
    assert_eq!(methods.clone().map(|m| m.total_ns).sum::<i64>(), device, "{what}: methods");
    assert_eq!(methods.map(|m| m.count).sum::<u64>(), t.totals.count(), "{what}: counts of methods");
    for class in Class::ALL {
        let of_class = || rows.iter().filter(|r| r.class == class);
        if of_class().next().is_none() {
            continue;
        }
        let share: f64 = of_class().map(|r| r.share).sum();
        assert!((share - 1.0).abs() < 1e-9, "{what}: shares of {class:?} add to {share}");
        let total: i64 = of_class().map(|r| r.total_ns).sum();
        for r in of_class() {
            assert!(
                (r.share - r.total_ns as f64 / total as f64).abs() < 1e-12,
                "{what}: share of {}",
                r.kernel
            );
        }
    }
    assert!(!t.budget.is_empty(), "{what}: no budget");
    for b in &t.budget {
        let parts = b.parts();
        assert!(parts.iter().all(|(_, ns)| *ns >= 0), "{what}: {b:?}");
        assert_eq!(parts.iter().map(|(_, ns)| ns).sum::<i64>(), b.wall_ns, "{what}: {b:?}");
    }
    for r in &t.tables.overlap {
        assert_eq!(r.exposed_ns + r.hidden_ns, r.total_ns, "{what}: {r:?}");
        assert!(r.bound_per_step_ns <= r.exposed_per_step_ns, "{what}: {r:?}");
    }
}
