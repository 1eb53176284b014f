#pragma once

#include <atomic>

namespace fastort {

// Joins the ways to stop a run into the one flag that kernels look at: the caller's own flag, and a time-out.
class Deadline {
 public:
  // `seconds` of 0 is no time-out. `terminate` may be nullptr.
  Deadline(double seconds, const std::atomic<bool>* terminate);
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  const std::atomic<bool>* flag() const { return timed_ ? &expired_ : terminate_; }

 private:
  bool timed_ = false;
  const std::atomic<bool>* terminate_;
  std::atomic<bool> expired_{false};
  struct Timer;
  Timer* timer_ = nullptr;
};

}  // namespace fastort
