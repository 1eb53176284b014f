#pragma once

namespace fastort {

// Held by a thread while it is in code that takes locks or fills tables which the whole process shares: loading,
// rewriting, planning (with oneDNN's and onnx's own locks and tables), and the short sections of caches. fork() waits
// until nobody holds one, so that the child finds every lock free and every table whole. Threads that help a holder
// need none of their own; whoever holds one may take another. Steady runs hold none.
//
// A holder must not wait for anything that the forking thread may own, such as Python's GIL (see ForkPause).
class ForkGuard {
 public:
  ForkGuard() noexcept;
  ~ForkGuard();
  ForkGuard(const ForkGuard&) = delete;
  ForkGuard& operator=(const ForkGuard&) = delete;
};

// Lets a fork through while the thread calls out of the engine.
class ForkPause {
 public:
  ForkPause() noexcept;
  ~ForkPause();
  ForkPause(const ForkPause&) = delete;
  ForkPause& operator=(const ForkPause&) = delete;

 private:
  int depth_;
};

}  // namespace fastort
