#include "plan/step_list.h"

#include <algorithm>

#include "kernels/reorder.h"
#include "plan/memory.h"

namespace fastort {

size_t physical_bytes(const TensorDesc& desc, Layout layout) {
  return static_cast<size_t>(physical_count(desc.shape, layout)) * element_size(desc.type);
}

StepList::StepList(Draft& draft)
    : draft_(draft), made_as_(draft.graph.values.size(), kNotMade), places_(draft.graph.values.size() * kLayouts, -1) {}

int StepList::add_storage(Storage storage) {
  storage.first = storage.last = step_index();
  storages_.push_back(storage);
  return static_cast<int>(storages_.size() - 1);
}

int StepList::add_part(int whole, int64_t offset, size_t bytes) {
  Storage part;
  part.bytes = bytes;
  const Storage& outer = storage(whole);
  part.whole = outer.whole >= 0 ? outer.whole : whole;
  part.offset = outer.offset + offset;
  return add_storage(part);
}

void StepList::used_now(int storage) {
  Storage& used = storages_[static_cast<size_t>(storage)];
  used.last = step_index();
  if (used.whole >= 0) storages_[static_cast<size_t>(used.whole)].last = step_index();
}

int StepList::storage_of(ValueId id, Layout layout) {
  Known& entry = draft_.known(id);
  const ValueId root = entry.root;
  if (const int found = places_[place_key(root, layout)]; found >= 0) return found;
  if (const int external = draft_.external_of[at(root)]; external >= 0 && !draft_.written_as.contains(at(root))) {
    Storage storage;
    storage.loc = Loc::External;
    storage.base = static_cast<uint32_t>(external);
    places_[place_key(root, Layout::Plain)] = add_storage(storage);
    made_as_[at(root)] = static_cast<int8_t>(Layout::Plain);
  } else if (!made_as_.contains(at(root))) {
    Storage storage;
    storage.loc = Loc::Constant;
    storage.base = static_cast<uint32_t>(draft_.plan->constants.size());
    draft_.plan->constants.push_back(draft_.known(root).value.held());
    places_[place_key(root, Layout::Plain)] = add_storage(storage);
    made_as_[at(root)] = static_cast<int8_t>(Layout::Plain);
  }
  if (id != root && layout != Layout::Plain) return blocked_view(id, layout);
  const Layout made = static_cast<Layout>(made_as_[at(root)]);
  const int from = places_[place_key(root, made)];
  const Shape& shape = draft_.values[at(root)].desc.shape;
  if (made == layout || same_memory(shape, made, layout)) return from;
  Storage storage;
  storage.bytes = physical_bytes(draft_.values[at(root)].desc, layout);
  const int to = add_storage(storage);
  add_reorder(from, made, to, layout, draft_.values[at(root)].desc);
  places_[place_key(root, layout)] = to;
  return to;
}

// A value that views another one's memory, in a layout of its own shape.
int StepList::blocked_view(ValueId id, Layout layout) {
  const TensorDesc desc = draft_.known(id).desc;
  const int from = storage_of(id, Layout::Plain);
  if (same_memory(desc.shape, Layout::Plain, layout)) return from;
  if (const int found = places_[place_key(id, layout)]; found >= 0) return found;
  Storage storage;
  storage.bytes = physical_bytes(desc, layout);
  const int to = add_storage(storage);
  add_reorder(from, Layout::Plain, to, layout, desc);
  places_[place_key(id, layout)] = to;
  return to;
}

void StepList::add_reorder(int from, Layout from_layout, int to, Layout to_layout, const TensorDesc& desc) {
  const size_t size = element_size(desc.type);
  auto kernel = make_kernel([from_layout, to_layout, shape = desc.shape, size](const KernelArgs& args) {
    kernels::reorder(args.in<std::byte>(0), from_layout, args.out<std::byte>(0), to_layout, shape, size, args.parallel);
  });
  const int storages[] = {from, to};
  add_step(prepared(std::move(kernel), {}), -1, storages, 1);
}

void StepList::add_copy(int from, int to, const TensorDesc& desc) {
  const size_t bytes = physical_bytes(desc, Layout::Plain);
  auto kernel =
      make_kernel([bytes, strings = desc.type == DataType::String, count = desc.shape.count()](const KernelArgs& args) {
        if (strings) {
          std::copy_n(args.in<std::string>(0), count, args.out<std::string>(0));
          return;
        }
        args.parallel.range(static_cast<int64_t>(bytes), 1 << 18, [&](int64_t begin, int64_t end) {
          std::copy(args.in<std::byte>(0) + begin, args.in<std::byte>(0) + end, args.out<std::byte>(0) + begin);
        });
      });
  const int storages[] = {from, to};
  add_step(prepared(std::move(kernel), {}), -1, storages, 1);
}

Step& StepList::add_step(std::shared_ptr<const Prepared> kernel, int node, std::span<const int> storages,
                         size_t num_inputs) {
  Step step;
  step.kernel = kernel->kernel.get();
  step.node = node;
  place_operands(step, storages, num_inputs);
  if (kernel->workspace_bytes) {
    Storage workspace;
    workspace.bytes = kernel->workspace_bytes;
    workspaces_.emplace_back(step_index(), add_storage(workspace));
  }
  if (kernel->stateful) {
    step.state = static_cast<int32_t>(draft_.plan->stateful.size());
    draft_.plan->stateful.push_back(step.kernel);
  }
  draft_.plan->kernels.push_back(std::move(kernel));
  draft_.plan->steps.push_back(step);
  return draft_.plan->steps.back();
}

void StepList::place_operands(Step& step, std::span<const int> storages, size_t num_inputs) {
  step.first_slot = static_cast<uint32_t>(slot_storages_.size());
  step.num_inputs = static_cast<uint16_t>(num_inputs);
  step.num_outputs = static_cast<uint16_t>(storages.size() - num_inputs);
  for (int storage : storages) {
    slot_storages_.push_back(storage);
    if (storage >= 0) used_now(storage);
  }
}

void StepList::finish() {
  std::vector<Lifetime> pieces;
  std::vector<int> piece_of(storages_.size(), -1);
  for (size_t i = 0; i < storages_.size(); ++i) {
    if (storages_[i].loc != Loc::Arena || storages_[i].whole >= 0) continue;
    piece_of[i] = static_cast<int>(pieces.size());
    pieces.push_back({storages_[i].bytes, storages_[i].first, storages_[i].last, -1});
  }
  draft_.plan->arena_bytes = plan_memory(pieces);
  auto offset = [&](int index) {
    const Storage& part = storage(index);
    const int whole = part.whole >= 0 ? part.whole : index;
    return pieces[static_cast<size_t>(piece_of[static_cast<size_t>(whole)])].offset + part.offset;
  };
  draft_.plan->slots.reserve(slot_storages_.size());
  for (int index : slot_storages_) {
    Slot slot;
    if (index >= 0) {
      const Storage& storage = storages_[static_cast<size_t>(index)];
      slot.loc = storage.loc;
      slot.base = storage.base;
      if (storage.loc == Loc::Arena) slot.offset = offset(index);
    }
    draft_.plan->slots.push_back(slot);
  }
  for (const auto& [step, storage] : workspaces_) {
    draft_.plan->steps[static_cast<size_t>(step)].workspace_offset = offset(storage);
  }
}

}  // namespace fastort
