#include <algorithm>
#include <atomic>
#include <cstdint>

#include "kernels/elementwise/half.h"
#include "kernels/gemm/sgemm_kernels.h"
#include "kernels/quantized/nbits.h"
#include "ops/quantized/gpu.h"
#include "ops/quantized/params.h"

namespace fastort {
namespace {

using kernels::NBitsMatrix;

enum Input { kA, kB, kScales, kZeros, kGroups, kBias };

constexpr TypeMask kReal{DataType::Float, DataType::Float16, DataType::BFloat16};

struct Sizes {
  int64_t n, k, bits, block;
  int64_t blocks() const { return (k + block - 1) / block; }
  int64_t blob() const { return block * bits / 8; }
  int64_t zero_bytes() const { return (blocks() * bits + 7) / 8; }
};

Sizes read_sizes(const Attributes& attributes) {
  return {attributes.get_int("N"), attributes.get_int("K"), attributes.get_int("bits", 4),
          attributes.get_int("block_size")};
}

void infer(InferContext& context) {
  quantized::require(context, {kA, kB, kScales});
  const Sizes s = read_sizes(context.attributes());
  if (s.n < 0 || s.k < 0 || s.n > INT32_MAX || s.k > INT32_MAX) context.fail("attributes N and K must be sizes");
  if (s.bits != 2 && s.bits != 4 && s.bits != 8)
    not_implemented("MatMulNBits of " + std::to_string(s.bits) + " bits; 2, 4 and 8 are there");
  if (s.block < 16 || (s.block & (s.block - 1)) != 0 || s.block > INT32_MAX)
    context.fail("block_size is " + std::to_string(s.block) + ", a power of 2 from 16 on is needed");
  if (context.attributes().get_int("weight_prepacked", 0) != 0)
    not_implemented("MatMulNBits with weights packed for another device; export it with weight_prepacked = 0");
  const DataType type = context.type(kA);
  quantized::expect(context, kB, DataType::UInt8);
  quantized::expect(context, kScales, type);
  quantized::expect(context, kGroups, DataType::Int32);
  quantized::expect(context, kBias, type);
  if (context.has_input(kZeros) && context.type(kZeros) != DataType::UInt8) quantized::expect(context, kZeros, type);
  const auto expect_count = [&](int input, int64_t count, const char* what) {
    if (!context.has_shape(input) || !context.shape(input).is_concrete()) return;
    if (context.shape(input).count() != count)
      context.fail(std::string(what) + " has the shape " + to_string(context.shape(input)) + "; " +
                   std::to_string(count) + " items are needed for N " + std::to_string(s.n) + ", K " +
                   std::to_string(s.k) + ", blocks of " + std::to_string(s.block));
  };
  expect_count(kB, s.n * s.blocks() * s.blob(), "B");
  expect_count(kScales, s.n * s.blocks(), "scales");
  const bool packed_zeros = context.has_input(kZeros) && context.type(kZeros) == DataType::UInt8;
  expect_count(kZeros, s.n * (packed_zeros ? s.zero_bytes() : s.blocks()), "zero_points");
  expect_count(kGroups, s.k, "g_idx");
  expect_count(kBias, s.n, "bias");
  if (!context.has_shape(kA)) return context.out(0, type);
  Shape shape = context.shape(kA);
  if (shape.rank() == 0 || (is_known(shape.back()) && shape.back() != s.k))
    context.fail("the last axis of A " + to_string(shape) + " is not K = " + std::to_string(s.k));
  shape.back() = s.n;
  context.out(0, type, std::move(shape));
}

class NBitsKernel final : public Kernel {
 public:
  explicit NBitsKernel(const OpContext& context)
      : type_(context.type(kA)), sizes_(read_sizes(context.attributes())), threads_(context.options.threads) {
    rows_ = sizes_.k == 0 ? context.out(0).shape.count() / std::max<int64_t>(sizes_.n, 1)
                          : context.shape(kA).count() / sizes_.k;
    packed_zeros_ = context.has_input(kZeros) && context.type(kZeros) == DataType::UInt8;
    float_zeros_ = context.has_input(kZeros) && !packed_zeros_;
    groups_ = context.has_input(kGroups);
    bias_ = context.has_input(kBias);
    const auto floats = [this](int64_t count) {
      const size_t at = bytes_;
      bytes_ += align_up(static_cast<size_t>(count) * sizeof(float));
      return at;
    };
    const int64_t blocks = sizes_.n * sizes_.blocks();
    if (type_ != DataType::Float) {
      a_at_ = floats(rows_ * sizes_.k);
      scales_at_ = floats(blocks);
      if (float_zeros_) zeros_at_ = floats(blocks);
      if (bias_) bias_at_ = floats(sizes_.n);
      y_at_ = floats(rows_ * sizes_.n);
    }
    by_rows_ = rows_ <= kMaxRowsByDots && !groups_;
    if (by_rows_) {
      // Level 4 is that of 8-bit integers.
      row_.emplace(sizes_.k, sizes_.bits, sizes_.block, context.attributes().get_int("accuracy_level", 0) == 4);
      dots_at_ = bytes_;
      bytes_ += static_cast<size_t>(rows_) * align_up(row_->prepared_bytes());
      return;
    }
    panel_ = kernels::sgemm_panel_width();
    columns_ = kPanels * panel_;
    slot_floats_ = (columns_ + panel_) * std::max<int64_t>(sizes_.k, 1);
    panels_at_ = floats(threads_ * slot_floats_);
  }

  size_t workspace_bytes() const override { return bytes_; }

  void run(const KernelArgs& args) const override {
    const Sizes& s = sizes_;
    if (rows_ == 0 || s.n == 0) return;
    const float* a = widened(args, kA, a_at_, rows_ * s.k);
    NBitsMatrix b;
    b.n = s.n, b.k = s.k, b.bits = s.bits, b.block = s.block;
    b.data = args.in<uint8_t>(kB);
    b.scales = widened(args, kScales, scales_at_, s.n * s.blocks());
    if (packed_zeros_) b.packed_zeros = args.in<uint8_t>(kZeros);
    if (float_zeros_) b.zeros = widened(args, kZeros, zeros_at_, s.n * s.blocks());
    if (groups_) b.groups = checked_groups(args);
    const float* bias = bias_ ? widened(args, kBias, bias_at_, s.n) : nullptr;
    float* y = type_ == DataType::Float ? args.out<float>(0) : reinterpret_cast<float*>(args.workspace + y_at_);
    by_rows_ ? run_dots(args, a, b, bias, y) : run_panels(args, a, b, bias, y);
    if (type_ != DataType::Float) kernels::narrow(type_, y, args.out<std::byte>(0), rows_ * s.n);
  }

 private:
  // Rows up to which reading B once for each row is cheaper than making floats of it.
  static constexpr int64_t kMaxRowsByDots = 3;
  static constexpr int64_t kPanels = 4;

  const int32_t* checked_groups(const KernelArgs& args) const {
    const int32_t* groups = args.in<int32_t>(kGroups);
    const int64_t count = sizes_.blocks();
    for (int64_t p = 0; p < sizes_.k; ++p)
      if (groups[p] < 0 || groups[p] >= count)
        invalid_argument("MatMulNBits: g_idx holds " + std::to_string(groups[p]) + "; there are " +
                         std::to_string(count) + " groups");
    return groups;
  }

  const float* widened(const KernelArgs& args, int input, size_t at, int64_t count) const {
    if (type_ == DataType::Float) return args.in<float>(input);
    auto* const dst = reinterpret_cast<float*>(args.workspace + at);
    const std::byte* const src = args.in<std::byte>(input);
    args.parallel.range(count, 16384, [&](int64_t begin, int64_t end) {
      kernels::widen(type_, src + begin * 2, dst + begin, end - begin);
    });
    return dst;
  }

  void run_dots(const KernelArgs& args, const float* a, const NBitsMatrix& b, const float* bias, float* y) const {
    const Sizes& s = sizes_;
    std::byte* const prepared = args.workspace + dots_at_;
    const size_t each = align_up(row_->prepared_bytes());
    for (int64_t i = 0; i < rows_; ++i) row_->prepare(a + i * s.k, prepared + static_cast<size_t>(i) * each);
    args.parallel.range(s.n, 1 + 65536 / std::max<int64_t>(1, s.k), [&](int64_t begin, int64_t end) {
      for (int64_t i = 0; i < rows_; ++i)
        row_->dots(b, prepared + static_cast<size_t>(i) * each, bias, begin, end, y + i * s.n);
    });
  }

  // Some columns at a time become floats, packed for the float product.
  void run_panels(const KernelArgs& args, const float* a, const NBitsMatrix& b, const float* bias, float* y) const {
    const Sizes& s = sizes_;
    auto* const slots = reinterpret_cast<float*>(args.workspace + panels_at_);
    std::atomic<int64_t> next{0};
    const int64_t jobs = (s.n + columns_ - 1) / columns_;
    args.parallel.chunks(static_cast<int>(std::min<int64_t>(threads_, jobs)), [&](int slot) {
      float* const panels = slots + slot * slot_floats_;
      float* const lines = panels + columns_ * s.k;
      for (int64_t job = next++; job < jobs; job = next++) {
        const int64_t first = job * columns_, count = std::min(columns_, s.n - first);
        for (int64_t j = 0; j < count; j += panel_) {
          const int64_t width = std::min(panel_, count - j);
          for (int64_t i = 0; i < width; ++i) kernels::nbits_dequantize(b, first + j + i, lines + i * s.k);
          kernels::sgemm_pack_panels(lines, 1, s.k, s.k, width, 0, 1, panels + j * s.k);
        }
        kernels::SgemmBlock block;
        block.rows = rows_, block.cols = count, block.depth = s.k;
        block.a = a, block.a_stride = s.k;
        block.b = panels, block.b_stride = panel_, block.b_panel_stride = panel_ * s.k, block.b_padded = true;
        block.c = y + first, block.c_stride = s.n;
        block.alpha = 1;
        block.epilogue.bias = bias ? bias + first : nullptr;
        kernels::sgemm_block(block);
      }
    });
  }

  DataType type_;
  Sizes sizes_;
  std::optional<kernels::NBitsRow> row_;
  int threads_;
  int64_t rows_ = 0, panel_ = 0, columns_ = 0, slot_floats_ = 0;
  bool packed_zeros_ = false, float_zeros_ = false, groups_ = false, bias_ = false, by_rows_ = false;
  size_t bytes_ = 0, a_at_ = 0, scales_at_ = 0, zeros_at_ = 0, bias_at_ = 0, y_at_ = 0, dots_at_ = 0, panels_at_ = 0;
};

std::unique_ptr<Kernel> prepare(const OpContext& context) { return std::make_unique<NBitsKernel>(context); }

constexpr Candidate kCandidates[] = {{.name = "blocks", .prepare = prepare}};
constexpr OpDef kOps[] = {{.domain = "com.microsoft",
                           .name = "MatMulNBits",
                           .infer = infer,
                           .cpu = kCandidates,
                           .types = kReal,
                           .gpu = &quantized::kGpuNBits}};

}  // namespace

std::span<const OpDef> matmul_nbits_ops() { return kOps; }

}  // namespace fastort
