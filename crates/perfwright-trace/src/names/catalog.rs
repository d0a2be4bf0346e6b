//! The kernel catalogue: loading, overriding, classifying.

use std::sync::Arc;

use hashbrown::HashMap;

use super::builtin;
use super::category::{By, Category, Classified, Tag};
use super::cond::Cond;
use super::error::CatalogError;
use super::index::{Compiled, Phrases, Probe};
use super::rule::{File, OpRule, Rule, TagRule};
use super::symbol::Symbol;

/// Largest catalogue text accepted, in bytes.
const MAX_TEXT: usize = 4 << 20;

/// A rule ready for matching: its answer is built once and shared.
struct Entry {
    rule: Rule,
    when: Vec<Compiled>,
    answer: Classified,
    refine: Vec<Category>,
}

struct OpEntry {
    rule: OpRule,
    category: Category,
    id: Arc<str>,
}

/// A catalogue text: a name for messages, and the TOML.
pub type Source<'a> = (&'a str, &'a str);

/// Ordered rules that give kernel names a category.
pub struct Catalog {
    entries: Vec<Entry>,
    ops: Vec<OpEntry>,
    exact_ops: HashMap<String, usize>,
    tags: Vec<TagEntry>,
    phrases: Phrases,
}

struct TagEntry {
    rule: TagRule,
    when: Vec<Compiled>,
    categories: Vec<Category>,
    adds: Vec<Tag>,
}

impl Catalog {
    /// The rules compiled into the program.
    ///
    /// # Errors
    /// Only when a built-in text is broken, which the tests of this crate exclude.
    pub fn builtin() -> Result<Self, CatalogError> {
        Self::with_overrides(&[])
    }

    /// The built-in rules with `overrides` in front: an entry with a known id replaces it, others are
    /// asked before the built-in ones of the same priority.
    ///
    /// # Errors
    /// Names the text and the entry that cannot be used.
    pub fn with_overrides(overrides: &[Source<'_>]) -> Result<Self, CatalogError> {
        let mut rules = Vec::new();
        let mut ops = Vec::new();
        let mut tags = Vec::new();
        for &(path, text) in overrides {
            let file = parse(path, text)?;
            check(path, &file)?;
            rules.extend(file.rule);
            ops.extend(file.op);
            tags.extend(file.tag);
        }
        for file in builtin::kernels()? {
            rules.extend(file.rule);
            ops.extend(file.op);
            tags.extend(file.tag);
        }
        Ok(Self::build(rules, ops, tags))
    }

    fn build(mut rules: Vec<Rule>, ops: Vec<OpRule>, tags: Vec<TagRule>) -> Self {
        keep_first(&mut rules, |r| &r.id);
        rules.sort_by_key(|r| std::cmp::Reverse(r.priority));
        let mut phrases = Phrases::default();
        let entries = rules.into_iter().map(|r| Entry::new(r, &mut phrases)).collect();
        let mut ops = ops;
        keep_first(&mut ops, |o| &o.id);
        let mut exact_ops = HashMap::new();
        for (i, rule) in ops.iter().enumerate() {
            for op in &rule.op {
                exact_ops.entry(op.clone()).or_insert(i);
            }
        }
        let ops = ops
            .into_iter()
            .map(|rule| OpEntry {
                category: Category::from_word(&rule.category),
                id: rule.id.as_str().into(),
                rule,
            })
            .collect();
        let mut tags = tags;
        keep_first(&mut tags, |t| &t.id);
        let tags = tags
            .into_iter()
            .map(|mut rule| TagEntry {
                when: compile(&mut rule.when, &mut phrases),
                categories: rule.category.iter().map(|c| Category::from_word(c)).collect(),
                adds: rule.adds.iter().map(|a| Tag::from(a.as_str())).collect(),
                rule,
            })
            .collect();
        Self { entries, ops, exact_ops, tags, phrases }
    }

    /// Classifies a kernel by its symbol, and by the CPU operation where the symbol alone does not decide.
    #[must_use]
    pub fn classify(&self, symbol: &Symbol, cpu_op: Option<&str>) -> Classified {
        let probe = self.phrases.probe(symbol);
        let named = self.entries.iter().find(|e| any(&e.when, &probe));
        let mut answer = match named {
            Some(entry) => {
                let mut answer = entry.answer.clone();
                if !entry.refine.is_empty()
                    && let Some(op) = cpu_op.and_then(|op| self.op(op))
                    && entry.refine.contains(&op.category)
                {
                    answer.category = op.category.clone();
                    answer.rule = Some(Arc::clone(&op.id));
                    answer.by = By::CpuOp;
                }
                answer
            }
            None => {
                let mut answer = Classified::unknown();
                if let Some(op) = cpu_op.and_then(|op| self.op(op)) {
                    answer.category = op.category.clone();
                    answer.rule = Some(Arc::clone(&op.id));
                    answer.by = By::CpuOp;
                }
                answer
            }
        };
        self.add_tags(&probe, &mut answer);
        answer
    }

    fn add_tags(&self, probe: &Probe<'_>, answer: &mut Classified) {
        let mut extra: Vec<Tag> = Vec::new();
        for tag in &self.tags {
            let applies = tag.categories.is_empty() || tag.categories.contains(&answer.category);
            if applies && any(&tag.when, probe) {
                extra.extend(tag.adds.iter().filter(|t| !answer.has(t)).cloned());
            }
        }
        if !extra.is_empty() {
            extra.extend(answer.fused.iter().cloned());
            extra.sort();
            extra.dedup();
            answer.fused = extra.into();
        }
    }

    fn op(&self, op: &str) -> Option<&OpEntry> {
        // Older profiles print `aten.mm`.
        let dotted;
        let op = match op.split_once("::") {
            Some(_) => op,
            None => {
                dotted = op.replacen('.', "::", 1);
                &dotted
            }
        };
        match self.exact_ops.get(op) {
            Some(&at) => self.ops.get(at),
            None => self.ops.iter().find(|e| e.rule.prefix.iter().any(|p| op.starts_with(p.as_str()))),
        }
    }

    /// All rules on symbols, in the order they are asked.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.entries.iter().map(|e| &e.rule)
    }

    /// All rules on CPU operations.
    pub fn op_rules(&self) -> impl Iterator<Item = &OpRule> {
        self.ops.iter().map(|e| &e.rule)
    }

    /// Every tag rule as (id, tags, positive example, negative example, source).
    pub fn tag_rules(&self) -> impl Iterator<Item = (&str, &[Tag], &str, &str, &str)> {
        self.tags.iter().map(|t| {
            (
                t.rule.id.as_str(),
                t.adds.as_slice(),
                t.rule.yes.as_str(),
                t.rule.no.as_str(),
                t.rule.source.as_str(),
            )
        })
    }
}

impl Entry {
    fn new(mut rule: Rule, phrases: &mut Phrases) -> Self {
        let when = compile(&mut rule.when, phrases);
        let answer = Classified {
            category: Category::from_word(&rule.category),
            rule: Some(rule.id.as_str().into()),
            by: By::Name,
            fused: rule.fused.iter().map(|t| Tag::from(t.as_str())).collect(),
            phase: rule.phase,
            comm: rule.comm,
        };
        let refine = rule.refine.iter().map(|c| Category::from_word(c)).collect();
        Self { rule, when, answer, refine }
    }
}

fn any(when: &[Compiled], probe: &Probe<'_>) -> bool {
    when.iter().any(|c| c.matches(probe))
}

fn compile(when: &mut Vec<Cond>, phrases: &mut Phrases) -> Vec<Compiled> {
    std::mem::take(when).into_iter().map(|c| phrases.compile(c)).collect()
}

fn keep_first<T>(items: &mut Vec<T>, id: impl Fn(&T) -> &str) {
    let mut seen = hashbrown::HashSet::new();
    items.retain(|item| seen.insert(id(item).to_owned()));
}

/// Reads one catalogue text.
pub(super) fn parse(path: &str, text: &str) -> Result<File, CatalogError> {
    if text.len() > MAX_TEXT {
        return Err(CatalogError::TooLarge { path: path.into(), bytes: text.len(), limit: MAX_TEXT });
    }
    toml::from_str(text).map_err(|e| CatalogError::Parse { path: path.into(), source: Box::new(e) })
}

/// Refuses entries that would match everything or can never match.
pub(super) fn check(path: &str, file: &File) -> Result<(), CatalogError> {
    let conds = file.rule.iter().map(|r| (&r.id, &r.when)).chain(file.tag.iter().map(|t| (&t.id, &t.when)));
    for (id, when) in conds {
        let reason =
            if when.is_empty() { Some("no condition".to_owned()) } else { when.iter().find_map(Cond::fault) };
        if let Some(reason) = reason {
            return Err(CatalogError::Entry { path: path.into(), id: id.clone(), reason });
        }
    }
    for op in &file.op {
        if op.op.is_empty() && op.prefix.is_empty() {
            return Err(CatalogError::Entry {
                path: path.into(),
                id: op.id.clone(),
                reason: "no operation".into(),
            });
        }
    }
    Ok(())
}
