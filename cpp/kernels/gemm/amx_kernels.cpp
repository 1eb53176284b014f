#include "kernels/gemm/amx_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm/amx_kernels.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
//
#include "kernels/gemm/amx_tiles-inl.h"
#include "kernels/gemm/sgemm_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;
using namespace sgemm;

#if FASTORT_AMX

constexpr int64_t kTile = kAmxTileBytes, kStepBytes = kAmxStepBytes;
constexpr int64_t kUnits = kAmxDepth / 2;  // pairs of rows of B in a step
constexpr int64_t kMostSteps = 24;  // of the depth at a time: the parts of A and of two panels stay in the second cache
constexpr int64_t kSums = 4 * kTile;  // four tiles
constexpr int64_t kStepFloats = kAmxDepth * kPanel;

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t steps_at_once(int64_t depth) {
  const int64_t steps = ceil_div(depth, kAmxDepth);
  return std::max<int64_t>(1, ceil_div(steps, ceil_div(steps, kMostSteps)));
}

using DU = hn::RebindToUnsigned<D>;
using VU = hn::Vec<DU>;

// Of the doubled bits, which lose the sign: sizes of a row or column whose products with another one are far from
// infinity and from the subnormal numbers, parts and all.
constexpr uint32_t kLeastSize = (127u - 50) << 24, kMostSize = (127u + 60) << 24;
HWY_INLINE bool in_range(uint32_t size) { return size == 0 || (size >= kLeastSize && size <= kMostSize); }
HWY_INLINE bool in_range(VU size) {
  const DU d;
  const auto small = hn::Lt(hn::Sub(size, hn::Set(d, 1)), hn::Set(d, kLeastSize - 1));
  return hn::AllFalse(d, hn::Or(small, hn::Gt(size, hn::Set(d, kMostSize))));
}

// The nearest number of 8 significant bits.
HWY_INLINE VU rounded(VU x) {
  const DU d;
  return hn::And(hn::Add(x, hn::Set(d, 0x8000u)), hn::Set(d, 0xFFFF0000u));
}
HWY_INLINE VU rest(VU x, VU part) {
  const D d;
  return hn::BitCast(DU(), hn::Sub(hn::BitCast(d, x), hn::BitCast(d, part)));
}
// The parts of x in the lower halves, of y in the upper ones: three of 8 bits each, whose sum is the number.
HWY_INLINE void write_parts(VU x, VU y, std::byte* to, int64_t part_bytes) {
  const DU d;
  const auto write = [&](VU low, VU high, int part) HWY_ATTR {
    hn::Store(hn::Or(hn::ShiftRight<16>(low), high), d, reinterpret_cast<uint32_t*>(to + part * part_bytes));
  };
#pragma GCC unroll 2
  for (int part = 0; part < 2; ++part) {
    const VU low = rounded(x), high = rounded(y);
    write(low, high, part);
    x = rest(x, low);
    y = rest(y, high);
  }
  write(x, hn::And(y, hn::Set(d, 0xFFFF0000u)), 2);
}

HWY_INLINE VU larger(VU size, VU x) { return hn::Max(size, hn::Add(x, x)); }

size_t LeftBytes(int64_t rows, int64_t depth) {
  return static_cast<size_t>(ceil_div(rows, kAmxRows) * ceil_div(depth, kAmxDepth) * kStepBytes);
}

bool SplitLeft(const float* a, int64_t a_stride, int64_t rows, int64_t depth, std::byte* parts) {
  const D d;
  const DU du;
  HWY_ALIGN uint32_t size[kAmxRows][kLanes] = {};
  const auto split = [&](int64_t i, VU x, VU y, std::byte* to) HWY_ATTR {
    hn::Store(larger(larger(hn::Load(du, size[i]), x), y), du, size[i]);
    write_parts(x, y, to + i / 16 * kTile + i % 16 * 64, 2 * kTile);
  };
  // What is missing of a tile; one of no rows at all is never read.
  const int64_t filled = rows > 16 ? kAmxRows : 16;
  // The rows of a step one after the other, for their parts to be written where those before them were.
  for (int64_t at = 0; at < depth; at += kAmxDepth, parts += kStepBytes) {
    const float* row = a + at;
    if (at + kAmxDepth <= depth) {
      for (int64_t i = 0; i < rows; ++i, row += a_stride)
        split(i, hn::BitCast(du, hn::LoadU(d, row)), hn::BitCast(du, hn::LoadU(d, row + kLanes)), parts);
    } else {
      const auto low = static_cast<size_t>(std::min<int64_t>(depth - at, kLanes));
      const auto high = static_cast<size_t>(depth - at) - low;
      for (int64_t i = 0; i < rows; ++i, row += a_stride)
        split(i, hn::BitCast(du, hn::LoadN(d, row, low)),
              high > 0 ? hn::BitCast(du, hn::LoadN(d, row + kLanes, high)) : hn::Zero(du), parts);
    }
    for (int64_t i = rows; i < filled; ++i) split(i, hn::Zero(du), hn::Zero(du), parts);
  }
  bool fits = true;
  for (int64_t i = 0; i < rows; ++i) fits &= in_range(hn::ReduceMax(du, hn::Load(du, size[i])));
  return fits;
}

template <bool kGated>
HWY_INLINE uint32_t split_pixels(const AmxPixels& pixels, std::byte* to, int64_t part) {
  const D d;
  const DU du;
  VU size = hn::Zero(du);
  const auto gate = [&](const float* factors) HWY_ATTR { return factors ? hn::LoadU(d, factors) : hn::Zero(d); };
  const V low = gate(pixels.low_gate), high = gate(pixels.high_gate);
  const auto read = [&](const float* from, int64_t i, V factor) HWY_ATTR {
    V x = from ? hn::LoadU(d, from + i * pixels.stride) : hn::Zero(d);
    if constexpr (kGated) x = from ? hn::Mul(x, factor) : x;
    return hn::BitCast(du, x);
  };
  for (int64_t i = 0; i < pixels.count; ++i, to += 64) {
    const VU x = read(pixels.low, i, low), y = read(pixels.high, i, high);
    size = larger(larger(size, x), y);
    write_parts(x, y, to, part);
  }
  return hn::ReduceMax(du, size);
}

uint32_t SplitPixels(const AmxPixels& pixels, std::byte* to, int64_t part) {
  return pixels.low_gate ? split_pixels<true>(pixels, to, part) : split_pixels<false>(pixels, to, part);
}

// Some steps of a panel of B that become parts while others are multiplied.
struct Splitter {
  const float* src = nullptr;
  std::byte* dst = nullptr;
  int64_t units = 0, unit = 0;  // that are left; and the next one of its step
  int64_t whole = 0;            // steps before the end of the depth
  const float* edge = nullptr;  // the step at the end, filled up with zeros
  HWY_ALIGN uint32_t size[2][kLanes] = {};

  HWY_INLINE void next() {
    if (units == 0) return;
    const D d;
    const DU du;
    const float* const from = src + unit * kPanel;
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) {
      const VU x = hn::BitCast(du, hn::LoadU(d, from + j * kLanes));
      const VU y = hn::BitCast(du, hn::LoadU(d, from + kUnits * kPanel + j * kLanes));
      // The same of the next step: the tiles' loads keep the processor from fetching ahead by itself.
      bring_nearer(from + kStepFloats + j * kLanes);
      bring_nearer(from + kStepFloats + kUnits * kPanel + j * kLanes);
      write_parts(x, y, dst + j * kTile + unit * 64, 2 * kTile);
      hn::Store(larger(larger(hn::Load(du, size[j]), x), y), du, size[j]);
    }
    --units;
    if (++unit == kUnits) {
      unit = 0;
      src += kStepFloats;
      dst += kStepBytes;
      if (--whole == 0) src = edge;
    }
  }
  bool fits() const { return in_range(hn::Load(DU(), size[0])) && in_range(hn::Load(DU(), size[1])); }
};

// What a thread keeps between its blocks.
struct Scratch {
  std::byte* parts[2];  // of the panel at hand, and of the next one
  std::byte* sums;
  const float* ready;  // the rows of B whose parts are in parts[turn]
  bool fits;
  int turn;
  HWY_ALIGN float edge[2][kStepFloats];
};
constexpr size_t kScratchBytes = (sizeof(Scratch) + 63) / 64 * 64;

size_t ScratchBytes(int64_t depth) {
  const int64_t steps = steps_at_once(depth);
  const bool cut = steps < ceil_div(depth, kAmxDepth);
  const int64_t sums = cut ? AmxBlock::kMostPanels * AmxBlock::kMostRows / kAmxRows : 1;
  return kScratchBytes + static_cast<size_t>(2 * steps * kStepBytes + sums * kSums);
}

// c += a * b for two tiles of rows and two of columns.
#define FASTORT_SQUARE                 \
  FASTORT_TILE_MULTIPLY_BF16(0, 4, 6); \
  FASTORT_TILE_MULTIPLY_BF16(1, 4, 7); \
  FASTORT_TILE_MULTIPLY_BF16(2, 5, 6); \
  FASTORT_TILE_MULTIPLY_BF16(3, 5, 7)
#define FASTORT_LEFT(i)                   \
  FASTORT_TILE_LOAD(4, a + (i)*part, 64); \
  FASTORT_TILE_LOAD(5, a + (i)*part + kTile, 64)
#define FASTORT_RIGHT(part)                           \
  FASTORT_TILE_LOAD(6, b + (2 * (part)) * kTile, 64); \
  FASTORT_TILE_LOAD(7, b + (2 * (part) + 1) * kTile, 64)

// Sums over some steps of the depth of all pairs of parts but the three whose products are below 2^-24 of the largest.
// `each`: units of the splitter for each step. kTall: 32 rows; otherwise 16, whose sums lie in two halves.
template <bool kTall>
HWY_NOINLINE void multiply(const AmxLeft& left, const std::byte* b, int64_t steps, std::byte* sums, bool continued,
                           Splitter& splitter, int64_t each) {
  const int64_t part = left.part;
  if (continued) {
    FASTORT_TILE_LOAD(0, sums, 64);
    FASTORT_TILE_LOAD(1, sums + kTile, 64);
    FASTORT_TILE_LOAD(2, sums + 2 * kTile, 64);
    FASTORT_TILE_LOAD(3, sums + 3 * kTile, 64);
  } else {
    FASTORT_TILE_ZERO(0);
    FASTORT_TILE_ZERO(1);
    FASTORT_TILE_ZERO(2);
    FASTORT_TILE_ZERO(3);
  }
  int64_t count[6];
  for (int64_t i = 0; i < 6; ++i) count[i] = each * (i + 1) / 6 - each * i / 6;
  const auto split = [&](int i) HWY_ATTR {
    for (int64_t n = count[i]; n > 0; --n) splitter.next();
  };
  for (int64_t step = 0; step < steps; ++step, b += kStepBytes) {
    const std::byte* const a = left.parts + left.steps[step];
    if constexpr (kTall) {
      FASTORT_LEFT(0);
      FASTORT_RIGHT(2);
      FASTORT_SQUARE;
      split(0);
      FASTORT_RIGHT(1);
      FASTORT_SQUARE;
      split(1);
      FASTORT_LEFT(1);
      FASTORT_SQUARE;
      split(2);
      FASTORT_RIGHT(0);
      FASTORT_SQUARE;
      split(3);
      FASTORT_LEFT(2);
      FASTORT_SQUARE;
      split(4);
      FASTORT_LEFT(0);
      FASTORT_SQUARE;
      split(5);
    } else {
      // The first part in one half, the second one in the other.
      FASTORT_TILE_LOAD(4, a, 64);
      FASTORT_TILE_LOAD(5, a + part, 64);
      FASTORT_RIGHT(1);
      FASTORT_SQUARE;
      split(0);
      split(1);
      FASTORT_RIGHT(0);
      FASTORT_SQUARE;
      split(2);
      split(3);
      FASTORT_TILE_LOAD(5, a + 2 * part, 64);
      FASTORT_TILE_MULTIPLY_BF16(2, 5, 6);
      FASTORT_TILE_MULTIPLY_BF16(3, 5, 7);
      FASTORT_RIGHT(2);
      FASTORT_TILE_MULTIPLY_BF16(0, 4, 6);
      FASTORT_TILE_MULTIPLY_BF16(1, 4, 7);
      split(4);
      split(5);
    }
  }
  FASTORT_TILE_STORE(0, sums, 64);
  FASTORT_TILE_STORE(1, sums + kTile, 64);
  FASTORT_TILE_STORE(2, sums + 2 * kTile, 64);
  FASTORT_TILE_STORE(3, sums + 3 * kTile, 64);
}

template <int kM>
HWY_INLINE void finish_rows(Tile& t, const float* sums, bool tall) {
  const D d;
  V sum[kM][kVectors];
  _Pragma("GCC unroll 8") for (int i = 0; i < kM; ++i) _Pragma("GCC unroll 2") for (int j = 0; j < kVectors; ++j) {
    sum[i][j] = hn::Load(d, sums + j * 256 + i * kLanes);
    if (!tall) sum[i][j] = hn::Add(sum[i][j], hn::Load(d, sums + 512 + j * 256 + i * kLanes));
  }
  finish<kM, kVectors>(t, sum);
  t.c += kM * t.c_stride;
  if (t.row_bias) t.row_bias += kM;
  if (t.residual) t.residual += kM * t.residual_stride;
}

HWY_NOINLINE void finish_sums(Tile& t, const float* sums, int64_t rows) {
  const bool tall = rows > 16;
  for (int64_t i = 0; i < rows;) {
    const float* from = sums + i / 16 * 512 + i % 16 * kLanes;
    if (i + 8 <= rows) {
      finish_rows<8>(t, from, tall);
      i += 8;
    } else {
      finish_rows<1>(t, from, tall);
      ++i;
    }
  }
}

// Pixels of a panel of channels.
HWY_NOINLINE void finish_pixels(const Tile& t, const float* factors, const float* sums, const int64_t* places,
                                int64_t rows, int64_t block) {
  const D d;
  const V lower = hn::Set(d, t.lower), upper = hn::Set(d, t.upper);
  HWY_ALIGN float values[kAmxRows * kLanes];
  for (int64_t j = 0; j * kLanes < t.cols; ++j, sums += 256) {
    const auto exists = hn::FirstN(d, static_cast<size_t>(t.cols - j * kLanes));
    const V bias = t.bias ? hn::LoadU(d, t.bias + j * kLanes) : hn::Zero(d);
    const V factor = hn::Mul(hn::Set(d, t.alpha), hn::LoadU(d, factors + j * kLanes));
    float* const c = t.c + j * block;
    const auto write = [&](V x, int64_t i) HWY_ATTR { hn::StoreU(hn::IfThenElseZero(exists, x), d, c + places[i]); };
    for (int64_t i = 0; i < rows; ++i) {
      if (places[i] < 0) continue;
      const float* const from = sums + i / 16 * 512 + i % 16 * kLanes;
      V x = hn::Load(d, from);
      if (rows <= 16) x = hn::Add(x, hn::Load(d, from + 512));
      x = hn::MulAdd(x, factor, bias);
      if (t.residual) x = hn::Add(x, hn::LoadU(d, t.residual + j * block + places[i]));
      // With NaN as the second operand the result is NaN on every target.
      if (t.bounded) x = hn::Min(upper, hn::Max(lower, x));
      t.curve ? hn::Store(x, d, values + i * kLanes) : write(x, i);
    }
    if (!t.curve) continue;
    apply_curve(*t.curve, values, rows * kLanes);
    for (int64_t i = 0; i < rows; ++i)
      if (places[i] >= 0) write(hn::Load(d, values + i * kLanes), i);
  }
}

// Rows [first, first + steps * kAmxDepth) of a panel of so many in all, into `parts`.
void start(Splitter& splitter, const float* panel, int64_t first, int64_t steps, int64_t depth, std::byte* parts,
           float* edge) {
  splitter.src = panel + first * kPanel;
  splitter.dst = parts;
  splitter.units = steps * kUnits;
  splitter.unit = 0;
  splitter.whole = (std::min(depth, first + steps * kAmxDepth) - first) / kAmxDepth;
  splitter.edge = edge;
  if (const int64_t rest = depth - first - splitter.whole * kAmxDepth; rest > 0 && splitter.whole < steps) {
    const auto bytes = static_cast<size_t>(rest * kPanel) * sizeof(float);
    std::memcpy(edge, splitter.src + splitter.whole * kStepFloats, bytes);
    std::memset(edge + rest * kPanel, 0, kStepFloats * sizeof(float) - bytes);
    if (splitter.whole == 0) splitter.src = edge;
  }
  std::memset(splitter.size, 0, sizeof(splitter.size));
}

void Begin(std::byte* memory) {
  Scratch* const scratch = reinterpret_cast<Scratch*>(memory);
  scratch->ready = nullptr;
  scratch->turn = 0;
  configure_tiles();
}

void End() { release_tiles(); }

uint64_t Block(const AmxBlock& block, std::byte* memory) {
  Scratch* const scratch = reinterpret_cast<Scratch*>(memory);
  const int64_t steps = ceil_div(block.depth, kAmxDepth), at_once = steps_at_once(block.depth);
  scratch->parts[0] = memory + kScratchBytes;
  scratch->parts[1] = scratch->parts[0] + at_once * kStepBytes;
  scratch->sums = scratch->parts[1] + at_once * kStepBytes;
  const bool cut = at_once < steps;
  const int64_t panels = ceil_div(block.cols, kPanel), heights = ceil_div(block.rows, kAmxRows);
  const int64_t panel_stride = kPanel * block.depth;
  const Epilogue& e = block.epilogue;
  Tile common = tile_of(e, block.alpha, block.c_stride);
  uint64_t unsuitable = 0;
  for (int64_t first = 0; first < steps; first += at_once) {
    const int64_t some = std::min(at_once, steps - first);
    const bool last = first + some == steps;
    for (int64_t p = 0; p < panels; ++p) {
      const float* const panel = block.b + p * panel_stride;
      std::byte* const parts = scratch->parts[scratch->turn];
      Splitter splitter;
      if (scratch->ready != panel + first * kAmxDepth * kPanel) {
        start(splitter, panel, first * kAmxDepth, some, block.depth, parts, scratch->edge[0]);
        while (splitter.units > 0) splitter.next();
        scratch->fits = splitter.fits();
      }
      if (!scratch->fits) unsuitable |= uint64_t{1} << p;
      // What is multiplied next.
      const float* next = nullptr;
      int64_t next_first = first, next_some = some;
      if (p + 1 < panels) {
        next = panel + panel_stride;
      } else if (!last) {
        next = block.b;
        next_first = first + some;
        next_some = std::min(at_once, steps - next_first);
      } else if (block.next_b) {
        next = block.next_b;
        next_first = 0;
        next_some = std::min(at_once, steps);
      }
      int64_t each = 0;
      if (next) {
        start(splitter, next, next_first * kAmxDepth, next_some, block.depth, scratch->parts[1 - scratch->turn],
              scratch->edge[1]);
        each = ceil_div(splitter.units, heights * some);
      }
      Tile t = common;
      t.c = block.c + p * (block.places ? kVectors * block.c_block : kPanel);
      t.cols = std::min<int64_t>(kPanel, block.cols - p * kPanel);
      t.bias = e.bias && !e.bias_per_row ? e.bias + p * kPanel : nullptr;
      t.row_bias = e.bias_per_row ? e.bias : nullptr;
      t.residual = e.residual ? e.residual + (t.c - block.c) : nullptr;
      t.look();
      for (int64_t i = 0; i < heights; ++i) {
        AmxLeft left = block.left;
        left.parts += i * left.height;
        left.steps += first;
        std::byte* const sums = scratch->sums + (cut ? (p * heights + i) * kSums : 0);
        const int64_t rows = std::min(kAmxRows, block.rows - i * kAmxRows);
        (rows > 16 ? multiply<true> : multiply<false>)(left, parts, some, sums, first > 0, splitter, each);
        if (!last) continue;
        if (block.places)
          finish_pixels(t, block.factors + p * kPanel, reinterpret_cast<const float*>(sums),
                        block.places + i * kAmxRows, rows, block.c_block);
        else
          finish_sums(t, reinterpret_cast<const float*>(sums), rows);
      }
      while (splitter.units > 0) splitter.next();
      scratch->ready = next ? next + next_first * kAmxDepth * kPanel : nullptr;
      scratch->fits = splitter.fits();
      if (next) scratch->turn = 1 - scratch->turn;
    }
  }
  return unsuitable;
}

void PlainPixel(const AmxBlock& block, const float* const* numbers) {
  const D d;
  const Epilogue& e = block.epilogue;
  Tile t = tile_of(e, block.alpha, 0);
  HWY_ALIGN float sums[4 * 256] = {};
  for (int64_t p = 0; p * kPanel < block.cols; ++p) {
    const float* b = block.b + p * kPanel * block.depth;
    V sum[kVectors] = {hn::Zero(d), hn::Zero(d)};
    for (int64_t i = 0; i < 2 * (block.depth / kAmxDepth); ++i, b += kLanes * kPanel)
      for (int64_t c = 0; numbers[i] && c < kLanes; ++c)
        for (int j = 0; j < kVectors; ++j)
          sum[j] = hn::MulAdd(hn::Set(d, numbers[i][c]), hn::LoadU(d, b + c * kPanel + j * kLanes), sum[j]);
    for (int j = 0; j < kVectors; ++j) hn::Store(sum[j], d, sums + j * 256);
    t.c = block.c + p * kVectors * block.c_block;
    t.cols = std::min<int64_t>(kPanel, block.cols - p * kPanel);
    t.bias = e.bias ? e.bias + p * kPanel : nullptr;
    t.residual = e.residual ? e.residual + (t.c - block.c) : nullptr;
    finish_pixels(t, block.factors + p * kPanel, sums, block.places, 1, block.c_block);
  }
}

#else

size_t LeftBytes(int64_t, int64_t) { return 0; }
bool SplitLeft(const float*, int64_t, int64_t, int64_t, std::byte*) { return false; }
uint32_t SplitPixels(const AmxPixels&, std::byte*, int64_t) { return 0; }
void PlainPixel(const AmxBlock&, const float* const*) {}
size_t ScratchBytes(int64_t) { return 0; }
void Begin(std::byte*) {}
void End() {}
uint64_t Block(const AmxBlock&, std::byte*) { return ~uint64_t{0}; }

#endif

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(LeftBytes);
HWY_EXPORT(SplitLeft);
HWY_EXPORT(SplitPixels);
HWY_EXPORT(PlainPixel);
HWY_EXPORT(ScratchBytes);
HWY_EXPORT(Begin);
HWY_EXPORT(End);
HWY_EXPORT(Block);

size_t amx_left_bytes(int64_t rows, int64_t depth) { return HWY_DYNAMIC_DISPATCH(LeftBytes)(rows, depth); }
bool amx_split_left(const float* a, int64_t a_stride, int64_t rows, int64_t depth, std::byte* parts) {
  return HWY_DYNAMIC_DISPATCH(SplitLeft)(a, a_stride, rows, depth, parts);
}
uint32_t amx_split_pixels(const AmxPixels& pixels, std::byte* to, int64_t part) {
  return HWY_DYNAMIC_DISPATCH(SplitPixels)(pixels, to, part);
}
float amx_scale(uint32_t measure) {
  constexpr uint32_t kLeast = (127u - 30) << 24, kMost = (127u + 60) << 24;
  if (measure == 0 || (measure >= kLeast && measure <= kMost)) return 1;
  return measure > kMost ? 0 : std::ldexp(1.0f, 127 - static_cast<int>(std::max(1u, measure >> 24)));
}
void amx_plain_pixel(const AmxBlock& block, const float* const* numbers) {
  HWY_DYNAMIC_DISPATCH(PlainPixel)(block, numbers);
}
size_t amx_scratch_bytes(int64_t depth) { return HWY_DYNAMIC_DISPATCH(ScratchBytes)(depth); }
void amx_begin(std::byte* scratch) { HWY_DYNAMIC_DISPATCH(Begin)(scratch); }
void amx_end() { HWY_DYNAMIC_DISPATCH(End)(); }
uint64_t amx_block(const AmxBlock& block, std::byte* scratch) { return HWY_DYNAMIC_DISPATCH(Block)(block, scratch); }

}  // namespace fastort::kernels
#endif
