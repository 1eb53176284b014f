#include "ops/gpu/nest.h"

#include <algorithm>

namespace fastort::gpu {

std::vector<int64_t> dense_strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  return strides;
}

void Nest::add_broadcast(const Shape& shape) {
  const std::vector<int64_t> own = dense_strides(shape);
  std::vector<int64_t> strides(dims_.size(), 0);
  const size_t lead = dims_.size() - shape.size();
  for (size_t d = 0; d < shape.size(); ++d)
    if (shape[d] != 1) strides[lead + d] = own[d];
  strides_.push_back(std::move(strides));
}

void Nest::merge() {
  // From the back: a dimension joins the one behind it where every operand's stride says so.
  for (size_t d = dims_.size(); d-- > 0;) {
    if (dims_[d] == 1) {
      dims_.erase(dims_.begin() + static_cast<std::ptrdiff_t>(d));
      for (auto& strides : strides_) strides.erase(strides.begin() + static_cast<std::ptrdiff_t>(d));
    }
  }
  for (size_t d = dims_.size(); d-- > 1;) {
    const bool joins = std::all_of(strides_.begin(), strides_.end(),
                                   [&](const auto& strides) { return strides[d - 1] == strides[d] * dims_[d]; });
    if (!joins) continue;
    dims_[d - 1] *= dims_[d];
    dims_.erase(dims_.begin() + static_cast<std::ptrdiff_t>(d));
    for (auto& strides : strides_) {
      strides[d - 1] = strides[d];
      strides.erase(strides.begin() + static_cast<std::ptrdiff_t>(d));
    }
  }
}

bool Nest::is_dense(size_t operand) const {
  int64_t step = 1;
  for (size_t d = dims_.size(); d-- > 0;) {
    if (dims_[d] != 1 && strides_[operand][d] != step) return false;
    step *= dims_[d];
  }
  return true;
}

bool Nest::is_single(size_t operand) const {
  for (size_t d = 0; d < dims_.size(); ++d)
    if (dims_[d] != 1 && strides_[operand][d] != 0) return false;
  return true;
}

}  // namespace fastort::gpu
