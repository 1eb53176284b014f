#pragma once

#include "base/parallel.h"
#include "tensor/data_type.h"
#include "tensor/shape.h"

namespace fastort::kernels {

using Strides = InlineVector<int64_t, 6>;

// Row-major strides of a shape, in elements.
Strides strides_of(const Shape& shape);

// dst[dst_offset + sum(i * dst_strides)] = src[src_offset + sum(i * src_strides)] for every index i of `dims`. Strides
// are in elements and may be zero or negative on the source's side. Transposing, slicing, broadcasting, tiling and
// writing into a part of a larger tensor are all of this form.
class StridedCopy {
 public:
  StridedCopy() = default;
  StridedCopy(DataType type, const Shape& dims, const Strides& src_strides, const Strides& dst_strides,
              int64_t src_offset = 0, int64_t dst_offset = 0);
  void run(const std::byte* src, std::byte* dst, const Parallel& parallel) const;

  // As it is carried out: dimensions are merged, and elements that always move together are one wider element.
  size_t element_bytes() const { return bytes_; }
  const Shape& dims() const { return dims_; }
  const Strides& src_strides() const { return src_; }
  const Strides& dst_strides() const { return dst_; }
  int64_t src_offset() const { return src_offset_; }
  int64_t dst_offset() const { return dst_offset_; }

 private:
  enum class Inner : uint8_t { Nothing, Run, Fill, Strided, Transpose };
  void simplify();
  void widen();
  template <class T>
  void run_typed(const T* src, T* dst, const Parallel& parallel) const;
  template <class T>
  void run_rows(const T* src, T* dst, const Parallel& parallel) const;
  template <class T>
  void run_transpose(const T* src, T* dst, const Parallel& parallel) const;

  bool strings_ = false;
  size_t bytes_ = 1;  // of one element
  Inner inner_ = Inner::Nothing;
  int turned_ = 0;  // Transpose: the dimension that is contiguous in src
  Shape dims_;
  Strides src_, dst_;
  int64_t src_offset_ = 0, dst_offset_ = 0;
};

// dst rows of `cols` elements of 4 bytes: dst[c * dst_stride + r] = src[r * src_stride + c]. `past_caches`: the whole
// is larger than the caches, dst need not stay in them; the caller flushes the stores (hwy::FlushStream).
void transpose_tile_32(const uint32_t* src, int64_t src_stride, uint32_t* dst, int64_t dst_stride, int64_t rows,
                       int64_t cols, bool past_caches);

}  // namespace fastort::kernels
