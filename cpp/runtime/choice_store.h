#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/record_file.h"
#include "plan/choices.h"

namespace fastort {

// The measured times of a session: in a file of the folder that it names, or, where it names none, in the memory of the
// process.
class ChoiceStore final : public MeasuredTimes {
 public:
  // `folder`: empty for the process's memory. `seconds`: that trials may take, 0 for none.
  ChoiceStore(const std::string& folder, double seconds);

  std::vector<Trial> find(const std::string& node) override;
  void add(const std::string& node, std::span<const Trial> trials) override;
  double seconds_left() const override { return seconds_.load(std::memory_order_relaxed); }
  void spend(double seconds) override;
  void settle() override;

 private:
  std::shared_ptr<RecordFile> records_;
  const bool on_disk_;
  std::atomic<double> seconds_;
};

}  // namespace fastort
