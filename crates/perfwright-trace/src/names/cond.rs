//! Conditions on a parsed symbol, shared by category rules and fusion patterns.

use serde::Deserialize;

use super::index::too_long;
use super::symbol::Symbol;

/// A condition: every field that is given must hold. All fields look at the base symbol or at the
/// functor, never at the raw name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cond {
    /// One of these is a namespace of the base.
    pub ns: Vec<String>,
    /// The function equals one of these.
    pub name: Vec<String>,
    /// The function starts with one of these.
    pub prefix: Vec<String>,
    /// The function ends with one of these.
    pub suffix: Vec<String>,
    /// The function contains one of these (case-sensitive; prefer `words`).
    pub contains: Vec<String>,
    /// Every entry occurs as whole words in the function; `a|b` means either.
    pub words: Vec<String>,
    /// None of these occurs as whole words in the function.
    pub not: Vec<String>,
    /// Every entry occurs as whole words in the functor; `a|b` means either.
    pub functor: Vec<String>,
    /// The wrapper's function equals one of these.
    pub wrapper: Vec<String>,
    /// Template arguments by position, `"4=true"`; every entry must hold.
    pub args: Vec<String>,
}

impl Cond {
    /// Whether nothing is asked (such a condition would match every kernel).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `symbol` satisfies the condition.
    #[must_use]
    pub fn matches(&self, symbol: &Symbol) -> bool {
        self.matches_shape(symbol)
            && self.words.iter().all(|w| w.split('|').any(|p| symbol.words.has(p)))
            && self.functor.iter().all(|w| w.split('|').any(|p| symbol.functor_words.has(p)))
            && !self.not.iter().any(|p| symbol.words.has(p))
    }

    /// The part of the condition that is not about words.
    pub(super) fn matches_shape(&self, symbol: &Symbol) -> bool {
        let function = symbol.function();
        let any =
            |list: &[String], test: &dyn Fn(&str) -> bool| list.is_empty() || list.iter().any(|v| test(v));
        any(&self.prefix, &|v| function.starts_with(v))
            && any(&self.name, &|v| function == v)
            && any(&self.suffix, &|v| function.ends_with(v))
            && any(&self.contains, &|v| function.contains(v))
            && any(&self.ns, &|v| symbol.namespaces().any(|n| n == v))
            && any(&self.wrapper, &|v| {
                symbol.wrapper.as_deref().is_some_and(|w| w.rsplit("::").next() == Some(v))
            })
            && self.args.iter().all(|a| argument_is(symbol, a))
    }

    /// What is wrong with the condition, if anything.
    pub(crate) fn fault(&self) -> Option<String> {
        if self.is_empty() || !self.not.is_empty() && (Self { not: Vec::new(), ..self.clone() }).is_empty() {
            return Some("a condition must ask for something".into());
        }
        let phrases = self
            .words
            .iter()
            .chain(&self.functor)
            .flat_map(|w| w.split('|'))
            .chain(self.not.iter().map(String::as_str));
        for phrase in phrases {
            if too_long(phrase) {
                return Some(format!("word {phrase:?} is too long"));
            }
            if phrase.is_empty() || !phrase.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
                return Some(format!("word {phrase:?} must be lower-case letters and digits"));
            }
        }
        self.args
            .iter()
            .find(|a| parse_argument(a).is_none())
            .map(|a| format!("argument {a:?} must read N=value"))
    }
}

fn parse_argument(text: &str) -> Option<(usize, &str)> {
    let (at, value) = text.split_once('=')?;
    Some((at.parse().ok()?, value))
}

fn argument_is(symbol: &Symbol, text: &str) -> bool {
    parse_argument(text).is_some_and(|(at, value)| symbol.args.get(at).is_some_and(|a| a == value))
}
