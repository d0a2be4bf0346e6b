//! The tree over a run's files and their lines, and the proof that one line is in it.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ShareError;
use super::merkle::{self, Hash};
use super::seal::{Intact, intact};
use crate::disk::open_regular;
use crate::hash::{hex, is_sha256_hex, sha256_hex};
use crate::json::canonical;
use crate::limits::Limits;
use crate::name::{LEDGER, MANIFEST};
use crate::verify::check::read_limited;

/// The `schema` field of a [`RowProof`].
pub const ROW_PROOF_SCHEMA: &str = "perfwright.row-proof/v1";

/// Longest way from a leaf to a root: more than 2^40 leaves are no run.
const MAX_PATH: usize = 40;

/// One line of one file of a run, and what is needed to check it against the run's Merkle root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowProof {
    /// [`ROW_PROOF_SCHEMA`].
    pub schema: String,
    /// The root that the proof leads to. Compare it with one that was published.
    pub root: String,
    /// Head of the run.
    pub head: String,
    /// The file's name in the run folder.
    pub file: String,
    /// The line, counted from 1.
    pub line: u64,
    /// The line's text, without its line feed.
    pub text: String,
    /// From the line to the root over the file's lines, nearest first.
    pub row_path: Vec<Sibling>,
    /// SHA-256 of the whole file.
    pub file_sha256: String,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Lines of the file.
    pub file_rows: u64,
    /// From the file to the root over the run, nearest first.
    pub file_path: Vec<Sibling>,
}

/// One step of a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sibling {
    /// Where the sibling stands.
    pub side: Side,
    /// Its hash.
    pub hash: String,
}

/// Where a sibling stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Before the hash that is proved.
    Left,
    /// After it.
    Right,
}

/// The tree over a run: one leaf a file, by name.
pub(super) struct Tree {
    /// Name of each leaf.
    pub(super) names: Vec<String>,
    leaves: Vec<Hash>,
}

impl Tree {
    pub(super) fn root_hex(&self) -> String {
        hex(&merkle::root(&self.leaves))
    }
}

/// What a file's leaf commits to.
struct FileLeaf<'a> {
    name: &'a str,
    sha256: &'a str,
    bytes: u64,
    /// Lines and the root over them; none for an input that is only referenced.
    rows: Option<(u64, Hash)>,
}

fn file_leaf(file: &FileLeaf) -> Hash {
    let mut value = json!({ "bytes": file.bytes, "name": file.name, "sha256": file.sha256 });
    if let Some((rows, root)) = &file.rows {
        value["rows"] = (*rows).into();
        value["rows_root"] = hex(root).into();
    }
    // Only counts above 2^53 have no canonical form, and no file is that large.
    merkle::leaf(&canonical(&value).unwrap_or_default())
}

/// A file's lines: what stands between line feeds, and what stands after the last if anything does.
fn rows(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    (!bytes.is_empty()).then(|| body.split(|b| *b == b'\n')).into_iter().flatten()
}

fn row_leaves(bytes: &[u8]) -> Vec<Hash> {
    rows(bytes).map(merkle::leaf).collect()
}

fn read(dir: &Path, name: &str, limits: &Limits) -> Result<Vec<u8>, ShareError> {
    let path = dir.join(name);
    open_regular(&path)
        .and_then(|file| read_limited(file, limits.max_file_bytes))
        .map_err(|source| ShareError::Io { path, source })
}

/// Builds the tree over every file of an intact run: the evidence, the ledger and the manifest.
pub(super) fn tree_of(dir: &Path, run: &Intact, limits: &Limits) -> Result<Tree, ShareError> {
    let mut files: Vec<(String, Hash)> = Vec::new();
    for entry in &run.manifest.evidence {
        let rows = if entry.reference.is_none() {
            let bytes = read(dir, &entry.name, limits)?;
            same(dir, &entry.name, &entry.sha256, &bytes)?;
            let leaves = row_leaves(&bytes);
            Some((leaves.len() as u64, merkle::root(&leaves)))
        } else {
            None
        };
        let leaf = FileLeaf { name: &entry.name, sha256: &entry.sha256, bytes: entry.bytes, rows };
        files.push((entry.name.clone(), file_leaf(&leaf)));
    }
    for name in [LEDGER, MANIFEST] {
        let bytes = read(dir, name, limits)?;
        let leaves = row_leaves(&bytes);
        let rows = Some((leaves.len() as u64, merkle::root(&leaves)));
        let leaf = FileLeaf { name, sha256: &sha256_hex(&bytes), bytes: bytes.len() as u64, rows };
        files.push((name.to_owned(), file_leaf(&leaf)));
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let (names, leaves) = files.into_iter().unzip();
    Ok(Tree { names, leaves })
}

/// A file may change between the check and the second reading; then nothing is stated about it.
fn same(dir: &Path, name: &str, sha256: &str, bytes: &[u8]) -> Result<(), ShareError> {
    if sha256_hex(bytes) == sha256 {
        return Ok(());
    }
    Err(ShareError::NotIntact {
        dir: dir.to_owned(),
        status: crate::verify::report::Status::Tampered,
        detail: format!("{name} changed while it was read"),
    })
}

/// Proves line `line` (from 1) of the file `name` in the closed run `dir`.
///
/// # Errors
/// The run is not intact, or has no such stored file, or the file no such line, or the line is not UTF-8.
pub fn prove_row(dir: &Path, name: &str, line: u64, limits: &Limits) -> Result<RowProof, ShareError> {
    let run = intact(dir, limits)?;
    let tree = tree_of(dir, &run, limits)?;
    let stored = |n: &str| run.manifest.evidence.iter().all(|e| e.name != n || e.reference.is_none());
    let Some(at) = tree.names.iter().position(|n| n == name).filter(|_| stored(name)) else {
        return Err(ShareError::NoSuchRow(format!("the run stores no file {name:?}")));
    };
    let bytes = read(dir, name, limits)?;
    let leaves = row_leaves(&bytes);
    let index = usize::try_from(line).ok().and_then(|n| n.checked_sub(1)).filter(|i| *i < leaves.len());
    let Some((index, text)) = index.and_then(|i| Some((i, rows(&bytes).nth(i)?))) else {
        return Err(ShareError::NoSuchRow(format!("{name} has {} lines, not {line}", leaves.len())));
    };
    let Ok(text) = str::from_utf8(text) else {
        return Err(ShareError::NoSuchRow(format!("line {line} of {name} is not UTF-8 text")));
    };
    Ok(RowProof {
        schema: ROW_PROOF_SCHEMA.to_owned(),
        root: tree.root_hex(),
        head: run.head,
        file: name.to_owned(),
        line,
        text: text.to_owned(),
        row_path: siblings(&merkle::path(&leaves, index)),
        file_sha256: sha256_hex(&bytes),
        file_bytes: bytes.len() as u64,
        file_rows: leaves.len() as u64,
        file_path: siblings(&merkle::path(&tree.leaves, at)),
    })
}

fn siblings(path: &[(bool, Hash)]) -> Vec<Sibling> {
    path.iter()
        .map(|(left, hash)| Sibling { side: if *left { Side::Left } else { Side::Right }, hash: hex(hash) })
        .collect()
}

/// Checks that a proof leads to `root`, from its text alone: neither the run nor its other rows are needed.
///
/// # Errors
/// In words, what does not hold.
pub fn check_row(proof: &RowProof, root: &str) -> Result<(), String> {
    if proof.schema != ROW_PROOF_SCHEMA {
        return Err(format!("the schema is {:?}, not {ROW_PROOF_SCHEMA}", proof.schema));
    }
    let rows_root = climb(merkle::leaf(proof.text.as_bytes()), &proof.row_path)?;
    if place(&proof.row_path, proof.file_rows) != proof.line.checked_sub(1) {
        return Err(format!("the path is not that of line {} of {}", proof.line, proof.file_rows));
    }
    let file = FileLeaf {
        name: &proof.file,
        sha256: &proof.file_sha256,
        bytes: proof.file_bytes,
        rows: Some((proof.file_rows, rows_root)),
    };
    let found = hex(&climb(file_leaf(&file), &proof.file_path)?);
    if found == root && proof.root == root {
        Ok(())
    } else {
        Err(format!("the proof leads to {found}, not to {root}"))
    }
}

fn climb(leaf: Hash, path: &[Sibling]) -> Result<Hash, String> {
    if path.len() > MAX_PATH {
        return Err(format!("a path of {} steps is none of a run", path.len()));
    }
    let steps: Option<Vec<(bool, Hash)>> =
        path.iter().map(|s| Some((s.side == Side::Left, unhex(&s.hash)?))).collect();
    let steps = steps.ok_or("a hash in the path is not 64 lowercase hexadecimal digits")?;
    Ok(merkle::climb(leaf, &steps))
}

/// The index of the leaf that a path belongs to in a tree of `leaves`, where such a leaf exists.
fn place(path: &[Sibling], leaves: u64) -> Option<u64> {
    let (mut from, mut size) = (0, leaves);
    for step in path.iter().rev() {
        let half = size.checked_next_power_of_two().filter(|_| size > 1)? / 2;
        match step.side {
            Side::Left => (from, size) = (from + half, size - half),
            Side::Right => size = half,
        }
    }
    (size == 1).then_some(from)
}

fn unhex(text: &str) -> Option<Hash> {
    if !is_sha256_hex(text) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}
