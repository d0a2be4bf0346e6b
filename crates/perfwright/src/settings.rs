//! Settings: from flags, then `PERFWRIGHT_*`, then `perfwright.toml`, then the default.
//!
//! The file is looked for in the working directory and upward; the first one found is the only one read. Relative
//! paths in it start at its folder; relative paths in flags and variables start at the working directory.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::cli::GlobalArgs;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::environment::{Environment, HOME, XDG_CACHE_HOME, XDG_STATE_HOME};

/// Name of the settings file.
pub const FILE_NAME: &str = "perfwright.toml";

/// A settings file above this size is somebody's mistake, not a settings file.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Rows a table shows where nothing says otherwise.
pub const DEFAULT_LIMIT: usize = 50;

/// Columns of text output where standard output is not a terminal.
pub const DEFAULT_WIDTH: usize = 120;

/// Form of the data on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned text for people
    Table,
    /// GitHub-flavoured Markdown, cells in full
    Markdown,
    /// One JSON object with a `schema`, every row
    Json,
    /// RFC 4180, every row, exact values
    Csv,
    /// One page without scripts, nothing loaded from elsewhere
    Html,
}

/// When to style output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set; `CLICOLOR_FORCE` extends it to pipes
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// One setting and the names it goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Key in `perfwright.toml`.
    pub key: &'static str,
    /// Environment variable.
    pub env: &'static str,
    /// Flag on the command line.
    pub flag: &'static str,
    /// Value where nothing says otherwise.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
}

const FORMAT: Setting = Setting {
    key: "format",
    env: "PERFWRIGHT_FORMAT",
    flag: "--format",
    default: "table",
    doc: "Form of the data on standard output: `table`, `markdown`, `json`, `csv` or `html`.",
};
const COLOR: Setting = Setting {
    key: "color",
    env: "PERFWRIGHT_COLOR",
    flag: "--color",
    default: "auto",
    doc: "When to style output: `auto`, `always` or `never`.",
};
const LIMIT: Setting = Setting {
    key: "limit",
    env: "PERFWRIGHT_LIMIT",
    flag: "--limit",
    default: "50",
    doc: "Rows per table in `table` and `markdown`; `0` shows all.",
};
const WIDTH: Setting = Setting {
    key: "width",
    env: "PERFWRIGHT_WIDTH",
    flag: "--width",
    default: "the terminal's, else 120",
    doc: "Columns of `table` output; `0` shortens nothing.",
};
const QUIET: Setting = Setting {
    key: "quiet",
    env: "PERFWRIGHT_QUIET",
    flag: "--quiet",
    default: "false",
    doc: "No warnings and notes on standard error; errors stay.",
};
const VERBOSE: Setting = Setting {
    key: "verbose",
    env: "PERFWRIGHT_VERBOSE",
    flag: "--verbose",
    default: "0",
    doc: "How much is told on standard error: `0`, `1` or `2`.",
};
const CACHE_DIR: Setting = Setting {
    key: "cache_dir",
    env: "PERFWRIGHT_CACHE_DIR",
    flag: "--cache-dir",
    default: "the user's cache folder",
    doc: "Folder for caches. They are never kept beside the input.",
};
const CATALOG_DIR: Setting = Setting {
    key: "catalog",
    env: "PERFWRIGHT_CATALOG",
    flag: "--catalog",
    default: "none",
    doc: "Folder whose catalogue entries come before those compiled in.",
};
const RUNS_DIR: Setting = Setting {
    key: "runs_dir",
    env: "PERFWRIGHT_RUNS_DIR",
    flag: "",
    default: "runs",
    doc: "Folder for new runs.",
};

const STATE_DIR: Setting = Setting {
    key: "",
    env: "PERFWRIGHT_STATE_DIR",
    flag: "",
    default: "the user's state folder",
    doc: "Folder in which campaigns are known outside of the work tree. Only the variable sets it, so that hooks, which read no file, look in the same place.",
};

/// Every setting; each environment variable of ours is declared here and nowhere else.
pub const SETTINGS: &[Setting] =
    &[FORMAT, COLOR, LIMIT, WIDTH, QUIET, VERBOSE, CACHE_DIR, CATALOG_DIR, RUNS_DIR, STATE_DIR];

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag on the command line.
    Flag,
    /// The named environment variable.
    Env(&'static str),
    /// The settings file.
    File(PathBuf),
    /// Nothing set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The settings a command runs under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Form of the data on standard output.
    pub format: Format,
    /// When to style output.
    pub color: ColorChoice,
    /// Rows per table in text forms; nothing for all.
    pub limit: Option<usize>,
    /// Columns of table output, where set; 0 for no bound.
    pub width: Option<usize>,
    /// No warnings and notes.
    pub quiet: bool,
    /// How much is told on standard error.
    pub verbose: u8,
    /// Folder for caches; nothing where none is known.
    pub cache_dir: Option<PathBuf>,
    /// Folder with catalogue entries of the user.
    pub catalog_dir: Option<PathBuf>,
    /// Folder for new runs.
    pub runs_dir: PathBuf,
    /// Folder in which campaigns are known; nothing where none is known.
    pub state_dir: Option<PathBuf>,
    /// The settings file that was used.
    pub file: Option<PathBuf>,
}

impl Settings {
    /// Resolves every setting. `start` is the working directory. Returns the settings with the warnings that were
    /// found on the way.
    ///
    /// # Errors
    /// A settings file that cannot be read or is not TOML, and a value that its setting does not accept.
    pub fn resolve(
        flags: &GlobalArgs,
        env: &Environment,
        start: &Path,
    ) -> Result<(Self, Vec<Diagnostic>), Diagnostic> {
        let file = ConfigFile::find(start)?;
        let mut warnings = Vec::new();
        if let Some(file) = &file {
            warnings.extend(file.unknown_keys());
        }
        warnings.extend(env.unknown().into_iter().map(|name| {
            Diagnostic::new(codes::CONFIG_UNKNOWN_KEY, format!("unknown environment variable {name}"))
                .help(nearest(&name, SETTINGS.iter().map(|setting| setting.env)))
        }));
        let sources = Sources { env, file: file.as_ref() };
        let quiet = sources.pick(&QUIET, flags.quiet.then_some(true), boolean)?;
        let settings = Self {
            format: sources.pick(&FORMAT, flags.format, choice)?.unwrap_or(Format::Table),
            color: sources.pick(&COLOR, flags.color, choice)?.unwrap_or(ColorChoice::Auto),
            limit: none_if_zero(sources.pick(&LIMIT, flags.limit, count)?.unwrap_or(DEFAULT_LIMIT)),
            width: sources.pick(&WIDTH, flags.width, count)?,
            quiet: quiet.unwrap_or(false),
            verbose: sources
                .pick(&VERBOSE, (flags.verbose > 0).then_some(flags.verbose), level)?
                .unwrap_or(0),
            cache_dir: sources.path(&CACHE_DIR)?.or_else(|| user_cache(env)),
            catalog_dir: sources.path(&CATALOG_DIR)?,
            runs_dir: sources.path(&RUNS_DIR)?.unwrap_or_else(|| PathBuf::from(RUNS_DIR.default)),
            state_dir: state_dir(env),
            file: file.as_ref().map(|file| file.path.clone()),
        };
        Ok((settings, warnings))
    }
}

fn none_if_zero(value: usize) -> Option<usize> {
    (value > 0).then_some(value)
}

/// The folder for caches that the platform's convention gives.
fn user_cache(env: &Environment) -> Option<PathBuf> {
    let base = match env.get(XDG_CACHE_HOME.name).map(PathBuf::from) {
        // The convention says that a relative path there is invalid and to be ignored.
        Some(path) if path.is_absolute() => path,
        _ => PathBuf::from(env.get(HOME.name)?).join(".cache"),
    };
    Some(base.join("perfwright"))
}

/// The folder in which campaigns are known, from the environment alone.
pub fn state_dir(env: &Environment) -> Option<PathBuf> {
    if let Some(path) = env.get(STATE_DIR.env) {
        return Some(PathBuf::from(path));
    }
    let base = match env.get(XDG_STATE_HOME.name).map(PathBuf::from) {
        Some(path) if path.is_absolute() => path,
        _ => PathBuf::from(env.get(HOME.name)?).join(".local/state"),
    };
    Some(base.join("perfwright"))
}

/// Environment and file, in this order.
struct Sources<'a> {
    env: &'a Environment,
    file: Option<&'a ConfigFile>,
}

impl Sources<'_> {
    /// The first value that is set, from flag to file.
    fn pick<T>(
        &self,
        setting: &Setting,
        flag: Option<T>,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Diagnostic> {
        if flag.is_some() {
            return Ok(flag);
        }
        let Some((text, origin)) = self.text(setting)? else {
            return Ok(None);
        };
        parse(&text).map(Some).map_err(|expected| not_accepted(setting, &origin, &text, &expected))
    }

    /// The text of a setting outside the command line.
    fn text(&self, setting: &Setting) -> Result<Option<(String, Origin)>, Diagnostic> {
        if let Some(value) = self.env.get(setting.env) {
            let origin = Origin::Env(setting.env);
            return match value.to_str() {
                Some(text) => Ok(Some((text.to_owned(), origin))),
                None => Err(not_accepted(setting, &origin, &value.to_string_lossy(), "UTF-8 text")),
            };
        }
        let Some((file, value)) = self.file.and_then(|file| Some((file, file.table.get(setting.key)?)))
        else {
            return Ok(None);
        };
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            other => {
                let origin = Origin::File(file.path.clone());
                return Err(not_accepted(
                    setting,
                    &origin,
                    &other.to_string(),
                    "text, a number or a boolean",
                ));
            }
        };
        Ok(Some((text, Origin::File(file.path.clone()))))
    }

    /// A path outside the command line. Environment values may be any bytes; file values start at the file's folder.
    fn path(&self, setting: &Setting) -> Result<Option<PathBuf>, Diagnostic> {
        if let Some(value) = self.env.get(setting.env) {
            return Ok(Some(PathBuf::from(value)));
        }
        let Some(file) = self.file else {
            return Ok(None);
        };
        match file.table.get(setting.key) {
            None => Ok(None),
            Some(toml::Value::String(text)) if !text.is_empty() => {
                Ok(Some(file.path.parent().unwrap_or(Path::new("")).join(text)))
            }
            Some(other) => {
                let origin = Origin::File(file.path.clone());
                Err(not_accepted(setting, &origin, &other.to_string(), "a path as text"))
            }
        }
    }
}

fn not_accepted(setting: &Setting, origin: &Origin, text: &str, expected: &str) -> Diagnostic {
    let diagnostic = Diagnostic::new(
        codes::CONFIG_VALUE,
        format!("the setting `{}` does not accept {text:?}; expected {expected}", setting.key),
    )
    .help(setting.doc);
    match origin {
        Origin::File(path) => diagnostic.file(path).place(format!("key {}", setting.key)),
        other => diagnostic.place(other.to_string()),
    }
}

fn choice<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, true).map_err(|_| {
        let names: Vec<String> = T::value_variants()
            .iter()
            .filter_map(ValueEnum::to_possible_value)
            .map(|value| value.get_name().to_owned())
            .collect();
        format!("one of {}", names.join(", "))
    })
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "a whole number, 0 or more".to_owned())
}

fn level(text: &str) -> Result<u8, String> {
    match text {
        "false" => Ok(0),
        "true" => Ok(1),
        _ => text.parse().map_err(|_| "0, 1 or 2".to_owned()),
    }
}

/// A settings file that was found and parsed.
#[derive(Debug)]
struct ConfigFile {
    path: PathBuf,
    table: toml::Table,
}

impl ConfigFile {
    /// The first `perfwright.toml` from `start` upward.
    fn find(start: &Path) -> Result<Option<Self>, Diagnostic> {
        for folder in start.ancestors() {
            let path = folder.join(FILE_NAME);
            match std::fs::metadata(&path) {
                Ok(meta) if meta.is_file() => return Self::read(path, meta.len()).map(Some),
                // Anything else of that name is not a settings file; a folder above that may not be looked into
                // cannot hold one for us.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(None)
    }

    fn read(path: PathBuf, bytes: u64) -> Result<Self, Diagnostic> {
        let malformed = |cause: String| {
            Diagnostic::new(codes::CONFIG_MALFORMED, "cannot use the settings file").file(&path).cause(cause)
        };
        if bytes > MAX_FILE_BYTES {
            return Err(malformed(format!("it has {bytes} bytes; the limit is {MAX_FILE_BYTES}")));
        }
        let mut text = String::new();
        File::open(&path)
            .and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text))
            .map_err(|error| malformed(error.to_string()))?;
        match text.parse::<toml::Table>() {
            Ok(table) => Ok(Self { path, table }),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let before = text.get(..at).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
                Err(malformed(error.message().to_owned()).place(format!("line {line}, column {column}")))
            }
        }
    }

    fn unknown_keys(&self) -> impl Iterator<Item = Diagnostic> {
        self.table.keys().filter(|key| SETTINGS.iter().all(|setting| setting.key != *key)).map(|key| {
            Diagnostic::new(codes::CONFIG_UNKNOWN_KEY, format!("unknown setting `{key}`"))
                .file(&self.path)
                .help(nearest(key, SETTINGS.iter().map(|setting| setting.key).filter(|key| !key.is_empty())))
        })
    }
}

/// A suggestion for a name that does not exist.
fn nearest(typed: &str, names: impl Iterator<Item = &'static str> + Clone) -> String {
    let best = names.clone().map(|name| (distance(typed, name), name)).min();
    match best {
        Some((steps, name)) if steps <= 2 => format!("did you mean `{name}`?"),
        _ => format!("it has no effect; known are {}", names.collect::<Vec<_>>().join(", ")),
    }
}

/// Insertions, deletions and replacements that lead from one name to the other.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().take(256).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replace = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(
        flags: &GlobalArgs,
        env: &[(&str, &str)],
        file: Option<&str>,
    ) -> Result<(Settings, Vec<Diagnostic>), Diagnostic> {
        let dir = tempfile::tempdir().unwrap();
        if let Some(text) = file {
            std::fs::write(dir.path().join(FILE_NAME), text).unwrap();
        }
        let deep = dir.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        Settings::resolve(flags, &Environment::from_pairs(env.iter().copied()), &deep)
    }

    #[test]
    fn flag_beats_environment_beats_file_beats_default() {
        let none = GlobalArgs::default();
        let flag = GlobalArgs { limit: Some(3), ..GlobalArgs::default() };
        let file = Some("limit = 7");
        let limit =
            |flags: &GlobalArgs, env: &[(&str, &str)], file| resolve(flags, env, file).unwrap().0.limit;
        assert_eq!(limit(&none, &[], None), Some(DEFAULT_LIMIT));
        assert_eq!(limit(&none, &[], file), Some(7));
        assert_eq!(limit(&none, &[("PERFWRIGHT_LIMIT", "5")], file), Some(5));
        assert_eq!(limit(&flag, &[("PERFWRIGHT_LIMIT", "5")], file), Some(3));
        assert_eq!(limit(&none, &[("PERFWRIGHT_LIMIT", "")], file), Some(7), "an empty variable is not set");
        assert_eq!(limit(&none, &[("PERFWRIGHT_LIMIT", "0")], file), None, "0 is no limit");
    }

    #[test]
    fn file_values_may_be_numbers_booleans_or_text() {
        let text = "format = 'json'\nquiet = true\nverbose = 2\nwidth = '80'\ncolor = \"never\"";
        let (settings, warnings) = resolve(&GlobalArgs::default(), &[], Some(text)).unwrap();
        assert_eq!(settings.format, Format::Json);
        assert_eq!((settings.quiet, settings.verbose, settings.width), (true, 2, Some(80)));
        assert_eq!(settings.color, ColorChoice::Never);
        assert_eq!(warnings, []);
    }

    #[test]
    fn paths_in_the_file_start_at_its_folder() {
        let (settings, _) =
            resolve(&GlobalArgs::default(), &[("HOME", "/users/x")], Some("runs_dir = 'out'")).unwrap();
        assert!(settings.runs_dir.is_absolute() && settings.runs_dir.ends_with("out"));
        assert_eq!(settings.cache_dir, Some(PathBuf::from("/users/x/.cache/perfwright")));
        let (settings, _) = resolve(
            &GlobalArgs::default(),
            &[("HOME", "/users/x"), ("XDG_CACHE_HOME", "/c"), ("PERFWRIGHT_RUNS_DIR", "here")],
            Some("runs_dir = 'out'"),
        )
        .unwrap();
        assert_eq!(settings.runs_dir, PathBuf::from("here"));
        assert_eq!(settings.cache_dir, Some(PathBuf::from("/c/perfwright")));
    }

    #[test]
    fn unknown_names_warn_with_a_suggestion() {
        let (_, warnings) =
            resolve(&GlobalArgs::default(), &[("PERFWRIGHT_LIMTI", "1")], Some("formt = 'json'\nzzzzzz = 1"))
                .unwrap();
        let helps: Vec<&str> = warnings.iter().filter_map(|warning| warning.help.as_deref()).collect();
        assert_eq!(warnings.len(), 3);
        assert_eq!(helps[0], "did you mean `format`?");
        assert!(helps[1].starts_with("it has no effect; known are format, color"), "{}", helps[1]);
        assert_eq!(helps[2], "did you mean `PERFWRIGHT_LIMIT`?");
    }

    #[test]
    fn wrong_values_name_their_place() {
        let error = resolve(&GlobalArgs::default(), &[("PERFWRIGHT_FORMAT", "yaml")], None).unwrap_err();
        assert_eq!(error.code, codes::CONFIG_VALUE);
        assert_eq!(error.place.as_deref(), Some("environment variable PERFWRIGHT_FORMAT"));
        let error = resolve(&GlobalArgs::default(), &[], Some("limit = -1")).unwrap_err();
        assert_eq!(error.place.as_deref(), Some("key limit"));
        let error = resolve(&GlobalArgs::default(), &[], Some("limit = [1]")).unwrap_err();
        assert_eq!(error.code, codes::CONFIG_VALUE);
        let error = resolve(&GlobalArgs::default(), &[], Some("limit = 1\nformat = ")).unwrap_err();
        assert_eq!(error.code, codes::CONFIG_MALFORMED);
        assert_eq!(error.place.as_deref(), Some("line 2, column 10"));
    }

    #[test]
    fn setting_names_are_unique_and_follow_the_pattern() {
        for (at, setting) in SETTINGS.iter().enumerate() {
            // A setting without a key is set by its variable alone.
            if !setting.key.is_empty() {
                assert_eq!(setting.env, format!("PERFWRIGHT_{}", setting.key.to_uppercase()));
            }
            assert!(SETTINGS[..at].iter().all(|other| other.env != setting.env));
            assert!(!setting.doc.is_empty());
            assert!(SETTINGS[..at].iter().all(|other| other.key != setting.key));
        }
    }
}
