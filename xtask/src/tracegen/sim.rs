//! Runs the program of a pass: a host clock, one clock per stream, and the events they produce.

use super::events::{self, DeviceSlot, HostOp, PyFrame};
use super::options::{Class, Gpu, Options};
use super::plan::{Item, Kind, Lane, Launch, graph_nodes};
use super::rng::Rng;
use super::shape::{Shape, annotations};
use super::tally::{Origin, Tally};
use super::text::Text;
use super::truth::{Step, Truth, outside, union};

/// First time stamp in ns: as large as on a host that has been up for weeks.
pub const BASE_NS: i64 = 4_909_913_692_199_694;

/// Stream numbers of the lanes and of copies.
pub const STREAMS: [(i64, &str); 4] =
    [(7, "compute"), (20, "communication"), (33, "copy"), (41, "graph side")];

struct Rec<'t> {
    name: &'t str,
    ts: i64,
    dur: i64,
    id: i64,
    parent: Option<i64>,
    module: Option<u32>,
}

/// How launches of the current stretch are carried out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Eager,
    Replay { corr: i64, from: i64, first: bool, node: i64 },
    Record,
}

/// The running generator of one file.
pub struct Sim<'t> {
    o: &'t Options,
    /// Process id of the host.
    pub pid: i64,
    /// Host clock, ns.
    pub now: i64,
    /// Truth so far.
    pub truth: Truth,
    durations: Rng,
    streams: [i64; 4],
    last_compute: (i64, i64),
    ext: i64,
    corr: i64,
    py: i64,
    index: i64,
    resident: Option<i64>,
    open: Vec<usize>,
    frames: Vec<Rec<'t>>,
    host: Text,
    device: Text,
    tally: Tally<'t>,
    window: (i64, i64),
    busy: Vec<(i64, i64)>,
    comm: Vec<(i64, i64)>,
    compute: Vec<(i64, i64)>,
    pass_events: u64,
    passes: u64,
    mode: Mode,
    shape: Shape,
    class: Class,
}

fn lane_index(lane: Lane) -> usize {
    match lane {
        Lane::Compute => 0,
        Lane::Comm => 1,
        Lane::Alt => 3,
    }
}

impl<'t> Sim<'t> {
    /// A generator at its first instant; `resident` is the Python id of the innermost frame open all along.
    pub fn new(o: &'t Options, resident: Option<i64>, first_python_id: i64) -> Self {
        Self {
            o,
            pid: 251 + i64::from(o.rank),
            now: BASE_NS,
            truth: Truth::default(),
            // Ranks share their durations, so that collectives end together and clocks are aligned.
            durations: Rng::new(o.seed.wrapping_mul(0x1_0001)),
            streams: [BASE_NS; 4],
            last_compute: (BASE_NS, BASE_NS),
            ext: 219_580,
            corr: 91_040,
            py: first_python_id,
            index: 33_211,
            resident,
            open: Vec::new(),
            frames: Vec::new(),
            host: Text::default(),
            device: Text::default(),
            tally: Tally::default(),
            window: (i64::MAX, i64::MIN),
            busy: Vec::new(),
            comm: Vec::new(),
            compute: Vec::new(),
            pass_events: 0,
            passes: 0,
            mode: Mode::Eager,
            shape: Shape { context: Default::default(), generation: Default::default(), draft_steps: 1 },
            class: Class::Prefill,
        }
    }

    fn amd(&self) -> bool {
        self.o.gpu == Gpu::Amd
    }

    fn device_pid(&self) -> i64 {
        i64::from(self.o.rank)
    }

    fn next_ext(&mut self) -> i64 {
        self.ext += 1;
        self.ext
    }

    fn next_corr(&mut self) -> i64 {
        self.corr += 1;
        self.corr
    }

    fn next_index(&mut self) -> i64 {
        self.index += 1;
        self.truth.events += 1;
        self.index
    }

    fn open(&mut self, name: &'t str, module: Option<u32>, ts: i64) {
        if !self.o.stack {
            return;
        }
        let parent = self.open.last().map(|&at| self.frames[at].id).or(self.resident);
        self.py += 1;
        self.open.push(self.frames.len());
        self.frames.push(Rec { name, ts, dur: 0, id: self.py, parent, module });
    }

    fn close(&mut self, ts: i64) {
        if let Some(at) = self.open.pop() {
            let frame = &mut self.frames[at];
            frame.dur = ts - frame.ts;
        }
    }

    /// Notes a device event of this pass.
    fn occupy(&mut self, cat: &'static str, ts: i64, dur: i64) {
        self.window = (self.window.0.min(ts), self.window.1.max(ts + dur));
        self.busy.push((ts, ts + dur));
        self.pass_events += 1;
        self.truth.events += 1;
        self.truth.device.entry(cat).or_default().add(dur);
    }

    fn call(
        &mut self,
        cuda: &str,
        hip: &str,
        ts: i64,
        dur: i64,
        link: (Option<i64>, i64),
        kernel: Option<(&str, i64, i64)>,
    ) {
        self.truth.events += 1;
        let op = HostOp { name: if self.amd() { hip } else { cuda }, ts, dur, ext: 0 };
        if self.amd() {
            let cid = if kernel.is_some() { 107 } else { 48 };
            events::hip_call(&mut self.device, self.pid, &op, link.0, cid, link.1, kernel);
            if kernel.is_none() {
                // roctracer ends a flow on the host for calls that launch nothing.
                self.flow(false, link.1, (self.pid, self.pid), ts);
            }
        } else {
            let driver = cuda.starts_with("cu") && !cuda.starts_with("cuda");
            let cat = if driver { "cuda_driver" } else { "cuda_runtime" };
            events::cuda_call(&mut self.device, cat, self.pid, &op, link.0, 211, link.1);
        }
    }

    fn flow(&mut self, start: bool, corr: i64, row: (i64, i64), ts: i64) {
        self.truth.events += 1;
        events::flow(&mut self.device, start, corr, row.0, row.1, ts);
    }

    fn duration(&mut self, l: &Launch) -> i64 {
        let k = l.kernel;
        let mut ns = if l.heavy {
            (k.prefill_ns * self.shape.tokens() / 8192).max(k.decode_ns * 3 / 4)
        } else {
            k.decode_ns * (224 + self.shape.batch()) / 256
        };
        if self.o.tp > 1 && matches!(k.category, "gemm" | "attention" | "moe|gemm" | "activation") {
            ns = ns * 2 / i64::from(self.o.tp.min(8) + 1);
        }
        ns = ns * self.durations.factor(80) / 1000;
        if self.passes == 0 {
            ns = ns * 8 / 5;
        }
        if let Some((name, thousandths)) = &self.o.slow_kernel
            && (k.key == name || k.name.contains(name.as_str()))
        {
            ns = ns * thousandths / 1000;
        }
        ns.max(900)
    }

    /// Start and duration of a kernel whose launch allows it from `ready` on.
    fn schedule(&mut self, l: &Launch, ready: i64) -> (i64, i64) {
        let mut dur = self.duration(l);
        let gap = self.durations.range(600, 1400);
        let collective = l.kernel.category == "communication";
        let own = self.streams[0].max(self.streams[lane_index(l.lane)]);
        let mut start = own.max(ready);
        match l.lane {
            Lane::Alt => {
                // Forked before the previous kernel of the main stream, joined after it.
                start =
                    (self.last_compute.0 + self.durations.range(-400, 400)).max(self.streams[3]).max(ready);
            }
            Lane::Comm if self.durations.below(4) == 0 => {
                // A quarter of the collectives begin while the producer's tail still runs.
                let tail = (self.last_compute.1 - self.last_compute.0) / 4;
                start = (self.last_compute.1 - tail).max(self.streams[1]).max(ready);
            }
            _ => {}
        }
        if collective && self.o.ranks > 1 && self.o.straggler_ns > 0 {
            let late = (start + self.o.straggler_ns).max(ready);
            if self.o.rank + 1 == self.o.ranks {
                start = late;
            } else {
                dur += late - start;
            }
        }
        let end = start + dur;
        self.streams[lane_index(l.lane)] = end + gap;
        match l.lane {
            Lane::Compute => self.last_compute = (start, end),
            Lane::Comm => {
                // Independent work may begin before the collective ends; most waits for it.
                let early =
                    if self.durations.below(4) == 0 { dur * self.durations.range(0, 300) / 1000 } else { 0 };
                self.streams[0] = self.streams[0].max(end - early + 500);
            }
            Lane::Alt => self.streams[0] = self.streams[0].max(end + 500),
        }
        (start, dur)
    }

    fn kernel_row(&mut self, l: &Launch, slot: &DeviceSlot, node: Option<i64>) {
        let grid = self.durations.pick(&[66, 132, 264, 1056]);
        let mut extra = String::new();
        if slot.ext.is_some() && self.o.tp > 1 && !self.amd() && l.op.starts_with("c10d") {
            let n = self.shape.tokens() * 4096;
            let ranks: Vec<String> = (0..self.o.tp).map(|r| r.to_string()).collect();
            extra = format!(
                ",\n      \"Collective name\": \"allreduce\", \"In msg nelems\": {n}, \"Out msg nelems\": {n}, \
                 \"Group size\": {}, \"dtype\": \"BFloat16\", \"In split size\": \"[]\", \"Out split size\": \"[]\", \
                 \"Process Group Name\": \"3\", \"Process Group Description\": \"undefined\", \
                 \"Process Group Ranks\": \"[{}]\"",
                self.o.tp,
                ranks.join(", ")
            );
        }
        if let (Some(node), true) = (node, self.o.graph_node_ids) {
            extra = format!(",\n      \"graph id\": 11, \"graph node id\": {}{extra}", 47_244_640_256 + node);
        }
        if self.amd() {
            events::hip_kernel(&mut self.device, l.kernel.name, slot, grid, 256, &extra);
        } else {
            events::cuda_kernel(&mut self.device, l.kernel.name, slot, grid, 384, &extra);
        }
        self.occupy("kernel", slot.ts, slot.dur);
        let span = (slot.ts, slot.ts + slot.dur);
        if l.kernel.category == "communication" {
            self.comm.push(span);
        } else {
            self.compute.push(span);
        }
    }

    fn launch(&mut self, l: &'t Launch) {
        if let Mode::Replay { corr, from, first, node } = self.mode {
            let (ts, dur) = self.schedule(l, from + 40_000);
            let stream = STREAMS[lane_index(l.lane)].0;
            let slot = DeviceSlot { device: self.o.rank, stream, ts, dur, corr, ext: None };
            if first {
                self.flow(true, corr, (self.pid, self.pid), from);
            }
            self.flow(false, corr, (self.device_pid(), stream), ts);
            self.kernel_row(l, &slot, Some(node));
            self.tally.add(l, dur, Origin::Graph);
            self.mode = Mode::Replay { corr, from, first: false, node: node + 1 };
            return;
        }
        let at = self.now;
        for (depth, (name, module)) in l.frames.iter().enumerate() {
            self.open(name, *module, at + 200 + 400 * depth as i64);
        }
        let named = !l.op.is_empty();
        let ext = if named { Some(self.operator(l, at + 3_200)) } else { None };
        let corr = self.next_corr();
        let call = at + 8_500;
        let (cuda, hip) = match (named, l.kernel.is_cpp()) {
            (false, false) => ("cuLaunchKernelEx", "hipModuleLaunchKernel"),
            // Library GEMMs have bare names too, but come through the runtime.
            (true, false) => ("cudaLaunchKernelExC", "hipExtModuleLaunchKernel"),
            (_, true) => ("cudaLaunchKernel", "hipLaunchKernel"),
        };
        let eager = self.mode == Mode::Eager;
        let percent = u64::from(self.o.unlinked_percent);
        let linked = !eager || percent == 0 || self.durations.below(100) >= percent;
        if linked {
            self.call(cuda, hip, call, 4_500, (ext, corr), Some((l.kernel.name, 132, 256)));
        }
        if eager {
            let (ts, dur) = self.schedule(l, call + 4_000);
            let stream = STREAMS[lane_index(l.lane)].0;
            let slot = DeviceSlot { device: self.o.rank, stream, ts, dur, corr, ext: ext.filter(|_| linked) };
            if linked {
                self.flow(true, corr, (self.pid, self.pid), call);
                self.flow(false, corr, (self.device_pid(), stream), ts);
            }
            self.kernel_row(l, &slot, None);
            let origin = if linked { Origin::Frame(&l.source_frame) } else { Origin::Unlinked };
            self.tally.add(l, dur, origin);
        }
        for depth in (0..l.frames.len()).rev() {
            self.close(at + 21_000 - 400 * depth as i64);
        }
        self.now = at + 23_000;
    }

    /// `Input Dims` of a matrix product of the model, as its operator lists its arguments.
    fn product_dims(&self, l: &Launch) -> Option<String> {
        let (d, tp) = (self.o.dims?, self.o.tp);
        let kept = d.kv_heads.div_ceil(tp);
        let tokens = self.shape.tokens();
        let prompts = self.shape.context.n > 0;
        let (n, k) = match l.kernel.key {
            "qkv" => (d.heads / tp * d.head_dim + 2 * kept * d.head_dim, d.hidden),
            "oproj" => (d.hidden, d.heads / tp * d.head_dim),
            "gateup" => (2 * d.inner / tp, d.hidden),
            "down" => (d.hidden, d.inner / tp),
            "router" => (d.experts, d.hidden),
            "lm_head" => (d.vocab.div_ceil(tp), d.hidden),
            _ => return None,
        };
        let m = if l.kernel.key == "lm_head" && prompts { self.shape.batch() } else { tokens };
        Some(match l.op {
            "sglang::deep_gemm_fp8_fp8_bf16_nt" => {
                format!(
                    "[[{m}, {k}], [{m}, {}], [{n}, {k}], [{}, {}], [{m}, {n}]]",
                    k / 128,
                    n / 128,
                    k / 128
                )
            }
            "vllm::w8a8_deepgemm_block_scaled_mm" => {
                format!("[[{m}, {k}], [{n}, {k}], [{m}, {}], [{}, {}]]", k / 128, n / 128, k / 128)
            }
            "_C::cutlass_scaled_mm" => format!("[[{m}, {n}], [{m}, {k}], [{k}, {n}], [1], [1], []]"),
            _ => format!("[[{m}, {k}], [{k}, {n}], []]"),
        })
    }

    fn operator(&mut self, l: &Launch, ts: i64) -> i64 {
        let ext = self.next_ext();
        let index = self.next_index();
        let shapes = if let Some(dims) = self.product_dims(l).filter(|_| self.o.shapes) {
            format!("\"Input Dims\": {dims}, ")
        } else if self.o.shapes {
            let rows = self.shape.tokens();
            format!(
                "\"Concrete Inputs\": [\"\", \"\", \"\"], \"Input type\": [\"c10::BFloat16\", \"c10::BFloat16\", \"\"], \
                 \"Input Strides\": [[4096, 1], [1, 4096], []], \"Input Dims\": [[{rows}, 4096], [4096, 6144], []], "
            )
        } else {
            String::new()
        };
        let op = HostOp { name: l.op, ts, dur: 13_500, ext };
        events::cpu_op(&mut self.host, self.pid, &op, &shapes, index);
        if l.op == "aten::mm" {
            let (inner, index) = (self.next_ext(), self.next_index());
            let op = HostOp { name: "aten::empty_strided", ts: ts + 400, dur: 1_100, ext: inner };
            events::cpu_op(&mut self.host, self.pid, &op, "", index);
        }
        ext
    }

    /// A copy or fill: `cat`, row name, host names, bytes, and the stream slot.
    fn transfer(&mut self, cat: &'static str, op: &str, names: (&str, &str, &str), bytes: i64, lane: usize) {
        let at = self.now;
        let ext = self.next_ext();
        let index = self.next_index();
        let host = HostOp { name: op, ts: at + 1_000, dur: 14_000, ext };
        events::cpu_op(&mut self.host, self.pid, &host, "", index);
        let corr = self.next_corr();
        self.call(names.1, names.2, at + 5_000, 6_000, (Some(ext), corr), None);
        // Copies of results wait for everything; those of inputs precede everything.
        let ready = self.streams.iter().copied().max().unwrap_or(at).max(at + 11_000);
        let dur = 1_664 + self.durations.range(0, 900);
        let stream = STREAMS[lane].0;
        let slot = DeviceSlot { device: self.o.rank, stream, ts: ready, dur, corr, ext: Some(ext) };
        self.flow(true, corr, (self.pid, self.pid), at + 5_000);
        self.flow(false, corr, (self.device_pid(), stream), ready);
        let host_name = names.0.replace("Pinned", "Host");
        let (name, kind) = if self.amd() {
            let kind = if cat == "gpu_memset" { "Device" } else { &names.0[7..11] };
            (host_name.as_str(), Some(kind))
        } else {
            (names.0, None)
        };
        events::transfer(&mut self.device, cat, name, &slot, bytes, kind);
        self.occupy(cat, ready, dur);
        self.streams[lane] = ready + dur + 700;
        self.streams[0] = self.streams[0].max(ready + dur + 700);
        self.now = at + 20_000;
    }

    fn begin_graph(&mut self) {
        let at = self.now;
        let corr = self.next_corr();
        if self.class == Class::Capture {
            self.call("cudaStreamBeginCapture", "hipStreamBeginCapture", at, 3_000, (None, corr), None);
            self.now = at + 6_000;
            self.mode = Mode::Record;
        } else {
            // The launch call of a graph names no kernel, and its flow starts at the host.
            self.truth.events += 1;
            let op = HostOp {
                name: if self.amd() { "hipGraphLaunch" } else { "cudaGraphLaunch" },
                ts: at + 2_000,
                dur: 180_000,
                ext: 0,
            };
            if self.amd() {
                events::hip_call(&mut self.device, self.pid, &op, None, 215, corr, None);
            } else {
                events::cuda_call(&mut self.device, "cuda_runtime", self.pid, &op, None, 311, corr);
            }
            self.mode = Mode::Replay { corr, from: at + 2_000, first: true, node: 0 };
        }
    }

    fn end_graph(&mut self) {
        if self.mode == Mode::Record {
            for (cuda, hip) in [
                ("cudaStreamEndCapture", "hipStreamEndCapture"),
                ("cudaGraphInstantiateWithFlags", "hipGraphInstantiateWithFlags"),
            ] {
                let corr = self.next_corr();
                self.call(cuda, hip, self.now, 900_000, (None, corr), None);
                self.now += 950_000;
            }
        } else {
            self.now += 190_000;
        }
        self.mode = Mode::Eager;
    }

    /// Runs one pass; `out` receives its rows.
    pub fn pass(&mut self, kind: Kind, items: &'t [Item], shape: Shape, out: &mut Text) {
        self.class = kind.class;
        self.shape = shape;
        // Collect what the nodes of a graph are, once per class.
        self.note_graph(items);
        let begin = self.now;
        let (outer, inner) = annotations(kind.class, kind.extend, &shape, self.passes, self.o);
        let outer_ext = outer.is_some().then(|| (self.next_ext(), self.next_index()));
        let mut inner_row = None;
        let mut inner_begin = begin;
        self.now += 8_000;
        for item in items {
            match item {
                Item::Open(name, module) => {
                    self.open(name, *module, self.now);
                    self.now += 300;
                }
                Item::Close => {
                    self.close(self.now);
                    self.now += 200;
                }
                Item::Launch(l) => self.launch(l),
                Item::CopyIn => {
                    let names = ("Memcpy HtoD (Pinned -> Device)", "cudaMemcpyAsync", "hipMemcpyAsync");
                    self.transfer("gpu_memcpy", "aten::copy_", names, 8 * shape.tokens().max(1), 0);
                }
                Item::Clear => {
                    let names = ("Memset (Device)", "cudaMemsetAsync", "hipMemsetAsync");
                    self.transfer("gpu_memset", "aten::zero_", names, 4096, 0);
                }
                Item::CopyOut => {
                    let names = ("Memcpy DtoH (Device -> Pinned)", "cudaMemcpyAsync", "hipMemcpyAsync");
                    self.transfer("gpu_memcpy", "aten::copy_", names, 8 * shape.batch().max(1), 2);
                }
                Item::Inner(true) => inner_begin = self.now,
                Item::Inner(false) => {
                    inner_row = inner.as_deref().map(|name| (name, inner_begin, self.now - inner_begin));
                }
                Item::GraphBegin => self.begin_graph(),
                Item::GraphEnd => self.end_graph(),
            }
        }
        if let Some((name, ts, dur)) = inner_row {
            let (ext, index) = (self.next_ext(), self.next_index());
            events::user_annotation(out, self.pid, &HostOp { name, ts, dur, ext }, index);
        }
        let window = (self.window.0, self.window.1 - self.window.0);
        if let (Some(name), Some((ext, index))) = (outer.as_deref(), outer_ext) {
            let op = HostOp { name, ts: begin, dur: self.now - begin, ext };
            events::user_annotation(out, self.pid, &op, index);
            if !self.amd() || kind.class == Class::Capture {
                let op = HostOp { name, ts: window.0, dur: window.1, ext };
                events::gpu_annotation(&mut self.device, self.o.rank, STREAMS[0].0, &op);
                self.truth.events += 1;
            }
        }
        self.wait_for_device();
        self.finish_pass(kind, window, outer, out);
    }

    /// The host blocks until the device is done, then schedules the next pass.
    fn wait_for_device(&mut self) {
        let done = self.window.1.max(self.now) + 5_000;
        let corr = self.next_corr();
        self.call(
            "cudaEventSynchronize",
            "hipEventSynchronize",
            self.now,
            done - self.now,
            (None, corr),
            None,
        );
        if !self.amd() {
            self.truth.events += 1;
            events::event_sync(&mut self.device, self.o.rank, self.now, done - self.now, corr);
        }
        let index = self.next_index();
        events::memory(&mut self.device, self.pid, self.now, 1 << 20, index);
        self.now = done + self.durations.range(60_000, 140_000);
        self.streams = [done + 40_000; 4];
        self.last_compute = (done, done);
    }

    fn finish_pass(&mut self, kind: Kind, window: (i64, i64), annotation: Option<String>, out: &mut Text) {
        let step = Step {
            class: kind.class,
            start_ns: window.0,
            duration_ns: window.1,
            batch: u32::try_from(self.shape.batch()).unwrap_or(u32::MAX),
            tokens: u32::try_from(self.shape.tokens()).unwrap_or(u32::MAX),
            events: self.pass_events,
            busy_ns: union(&mut self.busy),
            communication_ns: union(&mut self.comm),
            exposed_communication_ns: outside(&self.comm, &mut self.compute),
            annotation,
        };
        self.truth.steps.push(step);
        self.tally.fold(self.class, &mut self.truth);
        out.0.append(&mut self.host.0);
        let frames = std::mem::take(&mut self.frames);
        for f in &frames {
            let index = self.next_index();
            let row =
                PyFrame { name: f.name, ts: f.ts, dur: f.dur, id: f.id, parent: f.parent, module: f.module };
            events::python(out, self.pid, self.pid, &row, index);
        }
        self.frames = frames;
        self.frames.clear();
        self.open.clear();
        out.0.append(&mut self.device.0);
        self.window = (i64::MAX, i64::MIN);
        self.busy.clear();
        self.comm.clear();
        self.compute.clear();
        self.pass_events = 0;
        self.passes += 1;
    }

    fn note_graph(&mut self, items: &[Item]) {
        let nodes = graph_nodes(items);
        let known = self.truth.graphs.get(&self.class).map_or(0, Vec::len);
        if nodes.len() > known {
            self.truth.graphs.insert(self.class, nodes);
        }
    }
}
