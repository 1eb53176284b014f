#pragma once

#include <cstdint>

#include "base/parallel.h"
#include "kernels/elementwise/convert.h"

namespace fastort::kernels {

// How scales lie over a tensor seen as [outer, axis, inner]: one for all (`axis_block` 0), or one for each
// `axis_block` neighbours along the axis. With `per_inner` each inner element has its own (ONNX's blocked form).
struct ScaleGrid {
  int64_t outer = 1, axis = 1, inner = 1;
  int64_t axis_block = 0;
  bool per_inner = false;
};

// ONNX QuantizeLinear and DequantizeLinear for fixed types and shapes. Integers saturate and round half to even.
class Quantizer {
 public:
  Quantizer(DataType real, DataType scale, DataType quantized, DataType precision, bool saturate, ScaleGrid grid);

  // q = saturate(round(x / scale) + zero). `zero` may be nullptr.
  void quantize(const std::byte* x, const std::byte* scale, const std::byte* zero, std::byte* q,
                const Parallel& parallel) const;
  // x = (q - zero) * scale.
  void dequantize(const std::byte* q, const std::byte* scale, const std::byte* zero, std::byte* x,
                  const Parallel& parallel) const;

 private:
  template <class Row>
  void rows(const std::byte* scale, const std::byte* zero, const Parallel& parallel, Row row) const;

  bool integer_;
  bool bytes_ = false;  // float to or from bytes with one scale
  bool signed_ = false;
  float low_ = 0, high_ = 0;  // of an integer
  ScaleGrid grid_;
  Convert read_real_, write_real_, read_scale_, read_quantized_, write_quantized_;
  std::optional<Convert> to_precision_, from_precision_;
  size_t real_size_, scale_size_, quantized_size_;
};

}  // namespace fastort::kernels
