//! Every change that a writer makes to a run folder goes through [`Disk::run`], one operation at a time.
//!
//! That makes "killed at any moment" testable: a test records the operations of a whole run and replays each prefix,
//! or lets one of them fail half-way as on a full disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
#[cfg(test)]
use std::path::PathBuf;

use rustix::fs::OFlags;

/// One change on the disk.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Op<'a> {
    /// Make one directory.
    MakeDir(&'a Path),
    /// Create or replace a file, and sync its bytes.
    Write(&'a Path, &'a [u8]),
    /// Append to a file, creating it if needed, and sync its bytes.
    Append(&'a Path, &'a [u8]),
    /// Shorten a file, and sync it.
    Cut(&'a Path, u64),
    /// Rename a file.
    Rename(&'a Path, &'a Path),
    /// Remove a file.
    Remove(&'a Path),
    /// Remove an empty directory.
    RemoveDir(&'a Path),
    /// Sync the entries of a directory.
    SyncDir(&'a Path),
}

/// Carries out operations.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// What was done, for tests.
    #[cfg(test)]
    pub(crate) log: std::rc::Rc<std::cell::RefCell<Vec<OwnedOp>>>,
    /// Operations until one fails for lack of space, and the bytes it still writes, for tests.
    #[cfg(test)]
    pub(crate) fail: std::cell::Cell<Option<(usize, usize)>>,
}

impl Disk {
    /// Carries out one operation.
    pub(crate) fn run(&self, op: Op) -> io::Result<()> {
        #[cfg(test)]
        {
            self.log.borrow_mut().push(OwnedOp::from(op));
            match self.fail.get() {
                Some((0, bytes)) => {
                    self.fail.set(None);
                    return fail_after(op, bytes);
                }
                Some((n, bytes)) => self.fail.set(Some((n - 1, bytes))),
                None => {}
            }
        }
        run(op)
    }
}

fn run(op: Op) -> io::Result<()> {
    match op {
        Op::MakeDir(path) => fs::create_dir(path),
        Op::Write(path, bytes) => {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .custom_flags(no_follow())
                .open(path)?;
            file.write_all(bytes)?;
            file.sync_all()
        }
        Op::Append(path, bytes) => {
            let mut file =
                OpenOptions::new().append(true).create(true).custom_flags(no_follow()).open(path)?;
            file.write_all(bytes)?;
            file.sync_all()
        }
        Op::Cut(path, length) => {
            let file = OpenOptions::new().write(true).custom_flags(no_follow()).open(path)?;
            file.set_len(length)?;
            file.sync_all()
        }
        Op::Rename(from, to) => fs::rename(from, to),
        Op::Remove(path) => fs::remove_file(path),
        Op::RemoveDir(path) => fs::remove_dir(path),
        Op::SyncDir(path) => File::open(path)?.sync_all(),
    }
}

fn no_follow() -> i32 {
    i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0)
}

/// Opens a regular file for reading without following a link at its end and without waiting on a pipe.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(no_follow()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// An operation that outlives its borrows, for tests.
#[cfg(test)]
#[derive(Debug, Clone)]
pub(crate) enum OwnedOp {
    MakeDir(PathBuf),
    Write(PathBuf, Vec<u8>),
    Append(PathBuf, Vec<u8>),
    Cut(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    RemoveDir(PathBuf),
    SyncDir(PathBuf),
}

#[cfg(test)]
impl From<Op<'_>> for OwnedOp {
    fn from(op: Op) -> Self {
        match op {
            Op::MakeDir(p) => Self::MakeDir(p.into()),
            Op::Write(p, b) => Self::Write(p.into(), b.into()),
            Op::Append(p, b) => Self::Append(p.into(), b.into()),
            Op::Cut(p, n) => Self::Cut(p.into(), n),
            Op::Rename(a, b) => Self::Rename(a.into(), b.into()),
            Op::Remove(p) => Self::Remove(p.into()),
            Op::RemoveDir(p) => Self::RemoveDir(p.into()),
            Op::SyncDir(p) => Self::SyncDir(p.into()),
        }
    }
}

#[cfg(test)]
impl OwnedOp {
    /// Replays the operation below another root; of a write, only the first `keep` bytes.
    pub(crate) fn replay(&self, from: &Path, to: &Path, keep: usize) -> io::Result<()> {
        let at = |path: &PathBuf| to.join(path.strip_prefix(from).expect("operations stay below the root"));
        match self {
            Self::MakeDir(p) => run(Op::MakeDir(&at(p))),
            Self::Write(p, b) => run(Op::Write(&at(p), &b[..keep.min(b.len())])),
            Self::Append(p, b) => run(Op::Append(&at(p), &b[..keep.min(b.len())])),
            Self::Cut(p, n) => run(Op::Cut(&at(p), *n)),
            Self::Rename(a, b) => run(Op::Rename(&at(a), &at(b))),
            Self::Remove(p) => run(Op::Remove(&at(p))),
            Self::RemoveDir(p) => run(Op::RemoveDir(&at(p))),
            Self::SyncDir(p) => run(Op::SyncDir(&at(p))),
        }
    }

    /// Bytes that a kill could cut short.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Write(_, b) | Self::Append(_, b) => b.len(),
            _ => 0,
        }
    }
}

#[cfg(test)]
fn fail_after(op: Op, bytes: usize) -> io::Result<()> {
    let full = io::Error::from(io::ErrorKind::StorageFull);
    match op {
        Op::Write(path, b) => run(Op::Write(path, &b[..bytes.min(b.len())]))?,
        Op::Append(path, b) => run(Op::Append(path, &b[..bytes.min(b.len())]))?,
        _ => {}
    }
    Err(full)
}
