//! A vector: a run folder written out as data, and the answer that each verifier owes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub const SCHEMA: &str = "perfwright.vector/v1";

/// A folder in memory where there is one: what is tested here is order and content, not how fast a disk syncs.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).expect("tempdir")
}

/// Where the vectors lie.
pub fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors"))
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vector {
    pub schema: String,
    pub name: String,
    pub about: String,
    pub expect: Expect,
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expect {
    pub perfwright: Answer,
    pub script: ScriptAnswer,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub exit: u8,
    /// `[kind, place]`, sorted.
    pub differences: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScriptAnswer {
    pub exit: u8,
}

/// One entry of the folder. `path` may begin with `../` for a file beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub path: String,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Text(String),
    /// Pieces, each a text and how often it is repeated.
    Repeated(Vec<(String, usize)>),
    Directory,
    Symlink(String),
    Fifo,
}

impl Vector {
    /// Writes the folder below `root` and returns its path.
    pub fn materialise(&self, root: &Path) -> PathBuf {
        let dir = root.join("run");
        fs::create_dir_all(&dir).expect("the run folder");
        for entry in &self.entries {
            let path = dir.join(&entry.path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            match &entry.what {
                What::Text(text) => fs::write(&path, text).expect("a file"),
                What::Repeated(pieces) => {
                    let text: String = pieces.iter().map(|(text, count)| text.repeat(*count)).collect();
                    fs::write(&path, text).expect("a file");
                }
                What::Directory => fs::create_dir_all(&path).expect("a folder"),
                What::Symlink(target) => symlink(target, &path).expect("a link"),
                What::Fifo => {
                    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
                    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
                        .expect("a pipe");
                }
            }
        }
        dir
    }
}

/// Every committed vector, by name.
pub fn load() -> Vec<Vector> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder())
        .expect("tests/vectors")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    paths.sort();
    let read = |path: &PathBuf| -> Vector {
        let text = fs::read(path).expect("a vector");
        let vector: Vector =
            serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(vector.schema, SCHEMA, "{}", path.display());
        vector
    };
    paths.iter().map(read).collect()
}
