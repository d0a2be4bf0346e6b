//! A forger: takes a real run apart, changes it, and puts it together with hashes that fit, or with one that does not.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use super::demo::{FAST, HEALTHY, started};
use super::vector::{Entry, What, scratch};
use crate::hash::sha256_hex;
use crate::json::canonical;
use crate::ledger::{NO_PREVIOUS, scan};
use crate::limits::Limits;
use crate::name::{LEDGER, MANIFEST};
use crate::verify::walk::walk;
use crate::{Gate, Rule, RunWriter};

/// A change to one event line, by position.
pub(super) type Edit = Box<dyn Fn(usize, &mut Value)>;
type EditRaw = Box<dyn Fn(usize, Vec<u8>) -> Vec<u8>>;

/// A run in parts.
pub(super) struct Forge {
    pub(super) events: Vec<(String, Value)>,
    pub(super) manifest: Option<Value>,
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Changes an event line before its hash is computed, by position.
    pub(super) before_hash: Edit,
    /// Changes an event line after its hash was computed.
    pub(super) after_hash: Edit,
    /// Changes the bytes of an event line, before the next line takes their hash.
    pub(super) raw: EditRaw,
    /// Changes the bytes of the manifest, before the closing event takes their hash.
    pub(super) manifest_raw: Box<dyn Fn(String) -> String>,
}

impl Forge {
    /// A closed run with a log, a result and two gates that pass.
    pub(super) fn closed() -> Self {
        Self::of(Rule::AllPassV1, &[FAST], |_| {})
    }

    /// The same run, before its end.
    pub(super) fn open() -> Self {
        let mut forge = Self::closed();
        forge.events.pop();
        forge.manifest = None;
        forge
    }

    /// A closed run with these gates.
    pub(super) fn of(rule: Rule, gates: &[Gate], more: impl FnOnce(&mut RunWriter)) -> Self {
        Self::written(|dir| {
            let mut run = started(dir);
            more(&mut run);
            run.finish(gates, rule).expect("closed");
        })
    }

    /// A closed question on imported evidence.
    pub(super) fn answered() -> Self {
        Self::of(Rule::AnsweredV1, &[HEALTHY], |_| {})
    }

    /// Whatever `write` leaves in the folder.
    pub(super) fn written(write: impl FnOnce(&std::path::Path)) -> Self {
        let root = scratch();
        let dir = root.path().join("run");
        write(&dir);
        let limits = Limits::default();
        let mut files: BTreeMap<String, Vec<u8>> = walk(&dir, &limits)
            .expect("readable")
            .files
            .into_keys()
            .map(|name| (name.clone(), fs::read(dir.join(name)).expect("a file")))
            .collect();
        let ledger = scan(&files.remove(LEDGER).expect("a ledger"), &limits);
        assert_eq!(ledger.differences, []);
        Self {
            events: ledger.events.into_iter().map(|e| (e.at, e.body.value())).collect(),
            manifest: files.remove(MANIFEST).map(|bytes| serde_json::from_slice(&bytes).expect("JSON")),
            files,
            before_hash: Box::new(|_, _| {}),
            after_hash: Box::new(|_, _| {}),
            raw: Box::new(|_, raw| raw),
            manifest_raw: Box::new(|text| text),
        }
    }

    /// Changes an evidence record in the ledger and in the manifest alike.
    pub(super) fn edit_record(&mut self, name: &str, edit: impl Fn(&mut Value)) {
        for (_, body) in &mut self.events {
            if body["evidence"]["name"] == name {
                edit(&mut body["evidence"]);
            }
        }
        for entry in self.manifest.iter_mut().flat_map(|m| m["evidence"].as_array_mut().expect("a list")) {
            if entry["name"] == name {
                edit(entry);
            }
        }
    }

    /// Replaces a file and its record everywhere.
    pub(super) fn replace_file(&mut self, name: &str, bytes: &[u8]) {
        self.edit_record(name, |entry| {
            entry["sha256"] = json!(sha256_hex(bytes));
            entry["bytes"] = json!(bytes.len());
        });
        self.files.insert(name.to_owned(), bytes.to_vec());
    }

    /// The manifest, to be changed.
    pub(super) fn manifest(&mut self) -> &mut Value {
        self.manifest.as_mut().expect("a closed run")
    }

    /// The folder, with fitting hashes wherever nothing was told to be wrong.
    pub(super) fn seal(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self
            .files
            .iter()
            .map(|(name, bytes)| text(name, String::from_utf8(bytes.clone()).expect("text")))
            .collect();
        let mut closing = None;
        if let Some(manifest) = &self.manifest {
            let bytes = (self.manifest_raw)(serde_json::to_string_pretty(manifest).expect("JSON") + "\n");
            closing = Some(sha256_hex(bytes.as_bytes()));
            entries.push(text(MANIFEST, bytes));
        }
        let mut ledger = Vec::new();
        let mut prev = NO_PREVIOUS.to_owned();
        for (i, (at, body)) in self.events.iter().enumerate() {
            let mut body = body.clone();
            if let Some(hash) = closing.as_ref().filter(|_| body["kind"] == "close") {
                body["manifest_sha256"] = json!(hash);
            }
            let mut line = json!({"seq": i, "at": at, "prev": prev, "event": body});
            (self.before_hash)(i, &mut line);
            line["hash"] = json!(sha256_hex(&canonical(&line).unwrap_or_default()));
            (self.after_hash)(i, &mut line);
            let raw = (self.raw)(i, canonical(&line).unwrap_or_else(|_| line.to_string().into_bytes()));
            prev = sha256_hex(&raw);
            ledger.extend_from_slice(&raw);
            ledger.push(b'\n');
        }
        entries.push(text(LEDGER, String::from_utf8(ledger).expect("text")));
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries
    }

    /// The folder with its ledger text changed after sealing.
    pub(super) fn seal_then(&self, edit: impl Fn(&mut Vec<String>)) -> Vec<Entry> {
        let mut entries = self.seal();
        for entry in &mut entries {
            if entry.path == LEDGER
                && let What::Text(text) = &mut entry.what
            {
                let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
                edit(&mut lines);
                *text = lines.concat();
            }
        }
        entries
    }
}

/// A file entry; long runs of `a` are written as such, so that a vector stays small.
pub(super) fn text(path: &str, text: String) -> Entry {
    let run = "a".repeat(10_000);
    let what = match text.find(&run) {
        None => What::Text(text),
        Some(from) => {
            let length = text[from..].bytes().take_while(|&b| b == b'a').count();
            What::Repeated(vec![
                (text[..from].to_owned(), 1),
                ("a".to_owned(), length),
                (text[from + length..].to_owned(), 1),
            ])
        }
    };
    Entry { path: path.to_owned(), what }
}
