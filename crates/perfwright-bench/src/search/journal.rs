//! The journal: every finished row is a file of the run, on the disk and in the ledger before the search goes on.

use std::path::Path;

use perfwright_evidence::{
    Basis as Recorded, EvidenceMeta, Finished, Gate, Rule, RunError, RunSpec, RunWriter, sha256_hex,
};
use serde_json::Value;

use super::screen::{SCREENINGS, Screening, Screenings};
use super::steps::Done;
use crate::rows::{Basis, Row, read_rows};

/// Folder of the rows in a run.
pub(crate) const ROWS: &str = "benchmark/rows/";

/// A search's run folder.
#[derive(Debug)]
pub struct Journal {
    run: RunWriter,
    done: Done,
    screenings: Screenings,
    /// The rows as they lie on the disk, in the order of finishing.
    lines: Vec<String>,
    basis: Recorded,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The run folder refuses.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A recorded row cannot be read back.
    #[error("{name}: {cause}")]
    Row {
        /// Name of the file in the run.
        name: String,
        /// The cause.
        cause: String,
    },
}

impl Journal {
    /// Starts a run, or continues an interrupted one of the same procedure and contract; `basis` is what its rows are.
    ///
    /// # Errors
    /// The folder is not such a run, or a row in it cannot be read.
    pub fn open(dir: &Path, spec: &RunSpec, basis: Recorded) -> Result<Self, JournalError> {
        let run = RunWriter::create_or_resume(dir, spec)?;
        let mut journal =
            Self { run, done: Done::new(), screenings: Screenings::new(), lines: Vec::new(), basis };
        let names: Vec<String> =
            journal.run.evidence().iter().map(|e| e.name.clone()).filter(|n| n.starts_with(ROWS)).collect();
        for name in names {
            journal.read(&name)?;
        }
        let decided: Vec<String> =
            journal.names().filter(|n| n.starts_with(SCREENINGS)).map(str::to_owned).collect();
        for name in decided {
            let fail = |e: serde_json::Error| JournalError::Row { name: name.clone(), cause: e.to_string() };
            let decision: Screening = serde_json::from_slice(&journal.bytes(&name)?).map_err(fail)?;
            journal.screenings.insert((decision.framework.clone(), decision.rung), decision);
        }
        Ok(journal)
    }

    /// The decisions of screening rounds.
    #[must_use]
    pub fn screenings(&self) -> &Screenings {
        &self.screenings
    }

    /// Keeps the decision of a screening round. It is on the disk when this returns, and is made once.
    ///
    /// # Errors
    /// The run folder refuses.
    pub fn decide(&mut self, decision: Screening) -> Result<(), JournalError> {
        let name = format!("{SCREENINGS}{:03}.json", self.screenings.len());
        let json = serde_json::to_vec_pretty(&decision)
            .map_err(|e| JournalError::Row { name: name.clone(), cause: e.to_string() })?;
        self.derived(&name, &json, "application/json")?;
        self.screenings.insert((decision.framework.clone(), decision.rung), decision);
        Ok(())
    }

    /// The rows by the key of their trial.
    #[must_use]
    pub fn done(&self) -> &Done {
        &self.done
    }

    /// The rows as text, in the order of finishing.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Keeps a row. It is on the disk when this returns.
    ///
    /// # Errors
    /// The run folder refuses.
    pub fn append(&mut self, key: &str, row: &Value) -> Result<(), JournalError> {
        let mut row = row.clone();
        if let Some(object) = row.as_object_mut() {
            object.insert("key".to_owned(), Value::String(key.to_owned()));
        }
        let name = format!("{ROWS}{:05}.json", self.lines.len());
        let meta = EvidenceMeta::new("application/json", self.basis).schema(crate::rows::SCHEMA);
        self.run.add_bytes(&name, row.to_string().as_bytes(), &meta)?;
        // What counts is what the disk holds: secrets are replaced on the way.
        self.read(&name)
    }

    /// What names this run and no other: a hash over its place and the first line of its ledger. Servers are marked with
    /// it, so that whoever continues the run finds those that a killed process left.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn identity(&self) -> Result<String, JournalError> {
        let name = "ledger.jsonl";
        let fail = |e: std::io::Error| JournalError::Row { name: name.to_owned(), cause: e.to_string() };
        let dir = std::fs::canonicalize(self.run.dir()).map_err(fail)?;
        let ledger = std::fs::read(dir.join(name)).map_err(fail)?;
        let first = ledger.split(|b| *b == b'\n').next().unwrap_or_default();
        let mut whole = dir.to_string_lossy().into_owned().into_bytes();
        whole.extend_from_slice(first);
        Ok(sha256_hex(&whole)[..32].to_owned())
    }

    /// Names of everything that is recorded.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.run.evidence().iter().map(|e| e.name.as_str())
    }

    /// What the rows of this journal are.
    #[must_use]
    pub fn basis(&self) -> Basis {
        basis(self.basis)
    }

    /// The bytes of a recorded file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, JournalError> {
        std::fs::read(self.run.dir().join(name))
            .map_err(|e| JournalError::Row { name: name.to_owned(), cause: e.to_string() })
    }

    /// Records a derived file, unless it is there already.
    ///
    /// # Errors
    /// The run folder refuses.
    pub fn derived(&mut self, name: &str, bytes: &[u8], media: &str) -> Result<(), JournalError> {
        if self.run.evidence().iter().any(|e| e.name == name) {
            return Ok(());
        }
        Ok(self.run.add_bytes(name, bytes, &EvidenceMeta::new(media, self.basis))?)
    }

    /// Closes the run.
    ///
    /// # Errors
    /// The run folder refuses.
    pub fn finish(self, gates: &[Gate], rule: Rule) -> Result<Finished, JournalError> {
        Ok(self.run.finish(gates, rule)?)
    }

    fn read(&mut self, name: &str) -> Result<(), JournalError> {
        let fail = |cause: String| JournalError::Row { name: name.to_owned(), cause };
        let text = std::fs::read_to_string(self.run.dir().join(name)).map_err(|e| fail(e.to_string()))?;
        let (key, row) = keyed(&text, name, self.basis).map_err(fail)?;
        self.done.insert(key, row);
        self.lines.push(text.trim_end().to_owned());
        Ok(())
    }
}

pub(crate) fn basis(recorded: Recorded) -> Basis {
    match recorded {
        Recorded::Measured => Basis::Measured,
        Recorded::Imported => Basis::Imported,
        Recorded::Declared => Basis::Declared,
    }
}

/// A recorded row with its key.
pub(crate) fn keyed(text: &str, name: &str, basis: Recorded) -> Result<(String, Row), String> {
    let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let key = value.get("key").and_then(Value::as_str).ok_or("the row has no key")?.to_owned();
    let mut rows =
        read_rows(text.trim_end().as_bytes(), name, self::basis(basis)).map_err(|e| e.to_string())?;
    Ok((key, rows.pop().ok_or("the file is empty")?))
}
