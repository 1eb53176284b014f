#include "runtime/deadline.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace fastort {

// A thread that lives as long as the run: time-outs are rare, and a run without one pays nothing.
struct Deadline::Timer {
  std::mutex mutex;
  std::condition_variable done_changed;
  bool done = false;
  std::thread thread;
};

Deadline::Deadline(double seconds, const std::atomic<bool>* terminate) : timed_(seconds > 0), terminate_(terminate) {
  if (!timed_) return;
  timer_ = new Timer;
  timer_->thread = std::thread([this, seconds] {
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    std::unique_lock lock(timer_->mutex);
    while (!timer_->done) {
      // The caller's flag is passed on, because kernels look at one flag.
      if (Clock::now() >= end || (terminate_ && terminate_->load(std::memory_order_relaxed))) {
        expired_.store(true, std::memory_order_relaxed);
        return;
      }
      timer_->done_changed.wait_until(lock, std::min(end, Clock::now() + std::chrono::milliseconds(10)));
    }
  });
}

Deadline::~Deadline() {
  if (!timer_) return;
  {
    std::lock_guard lock(timer_->mutex);
    timer_->done = true;
  }
  timer_->done_changed.notify_one();
  timer_->thread.join();
  delete timer_;
}

}  // namespace fastort
