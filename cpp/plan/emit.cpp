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

Emitter::Emitter(Draft& draft)
    : draft_(draft), steps_(draft), device_(draft, steps_), homes_(draft), wholes_(draft.planned.size(), -1) {}

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
  const Option& option = planned.option();
  const uint32_t unread = planned.kernel->unread_inputs;
  std::vector<int> storages;
  for (size_t i = 0; i < planned.inputs.size(); ++i) {
    // The plain form of a packed weight stays out of memory.
    const bool read = node.inputs[i] != kNoValue && !(i < 32 && (unread >> i) & 1u);
    if (read) reorder_into_join(planned, *planned.kernel->kernel, i);
    storages.push_back(read ? steps_.storage_of(node.inputs[i], planned.inputs[i].layout) : -1);
  }
  const bool in_place = drop_parts(planned, *planned.kernel->kernel, storages);
  for (size_t i = 0; i < planned.outputs.size() && !in_place; ++i) {
    storages.push_back(node.outputs[i] == kNoValue ? -1 : output_storage(planned, i, storages));
  }
  for (ValueId id : node.inputs) {
    if (id != kNoValue) --draft_.uses[at(draft_.known(id).root)];
  }
  if (!in_place) steps_.add_step(planned.kernel, planned.node, storages, planned.inputs.size());
  const char* const shown = in_place ? "in place" : option.candidate->name;
  if (!planned.decision || planned.decision->candidate != shown) {
    Decision decision{planned.node,  shown, kCpu, option.variant.in, option.variant.out, planned.refusals,
                      planned.notes, {},    {}};
    if (draft_.services->keep_types) {
      decision.inputs = planned.inputs;
      decision.outputs = planned.outputs;
    }
    planned.decision = std::make_shared<const Decision>(std::move(decision));
  }
  draft_.plan->decisions.push_back(planned.decision);
}

// Where part `i` of a join lies in another layout, its reorder writes it where it belongs.
void Emitter::reorder_into_join(const PlannedNode& planned, const Kernel& kernel, size_t i) {
  const PartsKernel* join = parts_kernel(&kernel);
  if (!join || join->kind() != PartsKernel::Kind::Join) return;
  const Node& node = draft_.graph.nodes[at(planned.node)];
  const ValueId id = node.inputs[i];
  const TensorDesc& desc = planned.inputs[i];
  const size_t bytes = physical_bytes(desc, desc.layout);
  const int64_t offset = join->offsets()[i];
  if (draft_.known(id).root != id || !steps_.is_made(id) || steps_.is_placed(id, desc.layout)) return;
  if (draft_.written_as.contains(at(node.outputs[0])) || bytes == 0) return;
  const Layout made = steps_.made_as(id);
  if (same_memory(desc.shape, made, desc.layout) || offset % static_cast<int64_t>(kAlignment) != 0) return;
  const int part = add_part(id, whole_of(static_cast<int>(&planned - draft_.planned.data())), offset, bytes);
  steps_.add_reorder(steps_.place(id, made), made, part, desc.layout, desc);
  steps_.place(id, desc.layout) = part;
}

// Whether everything that the node joins or splits lies in its place already; its outputs are then placed.
bool Emitter::drop_parts(const PlannedNode& planned, const Kernel& kernel, std::span<const int> input_storages) {
  const PartsKernel* parts = parts_kernel(&kernel);
  if (!parts) return false;
  if (parts->kind() == PartsKernel::Kind::Join) return join_in_place(planned, *parts, input_storages);
  return split_in_place(planned, *parts, input_storages[0]);
}

bool Emitter::join_in_place(const PlannedNode& planned, const PartsKernel& kernel,
                            std::span<const int> input_storages) {
  const ValueId id = draft_.graph.nodes[at(planned.node)].outputs[0];
  const TensorDesc& desc = planned.outputs[0];
  if (draft_.written_as.contains(at(id))) return false;
  const Storage& first = steps_.storage(input_storages[0]);
  const int64_t begin = first.offset - kernel.offsets()[0];
  for (size_t k = 0; k < kernel.offsets().size(); ++k) {
    const Storage& part = steps_.storage(input_storages[k]);
    if (part.whole < 0 || part.whole != first.whole || part.offset != begin + kernel.offsets()[k]) return false;
  }
  const int own = wholes_[static_cast<size_t>(&planned - draft_.planned.data())];
  if (own >= 0) {
    const Storage& whole = steps_.storage(own);
    if ((whole.whole >= 0 ? whole.whole : own) != first.whole || whole.offset != begin) return false;
  } else if (homes_.of(id).join >= 0) {
    return false;
  }
  steps_.set_made_as(id, desc.layout);
  steps_.place(id, desc.layout) = own >= 0 ? own : add_part(id, first.whole, begin, physical_bytes(desc, desc.layout));
  return true;
}

bool Emitter::split_in_place(const PlannedNode& planned, const PartsKernel& kernel, int whole) {
  const Node& node = draft_.graph.nodes[at(planned.node)];
  if (steps_.storage(whole).loc != Loc::Arena) return false;
  for (size_t i = 0; i < kernel.offsets().size(); ++i) {
    const ValueId id = node.outputs[i];
    if (id == kNoValue) continue;
    const TensorDesc& desc = planned.outputs[i];
    const int64_t offset = steps_.storage(whole).offset + kernel.offsets()[i];
    if (draft_.written_as.contains(at(id)) || homes_.of(id).join >= 0) return false;
    if (offset % static_cast<int64_t>(kAlignment) != 0 || physical_bytes(desc, desc.layout) == 0) return false;
  }
  for (size_t i = 0; i < kernel.offsets().size(); ++i) {
    const ValueId id = node.outputs[i];
    if (id == kNoValue) continue;
    const TensorDesc& desc = planned.outputs[i];
    steps_.set_made_as(id, desc.layout);
    steps_.place(id, desc.layout) = add_part(id, whole, kernel.offsets()[i], physical_bytes(desc, desc.layout));
  }
  // Who still reads the whole must not find it overwritten by a reader of a part, nor the other way round.
  const Storage& outer = steps_.storage(whole);
  shared_[outer.whole >= 0 ? outer.whole : whole].push_back(draft_.known(node.inputs[0]).root);
  return true;
}

int Emitter::add_part(ValueId id, int whole, int64_t offset, size_t bytes) {
  const int part = steps_.add_part(whole, offset, bytes);
  shared_[steps_.storage(part).whole].push_back(id);
  return part;
}

// The output of a join, from the first of its parts on.
int Emitter::whole_of(int join) {
  if (const int made = wholes_[static_cast<size_t>(join)]; made >= 0) return made;
  const PlannedNode& planned = draft_.planned[static_cast<size_t>(join)];
  const ValueId id = draft_.graph.nodes[at(planned.node)].outputs[0];
  const size_t bytes = physical_bytes(planned.outputs[0], planned.outputs[0].layout);
  int whole = -1;
  if (const PartHomes::Home& home = homes_.of(id); home.join >= 0) {
    whole = add_part(id, whole_of(home.join), home.offset, bytes);
  } else {
    Storage storage;
    storage.bytes = bytes;
    whole = steps_.add_storage(storage);
    shared_[whole].push_back(id);
  }
  return wholes_[static_cast<size_t>(join)] = whole;
}

// Whether nobody will read what lies in the same storage, beside `root`.
bool Emitter::others_done(int storage, ValueId root) {
  const auto found = shared_.find(storage);
  if (found == shared_.end()) return true;
  return std::all_of(found->second.begin(), found->second.end(),
                     [&](ValueId id) { return id == root || draft_.uses[at(id)] == 0; });
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
  if (const int own = wholes_[static_cast<size_t>(&planned - draft_.planned.data())]; own >= 0) return place = own;
  if (const PartHomes::Home& home = homes_.of(id); home.join >= 0)
    return place = add_part(id, whole_of(home.join), home.offset, bytes);
  if (i == 0 && (planned.op->flags & kInPlace)) {
    for (size_t k = 0; k < planned.inputs.size() && k < input_storages.size(); ++k) {
      const int storage = input_storages[k];
      if (storage < 0 || steps_.storage(storage).loc != Loc::Arena || steps_.storage(storage).whole >= 0) continue;
      const ValueId root = draft_.known(node.inputs[k]).root;
      if (!others_done(storage, root)) continue;
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
  const auto [found, fresh] = draft_.dynamic.try_emplace(index);
  DynamicNode& dynamic = found->second;
  if (fresh) prepare_dynamic(index, dynamic);
  std::vector<int> storages;
  for (ValueId id : node.inputs) {
    int storage = -1;
    if (id != kNoValue && draft_.known(id).state == Known::State::Planned) {
      storage = steps_.storage_of(id, Layout::Plain);
      --draft_.uses[at(draft_.known(id).root)];
    }
    storages.push_back(storage);
  }
  storages.resize(node.inputs.size() + node.outputs.size(), -1);
  Step& step = steps_.add_step(dynamic.kernel, index, storages, node.inputs.size());
  step.frame = static_cast<int32_t>(draft_.plan->frames.size());
  draft_.plan->frames.push_back(dynamic.frame);
  draft_.plan->decisions.push_back(dynamic.decision);
}

void Emitter::prepare_dynamic(int index, DynamicNode& dynamic) const {
  const Node& node = draft_.graph.nodes[static_cast<size_t>(index)];
  std::vector<std::shared_ptr<Tensor>> holders;
  for (ValueId id : node.inputs) {
    TensorDesc& input = dynamic.frame.inputs.emplace_back();
    if (id == kNoValue || draft_.known(id).state != Known::State::Planned) continue;
    input = draft_.known(id).desc;
    if (!draft_.known(id).value.empty() && !input.constant) input.constant = keep(draft_.known(id).value, holders);
  }
  std::vector<TensorDesc> outputs;
  for (ValueId id : node.outputs) {
    outputs.emplace_back();
    if (id != kNoValue) outputs.back().type = draft_.graph.value(id).type.element;
  }
  const OpDef& op = draft_.program.op(index);
  const bool hands_on = op.flags & kView;
  auto kernel = hands_on ? make_kernel([](const KernelArgs& args) { args.frame->set_output(0, args.frame->input(0)); })
                         : prepare(draft_, op.cpu.front(), node, dynamic.frame.inputs, outputs);
  dynamic.kernel = prepared(std::move(kernel), std::move(holders));
  Decision decision{index, hands_on ? "hand on" : op.cpu.front().name, kCpu, Layout::Plain, Layout::Plain, {}, {}, {},
                    {}};
  if (draft_.services->device)
    decision.refusals.push_back(std::string(draft_.services->device->name()) +
                                ": shapes or values that only the run shows");
  if (draft_.services->keep_types) decision.inputs = dynamic.frame.inputs;
  dynamic.decision = std::make_shared<const Decision>(std::move(decision));
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
