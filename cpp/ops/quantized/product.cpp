#include "ops/quantized/product.h"

#include <algorithm>
#include <atomic>

#include "base/cpu_info.h"

namespace fastort::quantized {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Jobs of fewer multiply-adds cost more to hand out than they bring.
constexpr int64_t kMinJob = 100'000;

}  // namespace

Refusal refuse_columns(const OpContext& context, int input, int64_t columns, const char* what) {
  if (!context.has_input(input)) return {};
  const int64_t count = context.shape(input).count();
  if (count == 1 || (count == columns && context.shape(input).rank() <= 1)) return {};
  return std::string(what) + " has the shape " + to_string(context.shape(input)) + ", one value or " +
         std::to_string(columns) + " are needed";
}

Product::Product(const OpContext& context, matmul::Problem problem, const Inputs& inputs, bool a_signed, bool b_signed)
    : problem_(std::move(problem)),
      inputs_(inputs),
      a_signed_(a_signed),
      b_signed_(b_signed),
      threads_(context.options.threads) {
  const matmul::Problem& p = problem_;
  if (Refusal refusal = refuse_columns(context, inputs.b_zero, p.n, "the zero point of B")) context.fail(*refusal);
  if (context.has_input(inputs.b_zero)) b_zeros_ = context.shape(inputs.b_zero).count();
  depth_ = kernels::igemm_padded_depth(p.k);
  columns_ = kernels::igemm_padded_columns(p.n);
  distinct_ = p.b_offsets;
  std::sort(distinct_.begin(), distinct_.end());
  distinct_.erase(std::unique(distinct_.begin(), distinct_.end()), distinct_.end());
  for (const int64_t offset : p.b_offsets)
    matrix_.push_back(
        static_cast<size_t>(std::lower_bound(distinct_.begin(), distinct_.end(), offset) - distinct_.begin()));

  // Rows of A that are widened together stay in the second cache; every thread gets some of the work.
  const int64_t tile = kernels::igemm_tile_rows(), panel = kernels::igemm_panel_width();
  const auto cache = static_cast<int64_t>(cache_sizes().l2) / 4;
  row_block_ = std::max(tile, cache / (2 * std::max<int64_t>(depth_, 1)) / tile * tile);
  row_block_ = std::min(row_block_, std::max(tile, ceil_div(ceil_div(p.m, 2 * threads_), tile) * tile));
  row_block_ = std::max<int64_t>(1, std::min(row_block_, p.m));
  const int64_t rows = ceil_div(p.m, row_block_);
  const int64_t most = std::max<int64_t>(1, row_block_ * depth_ * columns_ / kMinJob);
  const int64_t wanted = threads_ == 1 ? 1 : std::min(most, ceil_div(4 * threads_, std::max<int64_t>(rows, 1)));
  col_block_ = std::max<int64_t>(1, ceil_div(columns_ / panel, std::max<int64_t>(wanted, 1))) * panel;

  const Tensor* b = context.constant(inputs.b);
  const Tensor* zeros = b_zeros_ > 0 ? context.constant(inputs.b_zero) : nullptr;
  if (!b || b->count() == 0 || (b_zeros_ > 0 && !zeros)) return;
  std::string format = "igemm-" + std::to_string(panel) + (b_signed ? "-s-" : "-u-") + std::to_string(p.k) + "x" +
                       std::to_string(p.n) + (p.trans_b ? "-t" : "-") + std::to_string(p.b_stride);
  for (const int32_t zero : spread_bytes(zeros, zeros ? zeros->count() : 0)) format += "," + std::to_string(zero);
  const size_t bytes = distinct_.size() * align_up(kernels::igemm_packed_bytes(p.k, p.n));
  packed_ = context.packs.get(*b, format, bytes,
                              [&](std::byte* dst) { pack_all(b->raw(), zeros ? zeros->raw() : nullptr, dst); });
}

void Product::pack_all(const std::byte* b, const std::byte* zeros, std::byte* dst) const {
  const matmul::Problem& p = problem_;
  std::vector<int32_t> columns;
  if (zeros)
    for (int64_t j = 0; j < p.n; ++j) columns.push_back(kernels::read_byte(zeros[b_zeros_ == 1 ? 0 : j], b_signed_));
  const size_t each = align_up(kernels::igemm_packed_bytes(p.k, p.n));
  for (size_t i = 0; i < distinct_.size(); ++i)
    kernels::igemm_pack(b + distinct_[i], b_signed_, p.trans_b ? 1 : p.b_stride, p.trans_b ? p.b_stride : 1, p.k, p.n,
                        zeros ? columns.data() : nullptr, reinterpret_cast<int16_t*>(dst + i * each));
}

size_t Product::workspace_bytes() const {
  const size_t rows = align_up(static_cast<size_t>(threads_ * row_block_ * depth_) * sizeof(int16_t));
  return rows + (packed_ ? 0 : distinct_.size() * align_up(kernels::igemm_packed_bytes(problem_.k, problem_.n)));
}

void Product::widen(const std::byte* a, int64_t first, int64_t count, int32_t zero, int16_t* dst) const {
  const matmul::Problem& p = problem_;
  if (!p.trans_a) return kernels::igemm_widen(a + first * p.a_stride, a_signed_, p.a_stride, count, p.k, zero, dst);
  for (int64_t i = 0; i < count; ++i, dst += depth_) {
    for (int64_t k = 0; k < p.k; ++k)
      dst[k] = static_cast<int16_t>(kernels::read_byte(a[k * p.a_stride + first + i], a_signed_) - zero);
    if (depth_ != p.k) dst[p.k] = 0;
  }
}

void Product::run_item(const KernelArgs& args, const std::byte* a, int32_t a_zero, const int16_t* b,
                       const kernels::IgemmEpilogue& epilogue, std::byte* dst, std::byte* rows) const {
  const matmul::Problem& p = problem_;
  using Kind = kernels::IgemmEpilogue::Kind;
  const int64_t item = epilogue.kind == Kind::Sums || epilogue.kind == Kind::Floats ? 4 : 1;
  const int64_t row_blocks = ceil_div(p.m, row_block_), col_blocks = ceil_div(p.n, col_block_);
  const int64_t jobs = row_blocks * col_blocks;
  std::atomic<int64_t> next{0};
  args.parallel.chunks(static_cast<int>(std::min<int64_t>(threads_, jobs)), [&](int slot) {
    int16_t* const wide = reinterpret_cast<int16_t*>(rows) + slot * row_block_ * depth_;
    int64_t ready = -1;
    for (int64_t job = next++; job < jobs; job = next++) {
      const int64_t row = job / col_blocks * row_block_, col = job % col_blocks * col_block_;
      kernels::IgemmBlock block;
      block.rows = std::min(row_block_, p.m - row);
      if (row != ready) widen(a, row, block.rows, a_zero, wide);
      ready = row;
      block.cols = std::min(col_block_, p.n - col);
      block.depth = depth_;
      block.a = wide;
      block.a_stride = depth_;
      block.b = b + col * depth_;
      block.dst = dst + (row * p.n + col) * item;
      block.dst_stride = p.n;
      block.epilogue = epilogue;
      if (epilogue.bias) block.epilogue.bias += col;
      if (epilogue.scales) block.epilogue.scales += col;
      if (epilogue.shift) block.epilogue.shift += col;
      kernels::igemm_block(block);
    }
  });
}

void Product::run(const KernelArgs& args, const std::byte* a, int32_t a_zero, const kernels::IgemmEpilogue& epilogue,
                  std::byte* dst, std::byte* workspace) const {
  const matmul::Problem& p = problem_;
  if (p.m == 0 || p.n == 0) return;
  const std::byte* packed = packed_ ? packed_->data() : nullptr;
  if (!packed) {
    std::byte* own = workspace + align_up(static_cast<size_t>(threads_ * row_block_ * depth_) * sizeof(int16_t));
    pack_all(args.in<std::byte>(inputs_.b), b_zeros_ > 0 ? args.in<std::byte>(inputs_.b_zero) : nullptr, own);
    packed = own;
  }
  using Kind = kernels::IgemmEpilogue::Kind;
  const int64_t item = epilogue.kind == Kind::Sums || epilogue.kind == Kind::Floats ? 4 : 1;
  const size_t each = align_up(kernels::igemm_packed_bytes(p.k, p.n));
  for (size_t i = 0; i < p.a_offsets.size(); ++i)
    run_item(args, a + p.a_offsets[i], a_zero, reinterpret_cast<const int16_t*>(packed + matrix_[i] * each), epilogue,
             dst + static_cast<int64_t>(i) * p.m * p.n * item, workspace);
}

}  // namespace fastort::quantized
