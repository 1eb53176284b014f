// Operators that ONNX never released, which old exporters wrote all the same.
#include <limits>
#include <vector>

#include "onnx/lift.h"

namespace fastort {
namespace {

constexpr int kEveryOpset = std::numeric_limits<int>::max();

ValueId number(Lift& lift, const char* attribute, float fallback) {
  return lift.scalar_like(lift.attributes().get_float(attribute, fallback), lift.input(0));
}

// alpha * x + beta
void affine(Lift& lift) {
  const ValueId scaled = lift.emit("Mul", {lift.input(0), number(lift, "alpha", 1)});
  lift.become("Add", {scaled, number(lift, "beta", 0)});
}

// alpha * tanh(beta * x)
void scaled_tanh(Lift& lift) {
  const ValueId alpha = number(lift, "alpha", 1);
  lift.become("Mul", {lift.emit("Tanh", {lift.emit("Mul", {lift.input(0), number(lift, "beta", 1)})}), alpha});
}

// alpha * softplus(beta * x)
void parametric_softplus(Lift& lift) {
  const ValueId alpha = number(lift, "alpha", 1);
  lift.become("Mul", {lift.emit("Softplus", {lift.emit("Mul", {lift.input(0), number(lift, "beta", 1)})}), alpha});
}

void scale(Lift& lift) { lift.become("Mul", {lift.input(0), number(lift, "scale", 1)}); }

// scale * x + bias, one bias for each channel of [N,C,H,W].
void image_scaler(Lift& lift) {
  const std::vector<float> bias = lift.attributes().get_floats("bias");
  const auto channels = static_cast<int64_t>(bias.size());
  const ValueId scaled = lift.emit("Mul", {lift.input(0), number(lift, "scale", 1)});
  if (bias.empty()) {
    lift.become("Identity", {scaled});
    return;
  }
  const Tensor per_channel = Tensor::vector<float>(bias).reshaped({1, channels, 1, 1});
  lift.become("Add", {scaled, lift.emit("CastLike", {lift.constant(per_channel), lift.input(0)})});
}

// Cuts `border` (left, top, right, bottom) off the picture; with `scale` the result has that height and width.
void crop(Lift& lift) {
  const std::vector<int64_t> border = lift.attributes().get_ints("border");
  const std::vector<int64_t> size = lift.attributes().get_ints("scale");
  if (border.size() != 4 || (!size.empty() && size.size() != 2))
    lift.unsupported("'border' must have four items and 'scale' two");
  for (const int64_t item : border)
    if (item < 0) lift.unsupported("'border' is negative");
  const auto end = [](int64_t cut) { return cut == 0 ? std::numeric_limits<int64_t>::max() : -cut; };
  const int64_t bottom = size.empty() ? end(border[3]) : border[1] + size[0];
  const int64_t right = size.empty() ? end(border[2]) : border[0] + size[1];
  lift.become("Slice",
              {lift.input(0), lift.ints({border[1], border[0]}), lift.ints({bottom, right}), lift.ints({2, 3})});
}

// Before it was released with axes, it had a flag for the channels.
void mean_variance_normalization(Lift& lift) {
  if (lift.attributes().has("axes")) return;
  if (lift.attributes().get_int("normalize_variance", 1) == 0) lift.unsupported("'normalize_variance' = 0");
  const bool across = lift.attributes().get_int("across_channels", 0) != 0;
  const std::vector<int64_t> axes = across ? std::vector<int64_t>{1, 2, 3} : std::vector<int64_t>{2, 3};
  lift.become("MeanVarianceNormalization", {lift.input(0)}, {{"axes", axes}});
}

constexpr LiftRow kRows[] = {
    {"", "Affine", kEveryOpset, affine},
    {"", "Crop", kEveryOpset, crop},
    {"", "ImageScaler", kEveryOpset, image_scaler},
    {"", "MeanVarianceNormalization", 9, mean_variance_normalization},
    {"", "ParametricSoftplus", kEveryOpset, parametric_softplus},
    {"", "Scale", kEveryOpset, scale},
    {"", "ScaledTanh", kEveryOpset, scaled_tanh},
};

}  // namespace

std::span<const LiftRow> experimental_lifts() { return kRows; }

}  // namespace fastort
