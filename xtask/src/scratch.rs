//! A temporary folder that goes away with its value.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A fresh folder below the system's temporary folder.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes the folder.
    ///
    /// # Panics
    /// Where no temporary folder can be made; nothing of this crate can go on without one.
    pub fn new(name: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("perfwright-{name}-{}-{number}", std::process::id()));
        match std::fs::create_dir_all(&path) {
            Ok(()) => Self(path),
            Err(e) => panic!("{}: {e}", path.display()),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file below it, with the folders it needs.
    ///
    /// # Panics
    /// Where the file cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        let made =
            path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
        if let Err(e) = made {
            panic!("{}: {e}", path.display());
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Leaving a temporary folder behind is no reason to fail.
        std::fs::remove_dir_all(&self.0).ok();
    }
}
