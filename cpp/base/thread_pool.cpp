#include "base/thread_pool.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <exception>
#include <thread>
#include <vector>

#include "base/cpu_info.h"

#if !defined(_WIN32)
#include <pthread.h>
#include <signal.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

namespace fastort {
namespace {

// Idle threads spin this long, which bridges the gap between two layers, and between two runs, and then sleep.
constexpr std::chrono::microseconds kSpin{100};
// A caller that has run out of chunks waits for its helpers: it spins, then yields, then sleeps.
constexpr std::chrono::microseconds kYield{200};
// A yield that took so long went to other programs, which want the processor too: for a while there is none.
constexpr std::chrono::microseconds kLongYield{300};
constexpr std::chrono::milliseconds kYieldPause{100};
// A worker leaves its caller's processor at most this often.
constexpr std::chrono::milliseconds kMovePause{1};
constexpr int kPausesPerClock = 32;
constexpr int kSlots = 64;

thread_local bool t_in_parallel = false;

void pause_cpu() noexcept {
#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
  __asm__ __volatile__("yield" ::: "memory");
#else
  std::this_thread::yield();
#endif
}

// Spins until `done()`; false where it did not come true in time.
template <class F>
bool spin(std::chrono::microseconds limit, F&& done) noexcept {
  const auto end = std::chrono::steady_clock::now() + limit;
  do {
    for (int i = 0; i < kPausesPerClock; ++i) {
      if (done()) return true;
      pause_cpu();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

// Lets another thread have the processor, unless other programs would take it for turns of their own: false then.
bool yield_briefly() noexcept {
  thread_local std::chrono::steady_clock::time_point not_before;
  const auto start = std::chrono::steady_clock::now();
  if (start < not_before) return false;
  std::this_thread::yield();
  const auto end = std::chrono::steady_clock::now();
  if (end - start > kLongYield) not_before = end + kYieldPause;
  return true;
}

// The processor that the thread runs on; -1 where that is not known.
int current_cpu() noexcept {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

// Moves the thread to any other processor that it may use. Linux looks for an idle one when it wakes a thread only
// where there is much idle time, so that a worker may share its caller's processor for many milliseconds while another
// idles.
void leave_cpu(int cpu) noexcept {
#if defined(__linux__)
  cpu_set_t allowed;
  if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  cpu_set_t others = allowed;
  CPU_CLR(static_cast<size_t>(cpu), &others);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof(others), &others) != 0) return;
  sched_setaffinity(0, sizeof(allowed), &allowed);
#else
  (void)cpu;
#endif
}

class InParallel {
 public:
  InParallel() noexcept : before_(t_in_parallel) { t_in_parallel = true; }
  ~InParallel() { t_in_parallel = before_; }
  InParallel(const InParallel&) = delete;
  InParallel& operator=(const InParallel&) = delete;

 private:
  bool before_;
};

// One parallel_for in flight; lives on its caller's stack.
struct Region {
  Region(FnRef<void(int)> f, int n, int workers) : chunk(f), chunks(n), tickets(workers) {}

  FnRef<void(int)> chunk;
  const int chunks;
  std::atomic<int> tickets;  // workers that may still join
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr error;

  bool join() noexcept {
    int left = tickets.load(std::memory_order_relaxed);
    while (left > 0 && next.load(std::memory_order_relaxed) < chunks) {
      if (tickets.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) return true;
    }
    return false;
  }

  void work() noexcept {
    const InParallel guard;
    while (!failed.load(std::memory_order_relaxed)) {
      const int64_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= chunks) return;
      try {
        chunk(static_cast<int>(i));
      } catch (...) {
        if (!failed.exchange(true, std::memory_order_relaxed)) error = std::current_exception();
      }
    }
  }
};

// Where a region is published. A worker counts itself in before it reads `region`, and the caller takes `region` away
// before it waits for `entrants` to fall to zero (both sequentially consistent): so no worker holds a finished region.
struct alignas(64) Slot {
  std::atomic<Region*> region{nullptr};
  std::atomic<int> entrants{0};
  std::atomic<int> cpu{-1};  // that the caller was on
};

std::atomic<ThreadPool*> g_pool{nullptr};

#if !defined(_WIN32)
// The threads of the old pool do not exist in the child: it is left behind, and the next use makes a new one.
void forget_pool() noexcept {
  g_pool.store(nullptr, std::memory_order_release);
  t_in_parallel = false;
}
[[maybe_unused]] const int kForkHandler = pthread_atfork(nullptr, nullptr, forget_pool);
#endif

}  // namespace

struct ThreadPool::Impl {
  explicit Impl(int count) : size(std::max(count, 1)) {}

  int size;
  Slot slots[kSlots];
  alignas(64) std::atomic<uint64_t> claimed{0};  // bit i: slot i belongs to a caller
  alignas(64) std::atomic<uint32_t> epoch{0};    // counts the regions published
  std::atomic<int> sleepers{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;

  void start();
  void worker_loop() noexcept;
  bool help() noexcept;
  int callers() const noexcept { return std::popcount(claimed.load(std::memory_order_relaxed)); }
  bool only_caller() const noexcept { return callers() == 1; }
  void step_aside(const Slot& slot) const noexcept;
  int claim() noexcept;
  void release(int slot) noexcept { claimed.fetch_and(~(uint64_t{1} << slot), std::memory_order_release); }
  void wake(int workers_wanted) noexcept;
  void finish(Slot& slot) noexcept;
};

void ThreadPool::Impl::start() {
#if !defined(_WIN32)
  // Signals are for the application's own threads.
  sigset_t blocked, before;
  sigfillset(&blocked);
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGPROF}) sigdelset(&blocked, signal);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
#endif
  try {
    workers.reserve(static_cast<size_t>(size - 1));
    for (int i = 1; i < size; ++i) {
      workers.emplace_back([this] { worker_loop(); });
#if defined(__linux__)
      pthread_setname_np(workers.back().native_handle(), "fastort");
#endif
    }
  } catch (...) {
    // The system gives no more threads: the pool is as large as it could be made.
    size = static_cast<int>(workers.size()) + 1;
  }
#if !defined(_WIN32)
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
#endif
}

void ThreadPool::Impl::worker_loop() noexcept {
  t_in_parallel = true;
  while (!stop.load(std::memory_order_relaxed)) {
    const uint32_t seen = epoch.load(std::memory_order_seq_cst);
    if (help()) continue;
    if (spin(kSpin, [&] { return epoch.load(std::memory_order_relaxed) != seen; })) continue;
    sleepers.fetch_add(1, std::memory_order_seq_cst);
    epoch.wait(seen, std::memory_order_seq_cst);
    sleepers.fetch_sub(1, std::memory_order_relaxed);
  }
}

// Leaves the processor to the only caller, where both are on it.
void ThreadPool::Impl::step_aside(const Slot& slot) const noexcept {
  thread_local std::chrono::steady_clock::time_point moved;
  const int cpu = slot.cpu.load(std::memory_order_relaxed);
  if (cpu < 0 || cpu != current_cpu() || !only_caller()) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - moved < kMovePause) return;
  moved = now;
  leave_cpu(cpu);
}

// Works on the regions that want help; false where there was none.
bool ThreadPool::Impl::help() noexcept {
  bool helped = false;
  for (uint64_t left = claimed.load(std::memory_order_acquire); left != 0; left &= left - 1) {
    Slot& slot = slots[std::countr_zero(left)];
    if (slot.region.load(std::memory_order_relaxed) == nullptr) continue;
    step_aside(slot);
    slot.entrants.fetch_add(1, std::memory_order_seq_cst);
    Region* region = slot.region.load(std::memory_order_seq_cst);
    if (region != nullptr && region->join()) {
      region->work();
      helped = true;
    }
    if (slot.entrants.fetch_sub(1, std::memory_order_acq_rel) == 1) slot.entrants.notify_all();
  }
  return helped;
}

// A free slot, or -1 where as many regions as there are slots are in flight.
int ThreadPool::Impl::claim() noexcept {
  uint64_t taken = claimed.load(std::memory_order_relaxed);
  while (~taken != 0) {
    const int slot = std::countr_one(taken);
    if (claimed.compare_exchange_weak(taken, taken | uint64_t{1} << slot, std::memory_order_acq_rel)) return slot;
  }
  return -1;
}

void ThreadPool::Impl::wake(int workers_wanted) noexcept {
  epoch.fetch_add(1, std::memory_order_seq_cst);
  const int asleep = sleepers.load(std::memory_order_seq_cst);
  if (asleep == 0) return;
  if (workers_wanted >= asleep)
    epoch.notify_all();
  else
    for (int i = 0; i < workers_wanted; ++i) epoch.notify_one();
  // A worker that was put behind this thread on its processor gets to run, and leaves it.
  if (only_caller()) yield_briefly();
}

void ThreadPool::Impl::finish(Slot& slot) noexcept {
  slot.region.store(nullptr, std::memory_order_seq_cst);
  const auto left = [&] { return slot.entrants.load(std::memory_order_seq_cst) == 0; };
  if (left() || spin(kSpin, left)) return;
  const auto end = std::chrono::steady_clock::now() + kYield;
  while (std::chrono::steady_clock::now() < end && yield_briefly())
    if (left()) return;
  for (int inside; (inside = slot.entrants.load(std::memory_order_seq_cst)) != 0;) slot.entrants.wait(inside);
}

ThreadPool& ThreadPool::instance() {
  ThreadPool* pool = g_pool.load(std::memory_order_acquire);
  if (pool != nullptr) return *pool;
  // No lock, because a fork could leave it locked in the child: of two that are made at once, one is dropped. The pool
  // is never destroyed, so that it outlives every static object that still uses it.
  auto made = std::make_unique<ThreadPool>(usable_cpus());
  if (g_pool.compare_exchange_strong(pool, made.get(), std::memory_order_acq_rel)) return *made.release();
  return *pool;
}

ThreadPool::ThreadPool(int size) : impl_(std::make_unique<Impl>(size)) { impl_->start(); }

ThreadPool::~ThreadPool() {
  impl_->stop.store(true, std::memory_order_relaxed);
  impl_->epoch.fetch_add(1, std::memory_order_seq_cst);
  impl_->epoch.notify_all();
  for (std::thread& worker : impl_->workers) worker.join();
}

int ThreadPool::size() const noexcept { return impl_->size; }

bool ThreadPool::in_parallel() noexcept { return t_in_parallel; }

void ThreadPool::parallel_for(int chunks, int max_threads, FnRef<void(int)> chunk) {
  if (chunks <= 0) return;
  const int threads = std::min({chunks, max_threads, impl_->size});
  const int index = threads > 1 && !t_in_parallel ? impl_->claim() : -1;
  struct Claim {
    Impl& impl;
    int slot;
    ~Claim() {
      if (slot >= 0) impl.release(slot);
    }
  } const claim{*impl_, index};
  // Where as many threads call as there are processors, a helper could only take one of them its processor.
  if (index < 0 || impl_->callers() >= impl_->size) {
    const InParallel guard;
    for (int i = 0; i < chunks; ++i) chunk(i);
    return;
  }
  Region region(chunk, chunks, threads - 1);
  Slot& slot = impl_->slots[index];
  slot.cpu.store(current_cpu(), std::memory_order_relaxed);
  slot.region.store(&region, std::memory_order_seq_cst);
  impl_->wake(threads - 1);
  region.work();
  impl_->finish(slot);
  if (region.error) std::rethrow_exception(region.error);
}

}  // namespace fastort
