// Attributes that were renamed, retyped or dropped, and defaults that changed.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "onnx/lift.h"

namespace fastort {
namespace {

// A hint about memory of opsets 1 to 5.
void drop_consumed_inputs(Lift& lift) { lift.attributes().erase("consumed_inputs"); }

void cast_6(Lift& lift) {
  static constexpr std::array<std::string_view, 17> kNames = {
      "UNDEFINED", "FLOAT",   "UINT8",  "INT8",   "UINT16", "INT16",     "INT32",      "INT64",   "STRING",
      "BOOL",      "FLOAT16", "DOUBLE", "UINT32", "UINT64", "COMPLEX64", "COMPLEX128", "BFLOAT16"};
  const std::string to = lift.attributes().get_string("to", "");
  const auto found = std::find(kNames.begin(), kNames.end(), to);
  if (found == kNames.end()) lift.unsupported("attribute 'to' names no type: '" + to + "'");
  lift.attributes().set("to", static_cast<int64_t>(found - kNames.begin()));
}

void concat_4(Lift& lift) { lift.attributes().set("axis", lift.attributes().get_int("axis", 1)); }

// The exponent p of an Lp norm was a float.
void integral_p(Lift& lift) {
  const float p = lift.attributes().get_float("p", 2);
  if (std::floor(p) != p || p < 1 || p > 1e6f) lift.unsupported("attribute 'p' must be a positive integer");
  lift.attributes().set("p", static_cast<int64_t>(p));
}

void selu_6(Lift& lift) {
  lift.attributes().erase("consumed_inputs");
  lift.attributes().set("alpha", lift.attributes().get_float("alpha", 1.6732f));
  lift.attributes().set("gamma", lift.attributes().get_float("gamma", 1.0507f));
}

void recurrent_7(Lift& lift) { lift.attributes().erase("output_sequence"); }

void scatter(Lift& lift) { lift.node.op_type = "ScatterElements"; }

constexpr LiftRow kRows[] = {
    {"", "Abs", 6, drop_consumed_inputs},
    {"", "Ceil", 6, drop_consumed_inputs},
    {"", "Elu", 6, drop_consumed_inputs},
    {"", "Exp", 6, drop_consumed_inputs},
    {"", "Floor", 6, drop_consumed_inputs},
    {"", "HardSigmoid", 6, drop_consumed_inputs},
    {"", "InstanceNormalization", 6, drop_consumed_inputs},
    {"", "LeakyRelu", 6, drop_consumed_inputs},
    {"", "Log", 6, drop_consumed_inputs},
    {"", "Max", 6, drop_consumed_inputs},
    {"", "Mean", 6, drop_consumed_inputs},
    {"", "Min", 6, drop_consumed_inputs},
    {"", "Neg", 6, drop_consumed_inputs},
    {"", "Reciprocal", 6, drop_consumed_inputs},
    {"", "Relu", 6, drop_consumed_inputs},
    {"", "Reshape", 5, drop_consumed_inputs},
    {"", "Selu", 6, selu_6},
    {"", "Sigmoid", 6, drop_consumed_inputs},
    {"", "Sqrt", 6, drop_consumed_inputs},
    {"", "Sum", 6, drop_consumed_inputs},
    {"", "Tanh", 6, drop_consumed_inputs},
    {"", "Cast", 6, cast_6},
    {"", "Concat", 4, concat_4},
    {"", "GlobalLpPool", 2, integral_p},
    {"", "LpPool", 2, integral_p},
    {"", "RNN", 7, recurrent_7},
    {"", "GRU", 7, recurrent_7},
    {"", "LSTM", 7, recurrent_7},
    {"", "Scatter", 11, scatter},
};

}  // namespace

std::span<const LiftRow> misc_lifts() { return kRows; }

}  // namespace fastort
