//! The `perfwright` binary. Everything is in the library beside it.

fn main() -> std::process::ExitCode {
    perfwright::main()
}
