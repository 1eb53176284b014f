#pragma once

#include <array>
#include <initializer_list>

#include "kernels/quantized/bytes.h"
#include "ops/op.h"

// Scales and zero points among the inputs of quantized operators.
namespace fastort::quantized {

inline constexpr TypeMask kBytes{DataType::Int8, DataType::UInt8};

inline bool is_signed(DataType type) { return type == DataType::Int8; }

// A pair of inputs that say what the bytes of a tensor stand for, one value each. The zero point may be left out.
class Affine {
 public:
  Affine() = default;
  // Throws InvalidGraph where the inputs are no single values of the right types.
  Affine(const OpContext& context, int scale, int zero, DataType type);

  kernels::ByteScale read(const KernelArgs& args) const;
  bool is_signed() const { return signed_; }
  // Where both are constant.
  std::optional<kernels::ByteScale> constant(const OpContext& context) const;

 private:
  int scale_ = -1, zero_ = -1;  // -1: left out
  bool signed_ = false;
};

// Throws InvalidGraph where one of the inputs is left out.
void require(const InferContext& context, std::initializer_list<int> inputs);
// Checks types while a session is made: input `i`, where it is there, is of this type.
void expect(const InferContext& context, int i, DataType type);
// Checks that a scale is float, and a zero point of the type of its tensor.
void expect_affine(const InferContext& context, int scale, int zero, DataType type);

// The items of a constant of bytes, or of zero points, as numbers; `count` of them, repeated where it is one.
std::vector<int32_t> spread_bytes(const Tensor* tensor, int64_t count);
std::vector<float> spread_floats(const Tensor& tensor, int64_t count);

// The bounds of the result of a node that may have an activation (Relu or Clip) in front of its quantization.
kernels::ByteRange read_range(const Attributes& attributes, bool is_signed, kernels::ByteScale y);

// y = f(x) on dequantized values, for each of the 256 bytes.
template <class F>
std::array<std::byte, 256> make_table(bool x_signed, kernels::ByteScale x, bool y_signed, kernels::ByteScale y, F f) {
  std::array<std::byte, 256> table;
  const auto range = kernels::ByteRange::of(y_signed, y.zero);
  for (int i = 0; i < 256; ++i) {
    const auto value = static_cast<float>(kernels::read_byte(static_cast<std::byte>(i), x_signed) - x.zero) * x.scale;
    table[static_cast<size_t>(i)] = range(f(value) / y.scale);
  }
  return table;
}

}  // namespace fastort::quantized
