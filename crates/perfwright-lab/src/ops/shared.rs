//! One output matrix, written by several tasks at disjoint places.

use std::marker::PhantomData;

/// A mutable slice that tasks share; each writes only ranges that no other task touches.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    start: *mut f32,
    len: usize,
    _slice: PhantomData<&'a mut [f32]>,
}

#[expect(unsafe_code, reason = "tasks write disjoint ranges of one slice")]
// SAFETY: the pointer comes from a `&mut [f32]` that is borrowed for `'a`, and `range` is only called with disjoint
// ranges (its contract), so that moving or sharing the handle between threads cannot make two accesses to one element.
unsafe impl Send for Shared<'_> {}
#[expect(unsafe_code, reason = "tasks write disjoint ranges of one slice")]
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(crate) fn new(slice: &'a mut [f32]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), _slice: PhantomData }
    }

    /// The elements from `from`, `len` of them.
    ///
    /// # Safety
    /// While the result lives, no other range that overlaps it is in use, in this task or another.
    #[expect(unsafe_code, reason = "tasks write disjoint ranges of one slice")]
    #[inline(always)]
    pub(crate) unsafe fn range(self, from: usize, len: usize) -> &'a mut [f32] {
        assert!(from <= self.len && len <= self.len - from, "a task writes inside its output");
        // SAFETY: in bounds by the assertion, alive for `'a`, and exclusive by the contract of this function.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), len) }
    }
}
