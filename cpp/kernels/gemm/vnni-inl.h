// Included once for each SIMD target.
#if defined(FASTORT_VNNI_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTORT_VNNI_INL_H
#undef FASTORT_VNNI_INL_H
#else
#define FASTORT_VNNI_INL_H
#endif

#include "base/cpu_info.h"
#include "hwy/highway.h"
#include "kernels/gemm/amx_tiles-inl.h"

// AVX-512's first processors have no such instructions; their target serves both, as that of AMX does.
#undef FASTORT_VNNI
#define FASTORT_VNNI FASTORT_AMX

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {

[[maybe_unused]] inline bool has_vnni() { return FASTORT_VNNI && cpu_features().avx512_vnni; }

#if FASTORT_VNNI
// To each sum of 32 bits, four products of an unsigned byte and a signed one.
template <class V32, class VU8, class V8>
HWY_INLINE V32 add_four_products(V32 sum, VU8 a, V8 b) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
  return sum;
}
// The same with a vector of signed bytes in memory, which is loaded for each product, not kept for the next one.
template <class V32, class VU8>
HWY_INLINE V32 add_four_products_of(V32 sum, VU8 a, const int8_t* b) {
  struct Vector {
    int8_t bytes[sizeof(sum.raw)];
  };
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "m"(*reinterpret_cast<const Vector*>(b)));
  return sum;
}
#endif

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
