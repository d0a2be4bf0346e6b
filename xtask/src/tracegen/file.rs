//! Writes a whole trace: header, metadata rows, passes, the frames that span them, and the closing rows.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};

use super::events::{self, PyFrame};
use super::options::{Class, Engine, Extent, Gpu, Options};
use super::plan::{Item, Kind, program};
use super::rng::Rng;
use super::shape::draw;
use super::sim::{BASE_NS, STREAMS, Sim};
use super::sites::{frame, resident_frames};
use super::text::Text;
use super::truth::Truth;

/// Profiling starts this long before the first pass, ns.
const LEAD_NS: i64 = 400_000;

fn header_keys(o: &Options) -> Text {
    let mut t = Text::default();
    let (name, major, minor, sms, warp, shared) = match o.gpu {
        Gpu::Nvidia => ("NVIDIA H100 80GB HBM3", 9, 0, 132, 32, 49152),
        Gpu::Amd => ("AMD Instinct MI300X", 9, 4, 304, 64, 65536),
    };
    t.raw("  \"schemaVersion\": 1,\n  \"deviceProperties\": [\n    {\n      \"id\": ").int(i64::from(o.rank));
    t.raw(&format!(
        ", \"name\": \"{name}\", \"totalGlobalMem\": 85028765696,\n      \"computeMajor\": {major}, \"computeMinor\": \
         {minor},\n      \"maxThreadsPerBlock\": 1024, \"maxThreadsPerMultiprocessor\": 2048,\n      \
         \"regsPerBlock\": 65536, \"warpSize\": {warp},\n      \"sharedMemPerBlock\": {shared}, \"numSms\": {sms}\n    \
         }}\n  ],\n"
    ));
    t.raw(match o.gpu {
        Gpu::Nvidia => "  \"cupti_version\": 26,\n  \"cuda_runtime_version\": 12080,\n  \"cuda_driver_version\": 12080,\n",
        Gpu::Amd => "  \"roctracer_version\": 4.1,\n  \"hip_runtime_version\": 70253211,\n  \"hip_driver_version\": 70253211,\n",
    });
    let ranks: Vec<String> = (0..o.ranks).map(|r| r.to_string()).collect();
    t.raw(&format!(
        "  \"distributedInfo\": {{\"backend\": \"nccl\", \"rank\": {}, \"world_size\": {}, \"pg_count\": 1, \
         \"pg_config\": [{{\"pg_name\": \"0\", \"pg_desc\": \"default_pg\", \"backend_config\": \"cuda:nccl\", \
         \"pg_size\": {}, \"ranks\": [{}]}}], \"nccl_version\": \"2.27.7\"}},\n",
        o.rank,
        o.ranks,
        o.ranks,
        ranks.join(", ")
    ));
    t.raw(&format!(
        "  \"record_shapes\": {},\n  \"with_stack\": {},\n  \"trace_id\": \"C3AB6FAA14D646299C1D8365B143{:04X}\",\n  \
         \"displayTimeUnit\": \"ms\",\n  \"baseTimeNanoseconds\": 1775078550000000000,\n",
        u8::from(o.shapes),
        u8::from(o.stack),
        o.rank
    ));
    t
}

fn metadata_rows(o: &Options, pid: i64, t: &mut Text) -> u64 {
    let ts = BASE_NS - LEAD_NS;
    let process = match o.engine {
        Engine::Sglang => "sglang::scheduler",
        Engine::Vllm => "VLLM::EngineCore",
        Engine::Torch => "python",
    };
    let device = i64::from(o.rank);
    let label = format!("GPU {}", o.rank);
    for (pid, label, sort) in [(pid, "CPU", pid), (device, label.as_str(), 5_000_000 + device)] {
        events::metadata(t, "process_name", "name", ts, pid, 0, Ok(process));
        events::metadata(t, "process_labels", "labels", ts, pid, 0, Ok(label));
        events::metadata(t, "process_sort_index", "sort_index", ts, pid, 0, Err(sort));
    }
    events::metadata(t, "thread_name", "name", ts, pid, pid, Ok(&format!("thread {pid} ({process})")));
    for (stream, _) in STREAMS {
        events::metadata(
            t,
            "thread_name",
            "name",
            ts,
            device,
            stream,
            Ok(&format!("stream {stream} {stream} ")),
        );
        events::metadata(t, "thread_sort_index", "sort_index", ts, device, stream, Err(stream));
    }
    7 + 2 * STREAMS.len() as u64
}

/// The closing rows; they are the only ones without a comma after them.
fn closing_rows(t: &mut Text, end: i64) -> u64 {
    t.raw("  {\n    \"ph\": \"X\", \"cat\": \"Trace\", \"ts\": ").us(BASE_NS - LEAD_NS).raw(", \"dur\": ");
    t.us(end - BASE_NS + LEAD_NS);
    t.raw(",\n    \"pid\": \"Spans\", \"tid\": \"PyTorch Profiler\",\n    \"name\": \"PyTorch Profiler (0)\",\n    ");
    t.raw("\"args\": {\n      \"Op count\": 0\n    }\n  },\n  {\n    \"name\": \"Iteration Start: PyTorch Profiler\", ");
    t.raw("\"ph\": \"i\", \"s\": \"g\",\n    \"pid\": \"Traces\", \"tid\": \"Trace PyTorch Profiler\", \"ts\": ");
    t.us(BASE_NS - LEAD_NS)
        .raw("\n  },\n  {\n    \"name\": \"Record Window End\", \"ph\": \"i\", \"s\": \"g\",\n    ");
    t.raw("\"pid\": \"\", \"tid\": \"\", \"ts\": ").us(end).raw("\n  }\n  ]");
    3
}

/// Writes a trace to `out` and returns what is true about it.
///
/// # Errors
/// What the sink reports, or the one-line reason why the options are refused.
pub fn generate(o: &Options, out: &mut dyn Write) -> io::Result<Truth> {
    o.check().map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    let programs: Vec<(Kind, Vec<Item>)> = Class::ALL
        .iter()
        .flat_map(|&class| [false, true].map(|extend| Kind { class, extend }))
        .filter(|kind| o.pattern.contains(&kind.class) && (!kind.extend || kind.class == Class::Draft))
        .map(|kind| (kind, program(kind, o)))
        .collect();
    let resident: Vec<String> = resident_frames(o.engine).iter().map(|f| frame(o.engine, f)).collect();
    let first_id = 1_094_000;
    let last_resident = first_id + resident.len() as i64;
    let mut sim = Sim::new(o, o.stack.then_some(last_resident), last_resident);
    let mut text = Text::default();
    text.raw("{\n");
    if !o.metadata_last {
        text.0.extend_from_slice(&header_keys(o).0);
    }
    text.raw("  \"traceEvents\": [\n");
    let mut rows = metadata_rows(o, sim.pid, &mut text);
    let mut shapes = Rng::new(o.seed);
    let (mut written, mut passes, mut drafts) = (0u64, 0u64, 0u64);
    loop {
        let class = o.pattern[usize::try_from(passes).unwrap_or(0) % o.pattern.len()];
        let extend = class == Class::Draft && drafts % 2 == 1;
        drafts += u64::from(class == Class::Draft);
        let kind = Kind { class, extend };
        let Some((_, items)) = programs.iter().find(|(k, _)| *k == kind) else { break };
        let shape = draw(class, extend, o, &mut shapes);
        sim.pass(kind, items, shape, &mut text);
        passes += 1;
        out.write_all(&text.0)?;
        written += text.0.len() as u64;
        text.0.clear();
        let done = match o.extent {
            Extent::Bytes(limit) => written >= limit,
            Extent::Passes(count) => passes >= count,
        };
        if done {
            break;
        }
    }
    let end = sim.now + 50_000;
    if o.stack {
        for (at, name) in resident.iter().enumerate() {
            let at = at as i64;
            let ts = BASE_NS - LEAD_NS + at * 500;
            let parent = (at > 0).then_some(first_id + at);
            let row =
                PyFrame { name, ts, dur: end - at * 500 - ts, id: first_id + at + 1, parent, module: None };
            events::python(&mut text, sim.pid, sim.pid, &row, at);
            rows += 1;
        }
    }
    rows += closing_rows(&mut text, end);
    text.raw(",\n");
    if o.metadata_last {
        text.0.extend_from_slice(&header_keys(o).0);
    }
    text.raw(&format!("  \"traceName\": \"/tmp/trace-TP-{}.trace.json\"\n}}\n", o.rank));
    out.write_all(&text.0)?;
    out.flush()?;
    let mut truth = std::mem::take(&mut sim.truth);
    truth.events += rows;
    truth.bytes = written + text.0.len() as u64;
    Ok(truth)
}

/// The place of the truth beside a trace: `x.json` and `x.json.gz` both give `x.json.truth.json` and
/// `x.json.gz.truth.json`.
pub fn truth_path(trace: &Path) -> PathBuf {
    let mut name = trace.as_os_str().to_owned();
    name.push(".truth.json");
    PathBuf::from(name)
}

/// Opens a trace file for writing, compressed when its name ends in `.gz`; the same bytes in give the same file out.
///
/// # Errors
/// What the file system reports.
pub fn create(path: &Path) -> io::Result<Box<dyn Write>> {
    let file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    if path.extension().is_some_and(|e| e == "gz") {
        return Ok(Box::new(GzFile(Some(GzBuilder::new().mtime(0).write(file, Compression::new(6))))));
    }
    Ok(Box::new(file))
}

/// A gzip writer whose `flush` finishes the member, so that a caller cannot forget the trailer.
struct GzFile(Option<flate2::write::GzEncoder<BufWriter<File>>>);

impl Write for GzFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Some(encoder) => encoder.write(buf),
            None => Err(io::Error::other("the gzip member is already finished")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.take() {
            Some(encoder) => encoder.finish()?.flush(),
            None => Ok(()),
        }
    }
}

/// Writes a trace and its truth.
///
/// # Errors
/// What the file system reports, or the reason why the options are refused.
pub fn generate_file(o: &Options, path: &Path) -> io::Result<Truth> {
    let truth = generate(o, &mut *create(path)?)?;
    let mut file = BufWriter::new(File::create(truth_path(path))?);
    serde_json::to_writer_pretty(&mut file, &truth.to_json(o))?;
    file.write_all(b"\n")?;
    file.flush()?;
    Ok(truth)
}

/// The options of the capture trace that belongs to a graph-decode trace: one recording pass, same model.
pub fn capture_options(replay: &Options) -> Options {
    Options {
        extent: Extent::Passes(1),
        pattern: vec![Class::Capture],
        graph_decode: true,
        batch: Some(replay.batch.unwrap_or(32)),
        stack: true,
        ..replay.clone()
    }
}
