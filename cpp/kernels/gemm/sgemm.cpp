#include "kernels/gemm/sgemm.h"

#include <algorithm>

#include "kernels/gemm/sgemm_kernels.h"

namespace fastort::kernels {

namespace {

// Work below which a second thread costs more than it brings, in operations.
constexpr double kMinOperations = 400e3;
// Rows from which on copying B into panels is cheaper than reading it with its own stride.
constexpr int64_t kMinRowsToPack = 16;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

size_t floats(int64_t count) { return (static_cast<size_t>(count) * sizeof(float) + 63) / 64 * 64; }

}  // namespace

size_t packed_b_bytes(int64_t k, int64_t n) {
  const int64_t panel = sgemm_panel_width();
  return static_cast<size_t>(ceil_div(n, panel) * panel * k) * sizeof(float);
}

void pack_b(const float* b, int64_t row_stride, int64_t col_stride, int64_t k, int64_t n, float* dst) {
  sgemm_pack_panels(b, row_stride, col_stride, k, n, 0, ceil_div(n, sgemm_panel_width()), dst);
}

const char* packed_b_format(bool transposed) {
  switch (sgemm_panel_width()) {
    case 8:
      return transposed ? "sgemm-8-t" : "sgemm-8";
    case 16:
      return transposed ? "sgemm-16-t" : "sgemm-16";
    case 32:
      return transposed ? "sgemm-32-t" : "sgemm-32";
    default:
      return transposed ? "sgemm-t" : "sgemm";
  }
}

Sgemm::Sgemm(const SgemmSizes& sizes) : sizes_(sizes) {
  panel_ = sgemm_panel_width();
  panels_ = ceil_div(sizes.n, panel_);
  copy_a_ = sizes.trans_a && sizes.m > 0 && sizes.k > 0;
  if (sizes.trans_a && sizes.m == 1 && sizes.a_stride == 1) copy_a_ = false;
  copy_b_ = !sizes.b_packed && (sizes.trans_b || sizes.m >= kMinRowsToPack) && sizes.k > 0;
}

size_t Sgemm::workspace_bytes() const noexcept {
  size_t bytes = 0;
  if (copy_a_) bytes += static_cast<size_t>(sizes_.batch) * floats(sizes_.m * sizes_.k);
  if (copy_b_) bytes += static_cast<size_t>(sizes_.batch) * floats(panels_ * panel_ * sizes_.k);
  return bytes;
}

void Sgemm::run_part(const SgemmItem& item, const Epilogue& epilogue, int64_t row_begin, int64_t row_end,
                     int64_t col_begin, int64_t col_end) const {
  SgemmBlock block;
  block.rows = row_end - row_begin;
  block.cols = col_end - col_begin;
  block.depth = sizes_.k;
  block.a_stride = copy_a_ || sizes_.trans_a ? sizes_.k : sizes_.a_stride;
  block.a = item.a + row_begin * block.a_stride;
  if (sizes_.b_packed || copy_b_) {
    block.b_stride = panel_;
    block.b_panel_stride = panel_ * sizes_.k;
    block.b_padded = true;
  } else {
    block.b_stride = sizes_.b_stride;
    block.b_panel_stride = panel_;
  }
  block.b = item.b + col_begin / panel_ * block.b_panel_stride;
  block.c_stride = sizes_.c_stride;
  block.c = item.c + row_begin * sizes_.c_stride + col_begin;
  block.alpha = sizes_.alpha;
  block.epilogue = epilogue;
  if (epilogue.bias) block.epilogue.bias += epilogue.bias_per_row ? row_begin : col_begin;
  block.epilogue.residual = item.residual ? item.residual + row_begin * epilogue.residual_stride + col_begin : nullptr;
  sgemm_block(block);
}

void Sgemm::run(const SgemmItem& item, const Epilogue& epilogue, std::byte* workspace, const Parallel& parallel) const {
  run_batch([&](int64_t) { return item; }, epilogue, workspace, parallel);
}

void Sgemm::run_batch(FnRef<SgemmItem(int64_t)> item, const Epilogue& epilogue, std::byte* workspace,
                      const Parallel& parallel) const {
  const SgemmSizes& s = sizes_;
  if (s.m == 0 || s.n == 0 || s.batch == 0) return;
  // A short product is bound by reading B: count it as if it had a few rows more.
  const double operations = 2.0 * static_cast<double>(std::max<int64_t>(s.m, 4)) * static_cast<double>(s.n) *
                            static_cast<double>(std::max<int64_t>(s.k, 1));
  if (s.batch == 1 && !copy_a_ && !copy_b_ && (operations < kMinOperations || parallel.threads() == 1))
    return run_part(item(0), epilogue, 0, s.m, 0, s.n);

  std::byte* const a_copies = workspace;
  const size_t a_bytes = copy_a_ ? floats(s.m * s.k) : 0;
  std::byte* const b_copies = workspace + static_cast<size_t>(s.batch) * a_bytes;
  const size_t b_bytes = copy_b_ ? floats(panels_ * panel_ * s.k) : 0;
  if (copy_a_) {
    constexpr int64_t kRows = 32;
    const int64_t parts = ceil_div(s.m, kRows);
    parallel.range(s.batch * parts, 1 + 16384 / (kRows * s.k), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t row = i % parts * kRows;
        float* const dst = reinterpret_cast<float*>(a_copies + static_cast<size_t>(i / parts) * a_bytes);
        transpose_floats(item(i / parts).a + row, s.a_stride, std::min(kRows, s.m - row), s.k, dst + row * s.k, s.k);
      }
    });
  }
  if (copy_b_) {
    parallel.range(s.batch * panels_, 1 + 16384 / (panel_ * s.k), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end;) {
        const int64_t first = i % panels_, count = std::min(panels_ - first, end - i);
        float* const dst = reinterpret_cast<float*>(b_copies + static_cast<size_t>(i / panels_) * b_bytes);
        sgemm_pack_panels(item(i / panels_).b, s.trans_b ? 1 : s.b_stride, s.trans_b ? s.b_stride : 1, s.k, s.n, first,
                          first + count, dst);
        i += count;
      }
    });
  }

  // A grid of parts for each item: by columns as far as there are panels for it, then by rows.
  const double pieces = parallel.threads() == 1 ? 1 : 4.0 * parallel.threads() / static_cast<double>(s.batch);
  const int64_t parts = std::max<int64_t>(1, static_cast<int64_t>(std::min(pieces, operations / kMinOperations)));
  const int64_t col_parts = std::min(parts, panels_);
  const int64_t row_parts = std::min(ceil_div(parts, col_parts), ceil_div(s.m, 4 * sgemm_tile_rows()));
  const int64_t grid = row_parts * col_parts;
  const int64_t grain = 1 + static_cast<int64_t>(kMinOperations * static_cast<double>(grid) / operations);
  parallel.range(s.batch * grid, parts > 1 ? 1 : grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      SgemmItem memory = item(i / grid);
      if (copy_a_) memory.a = reinterpret_cast<float*>(a_copies + static_cast<size_t>(i / grid) * a_bytes);
      if (copy_b_) memory.b = reinterpret_cast<float*>(b_copies + static_cast<size_t>(i / grid) * b_bytes);
      const int64_t r = i % grid / col_parts, c = i % grid % col_parts;
      run_part(memory, epilogue, s.m * r / row_parts, s.m * (r + 1) / row_parts, panels_ * c / col_parts * panel_,
               std::min(s.n, panels_ * (c + 1) / col_parts * panel_));
    }
  });
}

}  // namespace fastort::kernels
