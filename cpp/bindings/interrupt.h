#pragma once

#include <atomic>

namespace fastort::bindings {

// While one of these lives, Ctrl-C sets the flag at once; it is taken back in the end. Python's own handler still runs,
// but raises KeyboardInterrupt only when the interpreter is entered again. Does nothing outside the main thread, and
// where the program handles the signal in a way of its own. Made and destroyed with the GIL held.
class InterruptGuard {
 public:
  explicit InterruptGuard(std::atomic<bool>& flag);
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  std::atomic<bool>& flag_;
  bool installed_ = false;
};

}  // namespace fastort::bindings
