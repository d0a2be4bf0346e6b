//! One table model, rendered as terminal text, Markdown, CSV and JSON.
