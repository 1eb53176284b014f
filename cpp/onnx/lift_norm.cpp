// Normalisation and softmax: axes that meant another thing, modes that were attributes.
#include <vector>

#include "onnx/lift.h"

namespace fastort {
namespace {

// Before opset 13 the input was taken as a matrix whose rows are the dimensions in front of `axis`.
void softmax(Lift& lift) {
  const int64_t axis = lift.attributes().get_int("axis", 1);
  const ValueId data = lift.input(0);
  const int rank = lift.rank(data);
  if (axis == -1 || (rank > 0 && axis == rank - 1)) {
    lift.attributes().set("axis", int64_t{-1});
    return;
  }
  const ValueId rows = lift.emit("Flatten", {data}, {{"axis", axis}});
  const ValueId normalized = lift.emit(lift.node.op_type, {rows}, {{"axis", int64_t{-1}}});
  // A dimension of size zero is a zero, not a copy of the matrix's.
  lift.become("Reshape", {normalized, lift.emit("Shape", {data})}, {{"allowzero", int64_t{1}}});
}

// Statistics for each place rather than for each channel.
void per_place(Lift& lift) {
  const ValueId epsilon = lift.scalar_like(lift.attributes().get_float("epsilon", 1e-5f), lift.input(0));
  const ValueId deviation = lift.emit("Sqrt", {lift.emit("Add", {lift.input(4), epsilon})});
  const ValueId centred = lift.emit("Sub", {lift.input(0), lift.input(3)});
  const ValueId scaled = lift.emit("Mul", {lift.emit("Div", {centred, deviation}), lift.input(1)});
  lift.become("Add", {scaled, lift.input(2)});
}

void batch_norm_6(Lift& lift) { lift.attributes().erase("consumed_inputs"); }

void batch_norm_7(Lift& lift) {
  // Until opset 6 `is_test` said so; the number of outputs does as well and is what exporters got right.
  lift.attributes().erase("is_test");
}

void batch_norm_9(Lift& lift) {
  const bool spatial = lift.attributes().get_int("spatial", 1) != 0;
  lift.attributes().erase("spatial");
  if (spatial) return;
  if (lift.node.outputs.size() > 1) lift.unsupported("training with 'spatial' = 0 is not supported");
  per_place(lift);
}

void batch_norm_14(Lift& lift) {
  std::vector<ValueId>& outputs = lift.node.outputs;
  if (outputs.size() <= 1) return;
  if (lift.node.has_output(3) || lift.node.has_output(4))
    lift.unsupported("the outputs 'saved_mean' and 'saved_var' are not supported");
  outputs.resize(3, kNoValue);
  lift.attributes().set("training_mode", int64_t{1});
}

// Scale and bias of each group become those of each of its channels.
void group_norm(Lift& lift) {
  const int64_t groups = lift.attributes().get_int("num_groups");
  const ValueId channels = lift.emit("Shape", {lift.input(0)}, {{"start", int64_t{1}}, {"end", int64_t{2}}});
  const ValueId per_group = lift.emit("Div", {channels, lift.ints({groups})});
  const ValueId spread = lift.emit("Concat", {lift.ints({groups}), per_group}, {{"axis", int64_t{0}}});
  for (int i = 1; i <= 2; ++i) {
    const ValueId column = lift.emit("Reshape", {lift.input(i), lift.ints({groups, 1})});
    lift.set_input(i, lift.emit("Reshape", {lift.emit("Expand", {column, spread}), lift.ints({-1})}));
  }
}

// Until opset 6 `is_test` = 0 asked for random drops; a model is run here, so nothing is dropped.
void dropout_7(Lift& lift) {
  lift.attributes().erase("consumed_inputs");
  lift.attributes().erase("is_test");
}

// Until opset 9 the mask had the type of the data.
void dropout_10(Lift& lift) {
  if (!lift.node.has_output(1)) return;
  const ValueId mask = lift.fresh();
  lift.after.push_back(lift.make("CastLike", {mask, lift.input(0)}, {lift.node.outputs[1]}));
  lift.node.outputs[1] = mask;
}

void dropout_12(Lift& lift) {
  const float ratio = lift.attributes().get_float("ratio", 0.5f);
  lift.attributes().erase("ratio");
  lift.set_input(1, lift.constant(Tensor::scalar<float>(ratio)));
}

constexpr LiftRow kRows[] = {
    {"", "Softmax", 13, softmax},
    {"", "LogSoftmax", 13, softmax},
    {"", "Hardmax", 13, softmax},
    {"", "BatchNormalization", 6, batch_norm_6},
    {"", "BatchNormalization", 7, batch_norm_7},
    {"", "BatchNormalization", 9, batch_norm_9},
    {"", "BatchNormalization", 14, batch_norm_14},
    {"", "GroupNormalization", 21, group_norm},
    {"", "Dropout", 7, dropout_7},
    {"", "Dropout", 10, dropout_10},
    {"", "Dropout", 12, dropout_12},
};

}  // namespace

std::span<const LiftRow> norm_lifts() { return kRows; }

}  // namespace fastort
