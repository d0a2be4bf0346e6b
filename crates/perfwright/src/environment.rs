//! The process environment, read once and passed on, and every variable that perfwright looks at.

use std::ffi::{OsStr, OsString};

use crate::settings::SETTINGS;

/// What every variable of ours starts with.
pub const PREFIX: &str = "PERFWRIGHT_";

/// A variable that exists independently of perfwright.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// Its name.
    pub name: &'static str,
    /// What it does here.
    pub doc: &'static str,
}

/// Set and not empty: no colours.
pub const NO_COLOR: Foreign = Foreign {
    name: "NO_COLOR",
    doc: "Set and not empty: no colours, unless `color` is set to something else.",
};
/// Colours even into a pipe.
pub const CLICOLOR_FORCE: Foreign = Foreign {
    name: "CLICOLOR_FORCE",
    doc: "Set, not empty and not `0`: colours even into a pipe. `NO_COLOR` is stronger.",
};
/// The terminal type.
pub const TERM: Foreign = Foreign { name: "TERM", doc: "`dumb`: no colours." };
/// The user's cache folder.
pub const XDG_CACHE_HOME: Foreign = Foreign {
    name: "XDG_CACHE_HOME",
    doc: "Folder of the user's caches; ours are in `perfwright` below it.",
};
/// The user's state folder.
pub const XDG_STATE_HOME: Foreign = Foreign {
    name: "XDG_STATE_HOME",
    doc: "Folder of the user's state; campaigns are known in `perfwright` below it, else in `.local/state/perfwright` below `HOME`.",
};
/// What Claude Code calls its project.
pub const CLAUDE_PROJECT_DIR: Foreign = Foreign {
    name: "CLAUDE_PROJECT_DIR",
    doc: "Set by Claude Code for hooks: a folder in which a campaign is looked for, besides the working directory.",
};
/// The user's home folder.
pub const HOME: Foreign = Foreign {
    name: "HOME",
    doc: "Home folder; without `XDG_CACHE_HOME` caches are in `.cache/perfwright` below it.",
};

/// Where programs are.
pub const PATH: Foreign = Foreign {
    name: "PATH",
    doc: "Where `nvidia-smi`, `amd-smi` and `rocm-smi` are looked for when a run records its machine.",
};

/// The variables of others that are read, each declared once. Ours are in [`SETTINGS`].
pub const FOREIGN: &[Foreign] =
    &[NO_COLOR, CLICOLOR_FORCE, TERM, XDG_CACHE_HOME, XDG_STATE_HOME, HOME, PATH, CLAUDE_PROJECT_DIR];

/// The environment the process was started with.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    vars: Vec<(OsString, OsString)>,
}

impl Environment {
    /// Reads the environment of this process.
    pub fn from_process() -> Self {
        Self { vars: std::env::vars_os().collect() }
    }

    /// Every variable as text, for the manifest of a run (which keeps an allow-listed part, without secrets).
    pub fn text_pairs(&self) -> Vec<(String, String)> {
        let text = |s: &OsStr| s.to_string_lossy().into_owned();
        self.vars.iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    /// An environment of the given variables.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self { vars: pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }

    /// A variable's value; an empty one counts as not set.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        let (_, value) = self.vars.iter().find(|(key, _)| key == name)?;
        (!value.is_empty()).then_some(value)
    }

    /// All variables, for whoever records the environment of a run.
    pub fn vars(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.vars.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// Names that start like ours and are none of ours: mostly a typing error.
    pub fn unknown(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .vars
            .iter()
            .filter_map(|(name, _)| name.to_str())
            .filter(|name| name.starts_with(PREFIX) && SETTINGS.iter().all(|setting| setting.env != *name))
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        names
    }
}
