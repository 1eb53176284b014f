#include "plan/walk.h"

#include <algorithm>
#include <unordered_map>

#include "ops/core/evaluate.h"
#include "ops/core/infer.h"
#include "ops/core/name_error.h"
#include "plan/device_tuner.h"
#include "tensor/deferred.h"

namespace fastort {
namespace {

// Results up to this size are computed while planning where all operands are known.
constexpr size_t kMaxFoldedBytes = 64 * 1024;

class Walk {
 public:
  explicit Walk(Draft& draft) : draft_(draft) {}

  // Walks the nodes while shapes are known; decides for each whether it is folded, viewed or run.
  void walk() {
    const int count = static_cast<int>(draft_.graph.nodes.size());
    int index = draft_.plan->begin;
    for (; index < count; ++index) {
      const Node& node = draft_.graph.nodes[static_cast<size_t>(index)];
      const OpDef& op = draft_.program.op(index);
      // A view of something that is no tensor (Identity of a sequence) hands the value on.
      const bool hands_on = (op.flags & kView) && draft_.known(node.inputs[0]).state == Known::State::Held &&
                            !draft_.graph.value(node.inputs[0]).type.is_tensor();
      if (((op.flags & kDynamic) && !has_known_shapes(node, op)) || hands_on) {
        draft_.order.push_back({Item::Kind::Dynamic, index});
        if (!runs_bodies(node)) note_refusal(index, "shapes or values that only the run shows");
        draft_.fates[static_cast<size_t>(index)] = Fate::Dynamic;
        for (ValueId id : node.outputs) {
          if (id == kNoValue) continue;
          Known& entry = draft_.values[at(id)];
          entry.state = Known::State::Held;
          entry.root = id;
          entry.made_here = true;
        }
        continue;
      }
      if (!ready(node, op)) break;
      PlannedNode planned;
      const Fate fate = plan_node(index, node, op, planned);
      draft_.fates[static_cast<size_t>(index)] = fate;
      if (fate == Fate::View) draft_.order.push_back({Item::Kind::View, index});
      if (fate != Fate::Compute) continue;
      draft_.planned_at[static_cast<size_t>(index)] = static_cast<int>(draft_.planned.size());
      draft_.order.push_back({Item::Kind::Compute, index, static_cast<int>(draft_.planned.size())});
      draft_.planned.push_back(std::move(planned));
    }
    draft_.end = index;
    if (index > draft_.plan->begin) return;
    const Node& node = draft_.graph.nodes[static_cast<size_t>(index)];
    fail(ErrorCode::RuntimeException, describe(draft_.graph, node) +
                                          ": an input that it needs is a sequence, a map or an empty optional, and " +
                                          node.op_type + " takes tensors");
  }

  // The same for another plan: looks again at the nodes of which an input changed. False where one of them has another
  // fate than it had.
  bool walk_again() {
    for (int index = draft_.plan->begin; index < draft_.end; ++index) {
      bool changed = false;
      for (ValueId id : draft_.inputs_of(index)) changed |= id != kNoValue && draft_.changed[at(id)];
      if (!changed) continue;
      if (draft_.fates[static_cast<size_t>(index)] == Fate::Dynamic) {
        draft_.dynamic.erase(index);
      } else if (!plan_again(index)) {
        return false;
      }
    }
    return true;
  }

  // Puts the nodes in an order with few changes between the CPU and the device.
  void group_by_place() {
    std::unordered_map<ValueId, int> maker;  // root -> item
    std::vector<PlacedNode> nodes(draft_.order.size());
    for (size_t i = 0; i < draft_.order.size(); ++i) {
      const Item& item = draft_.order[i];
      const Node& node = draft_.graph.nodes[static_cast<size_t>(item.node)];
      nodes[i].on_device = item.kind == Item::Kind::Device;
      // A view has nothing to run: whoever reads it needs what made its memory.
      if (item.kind == Item::Kind::View) continue;
      for (ValueId id : node.inputs) {
        if (id == kNoValue) continue;
        const auto made = maker.find(draft_.known(id).root);
        if (made != maker.end()) nodes[i].needs.push_back(made->second);
      }
      for (ValueId id : node.outputs)
        if (id != kNoValue) maker[id] = static_cast<int>(i);
    }
    std::vector<Item> order;
    for (const int i : order_by_place(nodes)) order.push_back(draft_.order[static_cast<size_t>(i)]);
    draft_.order = std::move(order);
  }

 private:
  // Whether a custom operator's inference gives the shapes of all outputs.
  bool has_known_shapes(const Node& node, const OpDef& op) {
    if (!is_custom(op) || !ready(node, op)) return false;
    std::vector<ValueType> types(node.inputs.size());
    for (size_t i = 0; i < types.size(); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      const TensorDesc& desc = draft_.known(node.inputs[i]).desc;
      types[i] = ValueType::tensor(desc.type, desc.shape);
    }
    return infers_shapes(op, node, types, draft_.symbols);
  }

  // Whether all that planning the node needs is known.
  bool ready(const Node& node, const OpDef& op) {
    for (int i = 0; i < static_cast<int>(node.inputs.size()); ++i) {
      const ValueId id = node.inputs[static_cast<size_t>(i)];
      if (id == kNoValue) continue;
      const Known& entry = draft_.known(id);
      if (entry.state != Known::State::Planned) return false;
      const bool value_needed = i < 32 && (op.value_inputs >> i) & 1u;
      if (value_needed && entry.value.empty()) {
        // What was live at the start of the plan and is not known then never will be.
        if (entry.made_here) return false;
      }
    }
    return true;
  }

  bool plan_again(int index) {
    const Node& node = draft_.graph.nodes[static_cast<size_t>(index)];
    std::vector<Known> before;
    for (ValueId id : node.outputs) {
      before.emplace_back();
      if (id != kNoValue) std::swap(before.back(), draft_.values[at(id)]);
    }
    PlannedNode planned;
    const Fate fate = plan_node(index, node, draft_.program.op(index), planned);
    if (fate != draft_.fates[static_cast<size_t>(index)]) return false;
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      const ValueId id = node.outputs[i];
      if (id == kNoValue) continue;
      const Known& now = draft_.values[at(id)];
      if (now.value.empty() != before[i].value.empty() || now.root != before[i].root) return false;
      draft_.changed[at(id)] = !same(now, before[i]);
    }
    if (fate == Fate::Compute)
      draft_.planned[static_cast<size_t>(draft_.planned_at[static_cast<size_t>(index)])] = std::move(planned);
    return true;
  }

  Fate plan_node(int index, const Node& node, const OpDef& op, PlannedNode& planned) {
    std::vector<ValueType> types(node.inputs.size());
    std::vector<KnownValue> values(node.inputs.size());
    bool foldable = !(op.flags & kImpure);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      const Known& entry = draft_.known(node.inputs[i]);
      types[i] = ValueType::tensor(entry.desc.type, entry.desc.shape);
      values[i] = {entry.value.empty() ? nullptr : &entry.value, entry.dims};
      foldable &= !entry.value.empty();
    }
    InferredNode inferred = infer_node(op, node, types, values, draft_.symbols);

    planned.node = index;
    planned.op = &op;
    size_t bytes = 0;
    bool all_known = true;
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      planned.outputs.emplace_back();
      if (node.outputs[i] == kNoValue) continue;
      const ValueType& type = inferred.types[i];
      if (!type.is_concrete()) {
        fail(ErrorCode::RuntimeException, describe(draft_.graph, node) + ": the shape of its output '" +
                                              draft_.graph.value(node.outputs[i]).name + "' could not be determined");
      }
      const auto elements = checked_count(type.shape);
      if (!elements)
        invalid_graph(describe(draft_.graph, node) + ": output shape " + to_string(type.shape) + " is too large");
      planned.outputs.back() = {type.element, type.shape, Layout::Plain, nullptr};
      bytes += static_cast<size_t>(*elements) * element_size(type.element);
      Known& entry = draft_.values[at(node.outputs[i])];
      entry.state = Known::State::Planned;
      entry.root = node.outputs[i];
      entry.made_here = true;
      entry.desc = planned.outputs.back();
      entry.dims = inferred.dims[i];
      if (entry.dims && std::any_of(entry.dims->begin(), entry.dims->end(), is_symbol)) entry.dims.reset();
      if (entry.dims && type.element == DataType::Int64 && type.shape.rank() <= 1) {
        const auto& dims = *entry.dims;
        entry.value = Tensor::vector<int64_t>(std::span<const int64_t>(dims.data(), dims.size())).reshaped(type.shape);
      }
      all_known &= !entry.value.empty();
    }
    if (all_known) return Fate::Known;
    if (foldable && bytes <= kMaxFoldedBytes) {
      fold(node, op);
      return Fate::Known;
    }
    if (op.flags & kView) {
      Known& out = draft_.values[at(node.outputs[0])];
      const Known& in = draft_.known(node.inputs[0]);
      out.root = in.root;
      if (!in.value.empty()) out.value = in.value.reshaped(out.desc.shape);
      return Fate::View;
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      planned.inputs.emplace_back();
      if (node.inputs[i] == kNoValue) continue;
      const Known& entry = draft_.known(node.inputs[i]);
      planned.inputs.back() = entry.desc;
      if (!entry.value.empty() && !entry.desc.constant)
        planned.inputs.back().constant = keep(entry.value, planned.holders);
    }
    if (draft_.services->device && take_to_device(planned)) return Fate::Device;
    explain_absence(planned);
    {
      const ReadScope scope;  // neither `accepts` nor `cost` keeps an address
      list_options(draft_.graph, planned, draft_.services->options, draft_.services->packs,
                   draft_.services->choice.prefer);
    }
    return Fate::Compute;
  }

  static bool runs_bodies(const Node& node) {
    return node.domain.empty() && (node.op_type == "If" || node.op_type == "Loop" || node.op_type == "Scan");
  }

  void note_refusal(int node, const std::string& reason) {
    if (draft_.services->device) draft_.refused.emplace_back(node, reason);
  }

  // Why a body's node is left to the CPU with the others.
  void explain_absence(PlannedNode& planned) {
    const PlanServices& services = *draft_.services;
    if (services.off_device.empty()) return;
    const auto own = services.off_device_nodes.find(planned.node);
    planned.refusals.push_back(own != services.off_device_nodes.end() ? own->second : services.off_device);
  }

  // Hands the node to the device, or notes why not.
  bool take_to_device(PlannedNode& planned) {
    const Node& node = draft_.graph.nodes[static_cast<size_t>(planned.node)];
    Refusal refusal;
    for (ValueId id : node.outputs)
      if (id != kNoValue && draft_.program.needs_value(id)) refusal = "shapes depend on its result";
    if (refusal) {
      planned.refusals.push_back(std::string(draft_.services->device->name()) + ": " + *refusal);
      return false;
    }
    DeviceNode placed;
    try {
      refusal =
          place_tuned(*draft_.services->device, *planned.op, draft_.context(node, planned.inputs, planned.outputs),
                      placed.form, planned.holders, placed.notes);
    } catch (const Error& error) {
      throw name_error(error, draft_.graph, node);
    }
    if (refusal) {
      const std::string reason = std::string(draft_.services->device->name()) + ": " + *refusal;
      if (draft_.services->device->strict())
        fail(ErrorCode::EPFail, describe(draft_.graph, node) +
                                    ": strict_placement is set, and it does not run on the " + reason +
                                    ". Leave strict_placement away to have it run on the CPU");
      note_refusal(planned.node, *refusal);
      planned.refusals.push_back(reason);
      return false;
    }
    placed.node = planned.node;
    placed.inputs = std::move(planned.inputs);
    placed.outputs = std::move(planned.outputs);
    placed.holders = std::move(planned.holders);
    draft_.order.push_back({Item::Kind::Device, placed.node, static_cast<int>(draft_.device_nodes.size())});
    draft_.device_nodes.push_back(std::move(placed));
    return true;
  }

  void fold(const Node& node, const OpDef& op) {
    const ReadScope scope;
    std::vector<Value> inputs(node.inputs.size());
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      const Tensor& value = draft_.known(node.inputs[i]).value;
      if (value.buffer()) keep_contents(*value.buffer());
      inputs[i] = value;
    }
    const std::vector<Value> results = evaluate_node(op, node, inputs);
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == kNoValue) continue;
      Known& entry = draft_.values[at(node.outputs[i])];
      set_value(entry, results[i].tensor());
    }
  }

  void keep_contents(Buffer& buffer) {
    std::shared_ptr<Buffer> contents = buffer.hold();
    if (contents && std::find(draft_.folded.begin(), draft_.folded.end(), contents) == draft_.folded.end())
      draft_.folded.push_back(std::move(contents));
  }

  Draft& draft_;
};

}  // namespace

bool walk_again(Draft& draft) { return Walk(draft).walk_again(); }

void walk(Draft& draft) {
  Walk walk(draft);
  walk.walk();
  if (!draft.device_nodes.empty()) walk.group_by_place();
}

}  // namespace fastort
