#include "kernels/elementwise/binary_loops.h"
#include "kernels/elementwise/types.h"

namespace fastort::kernels {
namespace {

template <class T>
BinaryFns compare(BinaryOp op) {
  switch (op) {
    case BinaryOp::Equal:
      return binary_loops<T, bool>([](T a, T b) { return a == b; });
    case BinaryOp::Less:
      return binary_loops<T, bool>([](T a, T b) { return a < b; });
    case BinaryOp::LessOrEqual:
      return binary_loops<T, bool>([](T a, T b) { return a <= b; });
    case BinaryOp::Greater:
      return binary_loops<T, bool>([](T a, T b) { return a > b; });
    case BinaryOp::GreaterOrEqual:
      return binary_loops<T, bool>([](T a, T b) { return a >= b; });
    default:
      return {};
  }
}

}  // namespace

BinaryFns comparison(BinaryOp op, DataType type) {
  if (type == DataType::Bool) {
    if (op != BinaryOp::Equal) return {};
    return binary_loops<uint8_t, bool>([](uint8_t a, uint8_t b) { return (a != 0) == (b != 0); });
  }
  if (type == DataType::Float) return vector_comparison_f32(op);
  return dispatch(Joined<TypeList<double>, IntList>{}, type,
                  [&](auto tag) { return compare<typename decltype(tag)::type>(op); });
}

}  // namespace fastort::kernels
