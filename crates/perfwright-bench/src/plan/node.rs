//! A bounded tree of a YAML document, with the line of every node.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// Largest plan in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting.
pub const MAX_DEPTH: usize = 32;
/// Most nodes, counting what aliases repeat.
pub const MAX_NODES: usize = 100_000;

/// What is wrong with a plan, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Path of keys, such as `benchmark.qps.lower`; empty for the document.
    pub path: String,
    /// Line, from 1; 0 where several lines together are at fault.
    pub line: usize,
    /// What is wrong.
    pub cause: String,
    /// What would be right.
    pub hint: Option<String>,
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Line, from 1.
    pub line: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Text; `plain` when it stands without quotes and so may be a number, a truth value or nothing.
    Scalar {
        /// The text.
        text: String,
        /// Without quotes.
        plain: bool,
    },
    /// A list.
    Seq(Vec<Node>),
    /// Keys and values in the order of the file.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The node as a JSON value, by the core schema of YAML 1.2.
    #[must_use]
    pub fn value(&self) -> Value {
        match &self.kind {
            Kind::Scalar { text, plain: true } => plain_value(text),
            Kind::Scalar { text, plain: false } => Value::String(text.clone()),
            Kind::Seq(items) => Value::Array(items.iter().map(Self::value).collect()),
            Kind::Map(entries) => {
                Value::Object(entries.iter().map(|(k, v)| (k.clone(), v.value())).collect::<Map<_, _>>())
            }
        }
    }

    /// True for nothing at all: an empty value, `null` or `~`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// A word that is a truth value in YAML 1.1 and text in 1.2: readers disagree about it.
    #[must_use]
    pub fn ambiguous(&self) -> bool {
        let words = ["yes", "no", "on", "off", "y", "n"];
        matches!(&self.kind, Kind::Scalar { text, plain: true } if words.contains(&text.to_ascii_lowercase().as_str()))
    }
}

fn plain_value(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let begins_as_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if begins_as_number
        && digits.bytes().all(|b| b.is_ascii_digit())
        && let Ok(n) = text.trim_start_matches('+').parse::<i64>()
    {
        return Value::Number(n.into());
    }
    let numeric = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
    if begins_as_number
        && digits.bytes().all(numeric)
        && let Some(n) = text.parse::<f64>().ok().and_then(Number::from_f64)
    {
        return Value::Number(n);
    }
    Value::String(text.to_owned())
}

/// Reads one document.
///
/// # Errors
/// The text is not YAML, holds more than one document, repeats a key, or is beyond the limits.
pub fn read(text: &str) -> Result<Node, Fault> {
    let fault = |line: usize, cause: String| Fault { path: String::new(), line, cause, hint: None };
    if text.len() > MAX_BYTES {
        return Err(fault(1, format!("larger than {MAX_BYTES} bytes")));
    }
    let mut builder = Builder { stack: Vec::new(), root: None, anchors: Vec::new(), nodes: 0 };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| fault(e.marker().line(), e.info().to_owned()))?;
        let line = span.start.line().max(1);
        builder.event(event, line).map_err(|cause| fault(line, cause))?;
    }
    builder.root.ok_or_else(|| fault(1, "the document is empty".to_owned()))
}

/// A collection that is being filled.
struct Open {
    line: usize,
    anchor: usize,
    kind: Filling,
}

enum Filling {
    Seq(Vec<Node>),
    Map(Vec<(String, Node)>, Option<String>),
}

struct Builder {
    stack: Vec<Open>,
    root: Option<Node>,
    /// Finished nodes with anchors and their number of nodes.
    anchors: Vec<(usize, Node, usize)>,
    nodes: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                self.count(1)?;
                let plain = style == ScalarStyle::Plain;
                self.put(Node { line, kind: Kind::Scalar { text: text.into_owned(), plain } }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.open(line, anchor, Filling::Seq(Vec::new())),
            Event::MappingStart(anchor, _) => self.open(line, anchor, Filling::Map(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.stack.pop() else { return Err("an end without a start".to_owned()) };
                let kind = match open.kind {
                    Filling::Seq(items) => Kind::Seq(items),
                    Filling::Map(entries, _) => Kind::Map(entries),
                };
                self.put(Node { line: open.line, kind }, open.anchor)
            }
            Event::Alias(id) => {
                let found = self.anchors.iter().find(|(anchor, _, _)| *anchor == id);
                let (node, size) = found
                    .map(|(_, node, size)| (node.clone(), *size))
                    .ok_or("an alias of something that is not complete yet")?;
                self.count(size)?;
                self.put(node, 0)
            }
            Event::DocumentStart(_) if self.root.is_some() => Err("a second document".to_owned()),
            _ => Ok(()),
        }
    }

    fn count(&mut self, more: usize) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > MAX_NODES {
            return Err(format!("more than {MAX_NODES} values"));
        }
        Ok(())
    }

    fn open(&mut self, line: usize, anchor: usize, kind: Filling) -> Result<(), String> {
        self.count(1)?;
        if self.stack.len() >= MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        self.stack.push(Open { line, anchor, kind });
        Ok(())
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        if anchor > 0 {
            let size = size(&node);
            self.anchors.push((anchor, node.clone(), size));
        }
        match self.stack.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(Filling::Seq(items)) => items.push(node),
            Some(Filling::Map(entries, key)) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => match node.kind {
                    Kind::Scalar { text, .. } if text == "<<" => {
                        return Err("merge keys (<<) are no part of YAML 1.2".to_owned());
                    }
                    Kind::Scalar { text, .. } => {
                        if entries.iter().any(|(k, _)| *k == text) {
                            return Err(format!("the key {text} is given twice"));
                        }
                        *key = Some(text);
                    }
                    _ => return Err("a key that is no text".to_owned()),
                },
            },
        }
        Ok(())
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::Scalar { .. } => 0,
        Kind::Seq(items) => items.iter().map(size).sum(),
        Kind::Map(entries) => entries.iter().map(|(_, v)| size(v)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_by_the_core_schema() {
        let node = read("a: 1\nb: [1.5, -2, '3', true, ~, 0x1f, 1e3, v1.2, .5]\nc: {d: text}\ne:\n").unwrap();
        assert_eq!(
            node.value(),
            json!({"a":1,"b":[1.5,-2,"3",true,null,"0x1f",1000.0,"v1.2",0.5],"c":{"d":"text"},"e":null})
        );
        let Kind::Map(entries) = &node.kind else { panic!("a map") };
        assert_eq!(entries.iter().map(|(_, v)| v.line).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(read(r#"{"json": ["is", 1, "YAML"]}"#).unwrap().value(), json!({"json":["is",1,"YAML"]}));
    }

    #[test]
    fn what_would_blow_up_or_mislead_is_refused() {
        let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
        for (from, to) in ('a'..'h').zip('b'..'i') {
            bomb.push_str(&format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 9].join(",")));
        }
        assert!(read(&bomb).unwrap_err().cause.contains("more than"));
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&"- ".repeat(5_000)).unwrap_err().cause.contains("deeper"));
        let twice = read("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!((twice.line, twice.cause.as_str()), (3, "the key a is given twice"));
        assert!(read("a: &x [*x]\n").is_err(), "an alias of itself");
        assert!(read("--- 1\n--- 2\n").is_err());
        assert!(read("").is_err());
        assert!(read("a: [1\n").is_err());
        assert!(read("<<: {a: 1}\n").is_err());
        assert!(read(&"x".repeat(MAX_BYTES + 1)).is_err());
    }
}
