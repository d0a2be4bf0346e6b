//! Writing one file of 32-bit floats.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::error::LabError;

/// A tensor to write.
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<f32>,
}

/// Writes `tensors`, in the order given; the header is padded with spaces to a multiple of eight bytes.
pub(crate) fn write(path: &Path, tensors: &[Tensor]) -> Result<(), LabError> {
    let mut header = serde_json::Map::new();
    let mut offset = 0usize;
    for tensor in tensors {
        let end = offset + tensor.data.len() * size_of::<f32>();
        let entry = serde_json::json!({"dtype": "F32", "shape": tensor.shape, "data_offsets": [offset, end]});
        header.insert(tensor.name.clone(), entry);
        offset = end;
    }
    let mut header = serde_json::Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let write = || -> std::io::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        for tensor in tensors {
            for x in &tensor.data {
                out.write_all(&x.to_le_bytes())?;
            }
        }
        out.flush()
    };
    write().map_err(|source| LabError::Io { action: "write", path: path.to_owned(), source })
}
