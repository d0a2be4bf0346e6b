//! Sixteen floats in registers, for the innermost loop of products and attention.
//!
//! Loops over arrays are enough elsewhere, but here the optimiser sometimes takes rows for lanes, and the product is ten
//! times slower.

use super::packed::PANEL;

/// Sixteen floats, each computed by itself.
pub(crate) trait Lanes: Copy {
    /// Whether `a * b + c` is rounded once.
    const FMA: bool;
    /// Reads sixteen floats.
    fn load(from: &[f32; PANEL]) -> Self;
    /// `self * x + acc`, lane by lane.
    fn mul_add(self, x: f32, acc: Self) -> Self;
    /// Writes sixteen floats.
    fn store(self, to: &mut [f32; PANEL]);
}

/// What every processor of the target has.
#[derive(Clone, Copy)]
pub(crate) struct Plain([f32; PANEL]);

impl Lanes for Plain {
    const FMA: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

    #[inline(always)]
    fn load(from: &[f32; PANEL]) -> Self {
        Self(*from)
    }

    #[inline(always)]
    fn mul_add(self, x: f32, acc: Self) -> Self {
        let mut sum = acc.0;
        for i in 0..PANEL {
            sum[i] = super::simd::fma::<Self>(self.0[i], x, sum[i]);
        }
        Self(sum)
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; PANEL]) {
        *to = self.0;
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions that not every processor has")]
mod x86 {
    // SAFETY, for every block of this module: `for_simd!` names these types only in functions compiled for their
    // instructions, which `Simd::available` has found; loads and stores do not ask for alignment and stay inside the
    // arrays that are borrowed.
    use std::arch::x86_64::{
        __m256, __m512, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm512_fmadd_ps,
        _mm512_loadu_ps, _mm512_set1_ps, _mm512_storeu_ps,
    };

    use super::{Lanes, PANEL};

    /// Two registers of AVX2 with FMA.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(__m256, __m256);

    impl Lanes for Avx2 {
        const FMA: bool = true;

        #[inline(always)]
        fn load(from: &[f32; PANEL]) -> Self {
            // SAFETY: see the head of the module; 8 floats from the start and 8 from the middle.
            unsafe { Self(_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))) }
        }

        #[inline(always)]
        fn mul_add(self, x: f32, acc: Self) -> Self {
            // SAFETY: see the head of the module.
            unsafe {
                let x = _mm256_set1_ps(x);
                Self(_mm256_fmadd_ps(self.0, x, acc.0), _mm256_fmadd_ps(self.1, x, acc.1))
            }
        }

        #[inline(always)]
        fn store(self, to: &mut [f32; PANEL]) {
            // SAFETY: see the head of the module; 8 floats to the start and 8 to the middle.
            unsafe {
                _mm256_storeu_ps(to.as_mut_ptr(), self.0);
                _mm256_storeu_ps(to.as_mut_ptr().add(8), self.1);
            }
        }
    }

    /// A register of AVX-512.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(__m512);

    impl Lanes for Avx512 {
        const FMA: bool = true;

        #[inline(always)]
        fn load(from: &[f32; PANEL]) -> Self {
            // SAFETY: see the head of the module.
            unsafe { Self(_mm512_loadu_ps(from.as_ptr())) }
        }

        #[inline(always)]
        fn mul_add(self, x: f32, acc: Self) -> Self {
            // SAFETY: see the head of the module.
            unsafe { Self(_mm512_fmadd_ps(self.0, _mm512_set1_ps(x), acc.0)) }
        }

        #[inline(always)]
        fn store(self, to: &mut [f32; PANEL]) {
            // SAFETY: see the head of the module.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
        }
    }
}
