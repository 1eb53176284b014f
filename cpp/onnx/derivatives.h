#pragma once

#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include "onnx/lift.h"

namespace fastort {

// What a rule sees of the node that it differentiates, and how it says what comes of that. `dy` is the derivative of
// the whole by the node's outputs; a rule gives the one by each input that is wanted.
class Derivative {
 public:
  Derivative(Lift& lift, const Node& node, std::vector<ValueId> output_gradients, std::vector<bool> wanted)
      : node(node), lift_(lift), dys_(std::move(output_gradients)), wanted_(std::move(wanted)) {
    gradients_.assign(node.inputs.size(), kNoValue);
  }

  const Node& node;

  ValueId in(int i) const { return node.has_input(i) ? node.inputs[static_cast<size_t>(i)] : kNoValue; }
  ValueId out(int i = 0) const { return node.outputs[static_cast<size_t>(i)]; }
  ValueId dy(int i = 0);  // zeros where nothing depends on the output
  bool wants(int i) const { return node.has_input(i) && wanted_[static_cast<size_t>(i)]; }
  void give(int i, ValueId gradient) { gradients_[static_cast<size_t>(i)] = gradient; }
  // As `give`, where the input was broadcast: sums over what was repeated.
  void give_summed(int i, ValueId gradient) { give(i, sum_like(gradient, in(i))); }
  const std::vector<ValueId>& gradients() const { return gradients_; }

  using AttributeList = std::initializer_list<std::pair<std::string, Attribute>>;
  ValueId op(std::string_view name, std::vector<ValueId> inputs, AttributeList attributes = {}) {
    return lift_.emit(name, std::move(inputs), attributes);
  }
  ValueId add(ValueId a, ValueId b) { return op("Add", {a, b}); }
  ValueId sub(ValueId a, ValueId b) { return op("Sub", {a, b}); }
  ValueId mul(ValueId a, ValueId b) { return op("Mul", {a, b}); }
  ValueId div(ValueId a, ValueId b) { return op("Div", {a, b}); }
  ValueId neg(ValueId a) { return op("Neg", {a}); }
  ValueId number(float value, ValueId like) { return lift_.scalar_like(value, like); }
  ValueId ints(std::initializer_list<int64_t> items) { return lift_.ints(items); }
  ValueId shape_of(ValueId id) { return op("Shape", {id}); }
  ValueId reshape_like(ValueId id, ValueId like);
  ValueId expand_like(ValueId id, ValueId like) { return op("Expand", {id, shape_of(like)}); }
  // Sums `id` over the dimensions in which `like` was broadcast.
  ValueId sum_like(ValueId id, ValueId like);
  std::vector<ValueId> split(ValueId id, ValueId sizes, int64_t axis, size_t count);

  int rank(ValueId id);  // refuses where it is not known
  // Refuses, naming the node.
  [[noreturn]] void unsupported(const std::string& why) const;

 private:
  Lift& lift_;
  std::vector<ValueId> dys_;
  std::vector<bool> wanted_;
  std::vector<ValueId> gradients_;
};

using DerivativeRule = void (*)(Derivative&);

// The rule for an operator in its newest form, or nullptr.
DerivativeRule find_derivative(std::string_view domain, std::string_view op);

}  // namespace fastort
