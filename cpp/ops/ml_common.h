#pragma once

// What the operators of ai.onnx.ml share.

#include <string>
#include <vector>

#include "kernels/post_transform.h"
#include "ops/op.h"

namespace fastort {

inline constexpr TypeMask kMlTypes{DataType::Float, DataType::Double, DataType::Int64, DataType::Int32};

// Items [begin, begin + count) of an array of float, double, float16, int64 or int32 as numbers of type T.
template <class T>
void read_numbers(DataType type, const std::byte* src, int64_t begin, int64_t count, T* dst) {
  auto typed = [&]<class S>(const S* from) {
    for (int64_t i = 0; i < count; ++i) dst[i] = static_cast<T>(from[begin + i]);
  };
  switch (type) {
    case DataType::Float:
      return typed(reinterpret_cast<const float*>(src));
    case DataType::Double:
      return typed(reinterpret_cast<const double*>(src));
    case DataType::Int64:
      return typed(reinterpret_cast<const int64_t*>(src));
    case DataType::Int32:
      return typed(reinterpret_cast<const int32_t*>(src));
    case DataType::Float16:
      for (int64_t i = 0; i < count; ++i)
        dst[i] = static_cast<T>(to_float(reinterpret_cast<const Float16*>(src)[begin + i]));
      return;
    default:
      not_implemented("numbers of type " + std::string(name(type)));
  }
}

// [N, features]; one dimension is one row.
struct Rows {
  int64_t count, features;
};

template <class Context>
Rows rows_of(const Context& context) {
  const Shape& shape = context.shape(0);
  if (shape.rank() == 1) return {1, shape[0]};
  if (shape.rank() != 2) context.fail("the input must be [N, features], got " + to_string(shape));
  return {shape[0], shape[1]};
}

// The number of rows where it may be a symbol.
inline Dim row_count(const InferContext& context) {
  return context.has_shape(0) ? rows_of(context).count : context.unknown();
}

template <class Context>
kernels::PostTransform post_transform_of(const Context& context) {
  const std::string name = context.attributes().get_string("post_transform", "NONE");
  const auto transform = kernels::post_transform_named(name);
  if (!transform) context.fail("unknown post_transform \"" + name + "\"");
  return *transform;
}

// What a classifier answers: one of integers or of strings.
struct ClassLabels {
  std::vector<int64_t> ints;
  std::vector<std::string> strings;

  template <class Context>
  static ClassLabels parse(const Context& context, const char* ints_name) {
    ClassLabels labels{context.attributes().get_ints(ints_name),
                       context.attributes().get_strings("classlabels_strings")};
    if (labels.ints.empty() == labels.strings.empty())
      context.fail("exactly one of " + std::string(ints_name) + " and classlabels_strings must be given");
    return labels;
  }
  int64_t size() const { return static_cast<int64_t>(ints.size() + strings.size()); }
  DataType type() const { return strings.empty() ? DataType::Int64 : DataType::String; }
  // Class `chosen` as item `row` of output 0. Where there is a single label, class 0 is what is not it.
  void put(const KernelArgs& args, int64_t row, int64_t chosen) const {
    const bool single = size() == 1;
    const auto i = static_cast<size_t>(single ? 0 : chosen);
    if (strings.empty())
      args.out<int64_t>(0)[row] = single && chosen == 0 ? 0 : ints[i];
    else
      args.out<std::string>(0)[row] = single && chosen == 0 ? std::string() : strings[i];
  }
};

}  // namespace fastort
