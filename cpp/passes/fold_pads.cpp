#include <limits>
#include <optional>

#include "passes/passes.h"
#include "passes/rewrite.h"

namespace fastort {
namespace {

// What a constant Pad adds in front of and behind each spatial axis ([begins..., ends...], none negative), and with
// which number.
struct Padding {
  std::vector<int64_t> pads;
  float value = 0;
};

std::optional<Padding> spatial_padding(Sweep& sweep, const Node& pad) {
  const Shape* shape = sweep.shape(pad.inputs[0]);
  if (!shape || shape->rank() < 3 || pad.attributes.get_string("mode", "constant") != "constant") return std::nullopt;
  const auto amounts = pad.has_input(1) ? sweep.ints(pad.inputs[1]) : std::nullopt;
  const auto value = pad.has_input(2) ? sweep.scalar(pad.inputs[2]) : std::optional(0.0f);
  if (!amounts || !value) return std::nullopt;
  const auto rank = static_cast<size_t>(shape->rank());
  std::vector<int64_t> axes;
  for (size_t d = 0; d < rank; ++d) axes.push_back(static_cast<int64_t>(d));
  if (pad.has_input(3)) {
    const auto given = sweep.ints(pad.inputs[3]);
    if (!given) return std::nullopt;
    axes = *given;
  }
  if (amounts->size() != 2 * axes.size()) return std::nullopt;
  Padding found{std::vector<int64_t>(2 * (rank - 2), 0), *value};
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = axes[i] + (axes[i] < 0 ? static_cast<int64_t>(rank) : 0);
    const int64_t begin = (*amounts)[i], end = (*amounts)[i + axes.size()];
    if (axis < 0 || axis >= static_cast<int64_t>(rank) || begin < 0 || end < 0) return std::nullopt;
    if (axis < 2) {
      if (begin != 0 || end != 0) return std::nullopt;
      continue;
    }
    found.pads[static_cast<size_t>(axis - 2)] = begin;
    found.pads[static_cast<size_t>(axis - 2) + rank - 2] = end;
  }
  return found;
}

bool fold(Sweep& sweep, int index) {
  const Node& node = sweep.node(index);
  const bool conv = node.op_type == "Conv";
  if (!conv && node.op_type != "MaxPool" && node.op_type != "AveragePool") return false;
  if (!sweep.single(node.inputs[0])) return false;
  const Node* pad = sweep.producer(node.inputs[0], "Pad");
  const auto padding = pad ? spatial_padding(sweep, *pad) : std::nullopt;
  if (!padding || node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET") return false;
  std::vector<int64_t> pads = node.attributes.get_ints("pads", std::vector<int64_t>(padding->pads.size(), 0));
  if (pads.size() != padding->pads.size()) return false;
  Node folded = node;
  if (conv) {
    if (padding->value != 0) return false;
  } else {
    if (node.outputs.size() != 1 || node.attributes.get_int("ceil_mode", 0) != 0) return false;
    const std::vector<int64_t> kernel = node.attributes.get_ints("kernel_shape");
    for (size_t i = 0; i < pads.size(); ++i)
      if (2 * kernel.size() != pads.size() || pads[i] + padding->pads[i] >= kernel[i % kernel.size()]) return false;
    if (node.op_type == "MaxPool") {
      if (padding->value != -std::numeric_limits<float>::infinity()) return false;
    } else {
      // The zeros are counted; the pool's own padding may not be.
      bool own = false;
      for (int64_t amount : pads) own |= amount != 0;
      if (padding->value != 0 || (own && node.attributes.get_int("count_include_pad", 0) == 0)) return false;
      folded.attributes.set("count_include_pad", int64_t{1});
    }
  }
  for (size_t i = 0; i < pads.size(); ++i) pads[i] += padding->pads[i];
  folded.attributes.set("pads", std::move(pads));
  folded.origin = {};
  const int pad_index = sweep.producer_index(node.inputs[0]);
  folded.inputs[0] = pad->inputs[0];
  const std::string absorbed = fused_name(*pad);
  sweep.become(index, std::move(folded), {absorbed});
  sweep.remove(pad_index);
  return true;
}

}  // namespace

// A Pad in front of a Conv or pool becomes part of its padding.
int fold_pads(Graph& graph) {
  Sweep sweep(graph);
  for (int i = 0; i < sweep.node_count(); ++i) {
    if (!sweep.removed(i) && sweep.node(i).domain.empty() && sweep.node(i).has_input(0)) fold(sweep, i);
  }
  return sweep.finish();
}

}  // namespace fastort
