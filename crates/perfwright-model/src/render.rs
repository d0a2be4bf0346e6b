//! The answers as documents for people.

use perfwright_report::{Cell, Column, Document, Table};

use crate::memory::Memory;
use crate::parallel::Parallel;
use crate::params::Params;
use crate::report::{OpsReport, Row};
use crate::roofline::Bound;
use crate::show::{self, Show, Summary};
use crate::whatif::WhatIf;

/// `model memory`.
pub fn memory(m: &Memory) -> Document {
    let mut doc = Document::new("Model memory");
    head(&mut doc, &m.model, &m.notes, &m.unread);
    params(&mut doc, &m.params);
    doc.fact("weights", bytes(m.weight_bytes));
    doc.fact("parallelism", Cell::text(parallel(&m.parallel)));
    let mut table = Table::new(
        "memory",
        "On one rank",
        vec![
            Column::text("what", "What"),
            Column::number("bytes", "Size"),
            Column::text("meaning", "Meaning"),
        ],
    );
    let kv = m.kv_dtype.name();
    let mut push = |what: &str, size: Cell, meaning: &str| {
        table.push(vec![Cell::text(what), size, Cell::text(meaning)]);
    };
    push("weights", bytes(m.weights_per_rank.total), "fullest rank, with scales");
    push("  routed experts", bytes(m.weights_per_rank.experts), "part of the weights");
    push("  embedding and head", bytes(m.weights_per_rank.embedding), "part of the weights");
    push("cache per token, bf16, TP 1", Cell::Bytes(m.kv_bytes_per_token), "every layer at full context");
    push(
        &format!("cache per token, {kv}"),
        Cell::Bytes(m.kv_bytes_per_token_per_rank),
        "every layer at full context, as asked",
    );
    push(
        "  layers that keep every token",
        Cell::Bytes(m.kv_bytes_per_token_unbounded_per_rank),
        "part of the cache",
    );
    if m.indexer_bytes_per_token_per_rank > 0 {
        push("indexer cache per token", Cell::Bytes(m.indexer_bytes_per_token_per_rank), "beside the cache");
    }
    for window in &m.windows {
        let what = format!("window of {} tokens", window.tokens);
        push(&what, Cell::Bytes(window.bytes_per_token), &format!("per token, {} layers", window.layers));
    }
    if m.state_bytes_per_request_per_rank > 0 {
        push("states per request", Cell::Bytes(m.state_bytes_per_request_per_rank), "at any context");
    }
    if m.kv_copies > 1.0 {
        table.notes.push(format!("the ranks of a replica hold each token {:.2} times", m.kv_copies));
    }
    doc.tables.push(table);
    if let Some(fit) = &m.gpu {
        let mut table = Table::new(
            "gpu",
            format!("On {}", fit.name),
            vec![Column::text("what", "What"), Column::number("value", "Value")],
        );
        table.push(vec![Cell::text("memory"), Cell::Bytes(fit.memory_bytes)]);
        table.push(vec![Cell::text("share for weights and cache"), Cell::Share(fit.fraction)]);
        table.push(vec![Cell::text("left for the cache"), Cell::Bytes(fit.kv_bytes)]);
        table.push(vec![Cell::text("tokens, blocks of 16 (vLLM)"), Cell::count(fit.tokens)]);
        table.push(vec![Cell::text("tokens, default ratios (SGLang)"), Cell::count(fit.sglang_tokens)]);
        if let Some(requests) = fit.requests {
            table.push(vec![Cell::text("requests of that context"), Cell::count(requests)]);
        }
        table.notes.push(
            "an upper bound: activations, graphs and communication buffers are not taken off".to_owned(),
        );
        if !fit.weights_fit {
            doc.warnings
                .push(format!("the weights do not fit on {} with this share of its memory", fit.name));
        }
        doc.tables.push(table);
    }
    doc
}

/// `model ops`.
pub fn ops(r: &OpsReport) -> Document {
    let mut doc = Document::new("Model operators");
    head(&mut doc, &r.model, &r.notes, &r.unread);
    let q = &r.question;
    let phase = match q.phase {
        crate::ops::Phase::Prefill => "prefill",
        crate::ops::Phase::Decode => "decode",
    };
    doc.fact(
        "step",
        Cell::text(format!(
            "{phase}, {} requests, {} new tokens each, {} in the cache",
            q.batch, q.tokens, q.context
        )),
    );
    doc.fact("on", Cell::text(format!("{}, {}", q.gpu, parallel(&q.parallel))));
    doc.fact("formats", Cell::text(format!("weights {}, cache {}", q.dtype, q.kv_dtype.name())));
    doc.fact("flops", Cell::text(flops(r.totals.flops)));
    doc.fact("bytes", bytes(r.totals.bytes));
    doc.fact("sent", bytes(r.totals.comm_bytes));
    doc.fact("least time", us(r.roofline.time_us));
    doc.fact("bound by", Cell::text(r.roofline.bound.name()));
    doc.fact("least time, all overlapped", us(r.roofline.overlapped_us));
    if let Some(m) = &r.measured {
        doc.fact("measured", us(m.time_us));
        doc.fact("MFU", m.mfu.map_or(Cell::Empty, Cell::Share));
        doc.fact("MBU", m.mbu.map_or(Cell::Empty, Cell::Share));
        doc.fact("measured over least", Cell::Ratio(m.over_bound));
        if m.impossible {
            doc.warnings.push(
                "the measured time is shorter than the hardware allows: check format, tokens, ranks and GPU"
                    .to_owned(),
            );
        }
    }
    let mut table = Table::new(
        "ops",
        "Operators on one rank",
        vec![
            Column::text("part", "Layer"),
            Column::code("name", "Operator"),
            Column::number("layers", "Layers"),
            Column::text("shape", "Rows x out x in"),
            Column::text("format", "Format"),
            Column::number("flops", "FLOPs"),
            Column::number("bytes", "Bytes"),
            Column::number("comm_bytes", "Sent"),
            Column::number("time_ns", "Least time"),
            Column::number("share", "Share"),
            Column::text("bound", "Bound"),
        ],
    )
    .weighted_by("share");
    for row in &r.ops {
        table.push(op_row(row, r.roofline.time_us));
    }
    table.notes.extend(r.assumptions.iter().cloned());
    doc.tables.push(table);
    let mut bounds = Table::new(
        "bounds",
        "What limits the step",
        vec![
            Column::text("bound", "Bound"),
            Column::number("time_ns", "Time"),
            Column::number("share", "Share"),
        ],
    );
    let t = &r.roofline;
    for (bound, time) in [
        (Bound::Memory, t.memory_us),
        (Bound::Compute, t.compute_us),
        (Bound::Communication, t.communication_us),
        (Bound::Launch, t.launch_us),
    ] {
        bounds.push(vec![Cell::text(bound.name()), us(time), share(time, t.time_us)]);
    }
    doc.tables.push(bounds);
    doc
}

fn op_row(row: &Row, all_us: f64) -> Vec<Cell> {
    let shape = row.shape.map_or(Cell::Empty, |[m, n, k]| Cell::text(format!("{m} x {n} x {k}")));
    vec![
        Cell::text(&row.part),
        Cell::text(&row.name),
        Cell::count(row.layers),
        shape,
        Cell::text(&row.format),
        count(row.flops),
        bytes(row.bytes),
        bytes(row.comm_bytes),
        us(row.time_us),
        share(row.time_us, all_us),
        Cell::text(row.bound.name()),
    ]
}

/// `model whatif`.
pub fn whatif(w: &WhatIf) -> Document {
    let mut doc = Document::new("Model what-if");
    head(&mut doc, &w.model, &w.notes, &[]);
    doc.fact("gpu", Cell::text(&w.gpu));
    doc.fact("its memory", Cell::Bytes(w.memory_bytes));
    doc.fact("share for weights and cache", Cell::Share(w.fraction));
    let mut table = Table::new(
        "whatif",
        "Combinations",
        vec![
            Column::number("tp", "TP"),
            Column::number("dp", "DP"),
            Column::number("ep", "EP"),
            Column::number("pp", "PP"),
            Column::text("dtype", "Weights"),
            Column::text("kv_dtype", "Cache"),
            Column::number("batch", "Batch"),
            Column::number("context", "Context"),
            Column::number("weights_per_rank", "Weights/rank"),
            Column::number("kv_bytes_per_token_per_rank", "Cache/token"),
            Column::number("max_tokens", "Tokens fit"),
            Column::text("fits", "Fits"),
            Column::number("tpot_ns", "TPOT at least"),
            Column::text("bound", "Bound"),
        ],
    );
    for row in &w.rows {
        let p = &row.parallel;
        table.push(vec![
            Cell::count(p.tp),
            Cell::count(p.dp),
            Cell::count(p.ep),
            Cell::count(p.pp),
            Cell::text(&row.dtype),
            Cell::text(row.kv_dtype.name()),
            Cell::count(row.batch),
            Cell::count(row.context),
            bytes(row.weights_per_rank),
            Cell::Bytes(row.kv_bytes_per_token_per_rank),
            Cell::count(row.max_tokens),
            Cell::text(if row.fits { "yes" } else { "no" }),
            us(row.tpot_us),
            Cell::text(row.bound.name()),
        ]);
    }
    for refused in &w.refused {
        table.notes.push(format!("{}: {}", parallel(&refused.parallel), refused.reason));
    }
    table.notes.push("memory left for the cache is an upper bound, TPOT a lower one".to_owned());
    doc.tables.push(table);
    doc
}

/// `model show`.
pub fn show(s: &Show) -> Document {
    let mut doc = Document::new("Model");
    head(&mut doc, &s.model, &s.notes, &s.unread);
    params(&mut doc, &s.params);
    if !s.families.is_empty() {
        doc.fact("read with", Cell::text(s.families.join(", ")));
    }
    for tower in &s.towers {
        doc.fact(format!("{} tower", tower.kind), Cell::text("stated, not modelled"));
    }
    let mut table = Table::new(
        "kinds",
        "Kinds of layers",
        vec![
            Column::number("layers", "Layers"),
            Column::text("name", "Kind"),
            Column::text("detail", "Dimensions"),
            Column::number("params", "Parameters"),
            Column::number("active", "Active"),
            Column::number("kv_bytes_per_token", "Cache/token"),
            Column::number("state_bytes_per_request", "State/request"),
        ],
    );
    for kind in &s.kinds {
        table.push(vec![
            Cell::count(kind.layers),
            Cell::text(&kind.name),
            Cell::text(show::describe(&kind.layer).replace("<br/>", "; ")),
            count(kind.params),
            count(kind.active),
            Cell::Bytes(kind.kv_bytes_per_token),
            Cell::Bytes(kind.state_bytes_per_request),
        ]);
    }
    doc.tables.push(table);
    doc
}

fn head(doc: &mut Document, model: &Summary, notes: &[String], unread: &[String]) {
    let class = model.architectures.first().or(model.model_type.as_ref());
    doc.fact("model", class.map_or(Cell::Empty, Cell::text));
    let kinds: Vec<String> =
        model.kinds.iter().map(|kind| format!("{} x {}", kind.layers, kind.name)).collect();
    doc.fact("layers", Cell::text(kinds.join(", ")));
    if model.mtp_layers > 0 {
        doc.fact("draft layers", Cell::count(model.mtp_layers));
    }
    doc.fact("stored as", Cell::text(model.quantization.as_ref().unwrap_or(&model.dtype)));
    doc.warnings.extend(notes.iter().cloned());
    if !unread.is_empty() {
        doc.warnings
            .push(format!("fields that look like dimensions and were not understood: {}", unread.join(", ")));
    }
}

fn params(doc: &mut Document, params: &Params) {
    doc.fact("parameters", count(params.total));
    doc.fact("active per token", count(params.active));
    if params.mtp > 0 {
        doc.fact("draft parameters", count(params.mtp));
    }
}

fn parallel(p: &Parallel) -> String {
    format!("TP {}, DP {}, EP {}, PP {}", p.tp, p.dp, p.ep, p.pp)
}

fn bytes(value: u128) -> Cell {
    u64::try_from(value).map_or_else(|_| Cell::text(value.to_string()), Cell::Bytes)
}

fn count(value: u128) -> Cell {
    u64::try_from(value).map_or_else(|_| Cell::text(value.to_string()), Cell::count)
}

/// Nanoseconds, so that the least times of small operators are not rounded away.
fn us(value: f64) -> Cell {
    Cell::DurationNs((value * 1e3).round().clamp(0.0, 9e18) as i64)
}

fn share(part: f64, whole: f64) -> Cell {
    if whole > 0.0 { Cell::Share(part / whole) } else { Cell::Empty }
}

fn flops(value: u128) -> String {
    let scaled = value as f64;
    let units = [(1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP")];
    let unit = units.into_iter().find(|(size, _)| scaled >= *size);
    unit.map_or_else(|| format!("{value} FLOP"), |(size, name)| format!("{:.4} {name}", scaled / size))
}
