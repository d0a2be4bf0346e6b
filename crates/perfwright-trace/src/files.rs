//! Which files of a folder are traces, and of which rank.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::describe::rank_of_name;
use crate::error::TraceError;

/// Deepest folder below the given one that is looked into, and the most files looked at.
const DEPTH: usize = 4;
const FILES: usize = 10_000;
/// How much of a file is looked at to tell a trace from other JSON, bytes of text.
const HEAD: u64 = 256 << 10;

/// A trace file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) rank: Option<u32>,
}

/// The trace itself for a file, or the traces of a folder by rank and name; `rank` picks one rank, or where no name
/// holds it the traces whose names hold none.
pub(crate) fn traces_in(path: &Path, rank: Option<u32>) -> Result<Vec<Found>, TraceError> {
    let io = |source| TraceError::Io { path: path.to_owned(), source };
    let meta = std::fs::metadata(path).map_err(io)?;
    if !meta.is_dir() {
        return Ok(vec![Found { path: path.to_owned(), rank: rank_of_name(path) }]);
    }
    let mut candidates = Vec::new();
    collect(path, 0, &mut candidates)?;
    let looked_at = candidates.len();
    candidates.sort();
    let mut found: Vec<Found> = Vec::new();
    let mut seen = HashSet::new();
    for path in candidates {
        // A link to a trace that is in the folder too (`latest.json.gz`) would count its work twice.
        let fault = |source| TraceError::Io { path: path.clone(), source };
        let real = std::fs::canonicalize(&path).map_err(fault)?;
        if is_trace(&path).map_err(fault)? && seen.insert(real) {
            found.push(Found { rank: rank_of_name(&path), path });
        }
    }
    if found.is_empty() {
        return Err(TraceError::NoTrace { path: path.to_owned(), looked_at });
    }
    if let Some(rank) = rank {
        // Where no name tells the rank, the traces themselves are asked (by the caller, who reads them).
        let named = found.iter().any(|f| f.rank == Some(rank));
        found.retain(|f| if named { f.rank == Some(rank) } else { f.rank.is_none() });
        if found.is_empty() {
            return Err(TraceError::NoRank { path: path.to_owned(), rank });
        }
    }
    found.sort_by(|a, b| (a.rank, &a.path).cmp(&(b.rank, &b.path)));
    Ok(found)
}

/// Links to files are followed, links to folders are not: those may lead in a circle.
fn collect(dir: &Path, depth: usize, out: &mut Vec<PathBuf>) -> Result<(), TraceError> {
    let fault = |source| TraceError::Io { path: dir.to_owned(), source };
    for entry in std::fs::read_dir(dir).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let kind = entry.file_type().map_err(fault)?;
        let path = entry.path();
        let linked = || kind.is_symlink() && std::fs::metadata(&path).is_ok_and(|m| m.is_file());
        if kind.is_dir() && depth < DEPTH {
            collect(&path, depth + 1, out)?;
        } else if (kind.is_file() || linked()) && out.len() < FILES {
            let name = entry.file_name().to_string_lossy().to_ascii_lowercase();
            if name.ends_with(".json") || name.ends_with(".json.gz") {
                out.push(path);
            }
        }
    }
    Ok(())
}

/// True when the head of a file shows trace events. Configurations beside a trace do not.
fn is_trace(path: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    std::fs::File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    if head.starts_with(&[0x1f, 0x8b]) {
        let mut text = Vec::new();
        // The head of a stream ends early by design; what came out before that is what counts.
        let _ = MultiGzDecoder::new(head.as_slice()).take(HEAD).read_to_end(&mut text);
        head = text;
    }
    let has = |word: &[u8]| memchr::memmem::find(&head, word).is_some();
    Ok(has(b"\"traceEvents\"") || has(b"\"ph\""))
}
