//! Entries of `catalog/fusions/*.toml`.

use serde::Deserialize;

use super::row::{KernelInfo, State, Vendor};
use crate::names::{Category, Comm, Cond};

/// A file of fusion patterns.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) fusion: Vec<Pattern>,
}

/// One known fusion.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// Stable id, unique over the catalogue.
    pub id: String,
    /// Short name for tables.
    pub title: String,
    /// Engines known to have it.
    #[serde(default)]
    pub engines: Vec<String>,
    /// What must hold before "missing" may be said; unknown facts become part of the rationale.
    #[serde(default)]
    pub needs: Needs,
    /// Preconditions that a trace cannot show, in words.
    #[serde(default)]
    pub condition: String,
    /// Where the fused form lives.
    pub candidate: String,
    /// Why removing the marked kernels is possible, and what stays.
    pub saves: String,
    /// Public origin, with the date it was checked.
    pub source: String,
    /// Kernels that are the fused form.
    #[serde(default)]
    pub active: Vec<Element>,
    /// Sequences of directly adjacent kernels that are the unfused form.
    #[serde(default)]
    pub missing: Vec<Vec<Element>>,
    /// Sequences in which only part of the chain is fused.
    #[serde(default)]
    pub partial: Vec<Vec<Element>>,
    /// A catch-all: takes only launches that no other entry's missing sequence has used.
    #[serde(default)]
    pub generic: bool,
    /// Kernel sequences with the state they must give.
    pub examples: Vec<Example>,
    /// Kernel sequences that must give no row.
    pub counterexamples: Vec<Vec<String>>,
}

/// Facts about the run that a pattern depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Needs {
    /// Frameworks that have the fused form; empty means any.
    pub framework: Vec<String>,
    /// GPU makers that have it; empty means any.
    pub vendor: Vec<Vendor>,
    /// Smallest tensor-parallel size at which it exists.
    pub min_tp: u32,
}

/// Asks something of one kernel. Every field that is given must hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Element {
    /// One of these categories.
    pub category: Vec<String>,
    /// All of these fused-operation tags.
    pub tags: Vec<String>,
    /// None of these tags.
    pub without: Vec<String>,
    /// One of these collectives.
    pub comm: Vec<Comm>,
    /// One of these conditions on the symbol.
    pub when: Vec<Cond>,
    /// The kernel would vanish in the fused form.
    pub removed: bool,
    /// May be absent (not the first element of a sequence).
    pub optional: bool,
    /// May occur any further number of times (last element of a sequence only).
    pub repeat: bool,
}

impl Element {
    /// Whether `kernel` is what the element asks for.
    #[must_use]
    pub fn matches(&self, kernel: &KernelInfo) -> bool {
        let class = &kernel.class;
        let category = class.category.as_str();
        (self.category.is_empty() || self.category.iter().any(|c| c == category))
            && self.tags.iter().all(|t| class.has(t))
            && !self.without.iter().any(|t| class.has(t))
            && (self.comm.is_empty() || class.comm.is_some_and(|c| self.comm.contains(&c)))
            && (self.when.is_empty() || self.when.iter().any(|c| c.matches(&kernel.symbol)))
    }

    fn is_empty(&self) -> bool {
        self.category.is_empty() && self.tags.is_empty() && self.comm.is_empty() && self.when.is_empty()
    }
}

/// A kernel sequence and the state it must give.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Expected state.
    pub state: State,
    /// Raw kernel names, launched one after the other on one stream.
    pub kernels: Vec<String>,
}

impl Pattern {
    /// What is wrong with the entry, if anything.
    pub(super) fn fault(&self) -> Option<String> {
        if self.active.is_empty() && self.missing.is_empty() {
            return Some("neither active nor missing: nothing to find".into());
        }
        let sequences = self.missing.iter().chain(&self.partial);
        if sequences.clone().any(|s| s.len() < 2) {
            return Some("a sequence needs at least two kernels".into());
        }
        if sequences.clone().any(|s| s.first().is_some_and(|e| e.optional)) {
            return Some("the first element of a sequence cannot be optional".into());
        }
        let last_only = |s: &Vec<Element>| s.iter().rev().skip(1).any(|e| e.repeat);
        if sequences.clone().any(last_only) {
            return Some("only the last element of a sequence may repeat".into());
        }
        for element in self.active.iter().chain(sequences.flatten()) {
            if element.is_empty() {
                return Some("an element must ask for something".into());
            }
            if let Some(word) =
                element.category.iter().find(|c| matches!(Category::from_word(c), Category::Unknown))
            {
                return Some(format!("category {word:?} proves nothing"));
            }
            if let Some(fault) = element.when.iter().find_map(Cond::fault) {
                return Some(fault);
            }
        }
        (self.examples.is_empty() || self.counterexamples.is_empty())
            .then(|| "an example and a counterexample are required".into())
    }
}
