// Gradient of ai.onnx.preview.training: the nodes between xs and y, differentiated backwards.
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "onnx/derivatives.h"
#include "onnx/text.h"

namespace fastort {
namespace {

using Values = std::unordered_map<ValueId, ValueId>;
using ValueSet = std::unordered_set<ValueId>;

class Differentiation {
 public:
  explicit Differentiation(Lift& lift) : lift_(lift), graph_(lift.builder().graph()) {
    y_ = named(lift.attributes().get_string("y", ""));
    for (const std::string& name : lift.attributes().get_strings("xs")) xs_.push_back(named(name));
    variables_ = xs_;
    for (const std::string& name : lift.attributes().get_strings("zs")) variables_.push_back(named(name));
    if (lift.node.inputs.size() != variables_.size())
      lift.unsupported("it has " + std::to_string(lift.node.inputs.size()) + " inputs for the " +
                       std::to_string(variables_.size()) + " names in xs and zs");
    if (lift.node.outputs.size() > xs_.size()) lift.unsupported("it has more outputs than names in xs");
  }

  // The derivative of y by each of xs, at the values that the node is given for xs and zs.
  std::vector<ValueId> run() {
    std::vector<Node> path = nodes_to_y();
    at_given_values(path);
    check_float(y_);
    const ValueSet wanted = depending_on_xs(path);
    sum_[y_] = lift_.emit("Expand", {lift_.scalar_like(1, y_), lift_.emit("Shape", {y_})});
    for (size_t i = path.size(); i-- > 0;) differentiate(path[i], wanted);
    std::vector<ValueId> gradients;
    for (const ValueId x : xs_) {
      check_float(x);
      const auto found = sum_.find(x);
      gradients.push_back(found != sum_.end()
                              ? found->second
                              : lift_.emit("Expand", {lift_.scalar_like(0, x), lift_.emit("Shape", {x})}));
    }
    return gradients;
  }

 private:
  ValueId named(const std::string& name) {
    const ValueId id = graph_.find(clean_utf8(name));
    if (id == kNoValue) lift_.unsupported("'" + name + "' is no value of the graph that it stands in");
    return id;
  }

  void check_float(ValueId id) {
    if (!kFloatTypes.has(lift_.element(id)))
      lift_.unsupported("'" + graph_.value(id).name + "' is not known to hold floating-point numbers");
  }

  // The nodes that y is computed by, in order, up to the variables.
  std::vector<Node> nodes_to_y() const {
    const ValueSet variables(variables_.begin(), variables_.end());
    ValueSet needed{y_};
    std::vector<Node> path;
    for (size_t i = graph_.nodes.size(); i-- > 0;) {
      const Node& node = graph_.nodes[i];
      bool makes = false;
      for (const ValueId id : node.outputs) makes |= needed.contains(id) && !variables.contains(id);
      if (!makes) continue;
      path.push_back(node);
      for (const ValueId id : node.inputs)
        if (id != kNoValue) needed.insert(id);
    }
    return {path.rbegin(), path.rend()};
  }

  // Where a variable is given another value than its own, what depends on it is computed anew.
  void at_given_values(std::vector<Node>& path) {
    Values given;
    for (size_t i = 0; i < variables_.size(); ++i) {
      const ValueId value = lift_.node.inputs[i];
      if (value == kNoValue) lift_.unsupported("'" + graph_.value(variables_[i]).name + "' is given no value");
      given[variables_[i]] = value;
    }
    const auto at = [&](ValueId id) {
      const auto found = given.find(id);
      return found == given.end() ? id : found->second;
    };
    for (Node& node : path) {
      bool changed = false;
      for (ValueId& id : node.inputs) {
        changed |= at(id) != id;
        id = at(id);
      }
      if (!changed) continue;
      if (node.captures != 0) lift_.unsupported(describe(node) + " cannot be computed at another value");
      for (ValueId& id : node.outputs) {
        if (id == kNoValue) continue;
        const ValueId anew = lift_.fresh();
        given.try_emplace(id, anew);  // a variable stays what it is given
        id = anew;
      }
      lift_.append(node);
    }
    y_ = at(y_);
    for (ValueId& x : xs_) x = at(x);
  }

  ValueSet depending_on_xs(const std::vector<Node>& path) const {
    const auto zs = lift_.node.inputs.begin() + static_cast<ptrdiff_t>(xs_.size());
    const ValueSet fixed(zs, lift_.node.inputs.end());
    ValueSet depending(xs_.begin(), xs_.end());
    for (const Node& node : path) {
      bool reads = false;
      for (const ValueId id : node.inputs) reads |= depending.contains(id);
      for (const ValueId id : node.outputs)
        if (reads && id != kNoValue && !fixed.contains(id)) depending.insert(id);
    }
    return depending;
  }

  void differentiate(const Node& node, const ValueSet& wanted) {
    std::vector<ValueId> output_gradients;
    bool matters = false;
    for (const ValueId id : node.outputs) {
      const auto found = sum_.find(id);
      output_gradients.push_back(found == sum_.end() ? kNoValue : found->second);
      matters |= found != sum_.end();
    }
    std::vector<bool> wants;
    bool any = false;
    for (const ValueId id : node.inputs) {
      // Nothing is differentiable by integers, such as a shape or the result of a cast.
      wants.push_back(wanted.contains(id) && kFloatTypes.has(lift_.element(id)));
      any |= wants.back();
    }
    if (!matters || !any) return;
    const DerivativeRule rule = find_derivative(node.domain, node.op_type);
    if (rule == nullptr) lift_.unsupported("the derivative of " + describe(node) + " is not supported");
    Derivative derivative(lift_, node, std::move(output_gradients), wants);
    rule(derivative);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId gradient = derivative.gradients()[i];
      if (gradient == kNoValue || !wants[i]) continue;
      ValueId& sum = sum_.try_emplace(node.inputs[i], kNoValue).first->second;
      sum = sum == kNoValue ? gradient : lift_.emit("Add", {sum, gradient});
    }
  }

  Lift& lift_;
  const Graph& graph_;
  ValueId y_ = kNoValue;
  std::vector<ValueId> xs_, variables_;
  Values sum_;  // the derivative of y by each value, as far as it is known
};

void gradient_1(Lift& lift) {
  const std::vector<ValueId> gradients = Differentiation(lift).run();
  const std::vector<ValueId> outputs = lift.node.outputs;
  size_t first = 0;
  while (first + 1 < outputs.size() && outputs[first] == kNoValue) ++first;
  for (size_t i = first + 1; i < outputs.size(); ++i)
    if (outputs[i] != kNoValue) lift.after.push_back(lift.make("Identity", {gradients[i]}, {outputs[i]}));
  lift.become("Identity", {gradients[first]});
  lift.node.domain.clear();
  lift.node.outputs = {outputs[first]};
}

// There is no later form: the row serves every node.
constexpr LiftRow kRows[] = {{"ai.onnx.preview.training", "Gradient", 1 << 30, gradient_1}};

}  // namespace

std::span<const LiftRow> gradient_lifts() { return kRows; }

}  // namespace fastort
