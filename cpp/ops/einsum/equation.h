#pragma once

#include <string>
#include <vector>

#include "ops/op.h"

namespace fastort::einsum {

// A parsed equation. Labels are numbered: letters first, then the dimensions of the ellipsis.
struct Equation {
  std::vector<std::vector<int>> inputs;  // labels of each operand's dimensions
  std::vector<int> output;
  int labels = 0;
};

// Parses `text` for operands of these ranks. Throws InvalidGraph with what is wrong.
Equation parse(const std::string& text, std::span<const int> ranks);

}  // namespace fastort::einsum
