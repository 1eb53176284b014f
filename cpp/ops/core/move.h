#pragma once

#include "kernels/move/strided_copy.h"
#include "ops/op.h"

namespace fastort {

// Copies input 0 to output 0: what the operators flagged kView do where the plan does not alias the memory.
extern const std::span<const Candidate> kCopyOnly;

// Elements that are added and weighted; complex numbers too, but no strings.
inline constexpr TypeMask kSummed = kNumericTypes | TypeMask{DataType::Bool, DataType::Complex64, DataType::Complex128};

// Throws NotImplemented with the node and the type of input 0 where that is not among `types`.
void require_types(const InferContext& context, TypeMask types, const char* what);

// The dimensions of a tensor's memory, outermost first ([N,C/8,H,W,8] for C8), and where one of the tensor's axes
// stands among them (the channels' blocks for axis 1).
Shape memory_dims(const Shape& shape, Layout layout);
int memory_axis(int axis, int rank, Layout layout);

// Where `index` stands in a dimension of `size`, negative ones counted from the back; throws InvalidArgument with
// `what` ("Gather: indices") in front.
[[noreturn]] void index_out_of_range(const char* what, int64_t index, int64_t size);
inline int64_t checked_index(const char* what, int64_t index, int64_t size) {
  if (index < -size || index >= size) index_out_of_range(what, index, size);
  return index < 0 ? index + size : index;
}

// Axes counted from the front; throws InvalidGraph where one is out of range or given twice.
InlineVector<int, 8> checked_axes(const Node& node, std::span<const int64_t> axes, int rank);

// The element type that an attribute names, or `fallback` where it is absent; throws InvalidGraph where it is no type.
DataType type_attribute(const Node& node, std::string_view name, DataType fallback);

// A shape of this rank with sizes about which nothing is known.
Shape unknown_shape(const InferContext& context, int64_t rank);

// The product of sizes [begin, end).
Dim product(const InferContext& context, const Shape& shape, int begin, int end);

// The number of items of an integer vector at input i, where it is known.
std::optional<int64_t> vector_length(const InferContext& context, int i);

// The tensor that a kernel needs at one of its inputs; throws InvalidArgument where there is a sequence or nothing.
const Tensor& tensor_of(const Value& value, const char* op);

// The only item of a constant scalar or one-element tensor of any real type.
double scalar_as_double(const Tensor& tensor);
int64_t scalar_as_int(const Tensor& tensor);

// Item i of an array of any real type, as a whole number (fractions are cut off).
int64_t number_at(DataType type, const std::byte* data, int64_t i);

// A scalar of any real type that holds `value`.
Tensor number_as(DataType type, double value);

}  // namespace fastort
