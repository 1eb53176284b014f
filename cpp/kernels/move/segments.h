#pragma once

#include <span>
#include <vector>

#include "base/parallel.h"
#include "tensor/data_type.h"

namespace fastort::kernels {

// One tensor of rows that consist of several parts side by side, and the parts as tensors of their own: what Concat
// puts together and Split takes apart. Every run is contiguous on both sides.
class Segments {
 public:
  // `widths` are the parts' elements of one row.
  Segments(DataType type, int64_t rows, std::span<const int64_t> widths);
  // Where each part begins in the whole, in bytes; empty where parts are not contiguous in it.
  std::vector<int64_t> offsets() const;
  // Parts that lie in the whole already are left alone.
  void join(const std::byte* const* parts, std::byte* whole, const Parallel& parallel) const;
  // The same, and a part of nullptr is skipped.
  void split(const std::byte* whole, std::byte* const* parts, const Parallel& parallel) const;

 private:
  template <class F>
  void walk(const Parallel& parallel, F&& copy) const;

  bool strings_;
  int64_t rows_;
  std::vector<int64_t> starts_;  // of each part within a row, in units of bytes or strings; then the row's width
};

}  // namespace fastort::kernels
