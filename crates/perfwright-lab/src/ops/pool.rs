//! The threads and instructions that operators run on.

use rayon::prelude::*;

use super::simd::Simd;
use crate::error::LabError;

/// Elements below which an elementwise operator is not worth a second thread.
pub(crate) const PARALLEL_ELEMENTS: usize = 32 * 1024;
/// Most threads that can be asked for.
const MAX_THREADS: usize = 512;

/// What every operator gets: threads, and vector instructions this processor has.
pub(crate) struct Context {
    pool: Option<rayon::ThreadPool>,
    pub(crate) threads: usize,
    pub(crate) simd: Simd,
}

impl Context {
    /// `threads` 0 means as many as the process may use.
    pub(crate) fn new(threads: usize, simd: Option<Simd>) -> Result<Self, LabError> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            n if n <= MAX_THREADS => n,
            n => {
                let cause = format!("{n} is more than {MAX_THREADS}");
                return Err(LabError::Setting { setting: "threads", cause });
            }
        };
        let simd = simd.unwrap_or_else(Simd::detect);
        if !simd.available() {
            let cause = format!("this processor has no {}", simd.name());
            return Err(LabError::Setting { setting: "simd", cause });
        }
        let pool = if threads == 1 {
            None
        } else {
            let built = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(|i| format!("lab-compute-{i}"))
                .build();
            Some(built.map_err(|e| LabError::Setting { setting: "threads", cause: e.to_string() })?)
        };
        Ok(Self { pool, threads, simd })
    }

    /// Runs `work` on a thread of the pool, so that its parallel parts start without a hand-over.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// Runs `task(0..tasks)`; which thread takes which task is open.
    pub(crate) fn each(&self, tasks: usize, task: impl Fn(usize) + Sync + Send) {
        if self.pool.is_none() || tasks <= 1 {
            (0..tasks).for_each(task);
        } else {
            (0..tasks).into_par_iter().with_max_len(1).for_each(task);
        }
    }

    /// Cuts `rows` rows of `width` elements into pieces that are worth a thread, and runs `task(first, count)`.
    pub(crate) fn rows(&self, rows: usize, width: usize, task: impl Fn(usize, usize) + Sync + Send) {
        let elements = rows.saturating_mul(width);
        if self.pool.is_none() || elements < PARALLEL_ELEMENTS || rows < 2 {
            return task(0, rows);
        }
        let pieces = (elements / (PARALLEL_ELEMENTS / 2)).clamp(2, 4 * self.threads).min(rows);
        self.each(pieces, |i| {
            let (first, end) = (rows * i / pieces, rows * (i + 1) / pieces);
            task(first, end - first);
        });
    }
}
