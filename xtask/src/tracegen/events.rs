//! The layout of single Kineto events, as the profiler prints them.
//!
//! Every function appends one event that ends with `},\n`; the file writer closes the list with an event of its own.

use super::text::Text;

/// Where a device event runs and how it is linked to the host.
#[derive(Debug, Clone, Copy)]
pub struct DeviceSlot {
    /// Device number, which is also the process id of the row.
    pub device: u32,
    /// Stream number, which is also the thread id of the row.
    pub stream: i64,
    /// Start in ns.
    pub ts: i64,
    /// Duration in ns.
    pub dur: i64,
    /// Correlation id of the launch.
    pub corr: i64,
    /// `External id` of the operator, absent on most graph kernels.
    pub ext: Option<i64>,
}

fn open(t: &mut Text, cat: &str, name: &str, pid: i64, tid: i64, ts: i64, dur: i64) {
    t.raw("  {\n    \"ph\": \"X\", \"cat\": \"").raw(cat).raw("\", \"name\": ").quoted(name);
    t.raw(", \"pid\": ").int(pid).raw(", \"tid\": ").int(tid);
    t.raw(",\n    \"ts\": ").us(ts).raw(", \"dur\": ").us(dur).raw(",\n    \"args\": {\n      ");
}

const CLOSE: &str = "\n    }\n  },\n";

/// One Python frame; `module` is the instance number of an `nn.Module` row.
#[derive(Debug, Clone, Copy)]
pub struct PyFrame<'a> {
    /// `path(line): function`, `nn.Module: X_3` or `<built-in ...>`.
    pub name: &'a str,
    /// Start in ns.
    pub ts: i64,
    /// Duration in ns.
    pub dur: i64,
    /// `Python id`.
    pub id: i64,
    /// `Python parent id`.
    pub parent: Option<i64>,
    /// `Python module id`.
    pub module: Option<u32>,
}

/// A `python_function` row.
pub fn python(t: &mut Text, pid: i64, tid: i64, f: &PyFrame<'_>, index: i64) {
    open(t, "python_function", f.name, pid, tid, f.ts, f.dur);
    t.raw("\"Python parent id\": ");
    match f.parent {
        Some(parent) => t.int(parent),
        None => t.raw("null"),
    };
    t.raw(", \"Python id\": ").int(f.id);
    if let Some(module) = f.module {
        t.raw(", \"Python module id\": ").int(i64::from(module));
    }
    t.raw(", \"Ev Idx\": ").int(index).raw(CLOSE);
}

/// A `cpu_op` or annotation row; `extra` is raw text of further arguments ending in `, `.
#[derive(Debug, Clone, Copy)]
pub struct HostOp<'a> {
    /// Operator or annotation name.
    pub name: &'a str,
    /// Start in ns.
    pub ts: i64,
    /// Duration in ns.
    pub dur: i64,
    /// `External id`.
    pub ext: i64,
}

/// A `cpu_op` row.
pub fn cpu_op(t: &mut Text, pid: i64, op: &HostOp<'_>, extra: &str, index: i64) {
    open(t, "cpu_op", op.name, pid, pid, op.ts, op.dur);
    t.raw("\"External id\": ").int(op.ext).raw(", \"Record function id\": 0, ").raw(extra);
    t.raw("\"Ev Idx\": ").int(index).raw(CLOSE);
}

/// A `user_annotation` row.
pub fn user_annotation(t: &mut Text, pid: i64, op: &HostOp<'_>, index: i64) {
    open(t, "user_annotation", op.name, pid, pid, op.ts, op.dur);
    t.raw("\"External id\": ")
        .int(op.ext)
        .raw(",\"Record function id\": 0, \"Ev Idx\": ")
        .int(index)
        .raw(CLOSE);
}

/// A `gpu_user_annotation` row.
pub fn gpu_annotation(t: &mut Text, device: u32, stream: i64, op: &HostOp<'_>) {
    open(t, "gpu_user_annotation", op.name, i64::from(device), stream, op.ts, op.dur);
    t.raw("\"External id\": ").int(op.ext).raw(CLOSE);
}

/// A CUDA runtime or driver row.
pub fn cuda_call(t: &mut Text, cat: &str, pid: i64, op: &HostOp<'_>, ext: Option<i64>, cbid: i64, corr: i64) {
    open(t, cat, op.name, pid, pid, op.ts, op.dur);
    if let Some(ext) = ext {
        t.raw("\"External id\": ").int(ext).raw(", ");
    }
    t.raw("\"cbid\": ").int(cbid).raw(", \"correlation\": ").int(corr).raw(CLOSE);
}

/// A HIP runtime row; launches carry the kernel's name and shape.
pub fn hip_call(
    t: &mut Text,
    pid: i64,
    op: &HostOp<'_>,
    ext: Option<i64>,
    cid: i64,
    corr: i64,
    kernel: Option<(&str, i64, i64)>,
) {
    open(t, "cuda_runtime", op.name, pid, pid, op.ts, op.dur);
    if let Some(ext) = ext {
        t.raw("\"External id\": ").int(ext).raw(",");
    }
    t.raw("      ");
    if let Some((name, ..)) = kernel {
        t.raw("    \"kernel\": ").quoted(name).raw(", ");
    }
    t.raw("\"cid\": ").int(cid).raw(", \"correlation\": ").int(corr);
    if let Some((_, grid, block)) = kernel {
        t.raw(",      \"grid\": [").int(grid).raw(", 1, 1],      \"block\": [").int(block);
        t.raw(", 1, 1],      \"shared memory\": 0");
    }
    t.raw(CLOSE);
}

fn external(t: &mut Text, slot: &DeviceSlot) {
    if let Some(ext) = slot.ext {
        t.raw("\"External id\": ").int(ext).raw(", ");
    }
}

/// A kernel row with the arguments CUPTI gives; `extra` is raw text beginning with `, ` or empty.
pub fn cuda_kernel(t: &mut Text, name: &str, slot: &DeviceSlot, grid: i64, block: i64, extra: &str) {
    open(t, "kernel", name, i64::from(slot.device), slot.stream, slot.ts, slot.dur);
    external(t, slot);
    t.raw("\"queued\": 0, \"device\": ")
        .int(i64::from(slot.device))
        .raw(", \"context\": 1,\n      \"stream\": ");
    t.int(slot.stream).raw(", \"correlation\": ").int(slot.corr);
    t.raw(",\n      \"registers per thread\": 168, \"shared memory\": 197632,\n      ");
    t.raw("\"blocks per SM\": 1.0, \"warps per SM\": 12.0,\n      \"grid\": [").int(grid);
    t.raw(", 1, 1],\n      \"block\": [").int(block);
    t.raw(", 1, 1],\n      \"est. achieved occupancy %\": 19").raw(extra).raw(CLOSE);
}

/// A kernel row with the arguments roctracer gives.
pub fn hip_kernel(t: &mut Text, name: &str, slot: &DeviceSlot, grid: i64, block: i64, extra: &str) {
    open(t, "kernel", name, i64::from(slot.device), slot.stream, slot.ts, slot.dur);
    external(t, slot);
    t.raw("\"device\": ").int(i64::from(slot.device)).raw(", \"stream\": ").int(slot.stream);
    t.raw(",\n      \"correlation\": ")
        .int(slot.corr)
        .raw(", \"kind\": \"Dispatch Kernel\",\n      \"grid\": [");
    t.int(grid).raw(", 1, 1],\n      \"block\": [").int(block).raw(", 1, 1]").raw(extra).raw(CLOSE);
}

/// A copy (`gpu_memcpy`) or fill (`gpu_memset`) row; roctracer names a `kind` where CUPTI names a context.
pub fn transfer(t: &mut Text, cat: &str, name: &str, slot: &DeviceSlot, bytes: i64, kind: Option<&str>) {
    open(t, cat, name, i64::from(slot.device), slot.stream, slot.ts, slot.dur);
    external(t, slot);
    t.raw("\"device\": ").int(i64::from(slot.device));
    t.raw(if kind.is_none() { ", \"context\": 1,\n      \"stream\": " } else { ", \"stream\": " });
    t.int(slot.stream).raw(", \"correlation\": ").int(slot.corr);
    if let Some(kind) = kind {
        t.raw(", \"kind\": \"").raw(kind).raw("\"");
    }
    if kind.is_none() || cat == "gpu_memcpy" {
        // Bytes per ns is GB/s; three decimals as `us` prints them.
        t.raw(",\n      \"bytes\": ").int(bytes).raw(", \"memory bandwidth (GB/s)\": ");
        t.us(bytes * 1000 / slot.dur.max(1));
    }
    t.raw(CLOSE);
}

/// A `cuda_sync` row: it names a stream but is no device work.
pub fn event_sync(t: &mut Text, device: u32, ts: i64, dur: i64, corr: i64) {
    open(t, "cuda_sync", "Event Sync", i64::from(device), -1, ts, dur);
    t.raw("\"cuda_sync_kind\": \"Event Sync\", \"stream\": -1, \"correlation\": ").int(corr);
    t.raw(", \"wait_on_stream\": 7, \"wait_on_cuda_event_id\": 9,\n      \"device\": ")
        .int(i64::from(device));
    t.raw(", \"context\": 1").raw(CLOSE);
}

/// One end of an `ac2g` flow.
pub fn flow(t: &mut Text, start: bool, id: i64, pid: i64, tid: i64, ts: i64) {
    t.raw(if start { "  {\n    \"ph\": \"s\", \"id\": " } else { "  {\n    \"ph\": \"f\", \"id\": " })
        .int(id);
    t.raw(", \"pid\": ").int(pid).raw(", \"tid\": ").int(tid).raw(", \"ts\": ").us(ts);
    t.raw(",\n    \"cat\": \"ac2g\", \"name\": \"ac2g\"").raw(if start { "" } else { ", \"bp\": \"e\"" });
    t.raw("\n  },\n");
}

/// A `[memory]` instant.
pub fn memory(t: &mut Text, pid: i64, ts: i64, bytes: i64, index: i64) {
    t.raw("  {\n    \"ph\": \"i\", \"cat\": \"cpu_instant_event\", \"s\": \"t\", \"name\": \"[memory]\",\n    \"pid\": ");
    t.int(pid).raw(", \"tid\": ").int(pid).raw(",\n    \"ts\": ").us(ts);
    t.raw(",\n    \"args\": {\n      \"Total Reserved\": 152171446272, \"Total Allocated\": 151811957760, \"Bytes\": ");
    t.int(bytes)
        .raw(", \"Device Id\": 0, \"Device Type\": 1, \"Addr\": 139443981778944, \"Ev Idx\": ")
        .int(index);
    t.raw(CLOSE);
}

/// A metadata row (`process_name`, `process_labels`, `thread_name`, ...); `value` is quoted here when it is text.
pub fn metadata(t: &mut Text, kind: &str, key: &str, ts: i64, pid: i64, tid: i64, value: Result<&str, i64>) {
    t.raw("  {\n    \"name\": \"")
        .raw(kind)
        .raw("\", \"ph\": \"M\", \"ts\": ")
        .us(ts)
        .raw(", \"pid\": ")
        .int(pid);
    t.raw(", \"tid\": ").int(tid).raw(",\n    \"args\": {\n      \"").raw(key).raw("\": ");
    match value {
        Ok(text) => t.quoted(text),
        Err(number) => t.int(number),
    };
    t.raw(CLOSE);
}
