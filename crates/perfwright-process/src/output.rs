//! The child's output: to a bounded file, and live to whoever listens.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputStats {
    /// Bytes that the child wrote.
    pub written: u64,
    /// Bytes that are in the file.
    pub kept: u64,
    /// Bytes left out between the file's first and second half; the file says so where they were.
    pub dropped: u64,
    /// Bytes that the live listener was too slow for. It sees everything up to the first of them.
    pub unheard: u64,
}

const PIECE: usize = 64 * 1024;
/// Pieces that may wait for the listener: 16 MiB.
const WAITING: usize = 256;

#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) live: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<io::Result<OutputStats>>>,
}

impl Output {
    /// Copies `pipe` to `file` until it ends.
    pub(crate) fn start(pipe: impl Read + Send + 'static, file: File, max: u64) -> io::Result<Self> {
        let (sender, live) = sync_channel(WAITING);
        let copy = move || copy(pipe, file, max, &sender);
        let thread = std::thread::Builder::new().name("child-output".to_owned()).spawn(copy)?;
        Ok(Self { live, thread: Some(thread) })
    }

    /// Whether the pipe has ended: every process that could write is gone.
    pub(crate) fn ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// What became of the output, once it has ended.
    pub(crate) fn finish(&mut self, path: &Path) -> Result<OutputStats, crate::ProcessError> {
        let Some(thread) = self.thread.take() else { return Ok(OutputStats::default()) };
        let result =
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the copy of the output ended early")));
        result.map_err(|source| crate::ProcessError::Output { path: path.to_owned(), source })
    }
}

fn copy(
    mut pipe: impl Read,
    mut file: File,
    max: u64,
    live: &SyncSender<Vec<u8>>,
) -> io::Result<OutputStats> {
    let mut stats = OutputStats::default();
    let half = max / 2;
    let mut end: VecDeque<Vec<u8>> = VecDeque::new();
    let mut end_bytes = 0u64;
    let mut failed = None;
    let mut deaf = false;
    let mut buffer = vec![0; PIECE];
    loop {
        let n = match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let piece = &buffer[..n];
        stats.written += n as u64;
        // The child never waits for a slow listener or a full disk: it would be measured as a slow server.
        if !deaf {
            match live.try_send(piece.to_vec()) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => {
                    deaf = true;
                    stats.unheard += n as u64;
                }
                Err(TrySendError::Disconnected(_)) => deaf = true,
            }
        } else {
            stats.unheard += n as u64;
        }
        if failed.is_some() {
            stats.dropped += n as u64;
            continue;
        }
        let room = half.saturating_sub(stats.kept).min(n as u64) as usize;
        let (head, tail) = piece.split_at(room);
        if let Err(e) = file.write_all(head) {
            failed = Some(e);
            continue;
        }
        stats.kept += head.len() as u64;
        if !tail.is_empty() {
            end_bytes += tail.len() as u64;
            end.push_back(tail.to_vec());
            while let Some(first) = end.front().filter(|f| end_bytes - f.len() as u64 >= max - half) {
                end_bytes -= first.len() as u64;
                stats.dropped += first.len() as u64;
                end.pop_front();
            }
        }
    }
    if let Some(e) = failed {
        return Err(e);
    }
    if stats.dropped > 0 {
        writeln!(file, "\n[perfwright: {} bytes of output left out here]", stats.dropped)?;
    }
    for piece in end {
        file.write_all(&piece)?;
        stats.kept += piece.len() as u64;
    }
    file.flush()?;
    Ok(stats)
}
