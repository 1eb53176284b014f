#include "plan/placement.h"

#include <limits>
#include <set>

#include "plan/float16.h"

namespace fastort {
namespace {

// Shaders count elements in 32 bits, signed.
constexpr int64_t kMaxElements = std::numeric_limits<int32_t>::max() / 2;

// Asks the recipe about operands of these types.
Refusal ask(const GpuTraits& traits, const OpDef& op, const OpContext& from, const DeviceForm& form, GpuWork& work) {
  const OpContext context{from.node, form.inputs, form.outputs, from.options, from.packs, from.compile_body};
  bool reads_nothing = false, makes_nothing = true;
  for (const auto& descs : {context.inputs, context.outputs}) {
    for (const TensorDesc& desc : descs) {
      if (desc.type == DataType::Undefined) continue;
      if (desc.type == DataType::String) return "strings";
      if (desc.shape.count() > kMaxElements) return "a tensor of more than 2^30 elements";
    }
  }
  for (const TensorDesc& desc : context.inputs)
    reads_nothing |= desc.type != DataType::Undefined && !desc.shape.count();
  for (const TensorDesc& desc : context.outputs)
    makes_nothing &= desc.type == DataType::Undefined || !desc.shape.count();
  if (!context.inputs.empty() && !op.gpu->types.has(context.type(0)))
    return "no shader for " + std::string(name(context.type(0)));
  if (makes_nothing) return std::nullopt;
  if (reads_nothing && !op.gpu->takes_empty) return "an empty input";
  return op.gpu->work(context, traits, work);
}

// The node's operands with all numbers of one floating-point type. Inputs whose contents a recipe looks at (shapes,
// axes, scales) stay what they are.
DeviceForm with_floats_as(const OpDef& op, const OpContext& context, DataType type,
                          std::vector<std::shared_ptr<Tensor>>* constants) {
  DeviceForm form{{context.inputs.begin(), context.inputs.end()}, {context.outputs.begin(), context.outputs.end()}, {}};
  auto change = [&](TensorDesc& desc) {
    if (desc.type != DataType::Float && desc.type != DataType::Float16 && desc.type != DataType::BFloat16) return;
    if (desc.constant && desc.type != type && constants)
      desc.constant = constants->emplace_back(std::make_shared<Tensor>(as_float_type(*desc.constant, type))).get();
    desc.type = type;
  };
  for (size_t i = 0; i < form.inputs.size(); ++i)
    if (i >= 32 || !(op.value_inputs >> i & 1u)) change(form.inputs[i]);
  for (TensorDesc& desc : form.outputs) change(desc);
  return form;
}

bool has_type(const OpContext& context, DataType type) {
  for (const auto& descs : {context.inputs, context.outputs})
    for (const TensorDesc& desc : descs)
      if (desc.type == type) return true;
  return false;
}

// A node of float16 numbers alone, by a recipe that knows only float32: the same work with the shaders' forms for
// float16, where each has one.
bool halve(const DeviceProvider& provider, const DeviceForm& form, GpuWork& work) {
  bool other_words = false;  // that a copy of 4-byte elements could be meant for
  for (const auto* descs : {&form.inputs, &form.outputs})
    for (const TensorDesc& desc : *descs)
      other_words |= desc.type != DataType::Undefined && desc.type != DataType::Float16 && element_size(desc.type) == 4;
  for (GpuDispatch& dispatch : work.dispatches) {
    if (dispatch.half) return false;
    if (dispatch.shader == "strided.4" && !other_words) {
      dispatch.shader = "strided.2";
    } else if (provider.has_shader(std::string(dispatch.shader) + ".f16")) {
      dispatch.half = true;
    } else {
      return false;
    }
  }
  return work.constants_are_words();
}

}  // namespace

Refusal place_on_device(const DeviceProvider& provider, const GpuTraits& device, const OpDef& op,
                        const OpContext& context, DeviceForm& form, std::vector<std::shared_ptr<Tensor>>& constants) {
  if (!op.gpu) return "the operator has no shader";
  form =
      DeviceForm{{context.inputs.begin(), context.inputs.end()}, {context.outputs.begin(), context.outputs.end()}, {}};
  if (has_type(context, DataType::BFloat16)) {
    // As it stands (what only moves elements), or in float32 with conversions around it.
    const Refusal refusal = ask(device, op, context, form, form.work);
    if (!refusal) return std::nullopt;
    if (Refusal cannot = refuse_bfloat16(device)) return cannot;
    form = with_floats_as(op, context, DataType::Float, &constants);
    return ask(device, op, context, form, form.work);
  }
  const bool wanted = provider.half_storage() && has_type(context, DataType::Float);
  const bool given = has_type(context, DataType::Float16);
  if (!wanted && !given) return ask(device, op, context, form, form.work);
  if (!device.storage16) {
    if (given) return "16-bit numbers, which the device's shaders cannot store";
    return ask(device, op, context, form, form.work);
  }
  // As it stands, where the recipe knows float16.
  if (given && !wanted && !ask(device, op, context, form, form.work)) return std::nullopt;
  const bool mixed = given && has_type(context, DataType::Float);
  if (!mixed) {
    const DeviceForm native = with_floats_as(op, context, DataType::Float16, &constants);
    form = native;
    if (!given && !ask(device, op, context, form, form.work)) return std::nullopt;
    DeviceForm plain = with_floats_as(op, context, DataType::Float, &constants);
    GpuTraits traits = device;
    traits.halves = true;
    GpuWork work;
    if (!ask(traits, op, context, plain, work) && halve(provider, native, work)) {
      form = native;
      form.work = std::move(work);
      return std::nullopt;
    }
  }
  // In float32, with conversions around it.
  form = with_floats_as(op, context, DataType::Float, &constants);
  return ask(device, op, context, form, form.work);
}

std::vector<int> order_by_place(std::span<const PlacedNode> nodes) {
  std::vector<int> waiting(nodes.size(), 0);
  std::vector<std::vector<int>> readers(nodes.size());
  std::set<int> ready[2];  // by place, in the order of the graph
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (const int need : nodes[i].needs) {
      readers[static_cast<size_t>(need)].push_back(static_cast<int>(i));
      ++waiting[i];
    }
    if (nodes[i].needs.empty()) ready[nodes[i].on_device].insert(static_cast<int>(i));
  }
  std::vector<int> order;
  order.reserve(nodes.size());
  int place = 0;
  while (order.size() < nodes.size()) {
    if (ready[place].empty()) place = 1 - place;
    if (ready[place].empty()) break;  // a cycle, which a graph does not have
    const int next = *ready[place].begin();
    ready[place].erase(ready[place].begin());
    order.push_back(next);
    for (const int reader : readers[static_cast<size_t>(next)])
      if (--waiting[static_cast<size_t>(reader)] == 0)
        ready[nodes[static_cast<size_t>(reader)].on_device].insert(reader);
  }
  return order;
}

}  // namespace fastort
