//! Any bytes as a log, in two cuts: the answers are the same.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use perfwright_logs::{Catalog, Digest, LogReport, Reader};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::builtin().expect("the built-in catalogue"));

fn report(pieces: &[&[u8]]) -> LogReport {
    let (mut reader, mut digest) = (Reader::new(&CATALOG), Digest::new());
    for piece in pieces {
        reader.feed(piece, &mut digest);
    }
    reader.finish(&mut digest);
    digest.report(&reader)
}

fuzz_target!(|bytes: &[u8]| {
    let cut = bytes.first().map_or(0, |b| usize::from(*b).min(bytes.len()));
    let (head, tail) = bytes.split_at(cut);
    assert_eq!(report(&[head, tail]), report(&[bytes]));
});
