//! The file list against the folder.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::faults::{Fault, planted};
use super::report::{Difference, DifferenceKind, VerifyReport};
use super::walk::Walk;
use crate::disk::open_regular;
use crate::hash::{is_sha256_hex, sha256_of_reader};
use crate::ledger::Scan;
use crate::limits::Limits;
use crate::model::Evidence;
use crate::name::{LEDGER, MANIFEST, check_name, name_of_temp, temp_name};

/// What a killed writer may leave.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    pub(super) pending: Option<String>,
    pub(super) leftovers: Vec<String>,
}

/// Compares every listed file with its record, and names everything that is not listed.
pub(super) fn check_files(
    dir: &Path,
    limits: &Limits,
    found: &Walk,
    evidence: &[Evidence],
    closed: bool,
    ledger: &Scan,
    report: &mut VerifyReport,
) -> Unfinished {
    let mut unfinished = Unfinished::default();
    if found.too_many {
        let detail = format!("more than {} files and directories", limits.max_entries);
        report.differences.push(Difference::new(DifferenceKind::LimitExceeded, ".", detail));
        return unfinished;
    }
    for (name, what) in &found.special {
        report.differences.push(Difference::new(DifferenceKind::NotRegular, name.clone(), *what));
    }
    let last = ledger.events.last().filter(|e| e.kind == "evidence" && !closed);
    let last = last.and_then(|e| e.body.value()["evidence"]["name"].as_str().map(str::to_owned));
    let mut seen = BTreeSet::new();
    for entry in evidence {
        let mut differ =
            |kind, detail: String| report.differences.push(Difference::new(kind, entry.name.clone(), detail));
        if let Err(error) = check_name(&entry.name, limits)
            && !planted(Fault::AcceptTraversal)
        {
            differ(DifferenceKind::BadName, error.to_string());
            continue;
        }
        if !seen.insert(entry.name.as_str()) && !planted(Fault::AcceptDuplicateNames) {
            differ(DifferenceKind::DuplicateName, "listed twice".to_owned());
            continue;
        }
        if !is_sha256_hex(&entry.sha256) {
            differ(
                DifferenceKind::ManifestMalformed,
                "sha256 is not 64 lowercase hexadecimal digits".to_owned(),
            );
            continue;
        }
        if entry.reference.is_some() || found.is_special(&entry.name) {
            continue;
        }
        match check_file(dir, limits, entry, report) {
            Err(error) if is_missing(&error) => {
                if last.as_deref() == Some(entry.name.as_str()) && pending(dir, entry) {
                    unfinished.pending = Some(entry.name.clone());
                } else if !planted(Fault::AcceptMissingFile) {
                    let detail = "recorded, but not there";
                    report.differences.push(Difference::new(
                        DifferenceKind::FileMissing,
                        entry.name.clone(),
                        detail,
                    ));
                }
            }
            Err(error) => {
                let detail = error.to_string();
                report.differences.push(Difference::new(
                    DifferenceKind::Unreadable,
                    entry.name.clone(),
                    detail,
                ));
            }
            Ok(()) => {}
        }
    }
    let total = report.checked.bytes;
    if total > limits.max_total_bytes {
        let detail = format!("{total} bytes of evidence, the limit is {}", limits.max_total_bytes);
        report.differences.push(Difference::new(DifferenceKind::LimitExceeded, ".", detail));
    }
    name_strangers(limits, found, evidence, closed, &mut unfinished, report);
    unfinished
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn check_file(dir: &Path, limits: &Limits, entry: &Evidence, report: &mut VerifyReport) -> io::Result<()> {
    let file = open_regular(&dir.join(&entry.name))?;
    let length = file.metadata()?.len();
    let mut differ =
        |kind, detail: String| report.differences.push(Difference::new(kind, entry.name.clone(), detail));
    if length > limits.max_file_bytes {
        differ(
            DifferenceKind::LimitExceeded,
            format!("{length} bytes, the limit is {}", limits.max_file_bytes),
        );
        return Ok(());
    }
    if length != entry.bytes && !planted(Fault::SkipFileSize) {
        differ(DifferenceKind::FileSize, format!("{length} bytes, recorded are {}", entry.bytes));
        return Ok(());
    }
    if report.checked.bytes.saturating_add(length) > limits.max_total_bytes {
        report.checked.bytes = report.checked.bytes.saturating_add(length);
        return Ok(());
    }
    let (sha256, read) = sha256_of_reader(file, length)?;
    report.checked.files += 1;
    report.checked.bytes += read;
    if sha256 != entry.sha256 && !planted(Fault::SkipFileHash) {
        let detail = format!("the file is {sha256}, recorded is {}", entry.sha256);
        report.differences.push(Difference::new(DifferenceKind::FileChanged, entry.name.clone(), detail));
    }
    Ok(())
}

/// True where the recorded bytes wait under the temporary name.
fn pending(dir: &Path, entry: &Evidence) -> bool {
    open_regular(&dir.join(temp_name(&entry.name)))
        .and_then(|file| sha256_of_reader(file, entry.bytes))
        .is_ok_and(|(sha256, bytes)| sha256 == entry.sha256 && bytes == entry.bytes)
}

fn name_strangers(
    limits: &Limits,
    found: &Walk,
    evidence: &[Evidence],
    closed: bool,
    unfinished: &mut Unfinished,
    report: &mut VerifyReport,
) {
    let listed: BTreeSet<&str> =
        evidence.iter().filter(|e| e.reference.is_none()).map(|e| e.name.as_str()).collect();
    let pending = unfinished.pending.as_deref().map(temp_name);
    for name in found.files.keys().map(String::as_str) {
        if name == LEDGER
            || (name == MANIFEST && closed)
            || listed.contains(name)
            || pending.as_deref() == Some(name)
        {
            continue;
        }
        // Without a ledger the manifest is named by what it fails to match, not as a stranger.
        if !closed && (name == MANIFEST || name_of_temp(name, limits).is_some()) {
            unfinished.leftovers.push(name.to_owned());
        } else if !planted(Fault::AcceptUnlisted) {
            report.differences.push(Difference::new(
                DifferenceKind::FileUnlisted,
                name,
                "nothing records this file",
            ));
        }
    }
    let used: BTreeSet<&str> =
        found.files.keys().map(String::as_str).chain(listed).flat_map(parents).collect();
    for name in &found.dirs {
        if used.contains(name.as_str()) {
            continue;
        }
        if !closed {
            unfinished.leftovers.push(name.clone());
        } else if !planted(Fault::AcceptStrayDirectory) {
            let detail = "nothing recorded lies in it";
            report.differences.push(Difference::new(DifferenceKind::DirectoryUnlisted, name.clone(), detail));
        }
    }
}

/// Every directory above a name: `a/b/c` lies in `a/b` and in `a`.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(at, _)| &name[..at])
}
