//! Scratch.
fn main() {
    let t = std::time::Instant::now();
    let l = perfwright_trace::input::read(std::path::Path::new(&std::env::args().nth(1).unwrap()), Default::default()).unwrap();
    println!("{:?} dev {} frames {} ops {} launches {} strings {} {:?}", t.elapsed(), l.store.devices.len(), l.store.frames.len(), l.store.ops.len(), l.store.launches.len(), l.store.strings.len(), l.store.partial);
}
