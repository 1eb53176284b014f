#include "plan/parts.h"

#include "plan/step_list.h"
#include "tensor/buffer.h"

namespace fastort {

const PartsKernel* parts_kernel(const Kernel* kernel) { return dynamic_cast<const PartsKernel*>(kernel); }

// From the last join to the first: a value that several read lives in the last, and what an earlier one joins lies side
// by side there already where the later one begins with the same values (a block of DenseNet).
PartHomes::PartHomes(const Draft& draft) : homes_(draft.graph.values.size()) {
  struct Maker {
    int planned = -1;
    size_t output = 0;
  };
  std::vector<Maker> makers;
  const auto find_makers = [&] {
    makers.resize(draft.graph.values.size());
    for (size_t n = 0; n < draft.planned.size(); ++n) {
      const Node& node = draft.graph.nodes[at(draft.planned[n].node)];
      for (size_t i = 0; i < node.outputs.size(); ++i)
        if (node.outputs[i] != kNoValue) makers[at(node.outputs[i])] = {static_cast<int>(n), i};
    }
  };
  for (size_t n = draft.planned.size(); n-- > 0;) {
    const PartsKernel* join = parts_kernel(draft.planned[n].kernel->kernel.get());
    if (!join || join->kind() != PartsKernel::Kind::Join) continue;
    const PlannedNode& planned = draft.planned[n];
    const Node& node = draft.graph.nodes[at(planned.node)];
    // What the caller receives is written last: it may share memory with what he feeds.
    if (draft.written_as.contains(at(node.outputs[0]))) continue;
    if (makers.empty()) find_makers();
    for (size_t k = 0; k < join->offsets().size(); ++k) {
      const TensorDesc& part = planned.inputs[k];
      const ValueId id = node.inputs[k], root = draft.values[at(id)].root;
      if (part.constant || root == kNoValue || (root != id && part.layout != Layout::Plain)) continue;
      const Maker& maker = makers[at(root)];
      if (maker.planned < 0 || homes_[at(root)].join >= 0 || draft.written_as.contains(at(root))) continue;
      // A split leaves its parts in its input.
      const PartsKernel* made_by = parts_kernel(draft.planned[static_cast<size_t>(maker.planned)].kernel->kernel.get());
      if (made_by && made_by->kind() == PartsKernel::Kind::Split) continue;
      const TensorDesc& made = draft.planned[static_cast<size_t>(maker.planned)].outputs[maker.output];
      const size_t bytes = physical_bytes(part, part.layout);
      const int64_t offset = join->offsets()[k];
      if (made.layout != part.layout || physical_bytes(made, made.layout) != bytes || bytes == 0) continue;
      if (offset % static_cast<int64_t>(kAlignment) != 0) continue;
      homes_[at(root)] = {static_cast<int>(n), offset};
    }
  }
}

}  // namespace fastort
