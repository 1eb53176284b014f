// Sampling of pictures: Upsample and Resize, and defaults that changed.
#include <algorithm>
#include <string>

#include "onnx/lift.h"

namespace fastort {
namespace {

void upsample_10(Lift& lift) { lift.node.op_type = "Resize"; }

// Opset 10 scaled about the first element; its nearest neighbour is the next one where the picture shrinks.
void resize_11(Lift& lift) {
  const ValueId scales = lift.input(1);
  lift.set_input(1, kNoValue);
  lift.set_input(2, scales);
  std::string mode = lift.attributes().get_string("mode", "nearest");
  if (mode == "bilinear") mode = "linear";
  lift.attributes().set("mode", mode);
  lift.attributes().set("coordinate_transformation_mode", std::string("asymmetric"));
  if (mode != "nearest") return;
  const Tensor* value = lift.value(scales);
  bool shrinks = false;
  if (value != nullptr && value->type() == DataType::Float) {
    const auto items = value->span<float>();
    shrinks = std::any_of(items.begin(), items.end(), [](float scale) { return scale < 1; }) &&
              std::all_of(items.begin(), items.end(), [](float scale) { return scale <= 1; });
  }
  lift.attributes().set("nearest_mode", std::string(shrinks ? "ceil" : "floor"));
}

// In opsets 11 and 12 inputs that are not needed had to be given, and were empty.
void resize_13(Lift& lift) {
  for (int i = 1; i < lift.node.num_inputs(); ++i) {
    const Tensor* value = lift.value(lift.input(i));
    if (value != nullptr && value->count() == 0) lift.set_input(i, kNoValue);
  }
  if (lift.has_input(3)) lift.set_input(2, kNoValue);
}

void roi_align_16(Lift& lift) {
  lift.attributes().set("coordinate_transformation_mode", std::string("output_half_pixel"));
}

void grid_sample_20(Lift& lift) {
  const std::string mode = lift.attributes().get_string("mode", "bilinear");
  lift.attributes().set("mode", mode == "bilinear" ? std::string("linear") : mode == "bicubic" ? "cubic" : mode);
}

constexpr LiftRow kRows[] = {
    {"", "Upsample", 10, upsample_10},  {"", "Resize", 11, resize_11},          {"", "Resize", 13, resize_13},
    {"", "RoiAlign", 16, roi_align_16}, {"", "GridSample", 20, grid_sample_20},
};

}  // namespace

std::span<const LiftRow> resize_lifts() { return kRows; }

}  // namespace fastort
