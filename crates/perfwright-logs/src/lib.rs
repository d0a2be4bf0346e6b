//! Logs of serving engines, from files and live: what a line says, whether the engine is ready or how it failed, and
//! which path it runs on.
//!
//! ```
//! use perfwright_logs::{Catalog, Digest, Reader};
//!
//! let catalog = Catalog::builtin()?;
//! let mut reader = Reader::new(&catalog);
//! let mut digest = Digest::new();
//! reader.feed(b"[2026-11-20 10:00:02 TP0] KV cache pool is full. Retract ", &mut digest);
//! reader.feed(b"requests. #retracted_reqs: 4\n", &mut digest);
//! reader.finish(&mut digest);
//! let report = digest.report(&reader);
//! assert_eq!(report.incident.class, "slow.kv_pressure");
//! assert_eq!(report.incident.line, Some(1));
//! # Ok::<(), perfwright_logs::CatalogError>(())
//! ```

mod ansi;
mod catalog;
mod collective;
mod digest;
mod failure;
mod hit;
mod lines;
mod load;
mod needles;
pub mod path;
mod pattern;
mod prefix;
mod reader;
mod report;
mod repr;
mod stack;
mod time;

pub use catalog::{Catalog, CatalogError, Class, Signature};
pub use collective::RankWork;
pub use digest::Digest;
pub use hit::{Event, Hit, Sink, Value};
pub use lines::{Lines, MAX_LINE, RawLine};
pub use load::Load;
pub use prefix::{Prefix, Ranks, strip};
pub use reader::Reader;
pub use report::{Fallback, Incident, LogReport, Oom, Ready, Seen, Startup};
pub use repr::{Arg, args};
pub use stack::StackKind;
pub use time::{Form, Time};
