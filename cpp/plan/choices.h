#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tensor/shape.h"

// What the planner is told of kernels beside their costs.
namespace fastort {

// What was measured of one way to run a node. All ways took turns: times of one round belong together. One that was far
// behind has fewer rounds than the others.
struct Trial {
  std::string candidate;
  Layout in = Layout::Plain;
  Layout out = Layout::Plain;
  std::vector<double> times;  // nanoseconds, by round; at least one

  // What noise leaves of the time.
  double least() const { return *std::min_element(times.begin(), times.end()); }
};

// Whether one way is faster than another beyond doubt: by a margin, and in nearly every round.
bool clearly_faster(const Trial& trial, const Trial& than);

// Measured times by a description of the node: the operator with its attributes, types, shapes and threads.
class MeasuredTimes {
 public:
  virtual ~MeasuredTimes() = default;
  // Empty where nothing was measured.
  virtual std::vector<Trial> find(const std::string& node) = 0;
  virtual void add(const std::string& node, std::span<const Trial> trials) = 0;
  // Seconds that trials may still take; 0 where only what is known already may be used.
  virtual double seconds_left() const = 0;
  virtual void spend(double seconds) = 0;
  // Called when a plan is made: what was added may be kept now.
  virtual void settle() = 0;
};

// How a session wants kernels to be chosen.
struct KernelChoice {
  std::shared_ptr<MeasuredTimes> measured;  // nullptr: by the cost rule
  std::string prefer;                       // a candidate that is taken wherever it serves; empty: none
};

}  // namespace fastort
