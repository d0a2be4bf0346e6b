//! The columns a trace becomes: one table a kind of event, names interned, times in integer nanoseconds.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::intern::{Interner, NO_STR, StrId};

/// "No value" in an integer column.
pub const NONE: i64 = i64::MIN;

/// Declares a table as a struct of equally long columns.
macro_rules! columns {
    ($(#[$doc:meta])* $table:ident of $row:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Default, Clone)]
        pub struct $table { $($(#[$fdoc])* pub $field: Vec<$ty>,)+ }

        #[doc = concat!("One row of [`", stringify!($table), "`].")]
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $row { $(pub(crate) $field: $ty,)+ }

        impl $table {
            /// Number of rows.
            pub fn len(&self) -> usize { columns!(@first self $($field)+).len() }
            /// True when there are no rows.
            pub fn is_empty(&self) -> bool { self.len() == 0 }
            #[inline(always)]
            pub(crate) fn push(&mut self, row: $row) { $(self.$field.push(row.$field);)+ }
            pub(crate) fn append(&mut self, other: &mut Self) { $(self.$field.append(&mut other.$field);)+ }
            /// Reorders the rows: row `i` becomes what row `order[i]` was.
            #[allow(dead_code, reason = "not every table is ever out of order")]
            pub(crate) fn permute(&mut self, order: &[u32]) {
                $(self.$field = order.iter().map(|&i| self.$field[i as usize]).collect();)+
            }
            pub(crate) fn encode(&self, out: &mut crate::cache::Encoder) { $(out.column(&self.$field);)+ }
            pub(crate) fn decode(from: &mut crate::cache::Decoder<'_>) -> Option<Self> {
                let table = Self { $($field: from.column()?,)+ };
                let n = table.len();
                ($(table.$field.len() == n)&&+).then_some(table)
            }
        }
    };
    (@first $self:ident $first:ident $($rest:ident)*) => { $self.$first };
}

columns! {
    /// Work on a device: kernels, copies and fills with `dur > 0`.
    Devices of DeviceRow {
        /// Raw name.
        name: StrId,
        /// [`KERNEL`], [`MEMCPY`] or [`MEMSET`].
        kind: u8,
        /// Index into [`Store::lanes`]: (pid, tid) of the event.
        lane: u32,
        /// Index into [`Store::streams`]: (pid, stream).
        stream: u32,
        /// Start, ns.
        ts: i64,
        /// Duration, ns, positive.
        dur: i64,
        /// `correlation`, or [`NONE`].
        corr: i64,
        /// `External id`, or [`NONE`].
        ext: i64,
        /// `graph node id`, or [`NONE`].
        node: i64,
    }
}
columns! {
    /// Calls of the CUDA/HIP runtime and driver.
    Launches of LaunchRow {
        /// API name.
        name: StrId,
        /// Host thread.
        lane: u32,
        /// Start, ns.
        ts: i64,
        /// Duration, ns.
        dur: i64,
        /// `correlation`, or [`NONE`].
        corr: i64,
        /// `External id`, or [`NONE`].
        ext: i64,
        /// `args.kernel`, which ROCm writes, or [`NO_STR`].
        kernel: StrId,
    }
}
columns! {
    /// `cpu_op` events.
    Ops of OpRow {
        /// Operator name.
        name: StrId,
        /// Host thread.
        lane: u32,
        /// Start, ns.
        ts: i64,
        /// Duration, ns.
        dur: i64,
        /// `External id`, or [`NONE`].
        ext: i64,
        /// `Sequence number`, or [`NONE`].
        seq: i64,
        /// `Fwd thread id`, or [`NONE`]; set above 0 on backward operators.
        fwd_thread: i64,
        /// Raw JSON of `Input Dims`, or [`NO_STR`].
        dims: StrId,
    }
}
columns! {
    /// `python_function` events.
    Frames of FrameRow {
        /// Frame name, `path(line): func`.
        name: StrId,
        /// Host thread.
        lane: u32,
        /// Start, ns.
        ts: i64,
        /// Duration, ns.
        dur: i64,
    }
}
columns! {
    /// `user_annotation` and `gpu_user_annotation` events.
    Annotations of AnnotationRow {
        /// Text.
        name: StrId,
        /// (pid, tid).
        lane: u32,
        /// Start, ns.
        ts: i64,
        /// Duration, ns.
        dur: i64,
        /// `External id`, or [`NONE`].
        ext: i64,
        /// 1 on a device, 0 on the host.
        device: u8,
    }
}
columns! {
    /// `cuda_sync` events: waits of streams, contexts and events.
    Syncs of SyncRow {
        /// Kind of wait.
        name: StrId,
        /// Index into [`Store::streams`].
        stream: u32,
        /// Start, ns.
        ts: i64,
        /// Duration, ns.
        dur: i64,
        /// `correlation`, or [`NONE`].
        corr: i64,
        /// Stream waited for (`wait_on_stream`), or [`NONE`].
        on: i64,
    }
}
columns! {
    /// `fwdbwd` flow ends: a forward operator (`start` = 1) and the backward operator it led to.
    Flows of FlowRow {
        /// Flow id.
        id: i64,
        /// Host thread.
        lane: u32,
        /// Time, ns.
        ts: i64,
        /// 1 where the flow starts.
        start: u8,
    }
}

/// Kind of a device event: a kernel.
pub const KERNEL: u8 = 0;
/// Kind of a device event: a copy.
pub const MEMCPY: u8 = 1;
/// Kind of a device event: a fill.
pub const MEMSET: u8 = 2;

/// A process or thread id as the trace writes it: a number, or a word such as `"Spans"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ident {
    /// A number.
    Num(i64),
    /// An interned word.
    Word(StrId),
}

impl Default for Ident {
    fn default() -> Self {
        Ident::Num(0)
    }
}

/// What was set aside while reading, by kind. Nothing here is in any total.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Anomalies {
    /// Device events with a duration of zero.
    pub zero_duration: u64,
    /// Device events with a negative duration.
    pub negative_duration: u64,
    /// Device events whose time stamp or duration is missing or not a number.
    pub bad_time: u64,
    /// Entries of the event array that are not JSON, or not trace events.
    pub malformed_events: u64,
    /// Bytes of text after the end of the document, or after the last gzip member.
    pub trailing_bytes: u64,
}

impl Anomalies {
    pub(crate) fn add(&mut self, o: &Anomalies) {
        self.zero_duration += o.zero_duration;
        self.negative_duration += o.negative_duration;
        self.bad_time += o.bad_time;
        self.malformed_events += o.malformed_events;
        self.trailing_bytes += o.trailing_bytes;
    }
}

/// Why only a part of a trace was read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Partial {
    /// What is wrong and where.
    pub reason: String,
    /// Bytes of JSON text up to the end of the last event that was read.
    pub bytes_read: u64,
}

/// One trace, read.
#[derive(Debug, Default, Clone)]
pub struct Store {
    /// Every string.
    pub strings: Interner,
    /// (pid, tid) pairs.
    pub lanes: Vec<(Ident, Ident)>,
    /// (pid, stream) pairs of device events.
    pub streams: Vec<(Ident, Ident)>,
    /// Device work.
    pub devices: Devices,
    /// Runtime calls.
    pub launches: Launches,
    /// Operators.
    pub ops: Ops,
    /// Python frames.
    pub frames: Frames,
    /// Annotations.
    pub annotations: Annotations,
    /// Synchronisation.
    pub syncs: Syncs,
    /// Forward-backward flows.
    pub flows: Flows,
    /// Events by category as written, with how many of them.
    pub categories: BTreeMap<String, u64>,
    /// All events, of any kind.
    pub events: u64,
    /// Complete events (`ph` = `X`) with `dur > 0`.
    pub complete_events: u64,
    /// Top-level keys other than the events (raw JSON, each at most [`META_LIMIT`] bytes), and `process_name` /
    /// `process_labels` by pid.
    pub meta: BTreeMap<String, String>,
    /// What was set aside.
    pub anomalies: Anomalies,
    /// Bytes of JSON text.
    pub text_bytes: u64,
    /// Set when only a part could be read.
    pub partial: Option<Partial>,
}

/// Time stamps and ends stay below this (146 years, so that those since 1970 fit), ns.
pub(crate) const FARTHEST_NS: i64 = 1 << 62;
/// Longest device event, and farthest from the middle of the trace, that is believed: 39 hours, ns. Profiles last
/// seconds, and sums over 65,000 passes of that length still fit.
pub(crate) const LONGEST_NS: i64 = 1 << 47;
/// Most device time of one trace, ns.
const MOST_DEVICE_NS: i128 = 1 << 60;

/// Longest top-level metadata value kept, bytes.
pub const META_LIMIT: usize = 1 << 20;

impl Store {
    /// Sorts device work by start (stable, so equal starts keep the file's order) and host events by thread and
    /// start, outer before inner.
    pub(crate) fn order(&mut self) {
        sort_by(&mut self.devices, |d, i| (d.ts[i], 0, 0), Devices::permute, Devices::len);
        sort_by(
            &mut self.frames,
            |f, i| (i64::from(f.lane[i]), f.ts[i], -f.dur[i]),
            Frames::permute,
            Frames::len,
        );
        sort_by(&mut self.ops, |o, i| (i64::from(o.lane[i]), o.ts[i], -o.dur[i]), Ops::permute, Ops::len);
        sort_by(
            &mut self.launches,
            |l, i| (i64::from(l.lane[i]), l.ts[i], 0),
            Launches::permute,
            Launches::len,
        );
        sort_by(
            &mut self.annotations,
            |a, i| (a.ts[i], -a.dur[i], 0),
            Annotations::permute,
            Annotations::len,
        );
    }

    /// Sets device events aside that lie days from the others, which must be in start order: a stray time stamp would
    /// make years of idle time, and windows whose sums overflow. `false` when even then the durations add to more
    /// than any trace holds.
    #[must_use]
    pub(crate) fn drop_far_devices(&mut self) -> bool {
        let d = &self.devices;
        if let (Some(first), Some(last)) = (d.ts.first(), d.ts.last())
            && last - first > LONGEST_NS
        {
            let middle = d.ts[d.len() / 2];
            let near: Vec<u32> =
                (0..d.len() as u32).filter(|&i| (d.ts[i as usize] - middle).abs() <= LONGEST_NS).collect();
            let far = (d.len() - near.len()) as u64;
            self.anomalies.bad_time += far;
            self.complete_events -= far;
            self.devices.permute(&near);
        }
        self.devices.dur.iter().map(|&d| i128::from(d)).sum::<i128>() <= MOST_DEVICE_NS
    }

    /// The pid of device event `i`.
    pub fn device_pid(&self, i: usize) -> Ident {
        self.lanes[self.devices.lane[i] as usize].0
    }

    /// A pid, tid or stream as text.
    pub fn ident_text(&self, id: Ident) -> String {
        match id {
            Ident::Num(n) => n.to_string(),
            Ident::Word(w) => self.strings.text(w).into_owned(),
        }
    }

    /// Takes the events of `other`, which came after ours in the same file.
    pub(crate) fn absorb(&mut self, mut other: Store) {
        let strings = self.strings.absorb(&other.strings);
        let map_str = |s: &mut StrId| {
            if *s != NO_STR {
                *s = strings[*s as usize];
            }
        };
        let map_ident = |id: Ident| match id {
            Ident::Word(w) => Ident::Word(strings.get(w as usize).copied().unwrap_or(NO_STR)),
            n @ Ident::Num(_) => n,
        };
        let map_pairs = |ours: &mut Vec<(Ident, Ident)>, theirs: &[(Ident, Ident)]| -> Vec<u32> {
            let mut known: HashMap<(Ident, Ident), u32> =
                ours.iter().enumerate().map(|(i, &p)| (p, i as u32)).collect();
            theirs
                .iter()
                .map(|&(a, b)| {
                    let pair = (map_ident(a), map_ident(b));
                    *known.entry(pair).or_insert_with(|| {
                        ours.push(pair);
                        (ours.len() - 1) as u32
                    })
                })
                .collect()
        };
        let lanes = map_pairs(&mut self.lanes, &other.lanes);
        let streams = map_pairs(&mut self.streams, &other.streams);
        let lane = |l: &mut u32| *l = lanes[*l as usize];
        let stream = |s: &mut u32| *s = streams[*s as usize];
        for names in [
            &mut other.devices.name,
            &mut other.launches.name,
            &mut other.launches.kernel,
            &mut other.ops.name,
            &mut other.ops.dims,
            &mut other.frames.name,
            &mut other.annotations.name,
            &mut other.syncs.name,
        ] {
            names.iter_mut().for_each(map_str);
        }
        for ids in [
            &mut other.devices.lane,
            &mut other.launches.lane,
            &mut other.ops.lane,
            &mut other.frames.lane,
            &mut other.annotations.lane,
            &mut other.flows.lane,
        ] {
            ids.iter_mut().for_each(lane);
        }
        other.devices.stream.iter_mut().for_each(stream);
        other.syncs.stream.iter_mut().for_each(stream);
        self.devices.append(&mut other.devices);
        self.launches.append(&mut other.launches);
        self.ops.append(&mut other.ops);
        self.frames.append(&mut other.frames);
        self.annotations.append(&mut other.annotations);
        self.syncs.append(&mut other.syncs);
        self.flows.append(&mut other.flows);
        for (k, n) in other.categories {
            *self.categories.entry(k).or_default() += n;
        }
        self.events += other.events;
        self.complete_events += other.complete_events;
        self.meta.append(&mut other.meta);
        self.anomalies.add(&other.anomalies);
        self.partial = self.partial.take().or(other.partial);
    }
}

type Key = (i64, i64, i64);

/// Sorts a table by a key unless it is in order already, which most files are.
fn sort_by<T>(
    table: &mut T,
    key: impl Fn(&T, usize) -> Key,
    permute: fn(&mut T, &[u32]),
    len: fn(&T) -> usize,
) {
    let n = len(table);
    if (1..n).all(|i| key(table, i - 1) <= key(table, i)) {
        return;
    }
    let mut order: Vec<u32> = (0..n as u32).collect();
    order.sort_by_key(|&i| key(table, i as usize));
    permute(table, &order);
}
