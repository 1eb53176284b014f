#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/fn_ref.h"

namespace fastort {

// The process-wide pool of worker threads. Its size follows the affinity mask and the container's CPU quota; the
// calling thread always takes part, and finishes a region alone when every worker is busy.
class ThreadPool {
 public:
  // The pool of this process. A forked child gets a pool of its own on first use.
  static ThreadPool& instance();

  // Number of threads that may work on one region, the caller included.
  int size() const noexcept;

  // Calls `chunk(i)` once for every i in [0, chunks), on at most `max_threads` threads, the caller included.
  // Returns when all are done. An exception of a chunk is rethrown to the caller; the other chunks are then skipped.
  // Several regions may run at once; a region started inside a chunk runs on the thread that started it.
  void parallel_for(int chunks, int max_threads, FnRef<void(int)> chunk);

  // True on a worker and inside a chunk that the caller runs.
  static bool in_parallel() noexcept;

  explicit ThreadPool(int size);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fastort
