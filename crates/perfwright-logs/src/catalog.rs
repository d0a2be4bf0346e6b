//! The catalogue of signatures: `catalog/logs/*.toml`.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hit::Value;
use crate::needles::{Needles, SHORTEST};
use crate::path::Field;
use crate::pattern::Pattern;

/// What a signature is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Which engine writes, and its version.
    Engine,
    /// The engine takes requests now.
    Readiness,
    /// A failure or its symptom.
    Failure,
    /// Memory ran out.
    Oom,
    /// Attention, sampling, MoE or GEMM backend.
    Backend,
    /// CUDA graphs.
    Graph,
    /// Quantisation path.
    Quant,
    /// Speculative decoding.
    Spec,
    /// Parallelism.
    Parallel,
    /// A path was left for another.
    Fallback,
    /// Weights, pools, profiles.
    Memory,
    /// Progress: steps with load figures.
    Load,
    /// Arguments as a Python representation.
    Args,
    /// A part of something else, or worth showing.
    Warning,
}

/// A field of the path that a signature states.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct States {
    /// The field.
    pub field: Field,
    /// The hole whose value it is.
    pub from: Option<String>,
    /// Or the value itself.
    pub value: Option<String>,
}

/// One entry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Name, e.g. `vllm.ready`.
    pub id: String,
    /// `sglang`, `vllm`, `tensorrt-llm`, `tokenspeed`, `llama.cpp`, or `any`.
    pub engine: String,
    /// What it is about.
    pub class: Class,
    /// One of these is in the line, whatever its case; each of at least six bytes.
    pub any: Vec<String>,
    /// All of these are in the line.
    #[serde(default)]
    pub all: Vec<String>,
    /// At least one of these is in the line, whatever its case, where the list is not empty.
    #[serde(default)]
    pub one: Vec<String>,
    /// None of these is in the line.
    #[serde(default)]
    pub none: Vec<String>,
    /// Patterns; the first that fits gives the values, and one has to fit where there are any.
    #[serde(default)]
    pub read: Vec<String>,
    /// Fields of the path that it states.
    #[serde(default)]
    pub states: Vec<States>,
    /// Incident class, e.g. `crash.cuda_illegal_memory_access`.
    pub incident: Option<String>,
    /// Startup failure class, e.g. `gpu_in_use`.
    pub startup: Option<String>,
    /// How many lines that follow belong to it.
    #[serde(default)]
    pub follow: u8,
    /// For `class = "args"`: the arguments are those asked for, not those resolved.
    #[serde(default)]
    pub asked: bool,
    /// Where this is known from.
    pub source: String,
    /// Lines that it knows.
    pub yes: Vec<String>,
    /// Lines that look alike and that it does not know.
    #[serde(default)]
    pub no: Vec<String>,
}

/// How an engine's argument states a field of the path.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArgRule {
    /// As in [`Signature::engine`].
    pub engine: String,
    /// Names, with underscores and without leading dashes.
    pub names: Vec<String>,
    /// The field.
    pub field: Field,
    /// For switches: the value of the field when it is true.
    pub on: Option<String>,
    /// For switches: the value of the field when it is false in resolved arguments.
    pub off: Option<String>,
    /// The value of the field when it is `None` in resolved arguments.
    pub none: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    signature: Vec<Signature>,
    #[serde(default)]
    arg: Vec<ArgRule>,
}

/// What is wrong with a catalogue text.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// It does not parse.
    #[error("{file}: {source}")]
    Parse {
        /// The text's name.
        file: String,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// An entry breaks a rule.
    #[error("{file}: {id}: {why}")]
    Entry {
        /// The text's name.
        file: String,
        /// The entry.
        id: String,
        /// The rule.
        why: String,
    },
}

const BUILTIN: &[(&str, &str)] = &[
    ("any.toml", include_str!("../../../catalog/logs/any.toml")),
    ("args.toml", include_str!("../../../catalog/logs/args.toml")),
    ("llamacpp.toml", include_str!("../../../catalog/logs/llamacpp.toml")),
    ("memory.toml", include_str!("../../../catalog/logs/memory.toml")),
    ("sglang.toml", include_str!("../../../catalog/logs/sglang.toml")),
    ("startup.toml", include_str!("../../../catalog/logs/startup.toml")),
    ("tensorrt_llm.toml", include_str!("../../../catalog/logs/tensorrt_llm.toml")),
    ("tokenspeed.toml", include_str!("../../../catalog/logs/tokenspeed.toml")),
    ("vllm.toml", include_str!("../../../catalog/logs/vllm.toml")),
];

/// Largest catalogue text accepted, in bytes.
const MAX_TEXT: usize = 4 << 20;

/// Signatures ready for use.
pub struct Catalog {
    signatures: Vec<Signature>,
    patterns: Vec<Vec<Pattern>>,
    needles: Needles,
    args: Vec<ArgRule>,
}

impl Catalog {
    /// The entries compiled into the program.
    ///
    /// # Errors
    /// Only when a built-in text is broken, which the tests of this crate exclude.
    pub fn builtin() -> Result<Self, CatalogError> {
        Self::with_overrides(&[])
    }

    /// The built-in entries and those of `(name, TOML)` texts; an entry with a known id replaces it.
    ///
    /// # Errors
    /// A text that does not parse or an entry that breaks a rule, by name.
    pub fn with_overrides(overrides: &[(&str, &str)]) -> Result<Self, CatalogError> {
        let mut signatures: Vec<Signature> = Vec::new();
        let mut args = Vec::new();
        for (file, text) in BUILTIN.iter().chain(overrides) {
            if text.len() > MAX_TEXT {
                let why = format!("a catalogue is at most {MAX_TEXT} bytes");
                return Err(CatalogError::Entry { file: (*file).to_owned(), id: "-".to_owned(), why });
            }
            let parsed: File = toml::from_str(text)
                .map_err(|e| CatalogError::Parse { file: (*file).to_owned(), source: Box::new(e) })?;
            for signature in parsed.signature {
                check(&signature).map_err(|why| CatalogError::Entry {
                    file: (*file).to_owned(),
                    id: signature.id.clone(),
                    why,
                })?;
                match signatures.iter_mut().find(|s| s.id == signature.id) {
                    Some(known) => *known = signature,
                    None => signatures.push(signature),
                }
            }
            args.extend(parsed.arg);
        }
        let patterns = signatures
            .iter()
            .map(|s| s.read.iter().filter_map(|text| Pattern::parse(text).ok()).collect())
            .collect();
        let needles = Needles::new(
            signatures.iter().zip(0u32..).flat_map(|(s, i)| s.any.iter().map(move |n| (n.as_str(), i))),
        );
        Ok(Self { signatures, patterns, needles, args })
    }

    /// Every signature.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The rules for arguments that hold for `engine`; all of them when it is not known.
    pub fn arg_rules<'a>(&'a self, engine: Option<&'a str>) -> impl Iterator<Item = &'a ArgRule> {
        self.args.iter().filter(move |r| r.engine == "any" || engine.is_none_or(|e| e == r.engine))
    }

    /// Puts the numbers of signatures whose needles are in `line` into `found`.
    pub(crate) fn candidates(&self, line: &[u8], found: &mut Vec<u32>) {
        self.needles.find(line, found);
    }

    /// Whether signature `index` knows this text, and what it reads there.
    pub(crate) fn knows<'a>(
        &'a self,
        index: u32,
        text: &str,
        values: &mut Vec<(&'a str, Value)>,
    ) -> Option<&'a Signature> {
        values.clear();
        let signature = self.signatures.get(index as usize)?;
        let inside = |needle: &String| memchr::memmem::find(text.as_bytes(), needle.as_bytes()).is_some();
        if !signature.all.iter().all(inside) || signature.none.iter().any(inside) {
            return None;
        }
        if !signature.one.is_empty() {
            let low = text.to_ascii_lowercase();
            if !signature.one.iter().any(|w| low.contains(w.as_str())) {
                return None;
            }
        }
        let patterns = self.patterns.get(index as usize)?;
        if !patterns.is_empty() && !patterns.iter().any(|p| p.read(text, values)) {
            return None;
        }
        Some(signature)
    }
}

const ENGINES: [&str; 6] = ["sglang", "vllm", "tensorrt-llm", "tokenspeed", "llama.cpp", "any"];

fn check(s: &Signature) -> Result<(), String> {
    if !ENGINES.contains(&s.engine.as_str()) {
        return Err(format!("{:?} is no known engine", s.engine));
    }
    if s.any.is_empty() || s.any.iter().any(|n| n.len() < SHORTEST) {
        return Err(format!("`any` needs needles of at least {SHORTEST} bytes"));
    }
    if s.one.iter().any(|w| *w != w.to_ascii_lowercase()) {
        return Err("words of `one` are in lower case".to_owned());
    }
    if s.source.trim().is_empty() || s.yes.is_empty() {
        return Err("an entry needs a source and a line that it knows".to_owned());
    }
    let mut names = BTreeSet::new();
    for text in &s.read {
        let pattern = Pattern::parse(text).map_err(|e| format!("{text:?}: {e}"))?;
        names.extend(pattern.names().map(str::to_owned));
    }
    for state in &s.states {
        match (&state.from, &state.value) {
            (Some(from), None) if names.contains(from) => {}
            (None, Some(_)) => {}
            _ => return Err("`states` takes `value`, or `from` with the name of a hole".to_owned()),
        }
    }
    if let Some(class) = &s.incident
        && crate::failure::depth(class).is_none()
    {
        return Err(format!("{class:?} is no incident class"));
    }
    if let Some(class) = &s.startup
        && !crate::failure::STARTUP.contains(&class.as_str())
    {
        return Err(format!("{class:?} is no startup failure class"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prefix::strip;

    fn hits(catalog: &Catalog, line: &str) -> Vec<String> {
        let (_, at) = strip(line.as_bytes());
        let text = &line[at..];
        let (mut found, mut values) = (Vec::new(), Vec::new());
        catalog.candidates(text.as_bytes(), &mut found);
        found.iter().filter_map(|i| catalog.knows(*i, text, &mut values)).map(|s| s.id.clone()).collect()
    }

    #[test]
    fn every_entry_knows_its_yes_and_not_its_no() {
        let catalog = Catalog::builtin().expect("the built-in catalogue");
        for s in catalog.signatures() {
            for line in &s.yes {
                assert!(hits(&catalog, line).contains(&s.id), "{}: not known: {line}", s.id);
            }
            for line in &s.no {
                assert!(!hits(&catalog, line).contains(&s.id), "{}: known: {line}", s.id);
            }
        }
    }

    #[test]
    fn broken_entries_are_named() {
        let entry = |text: &str| Catalog::with_overrides(&[("mine.toml", text)]).err().map(|e| e.to_string());
        let base = "[[signature]]\nid = 'a.b'\nclass = 'memory'\nsource = 'x'\nyes = ['abcdef']\n";
        assert_eq!(entry(&format!("{base}engine = 'any'\nany = ['abcdef']")), None);
        for (more, why) in [
            ("engine = 'x'\nany = ['abcdef']", "no known engine"),
            ("engine = 'any'\nany = ['abc']", "at least 6 bytes"),
            ("engine = 'any'\nany = ['abcdef']\nread = ['a {b:int']", "not closed"),
            ("engine = 'any'\nany = ['abcdef']\nincident = 'crash.never'", "no incident class"),
            ("engine = 'any'\nany = ['abcdef']\nstates = [{field = 'dtype', from = 'x'}]", "name of a hole"),
        ] {
            let text = entry(&format!("{base}{more}")).unwrap_or_default();
            assert!(text.contains("mine.toml") && text.contains(why), "{text}");
        }
    }
}
