//! Where campaigns are known outside of the work tree: the user's state folder, passed in by the caller.
//!
//! For each repository with a campaign there is `loop/<key>/active.json`: the head of the ledger, where the run folder
//! is, whose session it is. It is written before each event is appended, so the ledger ends at its `head` or, after a
//! kill in between, at its `previous`; anything else is tampering. A second pointer lies in the repository's own
//! folder, so that removing either one is seen. A campaign that is damaged is not "no campaign".

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use perfwright_evidence::json::{JsonLimits, read};
use perfwright_evidence::{Limits, ledger_tail, sha256_hex};
use serde::{Deserialize, Serialize};

use crate::git::git_dir;
use crate::state::Phase;

/// Schema name of the file.
pub(crate) const HEAD_SCHEMA: &str = "perfwright.loop-head/v1";
/// Name of the second pointer, in the repository's own folder.
const POINTER: &str = "perfwright-loop";
const MAX: JsonLimits = JsonLimits { max_bytes: 1 << 20, max_depth: 16 };

/// What is kept of a campaign outside of the work tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadFile {
    /// [`HEAD_SCHEMA`].
    pub schema: String,
    /// The campaign's name.
    pub campaign: String,
    /// Top of the work tree.
    pub root: PathBuf,
    /// The run folder.
    pub run_dir: PathBuf,
    /// Ledger lines.
    pub events: u64,
    /// SHA-256 of the last one.
    pub head: String,
    /// SHA-256 of the one before it.
    pub previous: String,
    /// The phase after the event at `head`.
    pub phase: Phase,
    /// The round.
    pub round: u32,
    /// The session that owns it.
    pub session: Option<String>,
    /// Paths that no tool may write: run folder, plan, protected files.
    pub protected: Vec<PathBuf>,
    /// Patterns a change may touch, relative to `root`; empty for all.
    pub allow: Vec<String>,
    /// Patterns it may not.
    pub deny: Vec<String>,
    /// Whether the verdict was given and the run closed.
    pub closed: bool,
}

/// What is known of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// No campaign.
    None,
    /// One that is under way, blocked or finished.
    Known(Box<HeadFile>),
    /// One whose records are not as they were left.
    Damaged {
        /// Top of the work tree, as far as it is known.
        root: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// The state folder.
#[derive(Debug, Clone)]
pub struct Registry {
    dir: PathBuf,
}

impl Registry {
    /// The registry below the state folder `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.join("loop") }
    }

    /// The folder of one repository.
    #[must_use]
    pub fn place(&self, root: &Path) -> PathBuf {
        let key = sha256_hex(root.as_os_str().as_encoded_bytes());
        self.dir.join(&key[..24])
    }

    /// Looks for the nearest campaign at `start` or above.
    #[must_use]
    pub fn look(&self, start: &Path) -> Look {
        let start = start.canonicalize().unwrap_or_else(|_| start.to_owned());
        start
            .ancestors()
            .map(|root| self.look_at(root))
            .find(|look| *look != Look::None)
            .unwrap_or(Look::None)
    }

    /// What is known of the work tree `root` itself.
    #[must_use]
    pub fn look_at(&self, root: &Path) -> Look {
        let place = self.place(root);
        let file = place.join("active.json");
        let pointer = git_dir(root).map(|dir| dir.join(POINTER));
        let pointed = pointer.as_ref().is_some_and(|p| fs::symlink_metadata(p).is_ok());
        let damaged = |why: String| Look::Damaged { root: root.to_owned(), why };
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return if pointed {
                    damaged(
                        "the repository points to a campaign that the state folder does not know".to_owned(),
                    )
                } else {
                    Look::None
                };
            }
            Err(error) => return damaged(format!("{}: {error}", file.display())),
        };
        let Some(head) = parse(&bytes, root) else {
            return damaged("the campaign's head file is not what it was".to_owned());
        };
        if head.closed {
            return Look::Known(Box::new(head));
        }
        if !pointed {
            return damaged("the repository's pointer to the campaign is gone".to_owned());
        }
        match ledger_tail(&head.run_dir, &Limits::default()) {
            Ok(tail) if tail == head.head || tail == head.previous => Look::Known(Box::new(head)),
            Ok(_) => damaged("the ledger does not end where it was left".to_owned()),
            Err(error) => {
                damaged(format!("the ledger in {} cannot be read: {error}", head.run_dir.display()))
            }
        }
    }

    /// The head file of the work tree `root`, if it is one.
    #[must_use]
    pub fn head(&self, root: &Path) -> Option<HeadFile> {
        parse(&fs::read(self.place(root).join("active.json")).ok()?, root)
    }

    /// The work tree whose campaign `session` owns.
    #[must_use]
    pub fn of_session(&self, session: &str) -> Option<PathBuf> {
        let text = fs::read_to_string(self.session_file(session)).ok()?;
        Some(PathBuf::from(text.trim_end()))
    }

    fn session_file(&self, session: &str) -> PathBuf {
        self.dir.join("sessions").join(&sha256_hex(session.as_bytes())[..24])
    }

    /// Writes down which campaign a session owns.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub fn claim(&self, session: &str, root: &Path) -> io::Result<()> {
        let file = self.session_file(session);
        write_new(&file, root.as_os_str().as_encoded_bytes())
    }

    /// Forgets what a session owned.
    pub fn release(&self, session: &str) {
        let _ = fs::remove_file(self.session_file(session));
    }

    /// Writes a head file.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub fn write(&self, head: &HeadFile) -> io::Result<()> {
        let bytes = serde_json::to_vec(head).map_err(io::Error::other)?;
        write_new(&self.place(&head.root).join("active.json"), &bytes)
    }

    /// Puts the pointer into the repository.
    ///
    /// # Errors
    /// The repository's own folder cannot be written.
    pub fn point(&self, root: &Path, campaign: &str) -> io::Result<()> {
        let dir = git_dir(root).ok_or_else(|| io::Error::other("no repository"))?;
        write_new(&dir.join(POINTER), campaign.as_bytes())
    }

    /// Takes the pointer out of the repository.
    pub fn unpoint(&self, root: &Path) {
        if let Some(dir) = git_dir(root) {
            let _ = fs::remove_file(dir.join(POINTER));
        }
    }

    /// Counts one tool call: a byte at the end of a file, which needs no lock.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub fn count_call(&self, root: &Path) -> io::Result<()> {
        let path = self.place(root).join("calls");
        fs::OpenOptions::new().append(true).create(true).open(path)?.write_all(b".")
    }

    /// Tool calls so far.
    #[must_use]
    pub fn calls(&self, root: &Path) -> u64 {
        fs::metadata(self.place(root).join("calls")).map_or(0, |meta| meta.len())
    }

    /// Keeps the hash of a word by which somebody is known: `person` for who may cancel and raise limits, `claim` for
    /// the session that may take the campaign.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub fn keep_word(&self, root: &Path, of: Word, word: &str) -> io::Result<()> {
        write_new(&self.place(root).join(of.file()), sha256_hex(word.as_bytes()).as_bytes())
    }

    /// Whether `word` is the one that was kept.
    #[must_use]
    pub fn is_word(&self, root: &Path, of: Word, word: &str) -> bool {
        let kept = fs::read_to_string(self.place(root).join(of.file())).unwrap_or_default();
        !word.is_empty() && kept == sha256_hex(word.as_bytes())
    }

    /// Forgets the words of the campaign before.
    pub fn forget_words(&self, root: &Path) {
        for of in [Word::Person, Word::Claim] {
            let _ = fs::remove_file(self.place(root).join(of.file()));
        }
    }
}

/// Whose word it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// A person's.
    Person,
    /// A session's.
    Claim,
}

impl Word {
    fn file(self) -> &'static str {
        match self {
            Self::Person => "person.sha256",
            Self::Claim => "claim.sha256",
        }
    }
}

fn parse(bytes: &[u8], root: &Path) -> Option<HeadFile> {
    let head: HeadFile = serde_json::from_value(read(bytes, &MAX).ok()?).ok()?;
    (head.schema == HEAD_SCHEMA && head.root == root).then_some(head)
}

/// Writes a file so that a reader sees the old or the new bytes, and the new ones survive a crash.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("no folder"))?;
    fs::create_dir_all(folder)?;
    let temp = path.with_extension(format!("tmp-{}", std::process::id()));
    let mut file = fs::File::create(&temp)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temp, path)?;
    fs::File::open(folder)?.sync_all()
}
