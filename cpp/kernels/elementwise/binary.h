#pragma once

#include <cstdint>
#include <optional>

#include "tensor/data_type.h"

namespace fastort::kernels {

// Functions of two elements of one type. Integers wrap around; division and remainder by zero give 0.
enum class BinaryOp : uint8_t {
#define BINARY(name, ...) name,
#include "kernels/elementwise/functions.def"
  BitAnd,
  BitOr,
  BitXor,
  ShiftLeft,  // an amount that is negative or too large shifts everything out
  ShiftRight,
  And,  // bool
  Or,
  Xor,
  Equal,  // this one and what follows give bool
  Less,
  LessOrEqual,
  Greater,
  GreaterOrEqual,
};
constexpr bool is_comparison(BinaryOp op) { return op >= BinaryOp::Equal; }

using BinaryFn = void (*)(const void* a, const void* b, void* dst, int64_t n);

// One loop for each way in which the operands come: v for a vector, s for one element.
struct BinaryFns {
  BinaryFn vv = nullptr;
  BinaryFn vs = nullptr;
  BinaryFn sv = nullptr;
};

// The arithmetic of float32 in vectors of the best instruction set of this machine; empty for other functions.
BinaryFns vector_binary_f32(BinaryOp op);
BinaryFns vector_comparison_f32(BinaryOp op);  // `op` is a comparison
// Everything else.
BinaryFns scalar_binary(BinaryOp op, DataType type);
BinaryFns comparison(BinaryOp op, DataType type);

// A function of two operands of one type; float16 and bfloat16 are computed in float32. `dst` may be `a` or `b`.
class Binary {
 public:
  static std::optional<Binary> find(BinaryOp op, DataType type);
  void operator()(bool a_vector, bool b_vector, const void* a, const void* b, void* dst, int64_t n) const {
    if (is_half()) return run_half(a_vector, b_vector, a, b, dst, n);
    if (!a_vector && !b_vector && n > 1) return repeat(a, b, dst, n);
    fn(a_vector, b_vector)(a, b, dst, n);
  }
  int64_t grain() const { return op_ == BinaryOp::Pow || op_ == BinaryOp::ModFloor || is_half() ? 4096 : 16384; }
  BinaryOp op() const { return op_; }

 private:
  Binary(BinaryOp op, DataType type, BinaryFns fns) : op_(op), type_(type), fns_(fns) {}
  bool is_half() const { return type_ == DataType::Float16 || type_ == DataType::BFloat16; }
  BinaryFn fn(bool a_vector, bool b_vector) const {
    return a_vector && b_vector ? fns_.vv : b_vector ? fns_.sv : fns_.vs;
  }
  void run_half(bool a_vector, bool b_vector, const void* a, const void* b, void* dst, int64_t n) const;
  // Two single elements make one result, however often it is wanted.
  void repeat(const void* a, const void* b, void* dst, int64_t n) const;

  BinaryOp op_;
  DataType type_;
  BinaryFns fns_;
};

// base^exponent for operands of different types, `n` elements; `base_step` and `exponent_step` are 0 or 1.
using PowFn = void (*)(const void* base, int64_t base_step, DataType exponent_type, const void* exponent,
                       int64_t exponent_step, void* dst, int64_t n);
PowFn mixed_pow(DataType base);

}  // namespace fastort::kernels
