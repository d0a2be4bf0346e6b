//! Any bytes as a stream of events, cut anywhere: the same events as in one piece, and each is read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfwright_client::chunk;
use perfwright_client::endpoint::Endpoint;
use perfwright_client::sse::Splitter;

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (bytes, cuts) = input;
    let mut whole = Vec::new();
    let all = Splitter::with_limits(512, 1024).push(&bytes, |event| whole.push(event.to_vec()));
    let (mut splitter, mut pieces, mut rest, mut fine) =
        (Splitter::with_limits(512, 1024), Vec::new(), &bytes[..], true);
    for cut in cuts.iter().map(|c| usize::from(*c)).chain([bytes.len()]) {
        let (piece, after) = rest.split_at(cut.min(rest.len()));
        rest = after;
        fine = fine && splitter.push(piece, |event| pieces.push(event.to_vec())).is_ok();
    }
    if all.is_ok() && fine {
        assert_eq!(whole, pieces);
    }
    for event in &whole {
        for endpoint in Endpoint::ALL {
            let _ = chunk::read(endpoint, event);
        }
    }
});
