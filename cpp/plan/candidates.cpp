#include "plan/candidates.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/cpu_info.h"

namespace fastort {
namespace {

// Rough memory rate of kernels that name no cost.
constexpr double kBytesPerNanosecond = 8.0;

// A reorder's bytes a nanosecond, read and written, as measured with AVX2: between rows and blocks of channels it
// copies whole vectors, to and from pixels it transposes. The second is for maps that no cache holds.
constexpr double kBlocksRate[] = {40, 30}, kPixelsRate[] = {20, 16};
constexpr double kStepNanoseconds = 1500.0;

size_t bytes_of(const TensorDesc& desc) {
  return static_cast<size_t>(physical_count(desc.shape, desc.layout)) * element_size(desc.type);
}

double default_cost(const PlannedNode& planned) {
  size_t bytes = 0;
  for (const TensorDesc& desc : planned.inputs) bytes += desc.type == DataType::Undefined ? 0 : bytes_of(desc);
  for (const TensorDesc& desc : planned.outputs) bytes += desc.type == DataType::Undefined ? 0 : bytes_of(desc);
  return static_cast<double>(bytes) / kBytesPerNanosecond;
}

double reorder_cost(const TensorDesc& desc, Layout from, Layout to) {
  if (from == to || same_memory(desc.shape, from, to)) return 0;
  const size_t bytes = 2 * static_cast<size_t>(desc.shape.count()) * element_size(desc.type);
  const bool pixels = from == Layout::Nhwc || to == Layout::Nhwc;
  const int far = bytes > cache_sizes().l3 / 2 ? 1 : 0;
  return static_cast<double>(bytes) / (pixels ? kPixelsRate : kBlocksRate)[far] + kStepNanoseconds;
}

bool usable(Layout layout, bool blocked_allowed) {
  if (layout == Layout::Plain) return true;
  if (!blocked_allowed) return false;
  if (layout == Layout::C16) return cpu_features().avx512;
  if (layout == Layout::C8) return !cpu_features().avx512;
  return true;
}

}  // namespace

Layout input_layout(const PlannedNode& planned, const Option& option, int i) {
  const TensorDesc& desc = planned.inputs[static_cast<size_t>(i)];
  const bool listed = i < 32 && (option.candidate->layout_inputs >> i) & 1u;
  const int rank = planned.outputs.empty() ? 0 : planned.outputs[0].shape.rank();
  if (!listed || desc.constant || desc.type == DataType::Undefined || rank < 3 || desc.shape.rank() != rank) {
    return Layout::Plain;
  }
  return option.variant.in;
}

Layout output_layout(const PlannedNode& planned, const Option& option, int i) {
  return planned.outputs[static_cast<size_t>(i)].shape.rank() < 3 ? Layout::Plain : option.variant.out;
}

void list_options(const Graph& graph, PlannedNode& planned, const EngineOptions& options, PackStore& packs,
                  std::string_view prefer) {
  const Node& node = graph.nodes[static_cast<size_t>(planned.node)];
  std::vector<TensorDesc> inputs = planned.inputs;
  std::vector<TensorDesc> outputs = planned.outputs;
  for (const Candidate& candidate : planned.op->cpu) {
    // One that names no cost is a fallback (the reference, say), not an alternative.
    if (!planned.options.empty() && !candidate.cost && prefer != candidate.name) continue;
    for (const Variant& variant : candidate.variants) {
      if (!usable(variant.in, options.allow_blocked_layouts) || !usable(variant.out, options.allow_blocked_layouts)) {
        continue;
      }
      const bool plain = variant.in == Layout::Plain && variant.out == Layout::Plain;
      if (!plain && (outputs.empty() || outputs[0].shape.rank() < 3)) continue;
      Option option{&candidate, variant, 0};
      for (size_t i = 0; i < inputs.size(); ++i) inputs[i].layout = input_layout(planned, option, static_cast<int>(i));
      for (size_t i = 0; i < outputs.size(); ++i)
        outputs[i].layout = output_layout(planned, option, static_cast<int>(i));
      const OpContext context{node, inputs, outputs, options, packs, {}};
      if (Refusal refusal = candidate.accepts ? candidate.accepts(context) : Refusal{}) {
        if (plain || candidate.variants.size() == 1) {
          planned.refusals.push_back(std::string(candidate.name) + ": " + *refusal);
        }
        continue;
      }
      option.cost = candidate.cost ? candidate.cost(context) : default_cost(planned);
      // An earlier candidate with the same layouts stands unless costs say otherwise.
      auto same = std::find_if(planned.options.begin(), planned.options.end(), [&](const Option& other) {
        return !other.beaten && other.variant.in == variant.in && other.variant.out == variant.out;
      });
      if (same != planned.options.end()) {
        const bool better = candidate.cost && same->candidate->cost && option.cost < same->cost;
        (better ? same->beaten : option.beaten) = true;
      }
      planned.options.push_back(option);
    }
  }
  const auto preferred = [&](const Option& option) { return option.candidate->name == prefer; };
  if (std::any_of(planned.options.begin(), planned.options.end(), preferred)) {
    std::erase_if(planned.options, [&](const Option& option) { return !preferred(option); });
    for (Option& option : planned.options) option.beaten = false;
    planned.notes.push_back("preferred by the session's options");
  }
  if (!planned.options.empty()) return;
  std::string text = describe(graph, node) + ": no kernel takes it.";
  for (const std::string& refusal : planned.refusals) text += "\n  " + refusal;
  not_implemented(text);
}

void choose_layouts(const Graph& graph, std::vector<PlannedNode>& nodes, std::span<const ValueId> read_plain) {
  constexpr int kLayouts = 4;
  constexpr double kNever = std::numeric_limits<double>::infinity();
  using Costs = std::array<double, kLayouts>;
  const bool anything_to_choose =
      std::any_of(nodes.begin(), nodes.end(), [](const PlannedNode& planned) { return planned.options.size() > 1; });
  if (!anything_to_choose) return;

  // best[v][L]: the least cost of having value v made in layout L, each value's cost shared among its readers.
  std::vector<Costs> best(graph.values.size(), Costs{0, kNever, kNever, kNever});
  std::vector<int> readers(graph.values.size(), 0);
  for (const PlannedNode& planned : nodes) {
    for (ValueId id : graph.nodes[static_cast<size_t>(planned.node)].inputs) {
      if (id != kNoValue) ++readers[static_cast<size_t>(id)];
    }
  }
  auto input_cost = [&](const PlannedNode& planned, const Option& option) {
    const Node& node = graph.nodes[static_cast<size_t>(planned.node)];
    double sum = 0;
    for (size_t i = 0; i < planned.inputs.size(); ++i) {
      const ValueId id = node.inputs[i];
      if (id == kNoValue || planned.inputs[i].type == DataType::Undefined) continue;
      const Layout wanted = input_layout(planned, option, static_cast<int>(i));
      double least = kNever;
      for (int from = 0; from < kLayouts; ++from) {
        const double made = best[static_cast<size_t>(id)][static_cast<size_t>(from)];
        if (made == kNever) continue;
        least = std::min(least, made / std::max(1, readers[static_cast<size_t>(id)]) +
                                    reorder_cost(planned.inputs[i], static_cast<Layout>(from), wanted));
      }
      sum += least;
    }
    return sum;
  };
  for (PlannedNode& planned : nodes) {
    const Node& node = graph.nodes[static_cast<size_t>(planned.node)];
    for (ValueId id : node.outputs) {
      if (id != kNoValue) best[static_cast<size_t>(id)].fill(kNever);
    }
    for (const Option& option : planned.options) {
      if (option.beaten) continue;
      const double cost = option.cost + input_cost(planned, option);
      for (size_t i = 0; i < planned.outputs.size(); ++i) {
        if (node.outputs[i] == kNoValue) continue;
        double& entry = best[static_cast<size_t>(node.outputs[i])]
                            [static_cast<size_t>(output_layout(planned, option, static_cast<int>(i)))];
        entry = std::min(entry, cost);
      }
    }
  }

  // From the end: what the readers, already decided, want of each output.
  std::vector<std::array<bool, kLayouts>> wanted(graph.values.size(), std::array<bool, kLayouts>{});
  for (ValueId id : read_plain) wanted[static_cast<size_t>(id)][0] = true;
  for (size_t n = nodes.size(); n-- > 0;) {
    PlannedNode& planned = nodes[n];
    const Node& node = graph.nodes[static_cast<size_t>(planned.node)];
    double least = kNever;
    for (size_t o = 0; o < planned.options.size(); ++o) {
      const Option& option = planned.options[o];
      if (option.beaten) continue;
      double cost = option.cost + input_cost(planned, option);
      for (size_t i = 0; i < planned.outputs.size(); ++i) {
        if (node.outputs[i] == kNoValue) continue;
        for (int to = 0; to < kLayouts; ++to) {
          if (!wanted[static_cast<size_t>(node.outputs[i])][static_cast<size_t>(to)]) continue;
          cost += reorder_cost(planned.outputs[i], output_layout(planned, option, static_cast<int>(i)),
                               static_cast<Layout>(to));
        }
      }
      if (cost < least) {
        least = cost;
        planned.chosen = static_cast<int>(o);
      }
    }
    for (size_t i = 0; i < planned.inputs.size(); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      const Layout layout = input_layout(planned, planned.option(), static_cast<int>(i));
      wanted[static_cast<size_t>(node.inputs[i])][static_cast<size_t>(layout)] = true;
    }
  }
}

}  // namespace fastort
