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
  columns_ = kernels::igemm_padded_columns(p.n);
  distinct_ = p.b_offsets;
  std::sort(distinct_.begin(), distinct_.end());
  distinct_.erase(std::unique(distinct_.begin(), distinct_.end()), distinct_.end());
  for (const int64_t offset : p.b_offsets)
    matrix_.push_back(
        static_cast<size_t>(std::lower_bound(distinct_.begin(), distinct_.end(), offset) - distinct_.begin()));

  const Tensor* b = context.constant(inputs.b);
  const Tensor* zeros = b_zeros_ > 0 ? context.constant(inputs.b_zero) : nullptr;
  const bool known = b && b->count() > 0 && (b_zeros_ == 0 || zeros);
  weights_ = {known ? kernels::IgemmForm::Quads : kernels::IgemmForm::Pairs, p.k, p.n, 0};
  const std::vector<int32_t> columns = known ? column_zeros(zeros ? zeros->raw() : nullptr) : std::vector<int32_t>();
  if (known)
    for (const int64_t offset : distinct_) kernels::igemm_choose_too(source(b->raw() + offset, columns), weights_);
  in_place_ = !p.trans_a && kernels::igemm_reads_in_place(weights_, a_signed);

  // Rows of A that are ordered together stay in the second cache; every thread gets some of the work.
  const int64_t tile = kernels::igemm_tile_rows(weights_.form), panel = kernels::igemm_panel_width();
  const auto cache = static_cast<int64_t>(cache_sizes().l2) / 4;
  row_block_ = std::max(tile, cache / std::max<int64_t>(weights_.row_bytes(), 1) / tile * tile);
  row_block_ = std::min(row_block_, std::max(tile, ceil_div(ceil_div(p.m, 2 * threads_), tile) * tile));
  row_block_ = std::max<int64_t>(1, std::min(row_block_, p.m));
  const int64_t rows = ceil_div(p.m, row_block_);
  const int64_t most = std::max<int64_t>(1, row_block_ * weights_.depth() * columns_ / kMinJob);
  const int64_t wanted = threads_ == 1 ? 1 : std::min(most, ceil_div(4 * threads_, std::max<int64_t>(rows, 1)));
  col_block_ = std::max<int64_t>(1, ceil_div(columns_ / panel, std::max<int64_t>(wanted, 1))) * panel;

  if (!known) return;
  std::string format =
      to_string(weights_) + (b_signed ? "-s" : "-u") + (p.trans_b ? "-t" : "-") + std::to_string(p.b_stride);
  for (const int32_t zero : spread_bytes(zeros, zeros ? zeros->count() : 0)) format += "," + std::to_string(zero);
  const size_t bytes = distinct_.size() * align_up(weights_.packed_bytes());
  packed_ = context.packs.get(*b, format, bytes,
                              [&](std::byte* dst) { pack_all(b->raw(), zeros ? zeros->raw() : nullptr, dst); });
}

std::vector<int32_t> Product::column_zeros(const std::byte* zeros) const {
  std::vector<int32_t> columns;
  if (zeros)
    for (int64_t j = 0; j < problem_.n; ++j)
      columns.push_back(kernels::read_byte(zeros[b_zeros_ == 1 ? 0 : j], b_signed_));
  return columns;
}

kernels::IgemmSource Product::source(const std::byte* b, const std::vector<int32_t>& zeros) const {
  const matmul::Problem& p = problem_;
  const int64_t row = p.trans_b ? 1 : p.b_stride, col = p.trans_b ? p.b_stride : 1;
  return {b, b_signed_, row, col, zeros.empty() ? nullptr : zeros.data()};
}

void Product::pack_all(const std::byte* b, const std::byte* zeros, std::byte* dst) const {
  const std::vector<int32_t> columns = column_zeros(zeros);
  const size_t each = align_up(weights_.packed_bytes());
  for (size_t i = 0; i < distinct_.size(); ++i)
    kernels::igemm_pack(weights_, source(b + distinct_[i], columns), dst + i * each);
}

size_t Product::rows_bytes() const {
  if (in_place_) return 0;
  const size_t column = problem_.trans_a ? align_up(static_cast<size_t>(problem_.k)) : 0;
  return align_up(static_cast<size_t>(row_block_ * weights_.row_bytes())) + column;
}

size_t Product::workspace_bytes() const {
  const size_t rows = static_cast<size_t>(threads_) * rows_bytes();
  return rows + (packed_ ? 0 : distinct_.size() * align_up(weights_.packed_bytes()));
}

void Product::order_rows(const std::byte* a, int64_t first, int64_t count, int32_t zero, std::byte* dst) const {
  const matmul::Problem& p = problem_;
  if (!p.trans_a) return kernels::igemm_rows(weights_, a + first * p.a_stride, a_signed_, p.a_stride, count, zero, dst);
  std::byte* const row = dst + align_up(static_cast<size_t>(row_block_ * weights_.row_bytes()));
  for (int64_t i = 0; i < count; ++i, dst += weights_.row_bytes()) {
    for (int64_t k = 0; k < p.k; ++k) row[k] = a[k * p.a_stride + first + i];
    kernels::igemm_rows(weights_, row, a_signed_, p.k, 1, zero, dst);
  }
}

void Product::run_item(const KernelArgs& args, const std::byte* a, int32_t a_zero, const std::byte* b,
                       const kernels::IgemmEpilogue& epilogue, std::byte* dst, std::byte* rows) const {
  const matmul::Problem& p = problem_;
  using Kind = kernels::IgemmEpilogue::Kind;
  const int64_t item = epilogue.kind == Kind::Sums || epilogue.kind == Kind::Floats ? 4 : 1;
  const int64_t row_blocks = ceil_div(p.m, row_block_), col_blocks = ceil_div(p.n, col_block_);
  const int64_t jobs = row_blocks * col_blocks;
  std::atomic<int64_t> next{0};
  args.parallel.chunks(static_cast<int>(std::min<int64_t>(threads_, jobs)), [&](int slot) {
    std::byte* const ordered = rows + static_cast<size_t>(slot) * rows_bytes();
    int64_t ready = -1;
    for (int64_t job = next++; job < jobs; job = next++) {
      const int64_t row = job / col_blocks * row_block_, col = job % col_blocks * col_block_;
      kernels::IgemmBlock block;
      block.rows = std::min(row_block_, p.m - row);
      if (row != ready && !in_place_) order_rows(a, row, block.rows, a_zero, ordered);
      ready = row;
      block.weights = &weights_;
      block.b = b;
      block.col = col;
      block.cols = std::min(col_block_, p.n - col);
      block.a = in_place_ ? a + row * p.a_stride : ordered;
      block.a_stride = in_place_ ? p.a_stride : weights_.row_bytes();
      block.a_zero = kernels::igemm_zero(weights_, a_signed_, a_zero);
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
    std::byte* own = workspace + static_cast<size_t>(threads_) * rows_bytes();
    pack_all(args.in<std::byte>(inputs_.b), b_zeros_ > 0 ? args.in<std::byte>(inputs_.b_zero) : nullptr, own);
    packed = own;
  }
  using Kind = kernels::IgemmEpilogue::Kind;
  const int64_t item = epilogue.kind == Kind::Sums || epilogue.kind == Kind::Floats ? 4 : 1;
  const size_t each = align_up(weights_.packed_bytes());
  for (size_t i = 0; i < p.a_offsets.size(); ++i)
    run_item(args, a + p.a_offsets[i], a_zero, packed + matrix_[i] * each, epilogue,
             dst + static_cast<int64_t>(i) * p.m * p.n * item, workspace);
}

}  // namespace fastort::quantized
