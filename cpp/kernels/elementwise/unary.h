#pragma once

#include <cstdint>
#include <optional>

#include "tensor/data_type.h"

namespace fastort::kernels {

// Functions of one element. `a` and `b` are the parameters of UnaryParams.
enum class UnaryOp : uint8_t {
#define UNARY(name, ...) name,
#include "kernels/elementwise/functions.def"
  kCount
};

struct UnaryParams {
  float a = 0;
  float b = 0;
};

using UnaryFn = void (*)(const void* src, void* dst, int64_t n, const UnaryParams& params);

// The function for float32, in vectors of the best instruction set of this machine.
UnaryFn unary_f32(UnaryOp op);

// A function over elements of one type; float16 and bfloat16 are computed in float32. `src` and `dst` may be equal.
class Unary {
 public:
  // Nothing where the type has no such function.
  static std::optional<Unary> find(UnaryOp op, DataType type, UnaryParams params = {});
  void operator()(const void* src, void* dst, int64_t n) const;
  // Elements that make a piece of work worth a thread.
  int64_t grain() const;
  // f(0) == 0, so that the padding of blocked layouts stays zero.
  bool keeps_zero() const;

 private:
  Unary(UnaryOp op, DataType type, UnaryFn fn, UnaryParams params) : op_(op), type_(type), fn_(fn), params_(params) {}

  UnaryOp op_;
  DataType type_;
  UnaryFn fn_;
  UnaryParams params_;
};

}  // namespace fastort::kernels
