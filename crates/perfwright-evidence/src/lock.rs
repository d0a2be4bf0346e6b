//! One writer at a time. The lock lies beside the run folder, never in it.
//!
//! The kernel holds the lock (`flock`), so it ends with its process however that ends; the file only names the pid.
//! A file left by a dead process is therefore not a lock, and the next writer simply takes it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::hash::sha256_hex;

/// Where the lock of a run folder lies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LockPlace {
    /// In `.perfwright-locks` beside the run folder.
    #[default]
    Beside,
    /// In a folder of the caller's.
    Folder(PathBuf),
}

impl LockPlace {
    /// The lock file of the run folder `dir`, whose parent must exist.
    fn path(&self, dir: &Path) -> io::Result<PathBuf> {
        let name = dir.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => fs::canonicalize(parent)?,
            _ => fs::canonicalize(".")?,
        };
        let folder = match self {
            Self::Beside => parent.join(".perfwright-locks"),
            Self::Folder(folder) => folder.clone(),
        };
        // Two runs of one name in different folders may share a lock folder; the hash keeps them apart.
        let key = sha256_hex(parent.join(name).as_os_str().as_encoded_bytes());
        Ok(folder.join(format!("{}-{}.lock", short(&name.to_string_lossy()), &key[..16])))
    }
}

fn short(name: &str) -> String {
    name.chars().take(40).collect()
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process writes this run.
    #[error("process {} is writing this run", pid.map_or_else(|| "of unknown id".to_owned(), |p| p.to_string()))]
    Held {
        /// The writer's pid, as the lock file names it.
        pid: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {path}: {source}")]
    Io {
        /// The lock file or its folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// A held lock. It ends when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Takes the lock of `dir`, or says who has it.
    pub(crate) fn take(dir: &Path, place: &LockPlace) -> Result<Self, LockError> {
        let path = place.path(dir).map_err(|source| LockError::Io { path: dir.to_owned(), source })?;
        let io = |source| LockError::Io { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io)?;
        }
        // A holder removes the file when it ends, so what was opened may be gone by the time it is locked: look again.
        for _ in 0..100 {
            let mut file = open(&path, true).map_err(io)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(LockError::Held { pid: pid_in(&mut file) }),
                Err(error) => return Err(io(error.into())),
            }
            let same = fs::symlink_metadata(&path).is_ok_and(|there| {
                file.metadata().is_ok_and(|here| (here.dev(), here.ino()) == (there.dev(), there.ino()))
            });
            if same {
                file.set_len(0).map_err(io)?;
                writeln!(file, "{}", std::process::id()).map_err(io)?;
                return Ok(Self { path, file });
            }
        }
        Err(io(io::Error::other("the lock file keeps changing")))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Whether a process writes `dir` now, and its pid where the file names it.
#[must_use]
pub fn writer_of(dir: &Path, place: &LockPlace) -> Option<Option<u32>> {
    let mut file = open(&place.path(dir).ok()?, false).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(rustix::io::Errno::WOULDBLOCK) => Some(pid_in(&mut file)),
        _ => None,
    }
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    OpenOptions::new().read(true).write(create).create(create).truncate(false).custom_flags(flags).open(path)
}

fn pid_in(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writer_at_a_time_and_stale_files_do_not_lock() {
        let root = tempfile::tempdir().expect("tempdir");
        let dir = root.path().join("run");
        let place = LockPlace::Beside;
        assert_eq!(writer_of(&dir, &place), None);
        let lock = Lock::take(&dir, &place).expect("free");
        assert!(!lock.path.starts_with(&dir));
        assert_eq!(writer_of(&dir, &place), Some(Some(std::process::id())));
        let refused = Lock::take(&dir, &place).expect_err("held");
        assert!(matches!(refused, LockError::Held { pid: Some(pid) } if pid == std::process::id()));
        let path = lock.path.clone();
        drop(lock);
        assert!(!path.exists());
        // As a killed process would leave it.
        fs::write(&path, "999999\n").expect("write");
        assert_eq!(writer_of(&dir, &place), None);
        drop(Lock::take(&dir, &place).expect("a dead process holds nothing"));
    }
}
