#include "plan/emit.h"

#include <algorithm>

#include "ops/core/name_error.h"

namespace fastort {
namespace {

constexpr std::string_view kCpu = "CPUExecutionProvider";

}  // namespace

std::unique_ptr<Kernel> prepare(const Draft& draft, const Candidate& candidate, const Node& node,
                                std::span<const TensorDesc> inputs, std::span<const TensorDesc> outputs) {
  try {
    return candidate.prepare(draft.context(node, inputs, outputs));
  } catch (const Error& error) {
    throw name_error(error, draft.graph, node);
  }
}

Emitter::Emitter(Draft& draft) : draft_(draft), steps_(draft), device_(draft, steps_) {}

void Emitter::run() {
  for (size_t i = 0; i < draft_.order.size(); ++i) {
    const Item& item = draft_.order[i];
    if (item.kind == Item::Kind::Compute) emit_compute(draft_.planned[static_cast<size_t>(item.planned)]);
    if (item.kind == Item::Kind::Dynamic) emit_dynamic(item.node);
    if (item.kind != Item::Kind::Device) continue;
    std::vector<int> nodes;
    for (; i < draft_.order.size(); ++i) {
      if (draft_.order[i].kind == Item::Kind::View) continue;
      if (draft_.order[i].kind != Item::Kind::Device) break;
      nodes.push_back(draft_.order[i].planned);
    }
    --i;
    device_.segment(nodes);
  }
  emit_leaving();
  device_.finish();
  steps_.finish();
  device_.find_uses();
}

void Emitter::emit_compute(PlannedNode& planned) {
  const Node& node = draft_.graph.nodes[static_cast<size_t>(planned.node)];
  const Option option = planned.option();
  auto kernel = std::move(draft_.kernels[static_cast<size_t>(&planned - draft_.planned.data())]);
  const uint32_t unread = kernel->unread_inputs();
  std::vector<int> storages;
  for (size_t i = 0; i < planned.inputs.size(); ++i) {
    // The plain form of a packed weight stays out of memory.
    const bool read = node.inputs[i] != kNoValue && !(i < 32 && (unread >> i) & 1u);
    storages.push_back(read ? steps_.storage_of(node.inputs[i], planned.inputs[i].layout) : -1);
  }
  for (size_t i = 0; i < planned.outputs.size(); ++i) {
    storages.push_back(node.outputs[i] == kNoValue ? -1 : output_storage(planned, i, storages));
  }
  for (ValueId id : node.inputs) {
    if (id != kNoValue) --draft_.uses[at(draft_.known(id).root)];
  }
  steps_.add_step(std::move(kernel), planned.node, storages, planned.inputs.size());
  draft_.plan->decisions.push_back({planned.node,
                                    option.candidate->name,
                                    kCpu,
                                    option.variant.in,
                                    option.variant.out,
                                    std::move(planned.refusals),
                                    std::move(planned.notes),
                                    {},
                                    {}});
  if (!draft_.services.keep_types) return;
  draft_.plan->decisions.back().inputs = planned.inputs;
  draft_.plan->decisions.back().outputs = planned.outputs;
}

int Emitter::output_storage(const PlannedNode& planned, size_t i, std::span<const int> input_storages) {
  const Node& node = draft_.graph.nodes[static_cast<size_t>(planned.node)];
  const ValueId id = node.outputs[i];
  const TensorDesc& desc = planned.outputs[i];
  steps_.set_made_as(id, desc.layout);
  int& place = steps_.place(id, desc.layout);
  const ValueId written = draft_.written_as[at(id)];
  const bool plain = desc.layout == Layout::Plain || same_memory(desc.shape, desc.layout, Layout::Plain);
  if (written != kNoValue && plain) {
    Storage storage;
    storage.loc = Loc::External;
    storage.base = static_cast<uint32_t>(draft_.external_of[at(written)]);
    return place = steps_.add_storage(storage);
  }
  if (desc.type == DataType::String) {
    Storage storage;
    storage.loc = Loc::External;
    storage.base = draft_.add_external({id, desc.type, desc.shape, true});
    draft_.written_as[at(id)] = id;
    return place = steps_.add_storage(storage);
  }
  const size_t bytes = physical_bytes(desc, desc.layout);
  if (i == 0 && (planned.op->flags & kInPlace)) {
    for (size_t k = 0; k < planned.inputs.size() && k < input_storages.size(); ++k) {
      const int storage = input_storages[k];
      if (storage < 0 || steps_.storage(storage).loc != Loc::Arena) continue;
      const ValueId root = draft_.known(node.inputs[k]).root;
      const Layout made = steps_.made_as(root);
      const bool only_reader = draft_.uses[at(root)] == 1 && steps_.place(root, made) == storage;
      if (only_reader && steps_.storage(storage).bytes == bytes && planned.inputs[k].layout == desc.layout &&
          planned.inputs[k].shape == desc.shape && planned.inputs[k].type == desc.type) {
        return place = storage;
      }
    }
  }
  Storage storage;
  storage.bytes = bytes;
  return place = steps_.add_storage(storage);
}

void Emitter::emit_dynamic(int index) {
  const Node& node = draft_.graph.nodes[static_cast<size_t>(index)];
  FrameInfo frame;
  std::vector<int> storages;
  for (ValueId id : node.inputs) {
    frame.inputs.emplace_back();
    int storage = -1;
    if (id != kNoValue && draft_.known(id).state == Known::State::Planned) {
      frame.inputs.back() = draft_.known(id).desc;
      frame.inputs.back().layout = Layout::Plain;
      if (!draft_.known(id).value.empty()) frame.inputs.back().constant = draft_.keep(draft_.known(id).value);
      storage = steps_.storage_of(id, Layout::Plain);
      --draft_.uses[at(draft_.known(id).root)];
    }
    storages.push_back(storage);
  }
  std::vector<TensorDesc> outputs;
  for (ValueId id : node.outputs) {
    outputs.emplace_back();
    if (id != kNoValue) outputs.back().type = draft_.graph.value(id).type.element;
    storages.push_back(-1);
  }
  const OpDef& op = draft_.program.op(index);
  const bool hands_on = op.flags & kView;
  auto kernel = hands_on ? make_kernel([](const KernelArgs& args) { args.frame->set_output(0, args.frame->input(0)); })
                         : prepare(draft_, op.cpu.front(), node, frame.inputs, outputs);
  const char* candidate = hands_on ? "hand on" : op.cpu.front().name;
  Step& step = steps_.add_step(std::move(kernel), index, storages, node.inputs.size());
  step.frame = static_cast<int32_t>(draft_.plan->frames.size());
  draft_.plan->frames.push_back(std::move(frame));
  std::vector<std::string> refusals;
  if (draft_.services.device)
    refusals.push_back(std::string(draft_.services.device->name()) + ": shapes or values that only the run shows");
  draft_.plan->decisions.push_back(
      {index, candidate, kCpu, Layout::Plain, Layout::Plain, std::move(refusals), {}, {}, {}});
  if (draft_.services.keep_types) draft_.plan->decisions.back().inputs = draft_.plan->frames.back().inputs;
}

// Copies and reorders for leaving values that no step wrote in place.
void Emitter::emit_leaving() {
  for (ValueId id : draft_.leaving) {
    const ValueId root = draft_.known(id).root;
    const bool here = draft_.written_as[at(root)] == id;
    Storage storage;
    storage.loc = Loc::External;
    storage.base = static_cast<uint32_t>(draft_.external_of[at(id)]);
    if (here && steps_.is_made(root)) {
      const Layout made = steps_.made_as(root);
      const TensorDesc& desc = draft_.values[at(root)].desc;
      if (made == Layout::Plain || same_memory(desc.shape, made, Layout::Plain)) continue;
      // A reorder to plain may stand already for another reader.
      if (!steps_.is_placed(root, Layout::Plain)) {
        steps_.add_reorder(steps_.place(root, made), made, steps_.add_storage(storage), Layout::Plain, desc);
        continue;
      }
    }
    const int from = steps_.storage_of(id, Layout::Plain);
    steps_.add_copy(from, steps_.add_storage(storage), draft_.known(id).desc);
  }
}

}  // namespace fastort
