//! The writer of one run folder.
//!
//! The order of operations makes every state explainable. Evidence: temporary file, its folder synced, ledger event,
//! rename. So a final name that no event lists is never ours, and an event without its file has the temporary file
//! beside it. The end: manifest, then the closing event with the manifest's hash.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Opening, RunError, RunSpec};
use crate::disk::{Disk, Op};
use crate::gate::{EvidenceSet, Gate};
use crate::hash::{sha256_hex, sha256_of_reader};
use crate::ledger::{NO_PREVIOUS, line, scan};
use crate::limits::{Limits, REFERENCE_ABOVE_BYTES};
use crate::lock::Lock;
use crate::model::{Basis, Evidence, EvidenceMeta, GateRecord, MANIFEST_SCHEMA, Manifest, VerdictRecord};
use crate::name::{CONTRACT, LEDGER, MANIFEST, check_name, name_of_temp, temp_name};
use crate::redact::Redactor;
use crate::time::{Clock, timestamp};
use crate::verdict::Rule;
use crate::verify::walk::{is_parent, walk};

/// Event kinds that the writer itself uses.
const RESERVED_KINDS: &[&str] = &["open", "evidence", "resume", "close"];

/// Writes one run. Dropping it without [`RunWriter::finish`] leaves an interrupted run.
#[derive(Debug)]
pub struct RunWriter {
    pub(super) dir: PathBuf,
    pub(crate) disk: Disk,
    pub(super) redactor: Redactor,
    pub(super) clock: Clock,
    pub(super) limits: Limits,
    pub(super) opening: Opening,
    pub(super) started: String,
    pub(super) seq: u64,
    pub(super) head: String,
    pub(super) ledger_bytes: u64,
    pub(super) evidence: Vec<Evidence>,
    pub(super) poisoned: bool,
    pub(super) watcher: Watcher,
    pub(super) found: Head,
    /// Held for as long as the writer lives.
    #[expect(dead_code, reason = "dropping it gives the lock back")]
    pub(super) lock: Lock,
}

/// Where a ledger ends, and where it ended one event before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Events in the ledger.
    pub events: u64,
    /// SHA-256 of the last line.
    pub head: String,
    /// SHA-256 of the line before it.
    pub previous: String,
}

type Told = Box<dyn FnMut(&Head) -> io::Result<()>>;

/// Told of each event just before it is appended.
#[derive(Default)]
pub(super) struct Watcher(Option<Told>);

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Watcher(set)" } else { "Watcher(none)" })
    }
}

/// A closed run.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The verdict.
    pub verdict: VerdictRecord,
    /// The gates behind it.
    pub gates: Vec<GateRecord>,
    /// SHA-256 of `manifest.json`.
    pub manifest_sha256: String,
    /// SHA-256 of the closing ledger line.
    pub head: String,
}

impl RunWriter {
    /// Starts a run in `dir`, which must be absent, empty, or the folder of a run that never got its first event.
    ///
    /// # Errors
    /// The folder is something else, is being written, or cannot be written; the contract has no canonical form.
    pub fn create(dir: &Path, spec: &RunSpec) -> Result<Self, RunError> {
        Self::create_with(dir, spec, Disk::default())
    }

    pub(crate) fn create_with(dir: &Path, spec: &RunSpec, disk: Disk) -> Result<Self, RunError> {
        let io = |source| RunError::Io { path: dir.to_owned(), source };
        let parent = parent_of(dir);
        fs::create_dir_all(&parent).map_err(io)?;
        let lock = Lock::take(dir, &spec.lock)?;
        let redactor = spec.redactor();
        let (contract, contract_sha256) = spec.contract_bytes(&redactor)?;
        match unstarted(dir, &spec.limits).map_err(io)? {
            None => {
                disk.run(Op::MakeDir(dir)).map_err(io)?;
                disk.run(Op::SyncDir(&parent)).map_err(io)?;
            }
            Some(true) => {
                let ledger = dir.join(LEDGER);
                if ledger.exists() {
                    disk.run(Op::Remove(&ledger)).map_err(io)?;
                }
            }
            Some(false) => return Err(RunError::Exists(dir.to_owned())),
        }
        let mut run = Self {
            dir: dir.to_owned(),
            disk,
            opening: Opening::new(spec, &redactor, &contract_sha256),
            redactor,
            clock: spec.clock.clone(),
            limits: spec.limits,
            started: String::new(),
            seq: 0,
            head: NO_PREVIOUS.to_owned(),
            ledger_bytes: 0,
            evidence: Vec::new(),
            poisoned: false,
            watcher: Watcher::default(),
            found: Head { events: 0, head: NO_PREVIOUS.to_owned(), previous: NO_PREVIOUS.to_owned() },
            lock,
        };
        let opening = serde_json::to_value(&run.opening).unwrap_or_default();
        run.started = run.append(&opening)?;
        run.disk.run(Op::SyncDir(dir)).map_err(io)?;
        run.put_contract(&contract)?;
        Ok(run)
    }

    pub(super) fn put_contract(&mut self, bytes: &[u8]) -> Result<(), RunError> {
        let limit = self.limits.max_contract_bytes as u64;
        within("the contract", bytes.len() as u64, limit)?;
        let meta = EvidenceMeta::new("application/json", Basis::Declared).schema("perfwright.contract/v1");
        self.put(CONTRACT, bytes, 0, &meta)
    }

    /// The run folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Has `told` called with the coming end of the ledger before each event is appended, so that the head can be kept
    /// where whoever rewrites the folder cannot reach it. An event is appended only after `told` succeeded; whoever is
    /// killed between the two leaves a ledger that ends at [`Head::previous`].
    pub fn watch(&mut self, told: impl FnMut(&Head) -> io::Result<()> + 'static) {
        self.watcher = Watcher(Some(Box::new(told)));
    }

    /// Where the ledger ends now; `previous` is then the same as `head`.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { events: self.seq, head: self.head.clone(), previous: self.head.clone() }
    }

    /// Where the ledger ended when this writer found it, before anything was repaired or appended.
    #[must_use]
    pub fn found(&self) -> &Head {
        &self.found
    }

    /// Hash of the run's contract.
    #[must_use]
    pub fn contract_sha256(&self) -> &str {
        &self.opening.contract_sha256
    }

    /// What is recorded so far: a resumed procedure looks here for what it need not do again.
    #[must_use]
    pub fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }

    /// Records bytes as evidence. Secrets in text are replaced first.
    ///
    /// # Errors
    /// The name is not allowed or taken, the content is too large or binary with a secret, or writing failed.
    pub fn add_bytes(&mut self, name: &str, bytes: &[u8], meta: &EvidenceMeta) -> Result<(), RunError> {
        let (clean, redacted) = self.redactor.bytes(bytes).map_err(|_| RunError::Secret(name.to_owned()))?;
        self.put(name, &clean, redacted, meta)
    }

    /// Records a copy of the file `source`, of at most 64 MiB. Secrets in text are replaced in the copy.
    ///
    /// # Errors
    /// As [`RunWriter::add_bytes`], or `source` cannot be read or is larger.
    pub fn add_file(&mut self, name: &str, source: &Path, meta: &EvidenceMeta) -> Result<(), RunError> {
        let fail = |error| RunError::Source { path: source.to_owned(), source: error };
        let mut bytes = Vec::new();
        let file = fs::File::open(source).map_err(fail)?;
        file.take(REFERENCE_ABOVE_BYTES + 1).read_to_end(&mut bytes).map_err(fail)?;
        within(&source.to_string_lossy(), bytes.len() as u64, REFERENCE_ABOVE_BYTES)?;
        self.add_bytes(name, &bytes, meta)
    }

    /// Records an input by path, size and hash, without a copy.
    ///
    /// # Errors
    /// The name is not allowed or taken, or `source` cannot be read.
    pub fn add_reference(&mut self, name: &str, source: &Path, meta: &EvidenceMeta) -> Result<(), RunError> {
        self.check_new_name(name)?;
        let fail = |error| RunError::Source { path: source.to_owned(), source: error };
        let path = fs::canonicalize(source).map_err(fail)?;
        let file = fs::File::open(&path).map_err(fail)?;
        let (sha256, bytes) = sha256_of_reader(file, u64::MAX - 1).map_err(fail)?;
        let path = self.redactor.text(&path.to_string_lossy());
        let entry = self.entry(name, sha256, bytes, 0, meta, Some(path));
        self.append_evidence(&entry)?;
        self.evidence.push(entry);
        Ok(())
    }

    /// Records an input: a copy up to 64 MiB, by reference above. True where a copy was made.
    ///
    /// # Errors
    /// As [`RunWriter::add_file`] and [`RunWriter::add_reference`].
    pub fn add_input(&mut self, name: &str, source: &Path, meta: &EvidenceMeta) -> Result<bool, RunError> {
        let fail = |error| RunError::Source { path: source.to_owned(), source: error };
        let copy = fs::metadata(source).map_err(fail)?.len() <= REFERENCE_ABOVE_BYTES;
        if copy {
            self.add_file(name, source, meta)?;
        } else {
            self.add_reference(name, source, meta)?;
        }
        Ok(copy)
    }

    /// Appends an event of the procedure's own. It is on the disk when this returns.
    ///
    /// # Errors
    /// The kind is reserved or malformed, the data has no canonical form, or writing failed.
    pub fn event(&mut self, kind: &str, data: &Value) -> Result<(), RunError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        if kind.is_empty() || kind.len() > 64 || !kind.bytes().all(plain) || RESERVED_KINDS.contains(&kind) {
            return Err(RunError::Kind(kind.to_owned()));
        }
        if self.redactor.text(kind) != kind {
            return Err(RunError::Secret(kind.to_owned()));
        }
        self.append(&json!({ "kind": kind, "data": self.redactor.value(data) })).map(drop)
    }

    /// Evaluates `gates` on the recorded evidence, combines them by `rule`, and closes the run.
    ///
    /// # Errors
    /// Writing failed, or the folder holds files that nothing recorded. The run then stays open and can be resumed.
    pub fn finish(mut self, gates: &[Gate], rule: Rule) -> Result<Finished, RunError> {
        self.sweep()?;
        let set = EvidenceSet::new(&self.dir, self.evidence.clone(), self.limits);
        let gates: Vec<GateRecord> = gates.iter().map(|gate| set.evaluate(gate)).collect();
        let verdict = rule.combine(&gates);
        let Opening { perfwright, procedure, argv, env, host, repos, contract_sha256, .. } =
            self.opening.clone();
        let manifest = Manifest {
            schema: MANIFEST_SCHEMA.to_owned(),
            perfwright,
            procedure,
            argv,
            started: self.started.clone(),
            ended: timestamp(self.clock.now_ms()),
            host,
            repos,
            env,
            contract_sha256,
            evidence: self.evidence.clone(),
            gates: gates.clone(),
            verdict: verdict.clone(),
        };
        let mut bytes = serde_json::to_vec_pretty(&manifest).map_err(|error| RunError::Io {
            path: self.dir.join(MANIFEST),
            source: io::Error::other(error),
        })?;
        bytes.push(b'\n');
        within("the manifest", bytes.len() as u64, self.limits.max_manifest_bytes as u64)?;
        let (temp, path) = (self.dir.join(temp_name(MANIFEST)), self.dir.join(MANIFEST));
        self.write_temp(&temp, &bytes)?;
        self.disk.run(Op::Rename(&temp, &path)).map_err(|source| RunError::Io { path, source })?;
        self.sync_dir(&self.dir)?;
        let manifest_sha256 = sha256_hex(&bytes);
        self.append(&json!({ "kind": "close", "manifest_sha256": manifest_sha256 }))?;
        Ok(Finished { verdict, gates, manifest_sha256, head: self.head.clone() })
    }

    /// Removes temporary files and empty folders that failed writes left.
    pub(super) fn sweep(&mut self) -> Result<Vec<String>, RunError> {
        let found = walk(&self.dir, &self.limits)
            .map_err(|source| RunError::Io { path: self.dir.clone(), source })?;
        let mut removed = Vec::new();
        let mut strangers: Vec<String> = found.special.iter().map(|(name, _)| name.clone()).collect();
        for name in found.files.keys() {
            if name_of_temp(name, &self.limits).is_some() || name == MANIFEST {
                let path = self.dir.join(name);
                self.disk.run(Op::Remove(&path)).map_err(|source| RunError::Io { path, source })?;
                removed.push(name.clone());
            } else if name != LEDGER
                && !self.evidence.iter().any(|e| e.name == *name && e.reference.is_none())
            {
                strangers.push(name.clone());
            }
        }
        // Deepest first, so that a folder of empty folders goes too.
        for name in found.dirs.iter().rev() {
            if !self.evidence.iter().any(|e| e.reference.is_none() && is_parent(name, &e.name)) {
                let path = self.dir.join(name);
                match self.disk.run(Op::RemoveDir(&path)) {
                    Ok(()) => removed.push(name.clone()),
                    Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                    Err(source) => return Err(RunError::Io { path, source }),
                }
            }
        }
        if strangers.is_empty() { Ok(removed) } else { Err(RunError::Strangers(strangers)) }
    }

    fn put(&mut self, name: &str, bytes: &[u8], redacted: u64, meta: &EvidenceMeta) -> Result<(), RunError> {
        self.check_new_name(name)?;
        within(name, bytes.len() as u64, self.limits.max_file_bytes)?;
        let stored: u64 = self.evidence.iter().filter(|e| e.reference.is_none()).map(|e| e.bytes).sum();
        within("the run", stored.saturating_add(bytes.len() as u64), self.limits.max_total_bytes)?;
        let entry = self.entry(name, sha256_hex(bytes), bytes.len() as u64, redacted, meta, None);
        let folder = self.make_folders(name)?;
        let (temp, path) = (self.dir.join(temp_name(name)), self.dir.join(name));
        self.write_temp(&temp, bytes)?;
        self.sync_dir(&folder)?;
        if let Err(error) = self.append_evidence(&entry) {
            // Without its event the temporary file explains nothing; where it cannot be removed, resume does it.
            if !self.poisoned {
                let _ = self.disk.run(Op::Remove(&temp));
            }
            return Err(error);
        }
        let renamed =
            self.disk.run(Op::Rename(&temp, &path)).and_then(|()| self.disk.run(Op::SyncDir(&folder)));
        self.poisoned |= renamed.is_err();
        renamed.map_err(|source| RunError::Io { path, source })?;
        self.evidence.push(entry);
        Ok(())
    }

    fn entry(
        &self,
        name: &str,
        sha256: String,
        bytes: u64,
        redacted: u64,
        meta: &EvidenceMeta,
        reference: Option<String>,
    ) -> Evidence {
        let text = |t: &String| self.redactor.text(t);
        Evidence {
            name: name.to_owned(),
            sha256,
            bytes,
            media_type: text(&meta.media_type),
            schema: meta.schema.as_ref().map(text),
            command: meta.command.as_ref().map(text),
            basis: meta.basis,
            redacted,
            reference,
        }
    }

    fn append_evidence(&mut self, entry: &Evidence) -> Result<(), RunError> {
        let entry = serde_json::to_value(entry).unwrap_or_default();
        self.append(&json!({ "kind": "evidence", "evidence": entry })).map(drop)
    }

    fn check_new_name(&self, name: &str) -> Result<(), RunError> {
        check_name(name, &self.limits).map_err(|source| RunError::Name { name: name.to_owned(), source })?;
        if self.redactor.text(name) != name {
            return Err(RunError::Secret(name.to_owned()));
        }
        let clash = |e: &Evidence| e.name == name || is_parent(&e.name, name) || is_parent(name, &e.name);
        if self.evidence.iter().any(clash) {
            return Err(RunError::Taken(name.to_owned()));
        }
        within("the number of files", self.evidence.len() as u64 + 1, self.limits.max_entries as u64 / 4)
    }

    fn make_folders(&self, name: &str) -> Result<PathBuf, RunError> {
        let mut folder = self.dir.clone();
        let Some((folders, _)) = name.rsplit_once('/') else { return Ok(folder) };
        for component in folders.split('/') {
            let above = folder.clone();
            folder.push(component);
            if !folder.is_dir() {
                let io = |source| RunError::Io { path: folder.clone(), source };
                self.disk.run(Op::MakeDir(&folder)).map_err(io)?;
                self.sync_dir(&above)?;
            }
        }
        Ok(folder)
    }

    fn write_temp(&self, temp: &Path, bytes: &[u8]) -> Result<(), RunError> {
        self.disk.run(Op::Write(temp, bytes)).map_err(|source| {
            let _ = self.disk.run(Op::Remove(temp));
            RunError::Io { path: temp.to_owned(), source }
        })
    }

    pub(super) fn sync_dir(&self, path: &Path) -> Result<(), RunError> {
        self.disk.run(Op::SyncDir(path)).map_err(|source| RunError::Io { path: path.to_owned(), source })
    }

    /// Appends one event and returns its time. When this returns, the event is on the disk.
    pub(super) fn append(&mut self, event: &Value) -> Result<String, RunError> {
        if self.poisoned {
            return Err(RunError::Poisoned);
        }
        let at = timestamp(self.clock.now_ms());
        let closing = event["kind"] == "close";
        let mut raw = line(self.seq, &at, &self.head, event)?;
        let head = sha256_hex(&raw);
        within("an event", raw.len() as u64, self.limits.max_line_bytes as u64)?;
        // Room for a resume and the closing event stays free, so that a full ledger can still be closed.
        let spare = if closing { 0 } else { 8 };
        within("the number of events", self.seq + 1 + spare, self.limits.max_events as u64)?;
        raw.push(b'\n');
        let length = self.ledger_bytes + raw.len() as u64;
        within("the ledger", length + spare * 4096, self.limits.max_ledger_bytes)?;
        let path = self.dir.join(LEDGER);
        if let Some(told) = &mut self.watcher.0 {
            let coming = Head { events: self.seq + 1, head: head.clone(), previous: self.head.clone() };
            told(&coming).map_err(|source| RunError::Watcher { source })?;
        }
        if let Err(source) = self.disk.run(Op::Append(&path, &raw)) {
            // On a full disk the torn line can be cut and the run goes on; after any other failure nobody knows what
            // the file holds until it is read again.
            let full = matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
            );
            self.poisoned = !full || self.disk.run(Op::Cut(&path, self.ledger_bytes)).is_err();
            return Err(RunError::Io { path, source });
        }
        self.seq += 1;
        self.head = head;
        self.ledger_bytes = length;
        Ok(at)
    }
}

fn within(what: &str, size: u64, limit: u64) -> Result<(), RunError> {
    if size > limit {
        return Err(RunError::TooLarge { what: what.to_owned(), size, limit });
    }
    Ok(())
}

pub(super) fn parent_of(dir: &Path) -> PathBuf {
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// `None` where nothing is there; true where a run may (again) be started; false for anything else.
pub(super) fn unstarted(dir: &Path, limits: &Limits) -> io::Result<Option<bool>> {
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(meta) if !fs::metadata(dir).is_ok_and(|m| m.is_dir()) || !(meta.is_dir() || meta.is_symlink()) => {
            return Ok(Some(false));
        }
        Ok(_) => {}
    }
    for entry in fs::read_dir(dir)? {
        if entry?.file_name() != LEDGER {
            return Ok(Some(false));
        }
    }
    let path = dir.join(LEDGER);
    let Ok(meta) = fs::symlink_metadata(&path) else { return Ok(Some(true)) };
    if !meta.is_file() || meta.len() > limits.max_line_bytes as u64 {
        return Ok(Some(false));
    }
    let found = scan(&fs::read(&path)?, limits);
    Ok(Some(found.lines == 0 && found.differences.is_empty()))
}
