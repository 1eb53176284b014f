#pragma once

#include "base/parallel.h"
#include "kernels/move/strided_copy.h"
#include "tensor/data_type.h"
#include "tensor/shape.h"

namespace fastort::kernels {

// An array of int32 or int64 indices. A negative one counts from the back; one outside of the range throws
// InvalidArgument with the operator's name, the index and the range.
class Indices {
 public:
  Indices(const char* op, DataType type, const std::byte* data)
      : op_(op), wide_(type == DataType::Int64), data_(data) {}
  int64_t at(int64_t i, int64_t size) const {
    const int64_t index =
        wide_ ? reinterpret_cast<const int64_t*>(data_)[i] : reinterpret_cast<const int32_t*>(data_)[i];
    if (index < -size || index >= size) refuse(i, index, size);
    return index < 0 ? index + size : index;
  }

 private:
  [[noreturn]] void refuse(int64_t i, int64_t index, int64_t size) const;
  const char* op_;
  bool wide_;
  const std::byte* data_;
};

// dst[o, i, :] = src[o, indices[i], :] with src of [outer, size, inner] and `count` indices.
struct GatherRows {
  DataType type;
  int64_t outer, size, inner, count;
  void run(const std::byte* src, Indices indices, std::byte* dst, const Parallel& parallel) const;
};

// dst[i] = src[i with i[axis] replaced by indices[i]] over the indices' shape.
struct GatherElements {
  DataType type;
  Shape src, indices;
  int axis;
  void run(const std::byte* src_data, Indices index, std::byte* dst, const Parallel& parallel) const;
};

// Slices of `inner` elements that are named by tuples of indices: one after the other on the dense side, at
// batch * batch_stride + sum(index[d] * strides[d]) on the other, tuple t belonging to batch t / tuples_per_batch.
struct TupleSlices {
  DataType type;
  int64_t tuples, tuples_per_batch, batch_stride, inner;
  Shape sizes;      // of the dimensions that a tuple indexes
  Strides strides;  // in elements
  int64_t offset(const Indices& indices, int64_t tuple) const;
  void gather(const std::byte* src, Indices indices, std::byte* dst, const Parallel& parallel) const;
};

enum class Reduction : uint8_t { None, Add, Mul, Max, Min };

// dst[...] = reduce(dst[...], updates[...]), in the order of the updates. Throws NotImplemented for a reduction of
// strings and the like.
void scatter_elements(DataType type, Reduction reduction, const Shape& dst_shape, const Shape& update_shape, int axis,
                      Indices indices, const std::byte* updates, std::byte* dst);
void scatter_tuples(const TupleSlices& slices, Reduction reduction, Indices indices, const std::byte* updates,
                    std::byte* dst);

}  // namespace fastort::kernels
