//! One file that holds a whole run, with a report on what was redacted in it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::ShareError;
use super::row::tree_of;
use super::seal::intact;
use crate::disk::open_regular;
use crate::limits::Limits;
use crate::name::{LEDGER, MANIFEST};
use crate::redact::Redactor;
use crate::verify::check::read_limited;

/// The `schema` field of a [`PackReport`].
pub const PACK_SCHEMA: &str = "perfwright.run-pack/v1";

/// The answer of `run pack`. The same text, without `bundle`, is the bundle's first file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PackReport {
    /// [`PACK_SCHEMA`].
    pub schema: String,
    /// The bundle that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// Folder in the bundle that is the run.
    pub folder: String,
    /// Head of the run.
    pub head: String,
    /// Merkle root of the run.
    pub merkle_root: String,
    /// What was searched for secrets, and how many were replaced when the evidence was recorded.
    pub files: Vec<PackFile>,
    /// Secrets that were replaced, in all files.
    pub redacted: u64,
    /// Inputs that the run only refers to; they are not in the bundle.
    pub left_out: Vec<String>,
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PackFile {
    /// Path in the run folder.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// Secrets that were replaced when it was recorded.
    pub redacted: u64,
    /// Secrets found in it now, which keep the bundle from being written.
    pub secrets: u64,
    /// Why it could not be searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsearched: Option<String>,
}

/// Writes the closed run in `dir` as a tar archive `to`, which must not exist.
///
/// Bytes are packed as they are, for anything else would break their hashes; so every file is searched for secrets
/// once more, with those that `redactor` knows, and a find refuses the bundle. The archive depends on nothing but the
/// run: same run, same bytes.
///
/// # Errors
/// The run is not intact and closed, a secret was found, or a file cannot be read or written.
pub fn pack(dir: &Path, to: &Path, redactor: &Redactor, limits: &Limits) -> Result<PackReport, ShareError> {
    let run = intact(dir, limits)?;
    let folder = dir
        .canonicalize()
        .ok()
        .and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "run".to_owned());
    let mut report = PackReport {
        schema: PACK_SCHEMA.to_owned(),
        bundle: None,
        merkle_root: tree_of(dir, &run, limits)?.root_hex(),
        folder,
        head: run.head,
        files: Vec::new(),
        redacted: 0,
        left_out: Vec::new(),
    };
    let mut names = vec![(LEDGER.to_owned(), 0), (MANIFEST.to_owned(), 0)];
    for entry in &run.manifest.evidence {
        match &entry.reference {
            Some(_) => report.left_out.push(entry.name.clone()),
            None => names.push((entry.name.clone(), entry.redacted)),
        }
    }
    names.sort();
    for (name, redacted) in names {
        let bytes = read(dir, &name, limits)?;
        let (secrets, unsearched) = match redactor.bytes(&bytes) {
            Ok((_, found)) => (found, None),
            Err(error) => (1, Some(error.to_string())),
        };
        report.redacted += redacted;
        report.files.push(PackFile { name, bytes: bytes.len() as u64, redacted, secrets, unsearched });
    }
    if let Some(first) = report.files.iter().find(|f| f.secrets > 0) {
        let count = report.files.iter().map(|f| f.secrets).sum();
        return Err(ShareError::Secrets { first: first.name.clone(), count });
    }
    write(dir, to, &report, limits)?;
    report.bundle = Some(to.to_string_lossy().into_owned());
    Ok(report)
}

fn read(dir: &Path, name: &str, limits: &Limits) -> Result<Vec<u8>, ShareError> {
    let path = dir.join(name);
    open_regular(&path)
        .and_then(|file| read_limited(file, limits.max_file_bytes))
        .map_err(|source| ShareError::Io { path, source })
}

/// Writes to a temporary name beside the bundle, then links it into place, so that nothing is overwritten.
fn write(dir: &Path, to: &Path, report: &PackReport, limits: &Limits) -> Result<(), ShareError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| ShareError::Io { path, source }
    };
    if fs::symlink_metadata(to).is_ok() {
        return Err(at(to)(io::Error::from(io::ErrorKind::AlreadyExists)));
    }
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.pw-tmp", std::process::id()));
    let temporary: PathBuf = to.with_file_name(name);
    let written =
        archive(dir, &temporary, report, limits).and_then(|()| fs::hard_link(&temporary, to).map_err(at(to)));
    let _ = fs::remove_file(&temporary);
    written
}

fn archive(dir: &Path, to: &Path, report: &PackReport, limits: &Limits) -> Result<(), ShareError> {
    let failed = |source| ShareError::Io { path: to.to_owned(), source };
    let file = File::create_new(to).map_err(failed)?;
    let mut tar = tar::Builder::new(BufWriter::new(file));
    let mut about = serde_json::to_vec_pretty(report).map_err(|e| failed(e.into()))?;
    about.push(b'\n');
    append(&mut tar, "REDACTION.json", &about).map_err(failed)?;
    for file in &report.files {
        let bytes = read(dir, &file.name, limits)?;
        append(&mut tar, &format!("{}/{}", report.folder, file.name), &bytes).map_err(failed)?;
    }
    let mut out = tar.into_inner().map_err(failed)?;
    out.flush().map_err(failed)?;
    out.get_ref().sync_all().map_err(failed)
}

fn append(tar: &mut tar::Builder<BufWriter<File>>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_entry_type(tar::EntryType::Regular);
    tar.append_data(&mut header, name, bytes)
}
