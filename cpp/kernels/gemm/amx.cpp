#include "kernels/gemm/amx.h"

#include <algorithm>
#include <atomic>

#include "base/cpu_info.h"
#include "base/pieces.h"
#include "kernels/gemm/amx_kernels.h"
#include "kernels/gemm/sgemm_kernels.h"

namespace fastort::kernels {

namespace {

// Of the parts of A, which are read once for each piece.
constexpr int64_t kMostLeftBytes = 16 << 20;
// Blocks into which a product is cut at least, for threads to share; where columns give fewer, by its rows.
constexpr int64_t kMinBlocks = 16;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

bool AmxGemm::available() { return cpu_features().amx_bf16; }

int64_t AmxGemm::rows_at_once(int64_t m, int64_t k) {
  const int64_t row = ceil_div(k, kAmxDepth) * kAmxDepth * 6;
  const int64_t most = std::max(kMostLeftBytes / row, AmxBlock::kMostRows);
  return ceil_div(ceil_div(m, ceil_div(m, most)), kAmxRows) * kAmxRows;
}

AmxGemm::AmxGemm(int64_t m, int64_t n, int64_t k, int threads)
    : m_(m), n_(n), k_(k), panel_(sgemm_panel_width()), panels_(ceil_div(n, panel_)), threads_(threads) {
  const int64_t wanted = ceil_div(kMinBlocks, panels_), blocks = ceil_div(m, kAmxRows);
  row_parts_ = std::max(ceil_div(m, AmxBlock::kMostRows), std::min(wanted, blocks));
  row_step_ = ceil_div(blocks, row_parts_) * kAmxRows;
  row_parts_ = ceil_div(m, row_step_);
  for (int64_t i = 0; i * kAmxDepth < k; ++i) steps_.push_back(i * kAmxStepBytes);
}

size_t AmxGemm::workspace_bytes() const noexcept {
  return amx_left_bytes(m_, k_) + static_cast<size_t>(threads_) * aligned(amx_scratch_bytes(k_));
}

double AmxGemm::nanoseconds() const noexcept {
  // Of one thread on a Xeon of 2.6 GHz: a multiply-add, a number of A and of B that becomes parts, one of C; and what
  // threads wait for A and each other. Within an eighth of what products of 16 to 3136 rows took.
  constexpr double kMultiplyAdd = 1.0 / 182, kLeft = 0.35, kRight = 0.17, kResult = 0.034, kThreads = 11000,
                   kRun = 1500;
  const auto m = static_cast<double>(m_), n = static_cast<double>(n_), k = static_cast<double>(k_);
  const auto rows = static_cast<double>(ceil_div(m_, 16) * 16), parts = static_cast<double>(row_parts_);
  const double work = rows * n * k * kMultiplyAdd + m * k * kLeft + parts * k * n * kRight + m * n * kResult;
  return kRun + (threads_ > 1 ? kThreads : 0) + work / threads_;
}

bool AmxGemm::run(const GemmOperands& o, std::byte* workspace, const Parallel& parallel,
                  FnRef<void(const Area&)> plain) const {
  const size_t left = amx_left_bytes(kAmxRows, k_), scratch = aligned(amx_scratch_bytes(k_));
  std::byte* const parts = workspace;
  std::byte* const own = workspace + amx_left_bytes(m_, k_);
  std::atomic<bool> fits{true};
  copy_in_pieces(parallel, ceil_div(m_, kAmxRows), 2 * kAmxRows * k_, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i * kAmxRows;
      if (!amx_split_left(o.a + row * o.a_stride, o.a_stride, std::min(kAmxRows, m_ - row), k_,
                          parts + static_cast<size_t>(i) * left))
        fits.store(false, std::memory_order_relaxed);
    }
  });
  if (!fits.load(std::memory_order_relaxed)) return false;

  const int workers = std::min(parallel.threads(), threads_);
  const int64_t total = row_parts_ * panels_;
  // Panels [begin, end), counted through all parts of the rows. Each thread takes ever fewer of them, so that all end
  // together whatever their speeds; the next ones are known one ahead, for their B to be cut into parts.
  struct Piece {
    int64_t begin, end;
  };
  std::atomic<int64_t> taken{0};
  const auto take = [&] {
    int64_t begin = taken.load(std::memory_order_relaxed), end = begin;
    while (begin < total) {
      const int64_t rest = panels_ - begin % panels_;
      end = begin + std::min(rest, std::clamp<int64_t>((total - begin) / (2 * workers), 1, AmxBlock::kMostPanels));
      if (taken.compare_exchange_weak(begin, end, std::memory_order_relaxed)) return Piece{begin, end};
    }
    return Piece{total, total};
  };
  const auto panel_of = [&](int64_t piece) { return o.b + piece % panels_ * panel_ * k_; };
  parallel.chunks(workers, [&](int worker) {
    std::byte* const memory = own + static_cast<size_t>(worker) * scratch;
    amx_begin(memory);
    for (Piece piece = take(), next{}; piece.begin < piece.end && !parallel.cancelled(); piece = next) {
      next = take();
      const int64_t row = piece.begin / panels_ * row_step_, first = piece.begin % panels_;
      const int64_t last = first + piece.end - piece.begin, column = first * panel_;
      AmxBlock block;
      block.left.parts = parts + static_cast<size_t>(row / kAmxRows) * left;
      block.left.steps = steps_.data();
      block.left.part = 2 * kAmxTileBytes;
      block.left.height = static_cast<int64_t>(left);
      block.rows = std::min(row_step_, m_ - row);
      block.cols = std::min(n_, last * panel_) - column;
      block.depth = k_;
      block.b = panel_of(piece.begin);
      block.next_b = next.begin < next.end ? panel_of(next.begin) : nullptr;
      block.c = o.c + row * o.c_stride + column;
      block.c_stride = o.c_stride;
      block.alpha = o.alpha;
      block.epilogue = o.epilogue;
      if (o.epilogue.bias) block.epilogue.bias += o.epilogue.bias_per_row ? row : column;
      if (o.epilogue.residual) block.epilogue.residual += row * o.epilogue.residual_stride + column;
      const uint64_t unsuitable = amx_block(block, memory);
      for (int64_t panel = first; unsuitable != 0 && panel < last; ++panel)
        if (unsuitable >> (panel - first) & 1) plain({row, row + block.rows, panel, panel + 1});
    }
    amx_end();
  });
  return true;
}

}  // namespace fastort::kernels
