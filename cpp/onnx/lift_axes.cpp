// Attributes that became inputs.
#include <vector>

#include "onnx/lift.h"

namespace fastort {
namespace {

// An empty or absent list reduces all axes, as an absent input does.
void reduce(Lift& lift) {
  if (lift.attributes().get_ints("axes").empty())
    lift.attributes().erase("axes");
  else
    lift.ints_to_input("axes", 1);
}

void axes(Lift& lift) { lift.ints_to_input("axes", 1); }

// Opset 1 took the sizes as an attribute or as an input.
void split_1(Lift& lift) { lift.ints_to_input("split", 1); }

void split_13(Lift& lift) {
  if (!lift.has_input(1) && !lift.attributes().has("num_outputs"))
    lift.attributes().set("num_outputs", static_cast<int64_t>(lift.node.outputs.size()));
}

void slice(Lift& lift) {
  lift.ints_to_input("starts", 1);
  lift.ints_to_input("ends", 2);
  lift.ints_to_input("axes", 3);
}

void top_k(Lift& lift) {
  lift.set_input(1, lift.ints({lift.attributes().get_int("k")}));
  lift.attributes().erase("k");
}

void reshape(Lift& lift) { lift.ints_to_input("shape", 1); }

void clip_1(Lift& lift) {
  // Bounds that are left out did not exist before opset 6 and are the type's own limits from then on: the same.
  lift.attributes().erase("consumed_inputs");
}

void clip_6(Lift& lift) {
  const char* const names[] = {"min", "max"};
  for (int i = 0; i < 2; ++i) {
    if (!lift.attributes().has(names[i])) continue;
    const float bound = lift.attributes().get_float(names[i], 0);
    lift.attributes().erase(names[i]);
    lift.set_input(i + 1, lift.scalar_like(bound, lift.input(0)));
  }
}

void pad_1(Lift& lift) {
  lift.attributes().set("pads", lift.attributes().get_ints("paddings"));
  lift.attributes().erase("paddings");
}

void pad_2(Lift& lift) {
  lift.ints_to_input("pads", 1);
  const float fill = lift.attributes().get_float("value", 0);
  lift.attributes().erase("value");
  if (fill != 0) lift.set_input(2, lift.scalar_like(fill, lift.input(0)));
}

// Opset 1 took one axis and its number of tiles as two inputs.
void tile(Lift& lift) {
  const ValueId data = lift.input(0);
  ValueId tiles = lift.input(1);
  const ValueId axis = lift.input(2);
  if (tiles == kNoValue || axis == kNoValue) lift.unsupported("needs the inputs 'tiles' and 'axis'");
  const ValueId one = lift.ints({1});
  const auto as_int64_vector = [&](ValueId id) {
    return lift.emit("Reshape", {lift.emit("Cast", {id}, {{"to", int64_t{7}}}), one});
  };
  const ValueId ones = lift.emit("Expand", {one, lift.emit("Shape", {lift.emit("Shape", {data})})});
  const ValueId repeats = lift.emit("ScatterElements", {ones, as_int64_vector(axis), as_int64_vector(tiles)});
  lift.become("Tile", {data, repeats});
}

void upsample_1(Lift& lift) {
  const float height = lift.attributes().get_float("height_scale", 1);
  const float width = lift.attributes().get_float("width_scale", 1);
  lift.attributes().erase("height_scale");
  lift.attributes().erase("width_scale");
  if (lift.attributes().get_string("mode", "nearest") == "bilinear")
    lift.attributes().set("mode", std::string("linear"));
  lift.attributes().set("scales", std::vector<float>{1, 1, height, width});
}

void upsample_7(Lift& lift) {
  const std::vector<float> scales = lift.attributes().get_floats("scales");
  lift.attributes().erase("scales");
  lift.set_input(1, lift.constant(Tensor::vector<float>(scales)));
}

// Before opset 20 the axis was an attribute that counted from the front.
void dft(Lift& lift) {
  const int64_t axis = lift.attributes().get_int("axis", 1);
  lift.attributes().erase("axis");
  lift.set_input(2, lift.scalar(axis));
}

constexpr LiftRow kRows[] = {
    {"", "ReduceL1", 18, reduce},
    {"", "ReduceL2", 18, reduce},
    {"", "ReduceLogSum", 18, reduce},
    {"", "ReduceLogSumExp", 18, reduce},
    {"", "ReduceMax", 18, reduce},
    {"", "ReduceMean", 18, reduce},
    {"", "ReduceMin", 18, reduce},
    {"", "ReduceProd", 18, reduce},
    {"", "ReduceSum", 13, reduce},
    {"", "ReduceSumSquare", 18, reduce},
    {"", "Squeeze", 13, axes},
    {"", "Unsqueeze", 13, axes},
    {"", "Split", 2, split_1},
    {"", "Split", 13, split_1},
    {"", "Split", 18, split_13},
    {"", "Slice", 10, slice},
    {"", "TopK", 10, top_k},
    {"", "Reshape", 5, reshape},
    {"", "Clip", 6, clip_1},
    {"", "Clip", 11, clip_6},
    {"", "Pad", 2, pad_1},
    {"", "Pad", 11, pad_2},
    {"", "Tile", 6, tile},
    {"", "Upsample", 7, upsample_1},
    {"", "Upsample", 9, upsample_7},
    {"", "DFT", 20, dft},
};

}  // namespace

std::span<const LiftRow> axes_lifts() { return kRows; }

}  // namespace fastort
