//! Figures out of records. Everything here is a pure function of what a run folder holds.

pub(crate) mod cache;
mod certify;
mod csv;
mod dist;
mod facts;
mod figures;
pub(crate) mod gate;
mod path;
mod record;
mod render;
mod report;
mod sla;
mod validity;
mod warmup;

pub use certify::plan_requests;
pub use csv::csv;
pub use dist::Dist;
pub use facts::{ClientFacts, ServerFacts};
pub use figures::{Evidence, FiguresError, figures};
pub use gate::{ANSWERED, CLIENT, FIGURES, GATES, SLA_CERTIFIED, names};
pub use path::{PathDemand, PathFacts, demanded, is_stated, side};
pub use record::{Phase, Record, read_records, write_records};
pub use render::document;
pub use report::*;
pub use sla::{Sla, SlaError};
