#pragma once

#include <vector>

#include "ops/gpu.h"

namespace fastort::gpu {

// The dimensions of an output with the strides of some operands along them, in elements. Dimensions that every operand
// walks as one are merged.
class Nest {
 public:
  explicit Nest(const Shape& dims) : dims_(dims.begin(), dims.end()) {}
  // An operand that broadcasts to the dimensions.
  void add_broadcast(const Shape& shape);
  void add(std::vector<int64_t> strides) { strides_.push_back(std::move(strides)); }
  void merge();

  size_t rank() const { return dims_.size(); }
  const std::vector<int64_t>& dims() const { return dims_; }
  const std::vector<int64_t>& strides(size_t operand) const { return strides_[operand]; }
  // The operand is read in the order of the output, element by element.
  bool is_dense(size_t operand) const;
  // All elements of the output read one element of the operand.
  bool is_single(size_t operand) const;

 private:
  std::vector<int64_t> dims_;
  std::vector<std::vector<int64_t>> strides_;
};

// Elements from one index to the next along each dimension of a dense tensor.
std::vector<int64_t> dense_strides(const Shape& shape);

}  // namespace fastort::gpu
