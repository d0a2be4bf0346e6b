//! Input files, named by their hash.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use perfwright_evidence::sha256_hex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::WorkloadError;

/// Longest file that is read: 1 GiB.
pub const MAX_INPUT: u64 = 1 << 30;

/// A file of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputFile {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

impl InputFile {
    /// Reads the file at `path` and names it.
    ///
    /// # Errors
    /// It cannot be read or is too long.
    pub fn open(path: &Path) -> Result<Self, WorkloadError> {
        Ok(Self { path: path.to_owned(), sha256: sha256_hex(&bytes(path)?) })
    }

    /// The bytes, which must be those that were named.
    ///
    /// # Errors
    /// As [`InputFile::open`], or the file has changed.
    pub fn read(&self) -> Result<Vec<u8>, WorkloadError> {
        let bytes = bytes(&self.path)?;
        if sha256_hex(&bytes) != self.sha256 {
            return Err(WorkloadError::Changed { path: self.path.clone() });
        }
        Ok(bytes)
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, WorkloadError> {
    let io = |source| WorkloadError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(MAX_INPUT + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_INPUT {
        return Err(WorkloadError::TooLarge { path: path.to_owned(), limit: MAX_INPUT });
    }
    Ok(bytes)
}
