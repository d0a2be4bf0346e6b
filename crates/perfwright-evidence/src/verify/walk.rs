//! What lies in a run folder, without following a link.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::faults::{Fault, planted};
use crate::limits::Limits;

/// The contents of a folder, by relative name with `/`.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// Regular files and their lengths in bytes.
    pub(crate) files: BTreeMap<String, u64>,
    /// Directories.
    pub(crate) dirs: BTreeSet<String>,
    /// Everything else, with what it is.
    pub(crate) special: Vec<(String, &'static str)>,
    /// True where there was more than the limit.
    pub(crate) too_many: bool,
}

impl Walk {
    /// True where `name` is special or lies below something special.
    pub(crate) fn is_special(&self, name: &str) -> bool {
        self.special.iter().any(|(special, _)| special == name || is_parent(special, name))
    }
}

/// True where `name` lies below the directory `dir`.
pub(crate) fn is_parent(dir: &str, name: &str) -> bool {
    name.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

/// Lists everything below `dir`, within the limits.
pub(crate) fn walk(dir: &Path, limits: &Limits) -> io::Result<Walk> {
    let mut walk = Walk::default();
    let mut left = limits.max_entries;
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(dir.join(&folder))? {
            let entry = entry?;
            if left == 0 {
                walk.too_many = true;
                return Ok(walk);
            }
            left -= 1;
            let file_name = entry.file_name();
            let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            let name = format!("{prefix}{}", file_name.to_string_lossy());
            let meta = if planted(Fault::AcceptSymlink) {
                fs::metadata(entry.path()).or_else(|_| entry.metadata())?
            } else {
                entry.metadata()?
            };
            let kind = meta.file_type();
            if file_name.to_str().is_none() {
                walk.special.push((name, "its name is not UTF-8"));
            } else if kind.is_file() {
                walk.files.insert(name, meta.len());
            } else if kind.is_dir() {
                if name.split('/').count() >= limits.max_name_components {
                    walk.special.push((name, "it nests deeper than the limit"));
                } else {
                    walk.dirs.insert(name.clone());
                    folders.push(name);
                }
            } else if kind.is_symlink() {
                walk.special.push((name, "it is a symbolic link"));
            } else if !planted(Fault::AcceptSpecial) {
                walk.special.push((name, "it is a pipe, a socket or a device"));
            }
        }
    }
    walk.special.sort();
    Ok(walk)
}
