//! How many questions of a set a server answers right, and whether two results differ.
//!
//! | question | file |
//! |---|---|
//! | what is a question set | `question` |
//! | what is fixed before the first request, and each prompt | `prompt` |
//! | what an answer says | `judge` |
//! | asking | `ask` |
//! | the answer | `report`, `figures`, `render` |
//! | results of lm-eval, SGLang and vLLM | `import` |
//! | two results over the same questions | `compare` |

mod ask;
mod compare;
mod figures;
mod gate;
mod import;
mod judge;
mod prompt;
mod question;
mod render;
mod report;

pub use ask::{Answered, AskControl, ask};
pub use compare::{CompareSettings, Comparison, Side, Word, compare};
pub use figures::{Measured, figures};
pub use gate::{FIGURES, GATES, MEASURED, QUESTIONS, names};
pub use import::{Pick, imported};
pub use judge::{Outcome, Record, last_number, letter, read_answers, write_answers};
pub use prompt::{AccuracyConditions, AccuracyLimits, AskPlan, By, QuestionSource, plan};
pub use question::{Expected, Question, QuestionError, arithmetic, read_questions};
pub use render::{document, plan_document};
pub use report::*;
