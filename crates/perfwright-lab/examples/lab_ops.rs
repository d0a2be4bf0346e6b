//! Naive against fused operators, and both against the bandwidth of the memory.
//!
//! `cargo run --release -p perfwright-lab --example lab_ops -- [MODEL] [BATCH] [CONTEXT] [BLOCKS] [THREADS]`
//! (small, 8, 2048, 12, all)
//!
//! Prints, for a decode step and for a prefill chunk, each operator's time a step (its fastest call times the calls), the bytes it cannot avoid moving
//! (each input read once, each output written once), and the share of the read bandwidth measured in the same run that
//! this amounts to; then the decode throughput of fused over naive operators from blocks of steps in the order A B B A,
//! with a 95 % interval. Prefill products and attention are bound by arithmetic, so their share says nothing there.
#![expect(clippy::print_stdout, reason = "a command")]
#![expect(clippy::unwrap_used, reason = "a command over its own data; a panic is its error message")]

use std::collections::BTreeMap;
use std::time::Instant;

use perfwright_lab::{
    BlockTable, KvCache, Model, ModelConfig, ModelOptions, Observer, OpRecord, OpTable, SeqChunk, Weights,
    bandwidth,
};
use perfwright_stats::difference::paired;

/// Steps of a block.
const STEPS: usize = 5;
/// Tokens of the prefill chunk that is measured.
const CHUNK: usize = 512;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: usize| args.get(i).map_or(default, |a| a.parse().unwrap());
    let config = ModelConfig::preset(args.first().map_or("small", String::as_str)).unwrap();
    let (batch, context, blocks) = (number(1, 8), number(2, 2048), number(3, 12));
    let start = Instant::now();
    let weights = Weights::from_seed(&config, 0).unwrap();
    let loaded = start.elapsed();
    let options = ModelOptions { threads: number(4, 0), ops: OpTable::fused(), simd: None };
    let mut model = Model::new(weights, options).unwrap();
    println!(
        "{}: {:.1} M parameters, drawn in {:.2} s; {} threads, {}",
        config.name,
        config.num_parameters() as f64 / 1e6,
        loaded.as_secs_f64(),
        model.threads(),
        model.simd().name()
    );
    let bytes = 512 << 20;
    let read = bandwidth::measure_read(model.threads(), bytes, 20).unwrap();
    let triad = bandwidth::measure_triad(model.threads(), bytes, 5).unwrap();
    println!("memory: read {:.1} GB/s, triad {:.1} GB/s", read / 1e9, triad / 1e9);

    let mut bench = Bench::new(&config, batch, context);
    let start = Instant::now();
    bench.prefill(&mut model);
    println!(
        "prefill: {} tokens in chunks of {CHUNK}, {:.0} tokens/s",
        batch * context,
        (batch * context) as f64 / start.elapsed().as_secs_f64()
    );
    println!(
        "a decode step at batch {batch}, context {context}: {:.1} MB of weights, {:.1} MB of keys and values\n",
        model.weights().bytes_per_step() as f64 / 1e6,
        (batch * (context + 1) * KvCache::bytes_per_token(&config)) as f64 / 1e6
    );
    for (name, ops) in [("naive", OpTable::naive()), ("fused", OpTable::fused())] {
        model.set_ops(ops);
        let records = bench.observe(2 * STEPS, &mut model, Bench::decode);
        print_shares(&format!("decode, {name}"), &records, read, 2 * STEPS);
        let records = bench.observe(2, &mut model, Bench::prefill_chunk);
        print_shares(&format!("prefill of {CHUNK}, {name}"), &records, read, 2);
    }
    bench.compare(&mut model, blocks);
}

struct Bench {
    kv: KvCache,
    tables: Vec<BlockTable>,
    spare: BlockTable,
    prompt: Vec<u32>,
    context: usize,
}

impl Bench {
    fn new(config: &ModelConfig, batch: usize, context: usize) -> Self {
        let pages = (context + 1).div_ceil(16);
        let mut kv = KvCache::new(config, pages * batch + CHUNK / 16, 16).unwrap();
        let mut reserve = |tokens| {
            let mut table = BlockTable::new();
            kv.reserve(&mut table, tokens).unwrap();
            table
        };
        let tables = (0..batch).map(|_| reserve(context + 1)).collect();
        let spare = reserve(CHUNK);
        let prompt = (0..context.max(CHUNK)).map(|i| (i * i / 7 % 256) as u32).collect();
        Self { kv, tables, spare, prompt, context }
    }

    fn prefill(&mut self, model: &mut Model) {
        for table in &self.tables {
            for start in (0..self.context).step_by(CHUNK) {
                let tokens = &self.prompt[start..(start + CHUNK).min(self.context)];
                model
                    .forward(&mut self.kv, &[SeqChunk { table, start, tokens, want_logits: false }], None)
                    .unwrap();
            }
        }
    }

    /// The same step again and again: a token for each sequence, after `context` others.
    fn decode(&mut self, model: &mut Model, observer: Option<&mut Observer>) {
        let chunk = |table| SeqChunk { table, start: self.context, tokens: &[65], want_logits: true };
        let batch: Vec<_> = self.tables.iter().map(chunk).collect();
        model.forward(&mut self.kv, &batch, observer).unwrap();
    }

    fn prefill_chunk(&mut self, model: &mut Model, observer: Option<&mut Observer>) {
        let tokens = &self.prompt[..CHUNK];
        let chunk = SeqChunk { table: &self.spare, start: 0, tokens, want_logits: true };
        model.forward(&mut self.kv, &[chunk], observer).unwrap();
    }

    fn observe(
        &mut self,
        steps: usize,
        model: &mut Model,
        step: fn(&mut Self, &mut Model, Option<&mut Observer>),
    ) -> Vec<OpRecord> {
        step(self, model, None);
        let mut observer = Observer::new(Instant::now());
        (0..steps).for_each(|_| step(self, model, Some(&mut observer)));
        observer.take()
    }

    fn compare(&mut self, model: &mut Model, blocks: usize) {
        let mut seconds = [Vec::new(), Vec::new()];
        for _ in 0..blocks {
            let mut block = [0.0; 2];
            for side in [0, 1, 1, 0] {
                model.set_ops(if side == 0 { OpTable::naive() } else { OpTable::fused() });
                self.decode(model, None);
                let start = Instant::now();
                (0..STEPS).for_each(|_| self.decode(model, None));
                block[side] += start.elapsed().as_secs_f64();
            }
            (0..2).for_each(|side| seconds[side].push(block[side]));
        }
        let rate =
            |side: usize| (blocks * 2 * STEPS * self.tables.len()) as f64 / seconds[side].iter().sum::<f64>();
        println!("decode throughput: naive {:.1}, fused {:.1} tokens/s", rate(0), rate(1));
        let logs = seconds.map(|s| s.iter().map(|t| t.ln()).collect::<Vec<_>>());
        if let Some(e) = paired(&logs[1], &logs[0], 10_000, 1, 0.95) {
            let (value, low, high) = (e.value.exp(), e.low.exp(), e.high.exp());
            println!("fused over naive: {value:.3}x, 95 % interval {low:.3} to {high:.3}, {} blocks", e.n);
        }
    }
}

fn print_shares(title: &str, records: &[OpRecord], read: f64, steps: usize) {
    let mut rows: BTreeMap<(&str, &str), (f64, f64, usize)> = BTreeMap::new();
    for r in records {
        // Of the embedding table only the rows of the batch are read.
        let shapes = if r.op == "embedding" { &[r.shapes[1]; 2][..] } else { &r.shapes };
        let row = rows.entry((r.kernel, r.role)).or_insert((f64::INFINITY, 0.0, 0));
        row.0 = row.0.min((r.end_ns - r.start_ns) as f64 / 1e9);
        row.1 = shapes.iter().map(|s| 4.0 * (s[0] * s[1]) as f64).sum::<f64>();
        row.2 += 1;
    }
    for row in rows.values_mut() {
        // The fastest call stands for all: other processes only ever make one slower.
        row.0 *= row.2 as f64;
        row.1 *= row.2 as f64;
    }
    let total: f64 = rows.values().map(|r| r.0).sum();
    println!("{title}: {:.2} ms a step", total / steps as f64 * 1e3);
    println!(
        "  {:<30} {:<20} {:>6} {:>10} {:>10} {:>7} {:>10}",
        "kernel", "role", "calls", "us/step", "MB/step", "time", "bandwidth"
    );
    for ((kernel, role), (seconds, bytes, calls)) in rows {
        println!(
            "  {kernel:<30} {role:<20} {:>6} {:>10.1} {:>10.3} {:>6.1}% {:>9.1}%",
            calls / steps,
            seconds / steps as f64 * 1e6,
            bytes / steps as f64 / 1e6,
            100.0 * seconds / total,
            100.0 * bytes / seconds / read
        );
    }
    println!();
}
