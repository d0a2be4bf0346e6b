//! A page with every kind of block, for the eye and for `cargo xtask page`:
//! `cargo run -p perfwright-report --example sample_page > sample.html`.
#![expect(clippy::print_stdout, reason = "an example")]

#[path = "../tests/common/whole.rs"]
mod whole;

fn main() {
    print!(
        "{}",
        whole::whole("a_rather_long_name_without_spaces<at::native::kernel, 128, 64> and words", 1.25)
    );
}
