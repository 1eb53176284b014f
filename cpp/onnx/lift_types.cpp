// Mixtures of element types that the standard allows and no kernel computes in: written with conversions around an
// operator of one type.
#include <limits>
#include <string>

#include "onnx/lift.h"

namespace fastort {
namespace {

constexpr int kAnyVersion = std::numeric_limits<int>::max();

ValueId cast(Lift& lift, ValueId id, DataType to) {
  return lift.emit("Cast", {id}, {{"to", static_cast<int64_t>(to)}});
}

// onnx's own body computes with the int64 of Shape and with the indices together.
void center_crop_pad(Lift& lift) {
  if (lift.element(lift.input(1)) != DataType::Int64) lift.set_input(1, cast(lift, lift.input(1), DataType::Int64));
}

// Holds all numbers of both types.
DataType common_float(DataType a, DataType b) {
  if (a == b) return a;
  return a == DataType::Double || b == DataType::Double ? DataType::Double : DataType::Float;
}

// Q and K have one type, V another, the mask a third one.
void attention(Lift& lift) {
  enum Input { kQ, kK, kV, kMask, kPastKey, kPastValue };
  const DataType query = lift.element(lift.input(kQ)), value = lift.element(lift.input(kV));
  if (!is_float(query) || !is_float(value)) return;
  const DataType common = common_float(query, value);
  const DataType mask = lift.has_input(kMask) ? lift.element(lift.input(kMask)) : DataType::Undefined;
  if (mask != DataType::Undefined && mask != DataType::Bool && mask != common)
    lift.set_input(kMask, cast(lift, lift.input(kMask), common));
  if (query == value) return;
  for (int i : {kQ, kK, kV, kPastKey, kPastValue})
    if (lift.has_input(i)) lift.set_input(i, cast(lift, lift.input(i), common));
  constexpr int kPresentValue = 2;
  for (int i = 0; i < static_cast<int>(lift.node.outputs.size()); ++i) {
    if (!lift.node.has_output(i)) continue;
    ValueId& output = lift.node.outputs[static_cast<size_t>(i)];
    const ValueId wide = lift.fresh();
    Node back = lift.make("Cast", {wide}, {output});
    back.attributes.set("to", static_cast<int64_t>(i == kPresentValue ? value : query));
    lift.after.push_back(std::move(back));
    output = wide;
  }
}

bool is_float8(DataType type) {
  return type == DataType::Float8E4M3FN || type == DataType::Float8E4M3FNUZ || type == DataType::Float8E5M2 ||
         type == DataType::Float8E5M2FNUZ;
}

// Products of float8 numbers are computed in the type of the scales. A vector of scales belongs to the rows of A and of
// the output, and to the columns of B.
void qlinear_matmul(Lift& lift) {
  enum Input { kA, kAScale, kAZero, kB, kBScale, kBZero, kYScale, kYZero };
  if (!is_float8(lift.element(lift.input(kA))) && !is_float8(lift.element(lift.input(kB))) &&
      !is_float8(lift.element(lift.input(kYZero))))
    return;
  const DataType scale = lift.element(lift.input(kAScale));
  for (int i : {kBScale, kYScale})
    if (lift.element(lift.input(i)) != scale) lift.unsupported("its scales have different types; insert a Cast");
  constexpr int64_t kRows = -2, kColumns = -1;
  const auto read = [&](int first, int64_t axis) {
    return lift.emit("DequantizeLinear", {lift.input(first), lift.input(first + 1), lift.input(first + 2)},
                     {{"axis", axis}});
  };
  const ValueId a = read(kA, kRows), b = read(kB, kColumns), product = lift.emit("MatMul", {a, b});
  lift.become("QuantizeLinear", {product, lift.input(kYScale), lift.input(kYZero)}, {{"axis", kRows}});
}

constexpr LiftRow kRows[] = {
    {"", "CenterCropPad", kAnyVersion, center_crop_pad},
    {"", "Attention", kAnyVersion, attention},
    {"", "QLinearMatMul", kAnyVersion, qlinear_matmul},
};

}  // namespace

std::span<const LiftRow> type_lifts() { return kRows; }

}  // namespace fastort
