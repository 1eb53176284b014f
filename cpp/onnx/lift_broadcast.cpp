// The explicit broadcasting of opsets 1 to 6: the second input's dimensions lie at `axis` of the first one's.
#include <numeric>
#include <vector>

#include "onnx/lift.h"

namespace fastort {
namespace {

// The shape of `b` with as many ones behind it as make its dimensions start at `axis` of `a`.
ValueId aligned_shape(Lift& lift, ValueId a, ValueId b, int64_t axis) {
  const ValueId shape_a = lift.emit("Shape", {a});
  const ValueId shape_b = lift.emit("Shape", {b});
  const ValueId rank_a = lift.emit("Shape", {shape_a});
  const ValueId rank_b = lift.emit("Shape", {shape_b});
  // A negative axis counts from the end of `a`: rank_a - (rank_a + axis) - rank_b.
  const ValueId behind = axis >= 0 ? lift.emit("Sub", {rank_a, lift.ints({axis})}) : lift.ints({-axis});
  const ValueId missing = lift.emit("Sub", {behind, rank_b});
  const ValueId ones = lift.emit("Expand", {lift.ints({1}), missing});
  return lift.emit("Concat", {shape_b, ones}, {{"axis", int64_t{0}}});
}

void broadcast(Lift& lift) {
  Attributes& attributes = lift.attributes();
  attributes.erase("consumed_inputs");
  const bool enabled = attributes.get_int("broadcast", 0) != 0;
  const bool has_axis = attributes.has("axis");
  const int64_t axis = attributes.get_int("axis", 0);
  attributes.erase("broadcast");
  attributes.erase("axis");
  if (!enabled || !has_axis) return;  // aligned at the end: as broadcasting is now
  const ValueId a = lift.input(0);
  const ValueId b = lift.input(1);
  const int rank_a = lift.rank(a);
  const int rank_b = lift.rank(b);
  if (rank_a < 0 || rank_b < 0) {
    lift.set_input(1, lift.emit("Reshape", {b, aligned_shape(lift, a, b, axis)}));
    return;
  }
  const int64_t missing = rank_a - (axis < 0 ? axis + rank_a : axis) - rank_b;
  if (missing < 0) lift.unsupported("'axis' puts the second input outside the first one's dimensions");
  if (missing == 0) return;
  std::vector<int64_t> axes(static_cast<size_t>(missing));
  std::iota(axes.begin(), axes.end(), int64_t{rank_b});
  lift.set_input(1, lift.emit("Unsqueeze", {b, lift.ints(axes)}));
}

// A slope of one dimension stood for the channels.
void prelu(Lift& lift) {
  lift.attributes().erase("consumed_inputs");
  const ValueId slope = lift.input(1);
  const int rank = lift.rank(lift.input(0));
  const Tensor* value = lift.value(slope);
  if ((value != nullptr && value->count() == 1) || (rank >= 0 && rank <= 2)) return;
  const ValueId per_channel = rank < 0 ? aligned_shape(lift, lift.input(0), slope, 1) : kNoValue;
  if (per_channel != kNoValue) {
    lift.set_input(1, lift.emit("Reshape", {slope, per_channel}));
    return;
  }
  std::vector<int64_t> axes(static_cast<size_t>(rank - 2));
  std::iota(axes.begin(), axes.end(), int64_t{1});
  lift.set_input(1, lift.emit("Unsqueeze", {slope, lift.ints(axes)}));
}

void gemm(Lift& lift) { lift.attributes().erase("broadcast"); }

constexpr LiftRow kRows[] = {
    {"", "Add", 7, broadcast},   {"", "Sub", 7, broadcast},  {"", "Mul", 7, broadcast},     {"", "Div", 7, broadcast},
    {"", "Pow", 7, broadcast},   {"", "And", 7, broadcast},  {"", "Or", 7, broadcast},      {"", "Xor", 7, broadcast},
    {"", "Equal", 7, broadcast}, {"", "Less", 7, broadcast}, {"", "Greater", 7, broadcast}, {"", "PRelu", 7, prelu},
    {"", "Gemm", 7, gemm},
};

}  // namespace

std::span<const LiftRow> broadcast_lifts() { return kRows; }

}  // namespace fastort
