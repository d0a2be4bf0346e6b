//! What to start and with which limits.

use std::path::PathBuf;

/// A command with its environment and limits.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The command; the first word is the program.
    pub argv: Vec<String>,
    /// The whole environment of the child; nothing else is inherited.
    pub env: Vec<(String, String)>,
    /// Where it starts.
    pub dir: Option<PathBuf>,
    /// Most bytes of output kept: the first half, and as much of the end. What lies between is counted.
    pub max_output: u64,
}

/// Variables that programs need to find themselves and their libraries.
const NEEDED: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "CUDA_HOME",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
];

impl Launch {
    /// A command with a plain `PATH` as its only environment and 256 MiB of output.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: vec![(
                "PATH".to_owned(),
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            )],
            dir: None,
            max_output: 256 << 20,
        }
    }

    /// Takes from `environment` what programs need and what `allowed` names; a name that ends in `*` is a prefix
    /// (`CUDA_*`). What was set with [`Launch::var`] before stays.
    #[must_use]
    pub fn inherit<'a>(
        mut self,
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
        allowed: &[&str],
    ) -> Self {
        let named = |key: &str| {
            allowed.iter().any(|a| a.strip_suffix('*').map_or(*a == key, |prefix| key.starts_with(prefix)))
        };
        for (key, value) in environment {
            if NEEDED.contains(&key) || named(key) {
                self = self.var(key, value);
            }
        }
        self
    }

    /// Sets one variable.
    #[must_use]
    pub fn var(mut self, key: &str, value: &str) -> Self {
        self.env.retain(|(k, _)| k != key);
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::Launch;

    #[test]
    fn only_what_is_needed_or_allowed_is_inherited() {
        let environment = [
            ("PATH", "/bin"),
            ("CUDA_VISIBLE_DEVICES", "0"),
            ("HF_TOKEN", "hf_secret"),
            ("HF_HOME", "/h"),
            ("X", "1"),
        ];
        let launch = Launch::new(["true"]).inherit(environment, &["CUDA_*", "HF_HOME"]);
        let mut keys: Vec<&str> = launch.env.iter().map(|(k, _)| k.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["CUDA_VISIBLE_DEVICES", "HF_HOME", "PATH"]);
        assert_eq!(launch.env.iter().filter(|(k, _)| k == "PATH").count(), 1);
    }
}
