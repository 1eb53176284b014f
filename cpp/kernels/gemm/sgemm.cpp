#include "kernels/gemm/sgemm.h"

#include <algorithm>
#include <atomic>

#include "base/pieces.h"
#include "kernels/gemm/sgemm_kernels.h"

namespace fastort::kernels {

namespace {

// Work below which a second thread costs more than it brings, in operations.
constexpr double kMinOperations = 400e3;
// What a thread takes at least at a time, in operations, and into how many parts a product is cut by its rows where its
// columns give fewer. The cut does not depend on the number of threads, so that results do not.
constexpr double kMinPiece = 1e6;
constexpr int64_t kMinParts = 32;
// Where few rows read B from memory, which takes longer than their operations, smaller pieces let threads end together.
constexpr double kMinStreamed = 250e3;
// Parts of many tiles cost nothing, and let threads end together: there may be so many of them.
constexpr int64_t kEvenParts = 128;
constexpr int64_t kEvenTiles = 6;
// What is done between two looks at whether the run was cancelled: some milliseconds.
constexpr double kMaxPiece = 200e6;
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

int64_t packed_b_panel() { return sgemm_panel_width(); }

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
  if (sizes.m == 0 || sizes.n == 0 || sizes.batch == 0) return;
  row_step_ = sgemm_row_step(sizes.m, sizes.k);
  const int64_t tile = sgemm_tile_rows();
  const int64_t panels = panels_ * sizes.batch, wanted = ceil_div(kMinParts, panels);
  const int64_t least =
      static_cast<int64_t>(kMinPiece / (2.0 * static_cast<double>(panel_ * std::max<int64_t>(1, sizes.k))));
  const int64_t finer = ceil_div(std::max(ceil_div(sizes.m, wanted), least), tile) * tile;
  const int64_t even = std::min(ceil_div(kEvenParts, panels), sizes.m / std::max(least, kEvenTiles * tile));
  row_parts_ = std::max(ceil_div(sizes.m, std::min(row_step_, finer)), even);
  row_step_ = ceil_div(ceil_div(sizes.m, row_parts_), tile) * tile;
  row_parts_ = ceil_div(sizes.m, row_step_);
  if (sizes.form == SgemmSizes::Form::Strassen)
    strassen_ = std::make_shared<const Strassen>(sizes.m, sizes.n, sizes.k, sizes.threads);
  if (sizes.form == SgemmSizes::Form::Amx)
    amx_ = std::make_shared<const AmxGemm>(sizes.m, sizes.n, sizes.k, sizes.threads);
}

size_t Sgemm::workspace_bytes() const noexcept {
  size_t bytes = 0;
  if (copy_a_) bytes += static_cast<size_t>(sizes_.batch) * floats(sizes_.m * sizes_.k);
  if (copy_b_) bytes += static_cast<size_t>(sizes_.batch) * floats(panels_ * panel_ * sizes_.k);
  if (strassen_) bytes += strassen_->workspace_bytes();
  if (amx_) bytes += amx_->workspace_bytes();
  return bytes;
}

// Where the operands of a run lie.
struct Sgemm::Operands {
  FnRef<SgemmItem(int64_t)> item;
  const Epilogue& epilogue;
  const std::byte* a_copies;
  const std::byte* b_copies;
  size_t a_bytes, b_bytes;  // of one item's copy, or 0

  SgemmItem operator[](int64_t i) const {
    SgemmItem memory = item(i);
    if (a_bytes) memory.a = reinterpret_cast<const float*>(a_copies + static_cast<size_t>(i) * a_bytes);
    if (b_bytes) memory.b = reinterpret_cast<const float*>(b_copies + static_cast<size_t>(i) * b_bytes);
    return memory;
  }
};

// Columns of panels [first, last).
void Sgemm::run_part(const SgemmItem& item, const Epilogue& epilogue, int64_t row_begin, int64_t row_end, int64_t first,
                     int64_t last, const float* next_b) const {
  const int64_t col_begin = first * panel_;
  SgemmBlock block;
  block.rows = row_end - row_begin;
  block.cols = std::min(sizes_.n, last * panel_) - col_begin;
  block.depth = sizes_.k;
  block.a_stride = copy_a_ || sizes_.trans_a ? sizes_.k : sizes_.a_stride;
  block.a = item.a + row_begin * block.a_stride;
  if (sizes_.b_packed || copy_b_) {
    block.b_stride = panel_;
    block.b_panel_stride = panel_ * sizes_.k;
    block.b_padded = true;
    block.next_b = next_b;
  } else {
    block.b_stride = sizes_.b_stride;
    block.b_panel_stride = panel_;
  }
  block.b = item.b + first * block.b_panel_stride;
  block.c_stride = sizes_.c_stride;
  block.c = item.c + row_begin * sizes_.c_stride + col_begin;
  block.alpha = sizes_.alpha;
  block.epilogue = epilogue;
  if (epilogue.bias) block.epilogue.bias += epilogue.bias_per_row ? row_begin : col_begin;
  block.epilogue.residual = item.residual ? item.residual + row_begin * epilogue.residual_stride + col_begin : nullptr;
  sgemm_block(block);
}

void Sgemm::run_piece(const Operands& operands, Piece piece, Piece next) const {
  while (piece.begin < piece.end) {
    const int64_t part = piece.begin / panels_, first = piece.begin % panels_;
    const int64_t last = std::min(panels_, first + piece.end - piece.begin);
    const int64_t row = part % row_parts_ * row_step_;
    piece.begin += last - first;
    const int64_t follows = piece.begin < piece.end ? piece.begin : next.begin;
    const float* next_b = nullptr;
    if (piece.begin < piece.end || next.begin < next.end)
      next_b = operands[follows / panels_ / row_parts_].b + follows % panels_ * panel_ * sizes_.k;
    run_part(operands[part / row_parts_], operands.epilogue, row, std::min(sizes_.m, row + row_step_), first, last,
             next_b);
  }
}

bool Sgemm::run_form(const Operands& operands, std::byte* workspace, const Parallel& parallel) const {
  const SgemmItem item = operands[0];
  GemmOperands o;
  o.a = item.a;
  o.a_stride = copy_a_ || sizes_.trans_a ? sizes_.k : sizes_.a_stride;
  o.b = item.b;
  o.c = item.c;
  o.c_stride = sizes_.c_stride;
  o.alpha = sizes_.alpha;
  o.epilogue = operands.epilogue;
  o.epilogue.residual = item.residual;
  const auto plain = [&](const AmxGemm::Area& area) {
    run_part(item, operands.epilogue, area.row_begin, area.row_end, area.first, area.last, nullptr);
  };
  if (amx_) return amx_->run(o, workspace, parallel, plain);
  const int64_t done = strassen_->panels();
  return strassen_->run(o, item.measured, workspace, parallel, done < panels_ ? row_parts_ : 0, [&](int64_t part) {
    const int64_t row = part * row_step_;
    plain({row, std::min(sizes_.m, row + row_step_), done, panels_});
  });
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
  std::byte* const a_copies = workspace;
  const size_t a_bytes = copy_a_ ? floats(s.m * s.k) : 0;
  std::byte* const b_copies = workspace + static_cast<size_t>(s.batch) * a_bytes;
  const size_t b_bytes = copy_b_ ? floats(panels_ * panel_ * s.k) : 0;
  if (copy_a_) {
    constexpr int64_t kRows = 32;
    const int64_t parts = ceil_div(s.m, kRows);
    copy_in_pieces(parallel, s.batch * parts, kRows * s.k, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t row = i % parts * kRows;
        float* const dst = reinterpret_cast<float*>(a_copies + static_cast<size_t>(i / parts) * a_bytes);
        transpose_floats(item(i / parts).a + row, s.a_stride, std::min(kRows, s.m - row), s.k, dst + row * s.k, s.k);
      }
    });
  }
  if (copy_b_) {
    copy_in_pieces(parallel, s.batch * panels_, panel_ * s.k, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end;) {
        const int64_t first = i % panels_, count = std::min(panels_ - first, end - i);
        float* const dst = reinterpret_cast<float*>(b_copies + static_cast<size_t>(i / panels_) * b_bytes);
        sgemm_pack_panels(item(i / panels_).b, s.trans_b ? 1 : s.b_stride, s.trans_b ? s.b_stride : 1, s.k, s.n, first,
                          first + count, dst);
        i += count;
      }
    });
  }

  const Operands operands{item, epilogue, a_copies, b_copies, a_bytes, b_bytes};
  std::byte* const rest = b_copies + static_cast<size_t>(s.batch) * b_bytes;
  if ((strassen_ || amx_) && run_form(operands, rest, parallel)) return;
  const int64_t total = s.batch * row_parts_ * panels_;
  const double all = operations * static_cast<double>(s.batch);
  const int workers = std::max(1, static_cast<int>(std::min<double>(parallel.threads(), all / kMinOperations)));
  if (workers == 1) {
    const int64_t pieces = std::clamp<int64_t>(static_cast<int64_t>(all / kMaxPiece), 1, total);
    return parallel.chunks(static_cast<int>(pieces), [&](int i) {
      const int64_t begin = total * i / pieces, end = total * (i + 1) / pieces;
      run_piece(operands, {begin, end}, {end, total});
    });
  }
  // Whole groups of panels that are read side by side.
  const int64_t group = s.b_packed || copy_b_ ? sgemm_panel_group(s.m) : 1;
  const auto share = [&](double piece) {
    const auto panels = static_cast<int64_t>(piece / all * static_cast<double>(total));
    return ceil_div(std::max<int64_t>(1, panels), group) * group;
  };
  const int64_t least = share(group > 1 ? kMinStreamed : kMinPiece), most = share(kMaxPiece);
  // Each thread takes ever smaller pieces, so that all end together whatever their speeds; the next piece is known one
  // ahead, for its B to be brought nearer.
  std::atomic<int64_t> taken{0};
  const auto take = [&] {
    int64_t begin = taken.load(std::memory_order_relaxed), end = begin;
    while (begin < total) {
      end = std::min(total, begin + std::clamp((total - begin) / (4 * workers) / group * group, least, most));
      if (taken.compare_exchange_weak(begin, end, std::memory_order_relaxed)) return Piece{begin, end};
    }
    return Piece{total, total};
  };
  parallel.chunks(workers, [&](int) {
    for (Piece piece = take(), next{}; piece.begin < piece.end && !parallel.cancelled(); piece = next) {
      next = take();
      run_piece(operands, piece, next);
    }
  });
}

}  // namespace fastort::kernels
