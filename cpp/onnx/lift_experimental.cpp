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

// Before it was released with axes, it had flags for the channels and for the variance. The mean is that of the batch.
void mean_variance_normalization(Lift& lift) {
  if (lift.attributes().has("axes")) return;
  const bool across = lift.attributes().get_int("across_channels", 0) != 0;
  const std::vector<int64_t> axes = across ? std::vector<int64_t>{0, 1, 2, 3} : std::vector<int64_t>{0, 2, 3};
  if (lift.attributes().get_int("normalize_variance", 1) == 0)
    lift.become("Sub", {lift.input(0), lift.emit("ReduceMean", {lift.input(0), lift.ints(axes)})});
  else
    lift.become("MeanVarianceNormalization", {lift.input(0)}, {{"axes", axes}});
}

ValueId as_int64(Lift& lift, ValueId id) {
  return lift.emit("Cast", {id}, {{"to", static_cast<int64_t>(DataType::Int64)}});
}

void dynamic_slice(Lift& lift) {
  std::vector<ValueId> inputs{lift.input(0)};
  for (int i = 1; i < lift.node.num_inputs(); ++i) inputs.push_back(as_int64(lift, lift.input(i)));
  lift.become("Slice", std::move(inputs));
}

// The attribute's numbers in a shape that an attribute, the input, or the input's shape gives.
void given_tensor_fill(Lift& lift) {
  const ValueId values = lift.constant(Tensor::vector<float>(lift.attributes().get_floats("values")));
  if (lift.attributes().has("shape")) {
    lift.become("Reshape", {values, lift.ints(lift.attributes().get_ints("shape"))}, {{"allowzero", int64_t{1}}});
    return;
  }
  if (!lift.has_input(0)) lift.unsupported("it has neither the attribute 'shape' nor an input");
  const bool is_shape = lift.attributes().get_int("input_as_shape", 0) != 0;
  const ValueId shape = is_shape ? as_int64(lift, lift.input(0)) : lift.emit("Shape", {lift.input(0)});
  const ValueId extra = lift.ints(lift.attributes().get_ints("extra_shape"));
  lift.become("Reshape", {values, lift.emit("Concat", {shape, extra}, {{"axis", int64_t{0}}})},
              {{"allowzero", int64_t{1}}});
}

constexpr LiftRow kRows[] = {
    {"", "Affine", kEveryOpset, affine},
    {"", "Crop", kEveryOpset, crop},
    {"", "DynamicSlice", kEveryOpset, dynamic_slice},
    {"", "GivenTensorFill", kEveryOpset, given_tensor_fill},
    {"", "ImageScaler", kEveryOpset, image_scaler},
    {"", "MeanVarianceNormalization", 9, mean_variance_normalization},
    {"", "ParametricSoftplus", kEveryOpset, parametric_softplus},
    {"", "Scale", kEveryOpset, scale},
    {"", "ScaledTanh", kEveryOpset, scaled_tanh},
};

}  // namespace

std::span<const LiftRow> experimental_lifts() { return kRows; }

}  // namespace fastort
