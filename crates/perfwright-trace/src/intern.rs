//! Strings kept once: a name is stored at its first sight and is a `u32` from then on.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Identifier of an interned string.
pub type StrId = u32;

/// "No string" in a column of [`StrId`].
pub const NO_STR: StrId = u32::MAX;

/// An append-only set of byte strings in one arena.
#[derive(Debug, Default, Clone)]
pub struct Interner {
    arena: Vec<u8>,
    /// `ends[i]` is where string `i` ends in the arena; it starts where `i - 1` ends.
    ends: Vec<u64>,
    table: HashTable<StrId>,
    hasher: DefaultHashBuilder,
}

impl Interner {
    /// The id of `s`, new or old.
    pub fn intern(&mut self, s: &[u8]) -> StrId {
        let hash = self.hasher.hash_one(s);
        let (arena, ends, hasher) = (&self.arena, &self.ends, &self.hasher);
        if let Some(&id) = self.table.find(hash, |&id| slice(arena, ends, id) == s) {
            return id;
        }
        let id = u32::try_from(ends.len()).unwrap_or(NO_STR);
        if id == NO_STR {
            return NO_STR; // 4 billion distinct names: the bytes ran out long before
        }
        self.arena.extend_from_slice(s);
        self.ends.push(self.arena.len() as u64);
        let (arena, ends) = (&self.arena, &self.ends);
        self.table.insert_unique(hash, id, |&i| hasher.hash_one(slice(arena, ends, i)));
        id
    }

    /// The bytes of string `id`; empty for [`NO_STR`] and unknown ids.
    pub fn bytes(&self, id: StrId) -> &[u8] {
        slice(&self.arena, &self.ends, id)
    }

    /// String `id` as text; invalid UTF-8 is replaced.
    pub fn text(&self, id: StrId) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.bytes(id))
    }

    /// Number of distinct strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True when nothing was interned.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The id of `s` if it was seen.
    pub fn get(&self, s: &[u8]) -> Option<StrId> {
        let hash = self.hasher.hash_one(s);
        self.table.find(hash, |&id| self.bytes(id) == s).copied()
    }

    /// Takes every string of `other`; the result maps its ids to ours.
    pub fn absorb(&mut self, other: &Interner) -> Vec<StrId> {
        (0..other.len()).map(|i| self.intern(other.bytes(i as StrId))).collect()
    }
}

fn slice<'a>(arena: &'a [u8], ends: &[u64], id: StrId) -> &'a [u8] {
    let i = id as usize;
    let Some(&end) = ends.get(i) else { return &[] };
    let start = if i == 0 { 0 } else { ends[i - 1] };
    &arena[start as usize..end as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_each_string_once() {
        let mut a = Interner::default();
        let x = a.intern(b"aten::mm");
        let y = a.intern(b"");
        assert_eq!(a.intern(b"aten::mm"), x);
        assert_ne!(x, y);
        assert_eq!(a.bytes(y), b"");
        assert_eq!(a.get(b"aten::mm"), Some(x));
        assert_eq!(a.get(b"nope"), None);
        let mut b = Interner::default();
        b.intern(b"new");
        b.intern(b"aten::mm");
        let map = a.absorb(&b);
        assert_eq!(a.bytes(map[0]), b"new");
        assert_eq!(map[1], x);
        assert_eq!(a.bytes(NO_STR), b"");
    }
}
