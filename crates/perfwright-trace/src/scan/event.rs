//! One trace event: its fields read in a single pass over its bytes, then put into the right table.

use hashbrown::HashMap;

use super::cursor::{Cursor, Scan, Stop, unescape};
use super::number::{integer, micros_to_nanos};
use crate::intern::{NO_STR, StrId};
use crate::store::{
    AnnotationRow, DeviceRow, FARTHEST_NS, FlowRow, FrameRow, Ident, KERNEL, LONGEST_NS, LaunchRow, MEMCPY,
    MEMSET, NONE, OpRow, Store, SyncRow,
};

/// Longest operator shape text kept, bytes; a longer one is dropped.
const DIMS_LIMIT: usize = 4096;
/// Distinct categories counted by name; the rest is counted together.
const CATEGORY_LIMIT: usize = 256;

/// What an event's category means to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    #[default]
    Other,
    Device(u8),
    Launch,
    Op,
    Frame,
    Annotation(u8),
    Sync,
    FwdBwd,
}

/// The kinds by category name, any case. `operator` and `runtime` are names of older Kineto versions.
fn kind_of(category: &[u8]) -> Kind {
    let mut lower = [0u8; 24];
    let Some(lower) = lower.get_mut(..category.len()) else { return Kind::Other };
    lower.copy_from_slice(category);
    lower.make_ascii_lowercase();
    match &*lower {
        b"kernel" => Kind::Device(KERNEL),
        b"gpu_memcpy" => Kind::Device(MEMCPY),
        b"gpu_memset" => Kind::Device(MEMSET),
        b"cuda_runtime" | b"cuda_driver" | b"hip_runtime" | b"hip_driver" | b"runtime" => Kind::Launch,
        b"cpu_op" | b"operator" => Kind::Op,
        b"python_function" => Kind::Frame,
        b"user_annotation" => Kind::Annotation(0),
        b"gpu_user_annotation" => Kind::Annotation(1),
        b"cuda_sync" => Kind::Sync,
        b"fwdbwd" => Kind::FwdBwd,
        _ => Kind::Other,
    }
}

/// A scalar as it stands in the text.
#[derive(Debug, Clone, Copy, Default)]
struct Token<'a> {
    text: &'a [u8],
    quoted: bool,
}

/// The fields of one event that anything is made of.
#[derive(Debug, Default)]
struct Raw<'a> {
    ph: u8,
    cat: &'a [u8],
    name: &'a [u8],
    pid: Token<'a>,
    tid: Token<'a>,
    ts: Option<i64>,
    dur: Option<i64>,
    has_dur: bool,
    id: Option<i64>,
    ext: Option<i64>,
    corr: Option<i64>,
    stream: Option<Token<'a>>,
    kernel: Option<&'a [u8]>,
    node: Option<i64>,
    seq: Option<i64>,
    fwd_thread: Option<i64>,
    dims: Option<&'a [u8]>,
    wait_on: Option<i64>,
    label: Option<&'a [u8]>,
}

/// Puts events into a [`Store`]; remembers the last category and ids, which repeat.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    pub(crate) store: Store,
    lanes: HashMap<(Ident, Ident), u32>,
    streams: HashMap<(Ident, Ident), u32>,
    last_lane: Option<((Ident, Ident), u32)>,
    last_stream: Option<((Ident, Ident), u32)>,
    kinds: Vec<(Vec<u8>, Kind, u64)>,
    last_kind: usize,
}

impl Builder {
    /// Reads the event whose `{` is at the cursor and stores it. On `Err` the store is unchanged and the cursor
    /// is somewhere inside the event.
    pub(crate) fn event(&mut self, c: &mut Cursor<'_>) -> Scan<()> {
        let raw = read(c)?;
        self.put(&raw);
        Ok(())
    }

    /// The finished store.
    pub(crate) fn finish(mut self) -> Store {
        for (name, _, n) in std::mem::take(&mut self.kinds) {
            let name =
                if name.is_empty() { "(none)".into() } else { String::from_utf8_lossy(&name).into_owned() };
            *self.store.categories.entry(name).or_default() += n;
        }
        self.store
    }

    fn kind(&mut self, cat: &[u8]) -> Kind {
        if let Some((name, kind, n)) = self.kinds.get_mut(self.last_kind)
            && name == cat
        {
            *n += 1;
            return *kind;
        }
        let plain = plain(cat);
        let cat = plain.as_deref().unwrap_or(cat);
        let kind = kind_of(cat);
        // Hostile files may invent categories without end; those that mean nothing to us share one count.
        let known = kind != Kind::Other || self.kinds.len() < CATEGORY_LIMIT;
        let name: &[u8] = if known || self.kinds.iter().any(|(n, ..)| n == cat) { cat } else { b"(other)" };
        let at = self.kinds.iter().position(|(n, ..)| n == name).unwrap_or_else(|| {
            self.kinds.push((name.to_vec(), kind, 0));
            self.kinds.len() - 1
        });
        self.last_kind = at;
        self.kinds[at].2 += 1;
        self.kinds[at].1
    }

    fn put(&mut self, e: &Raw<'_>) {
        if e.ph == 0 {
            self.store.anomalies.malformed_events += 1; // an object, but no trace event
            return;
        }
        self.store.events += 1;
        let kind = self.kind(e.cat);
        match e.ph {
            b'X' => {}
            b'M' => return self.metadata(e),
            b's' | b'f' if kind == Kind::FwdBwd => {
                let lane = self.lane(e);
                if let (Some(id), Some(ts)) = (e.id, e.ts) {
                    self.store.flows.push(FlowRow { id, lane, ts, start: u8::from(e.ph == b's') });
                }
                return;
            }
            _ => return,
        }
        let (ts, dur) = match (e.ts, e.dur) {
            (Some(ts), Some(dur)) if dur > 0 => (ts, dur),
            // Host events of no length still say where something was launched.
            (Some(ts), dur) if !matches!(kind, Kind::Device(_)) && (dur == Some(0) || !e.has_dur) => (ts, 0),
            _ => return self.set_aside(kind, e),
        };
        // Times with which no sum or difference of two can overflow; others are as wrong as one that is no number.
        let limit = if matches!(kind, Kind::Device(_)) { LONGEST_NS } else { FARTHEST_NS };
        if dur > limit || ts.abs_diff(0) >= FARTHEST_NS.unsigned_abs() || ts + dur >= FARTHEST_NS {
            return self.set_aside(kind, e);
        }
        self.store.complete_events += u64::from(dur > 0);
        match kind {
            Kind::Device(kind) => {
                let (name, lane, stream) = (self.text(e.name), self.lane(e), self.stream(e));
                let (corr, ext) = (e.corr.unwrap_or(NONE), e.ext.unwrap_or(NONE));
                let node = e.node.unwrap_or(NONE);
                self.store.devices.push(DeviceRow { name, kind, lane, stream, ts, dur, corr, ext, node });
            }
            Kind::Launch => {
                let (name, lane) = (self.text(e.name), self.lane(e));
                let (corr, ext) = (e.corr.unwrap_or(NONE), e.ext.unwrap_or(NONE));
                let kernel = e.kernel.map_or(NO_STR, |k| self.text(k));
                self.store.launches.push(LaunchRow { name, lane, ts, dur, corr, ext, kernel });
            }
            Kind::Op => {
                let (name, lane) = (self.text(e.name), self.lane(e));
                let dims =
                    e.dims.filter(|d| d.len() <= DIMS_LIMIT).map_or(NO_STR, |d| self.store.strings.intern(d));
                let (ext, seq) = (e.ext.unwrap_or(NONE), e.seq.unwrap_or(NONE));
                let fwd_thread = e.fwd_thread.unwrap_or(NONE);
                self.store.ops.push(OpRow { name, lane, ts, dur, ext, seq, fwd_thread, dims });
            }
            Kind::Frame => {
                let (name, lane) = (self.text(frame_name(e.name)), self.lane(e));
                self.store.frames.push(FrameRow { name, lane, ts, dur });
            }
            Kind::Annotation(device) => {
                let (name, lane, ext) = (self.text(e.name), self.lane(e), e.ext.unwrap_or(NONE));
                self.store.annotations.push(AnnotationRow { name, lane, ts, dur, ext, device });
            }
            Kind::Sync => {
                let (name, stream) = (self.text(e.name), self.stream(e));
                let (corr, on) = (e.corr.unwrap_or(NONE), e.wait_on.unwrap_or(NONE));
                self.store.syncs.push(SyncRow { name, stream, ts, dur, corr, on });
            }
            Kind::FwdBwd | Kind::Other => {}
        }
    }

    fn set_aside(&mut self, kind: Kind, e: &Raw<'_>) {
        if !matches!(kind, Kind::Device(_)) {
            return;
        }
        let a = &mut self.store.anomalies;
        match (e.ts, e.dur) {
            (Some(_), Some(0)) => a.zero_duration += 1,
            (Some(_), Some(d)) if d < 0 => a.negative_duration += 1,
            // The rest: no number, or one that no time is.
            _ => a.bad_time += 1,
        }
    }

    fn metadata(&mut self, e: &Raw<'_>) {
        if let Some(label) = e.label
            && matches!(e.name, b"process_name" | b"process_labels")
            && label.len() < 256
            && self.store.meta.len() < 4096
        {
            let key = format!("{} {}", String::from_utf8_lossy(e.name), String::from_utf8_lossy(e.pid.text));
            self.store.meta.insert(key, String::from_utf8_lossy(&unescape(label)).into_owned());
        }
    }

    fn text(&mut self, raw: &[u8]) -> StrId {
        if memchr::memchr(b'\\', raw).is_some() {
            self.store.strings.intern(&unescape(raw))
        } else {
            self.store.strings.intern(raw)
        }
    }

    fn ident(&mut self, t: Token<'_>) -> Ident {
        match if t.quoted { None } else { integer(t.text) } {
            Some(n) => Ident::Num(n),
            None if t.text.is_empty() => Ident::Num(0),
            None => Ident::Word(self.text(t.text)),
        }
    }

    fn lane(&mut self, e: &Raw<'_>) -> u32 {
        let key = (self.ident(e.pid), self.ident(e.tid));
        lookup(key, &mut self.last_lane, &mut self.lanes, &mut self.store.lanes)
    }

    fn stream(&mut self, e: &Raw<'_>) -> u32 {
        let key = (self.ident(e.pid), self.ident(e.stream.unwrap_or(e.tid)));
        lookup(key, &mut self.last_stream, &mut self.streams, &mut self.store.streams)
    }
}

#[inline(always)]
fn lookup(
    key: (Ident, Ident),
    last: &mut Option<((Ident, Ident), u32)>,
    map: &mut HashMap<(Ident, Ident), u32>,
    list: &mut Vec<(Ident, Ident)>,
) -> u32 {
    if let Some((k, v)) = *last
        && k == key
    {
        return v;
    }
    let id = *map.entry(key).or_insert_with(|| {
        list.push(key);
        (list.len() - 1) as u32
    });
    *last = Some((key, id));
    id
}

/// Built-in frames carry an object address; without it they are few.
fn frame_name(name: &[u8]) -> &[u8] {
    if !name.starts_with(b"<built-in ") {
        return name;
    }
    memchr::memmem::find(name, b" of ").map_or(name, |at| &name[..at])
}

fn read<'a>(c: &mut Cursor<'a>) -> Scan<Raw<'a>> {
    let mut e = Raw::default();
    c.expect(b'{', "an event was expected")?;
    if c.next_token()? == b'}' {
        c.pos += 1;
        return Ok(e);
    }
    loop {
        c.space();
        let key = c.string()?;
        c.expect(b':', "a colon was expected")?;
        let first = c.next_token()?;
        if !field(c, &mut e, key, first)? && !escaped(c, &mut e, key, first, field)? {
            c.skip_deep()?;
        }
        match c.next_token()? {
            b',' => c.pos += 1,
            b'}' => {
                c.pos += 1;
                return Ok(e);
            }
            _ => return Err(Stop::Bad(c.pos, "a comma or the end of the event was expected")),
        }
    }
}

/// Takes the value of an event's key; `false` leaves the cursor at the value of a key that means nothing to us.
#[inline(always)]
fn field<'a>(c: &mut Cursor<'a>, e: &mut Raw<'a>, key: &[u8], first: u8) -> Scan<bool> {
    match key {
        b"ph" => {
            let text = c.scalar()?.0;
            e.ph = plain(text).as_deref().unwrap_or(text).first().copied().unwrap_or(0);
        }
        b"cat" => e.cat = text(c, first)?,
        b"name" => e.name = text(c, first)?,
        b"pid" => e.pid = token(c, first)?,
        b"tid" => e.tid = token(c, first)?,
        b"ts" => e.ts = time(c, first)?,
        b"dur" => {
            e.dur = time(c, first)?;
            e.has_dur = true;
        }
        b"id" => e.id = number(c, first)?,
        b"args" if first == b'{' => args(c, e)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// [`field`] for the keys of `args`.
#[inline(always)]
fn arg<'a>(c: &mut Cursor<'a>, e: &mut Raw<'a>, key: &[u8], first: u8) -> Scan<bool> {
    match key {
        b"External id" | b"external id" => e.ext = number(c, first)?,
        b"correlation" => e.corr = number(c, first)?,
        b"stream" => e.stream = Some(token(c, first)?),
        b"kernel" => e.kernel = Some(text(c, first)?),
        b"graph node id" => e.node = number(c, first)?,
        b"Sequence number" => e.seq = number(c, first)?,
        b"Fwd thread id" => e.fwd_thread = number(c, first)?,
        b"Input Dims" => e.dims = Some(c.skip_deep()?),
        b"wait_on_stream" => e.wait_on = number(c, first)?,
        b"name" | b"labels" => e.label = Some(text(c, first)?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// The text behind a string with escapes; `None` where there are none, which is nearly always.
#[inline(always)]
pub(super) fn plain(raw: &[u8]) -> Option<Vec<u8>> {
    // The shortest escape that can hide a letter is `\u0061`.
    (raw.len() >= 6 && memchr::memchr(b'\\', raw).is_some()).then(|| unescape(raw))
}

type Take<'a> = fn(&mut Cursor<'a>, &mut Raw<'a>, &[u8], u8) -> Scan<bool>;

/// Asks again for a key that is written with escapes.
#[inline(always)]
fn escaped<'a>(c: &mut Cursor<'a>, e: &mut Raw<'a>, key: &[u8], first: u8, take: Take<'a>) -> Scan<bool> {
    plain(key).map_or(Ok(false), |key| take(c, e, &key, first))
}

fn args<'a>(c: &mut Cursor<'a>, e: &mut Raw<'a>) -> Scan<()> {
    c.pos += 1;
    if c.next_token()? == b'}' {
        c.pos += 1;
        return Ok(());
    }
    loop {
        c.space();
        let key = c.string()?;
        c.expect(b':', "a colon was expected")?;
        let first = c.next_token()?;
        if !arg(c, e, key, first)? && !escaped(c, e, key, first, arg)? {
            c.skip_deep()?;
        }
        match c.next_token()? {
            b',' => c.pos += 1,
            b'}' => {
                c.pos += 1;
                return Ok(());
            }
            _ => return Err(Stop::Bad(c.pos, "a comma or the end of the arguments was expected")),
        }
    }
}

#[inline(always)]
fn text<'a>(c: &mut Cursor<'a>, first: u8) -> Scan<&'a [u8]> {
    if first == b'"' {
        return c.string();
    }
    c.skip_deep()?;
    Ok(&[])
}

#[inline(always)]
fn token<'a>(c: &mut Cursor<'a>, first: u8) -> Scan<Token<'a>> {
    if matches!(first, b'{' | b'[') {
        c.skip_deep()?;
        return Ok(Token::default());
    }
    let (text, quoted) = c.scalar()?;
    Ok(Token { text, quoted })
}

#[inline(always)]
fn time(c: &mut Cursor<'_>, first: u8) -> Scan<Option<i64>> {
    if matches!(first, b'{' | b'[' | b'"') {
        c.skip_deep()?;
        return Ok(None);
    }
    Ok(micros_to_nanos(c.bare()?))
}

#[inline(always)]
fn number(c: &mut Cursor<'_>, first: u8) -> Scan<Option<i64>> {
    if matches!(first, b'{' | b'[') {
        c.skip_deep()?;
        return Ok(None);
    }
    Ok(integer(c.scalar()?.0))
}
