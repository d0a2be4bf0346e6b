//! Loading fusion patterns.

use super::pattern::{File, Pattern};
use crate::names::{CatalogError, Source};

macro_rules! text {
    ($name:literal) => {
        ($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalog/fusions/", $name)))
    };
}

const TEXTS: [(&str, &str); 4] =
    [text!("norm.toml"), text!("attention.toml"), text!("moe_gemm.toml"), text!("general.toml")];
const MAX_TEXT: usize = 4 << 20;

/// All fusion patterns.
pub struct FusionCatalog {
    pub(super) patterns: Vec<Pattern>,
}

impl FusionCatalog {
    /// The patterns compiled into the program.
    ///
    /// # Errors
    /// Only when a built-in text is broken, which the tests of this crate exclude.
    pub fn builtin() -> Result<Self, CatalogError> {
        Self::with_overrides(&[])
    }

    /// The built-in patterns with `overrides` in front; an entry with a known id replaces it.
    ///
    /// # Errors
    /// Names the text and the entry that cannot be used.
    pub fn with_overrides(overrides: &[Source<'_>]) -> Result<Self, CatalogError> {
        let mut patterns: Vec<Pattern> = Vec::new();
        for &(path, text) in overrides.iter().chain(&TEXTS) {
            for pattern in read(path, text)? {
                if !patterns.iter().any(|p| p.id == pattern.id) {
                    patterns.push(pattern);
                }
            }
        }
        // Catch-alls come last so that they see what the others have used.
        patterns.sort_by_key(|p| p.generic);
        Ok(Self { patterns })
    }

    /// All entries, in the order they are searched.
    #[must_use]
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }
}

fn read(path: &str, text: &str) -> Result<Vec<Pattern>, CatalogError> {
    if text.len() > MAX_TEXT {
        return Err(CatalogError::TooLarge { path: path.into(), bytes: text.len(), limit: MAX_TEXT });
    }
    let file: File =
        toml::from_str(text).map_err(|e| CatalogError::Parse { path: path.into(), source: Box::new(e) })?;
    for pattern in &file.fusion {
        if let Some(reason) = pattern.fault() {
            return Err(CatalogError::Entry { path: path.into(), id: pattern.id.clone(), reason });
        }
    }
    Ok(file.fusion)
}
