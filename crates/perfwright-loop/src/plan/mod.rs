//! Plans: a Markdown document with typed front matter.

mod comments;
mod document;
mod draft;
mod front;
mod goal;
mod lint;

pub use comments::{Comment, CommentError, Comments, extract};
pub use document::{Criterion, Plan, PlanError, parse};
pub use draft::{Drafted, draft, refine};
pub use front::{Clean, Front, Op, Paths, Push, Resources, Review, Where};
pub use goal::{GOAL_SCHEMA, GoalText, goal_text};
pub use lint::{Finding, LINT_SCHEMA, LintReport, Weight, lint};
