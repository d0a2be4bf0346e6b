//! A profile while it runs: which passes it takes, what they did, and its files.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::writer::{self, OpEvent, PassEvent, Process};
use crate::engine::handle::ProfileRequest;
use crate::engine::pass::Mode;
use crate::{Observer, OpRecord};

/// Operators held at most; a profile that reaches it ends by itself.
const MAX_OPS: usize = 1_000_000;

/// A profile that was asked for.
#[derive(Debug)]
pub(crate) struct Profile {
    request: ProfileRequest,
    process: Process,
    /// Zero of its times, and the same moment in nanoseconds since 1970.
    epoch: Instant,
    base_ns: u128,
    /// Number of the next pass of the engine.
    step: u64,
    prefill: Vec<PassEvent>,
    decode: Vec<PassEvent>,
    ops: usize,
}

/// The recording of one pass.
pub(crate) struct Recording<'p> {
    profile: &'p mut Profile,
    mode: Mode,
    label: String,
    start: u64,
    /// Given to the model.
    pub(crate) observer: Observer,
}

/// The choice of tokens at the end of a pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sampled {
    pub(crate) start: u64,
    pub(crate) rows: usize,
    pub(crate) vocab: usize,
    pub(crate) fused: bool,
}

/// What is left to write.
#[derive(Debug)]
pub(crate) struct Finished {
    process: Process,
    base_ns: u128,
    folder: PathBuf,
    files: Vec<(String, Vec<PassEvent>)>,
}

impl Profile {
    /// A profile that begins with the engine's pass `step`. The folder is made now, so that a folder that cannot be
    /// made is known at once.
    pub(crate) fn start(request: ProfileRequest, process: Process, step: u64) -> Result<Self, String> {
        let folder = &request.output_dir;
        fs::create_dir_all(folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
        let (prefill, decode) = (Vec::new(), Vec::new());
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (epoch, base_ns) = (Instant::now(), since_1970.as_nanos());
        Ok(Self { request, process, epoch, base_ns, step, prefill, decode, ops: 0 })
    }

    fn passes(&mut self, mode: Mode) -> &mut Vec<PassEvent> {
        // Files of stages are apart; a pass that mixes both counts as prefill.
        if self.request.by_stage && mode == Mode::Decode { &mut self.decode } else { &mut self.prefill }
    }

    /// The recording of the pass that begins now, if the profile takes it.
    pub(crate) fn begin(&mut self, mode: Mode, label: impl FnOnce() -> String) -> Option<Recording<'_>> {
        let step = self.step;
        self.step += 1;
        let early = self.request.start_step.is_some_and(|first| step < first);
        let wanted = self.request.num_steps.unwrap_or(u64::MAX);
        let full = self.passes(mode).len() as u64 >= wanted || self.ops >= MAX_OPS;
        if early || full {
            return None;
        }
        let observer = Observer::new(self.epoch);
        let start = observer.now_ns();
        Some(Recording { profile: self, mode, label: label(), start, observer })
    }

    /// Whether it has all that it was asked for.
    pub(crate) fn complete(&self) -> bool {
        let Some(wanted) = self.request.num_steps else { return self.ops >= MAX_OPS };
        let enough = |passes: &[PassEvent]| passes.len() as u64 >= wanted;
        let stages = enough(&self.prefill) && (!self.request.by_stage || enough(&self.decode));
        stages || self.ops >= MAX_OPS
    }

    /// Ends it.
    pub(crate) fn finish(self) -> Finished {
        let name = |stage: &str| format!("{}-TP-0{stage}.trace.json.gz", self.request.id);
        let files = if self.request.by_stage {
            let stages = [("-EXTEND", self.prefill), ("-DECODE", self.decode)];
            let kept = stages.into_iter().filter(|(_, passes)| !passes.is_empty());
            kept.map(|(stage, passes)| (name(stage), passes)).collect()
        } else {
            vec![(name(""), self.prefill)]
        };
        Finished { process: self.process, base_ns: self.base_ns, folder: self.request.output_dir, files }
    }
}

impl Recording<'_> {
    /// The pass has ended.
    pub(crate) fn end(mut self, sampled: Sampled, site: &'static Location<'static>) {
        let end = self.observer.now_ns();
        let mut ops: Vec<OpEvent> = self.observer.take().iter().map(op_event).collect();
        if sampled.rows > 0 {
            ops.push(OpEvent {
                op: "sampling".to_owned(),
                kernel: if sampled.fused { "lab_fused_sampling" } else { "lab_sampling" }.to_owned(),
                layer: None,
                file: site.file(),
                line: site.line(),
                func: "sampling",
                dims: vec![vec![sampled.rows, sampled.vocab]],
                start: sampled.start,
                end,
            });
        }
        let pass = PassEvent { label: self.label, site, start: self.start, end, ops };
        self.profile.ops += pass.ops.len();
        self.profile.passes(self.mode).push(pass);
    }
}

fn op_event(record: &OpRecord) -> OpEvent {
    OpEvent {
        op: record.op.to_owned(),
        kernel: record.kernel.to_owned(),
        layer: record.layer,
        file: record.site.file(),
        line: record.site.line(),
        func: record.role,
        dims: record.shapes.iter().map(|shape| shape.to_vec()).collect(),
        start: record.start_ns,
        end: record.end_ns,
    }
}

impl Finished {
    /// Writes the files, each under another name first, so that whoever waits for one finds it whole.
    pub(crate) fn write(self) -> Result<Vec<PathBuf>, String> {
        let mut written = Vec::new();
        for (name, passes) in &self.files {
            let path = self.folder.join(name);
            write_file(&path, &self.process, self.base_ns, passes)
                .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
            written.push(path);
        }
        Ok(written)
    }
}

fn write_file(path: &Path, process: &Process, base_ns: u128, passes: &[PassEvent]) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".part");
    let mut out = GzEncoder::new(BufWriter::new(File::create(&partial)?), Compression::new(4));
    writer::write(&mut out, process, base_ns, passes)?;
    out.finish()?.flush()?;
    fs::rename(&partial, path)
}
