//! Typed flags from the text of `--help`, as argparse, click, clap and cyclopts print it.

use std::collections::BTreeMap;

/// Largest help text in bytes.
pub const MAX_BYTES: usize = 8 << 20;
/// A line further in than this is description, not definition.
const MAX_INDENT: usize = 8;

/// One flag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flag {
    /// Every spelling.
    pub names: Vec<String>,
    /// The placeholder of its value.
    pub metavar: Option<String>,
    /// It takes a value.
    pub takes_value: bool,
    /// The values it accepts; none where the text does not list any.
    pub choices: Vec<String>,
    /// The flag that switches it off.
    pub negative: Option<String>,
    /// Line of the text, from 1.
    pub line: usize,
}

/// The flags of one program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Help {
    flags: Vec<Flag>,
    index: BTreeMap<String, usize>,
}

impl Help {
    /// Reads a help text. Lines that define no flag are passed over; a text without any gives no flags.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut help = Self::default();
        let text = text.get(..MAX_BYTES.min(text.len())).unwrap_or(text);
        let mut possible = false;
        for (number, line) in text.lines().enumerate() {
            // Boxes around sections.
            let line = line.trim_end_matches(['│', ' ', '\r']);
            let line = line.strip_prefix('│').unwrap_or(line);
            let body = line.trim_start();
            let indent = line.len() - body.len();
            if indent <= MAX_INDENT && is_definition(body) {
                possible = false;
                help.define(body, number + 1);
                continue;
            }
            let Some(flag) = help.flags.last_mut() else { continue };
            if body.starts_with("Possible values:") {
                possible = true;
            } else if let (true, Some(choice)) = (possible, body.strip_prefix("- ")) {
                let name = choice.split([':', ' ']).next().unwrap_or_default();
                flag.choices.push(name.to_owned());
            } else if !body.is_empty() {
                described(flag, body);
            }
        }
        help.index = help
            .flags
            .iter()
            .enumerate()
            .flat_map(|(i, f)| f.names.iter().chain(&f.negative).map(move |n| (n.clone(), i)))
            .collect();
        help.join_choices();
        help
    }

    /// True where the text defined no flag: it is not a help text, or an empty one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    /// Every flag, in the order of the text.
    #[must_use]
    pub fn flags(&self) -> &[Flag] {
        &self.flags
    }

    /// The flag of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Flag> {
        self.index.get(name).and_then(|i| self.flags.get(*i))
    }

    /// Every name, negatives included.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.index.keys().map(String::as_str)
    }

    fn define(&mut self, body: &str, line: usize) {
        // Two blanks part the definition from its description, where both are on one line.
        let (definition, description) = body.split_once("  ").unwrap_or((body, ""));
        let mut flag = Flag { line, ..Flag::default() };
        for word in words(definition) {
            let word = word.trim_matches(',');
            if word.starts_with('-') && word.len() > 1 {
                let (name, value) = word.split_once('=').map_or((word, None), |(n, v)| (n, Some(v)));
                flag.names.push(name.to_owned());
                if let Some(value) = value {
                    flag.value(value);
                }
            } else if word != "/" && word != "|" && !word.is_empty() {
                flag.value(word);
            }
        }
        let negative = |n: &&String| n.starts_with("--no-") || n.starts_with("--no_");
        if flag.names.len() > 1
            && let Some(at) = flag.names.iter().position(|n| negative(&n))
        {
            flag.negative = Some(flag.names.remove(at));
        }
        described(&mut flag, description.trim());
        self.flags.push(flag);
    }

    /// A list of choices over several lines leaves its halves apart; what is no choice is dropped.
    fn join_choices(&mut self) {
        for flag in &mut self.flags {
            flag.choices.retain(|c| !c.is_empty() && c.len() <= 120 && c != "...");
            flag.choices.dedup();
            // An ellipsis says that more is accepted than is listed.
            if flag.metavar.as_deref().is_some_and(|m| m.contains("...")) && flag.choices.len() < 2 {
                flag.choices.clear();
            }
            flag.takes_value |= !flag.choices.is_empty();
        }
    }
}

impl Flag {
    fn value(&mut self, word: &str) {
        self.takes_value = true;
        let inner = word.strip_prefix(['{', '[', '<', '(']).unwrap_or(word);
        let inner = inner.trim_end_matches(['}', ']', '>', ')', '.']);
        if word.starts_with('{') {
            self.choices.extend(inner.split(',').map(|c| c.trim().to_owned()));
        } else if word.starts_with('[') && inner.contains('|') && !word.contains("...") {
            self.choices.extend(inner.split('|').map(|c| c.trim().to_owned()));
        }
        self.metavar.get_or_insert_with(|| word.to_owned());
    }
}

/// `-x`, `--long`, `-tp`: a dash, a letter, and no sentence.
fn is_definition(body: &str) -> bool {
    let name = body.trim_start_matches('-');
    let dashes = body.len() - name.len();
    (1..=2).contains(&dashes) && name.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Words by blanks, keeping what stands in brackets together.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '{' | '[' | '<' | '(' => depth += 1,
            '}' | ']' | '>' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c == ' ' && depth == 0 {
            words.push(String::new());
        } else if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    words
}

/// Choices that a description lists: `[choices: a, b]`, `[possible values: a, b]`, `Possible choices: a, b`.
fn described(flag: &mut Flag, text: &str) {
    for mark in ["[choices:", "[possible values:", "Possible choices:", "(choices:"] {
        if let Some((_, list)) = text.split_once(mark) {
            let closed = list.find([']', ')']);
            let list = closed.map_or(list, |end| &list[..end]);
            // A list that goes on in the next line is not known whole; half of it would refuse good values.
            if closed.is_some() || mark == "Possible choices:" {
                flag.choices.extend(list.split(',').map(|c| c.trim().trim_end_matches('.').to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGPARSE: &str = "\
usage: launch_server.py [-h] --model-path MODEL_PATH [--dtype {auto,half}]

options:
  -h, --help            show this help message and exit
  --model-path MODEL_PATH, --model MODEL_PATH
                        The path of the weights. Use
                        --other-flag for something else.
  --dtype {auto,half,bfloat16}
                        Data type.
  -tp TP, --tp-size TP  Tensor parallelism.
  --enable-chunked-prefill, --no-enable-chunked-prefill
                        Chunk prefills. (default: None)
  --trust-remote-code   Whether to trust.
  --cuda-graph-bs N [N ...]
                        Sizes.
";

    #[test]
    fn argparse() {
        let help = Help::parse(ARGPARSE);
        assert_eq!(help.flags().len(), 7);
        let model = help.find("--model").expect("an alias");
        assert_eq!((model.names.len(), model.takes_value), (2, true));
        assert_eq!(help.find("--dtype").expect("there").choices, ["auto", "half", "bfloat16"]);
        assert!(help.find("-tp").is_some_and(|f| f.takes_value));
        let chunked = help.find("--no-enable-chunked-prefill").expect("the negative is found too");
        assert_eq!(chunked.names, ["--enable-chunked-prefill"]);
        assert!(!chunked.takes_value);
        assert!(!help.find("--trust-remote-code").expect("there").takes_value);
        assert!(help.find("--cuda-graph-bs").expect("there").takes_value);
        assert!(help.find("--other-flag").is_none(), "a description names it, nothing defines it");
    }

    #[test]
    fn click_clap_and_boxes() {
        let help = Help::parse(
            "Options:\n  --backend [pytorch|trt]   Which.\n  --tp_size INTEGER         TP.\n  --x / --no-x              Y.\n\n      --proto <PROTO>\n          Possible values:\n          - http: one\n          - grpc: two\n│ --arrival -a   How. [choices: poisson, constant] [default: x]   │\n",
        );
        assert_eq!(help.find("--backend").expect("there").choices, ["pytorch", "trt"]);
        assert!(help.find("--tp_size").expect("there").takes_value);
        assert_eq!(help.find("--x").expect("there").negative.as_deref(), Some("--no-x"));
        assert_eq!(help.find("--proto").expect("there").choices, ["http", "grpc"]);
        assert_eq!(help.find("-a").expect("there").choices, ["poisson", "constant"]);
        assert!(Help::parse("bash: vllm: command not found\n").is_empty());
    }
}
