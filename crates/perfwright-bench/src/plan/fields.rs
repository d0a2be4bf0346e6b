//! Taking typed fields out of a tree. Faults are collected, so that a user sees all of them at once.

use std::cell::RefCell;

use serde_json::Value;

use super::node::{Fault, Kind, Node};
use crate::flags::nearest;

/// A map of a plan whose keys are asked for one by one; those that nobody asked for are faults in the end.
pub(super) struct Obj<'a> {
    path: String,
    line: usize,
    entries: &'a [(String, Node)],
    asked: RefCell<Vec<&'static str>>,
    faults: &'a RefCell<Vec<Fault>>,
}

impl<'a> Obj<'a> {
    /// The map at the root.
    pub(super) fn root(node: &'a Node, faults: &'a RefCell<Vec<Fault>>) -> Self {
        Self::of(String::new(), node, faults)
    }

    fn of(path: String, node: &'a Node, faults: &'a RefCell<Vec<Fault>>) -> Self {
        let entries = match &node.kind {
            Kind::Map(entries) => &entries[..],
            _ => {
                let cause = "should be a map of keys and values".to_owned();
                faults.borrow_mut().push(Fault { path: path.clone(), line: node.line, cause, hint: None });
                &[]
            }
        };
        Self { path, line: node.line, entries, asked: RefCell::default(), faults }
    }

    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn fault(&self, key: &str, line: usize, cause: impl Into<String>, hint: Option<String>) {
        let path = if key.is_empty() { self.path.clone() } else { self.path(key) };
        self.faults.borrow_mut().push(Fault { path, line, cause: cause.into(), hint });
    }

    pub(super) fn line_of(&self, key: &str) -> usize {
        self.entries.iter().find(|(k, _)| k == key).map_or(self.line, |(_, v)| v.line)
    }

    /// The node of a key; nothing for a key without a value.
    pub(super) fn node(&self, key: &'static str) -> Option<&'a Node> {
        self.asked.borrow_mut().push(key);
        self.entries.iter().find(|(k, _)| k == key).map(|(_, v)| v).filter(|v| !v.is_null())
    }

    pub(super) fn obj(&self, key: &'static str) -> Option<Obj<'a>> {
        self.node(key).map(|node| Self::of(self.path(key), node, self.faults))
    }

    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        let node = self.node(key)?;
        match &node.kind {
            Kind::Scalar { text, .. } => Some(text.clone()),
            _ => {
                self.fault(key, node.line, "should be text", None);
                None
            }
        }
    }

    pub(super) fn required(&self, key: &'static str) -> String {
        let found = self.text(key).filter(|t| !t.trim().is_empty());
        found.unwrap_or_else(|| {
            self.fault(key, self.line, "is missing", None);
            String::new()
        })
    }

    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        let node = self.node(key)?;
        match node.value() {
            Value::Bool(b) => Some(b),
            _ => {
                self.fault(key, node.line, "should be true or false", None);
                None
            }
        }
    }

    pub(super) fn float(&self, key: &'static str) -> Option<f64> {
        let node = self.node(key)?;
        match node.value().as_f64().filter(|x| x.is_finite() && *x >= 0.0) {
            Some(x) => Some(x),
            None => {
                self.fault(key, node.line, "should be a number that is not negative", None);
                None
            }
        }
    }

    pub(super) fn count(&self, key: &'static str) -> Option<u64> {
        let node = self.node(key)?;
        match node.value().as_u64() {
            Some(n) if n > 0 => Some(n),
            _ => {
                self.fault(key, node.line, "should be a whole number above 0", None);
                None
            }
        }
    }

    /// The items of a list; one value alone counts as a list of one.
    pub(super) fn list(&self, key: &'static str) -> Vec<&'a Node> {
        match self.node(key) {
            None => Vec::new(),
            Some(Node { kind: Kind::Seq(items), .. }) => items.iter().collect(),
            Some(node) if matches!(node.kind, Kind::Scalar { .. }) => vec![node],
            Some(node) => {
                self.fault(key, node.line, "should be a list", None);
                Vec::new()
            }
        }
    }

    /// Every key with its node, for maps whose keys are the user's.
    pub(super) fn free(&self) -> impl Iterator<Item = (&'a str, &'a Node)> {
        self.entries.iter().map(|(k, v)| (k.as_str(), v))
    }

    pub(super) fn child(&self, key: &str, node: &'a Node) -> Obj<'a> {
        Self::of(self.path(key), node, self.faults)
    }

    /// Faults for the keys that nobody asked for.
    pub(super) fn done(&self) {
        let asked = self.asked.borrow();
        for (key, node) in self.entries {
            if !asked.contains(&key.as_str()) {
                let hint = match nearest(key, asked.iter().copied()) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("known here: {}", asked.join(", ")),
                };
                self.fault(key, node.line, "unknown key", Some(hint));
            }
        }
    }
}
