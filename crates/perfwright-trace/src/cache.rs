//! Columns to bytes and back, for the cache that answers a second question without reading the trace again.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::intern::{Interner, NO_STR};
use crate::store::{
    Annotations, Anomalies, Devices, Flows, Frames, Ident, Launches, Ops, Partial, Store, Syncs,
};

/// Changes whenever a column changes, so that an old cache is never misread.
const MAGIC: &[u8; 8] = b"PWTRC\x00\x00\x01";

/// A fixed-width number in a column.
pub(crate) trait Number: Copy {
    const WIDTH: usize;
    fn put(self, out: &mut Vec<u8>);
    fn get(bytes: &[u8]) -> Self;
}

macro_rules! number {
    ($($ty:ty),+) => {$(
        impl Number for $ty {
            const WIDTH: usize = size_of::<$ty>();
            fn put(self, out: &mut Vec<u8>) { out.extend_from_slice(&self.to_le_bytes()); }
            fn get(bytes: &[u8]) -> Self {
                let mut raw = [0; size_of::<$ty>()];
                raw.copy_from_slice(bytes);
                <$ty>::from_le_bytes(raw)
            }
        }
    )+};
}
number!(u8, u32, u64, i64);

/// Writes columns.
#[derive(Default)]
pub(crate) struct Encoder {
    out: Vec<u8>,
}

impl Encoder {
    pub(crate) fn column<T: Number>(&mut self, values: &[T]) {
        (values.len() as u64).put(&mut self.out);
        self.out.reserve(values.len() * T::WIDTH);
        for v in values {
            v.put(&mut self.out);
        }
    }

    fn text(&mut self, s: &str) {
        self.column(s.as_bytes());
    }

    fn idents(&mut self, pairs: &[(Ident, Ident)]) {
        let flat: Vec<i64> = pairs.iter().flat_map(|&(a, b)| [a, b]).flat_map(ident_parts).collect();
        self.column(&flat);
    }
}

fn ident_parts(id: Ident) -> [i64; 2] {
    match id {
        Ident::Num(n) => [0, n],
        Ident::Word(w) => [1, i64::from(w)],
    }
}

/// Reads columns; every length is checked against the bytes that are there.
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

impl Decoder<'_> {
    pub(crate) fn column<T: Number>(&mut self) -> Option<Vec<T>> {
        let (head, tail) = self.rest.split_at_checked(8)?;
        let n = usize::try_from(u64::get(head)).ok()?.checked_mul(T::WIDTH)?;
        let (body, rest) = tail.split_at_checked(n)?;
        self.rest = rest;
        Some(body.chunks_exact(T::WIDTH).map(T::get).collect())
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.column()?).ok()
    }

    fn idents(&mut self) -> Option<Vec<(Ident, Ident)>> {
        let flat: Vec<i64> = self.column()?;
        let one = |p: &[i64]| match p[0] {
            0 => Some(Ident::Num(p[1])),
            _ => Some(Ident::Word(u32::try_from(p[1]).ok()?)),
        };
        flat.chunks_exact(4).map(|q| Some((one(&q[..2])?, one(&q[2..])?))).collect()
    }
}

/// A store as bytes, with a checksum at the end.
pub(crate) fn encode(s: &Store) -> Vec<u8> {
    let mut e = Encoder { out: MAGIC.to_vec() };
    e.column(&(0..s.strings.len()).map(|i| s.strings.bytes(i as u32).len() as u32).collect::<Vec<_>>());
    let arena: Vec<u8> = (0..s.strings.len()).flat_map(|i| s.strings.bytes(i as u32)).copied().collect();
    e.column(&arena);
    e.idents(&s.lanes);
    e.idents(&s.streams);
    s.devices.encode(&mut e);
    s.launches.encode(&mut e);
    s.ops.encode(&mut e);
    s.frames.encode(&mut e);
    s.annotations.encode(&mut e);
    s.syncs.encode(&mut e);
    s.flows.encode(&mut e);
    e.column(&[s.categories.len() as u64, s.meta.len() as u64]);
    for (k, n) in &s.categories {
        e.text(k);
        e.column(&[*n]);
    }
    for (k, v) in &s.meta {
        e.text(k);
        e.text(v);
    }
    let a = &s.anomalies;
    e.column(&[
        s.events,
        s.complete_events,
        s.text_bytes,
        a.zero_duration,
        a.negative_duration,
        a.bad_time,
        a.malformed_events,
        a.trailing_bytes,
    ]);
    let (reason, read) = s.partial.as_ref().map_or(("", u64::MAX), |p| (p.reason.as_str(), p.bytes_read));
    e.text(reason);
    e.column(&[read]);
    let sum = xxh3_64(&e.out);
    sum.put(&mut e.out);
    e.out
}

/// The store that [`encode`] wrote; `None` when the bytes are anything else.
pub(crate) fn decode(bytes: &[u8]) -> Option<Store> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
    if xxh3_64(body) != u64::get(sum) {
        return None;
    }
    let mut d = Decoder { rest: body.strip_prefix(MAGIC)? };
    let mut strings = Interner::default();
    let lens: Vec<u32> = d.column()?;
    let arena: Vec<u8> = d.column()?;
    let mut at = 0usize;
    for len in lens {
        let end = at.checked_add(len as usize)?;
        strings.intern(arena.get(at..end)?);
        at = end;
    }
    let lanes = d.idents()?;
    let streams = d.idents()?;
    let mut s = Store {
        strings,
        lanes,
        streams,
        devices: Devices::decode(&mut d)?,
        launches: Launches::decode(&mut d)?,
        ops: Ops::decode(&mut d)?,
        frames: Frames::decode(&mut d)?,
        annotations: Annotations::decode(&mut d)?,
        syncs: Syncs::decode(&mut d)?,
        flows: Flows::decode(&mut d)?,
        ..Store::default()
    };
    let sizes: Vec<u64> = d.column()?;
    let [categories, meta] = *sizes.first_chunk::<2>()?;
    let pair = |d: &mut Decoder<'_>| Some((d.text()?, d.text()?));
    let mut counts = BTreeMap::new();
    for _ in 0..categories {
        let k = d.text()?;
        counts.insert(k, *d.column::<u64>()?.first()?);
    }
    s.categories = counts;
    for _ in 0..meta {
        let (k, v) = pair(&mut d)?;
        s.meta.insert(k, v);
    }
    let n: Vec<u64> = d.column()?;
    let n = n.first_chunk::<8>()?;
    (s.events, s.complete_events, s.text_bytes) = (n[0], n[1], n[2]);
    s.anomalies = Anomalies {
        zero_duration: n[3],
        negative_duration: n[4],
        bad_time: n[5],
        malformed_events: n[6],
        trailing_bytes: n[7],
    };
    let reason = d.text()?;
    let read = *d.column::<u64>()?.first()?;
    s.partial = (read != u64::MAX).then_some(Partial { reason, bytes_read: read });
    in_range(&s).then_some(s)
}

/// Every index column points inside its table: the checksum guards against accidents, this against a file that
/// somebody made.
fn in_range(s: &Store) -> bool {
    let below = |ids: &[u32], n: usize| ids.iter().all(|&i| (i as usize) < n);
    let (lanes, streams) = (s.lanes.len(), s.streams.len());
    let strings = s.strings.len();
    let names = |ids: &[u32]| below(ids, strings);
    let optional = |ids: &[u32]| ids.iter().all(|&i| i == NO_STR || (i as usize) < strings);
    names(&s.devices.name)
        && names(&s.launches.name)
        && optional(&s.launches.kernel)
        && names(&s.ops.name)
        && optional(&s.ops.dims)
        && names(&s.frames.name)
        && names(&s.annotations.name)
        && names(&s.syncs.name)
        && below(&s.devices.lane, lanes)
        && below(&s.devices.stream, streams)
        && below(&s.launches.lane, lanes)
        && below(&s.ops.lane, lanes)
        && below(&s.frames.lane, lanes)
        && below(&s.annotations.lane, lanes)
        && below(&s.flows.lane, lanes)
        && below(&s.syncs.stream, streams)
}
