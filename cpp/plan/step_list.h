#pragma once

#include <span>
#include <utility>
#include <vector>

#include "plan/planning.h"

namespace fastort {

constexpr size_t kLayouts = 4;
constexpr int8_t kNotMade = -1;

// Bytes that a value takes in a layout, padding included.
size_t physical_bytes(const TensorDesc& desc, Layout layout);

// A place for data during the run.
struct Storage {
  Loc loc = Loc::Arena;
  uint32_t base = 0;  // External, Constant
  size_t bytes = 0;
  int first = 0;
  int last = 0;
  int whole = -1;      // the storage of which this one is a part, itself no part of another
  int64_t offset = 0;  // in it
};

// The steps of a plan while they are written, with the places of the data that they read and write.
class StepList {
 public:
  explicit StepList(Draft& draft);

  int step_index() const { return static_cast<int>(draft_.plan->steps.size()); }

  // `storages`: inputs, then outputs; -1 for one that is left out.
  Step& add_step(std::shared_ptr<const Prepared> kernel, int node, std::span<const int> storages, size_t num_inputs);
  void add_reorder(int from, Layout from_layout, int to, Layout to_layout, const TensorDesc& desc);
  void add_copy(int from, int to, const TensorDesc& desc);
  void place_operands(Step& step, std::span<const int> storages, size_t num_inputs);

  // A storage that is in use from the next step on.
  int add_storage(Storage storage);
  // A piece of a storage of the arena, which is in use while the piece is.
  int add_part(int whole, int64_t offset, size_t bytes);
  const Storage& storage(int index) const { return storages_[static_cast<size_t>(index)]; }
  // The storage that holds a value in a layout; adds a reorder where it lies in another one.
  int storage_of(ValueId id, Layout layout);

  // The storage of a root in a layout, where it has one (-1 where not).
  int& place(ValueId root, Layout layout) { return places_[place_key(root, layout)]; }
  bool is_placed(ValueId root, Layout layout) const { return places_.contains(place_key(root, layout)); }
  // The layout in which a root was made.
  bool is_made(ValueId root) const { return made_as_.contains(at(root)); }
  Layout made_as(ValueId root) const { return static_cast<Layout>(made_as_[at(root)]); }
  void set_made_as(ValueId root, Layout layout) { made_as_[at(root)] = static_cast<int8_t>(layout); }

  // Gives every storage its place in the arena and writes the slots.
  void finish();

 private:
  static size_t place_key(ValueId root, Layout layout) { return at(root) * kLayouts + static_cast<size_t>(layout); }
  void used_now(int storage);
  int blocked_view(ValueId id, Layout layout);

  Draft& draft_;
  Notes<int8_t> made_as_;  // root -> layout in which it was made
  Notes<int> places_;      // (root, layout) -> storage
  std::vector<Storage> storages_;
  std::vector<int> slot_storages_;
  std::vector<std::pair<int, int>> workspaces_;  // (step, storage)
};

}  // namespace fastort
