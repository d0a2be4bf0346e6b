//! Names under which secrets travel, as tables.

use super::shapes::Mode;

/// Words that make a name secret wherever they stand in it.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secrets",
    "credential",
    "credentials",
    "authorization",
    "cookie",
    "cookies",
    "bearer",
    "apikey",
    "privatekey",
    "accesskey",
    "secretkey",
    "authtoken",
    "accesstoken",
    "jwt",
];

/// Words that make a following `key` secret; `cache_key` and `key_dim` stay what they are.
const BEFORE_KEY: &[&str] = &[
    "api",
    "access",
    "private",
    "secret",
    "signing",
    "encryption",
    "auth",
    "account",
    "license",
    "subscription",
    "shared",
    "master",
    "session",
    "service",
    "ssh",
    "admin",
];

/// Words before `token` that make it a credential even in evidence about language models.
const BEFORE_TOKEN: &[&str] = &[
    "hf",
    "hub",
    "face",
    "huggingface",
    "access",
    "auth",
    "api",
    "bearer",
    "secret",
    "session",
    "refresh",
    "github",
    "gh",
    "gitlab",
    "security",
    "wandb",
    "bot",
    "oauth",
    "csrf",
    "personal",
    "deploy",
    "pypi",
    "npm",
    "registry",
    "private",
    "login",
    "client",
    "service",
    "admin",
];

/// Words before `token` that make it a token of text.
const TEXT_TOKEN: &[&str] = &[
    "eos",
    "bos",
    "pad",
    "unk",
    "sep",
    "cls",
    "mask",
    "stop",
    "max",
    "min",
    "num",
    "per",
    "image",
    "audio",
    "video",
    "special",
    "first",
    "next",
    "last",
    "output",
    "input",
    "prompt",
    "new",
    "to",
    "draft",
    "speculative",
    "decode",
    "prefill",
    "each",
    "total",
    "n",
    "think",
    "reasoning",
    "vision",
    "begin",
    "end",
    "start",
];

/// Last words that say the value only leads to a secret.
const POINTS_ELSEWHERE: &[&str] = &[
    "file",
    "path",
    "dir",
    "directory",
    "folder",
    "name",
    "type",
    "mode",
    "method",
    "helper",
    "provider",
    "timeout",
    "ttl",
    "count",
    "length",
    "policy",
    "prompt",
];

/// Environment variables that explain a result; a trailing `*` stands for any ending.
const ALLOWED_VARIABLES: &[&str] = &[
    "CUDA_*",
    "CUBLAS_*",
    "CUDNN_*",
    "CUTE_*",
    "CUTLASS_*",
    "NCCL_*",
    "NVSHMEM_*",
    "NVIDIA_*",
    "NVTE_*",
    "RCCL_*",
    "HIP_*",
    "HSA_*",
    "ROCR_*",
    "ROCM_*",
    "GPU_*",
    "AITER_*",
    "SGLANG_*",
    "SGL_*",
    "VLLM_*",
    "TRTLLM_*",
    "TLLM_*",
    "FLASHINFER_*",
    "DEEPGEMM_*",
    "DG_*",
    "TORCH_*",
    "TORCHINDUCTOR_*",
    "PYTORCH_*",
    "INDUCTOR_*",
    "TRITON_*",
    "TOKENIZERS_PARALLELISM",
    "OMP_*",
    "MKL_*",
    "OPENBLAS_NUM_THREADS",
    "KMP_*",
    "GOMP_*",
    "RAYON_NUM_THREADS",
    "UCX_*",
    "GLOO_*",
    "FI_*",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "PYTHONPATH",
    "PYTHONHASHSEED",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "HF_*",
    "TRANSFORMERS_*",
    "PERFWRIGHT_*",
    "MASTER_ADDR",
    "MASTER_PORT",
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "SLURM_JOB_ID",
    "SLURM_NNODES",
    "SLURM_PROCID",
    "SLURM_GPUS*",
];

/// True for a variable that a manifest may hold.
pub(crate) fn is_allowed_variable(name: &str) -> bool {
    ALLOWED_VARIABLES.iter().any(|allowed| match allowed.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == *allowed,
    })
}

/// True where what stands under `name` is a secret.
pub(crate) fn is_secret_name(name: &str, mode: Mode) -> bool {
    if name.len() > 128 {
        return false;
    }
    let words = words(name);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some(&last) = words.last() else { return false };
    if POINTS_ELSEWHERE.contains(&last) {
        return false;
    }
    if words.iter().any(|w| SECRET_WORDS.contains(w))
        || words.windows(2).any(|w| w[1] == "key" && BEFORE_KEY.contains(&w[0]))
    {
        return true;
    }
    // `PWD` alone is the working directory, and a `signature` alone is a kernel's or a log line's.
    if words.windows(2).any(|w| w[1] == "pwd" || w == ["amz", "signature"]) {
        return true;
    }
    let token = words.iter().position(|&w| w == "token");
    if let Some(at) = token {
        let before = at.checked_sub(1).map(|i| words[i]);
        let after = words.get(at + 1).copied();
        let names_a_value = matches!(after, None | Some("value" | "secret" | "header"));
        if before.is_some_and(|w| BEFORE_TOKEN.contains(&w)) && names_a_value {
            return true;
        }
        if mode == Mode::Loose && names_a_value && !before.is_some_and(|w| TEXT_TOKEN.contains(&w)) {
            return true;
        }
    }
    mode == Mode::Loose && (last == "auth" || words == ["key"])
}

/// A header-like flag (`-H`, `--header`) is judged by its value's own name.
pub(crate) fn is_header(flag: &str, value: &str) -> bool {
    matches!(flag, "-H" | "--header") && value.contains(':')
}

/// True for names whose unquoted value runs to the end of the line.
pub(crate) fn is_header_name(name: &str) -> bool {
    let words = words(name);
    words.iter().any(|w| matches!(w.as_str(), "authorization" | "cookie"))
}

/// Values that stand for "none".
pub(crate) fn is_empty_value(value: &[u8]) -> bool {
    const EMPTY: &[&str] = &[
        "",
        "none",
        "null",
        "nil",
        "true",
        "false",
        "enabled",
        "disabled",
        "default",
        "basic",
        "bearer",
        "[redacted]",
    ];
    let stars = value.iter().all(|&b| b == b'*');
    stars || EMPTY.iter().any(|e| e.as_bytes().eq_ignore_ascii_case(value))
}

/// Lowercase words of a name in any of the usual spellings.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut before = '\0';
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        let starts_word = c.is_ascii_uppercase()
            && (before.is_ascii_lowercase()
                || (before.is_ascii_uppercase() && chars.peek().is_some_and(char::is_ascii_lowercase)));
        if (!c.is_alphanumeric() || starts_word) && words.last().is_some_and(|w| !w.is_empty()) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|w| !w.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_the_usual_spellings() {
        assert_eq!(words("--api-key"), ["api", "key"]);
        assert_eq!(words("OPENAI_API_KEY"), ["openai", "api", "key"]);
        assert_eq!(words("apiKey"), ["api", "key"]);
        assert_eq!(words("HFToken"), ["hf", "token"]);
        assert_eq!(words("x.y"), ["x", "y"]);
    }

    #[test]
    fn knows_secrets_from_tokens_of_text() {
        for name in [
            "--api-key",
            "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN",
            "apiKey",
            "AWS_SECRET_ACCESS_KEY",
            "X-Api-Key",
            "db_password",
            "DB_PWD",
            "X-Amz-Signature",
            "Authorization",
            "Set-Cookie",
            "client_secret",
            "github_token",
            "authToken",
        ] {
            assert!(is_secret_name(name, Mode::Strict), "{name}");
            assert!(is_secret_name(name, Mode::Loose), "{name}");
        }
        for name in ["--token", "MY_TOKEN", "--key", "--proxy-auth"] {
            assert!(is_secret_name(name, Mode::Loose), "{name}");
            assert!(!is_secret_name(name, Mode::Strict), "{name}");
        }
        for name in [
            "--max-tokens",
            "tokens",
            "tokenizer",
            "PWD",
            "OLDPWD",
            "signature",
            "CREDENTIALS_DIRECTORY",
            "--eos-token",
            "max_token",
            "key_dim",
            "cache_key",
            "--keys",
            "num_key_value_heads",
            "token_ids",
            "--token-budget",
            "--password-file",
            "author",
            "monkey",
            "--stop-token",
        ] {
            assert!(!is_secret_name(name, Mode::Loose), "{name}");
        }
    }

    #[test]
    fn the_environment_is_allow_listed() {
        for name in ["CUDA_VISIBLE_DEVICES", "NCCL_DEBUG", "SGLANG_TORCH_PROFILER_DIR", "RANK"] {
            assert!(is_allowed_variable(name), "{name}");
        }
        for name in ["HOME", "USER", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "RANKS"] {
            assert!(!is_allowed_variable(name), "{name}");
        }
    }
}
