//! What a stuck process was doing, from the stack that a watchdog dumps (py-spy or faulthandler text).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the main thread was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StackKind {
    /// Waiting for the GPU.
    CudaSync,
    /// In a collective.
    Collective,
    /// Waiting for a message or a queue.
    QueueWait,
    /// Running Python on the CPU.
    PythonLoop,
    /// Asleep elsewhere.
    Idle,
}

/// Frames looked at; those above are what the thread does, those below how it came there.
const FRAMES: usize = 12;

#[derive(Debug, Default)]
pub(crate) struct StackWatch {
    open: Option<Open>,
    decided: Option<(StackKind, u64)>,
}

#[derive(Debug)]
struct Open {
    line: u64,
    state: String,
    frames: Vec<String>,
}

impl StackWatch {
    /// The header of a thread.
    pub(crate) fn thread(&mut self, line: u64, state: &str, name: &str) {
        self.close();
        // The first thread of a dump is the main one where names are missing.
        if self.decided.is_none() && (name.is_empty() || name.contains("MainThread")) {
            self.open = Some(Open { line, state: state.to_owned(), frames: Vec::new() });
        }
    }

    /// A line after it.
    pub(crate) fn frame(&mut self, text: &str) {
        let Some(open) = &mut self.open else { return };
        let frame = text.trim();
        let looks = text.starts_with("  ") && (frame.ends_with(')') || frame.starts_with("File \""));
        if looks && open.frames.len() < FRAMES {
            open.frames.push(frame.chars().take(200).collect::<String>().to_ascii_lowercase());
        } else if !looks {
            self.close();
        }
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take()
            && !open.frames.is_empty()
        {
            self.decided = Some((kind(&open.state, &open.frames), open.line));
        }
    }

    /// What was decided, and the line of the thread.
    pub(crate) fn decided(&self) -> Option<(StackKind, u64)> {
        let open = || {
            self.open.as_ref().filter(|o| !o.frames.is_empty()).map(|o| (kind(&o.state, &o.frames), o.line))
        };
        self.decided.or_else(open)
    }
}

fn kind(state: &str, frames: &[String]) -> StackKind {
    let any = |words: &[&str]| frames.iter().take(6).any(|f| words.iter().any(|w| f.contains(w)));
    if any(&[
        "nccl",
        "all_reduce",
        "all_gather",
        "allreduce",
        "allgather",
        "all_to_all",
        "reduce_scatter",
        "barrier (",
        "broadcast",
    ]) {
        StackKind::Collective
    } else if any(&[
        "eventsynchronize",
        "streamsynchronize",
        "devicesynchronize",
        "ctxsynchronize",
        "synchronize (",
    ]) {
        StackKind::CudaSync
    } else if any(&[
        "zmq",
        "recv_pyobj",
        "epoll",
        "poll (",
        "queue.py",
        "select (",
        "futex",
        "lock_wait",
        "cond_wait",
        "wait (threading",
    ]) {
        StackKind::QueueWait
    } else if state.contains("gil")
        || (state.starts_with("active") && frames.first().is_some_and(|f| f.contains(".py")))
    {
        StackKind::PythonLoop
    } else {
        StackKind::Idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(state: &str, frames: &[&str]) -> Option<StackKind> {
        let mut watch = StackWatch::default();
        watch.thread(7, state, "MainThread");
        for frame in frames {
            watch.frame(frame);
        }
        watch.frame("");
        watch.thread(9, "active+gil", "other");
        watch.frame("    f (x.py:1)");
        watch.decided().map(|(k, _)| k)
    }

    #[test]
    fn kinds_of_stacks() {
        let sync = ["    cuEventSynchronize (libcuda.so.1)", "    synchronize (torch/cuda/streams.py:231)"];
        assert_eq!(decide("active", &sync), Some(StackKind::CudaSync));
        assert_eq!(decide("active", &["    ncclGroupEnd (libnccl.so.2)"]), Some(StackKind::Collective));
        let python = ["    match_prefix (radix_cache.py:20)", "    get_next_batch (scheduler.py:9)"];
        assert_eq!(decide("active+gil", &python), Some(StackKind::PythonLoop));
        assert_eq!(decide("idle", &["    zmq_msg_recv (libzmq.so)"]), Some(StackKind::QueueWait));
        assert_eq!(decide("active", &[]), None);
    }
}
