//! Writes recorded passes as a Kineto trace.
//!
//! The engine computes on the CPU, in the thread that calls an operator. A trace shows it as the format shows any
//! engine: the call as a `cpu_op` inside a source frame, the entry into the operator's code as a `cudaLaunchKernel`,
//! and the computation itself as a kernel on a lane of its own. Field names and the order of events follow traces
//! that the profiler wrote (pytorch/kineto libkineto/src/output_json.cpp).

use std::io::{self, Write};
use std::panic::Location;

/// One operator of a pass. Times are nanoseconds since the trace's zero.
#[derive(Debug, Clone, PartialEq)]
pub struct OpEvent {
    /// Operator, such as `rmsnorm`.
    pub op: String,
    /// Name of the kernel.
    pub kernel: String,
    /// Layer, where the operator belongs to one.
    pub layer: Option<usize>,
    /// Source file of the operator.
    pub file: &'static str,
    /// Line in it.
    pub line: u32,
    /// Function in it.
    pub func: &'static str,
    /// Shapes of the inputs.
    pub dims: Vec<Vec<usize>>,
    /// The call.
    pub start: u64,
    /// Its end.
    pub end: u64,
}

/// One pass of the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct PassEvent {
    /// `step[EXTEND bs=1 toks=7 ..]`.
    pub label: String,
    /// Where the engine runs it.
    pub site: &'static Location<'static>,
    /// Start of the pass.
    pub start: u64,
    /// End of the pass.
    pub end: u64,
    /// Operators in the order of their calls.
    pub ops: Vec<OpEvent>,
}

/// Facts about the process, stated in the file.
#[derive(Debug, Clone)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// What computes, such as `CPU, 2 threads`.
    pub device: String,
    /// Class of the model, such as `LabForCausalLM`.
    pub model_class: String,
    /// Model name.
    pub model: String,
}

/// The lane that kernels are shown on.
const STREAM: u32 = 7;

/// Writes one trace file's JSON. `base_ns` is the trace's zero in nanoseconds since 1970.
///
/// # Errors
/// What `out` gives.
pub fn write(out: &mut impl Write, process: &Process, base_ns: u128, passes: &[PassEvent]) -> io::Result<()> {
    let text = |value: &str| serde_json::Value::from(value).to_string();
    write!(
        out,
        "{{\n  \"schemaVersion\": 1,\n  \"deviceProperties\": [{{\"id\": 0, \"name\": {}}}],\n  \
         \"record_shapes\": 1,\n  \"with_stack\": 1,\n  \"model\": {},\n  \"displayTimeUnit\": \"ms\",\n  \
         \"baseTimeNanoseconds\": {},\n  \"traceEvents\": [\n",
        text(&process.device),
        text(&process.model),
        base_ns
    )?;
    let mut events = Events { out, pid: process.pid, next: 1, index: 0, first: true };
    events.names(&process.device)?;
    for pass in passes {
        events.pass(pass, &process.model_class)?;
    }
    write!(events.out, "\n  ],\n  \"traceName\": \"perfwright-lab\"\n}}\n")
}

/// Counters of a file being written.
struct Events<'a, W: Write> {
    out: &'a mut W,
    pid: u32,
    /// Next id of any kind; one sequence serves Python, external and correlation ids.
    next: u64,
    index: u64,
    first: bool,
}

/// Where an event is shown.
#[derive(Clone, Copy)]
enum Lane {
    Host,
    Device,
}

impl<W: Write> Events<'_, W> {
    fn event(
        &mut self,
        cat: &str,
        name: &str,
        lane: Lane,
        (start, end): (u64, u64),
        args: &str,
    ) -> io::Result<()> {
        let (pid, tid) = match lane {
            Lane::Host => (self.pid, self.pid),
            Lane::Device => (0, STREAM),
        };
        self.comma()?;
        let duration = end.saturating_sub(start);
        write!(
            self.out,
            "{{\"ph\": \"X\", \"cat\": \"{cat}\", \"name\": {}, \"pid\": {pid}, \"tid\": {tid}, \
             \"ts\": {}.{:03}, \"dur\": {}.{:03}, \"args\": {{{args}}}}}",
            serde_json::Value::from(name),
            start / 1000,
            start % 1000,
            duration / 1000,
            duration % 1000
        )
    }

    fn comma(&mut self) -> io::Result<()> {
        let first = std::mem::replace(&mut self.first, false);
        self.out.write_all(if first { b"" } else { b",\n" })
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn indexed(&mut self) -> u64 {
        self.index += 1;
        self.index
    }

    /// The names of the two processes and their lanes.
    fn names(&mut self, device: &str) -> io::Result<()> {
        let host = self.pid;
        for (pid, tid, kind, name) in [
            (host, host, "process_name", "perfwright-lab"),
            (host, host, "process_labels", "CPU"),
            (host, host, "thread_name", "scheduler"),
            (0, STREAM, "process_name", "perfwright-lab"),
            (0, STREAM, "process_labels", device),
            (0, STREAM, "thread_name", "stream 7 "),
        ] {
            let key = if kind == "process_labels" { "labels" } else { "name" };
            self.comma()?;
            write!(
                self.out,
                "{{\"name\": \"{kind}\", \"ph\": \"M\", \"ts\": 0.000, \"pid\": {pid}, \"tid\": {tid}, \
                 \"args\": {{\"{key}\": {}}}}}",
                serde_json::Value::from(name)
            )?;
        }
        Ok(())
    }

    fn frame(&mut self, name: &str, parent: Option<u64>, span: (u64, u64)) -> io::Result<u64> {
        let id = self.id();
        let parent = parent.map_or_else(|| "null".to_owned(), |id| id.to_string());
        let index = self.indexed();
        let args = format!("\"Python parent id\": {parent}, \"Python id\": {id}, \"Ev Idx\": {index}");
        self.event("python_function", name, Lane::Host, span, &args)?;
        Ok(id)
    }

    fn pass(&mut self, pass: &PassEvent, model_class: &str) -> io::Result<()> {
        let span = (pass.start, pass.end);
        let external = self.id();
        let index = self.indexed();
        let args = format!("\"External id\": {external}, \"Record function id\": 0, \"Ev Idx\": {index}");
        self.event("user_annotation", &pass.label, Lane::Host, span, &args)?;
        let runner = format!("{}({}): run_pass", pass.site.file(), pass.site.line());
        let runner = self.frame(&runner, None, span)?;
        let model = self.frame(&format!("nn.Module: {model_class}_0"), Some(runner), span)?;
        let mut at = 0;
        while let Some(op) = pass.ops.get(at) {
            let rest = pass.ops.get(at..).unwrap_or_default();
            let run = rest.iter().take_while(|other| other.layer == op.layer).count();
            let ops = rest.get(..run).unwrap_or_default();
            let parent = match (op.layer, ops.last()) {
                (Some(layer), Some(last)) => {
                    let name = format!("nn.Module: LabDecoderLayer_{layer}");
                    self.frame(&name, Some(model), (op.start, last.end))?
                }
                _ => model,
            };
            for op in ops {
                self.op(op, parent)?;
            }
            at += run.max(1);
        }
        if let (Some(first), Some(last)) = (pass.ops.first(), pass.ops.last()) {
            let args = format!("\"External id\": {external}");
            let span = (first.start, last.end);
            self.event("gpu_user_annotation", &pass.label, Lane::Device, span, &args)?;
        }
        Ok(())
    }

    fn op(&mut self, op: &OpEvent, parent: u64) -> io::Result<()> {
        let span = (op.start, op.end);
        self.frame(&format!("{}({}): {}", op.file, op.line, op.func), Some(parent), span)?;
        let (external, correlation) = (self.id(), self.id());
        let dims = serde_json::to_string(&op.dims).map_err(io::Error::other)?;
        let types = serde_json::to_string(&vec!["float"; op.dims.len()]).map_err(io::Error::other)?;
        let index = self.indexed();
        let args = format!(
            "\"External id\": {external}, \"Record function id\": 0, \"Input type\": {types}, \
             \"Input Dims\": {dims}, \"Ev Idx\": {index}"
        );
        self.event("cpu_op", &format!("lab::{}", op.op), Lane::Host, span, &args)?;
        let args = format!("\"External id\": {external}, \"cbid\": 211, \"correlation\": {correlation}");
        let launch = (op.start, op.start);
        self.event("cuda_runtime", "cudaLaunchKernel", Lane::Host, launch, &args)?;
        self.flow('s', Lane::Host, correlation, op.start)?;
        let args = format!(
            "\"External id\": {external}, \"device\": 0, \"context\": 1, \"stream\": {STREAM}, \
             \"correlation\": {correlation}"
        );
        self.event("kernel", &op.kernel, Lane::Device, span, &args)?;
        self.flow('f', Lane::Device, correlation, op.start)
    }

    /// The arrow from a launch to its kernel.
    fn flow(&mut self, phase: char, lane: Lane, id: u64, at: u64) -> io::Result<()> {
        let (pid, tid) = match lane {
            Lane::Host => (self.pid, self.pid),
            Lane::Device => (0, STREAM),
        };
        let bind = if phase == 'f' { ", \"bp\": \"e\"" } else { "" };
        self.comma()?;
        write!(
            self.out,
            "{{\"ph\": \"{phase}\", \"id\": {id}, \"pid\": {pid}, \"tid\": {tid}, \"ts\": {}.{:03}, \
             \"cat\": \"ac2g\", \"name\": \"ac2g\"{bind}}}",
            at / 1000,
            at % 1000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(layer: Option<usize>, start: u64, end: u64) -> OpEvent {
        OpEvent {
            op: "rmsnorm".to_owned(),
            kernel: "lab_rmsnorm_naive".to_owned(),
            layer,
            file: "src/ops/norm.rs",
            line: 12,
            func: "rmsnorm",
            dims: vec![vec![2, 64], vec![64]],
            start,
            end,
        }
    }

    #[test]
    fn every_kernel_has_a_launch_an_operator_and_a_frame() {
        let process = Process {
            pid: 41,
            device: "CPU \"x\"".to_owned(),
            model_class: "LabForCausalLM".to_owned(),
            model: "tiny".to_owned(),
        };
        let pass = PassEvent {
            label: "step[DECODE bs=2 toks=2]".to_owned(),
            site: Location::caller(),
            start: 1_000,
            end: 9_500,
            ops: vec![op(None, 1_500, 2_000), op(Some(0), 2_000, 3_001), op(Some(1), 3_001, 4_000)],
        };
        let mut bytes = Vec::new();
        write(&mut bytes, &process, 5, &[pass]).unwrap();
        let trace: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let of = |cat: &str| events.iter().filter(|e| e["cat"] == cat).collect::<Vec<_>>();
        assert_eq!(trace["baseTimeNanoseconds"], 5);
        assert_eq!(of("kernel").len(), 3);
        for kernel in of("kernel") {
            let launch = of("cuda_runtime")
                .into_iter()
                .find(|e| e["args"]["correlation"] == kernel["args"]["correlation"])
                .unwrap();
            let op = of("cpu_op")
                .into_iter()
                .find(|e| e["args"]["External id"] == kernel["args"]["External id"])
                .unwrap();
            assert_eq!(launch["args"]["External id"], op["args"]["External id"]);
            assert_eq!(op["args"]["Input Dims"], serde_json::json!([[2, 64], [64]]));
        }
        assert_eq!(of("kernel")[1]["dur"], serde_json::json!(1.001));
        let layers: Vec<_> = of("python_function")
            .iter()
            .filter_map(|e| e["name"].as_str().unwrap().strip_prefix("nn.Module: LabDecoderLayer_"))
            .collect();
        assert_eq!(layers, ["0", "1"]);
    }
}
