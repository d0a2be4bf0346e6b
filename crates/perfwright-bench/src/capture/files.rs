//! Waiting for a profiler's files: new, of one size at two looks, and whole.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::conditions::is_trace_name;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// Most entries of a folder that are looked at.
const MAX_ENTRIES: usize = 100_000;

/// Size and time of each trace in a folder; none where there is no folder.
pub(super) fn snapshot(dir: &Path) -> io::Result<BTreeMap<PathBuf, (u64, Option<std::time::SystemTime>)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(e) => return Err(e),
    };
    let mut out = BTreeMap::new();
    for entry in entries.take(MAX_ENTRIES) {
        let path = entry?.path();
        // A file may be renamed between two looks.
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_file() && is_trace_name(&path) {
            out.insert(path, (meta.len(), meta.modified().ok()));
        }
    }
    Ok(out)
}

/// What waiting came to.
pub(super) enum Wait {
    /// These files are new and whole.
    Whole(Vec<PathBuf>),
    /// The time is over: what the last look saw.
    TimedOut(String),
    /// Somebody stopped it.
    Stopped,
}

/// Waits until `dir` holds at least one trace that `before` does not, all of them of the size that they had at the look
/// before, and `whole`.
pub(super) fn wait(
    dir: &Path,
    before: &BTreeMap<PathBuf, (u64, Option<std::time::SystemTime>)>,
    limit: Duration,
    whole: &dyn Fn(&Path) -> Result<(), String>,
    stopped: &dyn Fn() -> bool,
) -> io::Result<Wait> {
    let deadline = Instant::now() + limit;
    let mut last = BTreeMap::new();
    let mut why = "no new trace".to_owned();
    loop {
        let mut now = snapshot(dir)?;
        now.retain(|path, seen| before.get(path) != Some(seen));
        if !now.is_empty() && now == last {
            let faults: Vec<String> = now.keys().filter_map(|p| whole(p).err()).collect();
            match faults.into_iter().next() {
                None => return Ok(Wait::Whole(now.into_keys().collect())),
                Some(fault) => why = fault,
            }
        } else if !now.is_empty() {
            why = "a trace is still growing".to_owned();
        }
        last = now;
        if stopped() {
            return Ok(Wait::Stopped);
        }
        if Instant::now() >= deadline {
            return Ok(Wait::TimedOut(why));
        }
        std::thread::sleep(LOOK);
    }
}

/// Moves a file into `dir`; across file systems it is copied.
pub(super) fn keep(file: &Path, dir: &Path) -> io::Result<PathBuf> {
    if file.parent() == Some(dir) {
        return Ok(file.to_owned());
    }
    fs::create_dir_all(dir)?;
    let name = file.file_name().ok_or_else(|| io::Error::other("a trace without a name"))?;
    let to = dir.join(name);
    if to.exists() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is there", to.display())));
    }
    if fs::rename(file, &to).is_err() {
        fs::copy(file, &to)?;
        fs::remove_file(file)?;
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_and_whole_files_count() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("old.json"), "{}").unwrap();
        let before = snapshot(dir.path()).unwrap();
        let fine = |_: &Path| Ok(());
        let never = || false;
        let short = Duration::from_millis(1);
        assert!(matches!(wait(dir.path(), &before, short, &fine, &never).unwrap(), Wait::TimedOut(_)));
        fs::write(dir.path().join("new.json.gz"), "x").unwrap();
        fs::write(dir.path().join("new.txt"), "x").unwrap();
        let Wait::Whole(files) = wait(dir.path(), &before, Duration::from_secs(60), &fine, &never).unwrap()
        else {
            panic!("the file is new and of one size");
        };
        assert_eq!(files, [dir.path().join("new.json.gz")]);
        let broken = |_: &Path| Err("cut off".to_owned());
        let Wait::TimedOut(why) = wait(dir.path(), &before, LOOK, &broken, &never).unwrap() else {
            panic!("a file that is not whole is no trace");
        };
        assert_eq!(why, "cut off");
        assert!(matches!(wait(dir.path(), &before, LOOK, &broken, &|| true).unwrap(), Wait::Stopped));
        let kept = keep(&files[0], &dir.path().join("stage")).unwrap();
        assert!(kept.exists() && !files[0].exists());
        assert!(snapshot(&dir.path().join("none")).unwrap().is_empty());
    }
}
