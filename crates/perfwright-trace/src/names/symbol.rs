//! A kernel name reduced to the symbol that carries its meaning.

use std::borrow::Cow;

use super::cpp::{function_word, head, split_args};
use super::demangle::demangle;
use super::display;
use super::words::Words;

/// Longest raw name that is looked at, in bytes; the rest is ignored (real ones reach about 10 KiB).
pub const MAX_NAME: usize = 16 * 1024;
/// Template arguments kept of the base symbol.
const MAX_ARGS: usize = 32;
/// Longest text kept of one template argument, in bytes.
const MAX_ARG: usize = 96;
/// How many wrappers may be peeled; each costs one scan of what is inside it.
const MAX_PEEL: usize = 12;

/// A parsed kernel name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// Namespaced function (or, for wrapper kernels, the wrapped type) without template arguments,
    /// parameters and return type: `flash::FlashAttnFwdSm90`, `nvjet_tst_256x128_64x4_2x1_v_bz_TNT`.
    pub base: String,
    /// The kernel that only wraps the base: `cutlass::device_kernel`, `ck_tile::kentry`.
    pub wrapper: Option<String>,
    /// First template argument of the base that names a function or functor, peeled of adaptors:
    /// `at::native::direct_copy_kernel_cuda` for a copy done by `at::native::elementwise_kernel`.
    pub functor: Option<String>,
    /// Short form for tables, at most 90 bytes; tile sizes survive.
    pub display: String,
    /// Template arguments of the base, in order, each at most 96 bytes.
    pub args: Vec<String>,
    /// Words of the base's last path segment.
    pub words: Words,
    /// Words of the functor's path.
    pub functor_words: Words,
}

impl Symbol {
    /// Parses any kernel name. Total: every input has an answer; cost is linear in its length.
    #[must_use]
    pub fn parse(raw: &str) -> Self {
        let raw = clip(raw.trim(), MAX_NAME);
        let normal = normalise(raw);
        if is_plain(&normal) {
            return Self::flat(&normal);
        }
        let text = demangle(&normal);
        let word = function_word(text.trim());
        let mut outer = head(word);
        let mut wrapper: Option<String> = None;
        for _ in 0..MAX_PEEL {
            if !(is_wrapper(&outer.path) || wrapper.is_some() && is_adaptor(&outer.path)) {
                break;
            }
            let Some(inner) = first_meaning(outer.args) else { break };
            wrapper.get_or_insert_with(|| outer.path.join("::"));
            outer = inner;
        }
        if outer.path.is_empty() {
            return Self::flat(&normal);
        }
        let functor = functor_of(outer.args, &outer.path);
        let base = outer.path.join("::");
        let args: Vec<String> =
            split_args(outer.args, MAX_ARGS).into_iter().map(|a| clip(a, MAX_ARG).to_owned()).collect();
        let function = outer.path.last().copied().unwrap_or_default();
        let display = display::cpp(&normal, &outer.path, functor.as_deref(), &args);
        Self {
            words: Words::new(function),
            functor_words: functor.as_deref().map(Words::new).unwrap_or_default(),
            base,
            wrapper,
            functor,
            display,
            args,
        }
    }

    /// A name that is one word by construction (assembly, Triton, copies).
    fn flat(name: &str) -> Self {
        let base = name.strip_suffix(".kd").unwrap_or(name);
        Self {
            base: clip(base, 4096).to_owned(),
            wrapper: None,
            functor: None,
            display: display::flat(base),
            args: Vec::new(),
            words: Words::new(base),
            functor_words: Words::default(),
        }
    }

    /// Last path segment of the base.
    #[must_use]
    pub fn function(&self) -> &str {
        self.base.rsplit("::").next().unwrap_or_default()
    }

    /// Path segments before the function.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.base.rsplit("::").skip(1)
    }
}

/// Real addresses (`at 0x7f12ab34cd`) are replaced by `0xADDR`, but only as a whole word of at least
/// six hex digits: the `0x256` inside `MT320x256` is a tile size.
#[must_use]
pub fn normalise(raw: &str) -> Cow<'_, str> {
    let bytes = raw.as_bytes();
    let mut out: Option<String> = None;
    let mut done = 0;
    let mut from = 0;
    while let Some(at) = raw[from..].find("0x").map(|at| at + from) {
        let digits = bytes[at + 2..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let end = at + 2 + digits;
        from = at + 2;
        let free_before = at == 0 || matches!(bytes[at - 1], b' ' | b'(' | b',' | b'@' | b'=' | b'<' | b'[');
        let free_after = bytes.get(end).is_none_or(|b| !(b.is_ascii_alphanumeric() || *b == b'_'));
        if digits >= 6 && free_before && free_after {
            let text = out.get_or_insert_with(String::new);
            text.push_str(&raw[done..at]);
            text.push_str("0xADDR");
            done = end;
            from = end;
        }
    }
    match out {
        Some(mut text) => {
            text.push_str(&raw[done..]);
            Cow::Owned(text)
        }
        None => Cow::Borrowed(raw),
    }
}

pub(super) fn clip(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// One word without C++ punctuation, or one of the runtime's own copy names.
fn is_plain(name: &str) -> bool {
    name.starts_with("Memcpy ")
        || name.starts_with("Memset ")
        || !name.starts_with("_Z") && !name.bytes().any(|b| matches!(b, b'<' | b'(' | b' ' | b':'))
}

/// Kernels whose own name says nothing: the first meaningful template argument is the kernel.
fn is_wrapper(path: &[&str]) -> bool {
    let Some((&function, spaces)) = path.split_last() else { return false };
    let space = spaces.first().copied().unwrap_or_default();
    match function {
        "Kernel" | "Kernel2" | "device_kernel" => {
            spaces.is_empty() || space.starts_with("cutlass") || space == "cute"
        }
        "kentry" | "kentry_pt" => space == "ck_tile",
        "trampoline_kernel" => space == "rocprim",
        "_kernel_agent" | "kernel_agent" => space == "thrust" || space == "cuda_cub" || space == "cub",
        _ => is_enabler(function),
    }
}

/// `flash::enable_sm90_or_later<Kernel>` and its kin only guard an architecture.
fn is_enabler(function: &str) -> bool {
    function.starts_with("enable_") && (function.contains("sm") || function.contains("or_later"))
}

/// Template layers between a kernel and the operation it was instantiated for.
fn is_adaptor(path: &[&str]) -> bool {
    let Some(&function) = path.last() else { return false };
    if is_enabler(function) {
        return true;
    }
    matches!(
        function,
        "gpu_kernel_impl"
            | "gpu_kernel_impl_nocast"
            | "gpu_index_kernel"
            | "gpu_kernel_with_index"
            | "ReduceOp"
            | "func_wrapper_t"
            | "BinaryFunctor"
            | "AUnaryFunctor"
            | "BUnaryFunctor"
            | "apply"
            | "_cuda_scatter_gather_internal_kernel"
            | "_cuda_scatter_fill_internal_kernel"
            | "BinaryOpScalarFunctor"
            | "BinaryOpListAlphaFunctor"
            | "BinaryOpScalarTensorFunctor"
            | "UnaryOpFunctor"
            | "PointwiseOpScalarFunctor"
            | "DispatchReduceByKey"
            | "TensorListMetadata"
    )
}

/// Template arguments that are values or plain types.
fn is_type(argument: &str, path: &[&str]) -> bool {
    let Some(&function) = path.last() else { return true };
    if argument.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '!')
        || argument.starts_with('(') && !argument.starts_with("(anonymous")
    {
        return true;
    }
    matches!(
        function,
        "float"
            | "double"
            | "int"
            | "bool"
            | "char"
            | "long"
            | "short"
            | "unsigned"
            | "signed"
            | "void"
            | "const"
            | "true"
            | "false"
            | "nullptr"
            | "decltype"
            | "BFloat16"
            | "Half"
            | "half"
            | "half_t"
            | "bfloat16_t"
            | "float2"
            | "float4"
            | "half2"
            | "__half"
            | "__half2"
            | "__nv_bfloat16"
            | "__hip_bfloat16"
            | "__nv_bfloat162"
            | "hip_bfloat16"
            | "bhalf_t"
            | "ushort"
            | "uint8_t"
            | "int8_t"
            | "int32_t"
            | "int64_t"
            | "uint32_t"
            | "uint64_t"
            | "size_t"
            | "_Float16"
            | "__bf16"
            | "std"
            | "bf16_t"
            | "fp16_t"
            | "fp8_t"
            | "Array"
            | "array"
            | "OpaqueType"
            | "TensorListMetadata"
            | "tuple"
            | "C"
            | "complex"
            | "integral_constant"
            | "Float8_e4m3fn"
            | "Float8_e4m3fnuz"
            | "Float8_e5m2"
            | "__nv_fp8_e4m3"
            | "float_e4m3_t"
            | "default_config"
            | "TileShape"
            | "Shape"
            | "sequence"
    )
}

/// The first template argument that names an operation, as a head.
fn first_meaning(args: &str) -> Option<super::cpp::Head<'_>> {
    split_args(args, MAX_ARGS).into_iter().find_map(|argument| {
        let inner = argument_head(argument);
        (!is_type(argument, &inner.path)).then_some(inner)
    })
}

/// Head of one template argument; `&(silu(float const&))` is a function by address.
fn argument_head(argument: &str) -> super::cpp::Head<'_> {
    let bare = argument.trim_start_matches(['&', '(']);
    if bare.len() < argument.len() && !argument.starts_with("(anonymous") {
        return head(function_word(bare));
    }
    head(argument)
}

/// Peels adaptors until an operation remains; when an adaptor holds only types it is itself the answer.
fn functor_of(args: &str, base: &[&str]) -> Option<String> {
    let mut found = first_meaning(args)?;
    for _ in 0..MAX_PEEL {
        if !is_adaptor(&found.path) {
            break;
        }
        match first_meaning(found.args) {
            Some(inner) => found = inner,
            None => break,
        }
    }
    let functor = found.path.join("::");
    (!functor.is_empty() && functor != base.join("::")).then_some(functor)
}
