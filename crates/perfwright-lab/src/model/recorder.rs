//! Around each call of an operator: when it ran, where it was called, on what.

use std::panic::Location;

use super::observer::{Observer, OpRecord, Shape};

/// Passes calls to the observer, if there is one.
pub(super) struct Recorder<'o> {
    observer: Option<&'o mut Observer>,
    tokens: usize,
    pub(super) layer: Option<usize>,
}

/// What a call is: operator, role, kernel.
#[derive(Clone, Copy)]
pub(super) struct Call(pub(super) &'static str, pub(super) &'static str, pub(super) &'static str);

impl<'o> Recorder<'o> {
    pub(super) fn new(observer: Option<&'o mut Observer>, tokens: usize) -> Self {
        Self { observer, tokens, layer: None }
    }

    #[track_caller]
    pub(super) fn run<T>(&mut self, call: Call, shapes: &[Shape], work: impl FnOnce() -> T) -> T {
        let Some(observer) = self.observer.as_deref_mut() else {
            return work();
        };
        let start_ns = observer.now_ns();
        let result = work();
        let end_ns = observer.now_ns();
        observer.push(OpRecord {
            op: call.0,
            role: call.1,
            kernel: call.2,
            layer: self.layer,
            start_ns,
            end_ns,
            shapes: shapes.to_vec(),
            tokens: self.tokens,
            site: Location::caller(),
        });
        result
    }
}
