//! Which vector instructions the kernels are compiled for, chosen once when a model is built.

use super::lanes::Lanes;

/// Vector instructions. AVX2 and AVX-512 give the same bits, since lanes are independent and both have a fused
/// multiply-add; the baseline rounds twice and differs in the last places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Simd {
    /// What every processor of the target has.
    Baseline,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512F.
    Avx512,
}

impl Simd {
    /// The widest that this processor has.
    #[must_use]
    pub fn detect() -> Self {
        [Self::Avx512, Self::Avx2].into_iter().find(|s| s.available()).unwrap_or(Self::Baseline)
    }

    /// Whether this processor has them.
    #[must_use]
    pub fn available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            match self {
                Self::Baseline => true,
                Self::Avx2 => avx2,
                Self::Avx512 => avx2 && is_x86_feature_detected!("avx512f"),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            matches!(self, Self::Baseline)
        }
    }

    /// Its name, as a log prints it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

/// `a * b + c`, rounded once where the instructions have it.
#[inline(always)]
pub(crate) fn fma<V: Lanes>(a: f32, b: f32, c: f32) -> f32 {
    if V::FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Asks for the cache line at an address, which need not be one of ours.
#[inline(always)]
pub(crate) fn prefetch(line: *const [f32; super::packed::PANEL]) {
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "an instruction without a safe form")]
    // SAFETY: the instruction is part of every x86-64, has no effect but on caches, and never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

/// Defines a function that runs `$body` compiled for the instructions of its first argument. `$body` is
/// `#[inline(always)]` and generic over `V: Lanes`.
macro_rules! for_simd {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:ident;) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "kernels take plain slices and sizes")]
        $vis fn $name(simd: $crate::ops::simd::Simd, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[allow(clippy::too_many_arguments, reason = "as above")]
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) {
                    $body::<$crate::ops::lanes::Avx2>($($arg),*);
                }
                #[allow(clippy::too_many_arguments, reason = "as above")]
                #[target_feature(enable = "avx2,fma,avx512f")]
                fn avx512($($arg: $ty),*) {
                    $body::<$crate::ops::lanes::Avx512>($($arg),*);
                }
                #[expect(unsafe_code, reason = "a function compiled for more than the baseline is called")]
                match simd {
                    // SAFETY: a model holds this value only if `Simd::available` said so (`Context::new`).
                    $crate::ops::simd::Simd::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::ops::simd::Simd::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::ops::simd::Simd::Baseline => {}
                }
            }
            let _ = simd;
            $body::<$crate::ops::lanes::Plain>($($arg),*);
        }
    };
}
pub(crate) use for_simd;
