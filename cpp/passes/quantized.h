#pragma once

#include <optional>

#include "passes/rewrite.h"

namespace fastort {

// A tensor of bytes with constant parameters, as a DequantizeLinear reads it or a QuantizeLinear makes it.
struct Quantized {
  ValueId source = kNoValue;  // the bytes
  DataType type = DataType::Undefined;
  ValueId scale_id = kNoValue, zero_id = kNoValue;
  float scale = 1;  // of one scale for the whole tensor
  int32_t zero_point = 0;

  bool same_parameters(const Quantized& other) const {
    return type == other.type && scale == other.scale && zero_point == other.zero_point;
  }
  // The zero point as an input; a constant zero where it was left out.
  ValueId zero(Graph& graph) const;
};

// The bytes behind a value that a DequantizeLinear to float makes with one constant scale and zero point.
std::optional<Quantized> find_quantized(Sweep& sweep, ValueId id);

// The same for constant bytes whose scales may lie along `axis` (negative: from the end).
std::optional<Quantized> find_quantized_weights(Sweep& sweep, ValueId id, int axis);

// What a QuantizeLinear of floats to bytes makes, with one constant scale and zero point; nothing for other nodes.
std::optional<Quantized> find_quantization(const Sweep& sweep, const Node& node);

// A constant of floats, or one that a DequantizeLinear of a constant makes.
std::optional<Tensor> constant_floats(Sweep& sweep, ValueId id);

}  // namespace fastort
