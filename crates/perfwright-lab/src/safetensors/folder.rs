//! A folder with `model.safetensors`, or with several files and their index.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::header::{self, DType, Entry, Refusal};
use crate::error::LabError;

/// Largest `model.safetensors.index.json`, in bytes.
const MAX_INDEX: u64 = 16 << 20;
/// Most files of a folder.
const MAX_FILES: usize = 1024;

/// The tensors of a folder, by name.
#[derive(Debug)]
pub(crate) struct Folder {
    tensors: BTreeMap<String, (PathBuf, Entry)>,
    dir: PathBuf,
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> LabError {
    let path = path.to_owned();
    move |source| LabError::Io { action, path, source }
}

fn malformed(path: &Path, place: impl Into<String>, cause: impl Into<String>) -> LabError {
    LabError::Malformed { path: path.to_owned(), place: place.into(), cause: cause.into() }
}

/// Opens a regular file. Opening a pipe would wait for its writer, and a device has no end.
fn open(path: &Path) -> Result<File, LabError> {
    if !std::fs::metadata(path).map_err(io("read", path))?.is_file() {
        return Err(malformed(path, "kind", "is not a regular file"));
    }
    File::open(path).map_err(io("read", path))
}

/// Reads a whole file that has at most `max` bytes.
pub(crate) fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, LabError> {
    let mut bytes = Vec::new();
    let file = open(path)?;
    file.take(max + 1).read_to_end(&mut bytes).map_err(io("read", path))?;
    if bytes.len() as u64 > max {
        return Err(malformed(path, "size", format!("more than {max} bytes")));
    }
    Ok(bytes)
}

impl Folder {
    /// Reads the headers of all files.
    pub(crate) fn open(dir: &Path) -> Result<Self, LabError> {
        let single = dir.join("model.safetensors");
        let index = dir.join("model.safetensors.index.json");
        let files = if single.is_file() || !index.is_file() { vec![single] } else { indexed(dir, &index)? };
        let mut tensors = BTreeMap::new();
        for path in files {
            for (name, entry) in read_header(&path)? {
                if tensors.insert(name.clone(), (path.clone(), entry)).is_some() {
                    return Err(malformed(&path, name, "is in another file of the folder too"));
                }
            }
        }
        Ok(Self { tensors, dir: dir.to_owned() })
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The elements of a tensor that has to have that shape.
    pub(crate) fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LabError> {
        let Some((path, entry)) = self.tensors.get(name) else {
            return Err(malformed(&self.dir, name, "is missing"));
        };
        if entry.shape != shape {
            let cause = format!("has shape {:?}, config.json asks for {shape:?}", entry.shape);
            return Err(malformed(path, name, cause));
        }
        if entry.dtype == DType::Other {
            return Err(LabError::Unsupported {
                path: path.clone(),
                what: format!("the type of {name}"),
                hint: "F32, F16 or BF16".into(),
            });
        }
        let mut file = open(path)?;
        file.seek(SeekFrom::Start(entry.start)).map_err(io("read", path))?;
        let mut bytes = vec![0; entry.len];
        file.read_exact(&mut bytes).map_err(io("read", path))?;
        Ok(entry.dtype.decode(&bytes))
    }
}

fn read_header(path: &Path) -> Result<BTreeMap<String, Entry>, LabError> {
    let refused = |r: Refusal| malformed(path, r.place, r.cause);
    let mut file = open(path)?;
    let file_len = file.metadata().map_err(io("read", path))?.len();
    let mut first = [0; 8];
    file.read_exact(&mut first).map_err(|e| malformed(path, "byte 0", e.to_string()))?;
    let len = header::header_len(first, file_len).map_err(refused)?;
    let mut json = vec![0; len];
    file.read_exact(&mut json).map_err(io("read", path))?;
    let data_start = 8 + len as u64;
    header::parse(&json, data_start, file_len.saturating_sub(data_start)).map_err(refused)
}

/// The files that an index names. They lie in the folder itself: a name with a separator is refused.
fn indexed(dir: &Path, index: &Path) -> Result<Vec<PathBuf>, LabError> {
    let bytes = read_bounded(index, MAX_INDEX)?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| malformed(index, "JSON", e.to_string()))?;
    let Some(map) = value.get("weight_map").and_then(Value::as_object) else {
        return Err(malformed(index, "weight_map", "is missing"));
    };
    let mut names = BTreeSet::new();
    for (tensor, file) in map {
        let name = file.as_str().unwrap_or_default();
        if !name.ends_with(".safetensors") || name.contains(['/', '\\', '\0']) {
            return Err(malformed(index, tensor.clone(), "does not name a safetensors file of this folder"));
        }
        names.insert(name.to_owned());
        if names.len() > MAX_FILES {
            return Err(malformed(index, "weight_map", format!("more than {MAX_FILES} files")));
        }
    }
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}
