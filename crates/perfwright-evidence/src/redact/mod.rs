//! Secrets are replaced before anything touches the disk.
//!
//! Three things find them: the *name* of a flag, variable, header or field (`--api-key`, `HF_TOKEN`, `Authorization`);
//! the *shape* of a value (`sk-...`, `hf_...`, a private key, `user:password@`); and the *values* themselves: what a
//! secret-named flag or variable held is remembered and, if it is no ordinary word or number, replaced wherever it
//! turns up later. Compressed bytes are not looked into.

mod names;
mod redactor;
mod shapes;
#[cfg(test)]
mod tests;

pub use redactor::{REDACTED, Redactor, SecretInBinary};
