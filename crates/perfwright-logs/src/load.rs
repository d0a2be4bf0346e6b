//! Load as the engine's progress lines tell it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hit::Hit;
use crate::prefix::Ranks;

/// Sums over the progress lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// Lines about prefill steps.
    pub prefill_lines: u64,
    /// Lines about decode steps.
    pub decode_lines: u64,
    /// Decode lines that say a CUDA graph ran.
    pub decode_graph: u64,
    /// Decode lines that say none ran.
    pub decode_no_graph: u64,
    /// Most requests running at once on a rank.
    pub max_running: i64,
    /// Most requests waiting at once on a rank.
    pub max_waiting: i64,
    /// Line where a rank's queue was longest.
    pub longest_queue_line: Option<u64>,
    /// First decode line.
    #[serde(skip)]
    pub(crate) first_decode: Option<u64>,
}

const KEPT: usize = 8;
const MAX_RANKS: usize = 4096;

/// Queue lengths of one rank: the first and the last few.
#[derive(Debug, Default)]
struct Queue {
    seen: usize,
    head: Vec<i64>,
    tail: [i64; KEPT],
    least: i64,
    waiting: i128,
    running: i128,
    line: u64,
}

#[derive(Debug, Default)]
pub(crate) struct LoadWatch {
    pub(crate) sums: Load,
    queues: BTreeMap<Ranks, Queue>,
}

impl LoadWatch {
    pub(crate) fn take(&mut self, hit: &Hit<'_>) {
        let decode = hit.signature.id.ends_with(".decode");
        if decode {
            self.sums.decode_lines += 1;
            self.sums.first_decode.get_or_insert(hit.line);
            match hit.value("graph").map(crate::hit::Value::text).as_deref() {
                Some("True") => self.sums.decode_graph += 1,
                Some("False") => self.sums.decode_no_graph += 1,
                _ => {}
            }
        } else if hit.signature.id.ends_with(".prefill") {
            self.sums.prefill_lines += 1;
        }
        let running = hit.int("running").unwrap_or(0);
        self.sums.max_running = self.sums.max_running.max(running);
        let Some(waiting) = hit.int("waiting") else { return };
        if waiting > self.sums.max_waiting {
            self.sums.max_waiting = waiting;
            self.sums.longest_queue_line = Some(hit.line);
        }
        if self.queues.len() >= MAX_RANKS && !self.queues.contains_key(&hit.prefix.ranks) {
            return;
        }
        let queue = self
            .queues
            .entry(hit.prefix.ranks)
            .or_insert_with(|| Queue { least: i64::MAX, ..Queue::default() });
        if queue.head.len() < KEPT {
            queue.head.push(waiting);
        }
        queue.tail[queue.seen % KEPT] = waiting;
        queue.seen += 1;
        queue.least = queue.least.min(waiting);
        queue.waiting += i128::from(waiting);
        queue.running += i128::from(running);
        queue.line = hit.line;
    }

    /// The line that shows a queue that grows, or that stays longer than what runs. Short queues are no finding.
    pub(crate) fn queueing(&self) -> Option<u64> {
        self.queues
            .values()
            .filter(|q| {
                let part = (q.seen / 3).clamp(1, KEPT);
                let head: i64 = q.head.iter().take(part).sum();
                let tail: i64 = (0..part).map(|back| q.tail[(q.seen - 1 - back) % KEPT]).sum();
                let part = part as i64;
                let grows = tail > 2 * head && tail - head >= 4 * part;
                let stays = q.least >= 1 && q.waiting > q.running.max(4 * q.seen as i128);
                q.seen >= 3 && (grows || stays)
            })
            .map(|q| q.line)
            .min()
    }
}
