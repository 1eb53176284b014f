#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/error.h"
#include "base/thread_pool.h"

namespace fastort {

// What a kernel is handed to split its work: the pool, how many threads this run may use, and whether the run was
// cancelled in the meantime.
class Parallel {
 public:
  // `split`: the number of threads that work is split for, whatever number then does it; 0: the same.
  Parallel(ThreadPool& pool, int max_threads, const std::atomic<bool>* cancelled = nullptr, int split = 0) noexcept
      : pool_(&pool), max_threads_(max_threads), split_(split > 0 ? split : max_threads), cancelled_(cancelled) {}

  // The number to split work for.
  int threads() const noexcept { return split_; }
  bool cancelled() const noexcept { return cancelled_ && cancelled_->load(std::memory_order_relaxed); }

  // Calls body(i) for i in [0, chunks).
  template <class F>
  void chunks(int count, F&& body) const {
    if (count <= 0) return;
    if (count == 1 || max_threads_ == 1) {
      for (int i = 0; i < count; ++i) {
        check();
        body(i);
      }
      return;
    }
    auto checked = [&](int i) {
      check();
      body(i);
    };
    pool_->parallel_for(count, max_threads_, checked);
  }

  // Calls body(begin, end) over pieces of [0, n) of at least `grain` items (the last may be shorter).
  template <class F>
  void range(int64_t n, int64_t grain, F&& body) const {
    if (n <= 0) return;
    grain = std::max<int64_t>(grain, 1);
    // Without divisions, which would take longer than some of the smallest steps.
    if (n <= grain || split_ == 1) {
      check();
      return body(0, n);
    }
    // Four pieces a thread even out threads of unequal speed.
    const int64_t pieces = std::min<int64_t>((n + grain - 1) / grain, 4LL * split_);
    const int64_t step = (n + pieces - 1) / pieces;
    chunks(static_cast<int>((n + step - 1) / step),
           [&](int i) { body(i * step, std::min<int64_t>(n, (i + 1) * step)); });
  }

 private:
  void check() const {
    if (cancelled()) fail(ErrorCode::Cancelled, "the run was cancelled (terminate, time-out or Ctrl-C)");
  }

  ThreadPool* pool_;
  int max_threads_;
  int split_;
  const std::atomic<bool>* cancelled_;
};

}  // namespace fastort
