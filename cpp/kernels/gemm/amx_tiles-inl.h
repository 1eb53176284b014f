// Instructions of Intel's matrix unit, whose eight tiles hold 16 rows of 64 bytes. FASTORT_AMX: whether the target at
// hand may have them; they come with AVX-512 only. Included once for each SIMD target.
#if defined(FASTORT_AMX_TILES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTORT_AMX_TILES_INL_H
#undef FASTORT_AMX_TILES_INL_H
#else
#define FASTORT_AMX_TILES_INL_H
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"

#undef FASTORT_AMX
#if HWY_TARGET == HWY_AVX3 && HWY_ARCH_X86_64 && (HWY_COMPILER_GCC || HWY_COMPILER_CLANG)
#define FASTORT_AMX 1
#else
#define FASTORT_AMX 0
#endif

#if FASTORT_AMX

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace {

HWY_INLINE void configure_tiles() {
  struct alignas(64) {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } tiles;
  __asm__ volatile("ldtilecfg %0" : : "m"(tiles));
}

HWY_INLINE void release_tiles() { __asm__ volatile("tilerelease" : :); }

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

// Rows lie `stride` bytes apart. An array of unknown length stands for the memory that is touched: it keeps everything
// else in registers, which "memory" would not.
#undef FASTORT_TILE_LOAD
#define FASTORT_TILE_LOAD(tile, address, stride)      \
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile \
                   :                                  \
                   : "r"(address), "r"(int64_t{stride}), "m"(*reinterpret_cast<const std::byte(*)[]>(address)))
#undef FASTORT_TILE_STORE
#define FASTORT_TILE_STORE(tile, address, stride)                     \
  __asm__ volatile("tilestored %%tmm" #tile ", (%1,%2,1)"             \
                   : "+m"(*reinterpret_cast<std::byte(*)[]>(address)) \
                   : "r"(address), "r"(int64_t{stride}))
#undef FASTORT_TILE_ZERO
#define FASTORT_TILE_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile : :)
// c += a * b. BF16: of pairs of bfloat16 into float32; BYTES: of fours of uint8 and int8 into int32.
#undef FASTORT_TILE_MULTIPLY_BF16
#define FASTORT_TILE_MULTIPLY_BF16(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : :)
#undef FASTORT_TILE_MULTIPLY_BYTES
#define FASTORT_TILE_MULTIPLY_BYTES(c, a, b) __asm__ volatile("tdpbusd %%tmm" #b ", %%tmm" #a ", %%tmm" #c : :)

#endif

#endif
