//! A panic ends as a diagnostic and an exit code of its own. In a test target of its own, because the panic hook is one
//! for the whole process.

use perfwright::exit::Exit;
use perfwright::run_guarded;

#[test]
fn a_panic_ends_as_an_internal_error() {
    assert_eq!(run_guarded(|| panic!("planted")), Exit::Internal);
    assert_eq!(run_guarded(|| Exit::No), Exit::No);
}

/// A panic in a worker thread that the main thread joins must not look like success.
#[test]
fn a_panic_in_a_worker_ends_as_an_internal_error() {
    let exit = run_guarded(|| {
        let worker = std::thread::spawn(|| panic!("planted in a worker"));
        match worker.join() {
            Ok(()) => Exit::Done,
            Err(payload) => std::panic::resume_unwind(payload),
        }
    });
    assert_eq!(exit, Exit::Internal);
}
