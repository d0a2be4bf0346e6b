//! What is true about a generated trace, written beside it as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::options::{Annotation, Class, Engine, Gpu, Options};
use super::plan::PATTERNS;

/// One engine pass on the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its class.
    pub class: Class,
    /// Start of its first device event, ns.
    pub start_ns: i64,
    /// From there to the end of its last device event, ns.
    pub duration_ns: i64,
    /// Requests in the pass.
    pub batch: u32,
    /// Tokens in the pass.
    pub tokens: u32,
    /// Device events.
    pub events: u64,
    /// Union of all device intervals, ns.
    pub busy_ns: i64,
    /// Union of communication intervals, ns.
    pub communication_ns: i64,
    /// Communication time in which no other kernel runs on the device, ns.
    pub exposed_communication_ns: i64,
    /// The annotation that names the pass, if written.
    pub annotation: Option<String>,
}

/// Count and summed duration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Total {
    /// Events.
    pub count: u64,
    /// Summed duration, ns.
    pub total_ns: i64,
}

impl Total {
    /// Adds one event.
    pub fn add(&mut self, dur: i64) {
        self.count += 1;
        self.total_ns += dur;
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.total_ns += other.total_ns;
    }

    fn json(self) -> Value {
        json!({"count": self.count, "total_ns": self.total_ns})
    }
}

/// What is true about one kernel name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelTruth {
    /// True category, `a|b` where either is right.
    pub category: &'static str,
    /// Launches and time per class.
    pub by_class: BTreeMap<Class, Total>,
    /// Launches and time per source (`path:line func`); graph kernels have theirs in the capture trace only.
    pub sources: BTreeMap<String, Total>,
    /// Launches and time of graph kernels, whose source only the capture trace tells.
    pub in_graph: Total,
    /// Launches and time of kernels that nothing on the host records.
    pub unlinked: Total,
}

/// One recorded node of the device graph, in program order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphNode {
    /// Kernel name.
    pub kernel: &'static str,
    /// Launching operator, empty where none is recorded.
    pub op: &'static str,
    /// Python source, `path:line func`.
    pub source: String,
}

/// The truth of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    /// Passes in order.
    pub steps: Vec<Step>,
    /// Totals of `kernel`, `gpu_memcpy` and `gpu_memset` (events with a duration above zero).
    pub device: BTreeMap<&'static str, Total>,
    /// Per kernel name.
    pub kernels: BTreeMap<&'static str, KernelTruth>,
    /// Time per (planted pattern, class), ns.
    pub patterns: BTreeMap<(usize, Class), Total>,
    /// The recorded or replayed graph of each class (the largest program of the class).
    pub graphs: BTreeMap<Class, Vec<GraphNode>>,
    /// Events in the file, of every phase.
    pub events: u64,
    /// Bytes of JSON before compression.
    pub bytes: u64,
}

/// Length of the union of half-open intervals.
pub fn union(intervals: &mut [(i64, i64)]) -> i64 {
    intervals.sort_unstable();
    let (mut total, mut reach) = (0, i64::MIN);
    for &(start, end) in intervals.iter() {
        if end > reach {
            total += end - start.max(reach);
            reach = end;
        }
    }
    total
}

/// Length of the union of `a` outside the union of `b`.
pub fn outside(a: &[(i64, i64)], b: &mut [(i64, i64)]) -> i64 {
    // |A \ B| = |A u B| - |B|
    let only_b = union(b);
    let mut both = a.to_vec();
    both.extend_from_slice(b);
    union(&mut both) - only_b
}

fn signals(class: Class, o: &Options) -> Vec<&'static str> {
    let mut found = Vec::new();
    let graph = o.graph_decode && matches!(class, Class::Decode | Class::Verify | Class::Draft);
    if o.annotation != Annotation::None && o.engine != Engine::Torch {
        found.push(match (class, o.engine, o.annotation) {
            (Class::Verify, Engine::Vllm, Annotation::Engine) => {
                "annotation: more generation query tokens than generation requests"
            }
            (Class::Verify, Engine::Vllm, _) => "annotation gives only the extent of the pass",
            (Class::Draft, Engine::Vllm, _) => "annotation: gpu_model_runner: draft",
            (Class::Capture, ..) => "annotation: capture_<batch>_<mode>",
            _ => "annotation: numbers of context and generation requests, or step[MODE ...]",
        });
    } else if o.annotation != Annotation::None {
        found.push("annotation ProfilerStep#N gives only the extent of the pass");
    }
    if o.stack && o.engine == Engine::Sglang {
        found.push(match (class, graph) {
            (Class::Prefill, _) => "frame model_runner forward_extend without mix_with_running or verify",
            (Class::Decode, false) => "frame model_runner forward_decode outside eagle_worker",
            (Class::Decode, true) => "frame cuda_graph_runner replay outside eagle_worker",
            (Class::Mixed, _) => "frame schedule_batch mix_with_running before forward_extend",
            (Class::Verify, _) => "frame eagle_worker verify",
            (Class::Draft, _) => "frame eagle_worker draft or forward_draft_extend_after_decode",
            (Class::Capture, _) => "frame cuda_graph_runner _capture_graph; launches without device events",
        });
    } else if o.stack && o.engine == Engine::Vllm && class == Class::Draft {
        found.push("frame gpu_model_runner propose_draft_token_ids");
    }
    found.push(match class {
        Class::Prefill => "kernels: prompt attention only, results copied to the host at the end",
        Class::Decode => "kernels: split (decode) attention with its combine kernel and no prompt attention",
        Class::Mixed => "kernels: prompt attention and decode attention in every layer",
        Class::Verify => "kernels: tree or rejection acceptance after the logits",
        Class::Draft => "kernels: assign_draft_cache_locs or eagle_prepare_inputs first, one layer per forward, top-k after it, no copy to the host",
        Class::Capture => "runtime: stream capture begins and ends, launches without device events",
    });
    if graph {
        found.push("runtime: one graph launch carries the model's kernels");
    }
    found
}

fn fused(pattern: &str, o: &Options) -> bool {
    let f = o.fusions;
    match pattern {
        "residual_norm" => f.residual_norm,
        "qk_norm_rope" => f.qk_norm_rope,
        "act_mul" => f.act_mul,
        "allreduce_norm" => f.allreduce_norm,
        "norm_quant" => f.norm_quant && f.residual_norm,
        _ => f.rope_kv_store,
    }
}

impl Truth {
    /// The steps of one class.
    pub fn of(&self, class: Class) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |s| s.class == class)
    }

    fn kernels_json(&self) -> Value {
        let rows: serde_json::Map<String, Value> = self
            .kernels
            .iter()
            .map(|(name, k)| {
                let count: u64 = k.by_class.values().map(|t| t.count).sum();
                let total: i64 = k.by_class.values().map(|t| t.total_ns).sum();
                let by_class: serde_json::Map<String, Value> =
                    k.by_class.iter().map(|(c, t)| (c.name().to_owned(), t.json())).collect();
                let sources: serde_json::Map<String, Value> =
                    k.sources.iter().map(|(s, t)| (s.clone(), t.json())).collect();
                let row = json!({"category": k.category, "launches": count, "total_ns": total,
                    "by_class": by_class, "sources": sources, "in_graph": k.in_graph.json(),
                    "unlinked": k.unlinked.json()});
                ((*name).to_owned(), row)
            })
            .collect();
        Value::Object(rows)
    }

    fn patterns_json(&self, o: &Options) -> Value {
        let rows = PATTERNS.iter().enumerate().filter_map(|(at, name)| {
            let by_class: serde_json::Map<String, Value> = self
                .patterns
                .iter()
                .filter(|((p, _), _)| *p == at)
                .map(|((_, class), t)| (class.name().to_owned(), t.json()))
                .collect();
            if by_class.is_empty() {
                return None;
            }
            let state = if fused(name, o) { "active" } else { "missing" };
            // A collective on its own stream is no neighbour on one stream.
            let own_stream = matches!(
                o.comm,
                super::options::Comm::Nccl | super::options::Comm::Rccl | super::options::Comm::NcclSymmetric
            );
            let one_stream = state == "active"
                || !(*name == "allreduce_norm" && own_stream
                    || *name == "qk_norm_rope" && o.graph_streams == 2);
            Some(json!({"pattern": name, "state": state, "adjacent_on_one_stream": one_stream,
                "related_by_class": by_class}))
        });
        Value::Array(rows.collect())
    }

    /// The document written beside the trace.
    pub fn to_json(&self, o: &Options) -> Value {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|s| {
                json!({"class": s.class.name(), "start_ns": s.start_ns, "duration_ns": s.duration_ns,
                    "batch": s.batch, "tokens": s.tokens, "events": s.events, "busy_ns": s.busy_ns,
                    "communication_ns": s.communication_ns,
                    "exposed_communication_ns": s.exposed_communication_ns, "annotation": s.annotation})
            })
            .collect();
        let device: serde_json::Map<String, Value> =
            self.device.iter().map(|(cat, t)| ((*cat).to_owned(), t.json())).collect();
        let mut classes: Vec<Class> = self.steps.iter().map(|s| s.class).collect();
        classes.sort_unstable();
        classes.dedup();
        let signals: serde_json::Map<String, Value> =
            classes.iter().map(|c| (c.name().to_owned(), json!(signals(*c, o)))).collect();
        let graphs: serde_json::Map<String, Value> = self
            .graphs
            .iter()
            .map(|(class, nodes)| {
                let nodes: Vec<Value> = nodes
                    .iter()
                    .map(|n| json!({"kernel": n.kernel, "op": n.op, "source": n.source}))
                    .collect();
                (class.name().to_owned(), Value::Array(nodes))
            })
            .collect();
        json!({
            "schema": "perfwright.trace-truth/v1",
            "engine": format!("{:?}", o.engine).to_lowercase(),
            "gpu": if o.gpu == Gpu::Nvidia { "nvidia" } else { "amd" },
            "rank": o.rank, "ranks": o.ranks, "tp": o.tp, "layers": o.layers, "seed": o.seed,
            "stack": o.stack, "annotations": o.annotation != Annotation::None,
            "straggler": if o.straggler_ns > 0 && o.ranks > 1 {
                json!({"rank": o.ranks - 1, "late_ns": o.straggler_ns})
            } else { Value::Null },
            "slow_kernel": o.slow_kernel.as_ref().map(|(n, f)| json!({"name": n, "thousandths": f})),
            "events": self.events, "bytes": self.bytes,
            "steps": steps, "device": device, "signals": signals,
            "boundaries": "passes never overlap on the device; at least 40 us of idle device lie between two passes; \
                every pass but draft and capture begins with one host-to-device copy and ends with the only \
                device-to-host copy",
            "kernels": self.kernels_json(), "patterns": self.patterns_json(o), "graphs": graphs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unions_and_differences_of_intervals() {
        assert_eq!(union(&mut [(5, 9), (0, 3), (2, 4), (20, 20)]), 8);
        assert_eq!(outside(&[(0, 10), (5, 15)], &mut [(2, 4), (14, 30)]), 12);
        assert_eq!(outside(&[(0, 10)], &mut []), 10);
        assert_eq!(outside(&[], &mut [(0, 10)]), 0);
    }
}
